"""Values inside a graph, as a runtime computes them: whole graphs with more outputs, and single nodes on given inputs.

Values go by their names in `model.onnx`, in every runtime.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx

from graspnext.runtime.bundle import Bundle
from graspnext.runtime.onnxruntime_backend import import_onnxruntime, session_options
from graspnext.runtime.openvino_backend import compile_options, openvino_core
from graspnext.types import UInt8Array

Values = dict[str, npt.NDArray[Any]]
_GIVEN = "given:"
"""Before the name of a value that a node alone is handed."""


class Source(Protocol):
    """Something that runs the graph and can be asked for values inside it."""

    names: frozenset[str]
    """Of the values that it may have."""

    def values(self, image: UInt8Array, names: Collection[str]) -> Values:
        """Those of the named values that it has, on an image (H, W, 3) uint8; runtimes add the graph's outputs."""
        ...


class OnnxRuntimeValues:
    """ONNX Runtime in float32; plain (each node as it is written) or optimised as the backend is."""

    def __init__(self, model: onnx.ModelProto, *, optimised: bool, num_threads: int) -> None:
        self.names = frozenset(name for node in model.graph.node for name in node.output if name)
        self._model = model
        self._optimised = optimised
        self._threads = num_threads

    def values(self, image: UInt8Array, names: Collection[str]) -> Values:
        """See `Source.values`."""
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        wanted = [output.name for output in model.graph.output]
        for name in dict.fromkeys(names):
            if name not in wanted:
                model.graph.output.append(onnx.ValueInfoProto(name=name))
                wanted.append(name)
        feed = {model.graph.input[0].name: np.ascontiguousarray(image)}
        return run_onnx(model, feed, wanted, optimised=self._optimised, num_threads=self._threads)


class OpenVinoValues:
    """OpenVINO in the precision of a backend, on the file of the bundle that the backend reads."""

    def __init__(self, bundle: Bundle, *, precision: str, num_threads: int) -> None:
        self._content: tuple[bytes, bytes] = bundle.ir or (bundle.model, b"")
        self._options = compile_options(precision, num_threads)
        self.names = _port_names(self._read())

    def values(self, image: UInt8Array, names: Collection[str]) -> Values:
        """See `Source.values`; names that OpenVINO did not keep when it read the model are left out."""
        model = self._read()
        have = [name for port in model.outputs for name in port.get_names()]
        wanted = list(dict.fromkeys([*have, *(name for name in names if name in self.names)]))
        model.add_outputs(wanted[len(have) :])
        compiled = openvino_core().compile_model(model, "CPU", self._options)
        results = compiled.create_infer_request().infer([np.ascontiguousarray(image)])
        return {name: np.array(results[compiled.output(name)]) for name in wanted}

    def _read(self) -> Any:
        return openvino_core().read_model(model=self._content[0], weights=self._content[1])


def _port_names(model: Any) -> frozenset[str]:
    return frozenset(name for node in model.get_ordered_ops() for port in node.outputs() for name in port.get_names())


