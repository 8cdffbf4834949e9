"""What a task loses is measured by the project's metrics, on predictions made from the labels themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graspnext.data.sample import mean_pool
from graspnext.deploy.comparison.agreement import TASKS, Tolerance
from graspnext.deploy.comparison.ledger import Ledger, Reference
from graspnext.deploy.frames import Frames, dataset_frames
from graspnext.types import View

CELLS = 28


def perfect(view: View) -> dict[str, Any]:
    """The labels of a view as a network would put them out."""
    asked = [one for one in view.labels.instances if not one.ignore]
    boxes = np.array([one.amodal_box for one in asked], dtype=np.float32)
    suction = mean_pool(view.labels.suction, 4)
    return {
        "scores": np.linspace(0.9, 0.6, len(asked)).astype(np.float32),
        "amodal_boxes": boxes,
        "visible_masks": np.stack([cells(one.visible_mask, box) for one, box in zip(asked, boxes, strict=True)]),
        "amodal_masks": np.stack([cells(one.amodal_mask, box) for one, box in zip(asked, boxes, strict=True)]),
        "occluded_probability": np.array([0.9 if one.occluded else 0.1 for one in asked], dtype=np.float32),
        "center_of_mass": np.array([one.center_of_mass[:2] for one in asked], dtype=np.float32),
        "suction": suction,
        "valid": np.ones(2, dtype=np.float32),
        "count": np.array(len(asked)),
    }


def cells(mask: Any, box: Any) -> Any:
    """A mask (H, W) at the centres of the cells of its box."""
    centre = (np.arange(CELLS) + 0.5) / CELLS
    rows = np.clip((box[1] + centre * (box[3] - box[1])).astype(int), 0, mask.shape[0] - 1)
    columns = np.clip((box[0] + centre * (box[2] - box[0])).astype(int), 0, mask.shape[1] - 1)
    return mask[rows][:, columns].astype(np.float32)


def worsen(task: str, outputs: dict[str, Any]) -> None:
    """Spoil the answer of one task alone."""
    if task == "amodal_box":
        outputs["scores"][:] = outputs["scores"][::-1]  # also the masks' and centres' order: see the test
        outputs["amodal_boxes"][:, 2:] += 4
    elif task in {"visible_mask", "amodal_mask"}:
        outputs[f"{task}s"][:, :, : CELLS // 3] = 0
    elif task == "occlusion":
        outputs["occluded_probability"] = 1 - outputs["occluded_probability"]
    elif task == "center_of_mass":
        outputs["center_of_mass"] += 12
    else:
        outputs["suction"] = outputs["suction"] * 0.5


@pytest.fixture(scope="module")
def frames(tiny_dataset: Path) -> Frames:
    return dataset_frames(tiny_dataset, "train", limit=6)


def measure(frames: Frames, task: str | None, spoilt: tuple[int, ...] = (0, 1, 2, 3, 4, 5)) -> tuple[Reference, Ledger]:
    trained, ledger = Reference(frames), Ledger(frames, Tolerance())
    for index in range(len(frames)):
        _, view = frames.read(index)
        assert view is not None
        expected, outputs = perfect(view), perfect(view)
        if task is not None and index in spoilt:
            worsen(task, outputs)
        trained.add(view, expected)
        ledger.compare(view, expected, outputs)
    return trained, ledger


def test_equal_outputs_lose_nothing(frames: Frames) -> None:
    trained, ledger = measure(frames, None)
    reference = trained.metrics()
    assert list(ledger.drops(trained)) == list(TASKS)
    assert not any(ledger.drops(trained).values())
    assert reference["amodal_box"] > 0.95 and reference["occlusion"] == 1 and reference["suction"] == 0
    assert not ledger.broken_frames()


@pytest.mark.parametrize("task", TASKS)
def test_a_task_that_gets_worse_drops(frames: Frames, task: str) -> None:
    trained, ledger = measure(frames, task)
    drops = ledger.drops(trained)
    assert drops[task] > 2
    touched = {"amodal_box", "visible_mask", "amodal_mask", "center_of_mass"} if task == "amodal_box" else {task}
    assert all(abs(drops[other]) < 1e-9 for other in TASKS if other not in touched)


@pytest.mark.parametrize("task", TASKS)
def test_the_frame_that_suffers_is_named(frames: Frames, task: str) -> None:
    _, ledger = measure(frames, task, spoilt=(4,))
    assert ledger.furthest(task) == 4
    assert ledger.broken_frames() == [4]
    ledger.ties[4] = "suppression"
    assert ledger.worst()["score"] == (0.0, 0), "a near-tie does not count for single detections"


def test_heatmaps_are_measured_in_the_unit_of_scores(frames: Frames) -> None:
    trained, ledger = Reference(frames), Ledger(frames, Tolerance())
    _, view = frames.read(0)
    assert view is not None
    outputs = perfect(view)
    outputs["suction"] = outputs["suction"] + np.float32(0.02)
    trained.add(view, perfect(view))
    ledger.compare(view, perfect(view), outputs)
    assert ledger.drops(trained)["suction"] == pytest.approx(2.0, abs=1e-3)


def test_what_only_one_side_measures_is_nan(frames: Frames) -> None:
    trained, ledger = Reference(frames), Ledger(frames, Tolerance())
    _, view = frames.read(0)
    assert view is not None
    nothing = {**perfect(view), "scores": np.zeros_like(perfect(view)["scores"])}
    trained.add(view, perfect(view))
    ledger.compare(view, perfect(view), nothing)
    drops = ledger.drops(trained)
    assert np.isnan(drops["occlusion"]) and drops["amodal_box"] > 90


def test_a_drop_of_equal_size_on_every_frame_is_sure_and_of_one_frame_is_not(frames: Frames) -> None:
    everywhere, once = measure(frames, "suction"), measure(frames, "suction", spoilt=(2,))
    sure, unsure = (ledger.drop_errors(trained)["suction"] for trained, ledger in (everywhere, once))
    drop, small = (ledger.drops(trained)["suction"] for trained, ledger in (everywhere, once))
    assert 0 < sure < 0.2 * drop
    assert unsure / small > 2 * sure / drop
    trained, ledger = measure(frames, None)
    assert set(ledger.drop_errors(trained).values()) == {0.0}
