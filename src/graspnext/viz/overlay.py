"""One prediction as a picture, in three panels as in figure 1 of the Fast GraspNeXt paper (arXiv 2304.11196)."""

from __future__ import annotations

import numpy as np

from graspnext.geometry.masks import paste
from graspnext.geometry.predictions import suction_peaks
from graspnext.types import BoolArray, Float32Array, Float64Array, Prediction, UInt8Array
from graspnext.viz import draw
from graspnext.viz.draw import INK, PAPER, WHITE, Colour, Layer

OCCLUDED: Colour = (52, 120, 246)
FREE: Colour = (235, 64, 52)
CENTER: Colour = (30, 90, 235)

PANEL_MIN_PX, PANEL_MAX_PX = 420, 720
"""Limits of a panel's width; smaller pictures are enlarged so that lines and captions stay readable."""
PANEL_MAX_HEIGHT_PX = 1080
GAP_PX = 12
_MASK_THRESHOLD = 0.5
_HEAT_ALPHA = 0.6
_DIM = 0.35


def overlay(image: UInt8Array, prediction: Prediction, *, min_score: float = 0.5) -> UInt8Array:
    """Three panels side by side: outlines and boxes, centres of mass, suction heatmap.

    Args:
        image: (H, W, 3) uint8, RGB, the picture that was predicted on.
        prediction: In that picture's pixels.
        min_score: Instances below it are not drawn.

    Returns:
        (height, width, 3) uint8. Occluded parts blue, free ones red; visible outlines solid, amodal ones dashed.

    Raises:
        ValueError: The prediction is for a picture of another size.
    """
    if image.shape != (prediction.height, prediction.width, 3):
        raise ValueError(f"the image is {image.shape} but the prediction {prediction.height} x {prediction.width}")
    height, width = panel_size(prediction.height, prediction.width)
    small = draw.resize(image, height, width)
    drawn = np.flatnonzero(prediction.scores >= min_score)[::-1]  # the best one last, on top
    scale = np.array([width / prediction.width, height / prediction.height])
    outlines = _outlines(small, prediction, drawn, scale)
    centers = _centers(small, prediction, drawn, scale)
    heat = _heat(small, prediction, scale)
    occluded = int((prediction.occluded_probability[drawn] >= 0.5).sum())
    count = f"{len(drawn)} part{'' if len(drawn) == 1 else 's'}, {occluded} occluded"
    text = text_size(width)
    panels = [
        titled(outlines, "Amodal boxes and masks", text, _mask_legend(width, text)),
        titled(centers, "Centres of mass", text, caption(count, width, text)),
        titled(heat, "Suction score", text, _heat_legend(width, text)),
    ]
    gap = np.full((panels[0].shape[0], GAP_PX, 3), PAPER, dtype=np.uint8)
    row = np.concatenate([gap, panels[0], gap, panels[1], gap, panels[2], gap], axis=1)
    return np.concatenate([row, np.full((GAP_PX, row.shape[1], 3), PAPER, dtype=np.uint8)])


def panel_size(height: int, width: int) -> tuple[int, int]:
    """(height, width) px of a panel for a picture of that size; the aspect is kept but for needle-like pictures."""
    panel = float(np.clip(width, PANEL_MIN_PX, PANEL_MAX_PX))
    scale = min(panel / width, max(PANEL_MAX_HEIGHT_PX / height, PANEL_MIN_PX / width))
    return int(np.clip(round(height * scale), 1, 4 * PANEL_MAX_HEIGHT_PX)), max(1, round(width * scale))


def text_size(width: int) -> int:
    """Height px of the text around a panel of that width: it grows with the panel."""
    return max(12, round(15 * width / 480))


def _mask(probability: Float32Array, box: Float32Array, shape: tuple[int, int]) -> BoolArray:
    return paste(probability, box, *shape) >= _MASK_THRESHOLD


def _outlines(
    image: UInt8Array, prediction: Prediction, drawn: np.ndarray[tuple[int], np.dtype[np.intp]], scale: np.ndarray
) -> UInt8Array:
    height, width = image.shape[:2]
    layer = Layer(height, width)
    thin, bold = max(1.0, width / 520), max(1.6, width / 300)
    scaled = (prediction.amodal_boxes * np.tile(scale, 2)).astype(np.float32)  # (N, 4) px of the panel
    for index in drawn:
        colour = OCCLUDED if prediction.occluded_probability[index] >= 0.5 else FREE
        box = scaled[index]
        visible = draw.contours(_mask(prediction.visible_masks[index], box, (height, width)))
        amodal = draw.contours(_mask(prediction.amodal_masks[index], box, (height, width)))
        for line in visible:
            layer.fill(line, colour, alpha=0.22)
        layer.rectangle(box, colour, width=thin, alpha=0.75)
        for line in amodal:
            _amodal_line(layer, line, thin)
        for line in visible:
            layer.line(line, colour, width=bold)
    return layer.over(image)


