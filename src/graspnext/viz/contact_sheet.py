"""A contact sheet: some views of a dataset on one picture, every kind of label where a person can judge it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from graspnext.types import UInt8Array, View
from graspnext.viz import labels
from graspnext.viz.draw import INK, PAPER, resize

PANELS = 5
"""Of a view without measured depth; one more, the last, with it."""
_CAPTION_PX = 20
_GAP_PX = 6
_FONT_PX = 12


def contact_sheet(
    views: Sequence[View], *, columns: int, panel_px: int = 340, notes: Sequence[str] | None = None
) -> UInt8Array:
    """Every view as a strip of five captioned panels, or six.

    The panels: the picture; boxes, outlines and centres of mass (red free, blue occluded, grey ignored; solid visible,
    dashed amodal); instance ids with layer and hidden share; depth; suction; the depth as the sensor measured it. Where
    one view has that, the strips of the others leave its place empty. Depth and suction of which a view has no label
    are said to be so, not drawn as 0.

    Args:
        views: What to show, in reading order.
        columns: Strips side by side.
        panel_px: Width of a panel.
        notes: A word for each view's caption, such as its split.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        ValueError: There is no view, or a number is out of range.
    """
    if not views or columns < 1 or panel_px < 16:
        raise ValueError("a contact sheet needs a view, a column, and panels of at least 16 px")
    if notes is not None and len(notes) != len(views):
        raise ValueError(f"{len(notes)} notes for {len(views)} views")
    panels = PANELS + any(view.sensor_depth_m is not None for view in views)
    strips = [_strip(view, panel_px, panels, notes[index] if notes else "") for index, view in enumerate(views)]
    columns = min(columns, len(strips))
    rows = [strips[start : start + columns] for start in range(0, len(strips), columns)]
    width = columns * (strips[0].width + 2 * _GAP_PX)
    heights = [max(strip.height for strip in row) for row in rows]
    sheet = Image.new("RGB", (width, sum(heights) + _GAP_PX), PAPER)
    top = 0
    for row, height in zip(rows, heights, strict=True):
        for index, strip in enumerate(row):
            sheet.paste(strip, (_GAP_PX + index * (strip.width + 2 * _GAP_PX), top))
        top += height
    return np.asarray(sheet, dtype=np.uint8)


def _strip(view: View, panel_px: int, places: int, note: str) -> Image.Image:
    height = max(1, round(panel_px * view.image.shape[0] / view.image.shape[1]))
    count = len(view.labels.instances)
    about = f"{view.scene_id} view {view.view_id}: {count} part{'' if count == 1 else 's'}"
    panels = {
        about + (f", {note}" if note else ""): resize(view.image, height, panel_px),
        "red free, blue occluded; dashed amodal, x mass": labels.outlines(view, height, panel_px),
        "instances: layer, hidden share": labels.identities(view, height, panel_px),
    }
    near, far = ends = labels.depth_range(view.labels.depth_m)
    if "depth" in view.labels.missing:
        panels["depth"] = labels.no_label(view, height, panel_px)
    else:
        caption = f"depth: red {near:.2f} m, blue {far:.2f} m"
        panels[caption] = labels.depth(view.labels.depth_m, ends, height, panel_px)
    if "suction" in view.labels.missing:
        panels["suction"] = labels.no_label(view, height, panel_px)
    else:
        panels["suction: red 1, green 0.5, blue 0"] = labels.suction(view, height, panel_px)
    if view.sensor_depth_m is not None:
        panels[f"measured by {view.sensor}"] = labels.depth(view.sensor_depth_m, ends, height, panel_px)
    strip = Image.new("RGB", (places * panel_px + (places - 1) * _GAP_PX, _CAPTION_PX + height), PAPER)
    draw = ImageDraw.Draw(strip)
    font = ImageFont.load_default(_FONT_PX)
    for index, (caption, panel) in enumerate(panels.items()):
        left = index * (panel_px + _GAP_PX)
        draw.text((left + 2, _CAPTION_PX - 3), _fit(caption, panel_px, font), fill=INK, font=font, anchor="ls")
        strip.paste(Image.fromarray(panel), (left, _CAPTION_PX))
    return strip


def _fit(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    while len(text) > 1 and font.getlength(text) > width - 4:
        text = text[:-2] + "…" if text.endswith("…") else text[:-1] + "…"
    return text
