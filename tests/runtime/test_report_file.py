"""predictions.json written as frames come: plain JSON, one frame a line, whole or absent, memory that does not grow."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import pytest

from graspnext.errors import OutputError
from graspnext.runtime.report_file import ReportFile


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_file_is_plain_json(tmp_path: Path, count: int) -> None:
    path = tmp_path / "predictions.json"
    frames = [
        {"file": f"ä{index}.png", "instances": [{"score": 0.5, "amodal_box": [1, 2, 3, 4]}]} for index in range(count)
    ]
    with ReportFile(path, model="fast", min_score=0.5) as report:
        for frame in frames:
            report.add(frame)
        assert not path.exists()
        report.finish(streams=[], errors=[{"source": "b.png", "problem": "not an image"}])
    assert json.loads(path.read_text()) == {
        "schema_version": 1,
        "model": "fast",
        "min_score": 0.5,
        "frames": frames,
        "streams": [],
        "errors": [{"source": "b.png", "problem": "not an image"}],
    }
    lines = path.read_text().splitlines()
    assert sum('"file"' in line for line in lines) == count
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.json"]


def test_a_report_that_is_not_finished_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "predictions.json"
    for before in (None, "{}"):
        if before is not None:
            path.write_text(before)
        with pytest.raises(KeyboardInterrupt), ReportFile(path) as report:
            report.add({"file": "a.png"})
            raise KeyboardInterrupt
        assert [file.name for file in tmp_path.iterdir()] == ([] if before is None else ["predictions.json"])
    assert path.read_text() == "{}"


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with ReportFile(tmp_path / "a.json") as report:
        os.dup2(os.open("/dev/full", os.O_WRONLY), report._stream.fileno())  # each write to it finds the disk full
        with pytest.raises(OutputError, match=r"a\.json: no space left on the device; free some space"):
            for _ in range(10):
                report.add({"counts": "x" * 100_000})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"none/a\.json"):
        ReportFile(tmp_path / "none" / "a.json")


def test_nan_is_refused(tmp_path: Path) -> None:
    with ReportFile(tmp_path / "a.json") as report, pytest.raises(ValueError, match="not JSON compliant"):
        report.add({"score": float("nan")})


def test_memory_does_not_grow_with_the_frames(tmp_path: Path) -> None:
    record = {"file": "clip.mp4", "instances": [{"counts": "x" * 1000}] * 10}
    with ReportFile(tmp_path / "a.json") as report:
        report.add(record)
        tracemalloc.start()
        for _ in range(300):
            report.add(record)  # 3 MB in all
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        report.finish(errors=[])
    assert grown < 100_000
    assert (tmp_path / "a.json").stat().st_size > 3_000_000
