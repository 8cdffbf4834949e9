"""Fixtures for all rooms: a small dataset whose labels are known in closed form.

A scene is a stack of flat discs and rectangles seen straight from above, painted from the bottom up. Amodal masks
are the shapes themselves, visible masks what later paint leaves of them, depth the height of each sheet.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

if "PYTEST_XDIST_WORKER_COUNT" in os.environ:  # the processors are shared; told before torch is there to ask
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(cores // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]), 1)))

import numpy as np
import pytest
import torch._dynamo  # noqa: F401 - before anything renders: triton, which it loads, crashes after Mesa's LLVM

from graspnext.data.format import DatasetInfo, ManifestEntry
from graspnext.data.splits import split_of
from graspnext.data.writer import write_dataset_info, write_manifest, write_scene
from graspnext.types import BoolArray, Camera, Float32Array, Instance, Labels, View

TINY_SIZE = 96
TINY_SCENES = 10
TINY_NOVEL_SCENES = 2
TINY_VIEWS = 2
FLOOR_M = 0.9
SHEET_M = 0.02
COLOURS = ((200, 60, 40), (60, 160, 70), (50, 90, 200), (220, 190, 60), (160, 80, 170), (70, 190, 200))


def _tight_box(mask: BoolArray) -> Float32Array:
    if not mask.any():
        return np.zeros(4, dtype=np.float32)
    rows, columns = np.nonzero(mask)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], dtype=np.float32)


def _sheet(size: int, rng: np.random.Generator) -> tuple[BoolArray, Float32Array, tuple[float, float]]:
    """One flat part: its mask (H, W), its suction score (H, W), its centre (u, v) px."""
    rows, columns = np.mgrid[0:size, 0:size] + 0.5
    u, v = rng.uniform(0.1 * size, 0.9 * size, 2)
    if rng.random() < 0.5:
        radius = rng.uniform(0.1, 0.2) * size
        inward = radius - np.hypot(columns - u, rows - v)
    else:
        half = rng.uniform(0.08, 0.2, 2) * size
        inward = np.minimum(half[0] - np.abs(columns - u), half[1] - np.abs(rows - v))
    score = np.clip(inward / (0.1 * size), 0, 1).astype(np.float32)
    return inward > 0, score, (float(u), float(v))


def make_tiny_view(scene_id: str, view_id: int, *, size: int, num_parts: int, rng: np.random.Generator) -> View:
    """A stack of `num_parts` sheets, labels exact; some sheets reach over the border."""
    camera = Camera(size, size, 1.5 * size, 1.5 * size, size / 2, size / 2, np.diag([1.0, -1.0, -1.0, 1.0]))
    image = np.clip(rng.normal(90, 6, (size, size, 3)), 0, 255).astype(np.uint8)
    ids = np.zeros((size, size), dtype=np.int32)
    depth = np.full((size, size), FLOOR_M, dtype=np.float32)
    suction = np.zeros((size, size), dtype=np.float32)
    sheets = [_sheet(size, rng) for _ in range(num_parts)]
    for number, (mask, score, _) in enumerate(sheets, start=1):  # from the bottom up
        texture = rng.normal(0, 5, (size, size, 3))
        colour = np.array(COLOURS[(number + int(rng.integers(6))) % len(COLOURS)])
        image[mask] = np.clip(colour + texture, 0, 255).astype(np.uint8)[mask]
        ids[mask], depth[mask], suction[mask] = number, FLOOR_M - SHEET_M * number, score[mask]

    layers: dict[int, int] = {}
    for number in range(num_parts, 0, -1):  # a part lies one layer below the deepest part on top of it
        above = [other for other in layers if (sheets[number - 1][0] & sheets[other - 1][0]).any()]
        layers[number] = 1 + max((layers[other] for other in above), default=-1)
    instances = []
    for number, (amodal, _, (u, v)) in enumerate(sheets, start=1):
        visible = ids == number
        rate = 1 - visible.sum() / amodal.sum()
        z = FLOOR_M - SHEET_M * number
        pose = np.eye(4)
        pose[:3, 3] = (u - camera.cx) / camera.fx * z, (v - camera.cy) / camera.fy * z, z
        instances.append(
            Instance(
                id=number,
                part=f"sheet_{number}",
                family="sheet",
                amodal_box=_tight_box(amodal),
                visible_box=_tight_box(visible),
                amodal_mask=amodal,
                visible_mask=visible,
                occluded_rate=float(rate),
                occluded=bool(rate >= 0.05),
                center_of_mass=np.array([u, v, z], dtype=np.float32),
                layer=layers[number],
                T_camera_part=pose,
                ignore=int(visible.sum()) < 12,
            )
        )
    return View(scene_id, view_id, image, camera, Labels(tuple(instances), ids, depth, suction))


def write_tiny_dataset(root: Path, *, size: int = TINY_SIZE, scenes: int = TINY_SCENES, parts: int = 6) -> Path:
    """A whole dataset through the writer: `scenes` scenes of TINY_VIEWS views, the last TINY_NOVEL_SCENES novel."""
    entries = []
    for index in range(scenes):
        scene_id = f"{index:06d}"
        split = split_of(index, novel=index >= scenes - TINY_NOVEL_SCENES)
        views = [
            make_tiny_view(scene_id, view, size=size, num_parts=parts, rng=np.random.default_rng([7, index, view]))
            for view in range(TINY_VIEWS)
        ]
        for files in write_scene(root, scene_id, scene_info={"index": index}, views=views):
            entries.append(
                ManifestEntry(scene=scene_id, view=files.view, split=split, rgb=files.rgb, sha256=files.sha256)
            )
    write_manifest(root, entries)
    write_dataset_info(
        root,
        DatasetInfo(
            generator="tests",
            recipe_name="sheets",
            recipe={"parts": parts},
            seed=7,
            cup={"radius_m": 0.015},
            num_scenes=scenes,
            views_per_scene=TINY_VIEWS,
            image_size=(size, size),
        ),
    )
    return root


@pytest.fixture(scope="session")
def tiny_view() -> Callable[..., View]:
    """`make_tiny_view`: (scene_id, view_id, *, size, num_parts, rng) -> View."""
    return make_tiny_view


@pytest.fixture(scope="session")
def tiny_writer() -> Callable[..., Path]:
    """`write_tiny_dataset`: (root, *, size, scenes, parts) -> root, for tests that change or break a dataset."""
    return write_tiny_dataset


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a dataset of ten scenes with two views of 96 x 96 px, all four splits populated. Do not change it."""
    return write_tiny_dataset(tmp_path_factory.mktemp("tiny") / "dataset")
