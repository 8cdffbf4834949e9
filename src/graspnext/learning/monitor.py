"""What a person watches while a network learns: curves, pictures of what it finds, TensorBoard where it is installed.

RUN/curves.png                losses, learning rate, gradient norm and speed, redrawn from the log now and then
RUN/overlays/step_XXXXXXX.jpg a few views of `val`: their labels, and what the network of that step finds
RUN/tensorboard/              the log's numbers as scalars

All of it follows from the log and the weights, and nothing of it touches the training: a run with pictures ends in the
same weights, bit for bit, as one without.
"""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from graspnext.data.reader import Dataset
from graspnext.files import write_bytes
from graspnext.learning.evaluate import choose
from graspnext.learning.recipes import Recipe
from graspnext.learning.run import read_log
from graspnext.learning.scalars import Scalars
from graspnext.network.network import Network
from graspnext.network.pipeline import Pipeline, fitting_input_size
from graspnext.viz.comparison import comparison
from graspnext.viz.curves import curves

CURVES_FILE = "curves.png"
OVERLAYS_DIR = "overlays"
REDRAW_S = 30.0
"""Seconds between two drawings of the curves."""
VIEWS = 4
"""Of the pictures: always the same ones, spread over the split."""


class Monitor:
    """Draws what there is to see of a run into its folder. One process of a run has one."""

    def __init__(self, out: Path, recipe: Recipe, data: Dataset) -> None:
        self._out, self._recipe, self._data = out, recipe, data
        self._lines = read_log(out)
        self._entries = choose(data.split("val"), VIEWS)
        self._scalars = Scalars(out)
        self._drawn_at = time.monotonic()

    def line(self, line: dict[str, Any]) -> None:
        """Take in a new line of the log; redraws the curves where they are old.

        Raises:
            OutputError: A file cannot be written.
        """
        # Lines of an earlier start that came after its last checkpoint are made anew.
        self._lines = [*(one for one in self._lines if one["step"] < line["step"]), line]
        self._scalars.add(self._lines)
        if time.monotonic() - self._drawn_at >= REDRAW_S:
            self._draw_curves()

    def pictures(self, network: Network, step: int) -> None:
        """Show what a network finds in the fixed views; works on a copy of it, so that nothing of it can change.

        Args:
            network: In any mode and precision, on any device.
            step: Steps that it has learnt for; names the file.

        Raises:
            DatasetError: A view cannot be read.
            OutputError: The picture cannot be written.
        """
        if not self._entries:
            return
        size = fitting_input_size(max(self._data.info.image_size))
        precision = "bf16" if self._recipe.precision == "bf16" else "fp32"
        pipeline = Pipeline(network, size, precision).float()
        rows = []
        for entry in self._entries:
            view = self._data.read(entry, depth=False)
            found = pipeline.predict(view.image)
            rows.append(comparison(view, found, name=f"{entry.scene} view {entry.view}"))
        picture = np.concatenate(rows)  # (sum of H, W, 3)
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, format="JPEG", quality=88)
        write_bytes(self._out / OVERLAYS_DIR / f"step_{step:07d}.jpg", stream.getvalue())

    def close(self) -> None:
        """Draw the curves a last time, and let go of TensorBoard's file.

        Raises:
            OutputError: A file cannot be written.
        """
        self._scalars.close()
        if self._lines:
            self._draw_curves()

    def _draw_curves(self) -> None:
        last = self._lines[-1]["step"]
        picture = curves(self._lines, title=f"{self._out.resolve().name}: step {last} of {self._recipe.steps}")
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, format="PNG")
        write_bytes(self._out / CURVES_FILE, stream.getvalue())
        self._drawn_at = time.monotonic()
