"""Invented packaging prints: colour fields, words, small text, barcodes, marks and picture-like patches."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graspnext.types import UInt8Array
from graspnext.world.looks.appearance import Color, contrasting, noise, sample_color
from graspnext.world.looks.marks import barcode_picture, date_code, font, pictogram, square_code_picture

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

_CONSONANTS, _VOWELS = "bcdfgklmnprstvxz", "aeiou"


@dataclass(frozen=True)
class Scheme:
    """The colours that all faces of one package share, and its name."""

    ground: Color
    accent: Color
    second: Color
    ink: Color
    word: str


def sample_scheme(*, rng: np.random.Generator) -> Scheme:
    """Colours and an invented name: two thirds in shades of one hue with a little of another, as designers choose."""
    ground = sample_color(rng=rng) if rng.random() < 0.6 else (int(rng.integers(225, 250)),) * 3
    word = "".join(_letter(_CONSONANTS, rng=rng) + _letter(_VOWELS, rng=rng) for _ in range(int(rng.integers(2, 5))))
    word = [word.upper(), word.capitalize(), word][int(rng.integers(3))]
    accent, second = sample_color(rng=rng), sample_color(rng=rng)
    if rng.random() < 0.65:
        hue = float(rng.random())
        accent = _hsv(hue, rng.uniform(0.6, 1.0), rng.uniform(0.35, 0.85))
        second = _hsv(hue + rng.choice([0.0, 0.06, 0.5]), rng.uniform(0.5, 1.0), rng.uniform(0.5, 1.0))
    return Scheme(ground, accent, second, contrasting(ground, rng=rng), word)


def _hsv(hue: float, saturation: float, value: float) -> Color:
    r, g, b = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return int(255 * r), int(255 * g), int(255 * b)


def _letter(letters: str, *, rng: np.random.Generator) -> str:
    return letters[int(rng.integers(len(letters)))]


def printed(scheme: Scheme, size: tuple[int, int], *, aspect: float = 1.0, rng: np.random.Generator) -> UInt8Array:
    """One printed face.

    Args:
        scheme: Colours and name.
        size: (height, width) px of the result.
        aspect: Real width over height of the face, so that letters come out undistorted.
        rng: Source of randomness.

    Returns:
        (height, width, 3) uint8 sRGB.
    """
    from PIL import Image, ImageDraw

    aspect = float(np.clip(aspect, 0.1, 10))
    pixels = size[0] * size[1]
    height, width = max(16, int((pixels / aspect) ** 0.5)), max(16, int((pixels * aspect) ** 0.5))
    upright = height > 1.6 * width and rng.random() < 0.6  # long faces often carry their text lengthwise
    if upright:
        height, width = width, height
    image = Image.fromarray(_ground(scheme, (height, width), rng=rng))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(0, 3))):
        _field(draw, scheme, (height, width), rng=rng)
    if rng.random() < 0.35:
        _patch(image, (height, width), rng=rng)
    for _ in range(int(rng.integers(0, 3))):
        _mark(draw, scheme, (height, width), rng=rng)
    if rng.random() < 0.75:
        _word(image, scheme, rng=rng)
    for _ in range(int(rng.integers(0, 3))):
        _lines(draw, scheme, (height, width), rng=rng)
    if rng.random() < 0.35:
        _code(image, (height, width), rng=rng)
    if rng.random() < 0.25:
        _stamp(image, (height, width), rng=rng)
    if upright:
        image = image.rotate(90, expand=True)
    return np.asarray(image.resize((size[1], size[0])))


def _ground(scheme: Scheme, size: tuple[int, int], *, rng: np.random.Generator) -> UInt8Array:
    picture = np.broadcast_to(np.array(scheme.ground, dtype=np.float64), (*size, 3)).copy()
    kind = rng.random()
    if kind < 0.2:  # gradient
        t = np.linspace(0, 1, size[0])[:, None, None]
        picture = picture * (1 - t) + np.array(scheme.accent) * t
    elif kind < 0.32:  # stripes
        angle, period = rng.uniform(0, np.pi), rng.uniform(0.06, 0.25) * max(size)
        y, x = np.mgrid[: size[0], : size[1]]
        picture[((x * np.cos(angle) + y * np.sin(angle)) % period) < period / 2] = scheme.second
    elif kind < 0.4:  # slow patches of the accent
        picture[noise(size, 6, rng=rng) > 0.6] = scheme.accent
    return picture.astype(np.uint8)


def _box(size: tuple[int, int], low: float, high: float, *, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """A random rectangle (x0, y0, x1, y1) whose sides are `low`..`high` of the face's."""
    height, width = (max(2, int(side * rng.uniform(low, high))) for side in size)
    x, y = int(rng.integers(0, max(1, size[1] - width))), int(rng.integers(0, max(1, size[0] - height)))
    return x, y, x + width, y + height


