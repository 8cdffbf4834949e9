"""Random scale, crop, mirror, quarter turn, pasted parts, colour, blur and noise; images and labels move together.

Everything is done on the crop alone: see `data.crop` for its geometry, `data.copy_paste` for pasted parts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from PIL import Image, ImageFilter

from graspnext.data.copy_paste import Patch, cut_out_parts, lay_on_top
from graspnext.data.crop import Axis, Crop, Placement, Turn, crop_labels, crop_picture
from graspnext.data.sample import SUCTION_STRIDE, Sample, mean_pool
from graspnext.errors import ConfigError
from graspnext.types import Float64Array, UInt8Array, View


@dataclass(frozen=True)
class AugmentationConfig:
    """How much each sample differs from its view. Strengths of 0 and probabilities of 0 switch a change off."""

    size: int = 320
    """Side of the square sample, px; a multiple of 4."""
    scale_range: tuple[float, float] = (0.5, 1.3)
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
    paste_probability: float = 0.0
    """How often parts of another view are pasted on top (see `data.copy_paste`)."""
    paste_parts: int = 3
    """Most parts that one sample receives; each number from 1 on is as likely."""

    def __post_init__(self) -> None:
        if self.size < SUCTION_STRIDE or self.size % SUCTION_STRIDE:
            raise ConfigError("size", self.size, f"a positive multiple of {SUCTION_STRIDE}")
        low, high = self.scale_range
        if not 0 < low <= high <= 16:
            raise ConfigError("scale_range", self.scale_range, "two rising numbers above 0 and at most 16")
        for name in ("brightness", "contrast", "saturation", "white_balance"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(name, getattr(self, name), "in [0, 1)")
        for name in ("hue", "blur_probability", "noise_probability", "min_visible_share", "paste_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(name, getattr(self, name), "in [0, 1]")
        for name in ("gamma", "blur_radius_px", "noise_levels", "min_visible_px"):
            if not 0 <= getattr(self, name) < 1e4:
                raise ConfigError(name, getattr(self, name), "0 or more")
        if not 1 <= self.paste_parts <= 100:
            raise ConfigError("paste_parts", self.paste_parts, "in 1 ... 100; paste_probability 0 switches pasting off")


def augment(
    view: View,
    config: AugmentationConfig,
    *,
    rng: np.random.Generator,
    donor: Callable[[np.random.Generator], View] | None = None,
) -> Sample:
    """A random crop of a view, changed in geometry and colour.

    Amodal masks and boxes are cut to the crop; a part without an amodal pixel in it is dropped. `occluded` keeps the
    view's answer: what hides a part need not lie in the crop. Centres of mass move along and may fall outside.

    Args:
        view: A labelled view of any size.
        config: What may change, and how much.
        rng: Source of all randomness: the same state gives the same sample.
        donor: Gives the view that parts are pasted from, when `config.paste_probability` asks for one.

    Returns:
        A square sample of `config.size` px.
    """
    height, width = view.image.shape[:2]
    return augment_at(draw_placement((height, width), config, rng=rng), view, config, rng=rng, donor=donor)


def draw_placement(size: tuple[int, int], config: AugmentationConfig, *, rng: np.random.Generator) -> Placement:
    """Which piece of a view of (height, width) becomes the sample: drawn first, so that no more need be read."""
    low, high = np.log(config.scale_range)
    scale = float(np.exp(rng.uniform(low, high)))
    axes = []
    for count in size[::-1]:
        scaled = max(1, round(count * scale))
        spare = scaled - config.size
        axes.append(Axis(count, scaled, int(rng.integers(min(spare, 0), max(spare, 0) + 1)), config.size))
    return Placement(axes[0], axes[1], Turn.draw(flip=config.flip, rotate90=config.rotate90, rng=rng))


def augment_at(
    place: Placement,
    view: View,
    config: AugmentationConfig,
    *,
    rng: np.random.Generator,
    donor: Callable[[np.random.Generator], View] | None = None,
) -> Sample:
    """The rest of `augment`; instances of the view that `place` does not show may be missing."""
    picture = crop_picture(view.image, place, rng=rng)
    patches: list[Patch] = []
    if donor is not None and config.paste_probability:
        own = rng.spawn(1)[0]  # leaves the state of `rng` as it is: all else is the same with and without pasted parts
        if own.random() < config.paste_probability:
            patches = cut_out_parts(donor(own), place, config, rng=own)
    crop = crop_labels(view, place, room=len(patches))
    lay_on_top(patches, picture, crop)
    return _finish(_change_colours(picture, config, rng), crop, config)


def _finish(image: UInt8Array, crop: Crop, config: AugmentationConfig) -> Sample:
    """Drop what the crop does not show, and ignore what it hardly shows."""
    amodal, visible = (
        np.array([np.count_nonzero(mask) for mask in masks], dtype=np.int64) for masks in (crop.amodal, crop.visible)
    )
    few = (visible < config.min_visible_px) | (visible < config.min_visible_share * amodal)
    keep = amodal > 0
    return Sample(
        image=image,
        boxes=crop.boxes[keep],
        visible_masks=crop.visible if keep.all() else crop.visible[keep],
        amodal_masks=crop.amodal if keep.all() else crop.amodal[keep],
        occluded=crop.occluded[keep],
        centers=crop.centers[keep],
        ignore=(few | crop.ignore)[keep],
        suction=mean_pool(crop.suction, SUCTION_STRIDE),
    )


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
