"""All labels of a view of a scene."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graspnext.data.format import OCCLUDED_FROM_RATE
from graspnext.geometry import boxes, cameras, rotations
from graspnext.geometry.layering import layers
from graspnext.types import BoolArray, Camera, Float32Array, Float64Array, Instance, Labels
from graspnext.world.cup import CupConfig
from graspnext.world.labels.center_of_mass import project_center_of_mass
from graspnext.world.labels.collision import SceneSolid, still_mesh
from graspnext.world.labels.occlusion import coverage
from graspnext.world.labels.rays import Tracer
from graspnext.world.labels.silhouettes import Composition, Silhouette, cast, compose, surroundings
from graspnext.world.labels.suction import SuctionScorer
from graspnext.world.labels.surface import part_surface
from graspnext.world.scene import Scene


class SceneLabeller:
    """Labels the views of one scene; what all views share is computed once, on construction."""

    def __init__(
        self, scene: Scene, cup: CupConfig, min_visible_px: int, more_cups: Mapping[str, CupConfig] | None = None
    ) -> None:
        """Build search trees and suction scores.

        Args:
            scene: The settled scene.
            cup: The cup that `Labels.suction` is for.
            min_visible_px: Instances with fewer visible pixels carry `ignore`.
            more_cups: The cups of `Labels.more_suction`, by name.
        """
        self._scene = scene
        self._min_visible_px = min_visible_px
        self._surfaces = [part_surface(scene.parts[placement.part]) for placement in scene.placements]
        self._still = Tracer(*still_mesh(scene))
        solid = SceneSolid(scene)
        self._suction = SuctionScorer(scene, cup, solid)
        self._more = {name: SuctionScorer(scene, more, solid) for name, more in (more_cups or {}).items()}

    def label(self, view: int) -> Labels:
        """All labels of view number `view`, an index into the scene's cameras.

        Parts without any amodal pixel inside the image are left out; parts that are hidden are not.
        """
        camera = self._scene.cameras[view]
        rays = cameras.rays(camera)
        T_camera_world = rotations.inverse(camera.T_world_camera)
        silhouettes = self._silhouettes(T_camera_world, camera, rays)
        seen = compose(silhouettes, surroundings(self._still, self._scene.floor, camera, rays))
        instances = tuple(
            self._instance(item, layer, seen, T_camera_world, camera)
            for item, layer in zip(silhouettes, layers(coverage(silhouettes)), strict=True)
        )
        depth = np.where(np.isfinite(seen.depth_m), seen.depth_m, 0).astype(np.float32)
        suction, *more = self._suction_maps(seen, silhouettes, T_camera_world, rays)
        return Labels(instances, seen.ids, depth, suction, dict(zip(self._more, more, strict=True)))

    def _silhouettes(self, T_camera_world: Float64Array, camera: Camera, rays: Float64Array) -> list[Silhouette]:
        """What is in the image, in the order of the placements."""
        found: list[Silhouette] = []
        for index, placement in enumerate(self._scene.placements):
            T_camera_part = T_camera_world @ placement.T_world_part
            item = cast(index, self._surfaces[index], T_camera_part, camera, rays)
            if item is not None:
                found.append(item)
        return found

    def _instance(
        self, item: Silhouette, layer: int, seen: Composition, T_camera_world: Float64Array, camera: Camera
    ) -> Instance:
        placement = self._scene.placements[item.placement]
        part = self._scene.parts[placement.part]
        T_camera_part = T_camera_world @ placement.T_world_part
        amodal = item.face >= 0  # (h, w), as visible: inside the silhouette's window
        visible = seen.ids[item.rows, item.columns] == item.placement + 1
        num_visible = int(visible.sum())
        rate = 1 - num_visible / int(amodal.sum())
        return Instance(
            id=item.placement + 1,
            part=part.name,
            family=part.family,
            amodal_box=_box(amodal, item),
            visible_box=_box(visible, item),
            amodal_mask=_whole(amodal, item, seen.ids.shape),
            visible_mask=_whole(visible, item, seen.ids.shape),
            occluded_rate=rate,
            occluded=rate >= OCCLUDED_FROM_RATE,
            center_of_mass=project_center_of_mass(part, T_camera_part, camera),
            layer=layer,
            T_camera_part=T_camera_part,
            ignore=num_visible < self._min_visible_px,
        )

    def _suction_maps(
        self, seen: Composition, silhouettes: list[Silhouette], T_camera_world: Float64Array, rays: Float64Array
    ) -> list[Float32Array]:
        """(H, W) in [0, 1] for each cup: each pixel of a part carries the score of the surface point it sees."""
        scorers = (self._suction, *self._more.values())
        maps = [np.zeros(seen.ids.shape, dtype=np.float32) for _ in scorers]
        for item in silhouettes:
            window = (item.rows, item.columns)
            usable = np.logical_or.reduce([scorer.open_faces(item.placement) for scorer in scorers])  # (F,)
            mask = seen.ids[window] == item.placement + 1
            mask[mask] = usable[seen.face[window][mask]]
            placement = self._scene.placements[item.placement]
            points_camera = rays[window][mask] * seen.depth_m[window][mask][:, None].astype(np.float64)
            T_part_camera = rotations.inverse(T_camera_world @ placement.T_world_part)
            points = rotations.transform(T_part_camera, points_camera)
            faces = seen.face[window][mask]
            for scores, scorer in zip(maps, scorers, strict=True):
                scores[window][mask] = scorer.at(item.placement, points, faces)
        return maps


def _box(mask: BoolArray, item: Silhouette) -> Float32Array:
    """The tight box (4,) in the image of a mask (h, w) over the silhouette's window; zeros for an empty mask."""
    box = boxes.from_mask(mask)
    if not box.any():
        return box
    left, top = item.columns.start, item.rows.start
    return box + np.array([left, top, left, top], dtype=np.float32)


def _whole(mask: BoolArray, item: Silhouette, shape: tuple[int, ...]) -> BoolArray:
    """A mask (h, w) over the silhouette's window, laid into an image of (H, W)."""
    image: BoolArray = np.zeros(shape, dtype=np.bool_)
    image[item.rows, item.columns] = mask
    return image
