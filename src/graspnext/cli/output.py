"""What commands print: progress that suits a terminal or a log, to readers who may leave, and `--json FILE`."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO, TypeVar

from graspnext.files import output_errors, write_json

T = TypeVar("T")


def progress(items: Iterable[T], *, total: int | None, label: str) -> Iterator[T]:
    """Yield items with a progress bar and the time left; plain lines, at most one in ten seconds, off a terminal.

    A total of None is not known before the end: there is no time left then.
    """
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track

        yield from track(items, description=label, total=total, console=Console(stderr=True), transient=True)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= 10 or done == total:
            left = "" if total is None else f", about {(now - start) / done * (total - done):.0f} s left"
            count = done if total is None else f"{done}/{total}"
            say(sys.stderr, f"{label}: {count}, {now - start:.0f} s{left}\n")
            last = now


def outlive_readers() -> None:
    """From now on work to the end also when whoever reads the lines is gone, as after Ctrl-C in `graspnext ... | tee`.

    Commands end quietly with their reader, as in `graspnext ... | head`; hours of work must not.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def say(stream: TextIO, text: str) -> None:
    """Write to those who read; once they are gone, to nobody."""
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def check_target(target: Path | None) -> None:
    """Refuse, before long work begins, a file that could not be written at its end; `-` and None are none.

    Raises:
        OutputError: It is a folder, or its folder cannot be made or written.
    """
    if target is None or str(target) == "-":
        return
    with output_errors(target):
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        above = next(folder for folder in target.absolute().parents if folder.exists())
        if not above.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(above, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def emit_json(content: object, target: Path | None) -> None:
    """Write a measurement to the file of `--json`; `-` is standard output, None is nowhere."""
    if target is None:
        return
    if str(target) == "-":
        sys.stdout.write(json.dumps(content, indent=2, allow_nan=False) + "\n")
        return
    write_json(target, content)
