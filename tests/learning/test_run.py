"""What a resumed run may change, and the log after a kill."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from graspnext.data.loader import LoaderConfig
from graspnext.errors import DatasetError, RunError
from graspnext.learning.recipes import Recipe
from graspnext.learning.run import Log, fingerprint, open_run, read_log, read_summary, write_summary
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
    batch, speed = LoaderConfig(batch_size=3), LoaderConfig(batch_size=8, workers=0, prefetch=1)
    open_run(
        tmp_path,
        preset=TINY,
        recipe=replace(RECIPE, loader=speed, log_every=3, checkpoint_every=4),
        data=tiny_dataset,
        resume=True,
    )
    with pytest.raises(RunError, match=r"recipe.loader.batch_size \(8 then, 3 now\); repeat"):
        open_run(tmp_path, preset=TINY, recipe=replace(RECIPE, loader=batch), data=tiny_dataset, resume=True)
    with pytest.raises(RunError, match=r"preset.max_detections \(100 then, 7 now\)"):
        open_run(tmp_path, preset=replace(TINY, max_detections=7), recipe=RECIPE, data=tiny_dataset, resume=True)


def older(run: Path, *removed: str) -> None:
    """Take settings out of a run's record, as a release wrote it that did not know them."""
    record = json.loads((run / "config.json").read_text())
    for name in removed:
        *path, last = name.split(".")
        table = record
        for key in path:
            table = table[key]
        del table[last]
    (run / "config.json").write_text(json.dumps(record))


UNKNOWN_ONCE = (
    *("recipe.accumulate", "recipe.balance", "recipe.overlays_every", "recipe.optimizer.kind"),
    *("recipe.optimizer.decay_at", "preset.max_detections", "versions.numpy"),
)


def test_a_run_of_a_release_that_knew_fewer_settings_goes_on(tiny_dataset: Path, tmp_path: Path) -> None:
    open_run(tmp_path, preset=TINY, recipe=RECIPE, data=tiny_dataset, resume=False)
    older(tmp_path, *UNKNOWN_ONCE)
    open_run(tmp_path, preset=TINY, recipe=RECIPE, data=tiny_dataset, resume=True)
    with pytest.raises(RunError, match=r"recipe.accumulate \(1 then, 2 now\); repeat"):
        open_run(tmp_path, preset=TINY, recipe=replace(RECIPE, accumulate=2), data=tiny_dataset, resume=True)
    with pytest.raises(RunError, match=r"preset.max_detections \(100 then, 7 now\)"):
        open_run(tmp_path, preset=replace(TINY, max_detections=7), recipe=RECIPE, data=tiny_dataset, resume=True)


def test_a_setting_that_this_release_does_not_know_is_named(tiny_dataset: Path, tmp_path: Path) -> None:
    open_run(tmp_path, preset=TINY, recipe=RECIPE, data=tiny_dataset, resume=False)
    record = json.loads((tmp_path / "config.json").read_text())
    record["recipe"]["optimizer"]["lookahead"] = 5
    (tmp_path / "config.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match=r"recipe.optimizer.lookahead \(5 then, not known now\)"):
        open_run(tmp_path, preset=TINY, recipe=RECIPE, data=tiny_dataset, resume=True)


def test_leftovers_of_killed_saves_are_removed(tiny_dataset: Path, tmp_path: Path) -> None:
    open_run(tmp_path, preset=TINY, recipe=RECIPE, data=tiny_dataset, resume=False)
    leftovers = [tmp_path / name for name in ("checkpoint/.last.safetensors.7.part", ".log.jsonl.7.part")]
    for path in leftovers:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    (tmp_path / "notes.part").write_text("a person's own")
    with pytest.raises(RunError, match="add --resume"):
        open_run(tmp_path, preset=TINY, recipe=RECIPE, data=tiny_dataset, resume=False)
    assert all(path.exists() for path in leftovers)
    open_run(tmp_path, preset=TINY, recipe=RECIPE, data=tiny_dataset, resume=True)
    assert not any(path.exists() for path in leftovers)
    assert (tmp_path / "notes.part").exists()


def test_the_record_says_on_what_and_with_what(tiny_dataset: Path, tmp_path: Path) -> None:
    open_run(tmp_path, preset=TINY, recipe=RECIPE, data=tiny_dataset, resume=False)
    record = json.loads((tmp_path / "config.json").read_text())
    assert record["recipe"] == json.loads(json.dumps(RECIPE.to_dict()))
    assert record["versions"]["torchvision"] and record["versions"]["torch"] == torch.__version__
    machine = record["hardware"]
    assert machine["processes"] == 1 and machine["cores"] >= 1 and machine["memory_gb"] > 0
    flags = Path("/proc/cpuinfo").read_text().split()
    assert [unit for unit in machine["bf16_units"] if unit not in flags] == []
    assert ("amx_bf16" in machine["bf16_units"]) == ("amx_bf16" in flags)


def test_the_summary_adds_up_the_log(tmp_path: Path) -> None:
    """Two seconds at 4 images/s of which a quarter waits, then one second at 8, all of which waits."""
    log = Log(tmp_path, start_step=0)
    log.append({"step": 4, "images_per_s": 4.0, "data_wait_share": 0.25, "memory_mb": 900})
    log.append({"step": 8, "images_per_s": 8.0, "data_wait_share": 1.0, "memory_mb": 700})
    write_summary(tmp_path, Recipe(steps=8, loader=LoaderConfig(batch_size=2)), elapsed_s=4.0)
    summary = read_summary(tmp_path)
    assert (summary["steps"], summary["images_seen"], summary["wall_time_s"]) == (8, 16, 4.0)
    assert summary["images_per_s"] == 4.0
    assert summary["data_wait_share"] == pytest.approx((2 * 0.25 + 1 * 1.0) / 3, abs=1e-4)
    assert summary["peak_memory_mb"] == 900
    assert summary["hardware"]["cores"] >= 1


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


@pytest.mark.parametrize(
    "name", ["checkpoint/last.safetensors", "weights.safetensors", "log.jsonl", "tensorboard/events.1"]
)
@pytest.mark.parametrize("resume", [True, False])
def test_files_without_config_are_not_touched(tiny_dataset: Path, tmp_path: Path, name: str, resume: bool) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(RunError, match=r"no config\.json; choose another folder"):
        open_run(tmp_path, preset=TINY, recipe=RECIPE, data=tiny_dataset, resume=resume)
    assert (tmp_path / name).read_bytes() == b"x" and not (tmp_path / "config.json").exists()


def test_log_forgets_what_came_after_the_checkpoint_and_a_torn_line(tmp_path: Path) -> None:
    log = Log(tmp_path, start_step=0)
    for step in (1, 2, 3, 4):
        log.append({"step": step})
    with (tmp_path / "log.jsonl").open("a") as stream:
        stream.write('{"step": 5, "los')
    assert [line["step"] for line in read_log(tmp_path)] == [1, 2, 3, 4]
    Log(tmp_path, start_step=2).append({"step": 3, "again": True})
    assert read_log(tmp_path) == [{"step": 1}, {"step": 2}, {"step": 3, "again": True}]
