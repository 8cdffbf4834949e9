"""A rendered picture as a camera would have taken it. All light is added and scaled in linear light."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from graspnext.types import Float32Array, UInt8Array
from graspnext.world.lighting import color_of_temperature
from graspnext.world.parts.draws import between, chance, size_between
from graspnext.world.ranges import check_range, check_share
from graspnext.world.sensors.fields import white_noise
from graspnext.world.sensors.models import Sensor, crop_scale

_LEVELS = 4096
"""Steps of the table from linear light to sRGB."""
_NEUTRAL_K = 6500.0
_RED, _GREEN, _BLUE = (np.float32(share) for share in (0.2126, 0.7152, 0.0722))
"""Shares in the luminance of linear light, Rec. 709."""
_WIDEST_PASS_PX = 0.8
"""Radius of blur that one pass of three pixels still draws as a bell; more takes more passes."""
_STRIP = 48
"""Rows that are worked on at a time: they stay in a core's cache."""


@dataclass(frozen=True)
class CaptureRanges:
    """What goes wrong when a picture is taken, drawn anew for each view. Lengths are shares of the picture's height."""

    exposure_stops: tuple[float, float] = (-0.6, 0.5)
    """Error of the exposure: 1 doubles the light."""
    gain: tuple[float, float] = (1.0, 12.0)
    """Amplification in front of the converter, drawn evenly in its logarithm: less light, more noise."""
    white_balance_mired: tuple[float, float] = (-25.0, 25.0)
    """Error of the white balance in 1e6 / kelvin: positive is taken for cooler light than it is, and looks warm."""
    tint: tuple[float, float] = (-0.04, 0.04)
    """Relative error of green."""
    vignetting: tuple[float, float] = (0.5, 1.5)
    """Times the lens's own."""
    defocus: tuple[float, float] = (0.0, 0.0012)
    """Gaussian radius of the blur; 0.001 is half a pixel at 512."""
    motion_probability: float = 0.12
    """Share of views that the camera moves in."""
    motion: tuple[float, float] = (0.002, 0.008)
    """Length of the smear; 0.004 is two pixels at 512."""
    sharpen: tuple[float, float] = (0.0, 0.5)
    """Strength of the camera's own sharpening: draws bright and dark lines along edges."""
    jpeg_probability: float = 0.15
    """Share of views sent as JPEG."""
    jpeg_quality: tuple[int, int] = (70, 95)

    def __post_init__(self) -> None:
        check_range("capture.exposure_stops", self.exposure_stops, -4.0, 4.0)
        check_range("capture.gain", self.gain, 0.1, 100.0)
        check_range("capture.white_balance_mired", self.white_balance_mired, -80.0, 80.0)
        check_range("capture.tint", self.tint, -0.5, 0.5)
        check_range("capture.vignetting", self.vignetting, 0.0, 4.0)
        check_range("capture.defocus", self.defocus, 0.0, 0.02)
        check_share("capture.motion_probability", self.motion_probability)
        check_range("capture.motion", self.motion, 0.0, 0.05)
        check_range("capture.sharpen", self.sharpen, 0.0, 2.0)
        check_share("capture.jpeg_probability", self.jpeg_probability)
        check_range("capture.jpeg_quality", self.jpeg_quality, 10, 100)


def take_picture(image: UInt8Array, sensor: Sensor, ranges: CaptureRanges, *, rng: np.random.Generator) -> UInt8Array:
    """The picture that a sensor takes of what was rendered. Nothing moves: labels stay true to the pixel.

    In this order: blur and sharpening, exposure, white balance and vignetting, shot and read noise, sRGB, JPEG. Noise
    has the variance x / N + (r / N)^2 at signal x in [0, 1], where N electrons fill a pixel: a picture pixel gathers
    those of all native pixels under it, and gain divides them.

    Args:
        image: (H, W, 3) uint8 sRGB as rendered.
        sensor: Its noise; `perfect` sensors give the picture back.
        ranges: Strengths.
        rng: Source of randomness. How much is drawn does not depend on what the picture shows.

    Returns:
        (H, W, 3) uint8 sRGB.

    Source: EMVA Standard 1288, release 4.0, 2021, for the noise; IEC 61966-2-1 for sRGB.
    """
    if sensor.picture.perfect:
        return image
    height = image.shape[0]
    blur, smear, sharpen = between(*ranges.defocus, rng=rng) * height, 0.0, between(*ranges.sharpen, rng=rng)
    if chance(ranges.motion_probability, rng=rng):
        smear = between(*ranges.motion, rng=rng) * height
    direction = between(0, math.pi, rng=rng)
    move = smear * math.cos(direction), smear * math.sin(direction)
    gains = _gains(ranges, mono=sensor.picture.mono, rng=rng)
    shade = _vignette(image.shape[:2], sensor, between(*ranges.vignetting, rng=rng))
    noise = _noise(sensor, crop_scale(sensor, (height, image.shape[1])), size_between(*ranges.gain, rng=rng))
    taken = np.empty_like(image)
    passes = max(1, math.ceil((blur / _WIDEST_PASS_PX) ** 2))
    share = blur**2 / 2 / passes
    border = math.ceil(smear / 2) + 1 + passes
    padded = np.pad(image, ((border, border), (0, 0), (0, 0)), mode="edge")
    for top in range(0, height, _STRIP):
        bottom = min(top + _STRIP, height)
        light = _light(padded[top : bottom + 2 * border], mono=sensor.picture.mono)
        light = _smear(light, *move)
        for _ in range(passes - 1):
            light = _soften(light, share)
        light = _soften(light, share - sharpen / 4)[border:-border]
        light *= shade[top:bottom, :, None] * gains
        taken[top:bottom] = _to_srgb(_add_noise(light, *noise, rng=rng))
    quality = int(rng.integers(ranges.jpeg_quality[0], ranges.jpeg_quality[1] + 1))
    return _jpeg(taken, quality) if chance(ranges.jpeg_probability, rng=rng) else taken


