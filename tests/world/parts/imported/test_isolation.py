from __future__ import annotations

import os
import signal
import time

import pytest

from graspnext.errors import MeshFileError
from graspnext.world.parts.imported import isolation
from graspnext.world.parts.imported.isolation import LimitError, isolated


def test_answers_come_back_whole() -> None:
    content = os.urandom(3_000_000)
    assert isolated(lambda: content) == content


def test_a_crash_is_named() -> None:
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)  # the test runner's own handler would print its stack
    with pytest.raises(LimitError, match="crashed"):
        isolated(lambda: os.kill(os.getpid(), signal.SIGSEGV) or b"")


def test_a_hang_ends() -> None:
    start = time.monotonic()
    with pytest.raises(LimitError, match="not ready after 1 s"):
        isolated(lambda: time.sleep(60) or b"", wall_s=1)
    assert time.monotonic() - start < 20


def test_endless_computing_ends() -> None:
    def spin() -> bytes:
        while True:
            pass

    with pytest.raises(LimitError, match="of computing"):
        isolated(spin, cpu_s=1)


def test_memory_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "MEMORY_BYTES", 2**28)
    with pytest.raises(LimitError, match="memory"):
        isolated(lambda: bytes(2**30))


def test_what_nobody_foresaw_is_no_verdict_on_the_file() -> None:
    def fail() -> bytes:
        raise RuntimeError("can't start new thread")

    with pytest.raises(LimitError, match="can't start new thread"):
        isolated(fail)


def test_named_errors_keep_their_words() -> None:
    def refuse() -> bytes:
        raise MeshFileError("it is torn", "close it")

    with pytest.raises(MeshFileError) as caught:
        isolated(refuse)
    assert (caught.value.problem, caught.value.advice) == ("it is torn", "close it")
    assert not isinstance(caught.value, LimitError)
