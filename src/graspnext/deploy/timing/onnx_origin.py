"""Which node of an ONNX model a layer of ONNX Runtime was made of: it renames and merges, and keeps no record."""

from __future__ import annotations

import onnx

COMPUTING = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})
_SUFFIXES = ("_nchwc", "_fused")
_MOST_STEPS = 6
"""Nodes that are merged behind a convolution, at most: a sum, an activation, their casts."""
_PARTS = ("pre", "network", "post")


class Origins:
    """Nodes of a model by what the runtime calls its layers."""

    def __init__(self, model: bytes) -> None:
        graph = onnx.load_model_from_string(model).graph
        self._by_name = {node.name: node for node in graph.node}
        self._maker = {output: node for node in graph.node for output in node.output}
        self._shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}

    def find(self, layer: str, operation: str) -> onnx.NodeProto | None:
        """The node behind a layer: by its name, or by the value it writes, which merged layers are named after.

        Args:
            layer: As the runtime names it.
            operation: As the runtime names it; a merged convolution is looked for behind what was merged into it.
        """
        layer = layer.removeprefix("fused ")
        for suffix in _SUFFIXES:
            layer = layer.removesuffix(suffix)
        node = self._by_name.get(layer) or self._maker.get(layer)
        wanted = operation.removeprefix("Fused")
        if node is None or wanted not in COMPUTING:
            return node
        waiting = [node]
        for _ in range(_MOST_STEPS):
            if not waiting:
                break
            if (found := waiting.pop(0)).op_type == wanted:
                return found
            waiting += [self._maker[name] for name in found.input if name in self._maker]
        return node

    def weights(self, node: onnx.NodeProto) -> tuple[int, ...]:
        """Shape of a node's second input where it is a constant, perhaps stored in another type; () elsewhere."""
        if len(node.input) < 2:
            return ()
        name = node.input[1]
        while name not in self._shapes and name in self._maker and self._maker[name].input:
            name = self._maker[name].input[0]
        return self._shapes.get(name, ())


def part_or_other(name: str) -> str:
    """Part of the pipeline that a node belongs to by its name; `other` for names of a runtime's making."""
    return next((part for part in _PARTS if name.startswith((f"{part}.", f"{part}/"))), "other")
