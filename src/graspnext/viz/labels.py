"""Labels as pictures: outlines, coloured ids, depth and suction, each the size of a panel."""

from __future__ import annotations

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from graspnext.types import Float32Array, Instance, Int32Array, UInt8Array, View
from graspnext.viz.draw import Colour, Layer, blend, contours, grey, heat_colours, resize

FREE: Colour = (230, 40, 40)
OCCLUDED: Colour = (40, 90, 240)
IGNORED: Colour = (150, 150, 150)
_GOLDEN_ANGLE = 0.6180339887
"""Fraction of the hue circle between the colours of consecutive ids: neighbours never look alike."""


def outlines(view: View, height: int, width: int) -> UInt8Array:
    """Amodal boxes, amodal outlines (dashed), visible outlines (solid) and centres of mass (crosses) on the picture.

    Red parts are free, blue ones occluded, grey ones ignored.

    Returns:
        (height, width, 3) uint8, RGB.
    """
    scale = np.array([width / view.image.shape[1], height / view.image.shape[0]])
    layer = Layer(height, width)
    for one in view.labels.instances:
        colour = colour_of(one)
        layer.rectangle((one.amodal_box.reshape(2, 2) * scale).ravel().astype(np.float32), colour, alpha=0.45)
        if one.occluded:
            for line in contours(one.amodal_mask):
                layer.dashes(line * scale, colour)
        for line in contours(one.visible_mask):
            layer.line(line * scale, colour, width=1.8)
    for one in view.labels.instances:  # above all lines
        if not np.isfinite(one.center_of_mass).all():  # unknown
            continue
        x, y = one.center_of_mass[:2] * scale
        _cross(layer, float(x), float(y), colour_of(one))
    muted = blend(view.image, grey(view.image), 0.7)  # so that red and blue stand out on red and blue parts
    return layer.over(resize(muted, height, width))


def colour_of(instance: Instance) -> Colour:
    """Grey when ignored, blue when occluded, red when free."""
    if instance.ignore:
        return IGNORED
    return OCCLUDED if instance.occluded else FREE


def identities(view: View, height: int, width: int) -> UInt8Array:
    """Instance ids in colours, each with its layer and the hidden share: `L1 43%`.

    Returns:
        (height, width, 3) uint8, RGB.
    """
    coloured = _nearest(id_colours(view.labels.instance_ids), height, width)
    canvas = Image.fromarray(blend(resize(view.image, height, width), coloured, 0.7))
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(11)
    for one in view.labels.instances:
        if not one.visible_mask.any():
            continue
        rows, columns = np.nonzero(one.visible_mask)
        middle = int(np.argmin(np.hypot(rows - rows.mean(), columns - columns.mean())))  # on the part, also when bent
        x = (columns[middle] + 0.5) * width / view.image.shape[1]
        y = (rows[middle] + 0.5) * height / view.image.shape[0]
        text = f"L{one.layer}  {one.occluded_rate:.0%}"
        draw.text((x, y), text, fill="white", font=font, anchor="mm", stroke_width=2, stroke_fill="black")
    return np.asarray(canvas, dtype=np.uint8)


def id_colours(ids: Int32Array) -> UInt8Array:
    """Instance ids (H, W) as colours (H, W, 3); background is dark."""
    known, places = np.unique(ids, return_inverse=True)
    table = np.array([_id_colour(int(one)) for one in known], dtype=np.uint8)
    return table[places.reshape(ids.shape)]


def depth(depth_m: Float32Array, ends_m: tuple[float, float], height: int, width: int) -> UInt8Array:
    """Depth in colours: red near, blue far, black missing.

    Args:
        depth_m: (H, W) z in metres, 0 = missing.
        ends_m: Near and far end of the colours; see `depth_range`.
        height: Of the panel, px.
        width: Of the panel, px.

    Returns:
        (height, width, 3) uint8, RGB.
    """
    near, far = ends_m
    colours = heat_colours(np.clip((far - depth_m) / max(far - near, 1e-6), 0, 1).astype(np.float32))
    colours[depth_m == 0] = 0
    return _nearest(colours, height, width)


def depth_range(depth_m: Float32Array) -> tuple[float, float]:
    """Near and far end of the colours of `depth`, metres: 1st and 99th percentile of what is known."""
    known = depth_m[depth_m > 0]
    if known.size == 0:
        return 0.0, 0.0
    near, far = np.percentile(known, (1, 99))
    return float(near), float(far)


def suction(view: View, height: int, width: int) -> UInt8Array:
    """Suction scores over the dimmed picture: red high, green middle, blue low; background stays dim.

    Returns:
        (height, width, 3) uint8, RGB.
    """
    dimmed = grey(view.image) // np.uint8(3)
    heated = blend(dimmed, heat_colours(view.labels.suction), 0.8)
    part = view.labels.instance_ids > 0
    return _nearest(np.where(part[..., None], heated, dimmed), height, width)


def no_label(view: View, height: int, width: int) -> UInt8Array:
    """The panel of a map that the view has no label of: the dimmed picture, and these words.

    Returns:
        (height, width, 3) uint8, RGB.
    """
    canvas = Image.fromarray(resize(grey(view.image) // np.uint8(3), height, width))
    font = ImageFont.load_default(14)
    ImageDraw.Draw(canvas).text((width / 2, height / 2), "no label", fill="white", font=font, anchor="mm")
    return np.asarray(canvas, dtype=np.uint8)


def _cross(layer: Layer, x: float, y: float, colour: Colour) -> None:
    for arm, width, ink in ((5.0, 4.0, (255, 255, 255)), (4.0, 2.0, colour)):
        layer.line(np.array([(x - arm, y - arm), (x + arm, y + arm)]), ink, width=width)
        layer.line(np.array([(x - arm, y + arm), (x + arm, y - arm)]), ink, width=width)


def _id_colour(one: int) -> tuple[int, int, int]:
    if one == 0:
        return (20, 20, 24)
    red, green, blue = colorsys.hsv_to_rgb(one * _GOLDEN_ANGLE % 1, 0.65 + 0.3 * (one % 2), 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def _nearest(colours: UInt8Array, height: int, width: int) -> UInt8Array:
    resized = Image.fromarray(colours).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(resized, dtype=np.uint8)
