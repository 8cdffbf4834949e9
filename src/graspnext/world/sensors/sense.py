"""One labelled view as its scene's sensor hands it out."""

from __future__ import annotations

import numpy as np

from graspnext.types import Labels, UInt8Array, View
from graspnext.world.scene import Scene
from graspnext.world.sensors.depth import gloss_map, measure_depth
from graspnext.world.sensors.picture import CaptureRanges, take_picture


def sense(
    scene: Scene, view: int, image: UInt8Array, labels: Labels, ranges: CaptureRanges, *, rng: np.random.Generator
) -> View:
    """A view with the sensor's picture in place of the rendered one, and its depth beside the clean one.

    Args:
        scene: Says which sensor it is.
        view: Index into the scene's cameras.
        image: (H, W, 3) uint8 sRGB as rendered.
        labels: Of the same view; they stay as they are.
        ranges: How badly pictures are taken.
        rng: Of this view alone. Picture and depth draw from two children of it, so neither changes the other.
    """
    picture_rng, depth_rng = rng.spawn(2)
    sensor, camera = scene.sensor, scene.cameras[view]
    depth_m = None
    if sensor.measures_depth:
        gloss = gloss_map(scene, camera, labels)
        depth_m = measure_depth(labels.depth_m, image, camera, sensor.depth, gloss=gloss, rng=depth_rng)
    taken = take_picture(image, sensor, ranges, rng=picture_rng)
    return View(scene.id, view, taken, camera, labels, sensor=sensor.name, sensor_depth_m=depth_m)
