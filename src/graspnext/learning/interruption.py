"""Ctrl-C and SIGTERM while a network learns: the step is finished and saved, so that nothing is lost."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""From a terminal, and from what manages machines and wants one back."""
PATIENCE_S = 1.0
"""A second Ctrl-C within this time is the same wish as the first: launchers pass on what also came directly."""


@dataclass
class Interruption:
    """Whether someone asked the training to stop."""

    asked: bool = False


@contextmanager
def heed_signals() -> Iterator[Interruption]:
    """Take the signals as a wish to stop after the present step; another Ctrl-C stops at once.

    SIGTERM only ever asks. Launchers send it on top of other signals and to whoever is still saving when another
    process is done, and whoever wants more has SIGKILL. Outside the main thread, where Python lets nobody listen,
    nothing changes.

    Raises:
        KeyboardInterrupt: At a Ctrl-C more than `PATIENCE_S` after the first signal.
    """
    interruption, first_at = Interruption(), 0.0

    def hear(number: int, frame: FrameType | None) -> None:
        nonlocal first_at
        now = time.monotonic()
        if not interruption.asked:
            interruption.asked, first_at = True, now
        elif number == signal.SIGINT and now - first_at > PATIENCE_S:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {one: signal.signal(one, hear) for one in SIGNALS}
    try:
        yield interruption
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
