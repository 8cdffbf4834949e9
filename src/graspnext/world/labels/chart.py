"""Maps of a part's surface, along each axis of its frame from both ends, like the drawings of six sides.

A place on the surface belongs to the side that its normal points at most. Each side has two maps: what is seen first,
and what is seen behind that, as the far leg of a U is behind the near one. The maps' nodes form regular grids of one
step, numbered through all maps, so that whatever is worked out for a node (what lies there, its seal) is worked out
once, whichever placement, view or cup asks first.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from graspnext.types import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array
from graspnext.world.labels.surface import PartSurface, part_surface
from graspnext.world.scene import Part

_ENDS = 6
MAPS = 2 * _ENDS
"""Map 2 k looks at the part along its axis k from the positive end, map 2 k + 1 from the negative one; maps 6 to 11
show what lies behind what maps 0 to 5 show."""
_PAST_M = 1e-5
"""A ray goes on this far behind what it has met."""
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
        axis = np.arange(MAPS) % _ENDS // 2
        self._axes: Int64Array = np.stack([axis, (axis + 1) % 3, (axis + 2) % 3], axis=1)  # (12, 3) up, row, column
        self._sign: Float64Array = np.where(np.arange(MAPS) % 2, -1.0, 1.0)
        self.rows: Int64Array = nodes[self._axes[:, 1]]
        self.columns: Int64Array = nodes[self._axes[:, 2]]
        """(12,) nodes of each map; row i, column j of map d is node `starts[d] + i * columns[d] + j`."""
        self.starts: Int64Array = np.concatenate([[0], np.cumsum(self.rows * self.columns)])
        """(13,) first node of each map, and their number."""
        self._face: Int32Array = np.full(self.starts[-1], _UNTRACED, dtype=np.int32)
        self._height: Float32Array = np.full(self.starts[-1], np.nan, dtype=np.float32)

    def axis_directions(self) -> Float64Array:
        """(12, 3) unit vectors from the part towards the eye of each map."""
        directions = np.zeros((MAPS, 3))
        directions[np.arange(MAPS), self._axes[:, 0]] = self._sign
        return directions

    def sides(self, normals: Float64Array) -> Int64Array:
        """The side (N,), 0 to 5, that each normal (N, 3) points at most."""
        axis = np.abs(normals).argmax(axis=1)
        return np.asarray(axis * 2 + (normals[np.arange(len(normals)), axis] < 0), dtype=np.int64)

    def trace(self, nodes: Int64Array) -> tuple[Int32Array, Float32Array]:
        """What the maps show at their nodes (N,).

        Returns:
            face (N,) of the part's mesh, -1 where there is none or one too steep, and height (N,) in metres: the
            coordinate along the map's axis, NaN where there is no face.
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
            face, distance = self._first_hits(origins, directions, side >= _ENDS)
            facing = self.surface.face_normals[face][rows, up] * self._sign[side]
            seen = (face >= 0) & (facing > _STEEPEST)
            self._face[new] = np.where(seen, face, _NOTHING)
            self._height[new] = np.where(seen, self._sign[side] * outside - distance, np.nan)
        return self._face[nodes], self._height[nodes]

    def _first_hits(
        self, origins: Float64Array, directions: Float64Array, behind: BoolArray
    ) -> tuple[Int32Array, Float64Array]:
        """What rays (N,) along an axis meet first, or where `behind` (N,), what faces them next after that."""
        hits = self.surface.tracer.hits(origins, directions)
        face, distance = hits.face.copy(), hits.distance.astype(np.float64)
        going = np.flatnonzero(behind & (face >= 0))
        face[behind & (face < 0)] = _NOTHING
        for _ in range(3):  # out of what was met, and into the next; once more for a touching face
            starts = origins[going] + directions[going] * (distance[going] + _PAST_M)[:, None]
            hits = self.surface.tracer.hits(starts, directions[going])
            face[going] = hits.face
            distance[going] += _PAST_M + hits.distance
            across = np.einsum("nd,nd->n", self.surface.face_normals[hits.face], directions[going])
            going = going[(hits.face >= 0) & (across >= 0)]
        face[going] = _NOTHING
        return face, distance

    def points(self, nodes: Int64Array) -> Float64Array:
        """Where the surface is at nodes (N,) that have a face: (N, 3) part frame, metres."""
        _, height = self.trace(nodes)
        side = self.side_of(nodes)
        places = self._places(nodes, side)
        places[np.arange(len(nodes)), self._axes[side, 0]] = self._sign[side] * height
        return places

    def side_of(self, nodes: Int64Array) -> Int64Array:
        """The map (N,) of each node."""
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
        for number in range(MAPS):
            index = np.flatnonzero(sides == number % _ENDS)
            if index.size and values[self.starts[number] : self.starts[number + 1]].any():
                found = self._on_map(number, values, heights, points[index], normals[index])
                result[index] = np.maximum(result[index], found)  # a point lies on one map's surface, if on any
        return result

    def _on_map(
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
