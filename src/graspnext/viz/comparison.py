"""Labels beside what a network finds, for a person who watches it learn."""

from __future__ import annotations

import numpy as np

from graspnext.types import Prediction, UInt8Array, View
from graspnext.viz import draw, labels
from graspnext.viz.draw import PAPER
from graspnext.viz.overlay import GAP_PX, caption, overlay, panel_size, text_size, titled

PANEL_PX = 330
"""Width of a panel in the finished picture."""


def comparison(view: View, prediction: Prediction, *, name: str) -> UInt8Array:
    """Five panels: the labels' outlines and suction, then the three of `overlay`.

    Args:
        view: The picture and its labels; a suction map that it lacks is said to be missing.
        prediction: What was found in that picture.
        name: Of the view, for the caption.

    Returns:
        (H, W, 3) uint8, RGB; W is the same for all views.
    """
    height, width = panel_size(*view.image.shape[:2])
    text = text_size(width)
    count = len(view.labels.instances)
    lacking = "suction" in view.labels.missing
    panels = {
        f"Labels of {name}": labels.outlines(view, height, width),
        "Suction label": (labels.no_label if lacking else labels.suction)(view, height, width),
    }
    notes = [f"{count} part{'' if count == 1 else 's'}; grey ones are not asked for", "red 1, green 0.5, blue 0"]
    found = overlay(view.image, prediction)
    gap = np.full((found.shape[0], GAP_PX, 3), PAPER, dtype=np.uint8)
    row = []
    for (title, panel), note in zip(panels.items(), notes, strict=True):
        whole = titled(panel, title, text, caption(note, width, text))
        foot = np.full((found.shape[0] - whole.shape[0], width, 3), PAPER, dtype=np.uint8)
        row += [gap, np.concatenate([whole, foot])]
    picture = np.concatenate([*row, found], axis=1)
    share = PANEL_PX / width
    out_width = 5 * PANEL_PX + round(6 * GAP_PX * PANEL_PX / 480)
    return draw.resize(picture, max(1, round(picture.shape[0] * share)), out_width)
