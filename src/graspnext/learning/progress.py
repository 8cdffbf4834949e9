"""How fast a training goes, what holds it up, and when it will end."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from graspnext.data.loader import Batch
from graspnext.learning.recipes import Recipe
from graspnext.learning.update import Update


class Watch:
    """Times the loop: speed, the share of it spent waiting for data, memory, time left."""

    def __init__(self, recipe: Recipe, start: int, spent_s: float) -> None:
        self._recipe, self._spent_s, self._begin = recipe, spent_s, time.monotonic()
        self._start = self._last_step = start
        self._last_time, self._waited_s = self._begin, 0.0

    def elapsed_s(self) -> float:
        """Seconds of training so far, over all starts of the run."""
        return self._spent_s + time.monotonic() - self._begin

    def time_waits(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches; remembers how long the loop waited for them.

        On a GPU, whose host runs ahead of it, part of that time is no loss: the share is an upper bound there.
        """
        while True:
            asked = time.monotonic()
            batch = next(batches, None)
            self._waited_s += time.monotonic() - asked
            if batch is None:
                return
            yield batch

    def line(self, step: int, update: Update) -> dict[str, Any]:
        """One line of the log, for the steps since the last one; waits for a device's values."""
        losses = {name: float(f"{float(value):.9g}") for name, value in update.losses.items()}  # float32, whole
        norm = round(float(update.grad_norm), 4)
        now = time.monotonic()
        span, steps = max(now - self._last_time, 1e-9), step - self._last_step
        line = {
            "step": step,
            "losses": losses,
            "grad_norm": norm,
            "lr": self._recipe.learning_rate(step - 1),
            "images_per_s": round(steps * self._recipe.loader.batch_size / span, 3),
            "data_wait_share": round(min(1.0, self._waited_s / span), 4),
            "memory_mb": round(memory_mb()),
            "elapsed_s": round(self.elapsed_s(), 1),
            "left_s": round((now - self._begin) / (step - self._start) * (self._recipe.steps - step)),
        }
        self._last_time, self._last_step, self._waited_s = now, step, 0.0
        return line


def memory_mb() -> float:
    """Peak memory so far: of the GPU where one is used, otherwise of this process."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def describe(line: Mapping[str, Any], recipe: Recipe) -> str:
    """A line of the log for people."""
    minutes, seconds = divmod(line["left_s"], 60)
    hours, minutes = divmod(minutes, 60)
    left = f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"
    parts = " ".join(f"{name} {value:.3f}" for name, value in line["losses"].items() if name != "total")
    return (
        f"step {line['step']}/{recipe.steps}  loss {line['losses']['total']:.3f} ({parts})  "
        f"{line['images_per_s']:.1f} images/s, {100 * line['data_wait_share']:.0f} % waiting for data, "
        f"{line['memory_mb'] / 1024:.1f} GB, {left} left"
    )
