"""The ground that containers stand on, and what table tops look like."""

from __future__ import annotations

import numpy as np

from graspnext.types import Float64Array, UInt8Array
from graspnext.world.looks.appearance import (
    METALS,
    Color,
    brushed,
    noise,
    sample_color,
    sample_ground_color,
    sample_material,
    speckle,
    weave,
    wood,
)
from graspnext.world.looks.prints import collage
from graspnext.world.parts.draws import between, chance, size_between
from graspnext.world.scene import Container, Floor

_TEXTURE = 192
_GROUND = 384
"""Side, px, of a ground's texture: it repeats after a metre or more."""
_YELLOWS: tuple[Color, ...] = ((232, 190, 28), (240, 240, 236), (200, 40, 36), (30, 100, 180))


def sample_surface(*, rng: np.random.Generator) -> tuple[UInt8Array, str]:
    """A texture (H, W, 3) that repeats every 0.25 m, for a table top or a ground, and its finish."""
    size = (_TEXTURE, _TEXTURE)
    kind = rng.random()
    if kind < 0.2:  # painted or plastic-coated, any colour
        return speckle(sample_ground_color(rng=rng), size, between(0, 0.25, rng=rng), rng=rng), "plastic"
    if kind < 0.34:  # white, grey
        level = int(rng.integers(110, 245))
        return speckle((level, level, level), size, between(0, 0.4, rng=rng), rng=rng), "paper"
    if kind < 0.48:  # concrete, stone
        level = int(rng.integers(90, 190))
        return speckle((level, level, max(0, level - 6)), size, between(0.6, 1.4, rng=rng), rng=rng), "paper"
    if kind < 0.62:
        return wood(size, rng=rng), "plastic"
    if kind < 0.82:
        vivid = [(40, 140, 60), (120, 220, 30), (30, 70, 160), (235, 235, 232), (130, 130, 132), (25, 25, 28)]
        color = vivid[int(rng.integers(len(vivid)))] if chance(0.6, rng=rng) else sample_ground_color(rng=rng)
        return weave(color, size, rng=rng), "cloth"
    if kind < 0.9:
        metal = METALS[int(rng.integers(len(METALS)))]
        return brushed(metal, size, rng=rng), "metal"
    cells = int(rng.integers(4, 30))
    shade = noise(size, cells, rng=rng)[..., None]
    channels = 0.65 * shade + 0.35 * np.stack([noise(size, cells, rng=rng) for _ in range(3)], axis=-1)
    tone = np.array(sample_color(rng=rng))
    return np.clip(tone * (0.4 + 0.9 * channels), 0, 255).astype(np.uint8), "paper"


def sample_ground(*, rng: np.random.Generator) -> tuple[UInt8Array, str]:
    """A texture (384, 384, 3) for a workshop's ground, and its finish: concrete, epoxy, tiles, steel sheet, planks,
    carpet; often with painted lines.
    """
    size, kind = (_GROUND, _GROUND), rng.random()
    if kind < 0.36:
        level = int(rng.integers(85, 190))
        picture = speckle((level, level, level - int(rng.integers(0, 12))), size, between(0.5, 1.1, rng=rng), rng=rng)
        picture = _stained(picture, 0.35, rng=rng)
        finish = "paper"
    elif kind < 0.56:  # poured resin
        tones: list[Color] = [(122, 128, 132), (92, 108, 122), (72, 110, 92), (150, 150, 144), (130, 70, 62)]
        color = tones[int(rng.integers(len(tones)))]
        picture, finish = _stained(speckle(color, size, 0.25, rng=rng), 0.2, rng=rng), "gloss"
    elif kind < 0.68:
        return _tiled(size, rng=rng), "gloss"
    elif kind < 0.78:
        return _tread_plate(size, rng=rng), "metal"
    elif kind < 0.88:
        return wood(size, rng=rng), "plastic"
    else:
        return weave(sample_ground_color(rng=rng), size, rng=rng), "cloth"
    return _marked(picture, rng=rng), finish


def _stained(picture: UInt8Array, amount: float, *, rng: np.random.Generator) -> UInt8Array:
    """Slow darker and lighter patches, and tyre or drag marks, that repeat without seams in the patches."""
    size = picture.shape[:2]
    shade = (
        1
        + amount * (noise((size[0], size[1]), 5, rng=rng) - 0.5)
        + 0.5 * amount * (noise((size[0], size[1]), 19, rng=rng) - 0.5)
    )
    return np.asarray(np.clip(picture * shade[..., None], 0, 255), dtype=np.uint8)


