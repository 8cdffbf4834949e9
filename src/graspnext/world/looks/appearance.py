"""Colours, finishes and surface textures: how things look, drawn at random."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graspnext.types import Float64Array, UInt8Array
from graspnext.world.scene import Material

Color = tuple[int, int, int]
"""sRGB, 0..255."""

FINISHES: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "paper": ((0.55, 0.9), (0.0, 0.0)),
    "gloss": ((0.15, 0.35), (0.0, 0.0)),
    "plastic": ((0.3, 0.65), (0.0, 0.0)),
    "rubber": ((0.7, 0.95), (0.0, 0.0)),
    "cloth": ((0.9, 1.0), (0.0, 0.0)),
    "foil": ((0.25, 0.45), (0.3, 0.6)),
    "metal": ((0.3, 0.6), (0.75, 1.0)),
    "polished": ((0.12, 0.32), (0.95, 1.0)),
    "cast": ((0.45, 0.7), (0.9, 1.0)),
    "film": ((0.06, 0.2), (0.0, 0.0)),
}
"""Finish -> ranges of roughness and metallic."""

METALS: tuple[Color, ...] = (
    (196, 199, 202),
    (176, 178, 180),
    (214, 214, 212),
    (150, 152, 155),
    (206, 172, 98),
    (190, 132, 100),
    (120, 122, 126),
)
"""Steel, zinc, aluminium, iron, brass, copper, gunmetal."""


_GROUND_COLORS: tuple[Color, ...] = (
    (38, 82, 160),
    (70, 120, 190),
    (175, 30, 36),
    (40, 120, 70),
    (120, 200, 50),
    (225, 180, 40),
    (205, 180, 140),
    (120, 90, 66),
    (90, 110, 130),
)
"""Blue, light blue, red, green, lime, yellow, beige, brown and slate."""


def to_linear(color: Color) -> tuple[float, float, float]:
    """Turn sRGB 0..255 into linear light in [0, 1] (IEC 61966-2-1)."""
    value = np.asarray(color, dtype=np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return float(linear[0]), float(linear[1]), float(linear[2])


def sample_color(*, rng: np.random.Generator) -> Color:
    """A colour as manufactured things have: a quarter grey to white or black, the rest of all hues, many vivid."""
    kind = rng.random()
    if kind < 0.12:
        level = int(rng.integers(205, 250))
        return _shift((level, level, level), 8, rng=rng)
    if kind < 0.25:
        level = int(rng.integers(22, 200))
        return _shift((level, level, level), 10, rng=rng)
    hue, saturation, value = rng.random(), rng.uniform(0.15, 0.6), rng.uniform(0.25, 0.95)
    if kind < 0.7:
        saturation, value = rng.uniform(0.65, 1.0), rng.uniform(0.45, 1.0)
    r, g, b = colorsys.hsv_to_rgb(hue, saturation, value)
    return int(255 * r), int(255 * g), int(255 * b)


def sample_ground_color(*, rng: np.random.Generator) -> Color:
    """A colour as crates, tables and floors have: greys, whites and blacks half the time, then a few usual ones."""
    kind = rng.random()
    if kind < 0.5:
        level = int(rng.choice([rng.integers(20, 60), rng.integers(90, 190), rng.integers(195, 245)]))
        return _shift((level, level, level), 7, rng=rng)
    if kind < 0.8:
        return _shift(_GROUND_COLORS[int(rng.integers(len(_GROUND_COLORS)))], 22, rng=rng)
    return sample_color(rng=rng)


def _shift(color: Color, by: int, *, rng: np.random.Generator) -> Color:
    r, g, b = (int(np.clip(c + rng.integers(-by, by + 1), 0, 255)) for c in color)
    return r, g, b


def contrasting(color: Color, *, rng: np.random.Generator) -> Color:
    """A colour whose brightness differs clearly from the given one."""
    for _ in range(12):
        other = sample_color(rng=rng)
        if abs(_luma(other) - _luma(color)) > 70:
            return other
    return (245, 245, 245) if _luma(color) < 128 else (20, 20, 20)


def _luma(color: Color) -> float:
    return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]


def sample_material(
    finish: str, *, color: Color | None = None, texture: UInt8Array | None = None, rng: np.random.Generator
) -> Material:
    """A material of one of the `FINISHES`; white under a texture, of a random colour when neither is given."""
    roughness, metallic = FINISHES[finish]
    if texture is None and color is None:
        color = METALS[int(rng.integers(len(METALS)))] if finish == "metal" else sample_color(rng=rng)
    base = (1.0, 1.0, 1.0) if color is None else to_linear(color)
    return Material(base, float(rng.uniform(*roughness)), float(rng.uniform(*metallic)), texture)


@dataclass(frozen=True, eq=False)
class Atlas:
    """One texture of several prints and plain colours, one below the other."""

    texture: UInt8Array
    """(H, W, 3) uint8 sRGB."""
    cells: tuple[tuple[float, float, float, float], ...]
    """(u0, v0, u1, v1) of each entry, v up, a little inside its borders."""


def make_atlas(entries: Sequence[UInt8Array | Color], width: int = 128) -> Atlas:
    """Prints (h, w, 3) and plain colours stacked into one texture of `width` px."""
    from PIL import Image

    rows: list[UInt8Array] = []
    for entry in entries:
        if isinstance(entry, tuple):
            rows.append(np.broadcast_to(np.array(entry, dtype=np.uint8), (16, width, 3)))
        elif entry.shape[1] == width:
            rows.append(entry)
        else:
            rows.append(np.asarray(Image.fromarray(entry).resize((width, entry.shape[0]))))
    texture = np.concatenate(rows)
    height, top, cells = len(texture), 0, []
    for entry, row in zip(entries, rows, strict=True):
        # A plain colour is read from its very middle, so that coarser levels of the texture do not mix neighbours in.
        inset = 7.0 if isinstance(entry, tuple) else 1.0
        low, high = 1 - (top + len(row) - inset) / height, 1 - (top + inset) / height
        cells.append((inset / width, low, 1 - inset / width, high))
        top += len(row)
    return Atlas(np.ascontiguousarray(texture), tuple(cells))


def noise(size: tuple[int, int], cells: int, *, rng: np.random.Generator) -> Float64Array:
    """Smooth noise (H, W) in [0, 1] that repeats without seams: a coarse grid of `cells`, cubically enlarged."""
    from PIL import Image

    cells, margin = max(2, cells), 2
    grid = np.pad((rng.random((cells, cells)) * 255).astype(np.uint8), margin, mode="wrap")
    inside = (margin, margin, margin + cells, margin + cells)
    image = Image.fromarray(grid).resize((size[1], size[0]), Image.Resampling.BICUBIC, box=inside)
    return np.asarray(image, dtype=np.float64) / 255


def speckle(color: Color, size: tuple[int, int], amount: float, *, rng: np.random.Generator) -> UInt8Array:
    """A colour with fine grain and slow stains: concrete, felt, worn plastic. `amount` in [0, 1]."""
    grain = rng.normal(size=(*size, 1)) * 14 + (noise(size, 6, rng=rng)[..., None] - 0.5) * 60
    grain = grain + (noise(size, 24, rng=rng)[..., None] - 0.5) * 30
    return np.asarray(np.clip(np.array(color) + amount * grain, 0, 255), dtype=np.uint8)


def wood(size: tuple[int, int], *, rng: np.random.Generator) -> UInt8Array:
    """Grain lines along u over planks of one kind of wood."""
    base = np.array([(178, 132, 84), (205, 170, 120), (120, 82, 50), (222, 196, 156)][int(rng.integers(4))])
    v = np.arange(size[0])[:, None] / size[0] + 0.03 * noise(size, 4, rng=rng)
    lines = 0.5 + 0.5 * np.sin(2 * np.pi * v * rng.integers(8, 25) + 2 * noise(size, 4, rng=rng))
    picture = base + (lines[..., None] - 0.5) * 34 + rng.normal(size=(*size, 1)) * 5
    planks = int(rng.integers(1, 6))
    row = np.arange(size[0]) * planks // size[0]
    picture = picture + rng.normal(size=planks)[row][:, None, None] * 10
    picture[np.flatnonzero(np.diff(row))] *= 0.55
    return np.asarray(np.clip(picture, 0, 255), dtype=np.uint8)


def weave(color: Color, size: tuple[int, int], *, rng: np.random.Generator) -> UInt8Array:
    """Cloth: threads both ways, sometimes with stripes or checks of a second colour."""
    y, x = np.mgrid[: size[0], : size[1]]
    threads = 10 * ((x + y) % 2) + 8 * np.sin(x * np.pi / 2) + rng.normal(size=size) * 5
    picture = np.array(color) + threads[..., None] - 8 + (noise(size, 4, rng=rng)[..., None] - 0.5) * 24
    if rng.random() < 0.35:
        other = np.array(contrasting(color, rng=rng))
        period = int(rng.choice([16, 24, 32, 48, 64, 96]))
        stripe = (x % period) < period // int(rng.integers(2, 5))
        if rng.random() < 0.5:
            stripe = stripe | ((y % period) < period // 3)
        picture = np.where(stripe[..., None], 0.5 * picture + 0.5 * other, picture)
    return np.asarray(np.clip(picture, 0, 255), dtype=np.uint8)


def cardboard(size: tuple[int, int], *, rng: np.random.Generator) -> UInt8Array:
    """Brown (sometimes white) board with faint flutes and fibres."""
    base: Color = (214, 208, 198) if rng.random() < 0.15 else _shift((184, 146, 104), 9, rng=rng)
    flutes = 5 * np.sin(np.arange(size[1]) * 2 * np.pi / 8)[None, :, None]
    return np.asarray(np.clip(speckle(base, size, 0.35, rng=rng) + flutes, 0, 255), dtype=np.uint8)


def brushed(color: Color, size: tuple[int, int], *, rng: np.random.Generator) -> UInt8Array:
    """Metal drawn or brushed along u."""
    streaks = rng.normal(size=(size[0], 1, 1)) * 5 + rng.normal(size=(*size, 1)) * 3
    return np.asarray(np.clip(np.array(color) + streaks, 0, 255), dtype=np.uint8)
