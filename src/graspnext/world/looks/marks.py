"""What packages and parts carry beside their design: bar codes, square codes, labels, pictograms, dates, part numbers.

EAN-13 and Code 128 are the real codes (ISO/IEC 15420 and 15417) of invented numbers, with their quiet zones; square
codes have the finder and timing patterns of QR codes (ISO/IEC 18004) around random modules. All drawings are our own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from graspnext.types import BoolArray, UInt8Array

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

_EAN_LEFT = (
    "0001101",
    "0011001",
    "0010011",
    "0111101",
    "0100011",
    "0110001",
    "0101111",
    "0111011",
    "0110111",
    "0001011",
)
_EAN_PARITY = ("LLLLLL", "LLGLGG", "LLGGLG", "LLGGGL", "LGLLGG", "LGGLLG", "LGGGLL", "LGLGLG", "LGLGGL", "LGGLGL")
_CODE_128 = (  # widths of bars and spaces, six digits a symbol
    "212222 222122 222221 121223 121322 131222 122213 122312 132212 221213 221312 231212 112232 122132 122231 113222 "
    "123122 123221 223211 221132 221231 213212 223112 312131 311222 321122 321221 312212 322112 322211 212123 212321 "
    "232121 111323 131123 131321 112313 132113 132311 211313 231113 231311 112133 112331 132131 113123 113321 133121 "
    "313121 211331 231131 213113 213311 213131 311123 311321 331121 312113 312311 332111 314111 221411 431111 111224 "
    "111422 121124 121421 141122 141221 112214 112412 122114 122411 142112 142211 241211 221114 413111 241112 134111 "
    "111242 121142 121241 114212 124112 124211 411212 421112 421211 212141 214121 412121 111143 111341 131141 114113 "
    "114311 411113 411311 113141 114131 311141 411131 211412 211214 211232"
)
_START_B, _STOP = 104, "2331112"
_INK, _PAPER = (18, 18, 20), (248, 248, 246)
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"


@lru_cache(maxsize=64)
def font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """The one typeface, in px."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def ean13(digits: str) -> BoolArray:
    """The 95 modules of an EAN-13 code, True = bar; a thirteenth digit is added to the first twelve."""
    numbers = [int(digit) for digit in digits[:12]]
    numbers.append(-(sum(numbers[::2]) + 3 * sum(numbers[1::2])) % 10)
    right = ["".join("10"[int(bit)] for bit in _EAN_LEFT[n]) for n in numbers[7:]]
    left = []
    for n, parity in zip(numbers[1:7], _EAN_PARITY[numbers[0]], strict=True):
        pattern = _EAN_LEFT[n]
        left.append(pattern if parity == "L" else "".join("10"[int(bit)] for bit in pattern)[::-1])
    return np.array([bit == "1" for bit in "101" + "".join(left) + "01010" + "".join(right) + "101"])


def code128(text: str) -> BoolArray:
    """The modules of a Code 128 B code of printable ASCII, True = bar."""
    values = [ord(letter) - 32 for letter in text]
    check = (_START_B + sum(i * value for i, value in enumerate(values, start=1))) % 103
    widths = "".join([*(_CODE_128[7 * value : 7 * value + 6] for value in (_START_B, *values, check)), _STOP])
    return np.repeat(np.arange(len(widths)) % 2 == 0, [int(width) for width in widths])


def square_code(modules: int, *, rng: np.random.Generator) -> BoolArray:
    """A QR-like square (modules, modules), True = dark; 21, 25, 29 ... modules."""
    code = rng.random((modules, modules)) < 0.5
    code[6], code[:, 6] = np.arange(modules) % 2 == 0, np.arange(modules) % 2 == 0
    finder = np.ones((8, 8), dtype=bool)
    finder[7] = finder[:, 7] = False
    finder[1:6, 1:6] = False
    finder[2:5, 2:5] = True
    code[:8, :8], code[:8, -8:], code[-8:, :8] = finder, finder[:, ::-1], finder[::-1]
    return np.asarray(code)


