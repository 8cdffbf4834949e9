"""Works out a function on regular grids where it changes, and interpolates it where it does not.

The quadtree refinement of adaptive ray tracing (Whitted, "An Improved Illumination Model for Shaded Display", CACM
1980), on all grids at once, and closed under contradiction: an edge that one of its two cells shows to be uneven
splits the other cell too, so that a narrow feature is followed to its ends wherever it was met.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from graspnext.types import BoolArray, Float32Array, Int64Array


@dataclass(frozen=True, eq=False)
class Grids:
    """Grids whose nodes are numbered through, row by row; rows and columns are multiples of `coarsest` plus 1."""

    starts: Int64Array
    """(G,) number of each grid's first node."""
    rows: Int64Array
    columns: Int64Array
    nodes: int
    """Of all grids together; numbers between the grids may be unused."""
    coarsest: int
    """Steps along the largest cells; a power of 2."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Square cells of one size."""

    corner: Int64Array
    """(M,) the node with the lowest row and column."""
    columns: Int64Array
    """(M,) of the cell's grid."""

    def where(self, mask: BoolArray) -> Cells:
        """Those of them where `mask` (M,) is true."""
        return Cells(self.corner[mask], self.columns[mask])

    def nodes(self, rows: Int64Array, columns: Int64Array) -> Int64Array:
        """(M, K) the nodes at K offsets from the corner."""
        return self.corner[:, None] + rows * self.columns[:, None] + columns

    def __len__(self) -> int:
        return len(self.corner)


def refine(
    grids: Grids, evaluate: Callable[[Int64Array], Float32Array], tolerance: float
) -> tuple[Float32Array, dict[int, Cells]]:
    """Values at nodes until every cell is even, or as small as one step.

    A cell is even if none or all of its corners are 0, and they differ by no more than `tolerance`, or as many times
    that as it is smaller than the largest cells: what changes over a few steps is followed more closely than what
    changes over one.

    Args:
        grids: Where.
        evaluate: Values (N,) in [0, 1] at nodes (N,); never asked twice for one node.
        tolerance: Largest difference that is interpolated over one of the largest cells.

    Returns:
        values (nodes,), NaN where nothing was evaluated, and the even cells by their size in steps.
    """
    values = np.full(grids.nodes, np.nan, dtype=np.float32)
    todo = {grids.coarsest: _coarse(grids)}
    even: dict[int, Cells] = {}
    while todo:
        size = max(todo)
        cells = todo.pop(size)
        ends = np.array([0, size])
        corners = cells.nodes(np.repeat(ends, 2), np.tile(ends, 2))
        new = np.unique(corners[np.isnan(values[corners])])
        values[new] = evaluate(new)
        split = (
            np.zeros(len(cells), dtype=np.bool_)
            if size == 1
            else _uneven(values[corners], tolerance * grids.coarsest / size)
        )
        even[size] = _joined([*([even[size]] if size in even else []), cells.where(~split)])
        if split.any():
            _add(todo, size // 2, _children(cells.where(split), size // 2))
        if not todo:
            for large in [key for key in even if key > 1]:
                against = _contradicted(even[large], large, values, tolerance * grids.coarsest / large)
                if against.any():
                    _add(todo, large // 2, _children(even[large].where(against), large // 2))
                    even[large] = even[large].where(~against)
    return values, even


def fill(values: Float32Array, cells: Cells, size: int, targets: tuple[Float32Array, ...]) -> None:
    """Interpolate between the corners of even cells, in place; cells whose corners are 0 in `values` are left.

    Args:
        values: (nodes,) the values that `refine` found.
        cells: Even cells of one size.
        size: Their size in steps, more than 1.
        targets: Arrays (nodes,) to fill where they are NaN inside the cells.
    """
    cells = cells.where(values[cells.corner] > 0)
    if not len(cells):
        return
    row, column = (index.ravel() for index in np.mgrid[: size + 1, : size + 1])
    nodes = cells.nodes(row, column)  # (M, K)
    ends = np.array([0, size])
    corners = cells.nodes(np.repeat(ends, 2), np.tile(ends, 2))
    y, x = row / size, column / size
    weights = np.stack([(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x]).astype(np.float32)  # (4, K)
    for target in targets:
        inner = target[corners] @ weights  # (M, K)
        empty = np.isnan(target[nodes])
        target[nodes[empty]] = inner[empty]


def _coarse(grids: Grids) -> Cells:
    corner, columns = [], []
    for start, rows, width in zip(grids.starts, grids.rows, grids.columns, strict=True):
        i, j = np.mgrid[0 : rows - 1 : grids.coarsest, 0 : width - 1 : grids.coarsest]
        corner.append((start + i * width + j).ravel())
        columns.append(np.full(i.size, width))
    empty = np.zeros(0, dtype=np.int64)
    return Cells(np.concatenate([empty, *corner]), np.concatenate([empty, *columns]))


def _children(cells: Cells, size: int) -> Cells:
    ends = np.array([0, size])
    return Cells(cells.nodes(np.repeat(ends, 2), np.tile(ends, 2)).ravel(), np.repeat(cells.columns, 4))


def _uneven(corners: Float32Array, tolerance: float) -> BoolArray:
    low, high = corners.min(axis=1), corners.max(axis=1)
    return np.asarray((high - low > tolerance) | ((low == 0) & (high > 0)), dtype=np.bool_)


def _contradicted(cells: Cells, size: int, values: Float32Array, tolerance: float) -> BoolArray:
    """Cells on whose edges a neighbour has found a value that does not lie between their corners'."""
    inner = np.arange(1, size)
    none, far = np.zeros_like(inner), np.full_like(inner, size)
    rows = np.concatenate([none, far, inner, inner])
    columns = np.concatenate([inner, inner, none, far])
    edge = values[cells.nodes(rows, columns)]  # (M, 4 (size - 1))
    ends = np.array([0, size])
    corners = values[cells.nodes(np.repeat(ends, 2), np.tile(ends, 2))]
    low, high = corners.min(axis=1, keepdims=True), corners.max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # NaN: nothing was found there, which contradicts nothing
        off = (edge < low - tolerance) | (edge > high + tolerance) | ((edge == 0) != (high == 0)) & ~np.isnan(edge)
    return np.asarray(off.any(axis=1), dtype=np.bool_)


def _add(todo: dict[int, Cells], size: int, cells: Cells) -> None:
    todo[size] = _joined([todo[size], cells]) if size in todo else cells


def _joined(parts: list[Cells]) -> Cells:
    return Cells(np.concatenate([one.corner for one in parts]), np.concatenate([one.columns for one in parts]))
