"""Random scale, crop, mirror, quarter turn, colour, blur and noise; images and labels move together.

Everything is done on the crop alone: the picture is resized from the crop's region, masks are sampled by nearest
index inside the box of their part, mirror and transpose are strides of the output. A crop of 384 px costs a few
milliseconds, less than decoding the picture it comes from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from graspnext.data.sample import SUCTION_STRIDE, Sample, mean_pool
from graspnext.errors import ConfigError
from graspnext.types import BoolArray, Float32Array, Float64Array, Int64Array, UInt8Array, View


@dataclass(frozen=True)
class AugmentationConfig:
    """How much each sample differs from its view. Strengths of 0 and probabilities of 0 switch a change off."""

    size: int = 384
    """Side of the square sample, px; a multiple of 4."""
    scale_range: tuple[float, float] = (0.6, 1.5)
    """Sample pixels per view pixel, drawn log-uniformly."""
    flip: bool = True
    """Mirror left-right and top-bottom, each half of the time. Bins have no up."""
    rotate90: bool = True
    """Turn by a random number of quarter turns."""
    brightness: float = 0.3
    """Largest relative change of the level of all channels."""
    contrast: float = 0.3
    """Largest relative change of the distance from mid grey."""
    saturation: float = 0.3
    """Largest relative change of the distance from grey of the same luma."""
    hue: float = 0.05
    """Largest turn of the hue, in full circles."""
    white_balance: float = 0.1
    """Largest relative gain of one channel against the others."""
    gamma: float = 0.2
    """Largest absolute logarithm of the exponent of the tone curve."""
    blur_probability: float = 0.15
    blur_radius_px: float = 1.5
    """Largest standard deviation of the Gaussian blur, px."""
    noise_probability: float = 0.3
    noise_levels: float = 8.0
    """Largest standard deviation of the sensor noise, in levels of 255."""
    min_visible_px: int = 40
    """Parts with fewer visible pixels in the crop are ignored."""
    min_visible_share: float = 0.05
    """Parts of which a smaller share of the amodal mask in the crop is visible are ignored."""

    def __post_init__(self) -> None:
        if self.size < SUCTION_STRIDE or self.size % SUCTION_STRIDE:
            raise ConfigError("size", self.size, f"a positive multiple of {SUCTION_STRIDE}")
        low, high = self.scale_range
        if not 0 < low <= high <= 16:
            raise ConfigError("scale_range", self.scale_range, "two rising numbers above 0 and at most 16")
        for name in ("brightness", "contrast", "saturation", "white_balance"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(name, getattr(self, name), "in [0, 1)")
        for name in ("hue", "blur_probability", "noise_probability", "min_visible_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(name, getattr(self, name), "in [0, 1]")
        for name in ("gamma", "blur_radius_px", "noise_levels", "min_visible_px"):
            if not 0 <= getattr(self, name) < 1e4:
                raise ConfigError(name, getattr(self, name), "0 or more")


@dataclass(frozen=True)
class _Axis:
    """One axis of the crop: `count` view pixels become `scaled` sample pixels, of which `size` from `offset` stay."""

    count: int
    scaled: int
    offset: int
    """Negative where the view ends before the crop does: that much is padding."""
    size: int

    @property
    def first(self) -> int:
        """First sample pixel that lies on the view."""
        return max(0, -self.offset)

    @property
    def last(self) -> int:
        """One past the last sample pixel that lies on the view."""
        return min(self.size, self.scaled - self.offset)

    def source(self) -> Int64Array:
        """View pixel under the centre of each sample pixel in [first, last), rising."""
        centres = np.arange(self.first, self.last) + self.offset + 0.5
        return np.minimum((centres * (self.count / self.scaled)).astype(np.int64), self.count - 1)

    def region(self) -> tuple[float, float]:
        """What of the view the crop shows, view px."""
        ratio = self.count / self.scaled
        return (self.first + self.offset) * ratio, min((self.last + self.offset) * ratio, self.count)

    def move(self, positions: Float32Array) -> Float32Array:
        """View px to sample px."""
        return np.asarray(positions * (self.scaled / self.count) - self.offset, dtype=np.float32)


@dataclass(frozen=True)
class _Placement:
    """Crop first, then transpose, then mirror."""

    x: _Axis
    y: _Axis
    transpose: bool
    mirror_x: bool
    mirror_y: bool


def augment(view: View, config: AugmentationConfig, *, rng: np.random.Generator) -> Sample:
    """A random crop of a view, changed in geometry and colour.

    Amodal masks and boxes are cut to the crop; a part without an amodal pixel in it is dropped. `occluded` keeps the
    view's answer: what hides a part need not lie in the crop. Centres of mass move along and may fall outside.

    Args:
        view: A labelled view of any size.
        config: What may change, and how much.
        rng: Source of all randomness: the same state gives the same sample.

    Returns:
        A square sample of `config.size` px.
    """
    place = _draw_placement(view.image.shape[0], view.image.shape[1], config, rng)
    image = _change_colours(_crop_image(view.image, place, rng), config, rng)
    return _crop(view, image, place, config)


def _draw_placement(height: int, width: int, config: AugmentationConfig, rng: np.random.Generator) -> _Placement:
    low, high = np.log(config.scale_range)
    scale = float(np.exp(rng.uniform(low, high)))
    axes = []
    for count in (width, height):
        scaled = max(1, round(count * scale))
        spare = scaled - config.size
        axes.append(_Axis(count, scaled, int(rng.integers(min(spare, 0), max(spare, 0) + 1)), config.size))
    turns = int(rng.integers(4)) if config.rotate90 else 0
    mirror_x, mirror_y = (bool(rng.integers(2)) and config.flip for _ in range(2))
    # Counter-clockwise quarter turns as a transpose and mirrors: 1 = (T, y), 2 = (x, y), 3 = (T, x).
    mirror_x ^= turns in {2, 3}
    mirror_y ^= turns in {1, 2}
    return _Placement(axes[0], axes[1], turns in {1, 3}, mirror_x, mirror_y)


def _crop_image(image: UInt8Array, place: _Placement, rng: np.random.Generator) -> Image.Image:
    x, y = place.x, place.y
    picture = Image.fromarray(np.ascontiguousarray(image))
    (left, right), (top, bottom) = x.region(), y.region()
    inside = picture.resize(
        (x.last - x.first, y.last - y.first), Image.Resampling.BILINEAR, box=(left, top, right, bottom)
    )
    if inside.size != (x.size, y.size):
        colour = tuple(int(level) for level in rng.integers(0, 256, 3))
        if rng.random() < 0.5:
            mean = picture.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
            assert isinstance(mean, tuple)
            colour = tuple(int(level) for level in mean)
        canvas = Image.new("RGB", (x.size, y.size), colour)
        canvas.paste(inside, (x.first, y.first))
        inside = canvas
    if place.transpose:
        inside = inside.transpose(Image.Transpose.TRANSPOSE)
    if place.mirror_x:
        inside = inside.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if place.mirror_y:
        inside = inside.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return inside


def _turned(canvas: npt.NDArray[Any], place: _Placement) -> npt.NDArray[Any]:
    """The output (..., S, S) seen in the frame of the crop before transpose and mirrors: a view, nothing is copied."""
    turned = canvas[..., :: -1 if place.mirror_y else 1, :: -1 if place.mirror_x else 1]
    return turned.swapaxes(-1, -2) if place.transpose else turned


def _crop(view: View, image: UInt8Array, place: _Placement, config: AugmentationConfig) -> Sample:
    S = config.size
    rows, columns = place.y.source(), place.x.source()
    inside = (slice(place.y.first, place.y.last), slice(place.x.first, place.x.last))

    ids = np.zeros((S, S), dtype=np.int32)
    ids[inside] = view.labels.instance_ids[rows].take(columns, axis=1)
    suction = np.zeros((S, S), dtype=np.float32)
    _turned(suction, place)[inside] = view.labels.suction[rows].take(columns, axis=1)

    kept = [
        (instance, window)
        for instance in view.labels.instances
        if (window := _window(instance.amodal_box, rows, columns)) is not None
    ]
    visible = np.zeros((len(kept), S, S), dtype=bool)
    amodal = np.zeros((len(kept), S, S), dtype=bool)
    boxes = np.zeros((len(kept), 4), dtype=np.float32)
    counts = np.zeros((len(kept), 2), dtype=np.int64)  # amodal, visible pixels in the crop
    visible_turned, amodal_turned = _turned(visible, place), _turned(amodal, place)
    for index, (instance, (ys, xs)) in enumerate(kept):
        part = (
            slice(ys.start + place.y.first, ys.stop + place.y.first),
            slice(xs.start + place.x.first, xs.stop + place.x.first),
        )
        whole = instance.amodal_mask[rows[ys, None], columns[None, xs]]
        seen = ids[part] == instance.id
        amodal_turned[index][part] = whole
        visible_turned[index][part] = seen
        counts[index] = np.count_nonzero(whole), np.count_nonzero(seen)
        boxes[index] = _box_in(whole, part)

    centers = np.array([instance.center_of_mass[:2] for instance, _ in kept], dtype=np.float32).reshape(-1, 2)
    centers = np.stack([place.x.move(centers[:, 0]), place.y.move(centers[:, 1])], axis=1)
    few = (counts[:, 1] < config.min_visible_px) | (counts[:, 1] < config.min_visible_share * counts[:, 0])
    keep = counts[:, 0] > 0
    return Sample(
        image=image,
        boxes=_turn_boxes(boxes[keep], place),
        visible_masks=visible if keep.all() else visible[keep],
        amodal_masks=amodal if keep.all() else amodal[keep],
        occluded=np.array([instance.occluded for instance, _ in kept], dtype=bool)[keep],
        centers=_turn_points(centers[keep], place),
        ignore=(few | np.array([instance.ignore for instance, _ in kept], dtype=bool))[keep],
        suction=mean_pool(suction, SUCTION_STRIDE) * np.float32(np.nan if "suction" in view.labels.missing else 1),
    )


def _window(box: Float32Array, rows: Int64Array, columns: Int64Array) -> tuple[slice, slice] | None:
    """Which of the rising view indices fall into a box (4,) xyxy px; None where none does."""
    left, right = np.searchsorted(columns, (np.floor(box[0]), np.ceil(box[2])))
    top, bottom = np.searchsorted(rows, (np.floor(box[1]), np.ceil(box[3])))
    if left >= right or top >= bottom:
        return None
    return slice(int(top), int(bottom)), slice(int(left), int(right))


def _box_in(mask: BoolArray, part: tuple[slice, slice]) -> tuple[float, float, float, float]:
    """Tight box xyxy px of a mask that stands at `part` (rows, columns); zeros when it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return (0, 0, 0, 0)
    top, left = part[0].start, part[1].start
    return left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1