@dataclass(frozen=True, eq=False)
class Graph:
    """The nodes of a model that depend on the image, in an order in which each comes after its inputs."""

    model: onnx.ModelProto
    nodes: tuple[onnx.NodeProto, ...]
    constants: frozenset[str]
    """Values that do not depend on the image."""

    @classmethod
    def of(cls, model: onnx.ModelProto) -> Graph:
        """From a model whose nodes are in order, as ONNX asks."""
        constants = {tensor.name for tensor in model.graph.initializer} | {""}
        nodes = []
        for node in model.graph.node:
            if set(node.input) <= constants:
                constants.update(node.output)
            else:
                nodes.append(node)
        return cls(model, tuple(nodes), frozenset(constants))

    @property
    def image(self) -> str:
        """Name of the graph's input."""
        return str(self.model.graph.input[0].name)

    @cached_property
    def makers(self) -> dict[str, onnx.NodeProto]:
        """Value -> the node that makes it."""
        return {name: node for node in self.nodes for name in node.output if name}

    def inputs_of(self, node: onnx.NodeProto) -> list[str]:
        """Names of the values that a node takes and that depend on the image."""
        return [name for name in dict.fromkeys(node.input) if name not in self.constants]

    def cone(self, name: str, available: Collection[str]) -> tuple[list[onnx.NodeProto], list[str]]:
        """The nodes that make a value out of available ones and the image, and the names of those, in no order."""
        waiting, seen, given = [self.makers[name]], {id(self.makers[name])}, dict[str, None]()
        nodes = []
        while waiting:
            node = waiting.pop()
            nodes.append(node)
            for source in self.inputs_of(node):
                if source in available or source == self.image:
                    given[source] = None
                elif id(self.makers[source]) not in seen:
                    seen.add(id(self.makers[source]))
                    waiting.append(self.makers[source])
        return nodes, list(given)

    def chunks(self, image: UInt8Array, *, budget_bytes: int, num_threads: int) -> list[list[onnx.NodeProto]]:
        """The nodes in consecutive groups whose inputs and outputs together stay within a budget, if one node does."""
        size = self._sizes(image, num_threads)
        groups: list[list[onnx.NodeProto]] = []
        held: set[str] = set()
        for node in self.nodes:
            held |= {*self.inputs_of(node), *filter(None, node.output)}
            if not groups or sum(size.get(name, 0) for name in held) > budget_bytes:
                groups.append([])
                held = {*self.inputs_of(node), *filter(None, node.output)}
            groups[-1].append(node)
        return groups

    def _sizes(self, image: UInt8Array, num_threads: int) -> dict[str, int]:
        """Bytes of each value on an image, counted by the runtime itself without keeping the values."""
        counted = onnx.ModelProto()
        counted.CopyFrom(self.model)
        del counted.graph.output[:]
        nodes = []
        names = [name for node in self.nodes for name in node.output if name]
        for node in self.model.graph.node:
            nodes.append(node)
            nodes += [onnx.helper.make_node("Size", [name], [f"{name}:size"]) for name in node.output if name in names]
        counted.graph.ClearField("node")
        counted.graph.node.extend(nodes)
        counted.graph.output.extend(onnx.ValueInfoProto(name=f"{name}:size") for name in names)
        feed = {self.image: np.ascontiguousarray(image)}
        wanted = [f"{name}:size" for name in names]
        found = run_onnx(counted, feed, wanted, optimised=False, num_threads=num_threads)
        return {name: int(found[f"{name}:size"]) * 4 for name in names} | {self.image: image.nbytes}

    def alone(self, names: Sequence[str], given: Mapping[str, npt.NDArray[Any]], num_threads: int) -> Values:
        """Values, each made by itself in ONNX Runtime out of the given ones nearest to it.

        A value that is both made and given is handed on as given.
        """
        wanted = [name for name in dict.fromkeys(names) if name in self.makers]
        if not wanted:
            return {}
        needed, taken = set[int](), dict[str, None]()
        for name in wanted:
            nodes, sources = self.cone(name, given)
            needed.update(map(id, nodes))
            taken |= dict.fromkeys(sources)
        copies = [node for node in self.model.graph.node if set(node.input) <= self.constants]
        for node in self.nodes:
            if id(node) in needed:
                copy = onnx.NodeProto()
                copy.CopyFrom(node)
                del copy.input[:]
                copy.input.extend(f"{_GIVEN}{name}" if name in taken else name for name in node.input)
                copies.append(copy)
        feed = {f"{_GIVEN}{name}": given[name] for name in taken}
        inputs = [
            onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in feed.items()
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in wanted]
        graph = onnx.helper.make_graph(copies, "alone", inputs, outputs, list(self.model.graph.initializer))
        opsets, functions = self.model.opset_import, self.model.functions
        model = onnx.helper.make_model(
            graph, opset_imports=opsets, functions=functions, ir_version=self.model.ir_version
        )
        return run_onnx(model, feed, wanted, optimised=False, num_threads=num_threads)


def run_onnx(
    model: onnx.ModelProto,
    feed: Mapping[str, npt.NDArray[Any]],
    wanted: list[str],
    *,
    optimised: bool,
    num_threads: int,
) -> Values:
    """Run a model once in ONNX Runtime."""
    ort = import_onnxruntime()
    options = session_options(num_threads)
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip(wanted, session.run(wanted, dict(feed)), strict=True))