def _light(image: UInt8Array, *, mono: bool) -> Float32Array:
    """Linear light in [0, 1] of an sRGB picture, (H, W, 3), or (H, W, 1) for grey."""
    light: Float32Array = _LINEAR.take(image)
    if mono:  # written out: a product of matrices may add in another order on another number of cores
        light = (light[..., 0] * _RED + light[..., 1] * _GREEN + light[..., 2] * _BLUE)[..., None]
    return light


def _gains(ranges: CaptureRanges, *, mono: bool, rng: np.random.Generator) -> Float32Array:
    """What exposure and white balance multiply each channel by, (3,), or (1,) for grey."""
    exposure = 2 ** between(*ranges.exposure_stops, rng=rng)
    kelvin = 1e6 / (1e6 / _NEUTRAL_K + between(*ranges.white_balance_mired, rng=rng))
    tint = 1 + between(*ranges.tint, rng=rng)
    if mono:
        return np.array([exposure], dtype=np.float32)
    color, neutral = (np.array(color_of_temperature(k)) for k in (kelvin, _NEUTRAL_K))
    balance = color / neutral
    balance /= balance[1]
    gains: Float32Array = (exposure * balance * np.array([1.0, tint, 1.0])).astype(np.float32)
    return gains


def _smear(light: Float32Array, x: float, y: float) -> Float32Array:
    """Mean over a straight move of (x, y) px about the middle, in steps of whole pixels; the border repeats."""
    longer = max(abs(x), abs(y))
    if longer < 0.5:
        return light
    reach = max(1, round(longer / 2))
    height, width = light.shape[:2]
    padded = np.pad(light, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    total = np.zeros_like(light)
    for step in range(-reach, reach + 1):
        down, right = reach + round(step * y / longer), reach + round(step * x / longer)
        total += padded[down : down + height, right : right + width]
    total /= np.float32(2 * reach + 1)
    return total


def _soften(light: Float32Array, share: float) -> Float32Array:
    """Each pixel gives `share` of its light to either neighbour, along both axes; below 0 that sharpens.

    The kernel [w, 1 - 2 w, w] has the variance 2 w: that of a Gaussian blur of radius sqrt(2 w) px.
    """
    if abs(share) < 0.01:
        return light
    w = np.float32(share)
    padded = np.pad(light, ((1, 1), (0, 0), (0, 0)), mode="edge")
    rows = padded[:-2] + padded[2:]
    rows *= w
    rows += light * (1 - 2 * w)
    padded = np.pad(rows, ((0, 0), (1, 1), (0, 0)), mode="edge")
    result: Float32Array = padded[:, :-2] + padded[:, 2:]
    result *= w
    rows *= 1 - 2 * w
    result += rows
    return result


def _vignette(shape: tuple[int, ...], sensor: Sensor, strength: float) -> Float32Array:
    """Share of light that arrives, (H, W): 1 in the middle of the native picture, falling with the square."""
    scale = crop_scale(sensor, (shape[0], shape[1]))
    corner = math.hypot(*sensor.native_size) / 2 / scale  # px of this picture
    y, x = ((np.arange(size, dtype=np.float32) + np.float32(0.5 - size / 2)) / np.float32(corner) for size in shape)
    loss = np.float32(min(sensor.picture.vignetting * strength, 1.0))
    shade: Float32Array = 1 - loss * (y[:, None] ** 2 + x[None, :] ** 2)
    return shade


def _noise(sensor: Sensor, gathered: float, gain: float) -> tuple[np.float32, np.float32]:
    """Variance of the shot noise at full light and of the read noise, for pixels `gathered` native ones wide."""
    pixels = max(gathered, 1.0) ** 2
    full = sensor.picture.full_well_e / gain
    return np.float32(1 / full / pixels), np.float32((sensor.picture.read_noise_e / full) ** 2 / pixels)


def _add_noise(light: Float32Array, shot: np.float32, read: np.float32, *, rng: np.random.Generator) -> Float32Array:
    variance = np.maximum(light, 0)
    variance *= shot
    variance += read
    noise = white_noise(light.shape, rng=rng)
    noise *= np.sqrt(variance, out=variance)
    noise += light
    return noise


def _jpeg(image: UInt8Array, quality: int) -> UInt8Array:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="JPEG", quality=quality)
    return np.asarray(Image.open(stream), dtype=np.uint8)


def _to_srgb(light: Float32Array) -> UInt8Array:
    light *= np.float32(_LEVELS - 1)
    light += np.float32(0.5)
    np.clip(light, 0, _LEVELS - 1, out=light)
    level: UInt8Array = _SRGB.take(light.astype(np.uint16))
    return level


def _linear_table() -> Float32Array:
    level = np.arange(256) / 255
    table: Float32Array = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4).astype(np.float32)
    return table


def _srgb_table() -> UInt8Array:
    light = np.arange(_LEVELS) / (_LEVELS - 1)
    level = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    table: UInt8Array = np.rint(level * 255).astype(np.uint8)
    return table


_LINEAR = _linear_table()
_SRGB = _srgb_table()