def _field(draw: ImageDraw.ImageDraw, scheme: Scheme, size: tuple[int, int], *, rng: np.random.Generator) -> None:
    color = (scheme.accent, scheme.second, scheme.ink)[int(rng.choice(3, p=[0.55, 0.35, 0.1]))]
    height, width = size
    kind = int(rng.integers(4))
    if kind == 0:  # band across
        low = rng.uniform(0, 0.8) * height
        draw.rectangle((0, low, width, low + rng.uniform(0.08, 0.4) * height), fill=color)
    elif kind == 1:  # band down
        low = rng.uniform(0, 0.8) * width
        draw.rectangle((low, 0, low + rng.uniform(0.08, 0.4) * width, height), fill=color)
    elif kind == 2:  # slanted
        a, b = rng.uniform(-0.3, 1.2, 2) * width
        thick = rng.uniform(0.1, 0.5) * width
        draw.polygon([(a, 0), (a + thick, 0), (b + thick, height), (b, height)], fill=color)
    else:
        draw.rounded_rectangle(_box(size, 0.3, 0.8, rng=rng), radius=0.06 * min(size), fill=color)


def _mark(draw: ImageDraw.ImageDraw, scheme: Scheme, size: tuple[int, int], *, rng: np.random.Generator) -> None:
    """A logo-like shape: disc, ring, polygon or star."""
    radius = rng.uniform(0.1, 0.4) * min(size)
    x, y = rng.uniform(0.1, 0.9) * size[1], rng.uniform(0.1, 0.9) * size[0]
    color = scheme.second if rng.random() < 0.6 else sample_color(rng=rng)
    if rng.random() < 0.45:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color, outline=scheme.ink)
        if rng.random() < 0.5:
            inner = radius * 0.6
            draw.ellipse((x - inner, y - inner, x + inner, y + inner), fill=scheme.ground)
        return
    corners = int(rng.integers(3, 8))
    angle = np.arange(2 * corners) * np.pi / corners + rng.uniform(0, 6)
    reach = radius * np.where(np.arange(2 * corners) % 2, rng.uniform(0.4, 1.0), 1.0)
    draw.polygon([(x + r * np.cos(a), y + r * np.sin(a)) for r, a in zip(reach, angle, strict=True)], fill=color)


def _patch(image: Image.Image, size: tuple[int, int], *, rng: np.random.Generator) -> None:
    """A patch like a photograph: smooth noise in three channels."""
    from PIL import Image

    x0, y0, x1, y1 = _box(size, 0.3, 0.8, rng=rng)
    shape = (y1 - y0, x1 - x0)
    cells = int(rng.integers(3, 10))
    shade = noise(shape, cells, rng=rng)
    channels = [0.8 * shade + 0.2 * noise(shape, cells, rng=rng) for _ in range(3)]
    tone = np.array(sample_color(rng=rng)) / 255
    picture = np.clip((0.25 + 0.9 * np.stack(channels, axis=-1)) * (0.35 + 0.65 * tone) * 255, 0, 255)
    image.paste(Image.fromarray(picture.astype(np.uint8)), (x0, y0))


def _word(image: Image.Image, scheme: Scheme, *, rng: np.random.Generator) -> None:
    from PIL import ImageDraw

    draw = ImageDraw.Draw(image)
    width, height = image.size
    target = width * rng.uniform(0.45, 0.9)
    points = int(np.clip(target / (0.58 * len(scheme.word)), 7, 0.6 * height + 7))
    x = rng.uniform(0.03, 0.1) * width
    y = rng.uniform(0.02, 0.6) * height
    color = scheme.ink if rng.random() < 0.6 else contrasting(scheme.ground, rng=rng)
    if rng.random() < 0.4:
        left, top, right, bottom = draw.textbbox((x, y), scheme.word, font=font(points))
        draw.rectangle((left - 3, top - 3, right + 3, bottom + 3), fill=contrasting(color, rng=rng))
    draw.text((x, y), scheme.word, fill=color, font=font(points), stroke_width=int(rng.integers(0, 2)))


