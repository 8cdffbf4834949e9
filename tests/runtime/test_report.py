"""predictions.json: fixed keys, masks that pycocotools reads, plain JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pycocotools import mask as coco

from graspnext.runtime.report import frame_record, report
from graspnext.runtime.sources import Problem
from graspnext.types import Prediction


def prediction() -> Prediction:
    cells = (np.arange(28) + 0.5) / 28 * 2 - 1
    disc = (1 / (1 + np.exp(40 * (np.hypot(cells[:, None], cells[None]) - 1)))).astype(np.float32)
    left = disc * (cells[None] < 0)
    heat = np.zeros((30, 40), dtype=np.float32)
    heat[10, 20], heat[25, 3] = 0.8, 0.9
    return Prediction(
        width=160,
        height=120,
        scores=np.array([0.91234567], dtype=np.float32),
        amodal_boxes=np.array([[20, 30, 100, 90]], dtype=np.float32),
        visible_masks=left[None],
        amodal_masks=disc[None],
        occluded_probability=np.array([0.75], dtype=np.float32),
        center_of_mass=np.array([[60.123, 59.877]], dtype=np.float32),
        suction=heat,
        source="a.png",
    )


def test_the_keys_are_those_of_the_contract() -> None:
    record = frame_record(prediction())
    assert list(record) == ["file", "width", "height", "instances", "suction_peaks"]
    instance = record["instances"][0]
    assert set(instance) == {
        "score",
        "amodal_box",
        "visible_mask",
        "amodal_mask",
        "occluded_probability",
        "center_of_mass",
    }
    assert instance["amodal_box"] == [20, 30, 100, 90]
    assert instance["center_of_mass"] == [60.12, 59.88]
    assert instance["score"] == 0.9123
    assert record["suction_peaks"] == [
        {"u": 14.0, "v": 102.0, "score": pytest.approx(0.9)},
        {"u": 82.0, "v": 42.0, "score": pytest.approx(0.8)},
    ]


def test_masks_are_run_lengths_of_the_whole_image() -> None:
    instance = frame_record(prediction())["instances"][0]
    amodal, visible = (coco.decode(instance[name]).astype(bool) for name in ("amodal_mask", "visible_mask"))
    rows, columns = np.mgrid[:120, :160] + 0.5
    ellipse = ((columns - 60) / 40) ** 2 + ((rows - 60) / 30) ** 2 < 1
    assert (amodal ^ ellipse).sum() / ellipse.sum() < 0.03
    half = ellipse & (columns < 60)
    assert (visible ^ half).sum() / half.sum() < 0.06


def test_the_whole_file_is_plain_json() -> None:
    content = report([frame_record(prediction())], [Problem("b.png", "not an image")], model="fast", min_score=0.5)
    again = json.loads(json.dumps(content, allow_nan=False))
    assert again == content
    assert again["errors"] == [{"source": "b.png", "problem": "not an image"}]
    assert again["model"] == "fast"
    assert len(again["frames"]) == 1
