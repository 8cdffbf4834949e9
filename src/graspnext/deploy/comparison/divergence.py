"""The first layer at which a bundle stops saying what the trained network says.

Two comparisons, each over all nodes of the graph in order, a few at a time so that memory stays bounded:

- *Is the graph right?* torch runs the exported program, whose values go by the names of the graph's. Each of them is
  made again out of torch's values nearest before it, by ONNX Runtime and the graph's own nodes as they are written.
- *Does the runtime run it right?* Each node is run alone, in float32, on the very inputs that the runtime under
  suspicion had, and its output is compared with the runtime's.

Both ways errors do not add up from layer to layer: what is left is the error of one layer alone, about 2^-8 for every
layer in BF16, and the first that is out of proportion is at fault, whatever precision did to the layers before it.

Asking for a value inside a graph keeps a runtime from merging its node with the next one, which can cure the defect
that is looked for. If no node is at fault, but the results become right once certain values are asked for, the
shortest such list is found by bisection, and its last node is named.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx

from graspnext.deploy.comparison.choices import CHOICES, FEW, ROUNDING, difference, first_tie
from graspnext.deploy.model.translation import TorchValues
from graspnext.deploy.model.values import Graph, OnnxRuntimeValues, Source, Values
from graspnext.network.pipeline import Pipeline
from graspnext.types import UInt8Array

MEMORY_BYTES = 256 << 20
"""Of the values that are held at a time."""
ALLOWED = {"fp32": 2e-4, "bf16": 2.0**-6, "int8": 0.1}
"""Own error of a layer that is no fault: for fp32 of the worst element, otherwise the root mean square. A sound layer's
is some 1e-6, 2^-8 and 1e-2."""
CURED = 0.25
"""Results count as cured when at most this share of their error is left."""


_MEANING = {
    "graph": "first layer of the file that differs from torch",
    "runtime": "first layer that the runtime computes wrongly",
    "merge": "right alone, but wrong when the runtime merges it with the next,",
    "tie": "a choice that fell otherwise between near equals",
    "spread": "no layer stands out; the one with the largest error of its own",
}


@dataclass(frozen=True)
class Divergence:
    """Where two computations part."""

    kind: Literal["graph", "runtime", "merge", "tie", "spread"]
    """graph: the model's file computes something else than torch. runtime: a layer is computed wrongly. merge: right
    alone, wrong when the runtime merges it with the next layer. tie: a choice between equals fell otherwise. spread: no
    layer stands out, the largest step is named."""
    layer: str
    """Name of the node."""
    op: str
    error: float
    """Relative error of the layer's output, of its own making."""
    allowed: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{_MEANING[self.kind]} is {self.layer} ({self.op}, {self.error:.3g}, allowed {self.allowed:.3g})"


