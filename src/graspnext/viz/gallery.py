"""Captioned pictures of one size in a grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from graspnext.types import UInt8Array
from graspnext.viz.draw import INK, PAPER

_CAPTION_PX = 18
_GAP_PX = 8
_FONT_PX = 12


def gallery(pictures: Sequence[UInt8Array], captions: Sequence[str], *, columns: int) -> UInt8Array:
    """Pictures (H, W, 3) in reading order, each under its caption: (h, w, 3) uint8 RGB.

    Raises:
        ValueError: There is no picture, or not one caption each.
    """
    if not pictures or len(captions) != len(pictures) or columns < 1:
        raise ValueError("a gallery needs a picture, a caption for each, and a column")
    height, width = pictures[0].shape[:2]
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    step = (width + _GAP_PX, height + _CAPTION_PX + _GAP_PX)
    sheet = Image.new("RGB", (columns * step[0] + _GAP_PX, rows * step[1] + _GAP_PX), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_FONT_PX)
    for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left, top = _GAP_PX + number % columns * step[0], _GAP_PX + number // columns * step[1]
        text = caption
        while font.getlength(text) > width and len(text) > 1:
            text = text[:-2] + "…"
        draw.text((left, top + _CAPTION_PX - 5), text, fill=INK, font=font, anchor="ls")
        sheet.paste(Image.fromarray(picture), (left, top + _CAPTION_PX))
    return np.asarray(sheet, dtype=np.uint8)
