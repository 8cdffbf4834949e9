"""The room around a scene as an image-based light: what polished metal and gloss mirror.

A hall with a pale ceiling, strip lights, a window or two, soft boxes, grey walls and a dark floor. It is drawn from
the numbers of the `Look`, so the same look has the same room. However the room is furnished, a surface that faces up
gets exactly `ambient_lux` in the colour `ambient`.

The room comes in the KTX 1 container that Filament reads (Khronos, "KTX File Format Specification, version 1.1"): a
header, key-value pairs, then for each mip level its byte count and six faces; rougher surfaces mirror coarser levels.
Filament takes diffuse light from spherical harmonics stored under the key "sh": nine RGB triples, convolved with the
cosine lobe and divided by pi (Ramamoorthi and Hanrahan, "An Efficient Representation for Irradiance Environment
Maps", 2001). The bindings turn the world so that its z is the map's y.
"""

from __future__ import annotations

import hashlib
import struct
from functools import lru_cache

import numpy as np

from graspnext.types import Float64Array
from graspnext.world.scene import Look

_MAGIC = b"\xabKTX 11\xbb\r\n\x1a\n"
_LITTLE_ENDIAN, _HALF_FLOAT, _RGBA, _RGBA16F = 0x04030201, 0x140B, 0x1908, 0x881A
_SIDE = 64
_FLOOR, _WALL, _CEILING = 0.9, 1.5, 1.7
"""Radiance of the bare room."""
_COSINE = np.array([1.0, *[2 / 3] * 3, *[0.25] * 5])
"""Weights of the cosine lobe over pi for bands 0, 1 and 2."""


def room(look: Look) -> bytes:
    """The room as a KTX cube map of luminance relative to a uniform sky that casts the same light upward.

    Args:
        look: Light of the scene; its numbers decide the furniture.

    Returns:
        The file's bytes.
    """
    toward = _directions(_SIDE)  # (6, S, S, 3)
    radiance = _furnish(toward, rng=np.random.default_rng(_seed(look)))  # (6, S, S, 3)
    basis, weight = _basis(), _weights()
    harmonics = np.einsum("fijk,fij,fijc->kc", basis, weight, radiance) * _COSINE[:, None]  # (9, 3)
    upward = _harmonics(np.array([0.0, 0.0, 1.0])) @ harmonics  # (3,)
    scale = np.array(look.ambient) / upward
    return _ktx(radiance * scale, harmonics * _harmonic_factors()[:, None] * scale)


def _seed(look: Look) -> int:
    numbers = [*look.ambient, look.ambient_lux, look.exposure]
    for light in look.lights:
        numbers += [*light.position, *light.direction, light.intensity]
    return int.from_bytes(hashlib.sha256(np.array(numbers, dtype="<f8").tobytes()).digest()[:8], "little")


def _furnish(toward: Float64Array, *, rng: np.random.Generator) -> Float64Array:
    """Radiance (..., 3) of a random hall seen along unit directions (..., 3), world frame."""
    height = toward[..., 2]
    grey = np.where(height > 0, _WALL + (_CEILING - _WALL) * _ramp(height, 0.25, 0.6), _WALL)
    grey = _FLOOR + (grey - _FLOOR) * _ramp(height, -0.25, 0.05)
    radiance = grey[..., None] * rng.uniform(0.85, 1.15, 3)
    turn = rng.uniform(0, np.pi)
    along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    ceiling = toward[..., :2] / np.maximum(height, 1e-3)[..., None]  # where a ray meets a ceiling of height 1
    x, y = ceiling @ along, ceiling @ across
    above = _ramp(height, 0.08, 0.2)
    for place in rng.uniform(0.6, 1.3) * np.arange(-1, 2) + rng.uniform(-0.4, 0.4):  # rows of strip lights
        strip = _ramp(0.09 - np.abs(y - place), -0.05, 0.03) * _ramp(rng.uniform(0.6, 2.5) - np.abs(x), -0.1, 0.1)
        radiance += (rng.uniform(4, 9) * above * strip)[..., None]
    azimuth = np.arctan2(toward[..., 1], toward[..., 0])
    for _ in range(int(rng.integers(0, 3))):  # windows, a little blue
        off = np.abs((azimuth - rng.uniform(-np.pi, np.pi) + np.pi) % (2 * np.pi) - np.pi)
        pane = _ramp(rng.uniform(0.2, 0.6) - off, -0.05, 0.05) * _ramp(height, 0.05, 0.12) * _ramp(-height, -0.5, -0.42)
        radiance += (rng.uniform(2, 6) * pane)[..., None] * np.array([0.9, 1.0, 1.15])
    for _ in range(int(rng.integers(0, 3))):  # soft boxes of a picking cell
        axis = rng.normal(size=3) * np.array([1, 1, 0.4]) + np.array([0, 0, 1.2])
        lamp = _ramp(toward @ (axis / np.linalg.norm(axis)), 0.965, 0.985)
        radiance += (rng.uniform(3, 8) * lamp)[..., None]
    return np.asarray(radiance, dtype=np.float64)


