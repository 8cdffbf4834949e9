"""The faults found so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from graspnext.data.faults import MEND, DatasetFaultError, Fault

Result = TypeVar("Result")


class Findings:
    """Collects faults."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.faults: list[Fault] = []

    def attempt(self, action: Callable[[], Result]) -> Result | None:
        """The action's result, or None and its faults on the list."""
        try:
            return action()
        except DatasetFaultError as error:
            self.faults.extend(error.faults)
            return None

    def say(self, file: str, field: str, problem: str, advice: str = MEND) -> None:
        """One more fault; `file` is relative to the dataset's folder, `field` empty for the file as a whole."""
        self.faults.append(Fault(file, field, problem, advice))

    def say_non_finite(self, file: str, field: str, value: object) -> None:
        """A fault for each NaN or infinity in JSON that no schema describes: Python writes them, JSON has none."""
        for place, number in _non_finite(value, field):
            self.say(file, place, f"{number} is not a finite number")


def _non_finite(value: object, place: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, float) and not math.isfinite(value):
        yield place, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _non_finite(inner, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _non_finite(inner, f"{place}[{index}]")


def numbers(values: Iterable[float]) -> str:
    """Numbers in brackets, short."""
    return "(" + ", ".join(f"{float(value):g}" for value in values) + ")"
