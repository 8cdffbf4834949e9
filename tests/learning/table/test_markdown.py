"""The page says what is in the table, what is missing, and whose numbers are whose."""

from __future__ import annotations

import json
from typing import Any

import pytest

from graspnext.learning.table.markdown import TASKS, markdown
from graspnext.learning.table.paper import AIMS, PAPER
from graspnext.learning.table.protocols import find_protocol

ORIGIN = {
    "date": "2026-11-25T09:00:00+00:00",
    "command": "graspnext table --protocol cpu --out t",
    "version": "1.2.3",
    "commit": None,
    "torch": "2.14.0",
    "python": "3.11.9",
    "hardware": {"processor": "a processor", "cores": 2, "gpu": None},
}


def row(name: str, number: int) -> dict[str, Any]:
    metrics: dict[str, float | None] = dict.fromkeys(TASKS, 0.111 * (number + 1))
    metrics["heatmap_mse"], metrics["center_of_mass_ap"] = 0.01234, None
    metrics["occlusion_f1"], metrics["matched_share"] = None, 0.456
    common = {"num_views": 1200, "input_size": 512, "precision": "bf16", "time_s": 90.0, "provenance": ORIGIN}
    return {
        "name": name,
        "cost": {"params_m": 7.7, "gmacs": 83.4, "size": 1200, "input_size": 1216, "proposals": 200, "detections": 50},
        "trunk_norm": None if name == "fast" else "batch",
        "training": {"images": 12000, "wall_time_s": 5400.0, "images_per_s": 2.22, "provenance": ORIGIN},
        "evaluation": {split: {"metrics": metrics, **common} for split in ("test", "novel")},
        "latency": [],
    }


def table(*names: str) -> dict[str, Any]:
    protocol = find_protocol("cpu")
    return {
        "protocol": json.loads(json.dumps(protocol.to_dict())),
        "images_per_row": protocol.images,
        "complete": False,
        "commands": [ORIGIN["command"]],
        "data": {
            "recipe": "bench",
            "seed": 1,
            "scenes": 1200,
            "views_per_scene": 5,
            "views": {"train": 3240},
            "image_size": [512, 512],
            "generator": "graspnext 1.2.3",
            "sha256": "ab" * 32,
            "provenance": ORIGIN,
        },
        "rows": [row(name, number) for number, name in enumerate(names)],
        "latency": None,
        "paper": {"dataset": "MetaGraspNet", "device": "Jetson TX2", "size_px": 1200, "rows": PAPER},
        "aims": AIMS,
    }


def cells(page: str, first: str) -> list[list[str]]:
    """The cells of every line of a table that begins with a word."""
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")
    ]
    return [line for line in lines if line[0] == first]


def test_numbers_stand_in_their_columns() -> None:
    page = markdown(table("resnet50", "fast"), chart="c.png", curves="l.png")
    test, novel, cost, training = cells(page, "**fast** (ours)")
    assert test == novel == ["**fast** (ours)", "22.2", "22.2", "22.2", "22.2", "-", "0.0123", "-", "45.6"]
    assert cost == ["**fast** (ours)", "7.7", "83"]
    assert training[1:4] == ["12,000", "1.50", "2.22"] and training[-1] == "`1.2.3`"
    assert cells(page, "*aim for fast*") == [["*aim for fast*", "at most 8.9", "at most 100"]]
    assert "a processor, 2 cores; torch 2.14.0" in page and "sampling.mask_rois" in page


def test_other_norms_than_the_presets_are_named() -> None:
    content = table("resnet50", "mobilenet_v3_large", "fast")
    assert "group norms" not in markdown(content, chart="c.png", curves="l.png")
    content["rows"][1]["trunk_norm"] = "group"
    page = markdown(content, chart="c.png", curves="l.png")
    assert "Trained, and timed, with group norms, since batches are small: `mobilenet_v3_large`." in page


def test_the_papers_numbers_stand_apart() -> None:
    page = markdown(table("resnet50"), chart="c.png", curves="l.png")
    ours, _, theirs = page.partition("## The paper's own numbers")
    assert "another dataset" in theirs and cells(theirs, "ResNet-GraspNeXt")[0][1:] == [
        *("85.0", "84.9", "84.1", "77.2", "75.3", "0.0113", "92.1", "1314", "3501")
    ]
    assert "GraspNeXt |" not in ours


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "rows to come: `resnet50`, `efficientnet_b0`, `mobilenet_v3_large`, `fast`"),
        (("resnet50", "fast"), "rows to come: `efficientnet_b0`, `mobilenet_v3_large`"),
        (("resnet50", "efficientnet_b0", "mobilenet_v3_large", "fast"), "latency is to come"),
    ],
)
def test_what_is_missing_is_said(names: tuple[str, ...], said: str) -> None:
    page = markdown(table(*names), chart="c.png", curves="l.png")
    assert f"**Not complete: {said}.**" in page
    assert "c.png" not in page and ("l.png" in page) == bool(names)


def test_a_runtime_that_differs_is_named() -> None:
    content = table("fast")
    content["rows"][0]["latency"] = [
        {"runtime": "openvino", "precision": "fp32", "p50_ms": 12.34, "p95_ms": 15.0, "speedup": None}
    ]
    content["latency"] = {
        "size_px": 1200,
        "input_size_px": 1216,
        "threads": 2,
        "rounds": 20,
        "reference": None,
        "load_before": 0.1,
        "load_after": None,
        "left_out": [["openvino", "bf16"]],
        "agreement": {"fast": {"faults": ["score differs by 0.5 (at most 0.001)"]}},
        "provenance": ORIGIN,
    }
    page = markdown(content, chart="c.png", curves="l.png")
    assert "exported fast differs from the trained network: score differs by 0.5" in page
    assert "Not on this machine: openvino bf16." in page and "c.png" in page
    assert ["**fast** (ours)", "7.7", "83", "12.3 (p95 15.0)", "-"] in cells(page, "**fast** (ours)")
