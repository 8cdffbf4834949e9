"""Frames of aluminium profile, panels, fences and shelves."""

from __future__ import annotations

import numpy as np

from graspnext.types import UInt8Array
from graspnext.world.looks.appearance import (
    METALS,
    Color,
    brushed,
    contrasting,
    noise,
    sample_color,
    sample_ground_color,
    sample_material,
)
from graspnext.world.looks.prints import printed, sample_scheme
from graspnext.world.parts.draws import between, chance
from graspnext.world.props.shape import Shape


def _aluminium(*, rng: np.random.Generator) -> UInt8Array:
    """Anodised profile with its slots: dark lines along u."""
    picture = brushed((204, 206, 208), (64, 64), rng=rng)
    picture[26:38] = (picture[26:38] * 0.35).astype(np.uint8)
    picture[[24, 25, 38, 39]] = (picture[[24, 25, 38, 39]] * 0.8).astype(np.uint8)
    return picture


def profile_frame(ground: float, rng: np.random.Generator) -> Shape:
    """Posts and beams of slotted profile, as machine frames are built of."""
    shape = Shape(square=True)
    metal = shape.paint(sample_material("metal", texture=_aluminium(rng=rng), rng=rng))
    cap = shape.plain("plastic", (26, 26, 28), rng=rng)
    side, width = float(rng.choice([0.03, 0.04, 0.045])), between(0.4, 1.1, rng=rng)
    tall, deep = between(0.3, 1.0, rng=rng), between(0.2, 0.6, rng=rng)
    bottom = max(ground, -0.5)
    top = max(bottom + tall, 0.05)
    for x in (0.0, deep):
        for y in (-width / 2, width / 2 - side):
            shape.bar((x, y, ground), (x + side, y + side, top), metal)
            shape.bar((x, y, top), (x + side, y + side, top + 0.003), cap)
        for z in (top - side, *((between(0.3, 0.6, rng=rng) * top,) if chance(0.5, rng=rng) and top > 0.3 else ())):
            shape.bar((x, -width / 2 + side, z), (x + side, width / 2 - side, z + side), metal)
    for y in (-width / 2, width / 2 - side):
        shape.bar((side, y, top - side), (deep, y + side, top), metal)
    return shape


def _screen(*, rng: np.random.Generator) -> UInt8Array:
    """What a monitor shows: windows and lines on a dark or light ground."""
    scheme = sample_scheme(rng=rng)
    return printed(scheme, (96, 160), aspect=1.6, rng=rng)


def _pane(*, rng: np.random.Generator) -> UInt8Array:
    """Glass with the bright and dark shapes behind and in it."""
    shade = noise((96, 96), 4, rng=rng)
    base = np.array(sample_color(rng=rng)) * 0.3 + between(20, 170, rng=rng)
    bright = 0.6 + 0.7 * (shade > between(0.4, 0.6, rng=rng))
    picture = base * bright[..., None] + 60 * noise((96, 96), 9, rng=rng)[..., None]
    return np.asarray(np.clip(picture, 0, 255), dtype=np.uint8)


def panel(ground: float, rng: np.random.Generator) -> Shape:
    """An upright frame with a pane: door, window, machine guard, whiteboard, cabinet or monitor."""
    shape = Shape(square=chance(0.7, rng=rng))
    kind = int(rng.integers(4))
    frame_tones: list[Color] = [(210, 212, 214), (30, 32, 34), (236, 236, 232), (150, 152, 156)]
    frame = shape.plain("plastic", frame_tones[int(rng.integers(len(frame_tones)))], rng=rng)
    width, tall = between(0.4, 1.2, rng=rng), between(0.4, 1.1, rng=rng)
    bottom, border, deep = ground, between(0.02, 0.06, rng=rng), 0.035
    if kind == 0:  # monitor on a foot
        width, tall, border = between(0.35, 0.6, rng=rng), between(0.22, 0.36, rng=rng), 0.012
        bottom = max(ground, -0.3) + between(0.08, 0.3, rng=rng)
        picture = _screen(rng=rng)
        shape.bar((0.012, -0.03, ground), (deep, 0.03, bottom), frame)
    elif kind == 1:  # cabinet or door of sheet metal
        tone = sample_ground_color(rng=rng)
        picture = np.broadcast_to(np.array(tone, dtype=np.uint8), (96, 96, 3)).copy()
        picture[44:52, 80:88] = contrasting(tone, rng=rng)
    else:
        picture = _pane(rng=rng)
    pane = shape.paint(sample_material("gloss", texture=picture, rng=rng))
    y0, y1, z0, z1 = -width / 2, width / 2, bottom, bottom + tall
    shape.bar((0, y0, z0), (deep, y0 + border, z1), frame)
    shape.bar((0, y1 - border, z0), (deep, y1, z1), frame)
    shape.bar((0, y0 + border, z0), (deep, y1 - border, z0 + border), frame)
    shape.bar((0, y0 + border, z1 - border), (deep, y1 - border, z1), frame)
    shape.bar((0.01, y0 + border, z0 + border), (0.02, y1 - border, z1 - border), pane)
    if kind >= 2 and chance(0.6, rng=rng):
        shape.bar((0.005, -border / 3, z0 + border), (0.025, border / 3, z1 - border), frame)
    return shape


def fence(ground: float, rng: np.random.Generator) -> Shape:
    """A guard fence: posts and welded mesh."""
    shape = Shape(square=True)
    tones: list[Color] = [(236, 196, 24), (30, 32, 34), (120, 124, 128), (224, 226, 228)]
    post = shape.plain("plastic", tones[int(rng.integers(len(tones)))], rng=rng)
    wire = shape.plain("plastic", tones[int(rng.integers(1, len(tones)))], rng=rng)
    width, tall, thick = between(0.6, 1.2, rng=rng), between(0.5, 1.1, rng=rng), 0.004
    pitch = between(0.04, 0.08, rng=rng)
    top = ground + tall
    for y in (-width / 2, width / 2 - 0.04):
        shape.bar((0, y, ground), (0.04, y + 0.04, top + 0.03), post)
    for y in np.arange(-width / 2 + 0.04 + pitch / 2, width / 2 - 0.04, pitch):
        shape.bar((0.018, y, ground + 0.1), (0.018 + thick, y + thick, top), wire)
    for z in np.arange(ground + 0.1, top, 2 * pitch):
        shape.bar((0.018 + thick, -width / 2 + 0.04, z), (0.018 + 2 * thick, width / 2 - 0.04, z + thick), wire)
    return shape


def shelf(ground: float, rng: np.random.Generator) -> Shape:
    """A rack with perforated posts and empty boards."""
    shape = Shape(square=True)
    tones: list[Color] = [(36, 74, 150), (226, 104, 32), (120, 124, 128), (60, 64, 68)]
    post = shape.plain("plastic", tones[int(rng.integers(len(tones)))], rng=rng)
    board = shape.plain("metal" if chance(0.4, rng=rng) else "plastic", METALS[int(rng.integers(3))], rng=rng)
    width, deep, tall = between(0.5, 1.2, rng=rng), between(0.25, 0.5, rng=rng), between(0.4, 1.1, rng=rng)
    for x in (0.0, deep - 0.04):
        for y in (-width / 2, width / 2 - 0.04):
            shape.bar((x, y, ground), (x + 0.04, y + 0.04, ground + tall), post)
    for k in range(int(rng.integers(2, 4))):
        z = ground + 0.08 + k * (tall - 0.12) / 2
        shape.bar((0.005, -width / 2 + 0.04, z), (deep - 0.005, width / 2 - 0.04, z + 0.025), board)
    return shape