def barcode_picture(width: int, height: int, *, rng: np.random.Generator) -> UInt8Array:
    """Bars on white with quiet zones and, where there is room, digits below: (height, width, 3)."""
    digits = "".join(str(int(digit)) for digit in rng.integers(0, 10, 12))
    modules, quiet = (ean13(digits), 9) if rng.random() < 0.6 else (code128(digits[:8]), 10)
    line = np.pad(modules, quiet)
    column = np.minimum(((np.arange(width) + 0.5) * len(line) / width).astype(int), len(line) - 1)
    # The share of each pixel that bars cover, so that narrow codes stay even grey combs.
    edges = np.concatenate([[0.0], np.cumsum(line)])
    at = np.arange(width + 1) * len(line) / width
    covered = np.diff(np.interp(at, np.arange(len(edges)), edges)) * width / len(line)
    dark = covered if width < 2 * len(line) else line[column].astype(np.float64)
    row = np.array(_PAPER) + dark[:, None] * (np.array(_INK) - np.array(_PAPER))
    picture = np.broadcast_to(row, (height, width, 3)).astype(np.uint8).copy()
    margin = max(1, height // 16)
    picture[:margin] = picture[-margin:] = _PAPER
    if height >= 30:
        tall = height // 5
        picture[-tall - margin :] = _PAPER
        paste_text(picture, digits, (quiet * width // len(line), height - tall - margin), tall, _INK)
    return picture


def paste_text(picture: UInt8Array, text: str, at: tuple[int, int], size: int, color: tuple[int, int, int]) -> None:
    """Write onto a picture (H, W, 3) in place, `at` (x, y) px, letters `size` px high."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(picture)
    ImageDraw.Draw(image).text(at, text, fill=color, font=font(max(6, size)))
    picture[:] = np.asarray(image)


def part_number(*, rng: np.random.Generator) -> str:
    """A number as makers stamp on parts."""
    letter = _LETTERS[int(rng.integers(len(_LETTERS)))]
    other = _LETTERS[int(rng.integers(len(_LETTERS)))]
    number = int(rng.integers(100, 9999))
    forms = (
        f"{letter}{number}-{other}",
        f"{number}-2{other}S",
        f"{letter}{other} {number}",
        f"{number}.{number % 97:02d}",
    )
    return forms[int(rng.integers(len(forms)))]


def date_code(*, rng: np.random.Generator) -> str:
    """A best-before date or a lot, as ink jets print them."""
    month, year, lot = int(rng.integers(1, 13)), int(rng.integers(25, 31)), int(rng.integers(10**4, 10**5))
    forms = (f"EXP {month:02d}/20{year}", f"BB {month:02d}.{year}  L{lot}", f"LOT {lot}{_LETTERS[month]}")
    return forms[int(rng.integers(len(forms)))]


def shipping_label(size: tuple[int, int], *, rng: np.random.Generator) -> UInt8Array:
    """A carrier's label (H, W, 3): frames, addresses, a routing code, bars and a square code."""
    from PIL import Image, ImageDraw

    height, width = size
    image = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(image)
    rows = [0.0, 0.17, 0.45, 0.62, 1.0]
    for share in rows[1:4]:
        draw.line((0, share * height, width, share * height), fill=_INK, width=max(1, height // 90))
    draw.rectangle((0, 0, width - 1, height - 1), outline=_INK, width=max(1, height // 90))
    route = "".join(_LETTERS[int(i)] for i in rng.integers(0, len(_LETTERS), 3)) + f" {int(rng.integers(10, 99))}"
    draw.text((0.04 * width, 0.02 * height), route, fill=_INK, font=font(int(0.13 * height)))
    text = max(6, int(0.055 * height))
    for i in range(4):
        words = " ".join(_word(rng=rng) for _ in range(int(rng.integers(1, 3))))
        draw.text((0.05 * width, (0.19 + 0.063 * i) * height), words, fill=_INK, font=font(text))
    side = int(0.26 * height)
    _paste(image, square_code(25, rng=rng), (int(0.97 * width) - side, int(0.18 * height)), side)
    number = "".join(str(int(digit)) for digit in rng.integers(0, 10, 10))
    draw.text((0.05 * width, 0.48 * height), f"1Z {number}", fill=_INK, font=font(int(0.09 * height)))
    bars = barcode_picture(int(0.9 * width), int(0.33 * height), rng=rng)
    image.paste(Image.fromarray(bars), (int(0.05 * width), int(0.645 * height)))
    return np.asarray(image)


def _word(*, rng: np.random.Generator) -> str:
    letters = "aeiourstlnmk"
    return "".join(letters[int(i)] for i in rng.integers(0, len(letters), int(rng.integers(4, 9)))).capitalize()


def _paste(image: Image.Image, code: BoolArray, at: tuple[int, int], side: int) -> None:
    from PIL import Image

    tones = np.where(code[..., None], np.array(_INK), np.array(_PAPER)).astype(np.uint8)
    image.paste(Image.fromarray(np.ascontiguousarray(tones)).resize((side, side), Image.Resampling.BOX), at)


def square_code_picture(side: int, *, rng: np.random.Generator) -> UInt8Array:
    """A QR-like code with its quiet zone, (side, side, 3)."""
    from PIL import Image

    image = Image.new("RGB", (side, side), _PAPER)
    margin = max(2, side // 9)
    _paste(image, square_code(21, rng=rng), (margin, margin), side - 2 * margin)
    return np.asarray(image)


def pictogram(side: int, *, rng: np.random.Generator) -> UInt8Array:
    """A hazard diamond, or a handling sign as on cartons: (side, side, 3)."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (4 * side, 4 * side), _PAPER)
    draw = ImageDraw.Draw(image)
    s = 4 * side / 100
    (_hazard if rng.random() < 0.5 else _handling)(draw, s, rng=rng)
    return np.asarray(image.resize((side, side), Image.Resampling.BOX))


def _points(pairs: Sequence[tuple[float, float]], s: float) -> list[tuple[float, float]]:
    return [(x * s, y * s) for x, y in pairs]


def _hazard(draw: ImageDraw.ImageDraw, s: float, *, rng: np.random.Generator) -> None:
    draw.polygon(_points([(50, 3), (97, 50), (50, 97), (3, 50)], s), fill=(214, 30, 34))
    draw.polygon(_points([(50, 13), (87, 50), (50, 87), (13, 50)], s), fill=(250, 250, 250))
    kind = int(rng.integers(3))
    if kind == 0:  # flame
        flame = [(50, 26), (57, 38), (62, 33), (66, 50), (62, 64), (38, 64), (33, 50), (40, 42), (43, 36)]
        draw.polygon(_points(flame, s), fill=_INK)
        draw.polygon(_points([(50, 44), (56, 54), (53, 63), (46, 63), (44, 54)], s), fill=(250, 250, 250))
        draw.rectangle((36 * s, 67 * s, 64 * s, 71 * s), fill=_INK)
    elif kind == 1:  # exclamation mark
        draw.polygon(_points([(45, 28), (55, 28), (53, 58), (47, 58)], s), fill=_INK)
        draw.ellipse((45 * s, 62 * s, 55 * s, 72 * s), fill=_INK)
    else:  # drops that eat a bar
        for x in (38, 58):
            draw.polygon(_points([(x, 30), (x + 5, 42), (x - 5, 42)], s), fill=_INK)
            draw.ellipse(((x - 5) * s, 38 * s, (x + 5) * s, 48 * s), fill=_INK)
        draw.polygon(_points([(28, 56), (44, 56), (48, 62), (54, 56), (72, 56), (62, 68), (38, 68)], s), fill=_INK)


def _handling(draw: ImageDraw.ImageDraw, s: float, *, rng: np.random.Generator) -> None:
    draw.rectangle((4 * s, 4 * s, 96 * s, 96 * s), outline=_INK, width=int(4 * s))
    kind = int(rng.integers(3))
    if kind == 0:  # this way up
        for x in (32, 68):
            draw.polygon(_points([(x, 15), (x + 14, 40), (x - 14, 40)], s), fill=_INK)
            draw.rectangle(((x - 5) * s, 38 * s, (x + 5) * s, 72 * s), fill=_INK)
        draw.rectangle((14 * s, 78 * s, 86 * s, 84 * s), fill=_INK)
    elif kind == 1:  # glass
        draw.polygon(
            _points(
                [(28, 15), (72, 15), (66, 45), (54, 55), (54, 76), (66, 84), (34, 84), (46, 76), (46, 55), (34, 45)], s
            ),
            fill=_INK,
        )
        draw.polygon(_points([(52, 15), (46, 28), (54, 34), (48, 46), (60, 32), (54, 26), (60, 15)], s), fill=_PAPER)
    else:  # umbrella
        draw.pieslice((14 * s, 22 * s, 86 * s, 94 * s), 180, 360, fill=_INK)
        draw.rectangle((48 * s, 50 * s, 52 * s, 84 * s), fill=_INK)
        for x, y in ((24, 12), (44, 9), (64, 10), (80, 16)):
            draw.ellipse((x * s, y * s, (x + 4) * s, (y + 8) * s), fill=_INK)
