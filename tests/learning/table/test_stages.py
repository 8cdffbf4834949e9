"""Stages are remembered whole or not at all; a table goes on only with its own settings."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from graspnext.errors import DatasetError, RunError
from graspnext.learning.table.protocols import find_protocol
from graspnext.learning.table.stages import PROTOCOL_FILE, Tools, once, open_table, read_json, take_data

SMOKE = find_protocol("smoke")


def tools(made: list[Path]) -> Tools:
    def refuse(*_: Any) -> Any:
        raise AssertionError("not asked for here")

    return Tools(
        provenance=lambda: {"command": "test"},
        make_data=lambda _, folder: made.append(folder),
        measure_latency=refuse,
        track=refuse,
    )


def test_a_stage_is_done_once(tmp_path: Path) -> None:
    path, calls = tmp_path / "stage.json", []

    def make() -> dict[str, Any]:
        calls.append(1)
        return {"value": 0.1, "pair": (1, 2)}

    assert once(path, make) == once(path, make) == {"value": 0.1, "pair": [1, 2]}
    assert len(calls) == 1


def test_a_stage_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        once(tmp_path / "stage.json", fail)
    with pytest.raises(ValueError, match="JSON"):
        once(tmp_path / "stage.json", lambda: {"value": float("nan")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00"])
def test_a_damaged_stage_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "stage.json").write_text(text)
    with pytest.raises(RunError, match=r"stage\.json.*delete it"):
        read_json(tmp_path / "stage.json")


def test_only_free_settings_may_change(tmp_path: Path) -> None:
    out = tmp_path / "t"
    open_table(out, SMOKE, resume=True)
    with pytest.raises(RunError, match="add --resume"):
        open_table(out, SMOKE, resume=False)
    open_table(out, SMOKE.changed(workers=2), resume=True)
    with pytest.raises(RunError, match=r"recipe\.steps \(2 then, 5 now\)"):
        open_table(out, SMOKE.changed(steps=5), resume=True)
    with pytest.raises(RunError, match=r"name \(smoke then, other now\)"):
        open_table(out, dataclasses.replace(SMOKE, name="other"), resume=True)


def test_a_table_begun_by_an_older_release_goes_on(tmp_path: Path) -> None:
    open_table(tmp_path / "t", SMOKE, resume=True)
    path = tmp_path / "t" / PROTOCOL_FILE
    content = json.loads(path.read_text())
    del content["recipe"]["balance"], content["recipe"]["optimizer"]["decay_at"]  # settings that it did not know
    path.write_text(json.dumps(content))
    open_table(tmp_path / "t", SMOKE, resume=True)
    del content["recipe"]["steps"]  # whose default is another value
    path.write_text(json.dumps(content))
    with pytest.raises(RunError, match=r"recipe\.steps"):
        open_table(tmp_path / "t", SMOKE, resume=True)


def test_given_data_is_remembered_and_looked_at(tmp_path: Path, tiny_dataset: Path) -> None:
    made: list[Path] = []
    assert take_data(tmp_path, SMOKE, tiny_dataset, tools(made)) == tiny_dataset
    assert take_data(tmp_path, SMOKE, None, tools(made)) == tiny_dataset.resolve()
    assert made == []
    record = read_json(tmp_path / "data.json")
    record["sha256"] = "0" * 64
    (tmp_path / "data.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match="was started with another dataset"):
        take_data(tmp_path, SMOKE, tiny_dataset, tools(made))


def test_data_without_novel_views_is_refused(tmp_path: Path, tiny_dataset: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "dataset.json").write_bytes((tiny_dataset / "dataset.json").read_bytes())
    lines = (tiny_dataset / "manifest.jsonl").read_text().splitlines(keepends=True)
    (data / "manifest.jsonl").write_text("".join(line for line in lines if '"novel"' not in line))
    with pytest.raises(DatasetError, match="no views in the split 'novel'"):
        take_data(tmp_path, SMOKE, data, tools([]))
    assert not (tmp_path / "data.json").exists()
