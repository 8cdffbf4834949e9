"""Depth as a triangulating sensor measures it: noise, holes, frayed edges and shadows of the second eye.

Sources: disparity noise and its growth with z^2 / (f b), Khoshelham and Elberink, "Accuracy and Resolution of Kinect
Depth Data", 2012; growth with the angle of the surface, Nguyen, Izadi and Lovell, "Modeling Kinect Sensor Noise for
Improved 3D Reconstruction and Tracking", 2012; displaced sampling, then noise and rounding of the disparity, Handa,
Whelan, McDonald and Davison, "A Benchmark for RGB-D Visual Odometry, 3D Reconstruction and SLAM", 2014.
"""

from __future__ import annotations

import math

import numpy as np

from graspnext.types import BoolArray, Camera, Float32Array, Int32Array, Labels, UInt8Array
from graspnext.world.scene import Material, Scene
from graspnext.world.sensors.fields import mixed, smooth_noise
from graspnext.world.sensors.models import DepthNoise

_MAX_ANGLE_RAD = math.radians(85)
"""Beyond it the noise grows no more: the formula has a pole at 90 degrees, where nothing is seen."""
_GLARE_RAD = 0.15
"""Width of the mirror reflection of a glossy surface that faces the camera."""
_SATURATED = 250
"""Grey level from which a picture counts as saturated."""
_DIMMEST_WHITE = 0.1
"""Linear brightness that a picture's bright surfaces have at least, or it holds dark ones alone."""
_NEVER_LOST = 0.05
"""Chance of a hole up to which a surface is good enough to have none."""
_ON_FLOOR_M = 0.003
_FILM_GLOSS = 0.5
"""Gloss of a transparent film, whatever is under it."""


def measure_depth(
    depth_m: Float32Array,
    image: UInt8Array,
    camera: Camera,
    noise: DepthNoise,
    *,
    gloss: Float32Array,
    rng: np.random.Generator,
) -> Float32Array:
    """What a sensor would measure where the true depth is known, in the picture camera's own pixels.

    Args:
        depth_m: (H, W) float32 true z in metres, 0 = missing.
        image: (H, W, 3) uint8 sRGB as rendered: dark and saturated places are lost.
        camera: Camera of both; the second eye lies along its x axis.
        noise: The sensor. Its lengths in imager pixels are scaled to the picture's.
        gloss: (H, W) float32 in [0, 1]: 0 matt, 1 mirror or glass.
        rng: Source of randomness. How much is drawn depends on the sizes alone.

    Returns:
        (H, W) float32 z in metres, 0 = missing.
    """
    shape = (camera.height, camera.width)
    scale = camera.fx / noise.focal_px  # picture px per imager px
    with np.errstate(divide="ignore"):
        disparity = np.where(depth_m > 0, np.float32(noise.focal_px * noise.baseline_m) / depth_m, np.float32(0))
    angle = surface_angles(depth_m, camera)
    places = _places(shape, noise.jitter_px * scale, 3 * scale, rng=rng)
    sampled, holes = _match(disparity.take(places), noise, scale, rng=rng)
    holes |= _hidden(disparity * np.float32(scale), noise, scale).take(places)
    specks = smooth_noise(shape, noise.speckle_px * scale, rng=rng)
    blotches = mixed(specks, smooth_noise(shape, noise.blotch_px * scale, rng=rng), 0.7)
    holes |= specks > _exceeded_by(noise.speckle_holes)
    holes |= _share(blotches) < _loss(image, angle, gloss, noise)  # at the other end of the same noise
    holes |= (sampled <= 0) | _outside_view(sampled + 2 * blotches, camera, noise)  # its border is ragged
    grain, waves = (smooth_noise(shape, size * scale, rng=rng) for size in noise.noise_size_px)
    error = mixed(grain, waves, noise.wave_share)
    sampled += error * (np.float32(noise.disparity_noise_px) * _growth(angle, noise.grazing_noise))
    if noise.disparity_step_px > 0:
        sampled = np.rint(sampled / np.float32(noise.disparity_step_px)) * np.float32(noise.disparity_step_px)
    holes |= sampled <= 0
    measured = np.float32(noise.focal_px * noise.baseline_m) / np.where(holes, np.float32(1), sampled)
    if noise.depth_step_m > 0:
        measured = np.rint(measured / np.float32(noise.depth_step_m)) * np.float32(noise.depth_step_m)
    holes |= (measured < noise.range_m[0]) | (measured > noise.range_m[1])
    return np.where(holes, np.float32(0), measured).astype(np.float32)


