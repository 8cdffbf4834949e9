"""Ctrl-C and SIGTERM while a network learns: the step is finished and saved, so that nothing is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""From a terminal, and from what manages machines and wants one back."""


@dataclass
class Interruption:
    """Whether someone asked the training to stop."""

    asked: bool = False


@contextmanager
def heed_signals() -> Iterator[Interruption]:
    """Take the signals as a wish to stop after the present step; a second one stops at once.

    Outside the main thread, where Python lets nobody listen, nothing changes.

    Raises:
        KeyboardInterrupt: At the second signal.
    """
    interruption = Interruption()

    def hear(number: int, frame: FrameType | None) -> None:
        if interruption.asked:
            raise KeyboardInterrupt
        interruption.asked = True

    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = [signal.signal(one, hear) for one in SIGNALS]
    try:
        yield interruption
    finally:
        for one, handler in zip(SIGNALS, before, strict=True):
            signal.signal(one, handler)
