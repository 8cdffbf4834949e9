"""The dense suction map: seal x wrench at samples of each part, 0 on collision, carried to the pixels that see them.

What depends on the part alone (samples, seal) is computed once a part, what depends on where it lies (wrench,
collision) once a placement; a view only looks scores up.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from graspnext.geometry import rotations
from graspnext.types import Float32Array, Float64Array
from graspnext.world.cup import CupConfig
from graspnext.world.labels.collision import SceneSolid, tool_is_free
from graspnext.world.labels.seal import seal_scores
from graspnext.world.labels.surface import PartSurface, part_surface
from graspnext.world.labels.wrench import wrench_scores
from graspnext.world.scene import Part, Scene

_NEIGHBOURS = 3
_NORMAL_SPACINGS = 6.0
"""Normals one unit apart count as far as this many sample spacings: the other side of a sheet never answers."""
_FARTHEST_SPACINGS = 6.0
"""A pixel farther than this from every sample, normals included, has no score: a face too small to be sampled."""


class PartSamples:
    """Samples of one part with the seal at each, and the search for those near a point."""

    def __init__(self, surface: PartSurface, cup: CupConfig) -> None:
        from scipy.spatial import cKDTree

        self.points, face = surface.samples()  # (S, 3), (S,)
        self.normals: Float64Array = surface.face_normals[face]  # (S, 3)
        self.seal: Float64Array = seal_scores(surface, self.points, self.normals, cup)  # (S,)
        self._spacing = surface.spacing()
        self._tree = cKDTree(self._key(self.points, self.normals))

    def interpolate(self, scores: Float64Array, points: Float64Array, normals: Float64Array) -> Float64Array:
        """Scores (N,) at surface points from the scores (S,) of the samples: inverse distance, 3 neighbours.

        Args:
            scores: (S,) of the samples.
            points: (N, 3) part frame, metres.
            normals: (N, 3) unit, part frame.
        """
        neighbours = min(_NEIGHBOURS, len(scores))
        distance, index = self._tree.query(
            self._key(points, normals), k=neighbours, distance_upper_bound=_FARTHEST_SPACINGS * self._spacing
        )
        shape = (len(points), neighbours)
        distance, index = np.reshape(distance, shape), np.reshape(index, shape)
        weight = np.where(np.isfinite(distance), 1 / np.maximum(distance, 1e-6), 0)
        padded = np.append(scores, 0.0)  # the search answers S where nothing is near
        total = weight.sum(axis=1)
        return np.asarray((weight * padded[index]).sum(axis=1) / np.where(total > 0, total, 1), dtype=np.float64)

    def _key(self, points: Float64Array, normals: Float64Array) -> Float64Array:
        return np.concatenate([points, normals * (_NORMAL_SPACINGS * self._spacing)], axis=1)  # (N, 6)


@lru_cache(maxsize=32)
def part_samples(part: Part, cup: CupConfig) -> PartSamples:
    """The samples of a part, kept for the next scene that holds the same `Part` object."""
    return PartSamples(part_surface(part), cup)


class SuctionScorer:
    """Suction scores of every placement of one scene, the same for all its views."""

    def __init__(self, scene: Scene, cup: CupConfig) -> None:
        """Compute the scores at the samples of all placements."""
        self._samples = [part_samples(scene.parts[placement.part], cup) for placement in scene.placements]
        solid = SceneSolid(scene)
        self._scores = [
            _placement_scores(scene, index, samples, solid, cup) for index, samples in enumerate(self._samples)
        ]

    def at(self, placement: int, points: Float64Array, normals: Float64Array) -> Float32Array:
        """Scores (N,) in [0, 1] at points (N, 3) on a placement's surface with unit normals (N, 3), part frame."""
        scores = self._scores[placement]
        if not scores.any():
            return np.zeros(len(points), dtype=np.float32)
        return np.clip(self._samples[placement].interpolate(scores, points, normals), 0, 1).astype(np.float32)


def _placement_scores(
    scene: Scene, placement: int, samples: PartSamples, solid: SceneSolid, cup: CupConfig
) -> Float64Array:
    """Scores (S,) of one placement's samples: 0 outside the approach cone, without seal, or where the tool collides."""
    T = scene.placements[placement].T_world_part
    part = scene.parts[scene.placements[placement].part]
    points = rotations.transform(T, samples.points)
    normals = samples.normals @ T[:3, :3].T
    scores = np.zeros(len(points))
    # The approach is -normal; its angle to straight down is the normal's angle to straight up.
    index = np.flatnonzero((samples.seal > 0) & (normals[:, 2] >= np.cos(cup.approach_cone_rad)))
    wrench = wrench_scores(part, T, points[index], normals[index], cup)
    index, wrench = index[wrench > 0], wrench[wrench > 0]
    free = tool_is_free(solid, placement, points[index], normals[index], cup)
    scores[index] = samples.seal[index] * wrench * free
    return scores
