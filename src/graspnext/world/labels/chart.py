"""Six maps of a part's surface, one along each axis of its frame, like the drawings of six sides.

A place on the surface belongs to the map that its normal points at most. The maps' nodes form regular grids of one
step, numbered through all six, so that whatever is worked out for a node (what lies there, its seal) is worked out
once, whichever placement, view or cup asks first.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from graspnext.types import Float32Array, Float64Array, Int32Array, Int64Array
from graspnext.world.labels.surface import PartSurface, part_surface
from graspnext.world.scene import Part

SIDES = 6
"""Side 2 k looks at the part along its axis k from the positive end, side 2 k + 1 from the negative one."""
STEP_M = 1e-3
"""Distance of neighbouring nodes."""
COARSEST = 4
"""Nodes along one side of the largest cells that scores are interpolated over: 4 mm."""
_MOST_STEPS = 512
"""Along a part's longest side: above 0.5 m the step grows with the part."""
_STEEPEST = 0.35
"""Cosine of the angle to its side's axis at which a surface is too steep for it; the next side's begins at 0.577."""
_OFF_PLANE_STEPS = 1.5
"""A node this many steps off the plane through a point belongs to another surface."""
_UNTRACED, _NOTHING = -2, -1


class PartChart:
    """The maps of one part, in its frame. Answers are worked out when asked for, and kept."""

    def __init__(self, surface: PartSurface) -> None:
        self.surface = surface
        used = surface.part.mesh.vertices[np.unique(surface.part.mesh.faces)].astype(np.float64)
        self._low, self._high = used.min(axis=0), used.max(axis=0)
        size = self._high - self._low
        self.step_m = max(STEP_M, float(size.max()) / _MOST_STEPS)
        nodes = np.ceil(size / (self.step_m * COARSEST) + 1e-9).astype(np.int64) * COARSEST + 1  # (3,) along each axis
        self._first = (self._low + self._high) / 2 - (nodes - 1) / 2 * self.step_m  # (3,) coordinates of node 0
        axis = np.arange(SIDES) // 2
        self._axes: Int64Array = np.stack([axis, (axis + 1) % 3, (axis + 2) % 3], axis=1)  # (6, 3) up, row, column
        self._sign: Float64Array = np.where(np.arange(SIDES) % 2, -1.0, 1.0)
        self.rows: Int64Array = nodes[self._axes[:, 1]]
        self.columns: Int64Array = nodes[self._axes[:, 2]]
        """(6,) nodes of each side; row i, column j of side d is node `starts[d] + i * columns[d] + j`."""
        self.starts: Int64Array = np.concatenate([[0], np.cumsum(self.rows * self.columns)])
        """(7,) first node of each side, and their number."""
        self._face: Int32Array = np.full(self.starts[-1], _UNTRACED, dtype=np.int32)
        self._height: Float32Array = np.full(self.starts[-1], np.nan, dtype=np.float32)

    def axis_directions(self) -> Float64Array:
        """(6, 3) unit vectors from the part towards each side."""
        directions = np.zeros((SIDES, 3))
        directions[np.arange(SIDES), self._axes[:, 0]] = self._sign
        return directions

    def sides(self, normals: Float64Array) -> Int64Array:
        """The side (N,) that each normal (N, 3) points at most."""
        axis = np.abs(normals).argmax(axis=1)
        return np.asarray(axis * 2 + (normals[np.arange(len(normals)), axis] < 0), dtype=np.int64)

    def trace(self, nodes: Int64Array) -> tuple[Int32Array, Float32Array]:
        """What a side sees at its nodes (N,).

        Returns:
            face (N,) of the part's mesh, -1 where there is none or one too steep, and height (N,) in metres: the
            coordinate along the side's axis, NaN where there is no face.
        """
        new = np.unique(nodes[self._face[nodes] == _UNTRACED])
        if new.size:
            side = self.side_of(new)
            origins = self._places(new, side)
            rows = np.arange(len(new))
            up = self._axes[side, 0]
            outside = np.where(self._sign[side] > 0, self._high[up], self._low[up]) + self._sign[side] * 0.01
            origins[rows, up] = outside
            directions = np.zeros_like(origins)
            directions[rows, up] = -self._sign[side]
            hits = self.surface.tracer.hits(origins, directions)
            facing = self.surface.face_normals[hits.face][rows, up] * self._sign[side]
            seen = (hits.face >= 0) & (facing > _STEEPEST)
            self._face[new] = np.where(seen, hits.face, _NOTHING)
            height = self._sign[side] * outside - hits.distance
            self._height[new] = np.where(seen, height, np.nan)
        return self._face[nodes], self._height[nodes]

    def points(self, nodes: Int64Array) -> Float64Array:
        """Where the surface is at nodes (N,) that have a face: (N, 3) part frame, metres."""
        _, height = self.trace(nodes)
        side = self.side_of(nodes)
        places = self._places(nodes, side)
        places[np.arange(len(nodes)), self._axes[side, 0]] = self._sign[side] * height
        return places

    def side_of(self, nodes: Int64Array) -> Int64Array:
        """The side (N,) of each node."""
        return np.asarray(np.searchsorted(self.starts, nodes, side="right") - 1, dtype=np.int64)

    def _places(self, nodes: Int64Array, side: Int64Array) -> Float64Array:
        row, column = np.divmod(nodes - self.starts[side], self.columns[side])
        places = np.empty((len(nodes), 3))
        rows = np.arange(len(nodes))
        for index, axis in ((row, self._axes[side, 1]), (column, self._axes[side, 2])):
            places[rows, axis] = self._first[axis] + index * self.step_m
        return places

    def interpolate(
        self, values: Float32Array, heights: Float32Array, points: Float64Array, normals: Float64Array
    ) -> Float32Array:
        """Bilinear between the four nodes around each point, of those nodes that lie on the point's own plane.

        Where some of the nodes are 0 and others not, the value breaks off half-way, as seals and collisions do.

        Args:
            values: (nodes,) what to interpolate.
            heights: (nodes,) of the surface; may be anything where `values` is 0.
            points: (N, 3) on the surface, part frame.
            normals: (N, 3) unit, part frame.

        Returns:
            (N,), 0 where no node is on the plane.
        """
        result = np.zeros(len(points), dtype=np.float32)
        sides = self.sides(normals)
        for side in range(SIDES):
            index = np.flatnonzero(sides == side)
            if index.size and values[self.starts[side] : self.starts[side + 1]].any():
                result[index] = self._on_side(side, values, heights, points[index], normals[index])
        return result

    def _on_side(
        self, side: int, values: Float32Array, heights: Float32Array, points: Float64Array, normals: Float64Array
    ) -> Float32Array:
        up, across, along = self._axes[side]
        width = self.columns[side]
        y = ((points[:, across] - self._first[across]) / self.step_m).astype(np.float32)
        x = ((points[:, along] - self._first[along]) / self.step_m).astype(np.float32)
        row = np.clip(y.astype(np.int64), 0, self.rows[side] - 2)
        column = np.clip(x.astype(np.int64), 0, width - 2)
        corner = self.starts[side] + row * width + column
        result = np.zeros(len(points), dtype=np.float32)
        # Where a score is 0, all four nodes are 0 most of the time.
        index = np.flatnonzero(
            (values[corner] + values[corner + 1] + values[corner + width] + values[corner + width + 1]) > 0
        )
        nodes = corner[index, None] + np.array([0, 1, width, width + 1])  # (M, 4)
        found = values[nodes]
        fy, fx = (y - row.astype(np.float32))[index, None], (x - column.astype(np.float32))[index, None]
        down, right = np.array([0, 0, 1, 1], np.float32), np.array([0, 1, 0, 1], np.float32)
        weight = np.abs(1 - down - fy) * np.abs(1 - right - fx)  # (M, 4)
        # Height of the plane at each node, along the side's axis.
        facing = normals[index].astype(np.float32)
        steep = facing[:, [up]] * np.float32(self._sign[side] / self.step_m)
        rise = (facing[:, [across]] * (down - fy) + facing[:, [along]] * (right - fx)) / steep
        plane = (self._sign[side] * points[index, up]).astype(np.float32)[:, None] - rise
        on = np.abs(heights[nodes] - plane) < _OFF_PLANE_STEPS * self.step_m  # false for NaN
        weight = np.where(on, weight, 0)
        total, weight = weight.sum(axis=1), np.where(found > 0, weight, 0)
        good = weight.sum(axis=1)
        mean = (weight * found).sum(axis=1) / np.where(good > 0, good, 1)
        result[index] = np.where(good >= 0.5 * total, mean, 0)
        return result


@lru_cache(maxsize=32)
def part_chart(part: Part) -> PartChart:
    """The chart of a part, kept for the next scene that holds the same `Part` object."""
    return PartChart(part_surface(part))
