"""A prediction in the forms of others: COCO results, supervision, overlays; and the depth of its points."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from graspnext import types
from graspnext.errors import InputImageError
from graspnext.runtime.prediction import Prediction
from graspnext.types import BoolArray, Camera, Float32Array, Frame

HEIGHT, WIDTH = 120, 160
CAMERA = Camera(WIDTH, HEIGHT, 200.0, 210.0, 80.0, 60.0)


def disc() -> Float32Array:
    cells = (np.arange(28) + 0.5) / 28 * 2 - 1
    return (1 / (1 + np.exp(40 * (np.hypot(cells[:, None], cells[None]) - 1)))).astype(np.float32)


def ellipse(box: tuple[float, float, float, float]) -> BoolArray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    x1, y1, x2, y2 = box
    across, down = (columns - (x1 + x2) / 2) / (x2 - x1) * 2, (rows - (y1 + y2) / 2) / (y2 - y1) * 2
    return np.asarray(across**2 + down**2 < 1)


def found() -> types.Prediction:
    """Two ellipses: of the first the left half is seen; the second reaches over the right border, its centre too."""
    cells = (np.arange(28) + 0.5) / 28 * 2 - 1
    heat = np.zeros((30, 40), dtype=np.float32)
    heat[10, 20], heat[25, 3] = 0.8, 0.9
    return types.Prediction(
        width=WIDTH,
        height=HEIGHT,
        scores=np.array([0.91234567, 0.6], dtype=np.float32),
        amodal_boxes=np.array([[20, 30, 100, 90], [110, 10, 160, 60]], dtype=np.float32),
        visible_masks=np.stack([disc() * (cells[None] < 0), disc()]),
        amodal_masks=np.stack([disc(), disc()]),
        occluded_probability=np.array([0.75, 0.1], dtype=np.float32),
        center_of_mass=np.array([[60.123, 59.877], [161.5, 35]], dtype=np.float32),
        suction=heat,
        source="a.png",
    )


def frame(*, depth: bool = True, camera: Camera | None = CAMERA) -> Frame:
    """Depth falls from 1 m at u = 0 by 1 mm each column; around the best peak nothing is measured."""
    depth_m = np.repeat((1 - (np.arange(WIDTH, dtype=np.float32)[None] + 0.5) / 1000), HEIGHT, axis=0)
    depth_m[95:, :30] = 0
    image = np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8)
    return Frame(image, depth_m if depth else None, camera, source="a.png")


def plain(prediction: Prediction) -> dict[str, Any]:
    return dict(json.loads(prediction.to_json()))


def test_without_depth_the_keys_are_those_of_the_contract() -> None:
    record = plain(Prediction.of(found(), frame(depth=False)))
    assert list(record) == ["file", "width", "height", "instances", "suction_peaks"]
    keys = {"score", "amodal_box", "visible_mask", "amodal_mask", "occluded_probability", "center_of_mass"}
    assert [set(instance) for instance in record["instances"]] == [keys, keys]
    assert record["instances"][0]["amodal_box"] == [20, 30, 100, 90]
    assert record["instances"][0]["center_of_mass"] == [60.12, 59.88]
    assert record["instances"][0]["score"] == 0.9123
    assert record["suction_peaks"] == [
        {"u": 14.0, "v": 102.0, "score": pytest.approx(0.9)},
        {"u": 82.0, "v": 42.0, "score": pytest.approx(0.8)},
    ]


def test_depth_is_told_where_it_is_measured() -> None:
    """Closed form: depth is linear in u, so the median of a window is the depth of its middle column."""
    prediction = Prediction.of(found(), frame())
    record = plain(prediction)
    first, second = record["instances"]
    z = 1 - 60.5 / 1000
    assert first["center_of_mass_depth_m"] == pytest.approx(z, abs=6e-5)
    expected = [(60.123 - 80) / 200 * z, (59.877 - 60) / 210 * z, z]
    assert first["center_of_mass_point_m"] == pytest.approx(expected, abs=6e-5)
    assert second["center_of_mass_depth_m"] is None  # it lies outside the image
    assert second["center_of_mass_point_m"] is None
    missing, measured = record["suction_peaks"]
    assert (missing["depth_m"], missing["point_m"]) == (None, None)
    assert measured["depth_m"] == pytest.approx(1 - 82.5 / 1000, abs=6e-5)
    assert prediction.suction_points_m is not None
    assert measured["point_m"] == pytest.approx(prediction.suction_points_m[1].tolist(), abs=6e-5)
    json.dumps(record, allow_nan=False)


def test_a_centre_left_of_or_above_the_image_has_no_depth() -> None:
    outside = replace(found(), center_of_mass=np.array([[-5, 50], [50, -40]], dtype=np.float32))
    depths = Prediction.of(outside, frame()).center_of_mass_depth_m
    assert depths is not None
    assert np.isnan(depths).all()


def test_depth_without_a_camera_gives_no_points() -> None:
    prediction = Prediction.of(found(), frame(camera=None))
    assert prediction.suction_points_m is None
    assert prediction.center_of_mass_points_m is None
    record = plain(prediction)
    assert "center_of_mass_depth_m" in record["instances"][0]
    assert "center_of_mass_point_m" not in record["instances"][0]
    assert set(record["suction_peaks"][0]) == {"u", "v", "score", "depth_m"}


def test_masks_are_run_lengths_of_the_whole_image() -> None:
    instance = plain(Prediction.of(found(), frame()))["instances"][0]
    amodal, visible = (coco_mask.decode(instance[name]).astype(bool) for name in ("amodal_mask", "visible_mask"))
    whole = ellipse((20, 30, 100, 90))
    half = whole & (np.mgrid[:HEIGHT, :WIDTH][1] < 60)
    assert (amodal ^ whole).sum() / whole.sum() < 0.03
    assert (visible ^ half).sum() / half.sum() < 0.06


def test_coco_results_score_full_marks_against_their_own_shapes() -> None:
    """pycocotools reads the list and finds both parts, at every IoU up to 0.95, in boxes and in masks."""
    results = Prediction.of(found(), frame()).to_coco(image_id=7)
    assert json.loads(json.dumps(results, allow_nan=False)) == results
    truth = COCO()
    shapes = [ellipse((20, 30, 100, 90)), ellipse((110, 10, 160, 60))]
    encoded = [coco_mask.encode(np.asfortranarray(shape.astype(np.uint8))) for shape in shapes]
    annotations = [
        {"id": number, "image_id": 7, "category_id": 1, "iscrowd": 0, "area": float(coco_mask.area(one))}
        | {"bbox": coco_mask.toBbox(one).tolist(), "segmentation": one}
        for number, one in enumerate(encoded, start=1)
    ]
    images = [{"id": 7, "height": HEIGHT, "width": WIDTH}]
    truth.dataset = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "part"}],
        "info": {},
    }
    truth.createIndex()
    for kind in ("bbox", "segm"):
        evaluation = COCOeval(truth, truth.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        assert evaluation.stats[0] == pytest.approx(1.0), kind
    assert results[0]["occluded_rate"] == pytest.approx(0.5, abs=0.02)
    assert results[1]["occluded_rate"] == 0


def test_supervision_takes_it_as_detections() -> None:
    supervision = pytest.importorskip("supervision")
    prediction = Prediction.of(found(), frame())
    detections = prediction.to_supervision()
    assert isinstance(detections, supervision.Detections)
    best = detections[detections.confidence > 0.7]
    assert len(best) == 1
    assert np.array_equal(best.mask[0], prediction.masks("visible")[0])
    assert np.array_equal(best.data["amodal_mask"][0], prediction.masks("amodal")[0])
    assert best.data["class_name"].tolist() == ["part"]
    none = replace(found(), **{name: value[:0] for name, value in vars(found()).items() if name in ROWS})
    assert len(Prediction.of(none, frame()).to_supervision()) == 0


ROWS = {"scores", "amodal_boxes", "visible_masks", "amodal_masks", "occluded_probability", "center_of_mass"}


def test_whole_masks_are_those_of_the_run_lengths() -> None:
    prediction = Prediction.of(found(), frame())
    for kind in ("visible", "amodal"):
        for mask, instance in zip(prediction.masks(kind), prediction.to_dict()["instances"], strict=True):
            assert np.array_equal(mask, coco_mask.decode(instance[f"{kind}_mask"]).astype(bool))


def test_the_overlay_reads_its_picture_again(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    prediction = Prediction.of(replace(found(), source=str(tmp_path / "a.png")), frame())
    drawn = prediction.overlay()
    assert drawn.dtype == np.uint8
    assert np.array_equal(drawn, prediction.overlay(picture))
    assert not np.array_equal(drawn, prediction.overlay(picture // 2))


def test_an_overlay_without_its_picture_says_so(tmp_path: Path) -> None:
    nameless = Prediction.of(replace(found(), source=""), frame())
    with pytest.raises(InputImageError, match=r"hand it to overlay\(image\)"):
        nameless.overlay()
    with pytest.raises(InputImageError, match="no such file"):
        Prediction.of(replace(found(), source=str(tmp_path / "gone.png")), frame()).overlay()
    with pytest.raises(InputImageError, match=r"an array \(5, 5, 3\), but predicted on 160 x 120 px"):
        nameless.overlay(np.zeros((5, 5, 3), dtype=np.uint8))
