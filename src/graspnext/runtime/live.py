"""A bounded queue between a stream that does not wait and a reader who may be late: the oldest frame goes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

POLL_S = 0.1
"""How often a waiting reader looks whether it should stop: a signal's handler must not take locks."""
PATIENCE_S = 2.0
"""How long closing waits for a stream that hangs; its thread then ends with the process."""


class LiveQueue(Generic[T]):
    """Reads items in a thread of its own and keeps the newest few.

    Example:
        >>> with LiveQueue(read_camera(0), size=2) as queue:
        ...     for frame in queue:
        ...         predictor.predict(frame)
        >>> queue.dropped
    """

    dropped: int
    """Items that were read and thrown away because newer ones came."""

    def __init__(self, items: Iterator[T], *, size: int) -> None:
        """Begin to read.

        Args:
            items: What to read; used by the queue's thread alone, which also closes it if it is a generator.
            size: Most items that wait, >= 1.
        """
        self.dropped = 0
        self._items, self._size = items, size
        self._waiting: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended, self._closed = False, False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._read, name="live-queue", daemon=True)
        self._thread.start()

    def __enter__(self) -> LiveQueue[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[T]:
        return self.until(lambda: False)

    def until(self, stopped: Callable[[], bool]) -> Iterator[T]:
        """The items, oldest first, until there are no more or `stopped` says so.

        Raises:
            Exception: What the items raised, once those before it are taken.
        """
        while not stopped():
            with self._changed:
                if not self._waiting and not self._ended:
                    self._changed.wait(POLL_S)
                    continue
                if not self._waiting:
                    break
                item = self._waiting.popleft()
            yield item
        if self._error is not None and not self._waiting:
            raise self._error

    def close(self) -> None:
        """Stop reading."""
        self._closed = True
        self._thread.join(PATIENCE_S)

    def _read(self) -> None:
        try:
            for item in self._items:
                if self._closed:
                    break
                with self._changed:
                    if len(self._waiting) == self._size:
                        self._waiting.popleft()
                        self.dropped += 1
                    self._waiting.append(item)
                    self._changed.notify()
        except Exception as error:  # noqa: BLE001 - raised again in the reader's thread
            self._error = error
        finally:
            close = getattr(self._items, "close", None)
            if close is not None:
                close()
            with self._changed:
                self._ended = True
                self._changed.notify()
