"""The numbers of a dataset against counting by hand."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tests.data.damage import bless, edit_json

from graspnext.data.difficulty import difficulty_of
from graspnext.data.reader import Dataset
from graspnext.data.statistics import distribution, gather, read_log
from graspnext.errors import DatasetError


def test_counts_and_means_are_those_of_whole_views(tiny_dataset: Path) -> None:
    dataset = Dataset(tiny_dataset)
    numbers = gather(dataset, sample=10**6)
    views = [(entry, dataset.read(entry)) for entry in dataset.entries]
    instances = [one for _, view in views for one in view.labels.instances]
    assert numbers["counts"] == {
        "scenes": 10,
        "failed_scenes": 0,
        "views": 20,
        "instances": len(instances),
        "families": 1,
    }
    assert numbers["by_family"]["sheet"] == {
        "instances": len(instances),
        "occluded": sum(one.occluded for one in instances),
        "ignored": sum(one.ignore for one in instances),
    }
    for split, counts in numbers["by_split"].items():
        mine = [view for entry, view in views if entry.split == split]
        levels = Counter(difficulty_of(view.labels.instances) for view in mine)
        assert counts["views"] == len(mine)
        assert counts["scenes"] == len({view.scene_id for view in mine})
        assert counts["instances"] == sum(len(view.labels.instances) for view in mine)
        assert counts["views_by_difficulty"] == [levels[level] for level in range(1, 6)]

    known = numbers["distributions"]
    expected = {
        "occluded_rate": [one.occluded_rate for one in instances],
        "amodal_size_px": [np.sqrt(one.amodal_mask.sum()) for one in instances],
        "layer": [one.layer for one in instances],
        "parts_per_view": [len(view.labels.instances) for _, view in views],
        "depth_missing_share": [(view.labels.depth_m == 0).mean() for _, view in views],
        "suckable_share": [(view.labels.suction[view.labels.instance_ids > 0] >= 0.5).mean() for _, view in views],
        "tilt_deg": [0.0] * len(views),
    }
    for name, values in expected.items():
        assert known[name]["number"] == len(values), name
        assert known[name]["mean"] == pytest.approx(np.mean(values), abs=2e-6), name
        assert known[name]["median"] == pytest.approx(np.median(values), abs=2e-6), name
        assert sum(known[name]["counts"]) == len(values), name
        inside = [
            sum(low <= value < high for value in values)
            for low, high in zip(known[name]["edges"][:-2], known[name]["edges"][1:-1], strict=True)
        ]
        assert known[name]["counts"][:-1] == inside, name
    pixels = np.concatenate([view.labels.suction[view.labels.instance_ids > 0] for _, view in views])
    assert known["suction_score"]["number"] == pixels.size
    assert known["suction_score"]["mean"] == pytest.approx(pixels.mean(), abs=0.025)  # bins of 0.05
    json.dumps(numbers, allow_nan=False)


def test_the_log_and_the_failed_scenes_are_summed_up(tiny_dataset: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(tiny_dataset, tmp_path / "copy"))
    seconds = {"physics": 1.0, "render": 2.0}
    lines = [
        {"scene": f"{n:06d}", "attempts": 1 + n % 2, "problems": [f"bolt-0{n} sinks 1.{n} mm"] * (n % 2)}
        for n in range(10)
    ]
    lines.append({"scene": "000010", "attempts": 3, "problems": ["unstable"] * 3})
    content = [json.dumps(line | {"seconds": seconds, "memory_mb": 100 + n}) for n, line in enumerate(lines)]
    (root / "log.jsonl").write_text("\n".join(content) + '\n{"half')
    failed = [{"scene": "000010", "problems": ["unstable"] * 3}]
    edit_json(root / "dataset.json", lambda info: info.update(failed_scenes=failed, num_scenes=11))
    assert len(read_log(root)) == 11
    numbers = gather(Dataset(root), sample=2)
    assert numbers["sampled_views"] == 2
    failures = numbers["failures"]
    assert failures["failed_scenes"] == failed
    assert (failures["attempts"], failures["refused_attempts"]) == (18, 8)
    assert failures["refused_share"] == pytest.approx(8 / 18, abs=1e-6)
    assert failures["reasons"] == {"bolt-… sinks … mm": 5, "unstable": 3}
    time = numbers["time"]
    assert time["total_s"] == 33
    assert time["s_per_view"] == pytest.approx(33 / 20)
    assert time["stages"]["render"] == {"total_s": 22.0, "s_per_view": 1.1}
    assert numbers["memory_mb"] == [[n, 100.0 + n] for n in range(11)]


def test_what_the_scenes_say_of_containers_and_fills_is_counted(tiny_dataset: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(tiny_dataset, tmp_path / "copy"))
    for n in range(10):
        info = {"container": {"kind": "tote" if n < 7 else "crate"}, "fill": "pile", "placements": [{}] * n}
        info["look"] = {"mood": "dim"} if n else "dark"
        edit_json(root / f"scenes/{n:06d}/scene.json", lambda scene, i=info: scene["info"].update(i))  # type: ignore[misc]
    numbers = gather(Dataset(root), sample=1)
    assert numbers["scenes_by_container"] == {"crate": 3, "tote": 7}
    assert numbers["scenes_by_fill"] == {"pile": 10}
    assert numbers["scenes_by_light"] == {"dim": 9}
    assert numbers["distributions"]["parts_per_scene"]["mean"] == 4.5


def test_a_damaged_file_is_a_named_error(tiny_dataset: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(tiny_dataset, tmp_path / "copy"))
    edit_json(
        root / "scenes/000003/1_labels.json",
        lambda content: content["instances"][2]["segmentation"].update(counts="zz1"),
    )
    bless(root)
    with pytest.raises(DatasetError, match=r"000003/1_labels.json \[instances\[2\].segmentation\]"):
        gather(Dataset(root))


def test_values_beyond_the_bins_are_in_the_outer_ones() -> None:
    found = distribution([-1.0, 0.1, 5.0], [0, 0.5, 1])
    assert found is not None
    assert found.counts == [2, 1]
    assert distribution([], [0, 1]) is None
