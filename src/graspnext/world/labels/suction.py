"""The dense suction map: seal x wrench, 0 on collision and outside the approach cone, at what each pixel sees.

Seal and collision need many rays a point. They are worked out at the nodes of the parts' charts, closely where they
change and sparsely where they do not: the seal once a part and cup, the collision once a placement and cup. A view
only looks up what lies around the surface point of each pixel. Wrench and cone are closed forms, exact at each pixel.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np

from graspnext.geometry import rotations
from graspnext.types import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array
from graspnext.world.cup import CupConfig
from graspnext.world.labels.chart import COARSEST, MAPS, PartChart, part_chart
from graspnext.world.labels.collision import SceneSolid, tool_is_free
from graspnext.world.labels.refine import Grids, fill, refine
from graspnext.world.labels.seal import seal_scores
from graspnext.world.labels.wrench import can_be_lifted, wrench_scores
from graspnext.world.scene import Part, Scene

_TOLERANCE = 0.04
"""Largest change of the score over a cell that is interpolated."""
_BEYOND_CONE_RAD = 0.3
"""Nodes on facets this much outside the cone are worked out too: pixels inside it lie on them and between them."""


class PartSeal:
    """The seal of one cup at the nodes of a part's chart: worked out when asked for, and kept."""

    def __init__(self, chart: PartChart, cup: CupConfig) -> None:
        self._chart, self._cup = chart, cup
        self._known: Float32Array = np.full(chart.starts[-1], np.nan, dtype=np.float32)

    def known(self, nodes: Int64Array) -> Float32Array:
        """The seal (N,) at nodes (N,) where it is known by now, NaN elsewhere."""
        return self._known[nodes]

    def at(self, nodes: Int64Array) -> Float32Array:
        """The seal (N,) in [0, 1] at nodes (N,) that have a face."""
        new = np.unique(nodes[np.isnan(self._known[nodes])])
        if new.size:
            face, _ = self._chart.trace(new)
            points, surface = self._chart.points(new), self._chart.surface
            self._known[new] = seal_scores(surface, points, surface.normals_at(points, face), self._cup, face)
        return self._known[nodes]


@lru_cache(maxsize=64)
def part_seal(part: Part, cup: CupConfig) -> PartSeal:
    """The seal of a part, kept for the next scene that holds the same `Part` object."""
    return PartSeal(part_chart(part), cup)


