"""Pre-processing, network and post-processing of an exported pipeline as models of their own, to time each alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import onnx

from graspnext.deploy.model.layer_names import network_boundary


def split(model: onnx.ModelProto) -> dict[str, onnx.ModelProto]:
    """`pre`, `network` and `post`, in this order; each reads what the ones before it and the image give.

    Args:
        model: The whole pipeline; where its layers are not named after their part, there are none.
    """
    network = extract_network(model)
    if not network.graph.node:
        return {}
    before = [value for value in network.graph.input if value.name not in {"image"}]
    pre = cut(model, list(model.graph.input), before)
    post = cut(model, [*model.graph.input, *network.graph.output], list(model.graph.output))
    return {"pre": pre, "network": network, "post": post}


def extract_network(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network alone, from the letterboxed image (1, 3, S, S) to what the rest of the pipeline reads from it.

    Args:
        model: The whole pipeline, whose layers are named after their part.
    """
    known = {value.name: value for value in (*model.graph.value_info, *model.graph.output)}
    inputs, outputs = ([known[name] for name in side] for side in network_boundary(model))
    return cut(model, inputs, outputs)


def cut(
    model: onnx.ModelProto, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]
) -> onnx.ModelProto:
    """What of a model lies between some of its values.

    Args:
        model: Left as it is.
        inputs: Where the new model begins; those that nothing needs are left out.
        outputs: Where it ends; those that are given already are left out.
    """
    given = {value.name for value in inputs}
    makers = {output: node for node in model.graph.node for output in node.output}
    needed: set[str] = set()
    waiting = [value.name for value in outputs if value.name not in given]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += reads(makers[name]) if name in makers and name not in given else ()
    nodes = [node for node in model.graph.node if any(output in needed - given for output in node.output)]
    graph = onnx.helper.make_graph(
        nodes,
        model.graph.name,
        [value for value in inputs if value.name in needed],
        [value for value in outputs if value.name not in given],
        [tensor for tensor in model.graph.initializer if tensor.name in needed],
    )
    return onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def reads(node: onnx.NodeProto) -> Iterable[str]:
    """Names of the values that a node reads, those of graphs inside it included."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for graph in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
            for inner in graph.node:
                yield from reads(inner)
