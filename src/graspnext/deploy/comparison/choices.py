"""Nodes that choose: where two values are nearly equal, runtimes may choose differently, and both are right.

Suppression keeps the better of two boxes that overlap by more than a threshold; the best so many scores go on; a box is
pooled from the level that its size is rounded to. Each is a step function: a difference in the last bits of its inputs
can move a whole detection. Such a case is told from a defect by looking at the first choice that fell differently: if
it was made rightly on the inputs that it had, and these agree within rounding, then nothing before it is at fault.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from graspnext.deploy.model.values import Graph, Source, Values
from graspnext.types import UInt8Array

Array = npt.NDArray[Any]
CHOICES = frozenset(
    {"NonMaxSuppression", "TopK", "ArgMax", "ArgMin", "Floor", "Ceil", "Round"}
    | {"Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal"}
)
ROUNDING = 1e-3
"""Values agree whose elements differ by at most this share of their own and the typical size."""
FEW = 0.02
"""A choice made again on the same inputs may differ in this share of its outcome, for rounding inside the node."""


def first_tie(
    graph: Graph, reference: Source, suspect: Source, image: UInt8Array, *, num_threads: int
) -> tuple[onnx.NodeProto, float] | None:
    """The first choice that fell differently, if it is near a tie, and the largest difference of its inputs.

    Made rightly means: both sides decided as the graph's own nodes do on the inputs that each of them had.

    Args:
        graph: Whose values go by the same names on both sides.
        reference: May lack values; choices are then followed to the next value that it has.
        suspect: Has whatever is asked for, or is compared without it.
        image: (H, W, 3) uint8.
        num_threads: Of ONNX Runtime, which makes the choice again.
    """
    cones = [(name, *graph.cone(name, reference.names)) for name in graph.makers if name in reference.names]
    cones = [(name, nodes, given) for name, nodes, given in cones if any(node.op_type in CHOICES for node in nodes)]
    names = [name for one, _, given in cones for name in (one, *given) if name != graph.image]
    names = list(dict.fromkeys(names))
    ours, theirs = suspect.values(image, names), reference.values(image, names)
    for name, nodes, given in cones:
        if name not in ours or name not in theirs:
            continue
        node = graph.makers[name]
        if not difference(node, name, (ours, ours[name]), (theirs, theirs[name]), ordered=True):
            continue
        inputs = [one for one in given if one in ours and one in theirs]
        error = max((_apart(ours[one], theirs[one]) for one in inputs), default=float("inf"))
        rightly = all(_made_rightly(graph, name, side, theirs, inputs, num_threads) for side in (ours, theirs))
        chooser = next(one for one in nodes if one.op_type in CHOICES)
        return (chooser, error) if rightly and error <= ROUNDING else None
    return None


def _made_rightly(graph: Graph, name: str, side: Values, typed: Values, inputs: list[str], num_threads: int) -> bool:
    """Whether the graph's own nodes make of one side's inputs what that side made of them."""
    given = {one: side[one].astype(typed[one].dtype) for one in inputs}
    again = graph.alone([name], given, num_threads)
    return difference(graph.makers[name], name, (side, side[name]), (side, again[name]), ordered=False) <= FEW


def difference(
    node: onnx.NodeProto,
    name: str,
    ours: tuple[Values, Array],
    theirs: tuple[Values, Array],
    *,
    ordered: bool,
) -> float:
    """Share in which two outcomes of a choice differ.

    Args:
        node: That made the value, itself a choice or behind one.
        name: Of the value.
        ours: Values by name, for the node's input, and the outcome.
        theirs: The same on the other side.
        ordered: Whether another order of the same things counts. Equals of score 0 at the end of `TopK` never do: they
            stand for nothing.
    """
    a, b = ours[1], theirs[1]
    if node.op_type == "NonMaxSuppression":
        kept, other = _rows(a), _rows(b)
        apart = len(set(kept) ^ set(other)) / max(1, len(set(kept) | set(other)))
        return apart or float(ordered and kept != other)
    if a.shape != b.shape:
        return 1.0
    if node.op_type == "TopK" and name == node.output[1]:
        pool = node.input[0]
        if pool not in ours[0] or pool not in theirs[0]:
            return 0.0
        first, second = np.take_along_axis(ours[0][pool], a, -1), np.take_along_axis(theirs[0][pool], b, -1)
        if ordered:
            return float(np.mean((a != b) & ((first > 0) | (second > 0))))
        return share(first, second)
    return share(a, b)


def share(ours: Array, theirs: Array) -> float:
    """Share of the elements that differ, by more than rounding where they are no whole numbers."""
    if not ours.size:
        return 0.0
    if ours.dtype.kind != "f":
        return float(np.mean(ours != theirs))
    scale = max(float(np.abs(theirs).max()), 1e-12)
    return float(np.mean(~(np.abs(ours.astype(np.float64) - theirs) <= ROUNDING * scale)))


def _rows(selected: Array) -> list[tuple[int, ...]]:
    """What a suppression kept; some runtimes fill the end with -1."""
    return [tuple(row) for row in selected.astype(np.int64).tolist() if min(row) >= 0]


def _apart(ours: Array, theirs: Array) -> float:
    """The largest difference beside the size of the element and the typical size; infinite for another shape."""
    if ours.shape != theirs.shape:
        return float("inf")
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    if not a.size:
        return 0.0
    typical = np.sqrt(np.square(b).mean())
    gap = (np.abs(a - b) / np.maximum(np.abs(b) + typical, 1e-12)).max()
    return float(np.nan_to_num(gap, nan=np.inf))