def _lines(draw: ImageDraw.ImageDraw, scheme: Scheme, size: tuple[int, int], *, rng: np.random.Generator) -> None:
    """Small print: lines of invented words, or where these would be unreadable, of dashes."""
    x0, y0, x1, y1 = _box(size, 0.2, 0.7, rng=rng)
    pitch = int(rng.integers(4, 11))
    if rng.random() < 0.3:
        draw.rectangle((x0 - 2, y0 - 2, x1 + 2, y1 + 2), fill=contrasting(scheme.ink, rng=rng))
    for y in range(y0, y1, pitch):
        if pitch >= 8:
            letters = "".join("aeio rstln mdcp"[int(i)] for i in rng.integers(0, 15, max(1, (x1 - x0) // 5)))
            draw.text((x0, y), letters, fill=scheme.ink, font=font(pitch))
            continue
        x = float(x0)
        while x < x1 * rng.uniform(0.8, 1.0):
            length = rng.uniform(3, 14)
            draw.line((x, y, min(x + length, x1), y), fill=scheme.ink, width=max(1, pitch // 3))
            x += length + 2


def _code(image: Image.Image, size: tuple[int, int], *, rng: np.random.Generator) -> None:
    """A bar code, or now and then a square one, somewhere on the face."""
    from PIL import Image

    if rng.random() < 0.25:
        side = int(np.clip(0.3 * min(size), 14, 64))
        picture = square_code_picture(side, rng=rng)
    else:
        width, height = int(np.clip(0.45 * size[1], 24, 130)), int(np.clip(0.25 * size[0], 12, 60))
        picture = barcode_picture(width, height, rng=rng)
    x, y = (int(rng.integers(2, max(3, side - 2))) for side in (size[1] - picture.shape[1], size[0] - picture.shape[0]))
    image.paste(Image.fromarray(picture), (x, y))


def _stamp(image: Image.Image, size: tuple[int, int], *, rng: np.random.Generator) -> None:
    """A pictogram, or a date as an ink jet prints it."""
    from PIL import Image, ImageDraw

    if rng.random() < 0.5:
        side = int(np.clip(0.22 * min(size), 12, 48))
        at = int(rng.integers(0, max(1, size[1] - side))), int(rng.integers(0, max(1, size[0] - side)))
        image.paste(Image.fromarray(pictogram(side, rng=rng)), at)
    else:
        at = int(0.05 * size[1]), int(rng.uniform(0.75, 0.9) * size[0])
        high = int(np.clip(0.08 * size[0], 7, 16))
        ImageDraw.Draw(image).text(at, date_code(rng=rng), fill=(25, 25, 30), font=font(high))


def collage(size: tuple[int, int], count: int, *, rng: np.random.Generator) -> UInt8Array:
    """A crowd of flat shapes and prints, as the clutter around a cell looks from above."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (size[1], size[0]), sample_color(rng=rng))
    draw = ImageDraw.Draw(image)
    for _ in range(count):
        box = _box(size, 0.04, 0.35, rng=rng)
        kind, color = int(rng.integers(4)), sample_color(rng=rng)
        if kind == 0:
            draw.ellipse(box, fill=color)
        elif kind == 1:
            draw.rounded_rectangle(box, radius=4, fill=color)
        elif kind == 2:
            draw.line((box[0], box[1], box[2], box[3]), fill=color, width=int(rng.integers(2, 14)))
        else:
            face = printed(sample_scheme(rng=rng), (box[3] - box[1], box[2] - box[0]), rng=rng)
            image.paste(Image.fromarray(face), box[:2])
    return np.asarray(image)


def tiles(colors: Sequence[Color], counts: tuple[int, int], size: int, *, rng: np.random.Generator) -> UInt8Array:
    """A chequered face (size, size, 3): `counts` (rows, columns) of coloured tiles between dark joints."""
    rows, columns = counts
    chosen = rng.integers(len(colors), size=(rows, columns))
    grid = np.array(colors, dtype=np.uint8)[chosen]  # (rows, columns, 3)
    y, x = np.arange(size) * rows // size, np.arange(size) * columns // size
    picture = grid[y][:, x]
    joint = max(1, size // 24)
    for i in range(rows + 1):
        at = i * size // rows
        picture[max(0, at - joint) : at + joint] = 18
    for i in range(columns + 1):
        at = i * size // columns
        picture[:, max(0, at - joint) : at + joint] = 18
    return picture