def gloss_map(scene: Scene, camera: Camera, labels: Labels) -> Float32Array:
    """How mirror-like or transparent the surface of each pixel is, (H, W) float32 in [0, 1].

    Args:
        scene: Its materials. Background at the floor's height counts as floor, other background as the container.
        camera: Which sees it.
        labels: Ids and depth of that view.
    """
    table = [_gloss(scene.container.material)]
    table += [_gloss(scene.parts[placement.part].material) for placement in scene.placements]
    gloss: Float32Array = np.array(table, dtype=np.float32)[labels.instance_ids]
    x = (np.arange(camera.width) + 0.5 - camera.cx) / camera.fx
    y = (np.arange(camera.height) + 0.5 - camera.cy) / camera.fy
    down = camera.T_world_camera[2]
    height_m = labels.depth_m * (down[0] * x[None, :] + down[1] * y[:, None] + down[2]) + down[3]
    gloss[(labels.instance_ids == 0) & (height_m < scene.floor.height_m + _ON_FLOOR_M)] = _gloss(scene.floor.material)
    return gloss


def _gloss(material: Material) -> float:
    """A smooth dielectric reflects a little of the light, a smooth metal nearly all of it."""
    gloss = (1 - material.roughness) ** 2 * (0.2 + 0.8 * material.metallic)
    return max(gloss, _FILM_GLOSS if material.transparent else 0.0)


def surface_angles(depth_m: Float32Array, camera: Camera) -> Float32Array:
    """Angle between surface normal and line of sight, (H, W) float32 in [0, pi/2], from the depth's gradient.

    Of the two one-sided differences the smaller counts, so that an edge does not pass for a steep surface.
    """
    z_u, z_v = (_least_step(depth_m, axis) for axis in (1, 0))
    u = (np.arange(camera.width, dtype=np.float32) + np.float32(0.5 - camera.cx))[None, :]
    v = (np.arange(camera.height, dtype=np.float32) + np.float32(0.5 - camera.cy))[:, None]
    # n = (-fx z_u, -fy z_v, z + u z_u + v z_v) up to length; with the ray p = (u / fx, v / fy, 1): n . p = z.
    along = depth_m + u * z_u + v * z_v
    normal = (np.float32(camera.fx) * z_u) ** 2 + (np.float32(camera.fy) * z_v) ** 2 + along**2
    ray = (u / np.float32(camera.fx)) ** 2 + (v / np.float32(camera.fy)) ** 2 + np.float32(1)
    cosine = depth_m / np.sqrt(np.maximum(normal * ray, np.float32(1e-12)))
    angle: Float32Array = np.arccos(np.clip(cosine, 0, 1)).astype(np.float32)
    return angle


def _least_step(values: Float32Array, axis: int) -> Float32Array:
    steps = np.diff(values, axis=axis)
    pad = [(1, 1) if axis == other else (0, 0) for other in range(2)]
    steps = np.pad(steps, pad, mode="edge")
    before, after = (steps[:-1], steps[1:]) if axis == 0 else (steps[:, :-1], steps[:, 1:])
    least: Float32Array = np.where(np.abs(before) < np.abs(after), before, after)
    return least


def _places(shape: tuple[int, int], sigma_px: float, radius_px: float, *, rng: np.random.Generator) -> Int32Array:
    """Where each pixel really looks, as flat indices (H, W): neighbours are displaced alike, so that edges wave."""
    height, width = shape
    row_step, column_step = (
        np.rint(smooth_noise((height, width), radius_px, rng=rng) * np.float32(sigma_px)).astype(np.int32)
        for _ in range(2)
    )
    rows = np.clip(np.arange(height, dtype=np.int32)[:, None] + row_step, 0, height - 1)
    columns = np.clip(np.arange(width, dtype=np.int32)[None, :] + column_step, 0, width - 1)
    places: Int32Array = rows * np.int32(width) + columns
    return places


def _match(
    disparity: Float32Array, noise: DepthNoise, scale: float, *, rng: np.random.Generator
) -> tuple[Float32Array, BoolArray]:
    """What a matching window makes of the disparity: a mean, but beside an edge it sees the near side alone.

    There some pixels take the near disparity, others find none.

    Returns:
        Disparity, and where it is missing; each (H, W).
    """
    from scipy.ndimage import maximum_filter1d, uniform_filter1d

    size = max(3, 2 * math.floor(noise.window_px * scale / 2) + 1)
    nearest = maximum_filter1d(maximum_filter1d(disparity, size, axis=0), size, axis=1)
    step = np.float32(_step_px(noise, scale) / scale)
    near_edge = maximum_filter1d(maximum_filter1d(_jumps(disparity, step), size, axis=0), size, axis=1) > 0
    beside = near_edge & (nearest - disparity > step)
    chance = smooth_noise((disparity.shape[0], disparity.shape[1]), noise.window_px * scale / 2, rng=rng)
    mean = uniform_filter1d(uniform_filter1d(disparity, size, axis=0), size, axis=1)
    matched = np.where(near_edge, disparity, mean)
    grown = beside & (chance > _exceeded_by(noise.edge_growth))
    return np.where(grown, nearest, matched), beside & (-chance > _exceeded_by(noise.edge_holes))


def _jumps(disparity: Float32Array, step: np.float32) -> UInt8Array:
    """1 where a neighbour to the right or below differs by more than `step`: an edge, and no slope."""
    jumps = np.zeros(disparity.shape, dtype=np.uint8)
    jumps[:, :-1] |= np.abs(np.diff(disparity, axis=1)) > step
    jumps[:-1] |= np.abs(np.diff(disparity, axis=0)) > step
    return jumps


