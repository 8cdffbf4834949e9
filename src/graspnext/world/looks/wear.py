"""What use does to surfaces: scratches, fingerprints, dust, rubbed edges, stains, faded print.

Wear draws into all maps of a skin: a scratch is bright, rough and a groove; a fingerprint only dulls the gloss.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from graspnext.types import Float64Array, UInt8Array
from graspnext.world.looks.appearance import METALS, Color, noise
from graspnext.world.looks.skins import Skin, brushed_skin, cast_skin, galvanised_skin, make_skin_atlas, skin_of
from graspnext.world.scene import Material


def lines(size: tuple[int, int], count: int, *, rng: np.random.Generator) -> Float64Array:
    """A mask (H, W) in [0, 1] of fine straight scratches, most of them short."""
    from PIL import Image, ImageDraw

    image = Image.new("L", (size[1], size[0]))
    draw = ImageDraw.Draw(image)
    main = rng.uniform(0, np.pi)
    for _ in range(count):
        x, y = rng.random(2) * np.array([size[1], size[0]])
        angle, length = main + rng.normal() * 0.6, min(size) * rng.uniform(0.05, 0.5)
        end = (x + length * np.cos(angle), y + length * np.sin(angle))
        draw.line((x, y, *end), fill=int(rng.integers(70, 255)), width=1)
    return np.asarray(image, dtype=np.float64) / 255


def scratched(skin: Skin, count: int, *, bright: Color = (225, 225, 225), rng: np.random.Generator) -> Skin:
    """Scratches that show what lies below (`bright`)."""
    mask = lines((skin.rough.shape[0], skin.rough.shape[1]), count, rng=rng)
    color = skin.color.copy()
    share = 0.55 * mask[..., None]
    color[..., :3] = (color[..., :3] * (1 - share) + np.array(bright) * share).astype(np.uint8)
    return Skin(color, np.clip(skin.rough + 0.3 * mask, 0, 1), skin.metal, skin.height - 0.35 * mask)


def fingerprinted(skin: Skin, count: int, *, rng: np.random.Generator) -> Skin:
    """Ridged ovals in which a glossy surface is dull; the material's roughness must leave room for it."""
    rough = skin.rough.copy()
    H, W = rough.shape
    y, x = np.mgrid[:H, :W]
    for _ in range(count):
        size = min(H, W) * rng.uniform(0.09, 0.17)
        turn, cx, cy = rng.uniform(0, np.pi), rng.uniform(0, W), rng.uniform(0, H)
        u = ((x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)) / size
        v = ((y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)) / (1.4 * size)
        ridges = 0.6 + 0.4 * np.sin(9 * np.hypot(u, v + 0.4))
        rough = np.maximum(rough, np.where(u * u + v * v < 1, ridges * rng.uniform(0.6, 1.0), 0.0))
    return dataclasses.replace(skin, rough=np.clip(rough, 0, 1))


def dusty(skin: Skin, amount: float, *, rng: np.random.Generator) -> Skin:
    """Grey dust in slow patches and grains: dull, pale. `amount` in [0, 1]."""
    size = (skin.rough.shape[0], skin.rough.shape[1])
    patches = np.clip(noise(size, 5, rng=rng) * 1.6 - 0.5, 0, 1) * (0.7 + 0.3 * rng.random(size))
    share = (0.55 * amount * patches)[..., None]
    color = skin.color.copy()
    color[..., :3] = (color[..., :3] * (1 - share) + np.array([168, 162, 152]) * share).astype(np.uint8)
    return dataclasses.replace(skin, color=color, rough=np.clip(skin.rough + share[..., 0], 0, 1))


def worn(pictures: Sequence[UInt8Array], amount: float, *, rng: np.random.Generator) -> list[UInt8Array]:
    """Prints (H, W, 3) of one size after some handling: rubbed edges and corners, a stain, faded colours.

    Args:
        pictures: The faces of one package, which fade alike.
        amount: [0, 1].
        rng: Source of randomness.
    """
    H, W = pictures[0].shape[:2]
    y, x = np.minimum(np.arange(H), np.arange(H)[::-1]), np.minimum(np.arange(W), np.arange(W)[::-1])
    border = np.minimum(y[:, None], x[None]) + 0.35 * np.maximum(y[:, None], x[None])  # px from edge, less at corners
    reach = (0.05 + 0.05 * amount) * min(H, W)
    rub = np.clip(reach * noise((H, W), 24, rng=rng) - border, 0, 1.5)[..., None] / 1.5 * amount
    faded = 0.35 * amount * float(rng.random())
    dirty = int(rng.integers(len(pictures))) if rng.random() < amount else -1
    done = []
    for number, picture in enumerate(pictures):
        image = picture.astype(np.float32)
        image += faded * (0.6 * image.mean(axis=-1, keepdims=True) + 90 - image)
        image += rub[:: (1, -1)[number % 2]].astype(np.float32) * (np.array([214, 206, 192], np.float32) - image)
        if number == dirty:
            stain = np.clip(noise((H, W), 4, rng=rng) * 4 - 2.9, 0, 1) * rng.uniform(0.15, 0.5)
            image *= 1 - stain[..., None] * np.array([0.5, 0.6, 0.75], dtype=np.float32)
        done.append(np.asarray(np.clip(image, 0, 255), dtype=np.uint8))
    return done


def sample_metal(*, rng: np.random.Generator) -> Material:
    """Bare metal as it leaves a shop: brushed, galvanised, as cast, or polished and touched; some of it scratched."""
    color = METALS[int(rng.integers(len(METALS)))]
    kind = int(rng.choice(4, p=[0.4, 0.2, 0.2, 0.2]))
    finish = ("metal", "metal", "cast", "polished")[kind]
    if kind == 0:
        skin = brushed_skin(color, rng=rng)
    elif kind == 1:
        skin = galvanised_skin(rng=rng)
    elif kind == 2:
        skin = cast_skin(color, metal=0.7, rng=rng)
    else:
        skin = fingerprinted(skin_of(color, (96, 96), rough=0.4), int(rng.integers(0, 5)), rng=rng)
    if rng.random() < 0.5:
        skin = scratched(skin, int(rng.integers(2, 14)), rng=rng)
    material = make_skin_atlas([skin], 96).material(finish, rng=rng)
    return dataclasses.replace(material, roughness=min(1.0, material.roughness / 0.4)) if kind == 3 else material


def sample_paint(color: Color, *, rng: np.random.Generator) -> Material:
    """Painted or moulded: smooth and touched, or grained; some of it scratched or dusty."""
    if rng.random() < 0.5:
        skin, finish = fingerprinted(skin_of(color, (96, 96), rough=0.5), int(rng.integers(0, 4)), rng=rng), "gloss"
    else:
        skin, finish = cast_skin(color, metal=0.0, rng=rng), "plastic"
    if rng.random() < 0.4:
        skin = scratched(skin, int(rng.integers(2, 12)), rng=rng)
    if rng.random() < 0.4:
        skin = dusty(skin, float(rng.uniform(0.2, 0.9)), rng=rng)
    material = make_skin_atlas([skin], 96).material(finish, rng=rng)
    return dataclasses.replace(material, roughness=min(1.0, 2 * material.roughness)) if finish == "gloss" else material
