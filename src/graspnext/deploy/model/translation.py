"""The pipeline as an ONNX program, and torch's own value of every node of it, under the names of the ONNX graph."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor
from torch.export.graph_signature import InputKind

from graspnext.geometry.predictions import OUTPUT_NAMES
from graspnext.network.pipeline import Pipeline
from graspnext.types import UInt8Array

OPSET = 18
_EXAMPLE_SHAPE = (96, 160, 3)
"""Of the image that the graph is traced with: not square, so that nothing takes rows for columns."""


def translate(pipeline: Pipeline) -> Any:
    """The pipeline as a `torch.onnx.ONNXProgram`: image (H, W, 3) uint8 of any size in, `OUTPUT_NAMES` out.

    Its nodes keep the scopes of modules and the traces that the exporter records.
    """
    dimensions = {0: torch.export.Dim("height", min=1), 1: torch.export.Dim("width", min=1)}
    with _silence():
        program = torch.onnx.export(
            pipeline,
            (torch.zeros(_EXAMPLE_SHAPE, dtype=torch.uint8),),
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=list(OUTPUT_NAMES),
            dynamic_shapes={"image": dimensions},
            verbose=False,
        )
    assert program is not None
    return program


@contextmanager
def _silence() -> Iterator[None]:
    """No chatter of the exporter, and no warnings of deprecations inside it."""
    chatter = [logging.getLogger(name) for name in ("torch.onnx", "onnx_ir", "onnxscript")]
    levels = [logger.level for logger in chatter]
    for logger in chatter:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(chatter, levels, strict=True):
            logger.setLevel(level)


@torch.inference_mode()
def reference_outputs(pipeline: Pipeline, image: UInt8Array) -> dict[str, npt.NDArray[Any]]:
    """What the pipeline itself puts out on an image (H, W, 3), by `OUTPUT_NAMES`, as arrays."""
    return {name: value.cpu().numpy() for name, value in pipeline(torch.from_numpy(image.copy()))._asdict().items()}


class TorchValues:
    """What torch computes inside the pipeline: the exported program, run node by node.

    The exporter names values of the ONNX graph after the nodes of this program, so they can be compared by name. Values
    that an ONNX operator is split into have no counterpart here.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        """Translate the pipeline, which takes the time of an export."""
        self._program = translate(pipeline).exported_program
        results = self._program.graph_signature.user_outputs
        self._nodes: dict[str, str] = dict(zip(OUTPUT_NAMES, results, strict=True))
        self._nodes |= {node.name: node.name for node in self._program.graph.nodes if node.op == "call_function"}
        self.names = frozenset(self._nodes)

    @torch.inference_mode()
    def values(self, image: UInt8Array, names: Collection[str]) -> dict[str, npt.NDArray[Any]]:
        """Those of the named values that are tensors here, on an image (H, W, 3)."""
        recorder = _Recorder(self._program.graph_module, {self._nodes[name] for name in names if name in self._nodes})
        recorder.run(*self._inputs(torch.from_numpy(image.copy())))
        return {name: recorder.found[self._nodes[name]] for name in names if self._nodes.get(name) in recorder.found}

    def _inputs(self, image: Tensor) -> list[Any]:
        program = self._program
        held: dict[str, Any] = {**program.constants, **program.state_dict}
        return [
            image if spec.kind == InputKind.USER_INPUT else held[spec.target]
            for spec in program.graph_signature.input_specs
        ]


class _Recorder(torch.fx.Interpreter):
    """Runs a graph, keeps the wanted values, and drops all others after their last use."""

    def __init__(self, module: torch.fx.GraphModule, wanted: Collection[str]) -> None:
        super().__init__(module)
        self._wanted = wanted
        self.found: dict[str, npt.NDArray[Any]] = {}

    def run_node(self, n: torch.fx.Node) -> Any:
        value = super().run_node(n)
        if n.name in self._wanted and isinstance(value, Tensor):
            self.found[n.name] = value.detach().cpu().numpy().copy()
        return value
