"""What is done to an exported ONNX model before it is written: half-size weights, no trace of where it was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from graspnext.deploy.model.layer_names import network_boundary
from graspnext.deploy.model.parts import reads

MIN_ELEMENTS = 256
"""Smaller constants stay as they are: they are shapes, scales and biases, and save nothing."""


def round_weights(module: nn.Module) -> None:
    """Round the weights of convolutions and matrices to float16 values, in place; they stay float32.

    Vectors (biases and normalisation statistics) keep their precision: they are few, and their range is wide.
    """
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() >= 2 and parameter.is_floating_point():
                parameter.copy_(parameter.half().float())


def store_as_half(model: onnx.ModelProto) -> int:
    """Store float32 initialisers whose values all are float16 values as such, each followed by a cast back.

    Nothing is lost: the graph computes exactly what it did, in the precision that the runtime chooses.

    Returns:
        Bytes saved.
    """
    graph = model.graph
    readers = {name: node.name for node in reversed(graph.node) for name in node.input}
    casts: list[onnx.NodeProto] = []
    saved = 0
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if values.size < MIN_ELEMENTS or not np.array_equal(half.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        cast = onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT)
        cast.name = f"{readers[name]}.{name}" if name in readers else name
        casts.append(cast)
        saved += values.nbytes - half.nbytes
    _replace_nodes(graph, [*casts, *graph.node])
    return saved


def store_as_float(model: onnx.ModelProto) -> None:
    """Undo `store_as_half`, in place: for tools that look for weights where they are used."""
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] == f"{node.output[0]}.half" and node.input[0] in tensors:
            tensor = tensors[node.input[0]]
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), node.output[0]))
        else:
            nodes.append(node)
    _replace_nodes(graph, nodes)


def keep_reduced_axes(model: onnx.ModelProto) -> None:
    """Let every reduction keep its axes, and drop them in a step of its own, in place; the results are the same.

    OpenVINO's CPU plugin merges a multiplication by a constant vector into the reduction before it, and takes the
    vector for one over the channels of the tensor before its axes were dropped: results are then garbage read from
    beyond its end (openvino issue 23616, seen with 2026.4). It does not merge across the extra step.
    """
    for graph in _graphs(model):
        nodes: list[onnx.NodeProto] = []
        for node in graph.node:
            nodes.append(node)
            keep = next((a for a in node.attribute if a.name == "keepdims"), None)
            if not node.op_type.startswith("Reduce") or keep is None or keep.i or len(node.input) < 2:
                continue
            keep.i = 1
            result = node.output[0]
            node.output[0] = f"{result}.kept"
            drop = onnx.helper.make_node("Squeeze", [node.output[0], node.input[1]], [result])
            drop.name = f"{node.name}.squeeze"
            nodes.append(drop)
        _replace_nodes(graph, nodes)


def keep_boxes_exact(model: onnx.ModelProto) -> None:
    """Let every RoIAlign read its boxes where they are made, in place; the results are the same.

    The exporter writes them behind a column of image numbers and cuts that off again. OpenVINO computes all this in
    bfloat16 where that is asked for, as it does with everything that only leads to further layers, and boxes are then
    pooled up to 2 px from where they are. What also leads to the results without a layer between stays in float32. So
    boxes that are no numbers become zeros right where boxes are made, as they did on the way that is left out.
    """
    graph = model.graph
    makers = {output: node for node in graph.node for output in node.output}
    poolers = [node for node in graph.node if node.op_type == "RoiAlign" and node.input[1] in makers]
    sources: set[str] = set()
    for node in poolers:
        boxes = _boxes_of(node.input[1], makers)
        sources |= {boxes} - {node.input[1]}
        node.input[1] = boxes
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        nodes.append(node)
        for index, boxes in enumerate(list(node.output)):
            if boxes in sources:
                node.output[index] = f"{boxes}.made"
                nodes += _zero_where_lost(f"{boxes}.made", boxes, node.name, graph)
    _replace_nodes(graph, _without_unread(nodes, {output.name for output in graph.output}))


def _zero_where_lost(made: str, boxes: str, maker: str, graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes that make boxes of those made by a node, with zeros for what is no number."""
    lost, zero = f"{boxes}.lost", f"{boxes}.zero"
    graph.initializer.append(numpy_helper.from_array(np.zeros((), dtype=np.float32), zero))
    return [
        onnx.helper.make_node("IsNaN", [made], [lost], f"{maker}.lost"),
        onnx.helper.make_node("Where", [lost, zero, made], [boxes], f"{maker}.safe"),
    ]


def _boxes_of(name: str, makers: Mapping[str, onnx.NodeProto]) -> str:
    """The value (R, 4) behind the way on which the exporter puts image numbers before boxes and cuts them off."""
    start, cut_off = name, False
    while name in makers:
        node = makers[name]
        if node.op_type in {"Reshape", "Slice", "Unsqueeze"}:
            name = node.input[0]
        elif node.op_type in {"Concat", "Where"}:  # the numbers come first; what is no number becomes zero
            cut_off |= node.op_type == "Concat"
            name = node.input[-1]
        else:
            break
    return name if cut_off else start


def _without_unread(nodes: list[onnx.NodeProto], outputs: set[str]) -> list[onnx.NodeProto]:
    """The nodes, in order, that something reads."""
    kept: list[onnx.NodeProto] = []
    read = set(outputs)
    for node in reversed(nodes):
        if read.intersection(node.output):
            kept.append(node)
            read.update(reads(node))
    return kept[::-1]


def _replace_nodes(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def strip(model: onnx.ModelProto) -> None:
    """Drop what the exporter leaves in a model whose layers are named, in place: names of files, stack traces, shapes.

    Shapes stay of the values at the network's boundary, so that the network can be cut out.
    """
    boundary = {name for side in network_boundary(model) for name in side}
    kept = [value for value in model.graph.value_info if value.name in boundary]
    del model.metadata_props[:]
    model.doc_string = ""
    model.producer_name, model.producer_version = "graspnext", ""
    for graph in _graphs(model):
        graph.doc_string = ""
        del graph.metadata_props[:]
        del graph.value_info[:]
        if graph is model.graph:
            graph.value_info.extend(kept)
        for item in (*graph.value_info, *graph.node, *graph.initializer, *graph.input, *graph.output):
            item.doc_string = ""
            del item.metadata_props[:]
    for function in model.functions:
        function.doc_string = ""
        del function.metadata_props[:]
        del function.value_info[:]
        for node in function.node:
            node.doc_string = ""
            del node.metadata_props[:]


def _graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    waiting = [model.graph]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                waiting += [attribute.g] if attribute.HasField("g") else []
                waiting += attribute.graphs