def _turn_points(points: Float32Array, place: _Placement) -> Float32Array:
    """Points (..., 2) u, v px of the crop after transpose and mirrors."""
    turned = points[..., ::-1].copy() if place.transpose else points.copy()
    size = place.x.size
    if place.mirror_x:
        turned[..., 0] = size - turned[..., 0]
    if place.mirror_y:
        turned[..., 1] = size - turned[..., 1]
    return turned


def _turn_boxes(boxes: Float32Array, place: _Placement) -> Float32Array:
    """Boxes (N, 4) xyxy px of the crop after transpose and mirrors."""
    corners = _turn_points(boxes.reshape(-1, 2, 2), place)
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(np.float32)  # (N, 4)


def _change_colours(image: Image.Image, config: AugmentationConfig, rng: np.random.Generator) -> UInt8Array:
    matrix = _colour_matrix(config, rng)
    if config.saturation or config.hue:
        image = image.convert("RGB", tuple(matrix.ravel()))
    image = image.point(_tone_curves(config, rng).ravel().tolist())
    if rng.random() < config.blur_probability:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.2, 1)) * config.blur_radius_px))
    pixels = np.array(image, dtype=np.uint8)
    if rng.random() < config.noise_probability:
        levels = np.rint(_normal_quantiles() * rng.uniform(0, config.noise_levels)).astype(np.int16)  # (256,)
        noise = levels[rng.integers(0, 256, pixels.shape, dtype=np.uint8)]
        np.clip(noise + pixels, 0, 255, out=noise)
        pixels = noise.astype(np.uint8)
    return pixels


