"""Surfaces with relief and gloss of their own: metals, castings, film, and atlases of several of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graspnext.types import Float64Array, UInt8Array
from graspnext.world.looks.appearance import Color, make_atlas, noise, sample_material
from graspnext.world.scene import Material


@dataclass(frozen=True, eq=False)
class Skin:
    """One patch of surface, all maps of one size."""

    color: UInt8Array
    """(H, W, 3) or (H, W, 4) uint8 sRGB."""
    rough: Float64Array
    """(H, W) in [0, 1]: factor of the material's roughness."""
    metal: Float64Array
    """(H, W) in [0, 1]: factor of the material's metallic."""
    height: Float64Array
    """(H, W), px of this patch: relief."""


def skin_of(
    color: UInt8Array | Color, size: tuple[int, int] = (16, 16), *, rough: float = 1.0, metal: float = 1.0
) -> Skin:
    """A flat patch of a picture, or of one colour in `size`."""
    if isinstance(color, tuple):
        color = np.ascontiguousarray(np.broadcast_to(np.array(color, dtype=np.uint8), (*size, 3)))
    shape = color.shape[:2]
    return Skin(color, np.full(shape, rough), np.full(shape, metal), np.zeros(shape))


def brushed_skin(color: Color, size: tuple[int, int] = (96, 96), *, rng: np.random.Generator) -> Skin:
    """Metal drawn or brushed along u: streaks in colour and relief."""
    streaks = rng.normal(size=(size[0], 1)) * 0.7 + rng.normal(size=size) * 0.3
    streaks += 0.5 * np.roll(streaks, 1, axis=1) + 0.5 * np.roll(streaks, 2, axis=1)
    tones = np.clip(np.array(color) + 3 * streaks[..., None], 0, 255).astype(np.uint8)
    return Skin(tones, np.clip(0.8 + 0.1 * streaks, 0.3, 1), np.ones(size), 0.035 * streaks)


def cast_skin(color: Color, size: tuple[int, int] = (96, 96), *, metal: float = 1.0, rng: np.random.Generator) -> Skin:
    """As cast or blasted: fine pits, slow shades; painted castings have `metal` 0."""
    pits = noise(size, size[0] // 4, rng=rng) + 0.5 * rng.random(size) - 0.75
    slow = noise(size, 5, rng=rng) - 0.5
    tones = np.clip(np.array(color) * (1 + 0.12 * slow + 0.06 * pits)[..., None], 0, 255).astype(np.uint8)
    return Skin(tones, np.clip(0.9 + 0.2 * slow, 0, 1), np.full(size, metal), 0.35 * pits)


def galvanised_skin(size: tuple[int, int] = (64, 64), *, rng: np.random.Generator) -> Skin:
    """Zinc with its spangle: crystals of differing brightness and gloss."""
    count = 50
    seeds = rng.random((count, 2)) * np.array(size)
    y, x = np.mgrid[: size[0], : size[1]]
    nearest = ((y[..., None] - seeds[:, 0]) ** 2 + (x[..., None] - seeds[:, 1]) ** 2).argmin(axis=-1)
    tone, gloss = rng.normal(size=count)[nearest], rng.uniform(0.55, 1.0, count)[nearest]
    color = np.clip(np.array([182, 186, 190]) + 11 * tone[..., None], 0, 255).astype(np.uint8)
    return Skin(color, gloss, np.ones(size), np.zeros(size))


def crumpled_skin(color: UInt8Array, strength: float, *, rng: np.random.Generator) -> Skin:
    """Film with sharp creases between flat facets, over a picture (H, W, 3 or 4)."""
    size = (color.shape[0], color.shape[1])
    height = np.zeros(size)
    for cells in (5, 11, 23):
        height += np.abs(noise(size, cells, rng=rng) - 0.5) * size[0] / cells
    return dataclasses.replace(skin_of(color), height=strength * height)


def normal_map(height: Float64Array) -> UInt8Array:
    """The tangent-space normals (H, W, 3) of a relief (H, W) in px, x along u, y along v up."""
    along, down = np.gradient(height, axis=1), np.gradient(height, axis=0)
    normal = np.stack([-along, down, np.ones_like(height)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    return np.asarray(np.round(127.5 + 127.5 * normal), dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class SkinAtlas:
    """Several skins, one below the other, as the maps of one material."""

    texture: UInt8Array
    """(H, W, 3) or (H, W, 4) uint8 sRGB."""
    orm: UInt8Array | None
    """(H, W, 3) uint8, or None where every skin is as rough and metallic as its material."""
    normals: UInt8Array | None
    """(H, W, 3) uint8, or None where every skin is flat."""
    cells: tuple[tuple[float, float, float, float], ...]
    """(u0, v0, u1, v1) of each skin, v up, a little inside its borders."""

    def material(self, finish: str, *, rng: np.random.Generator) -> Material:
        """A material of one of the `FINISHES` that wears these maps."""
        plain = sample_material(finish, texture=self.texture, rng=rng)
        return dataclasses.replace(plain, orm=self.orm, normals=self.normals)


def make_skin_atlas(entries: Sequence[Skin | UInt8Array | Color], width: int = 128) -> SkinAtlas:
    """Skins, prints and plain colours stacked into maps of `width` px."""
    skins = [entry if isinstance(entry, Skin) else skin_of(entry, (16, width)) for entry in entries]
    deep = any(skin.color.shape[2] == 4 for skin in skins)
    colors = [_with_alpha(skin.color) if deep else skin.color for skin in skins]
    atlas = make_atlas(colors, width)
    orm = normals = None
    if any((skin.rough != 1).any() or (skin.metal != 1).any() for skin in skins):
        packed = [np.stack([np.ones_like(skin.rough), skin.rough, skin.metal], axis=-1) for skin in skins]
        orm = make_atlas([np.round(255 * layer).astype(np.uint8) for layer in packed], width).texture
    if any(skin.height.any() for skin in skins):
        normals = make_atlas([normal_map(skin.height) for skin in skins], width).texture
    return SkinAtlas(atlas.texture, orm, normals, atlas.cells)


def _with_alpha(color: UInt8Array) -> UInt8Array:
    if color.shape[2] == 4:
        return color
    return np.concatenate([color, np.full((*color.shape[:2], 1), 255, dtype=np.uint8)], axis=-1)