class Inspector:
    """Looks inside one model. The torch side is translated when first asked for, which takes as long as an export."""

    def __init__(self, model: bytes, pipeline: Pipeline, *, num_threads: int) -> None:
        """Take apart the content of `model.onnx` and what it was frozen from."""
        self.graph = Graph.of(onnx.load_from_string(model))
        self.plain = OnnxRuntimeValues(self.graph.model, optimised=False, num_threads=num_threads)
        self._pipeline = pipeline
        self._threads = num_threads
        self._types = _types(self.graph.model)

    @cached_property
    def torch(self) -> TorchValues:
        """What torch computes."""
        return TorchValues(self._pipeline)

    def in_graph(self, image: UInt8Array, precision: str) -> tuple[Divergence | None, Divergence | None]:
        """The first layer at which the model's file and torch part, None where none stands out; and the largest error.

        Values are compared by name. A model that another release of torch exported may name them otherwise: what has
        no counterpart of its shape is passed over, and where nothing has one, both are None.

        Args:
            image: (H, W, 3) uint8.
            precision: Of the file: `int8` where it is quantised, else `fp32`.
        """
        found = []
        for chunk in self._chunks(image):
            made = [name for node in chunk for name in node.output if name in self.torch.names]
            sources = [source for name in made for source in self.graph.cone(name, self.torch.names)[1]]
            asked = [name for name in dict.fromkeys([*made, *sources]) if name != self.graph.image]
            ours, theirs = self.plain.values(image, asked), self.torch.values(image, asked)
            given = {
                name: value.astype(ours[name].dtype)
                for name, value in theirs.items()
                if name in ours and value.shape == ours[name].shape
            }
            for one in self._compare([name for name in made if name in given], given, image, precision, "graph"):
                found.append(one)
                if not one.error <= one.allowed:
                    return one, one
        return None, max(found, key=lambda one: one.error / one.allowed, default=None)

    def in_runtime(self, suspect: Source, image: UInt8Array, precision: str) -> Divergence:
        """The first layer that a runtime computes wrongly, or merges wrongly, or else that of the largest own error."""
        reference, suspected = self.plain.values(image, ()), suspect.values(image, ())
        base = self._gap(suspected, reference)
        largest: Divergence | None = None
        for chunk in self._chunks(image):
            found, values = self._own_errors(chunk, suspect, image, precision)
            for one in found:
                if not one.error <= one.allowed:
                    return one
                if largest is None or one.error / one.allowed > largest.error / largest.allowed:
                    largest = one
            if base > ALLOWED[precision] and self._gap(values, reference) < CURED * base:
                return self._merged(chunk, suspect, image, reference)
        assert largest is not None
        return Divergence("spread", largest.layer, largest.op, largest.error, largest.allowed)

    def near_tie(self, suspect: Source | None, image: UInt8Array) -> Divergence | None:
        """The first choice that fell otherwise for being near a tie.

        None where the first choice that differs was made on inputs that differ as well, or was made wrongly, or where
        none differs.

        Args:
            suspect: A runtime in float32, compared with the plain graph; None: the plain graph, compared with torch.
            image: (H, W, 3) uint8.
        """
        sides: tuple[Source, Source] = (self.torch, self.plain) if suspect is None else (self.plain, suspect)
        found = first_tie(self.graph, *sides, image, num_threads=self._threads)
        return None if found is None else Divergence("tie", found[0].name, found[0].op_type, found[1], ROUNDING)

    def _chunks(self, image: UInt8Array) -> list[list[onnx.NodeProto]]:
        return self.graph.chunks(image, budget_bytes=MEMORY_BYTES, num_threads=self._threads)

    def _own_errors(
        self, chunk: list[onnx.NodeProto], suspect: Source, image: UInt8Array, precision: str
    ) -> tuple[list[Divergence], Values]:
        """Of each node of the chunk in the suspected runtime; and all that was asked of that runtime."""
        names = [name for node in chunk for name in (*self.graph.inputs_of(node), *node.output)]
        names = [name for name in dict.fromkeys(names) if name and name != self.graph.image]
        values = suspect.values(image, names)
        given = {name: value.astype(self._types.get(name, value.dtype), copy=False) for name, value in values.items()}
        made = [name for node in chunk for name in node.output if name in given]
        return self._compare(made, given, image, precision, "runtime"), values

    def _compare(
        self, made: list[str], given: Values, image: UInt8Array, precision: str, kind: Literal["graph", "runtime"]
    ) -> list[Divergence]:
        """Given values beside what the graph's own nodes make of the given values before them."""
        alone = self.graph.alone(made, {**given, self.graph.image: image}, self._threads)
        found = []
        for name in made:
            node = self.graph.makers[name]
            choosers = [one for one in self.graph.cone(name, given)[0] if one.op_type in CHOICES]
            if choosers:
                error, allowed = difference(node, name, (given, given[name]), (given, alone[name]), ordered=False), FEW
                node = choosers[-1]
            else:
                first, second = (given, alone) if kind == "runtime" else (alone, given)
                error, allowed = _error(first[name], second[name], precision), ALLOWED[precision]
            found.append(Divergence(kind, node.name, node.op_type, error, allowed))
        return found

    def _merged(self, chunk: list[onnx.NodeProto], suspect: Source, image: UInt8Array, right: Values) -> Divergence:
        """The last of the shortest list of the chunk's values whose asking makes the results right."""
        makers = {name: node for node in chunk for name in node.output if name}
        names = list(makers)
        wrong = self._gap(suspect.values(image, ()), right)
        low, high = 0, len(names)  # asking for the first `low` does not cure, for the first `high` does
        while high - low > 1:
            middle = (low + high) // 2
            cured = self._gap(suspect.values(image, names[:middle]), right) < CURED * wrong
            low, high = (low, middle) if cured else (middle, high)
        node = makers[names[high - 1]]
        return Divergence("merge", node.name, node.op_type, wrong, CURED * wrong)

    def _gap(self, values: Values, reference: Values) -> float:
        """How far the results are from others: the mean of their errors, each counted as 1 at most."""
        names = [output.name for output in self.graph.model.graph.output]
        errors = [min(1.0, np.nan_to_num(_error(values[name], reference[name], "bf16"), nan=1.0)) for name in names]
        return float(np.mean(errors))


def _types(model: onnx.ModelProto) -> dict[str, np.dtype[Any]]:
    graph = onnx.shape_inference.infer_shapes(model).graph
    infos = [*graph.value_info, *graph.output, *graph.input]
    return {info.name: onnx.helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type) for info in infos}


def _error(ours: npt.NDArray[Any], theirs: npt.NDArray[Any], precision: str) -> float:
    """Relative error of a value: in fp32 of the worst element, beside its size and the typical one; otherwise rms.

    Numbers that are none, where the other has them too, do not count. Another shape is an error without bound.
    """
    if ours.shape != theirs.shape:
        return float("inf")
    if not ours.size:
        return 0.0
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    with np.errstate(invalid="ignore"):
        gap = np.abs(np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, a - b))
    typical = float(np.sqrt(np.mean(np.square(np.where(np.isfinite(b), b, 0.0)))))
    if precision == "fp32":
        size = np.abs(np.where(np.isfinite(b), b, 0.0)) + typical
        return float((gap / np.maximum(size, 1e-12)).max())
    return float(np.sqrt(np.mean(np.square(gap)))) / max(typical, 1e-12)