def _amodal_line(layer: Layer, line: Float64Array, unit: float) -> None:
    """White dashes with a dark rim: seen on any part."""
    layer.dashes(line, INK, width=unit * 2.8, dash=5 * unit, gap=4 * unit)
    layer.dashes(line, WHITE, width=unit * 1.4, dash=5 * unit, gap=4 * unit)


def _centers(
    image: UInt8Array, prediction: Prediction, drawn: np.ndarray[tuple[int], np.dtype[np.intp]], scale: np.ndarray
) -> UInt8Array:
    height, width = image.shape[:2]
    paper = np.broadcast_to(np.array(WHITE, dtype=np.uint8), image.shape)
    layer = Layer(height, width)
    for index in drawn:
        x, y = prediction.center_of_mass[index] * scale
        layer.dot(float(x), float(y), CENTER, radius=max(3.5, width / 110))
    return layer.over(draw.blend(image, np.asarray(paper), _DIM))


def _heat(image: UInt8Array, prediction: Prediction, scale: np.ndarray) -> UInt8Array:
    height, width = image.shape[:2]
    heat = np.clip(draw.resize_map(prediction.suction, height, width), 0, 1)
    grey = draw.grey(image)  # colours then mean score alone
    layer = Layer(height, width)
    for u, v, _ in suction_peaks(prediction, count=3, min_score=0.5):
        x, y, arm = float(u * scale[0]), float(v * scale[1]), max(5.0, width / 80)
        for ends in ([(x - arm, y), (x + arm, y)], [(x, y - arm), (x, y + arm)]):
            layer.line(np.array(ends), INK, width=max(3.0, width / 170))
            layer.line(np.array(ends), WHITE, width=max(1.4, width / 380))
    return layer.over(draw.blend(grey, draw.heat_colours(heat), _HEAT_ALPHA))


def titled(panel: UInt8Array, title: str, text: int, legend: UInt8Array) -> UInt8Array:
    """A panel (H, W, 3) under its title in that text size, above its legend (h, W, 3)."""
    head = np.full((round(text * 2.0), panel.shape[1], 3), PAPER, dtype=np.uint8)
    head = draw.write(head, title, (0, round(text * 0.45)), size=round(text * 1.15))
    return np.concatenate([head, panel, legend])


def _strip(width: int, text: int) -> UInt8Array:
    return np.full((round(text * 2.0), width, 3), PAPER, dtype=np.uint8)


def caption(line: str, width: int, text: int) -> UInt8Array:
    """A strip as wide as a panel with one line of text."""
    return draw.write(_strip(width, text), line, (0, round(text * 0.5)), size=text)


def _mask_legend(width: int, text: int) -> UInt8Array:
    """What the colours and the two kinds of line mean."""
    strip = _strip(width, text)
    layer = Layer(*strip.shape[:2])
    middle, x = text * 1.1, 0.0
    entries: list[tuple[str, int]] = []
    for word, colour, dashed in (("free", FREE, False), ("occluded", OCCLUDED, False), ("amodal", INK, True)):
        line = np.array([(x + 1, middle), (x + 1.8 * text, middle)])
        if dashed:
            _amodal_line(layer, line, text / 13)
        else:
            layer.line(line, colour, width=text / 5)
        entries.append((word, round(x + 2.2 * text)))
        x += 2.2 * text + draw.text_width(word, text) + 1.2 * text
    strip = layer.over(strip)
    for word, place in entries:
        strip = draw.write(strip, word, (place, round(text * 0.5)), size=text)
    return strip


def _heat_legend(width: int, text: int) -> UInt8Array:
    """The colour scale from 0 to 1."""
    strip = _strip(width, text)
    left, right = round(text * 1.1), max(round(text * 1.1) + 2, min(width - round(text * 1.2), round(width * 0.6)))
    ramp = draw.heat_colours(np.linspace(0, 1, right - left, dtype=np.float32))
    grey = np.full_like(ramp, 128)
    strip[round(text * 0.7) : round(text * 1.5), left:right] = draw.blend(grey, ramp, _HEAT_ALPHA)
    strip = draw.write(strip, "0", (0, round(text * 0.5)), size=text)
    return draw.write(strip, "1", (right + round(text * 0.4), round(text * 0.5)), size=text)