def _tiled(size: tuple[int, int], *, rng: np.random.Generator) -> UInt8Array:
    """Square tiles, each of a slightly different tone, with joints."""
    count = int(rng.choice([3, 4, 5, 8]))
    color = np.array(sample_ground_color(rng=rng), dtype=np.float64)
    tone = rng.normal(scale=5, size=(count, count))
    index = np.arange(size[0]) * count // size[0]
    picture = color + tone[index][:, index][..., None] + rng.normal(size=(*size, 1)) * 3
    joint = np.diff(index, prepend=-1) != 0
    joint |= np.roll(joint, 1) | np.roll(joint, -1)
    picture[joint] *= 0.65
    picture[:, joint] *= 0.65
    return np.clip(picture, 0, 255).astype(np.uint8)


def _tread_plate(size: tuple[int, int], *, rng: np.random.Generator) -> UInt8Array:
    """Steel sheet with raised lozenges in two directions."""
    y, x = np.mgrid[: size[0], : size[1]]
    step = size[0] // int(rng.choice([16, 32]))
    even = ((x // step + y // step) % 2 == 0)[..., None]
    u, v = (x % step) / step - 0.5, (y % step) / step - 0.5
    a, b = (u + v) * np.sqrt(0.5), (u - v) * np.sqrt(0.5)
    first = np.clip(1 - (a / 0.42) ** 2 - (b / 0.12) ** 2, 0, 1)[..., None]
    second = np.clip(1 - (b / 0.42) ** 2 - (a / 0.12) ** 2, 0, 1)[..., None]
    base = speckle((150, 152, 154), size, 0.4, rng=rng).astype(np.float64)
    return np.asarray(np.clip(base + 70 * np.where(even, first, second) - 20, 0, 255), dtype=np.uint8)


def _marked(picture: UInt8Array, *, rng: np.random.Generator) -> UInt8Array:
    """Painted lines, a hatched field or a taped corner, worn; often nothing."""
    from PIL import Image, ImageDraw

    side = len(picture)
    if chance(0.45, rng=rng):
        return picture
    mask = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(mask)
    thick = int(side * between(0.02, 0.05, rng=rng))
    kind, at = int(rng.integers(3)), int(rng.uniform(0.1, 0.9) * side)
    if kind == 0:
        draw.rectangle((0, at, side, at + thick), fill=255)
    elif kind == 1:  # hatched band
        for x in range(-side, side, 2 * thick):
            draw.polygon(
                [(x, 0), (x + thick, 0), (x + thick + side // 4, side // 4), (x + side // 4, side // 4)], fill=255
            )
    else:
        draw.rectangle((at, 0, at + thick, side), fill=255)
        draw.rectangle((0, at, side, at + thick), fill=255)
    rubbed = np.clip(1.4 - 1.1 * noise((side, side), 24, rng=rng), 0, 1)
    share: Float64Array = (np.asarray(mask, dtype=np.float64) / 255 * rubbed)[..., None]
    paint = np.array(_YELLOWS[int(rng.choice(len(_YELLOWS), p=[0.6, 0.2, 0.1, 0.1]))])
    return (picture * (1 - share) + paint * share).astype(np.uint8)


def sample_floor(container: Container, *, rng: np.random.Generator) -> Floor:
    """Ground for a container: right under it, or far below as under a table or a conveyor; sometimes cluttered.

    What stands high up shows a workshop's ground; what is right under a box may as well be a table top.
    """
    bottom = min(float(centre[2] - half[2]) for half, centre in container.boxes)
    raised = container.kind == "table" or (container.kind != "conveyor" and chance(0.3, rng=rng))
    below = size_between(0.1, 0.9, rng=rng) if raised else 0.0
    half_size = between(1.2, 2.5, rng=rng)
    repeat_m = 0.25
    if chance(0.3 if raised else 0.08, rng=rng):
        texture, finish = collage((_TEXTURE, _TEXTURE), int(rng.integers(15, 60)), rng=rng), "paper"
        repeat_m = between(0.25, 0.9, rng=rng)
    elif container.kind == "conveyor" or chance(0.55, rng=rng):
        texture, finish = sample_ground(rng=rng)
        repeat_m = between(0.8, 2.0, rng=rng)
    else:
        texture, finish = sample_surface(rng=rng)
    material = sample_material(finish, texture=texture, rng=rng)
    return Floor(bottom - below, half_size, material, repeat_m)