class SuctionScorer:
    """Suction scores of every placement of one scene for one cup, the same for all its views."""

    def __init__(self, scene: Scene, cup: CupConfig, solid: SceneSolid) -> None:
        """Work out seal and collision.

        Args:
            scene: The settled scene.
            cup: The cup.
            solid: `SceneSolid(scene)`, which several cups share.
        """
        self._scene, self._cup, self._solid = scene, cup, solid
        self._steepest = np.cos(min(np.pi / 2, cup.approach_cone_rad + _BEYOND_CONE_RAD))
        parts = [scene.parts[placement.part] for placement in scene.placements]
        self._charts = [part_chart(part) for part in parts]
        self._seals = [part_seal(part, cup) for part in parts]
        self._turns: Float64Array = np.array([placement.T_world_part[:3, :3] for placement in scene.placements])
        self._ends: Int64Array = np.cumsum([0, *(chart.starts[-1] for chart in self._charts)])
        grids = self._grids([can_be_lifted(part, cup) for part in parts])
        self._height: Float32Array = np.full(grids.nodes, np.nan, dtype=np.float32)
        self._values, even = refine(grids, self._evaluate, _TOLERANCE)
        found = self._values.copy()
        for size in sorted(even):
            if size > 1:
                fill(found, even[size], size, (self._values, self._height))
        np.nan_to_num(self._values, copy=False, nan=0.0)
        self._pickable = [bool(self._values[a:b].any()) for a, b in pairwise(self._ends)]

    def open_faces(self, placement: int) -> BoolArray:
        """Which faces (F,) of a placement's part can have a score at all; none if nothing of it can be picked."""
        chart = self._charts[placement]
        if not self._pickable[placement]:
            return np.zeros(len(chart.surface.face_normals), dtype=np.bool_)
        # A facet that is no more than a little outside the cone may still have points inside it.
        up = chart.surface.face_normals @ self._turns[placement][2]
        suckable = chart.surface.part.suckable
        return np.asarray(up >= self._steepest if suckable is None else (up >= self._steepest) & suckable, np.bool_)

    def at(self, placement: int, points: Float64Array, faces: Int32Array) -> Float32Array:
        """Scores (N,) in [0, 1] at points (N, 3) on faces (N,) of a placement's part, part frame."""
        scores = np.zeros(len(points), dtype=np.float32)
        chart, T = self._charts[placement], self._scene.placements[placement].T_world_part
        own = slice(self._ends[placement], self._ends[placement + 1])
        index = np.flatnonzero(self.open_faces(placement)[faces])
        facets = chart.surface.face_normals[faces[index]]
        found = chart.interpolate(self._values[own], self._height[own], points[index], facets)
        index, found = index[found > 0], found[found > 0]
        normals = chart.surface.normals_at(points[index], faces[index])
        inside = normals @ T[2, :3] >= np.cos(self._cup.approach_cone_rad)
        index, normals, found = index[inside], normals[inside], found[inside]
        world = rotations.transform(T, points[index])
        wrench = wrench_scores(chart.surface.part, T, world, normals @ T[:3, :3].T, self._cup)
        scores[index] = np.clip(found * wrench, 0, 1)
        return scores

    def _grids(self, liftable: list[bool]) -> Grids:
        """Those maps of the charts on which a pixel inside the cone can lie."""
        starts, rows, columns = [], [], []
        # A normal is at most 54.7 degrees off its side's axis.
        lowest = np.cos(min(np.pi, np.arccos(3**-0.5) + self._cup.approach_cone_rad))
        for index, chart in enumerate(self._charts):
            up = chart.axis_directions() @ self._turns[index][2]  # (12,) world z of each map's axis
            for side in range(MAPS):
                if liftable[index] and up[side] >= lowest:
                    starts.append(self._ends[index] + chart.starts[side])
                    rows.append(chart.rows[side])
                    columns.append(chart.columns[side])
        return Grids(
            starts=np.array(starts, dtype=np.int64),
            rows=np.array(rows, dtype=np.int64),
            columns=np.array(columns, dtype=np.int64),
            nodes=int(self._ends[-1]),
            coarsest=COARSEST,
        )

    def _evaluate(self, nodes: Int64Array) -> Float32Array:
        """Seal where the tool is free, 0 elsewhere, at nodes (N,) of any placements; in ascending order."""
        result = np.zeros(len(nodes), dtype=np.float32)
        owner = np.searchsorted(self._ends, nodes, side="right") - 1
        points, normals = np.zeros((len(nodes), 3)), np.zeros((len(nodes), 3))
        usable = np.zeros(len(nodes), dtype=np.bool_)
        groups = [(int(one), np.flatnonzero(owner == one)) for one in np.unique(owner)]
        for one, group in groups:
            chart, local, T = (
                self._charts[one],
                nodes[group] - self._ends[one],
                self._scene.placements[one].T_world_part,
            )
            face, height = chart.trace(local)
            self._height[nodes[group]] = height
            up = (chart.surface.face_normals @ T[2, :3])[face]
            keep = (face >= 0) & (up >= self._steepest) & (self._seals[one].known(local) != 0)
            index, places = group[keep], chart.points(local[keep])
            points[index] = rotations.transform(T, places)
            normals[index] = chart.surface.normals_at(places, face[keep]) @ T[:3, :3].T
            usable[index] = True
        index = np.flatnonzero(usable)
        usable[index] = tool_is_free(self._solid, owner[index], points[index], normals[index], self._cup)
        for one, group in groups:
            index = group[usable[group]]
            result[index] = self._seals[one].at(nodes[index] - self._ends[one])
        return result