def _colour_matrix(config: AugmentationConfig, rng: np.random.Generator) -> Float64Array:
    """(3, 4) matrix on RGB that turns the hue and scales the saturation, keeping BT.601 luma: both act on YIQ."""
    angle = 2 * np.pi * rng.uniform(-config.hue, config.hue)
    gain = 1 + rng.uniform(-config.saturation, config.saturation)
    to_yiq = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
    turn = np.eye(3)
    turn[1:, 1:] = gain * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.zeros((3, 4))
    matrix[:, :3] = np.linalg.inv(to_yiq) @ turn @ to_yiq
    return matrix


def _tone_curves(config: AugmentationConfig, rng: np.random.Generator) -> UInt8Array:
    """(3, 256) look-up tables: white balance, gamma, brightness and contrast of each channel in one."""
    gains = 1 + rng.uniform(-config.white_balance, config.white_balance, 3)
    exponent = np.exp(rng.uniform(-config.gamma, config.gamma))
    brightness = 1 + rng.uniform(-config.brightness, config.brightness)
    contrast = 1 + rng.uniform(-config.contrast, config.contrast)
    levels = np.linspace(0, 1, 256)[None, :] * gains[:, None]  # (3, 256)
    levels = (brightness * levels**exponent - 0.5) * contrast + 0.5
    return np.asarray(np.rint(np.clip(levels, 0, 1) * 255), dtype=np.uint8)


@lru_cache(maxsize=1)
def _normal_quantiles() -> Float64Array:
    """(256,) quantiles of the standard normal: indexing them by random bytes is noise at a tenth of its usual cost."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((k + 0.5) / 256) for k in range(256)])
