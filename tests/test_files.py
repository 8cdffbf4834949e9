"""Files are whole or not there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from graspnext.errors import OutputError
from graspnext.files import make_folder, output_errors, write_bytes, write_json


def test_write_replaces_whole_and_leaves_nothing_aside(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.bin"
    write_bytes(target, b"old")
    write_bytes(target, b"new content")
    assert target.read_bytes() == b"new content"
    assert list(target.parent.iterdir()) == [target]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file.bin"
    write_bytes(target, b"old")

    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OutputError, match="no space left on the device; free some space"):
        write_bytes(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_in_the_way_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="a file stands where a folder must be"):
        make_folder(tmp_path / "file" / "folder")
    with pytest.raises(OutputError, match="a file stands where a folder must be"):
        write_bytes(tmp_path / "file" / "x.bin", b"")


def test_unlisted_system_errors_keep_their_text(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="Input/output error"), output_errors(tmp_path):
        raise OSError(errno.EIO, "Input/output error")


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"ap": float("nan")})