def _step_px(noise: DepthNoise, scale: float) -> float:
    """Least step of disparity, picture px, that is an edge: a surface that both eyes see changes less in a pixel."""
    return max(noise.edge_step_px * scale, 1.0)


def _hidden(disparity: Float32Array, noise: DepthNoise, scale: float) -> BoolArray:
    """Where something nearer stands between a point and the second eye: a depth buffer of that eye, row by row.

    Args:
        disparity: (H, W) in pixels of the picture, 0 = unknown.
        noise: Side of the second eye, and the step that hides.
        scale: Picture pixels per imager pixel.
    """
    height, width = disparity.shape
    shift = disparity if noise.second_eye == "right" else -disparity
    reach = math.ceil(float(disparity.max(initial=0))) + 2
    columns = np.rint(np.arange(width, dtype=np.float32)[None, :] - shift).astype(np.int32) + np.int32(reach)
    buffer_width = width + 2 * reach
    places = (columns + np.arange(height, dtype=np.int32)[:, None] * np.int32(buffer_width)).ravel()
    nearest = np.zeros(height * buffer_width, dtype=np.float32)
    np.maximum.at(nearest, places, disparity.ravel())
    beside = np.maximum(nearest[:-2], nearest[2:])  # no gaps where a slope is stretched
    np.maximum(nearest[1:-1], beside, out=nearest[1:-1])
    behind = disparity + np.float32(_step_px(noise, scale))
    hidden: BoolArray = nearest.take(places).reshape(height, width) > behind  # (H, W)
    return hidden


def _loss(image: UInt8Array, angle: Float32Array, gloss: Float32Array, noise: DepthNoise) -> Float32Array:
    """Chance of a hole at each pixel: darkness, glare, gloss and steepness, taken as independent."""
    brightest = np.maximum(np.maximum(image[..., 0], image[..., 1]), image[..., 2])  # blue and red return light too
    kept = np.ones(brightest.shape, dtype=np.float32)
    if noise.dark_level > 0:
        linear = (np.arange(256, dtype=np.float32) / 255) ** np.float32(2.2)
        # The sensor brings its own light: what counts is how a surface compares with the bright ones around it.
        white = max(float(linear[int(np.percentile(brightest[::4, ::4], 95, method="nearest"))]), _DIMMEST_WHITE)
        kept *= np.minimum(linear.take(brightest) * np.cos(angle) * np.float32(1 / white / noise.dark_level), 1)
    facing = gloss * np.exp(-((angle / np.float32(_GLARE_RAD)) ** 2))
    burnt = np.where(image[..., 1] >= _SATURATED, np.minimum(3 * gloss, 1), 0)  # white paper is bright, and no glare
    kept *= 1 - np.float32(noise.glare) * np.maximum(facing, burnt)
    kept *= 1 - np.float32(noise.gloss_loss) * gloss
    kept *= np.clip((math.pi / 2 - angle) / np.float32(math.pi / 2 - noise.steep_rad), 0, 1)
    loss: Float32Array = np.maximum(1 - kept - np.float32(_NEVER_LOST), 0) * np.float32(1 / (1 - _NEVER_LOST))
    return loss


def _growth(angle: Float32Array, k: float) -> Float32Array:
    limited = np.minimum(angle, np.float32(_MAX_ANGLE_RAD))
    return (1 + np.float32(k) * (limited / (np.float32(math.pi / 2) - limited)) ** 2).astype(np.float32)


def _outside_view(disparity: Float32Array, camera: Camera, noise: DepthNoise) -> BoolArray:
    """Where one of the two eyes does not look: the sides and, on one side, a band as wide as the disparity."""
    half_x, half_y = (math.tan(angle / 2) for angle in noise.field_of_view_rad)
    x = (np.arange(camera.width, dtype=np.float32) + np.float32(0.5 - camera.cx)) / np.float32(camera.fx)
    y = (np.arange(camera.height, dtype=np.float32) + np.float32(0.5 - camera.cy)) / np.float32(camera.fy)
    sign = 1 if noise.second_eye == "right" else -1
    toe_in = noise.baseline_m / noise.verge_m if noise.verge_m > 0 else 0.0
    second = x[None, :] - (disparity * np.float32(1 / noise.focal_px) - np.float32(toe_in)) * np.float32(sign)
    first_misses = (np.abs(x) > half_x)[None, :] | (np.abs(y) > half_y)[:, None]
    outside: BoolArray = first_misses | (np.abs(second) > half_x)
    return outside


def _exceeded_by(share: float) -> np.float32:
    """The value that this share of Gaussian noise of variance 1 exceeds."""
    from scipy.special import ndtri

    return np.float32(-ndtri(share))


def _share(noise: Float32Array) -> Float32Array:
    """Gaussian noise of variance 1 as numbers each even in [0, 1]."""
    from scipy.special import ndtr

    even: Float32Array = ndtr(noise)
    return even