def _ramp(value: Float64Array, low: float, high: float) -> Float64Array:
    """0 up to `low`, 1 from `high`, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float64)


@lru_cache(maxsize=8)
def _directions(side: int) -> Float64Array:
    """World directions (6, side, side, 3) of a cube map's texels, faces +x -x +y -y +z -z of the map."""
    t = (np.arange(side) + 0.5) * 2 / side - 1
    b, a = np.meshgrid(t, t, indexing="ij")  # rows run along b
    one = np.ones_like(a)
    faces = [(one, -b, -a), (-one, -b, a), (a, one, b), (a, -one, -b), (a, -b, one), (-a, -b, -one)]
    toward = np.array([np.stack([x, -z, y], axis=-1) for x, y, z in faces])  # map y is the world's z, map z its -y
    toward /= np.linalg.norm(toward, axis=-1, keepdims=True)
    return toward


@lru_cache(maxsize=1)
def _weights() -> Float64Array:
    """Solid angle (6, S, S) of each texel, sr."""
    t = (np.arange(_SIDE) + 0.5) * 2 / _SIDE - 1
    face = (2 / _SIDE) ** 2 / (1 + t[:, None] ** 2 + t[None] ** 2) ** 1.5
    return np.asarray(np.broadcast_to(face, (6, _SIDE, _SIDE)))


@lru_cache(maxsize=1)
def _basis() -> Float64Array:
    return _harmonics(_directions(_SIDE))


def _harmonic_factors() -> Float64Array:
    """Constants (9,) of the real spherical harmonics: Filament's sums leave them to the coefficients."""
    return np.sqrt(np.array([1 / 4, 3 / 4, 3 / 4, 3 / 4, 15 / 4, 15 / 4, 5 / 16, 15 / 4, 15 / 16]) / np.pi)


def _harmonics(toward: Float64Array) -> Float64Array:
    """The nine real harmonics (..., 9) of bands 0 to 2 along world directions (..., 3), in the map's axes."""
    x, y, z = toward[..., 0], toward[..., 2], -toward[..., 1]
    shapes = [np.ones_like(x), y, z, x, x * y, y * z, 3 * z * z - 1, z * x, x * x - y * y]
    return np.asarray(np.stack(shapes, axis=-1) * _harmonic_factors(), dtype=np.float64)


def _ktx(faces: Float64Array, harmonics: Float64Array) -> bytes:
    """A KTX file of faces (6, S, S, 3), all coarser levels their means, and harmonics (9, 3)."""
    levels = _SIDE.bit_length()
    text = "\n".join("{:.6f} {:.6f} {:.6f}".format(*triple) for triple in harmonics) + "\n"
    entry = b"sh\0" + text.encode("ascii")
    pairs = struct.pack("<I", len(entry)) + entry + b"\0" * (-len(entry) % 4)
    header = (_LITTLE_ENDIAN, _HALF_FLOAT, 2, _RGBA, _RGBA16F, _RGBA, _SIDE, _SIDE, 0, 0, 6, levels, len(pairs))
    out = [_MAGIC, struct.pack("<13I", *header), pairs]
    for level in range(levels):
        side = _SIDE >> level
        texels = np.ones((6, side, side, 4), dtype=np.float16)
        texels[..., :3] = faces
        out += [struct.pack("<I", texels[0].nbytes), texels.tobytes()]
        if side > 1:
            faces = faces.reshape(6, side // 2, 2, side // 2, 2, 3).mean(axis=(2, 4))  # (6, side / 2, side / 2, 3)
    return b"".join(out)
