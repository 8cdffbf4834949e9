"""Where the centre of mass appears in a view."""

from __future__ import annotations

import numpy as np

from graspnext.geometry import cameras, rotations
from graspnext.types import Camera, Float32Array, Float64Array
from graspnext.world.scene import Part


def project_center_of_mass(part: Part, T_camera_part: Float64Array, camera: Camera) -> Float32Array:
    """The true 3-D centre of mass as (u px, v px, z m), (3,) float32; it may lie outside the image or the part.

    The pixels are NaN where the centre lies behind the camera.
    """
    point = rotations.transform(T_camera_part, part.center_of_mass[None])
    return np.asarray(cameras.project(camera, point)[0], dtype=np.float32)
