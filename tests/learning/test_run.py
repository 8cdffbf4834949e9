"""What a resumed run may change, and the log after a kill."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from graspnext.data.loader import LoaderConfig
from graspnext.errors import DatasetError, RunError
from graspnext.learning.recipes import Recipe
from graspnext.learning.run import Log, fingerprint, open_run, read_log
from graspnext.network.presets import find_preset

TINY = find_preset("tiny")
RECIPE = Recipe(steps=5)


def test_fingerprint_is_the_manifests_hash(tiny_dataset: Path, tmp_path: Path) -> None:
    assert fingerprint(tiny_dataset) == hashlib.sha256((tiny_dataset / "manifest.jsonl").read_bytes()).hexdigest()
    with pytest.raises(DatasetError, match=r"manifest.jsonl cannot be read"):
        fingerprint(tmp_path)


def test_resume_starts_a_missing_run(tiny_dataset: Path, tmp_path: Path) -> None:
    open_run(tmp_path / "a" / "run", preset=TINY, recipe=RECIPE, data=tiny_dataset, resume=True)
    assert json.loads((tmp_path / "a/run/config.json").read_text())["recipe"]["steps"] == 5


def test_settings_that_touch_the_result_must_stay(tiny_dataset: Path, tmp_path: Path) -> None:
    open_run(tmp_path, preset=TINY, recipe=RECIPE, data=tiny_dataset, resume=False)
    batch, speed = LoaderConfig(batch_size=3), LoaderConfig(batch_size=4, workers=0, prefetch=1)
    open_run(
        tmp_path,
        preset=TINY,
        recipe=replace(RECIPE, loader=speed, log_every=3, checkpoint_every=4),
        data=tiny_dataset,
        resume=True,
    )
    with pytest.raises(RunError, match=r"recipe.loader.batch_size \(4 then, 3 now\); repeat"):
        open_run(tmp_path, preset=TINY, recipe=replace(RECIPE, loader=batch), data=tiny_dataset, resume=True)
    with pytest.raises(RunError, match=r"preset.max_detections \(100 then, 7 now\)"):
        open_run(tmp_path, preset=replace(TINY, max_detections=7), recipe=RECIPE, data=tiny_dataset, resume=True)


def test_another_dataset_is_refused(tiny_dataset: Path, tmp_path: Path) -> None:
    open_run(tmp_path / "run", preset=TINY, recipe=RECIPE, data=tiny_dataset, resume=False)
    other = tmp_path / "other"
    shutil.copytree(tiny_dataset, other)
    lines = (other / "manifest.jsonl").read_text().splitlines(keepends=True)
    (other / "manifest.jsonl").write_text("".join(lines[:-1]))
    with pytest.raises(RunError, match="dataset_sha256"):
        open_run(tmp_path / "run", preset=TINY, recipe=RECIPE, data=other, resume=True)


def test_the_record_says_what_the_dataset_is(tiny_dataset: Path, tmp_path: Path) -> None:
    open_run(tmp_path / "run", preset=TINY, recipe=RECIPE, data=tiny_dataset, resume=False)
    record = json.loads((tmp_path / "run/config.json").read_text())["dataset"]
    manifest = [json.loads(line) for line in (tiny_dataset / "manifest.jsonl").read_text().splitlines()]
    assert record["views"] == dict(Counter(line["split"] for line in manifest))
    assert record["seed"] == json.loads((tiny_dataset / "dataset.json").read_text())["seed"]


def test_a_checkpoint_without_config_is_not_touched(tiny_dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint/last.safetensors").write_bytes(b"x")
    with pytest.raises(RunError, match="choose another folder"):
        open_run(tmp_path, preset=TINY, recipe=RECIPE, data=tiny_dataset, resume=True)


def test_log_forgets_what_came_after_the_checkpoint_and_a_torn_line(tmp_path: Path) -> None:
    log = Log(tmp_path, start_step=0)
    for step in (1, 2, 3, 4):
        log.append({"step": step})
    with (tmp_path / "log.jsonl").open("a") as stream:
        stream.write('{"step": 5, "los')
    assert [line["step"] for line in read_log(tmp_path)] == [1, 2, 3, 4]
    Log(tmp_path, start_step=2).append({"step": 3, "again": True})
    assert read_log(tmp_path) == [{"step": 1}, {"step": 2}, {"step": 3, "again": True}]
