"""Writes datasets. A scene is written aside and renamed, so that its folder is either whole or not there.

The same views give the same bytes: compression levels are fixed, keys keep one order, nothing holds a time stamp.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import zlib
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import ValidationError

from graspnext.data.difficulty import difficulty_of
from graspnext.data.format import (
    DATASET_FILE,
    DEPTH_UNIT_M,
    MANIFEST_FILE,
    SCENES_DIR,
    CameraRecord,
    DatasetInfo,
    FileHashes,
    InstanceRecord,
    ManifestEntry,
    Rle,
    SceneFile,
    ViewFiles,
    ViewLabels,
)
from graspnext.errors import DatasetError
from graspnext.files import make_folder, output_errors, sync_folder, write_text
from graspnext.geometry import boxes, masks
from graspnext.types import BoolArray, Camera, Float32Array, Float64Array, Instance, View

_PNG_LEVEL = 1
"""zlib level of every picture: level 6 takes several times as long for files about a tenth smaller."""
_PHOTO = zlib.Z_HUFFMAN_ONLY
"""How colour pictures and what a sensor measures are compressed: filtered, they are noise in which there are no repeats
to search for; colour gets a fifth smaller and a fifth faster than by level 1 alone. Maps without noise have repeats."""
_MAX_DEPTH_COUNT = 65535


@dataclass(frozen=True)
class EncodedScene:
    """All files of one scene, in memory: what goes from a worker to the process that writes."""

    files: dict[str, bytes]
    """Name inside the scene's folder -> content."""
    views: list[ViewFiles]
    """The files of each view with their hashes."""


def encode_scene(scene_id: str, *, scene_info: dict[str, Any], views: Iterable[View]) -> EncodedScene:
    """The files of one scene.

    Args:
        scene_id: Name of the scene's folder.
        scene_info: The generator's account of the scene; plain JSON values.
        views: Whole labelled views of this scene, gone through once, so that a generator need hold one at a time.
            Depth beyond 6.5535 m is written as missing.

    Raises:
        DatasetError: A view does not fit the format: NaN, sizes that differ, values out of range.
    """
    files: dict[str, bytes] = {}
    records = [_encode_view(files, view) for view in views]
    scene = SceneFile(scene=scene_id, info=scene_info, views=records)
    files["scene.json"] = _json(scene.model_dump(mode="json"), indent=1).encode()
    return EncodedScene(files, records)


def store_scene(root: Path, scene_id: str, encoded: EncodedScene) -> None:
    """Put a scene on the disk, whole or not at all, also when the power fails; a folder of the same name is replaced.

    Raises:
        OutputError: The folder cannot be written.
    """
    scenes = make_folder(root / SCENES_DIR)
    final, aside, old = scenes / scene_id, scenes / f".{scene_id}.part", scenes / f".{scene_id}.old.part"
    with output_errors(final):
        for leftover in (aside, old):  # of a run that was killed
            if leftover.exists():
                shutil.rmtree(leftover)
        aside.mkdir()
        try:
            _write_durably(aside, encoded.files)
            if final.exists():
                final.rename(old)
            aside.rename(final)
            sync_folder(scenes)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        if old.exists():
            shutil.rmtree(old)


def _write_durably(folder: Path, files: dict[str, bytes]) -> None:
    """Write files, then wait for the disk: the first wait flushes most of what the others would wait for."""
    with ExitStack() as stack:
        streams = []
        for name, content in files.items():
            stream = stack.enter_context((folder / name).open("wb", buffering=0))
            view = memoryview(content)
            while view:  # a nearly full disk takes a part, and refuses the next one
                view = view[stream.write(view) :]
            streams.append(stream)
        for stream in streams:
            os.fsync(stream.fileno())
    sync_folder(folder)


def write_scene(root: Path, scene_id: str, *, scene_info: dict[str, Any], views: Iterable[View]) -> list[ViewFiles]:
    """`encode_scene` and `store_scene`.

    Returns:
        The files of each view with their hashes, in the order of `views`.

    Raises:
        OutputError: The folder cannot be written.
        DatasetError: A view does not fit the format.
    """
    encoded = encode_scene(scene_id, scene_info=scene_info, views=views)
    store_scene(root, scene_id, encoded)
    return encoded.views


def write_dataset_info(root: Path, info: DatasetInfo) -> None:
    """Write `dataset.json`, whole or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    write_text(root / DATASET_FILE, _json(info.model_dump(mode="json"), indent=2))


def write_manifest(root: Path, entries: Sequence[ManifestEntry]) -> None:
    """Write `manifest.jsonl`, sorted by scene and view, whole or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    ordered = sorted(entries, key=lambda entry: (entry.scene, entry.view))
    write_text(root / MANIFEST_FILE, "".join(_json(entry.model_dump(mode="json")) for entry in ordered))


def read_scene_files(root: Path, scene_id: str) -> list[ViewFiles]:
    """What `write_scene` returned for a scene that is on disk, to rebuild a manifest from.

    Raises:
        DatasetError: `scene.json` is missing or damaged.
    """
    path = root / SCENES_DIR / scene_id / "scene.json"
    try:
        return SceneFile.model_validate_json(path.read_bytes()).views
    except OSError as error:
        raise DatasetError(path, error.strerror or str(error), "make the scene again") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise DatasetError(path, f"{first['loc']}: {first['msg']}", "make the scene again") from error


def _json(content: object, *, indent: int | None = None) -> str:
    return json.dumps(content, indent=indent, allow_nan=False, sort_keys=True) + "\n"


def _encode_view(files: dict[str, bytes], view: View) -> ViewFiles:
    """Add the files of one view."""
    where = Path(SCENES_DIR, view.scene_id)
    _check_view(where, view)
    v = view.view_id
    try:
        labels = _labels_record(view)
    except ValidationError as error:
        first = error.errors()[0]
        raise DatasetError(where, f"view {v}: {first['loc']}: {first['msg']}", "mend the generator") from error

    def put(name: str, content: bytes) -> str:
        files[f"{v}_{name}"] = content
        return hashlib.sha256(content).hexdigest()

    hashes = FileHashes(
        rgb=put("rgb.png", _png(Image.fromarray(np.ascontiguousarray(view.image)), _PHOTO)),
        depth=put("depth.png", _depth_png(view.labels.depth_m)),
        suction=put("suction.png", _suction_png(view.labels.suction)),
        labels=put("labels.json", _json(labels.model_dump(mode="json")).encode()),
        sensor_depth=None
        if view.sensor_depth_m is None
        else put("sensor_depth.png", _depth_png(view.sensor_depth_m, _PHOTO)),
        more_suction={
            cup: put(f"suction_{cup}.png", _suction_png(scores)) for cup, scores in view.labels.more_suction.items()
        },
    )
    return ViewFiles(view=v, rgb=f"{v}_rgb.png", sha256=hashes, difficulty=difficulty_of(view.labels.instances))


def _depth_png(depth_m: Float32Array, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> bytes:
    counts = np.rint(depth_m / np.float32(DEPTH_UNIT_M))
    return _png(Image.fromarray(np.where(counts > _MAX_DEPTH_COUNT, 0, counts).astype(np.uint16)), strategy)


def _suction_png(scores: Float32Array) -> bytes:
    return _png(Image.fromarray(np.rint(scores * np.float32(255)).astype(np.uint8)))


def _check_view(where: Path, view: View) -> None:
    shape = view.image.shape[:2]
    labels = view.labels
    advice = "mend the generator"
    if view.image.dtype != np.uint8 or view.image.shape != (*shape, 3):
        raise DatasetError(where, f"view {view.view_id}: the image is not (H, W, 3) uint8", advice)
    if (view.camera.height, view.camera.width) != shape:
        raise DatasetError(where, f"view {view.view_id}: camera and image differ in size", advice)
    maps = {"depth_m": (labels.depth_m, np.inf), "suction": (labels.suction, 1.0)}
    maps |= {f"more_suction.{cup}": (scores, 1.0) for cup, scores in labels.more_suction.items()}
    if view.sensor_depth_m is not None:
        maps["sensor_depth_m"] = (view.sensor_depth_m, np.inf)
    for name, (values, limit) in maps.items():
        if values.shape != shape:
            raise DatasetError(where, f"view {view.view_id}: {name} is {values.shape}, the image {shape}", advice)
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= limit):
            raise DatasetError(where, f"view {view.view_id}: {name} leaves [0, {limit}] or is not finite", advice)


def _png(image: Image.Image, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="PNG", compress_level=_PNG_LEVEL, compress_type=strategy)
    return stream.getvalue()


def _labels_record(view: View) -> ViewLabels:
    return ViewLabels(
        camera=_camera_record(view.camera),
        instances=[_instance_record(one) for one in view.labels.instances],
        sensor=view.sensor,
        missing=sorted(view.labels.missing),  # type: ignore[arg-type]  # pydantic checks the names
        approximate=sorted(view.labels.approximate),  # type: ignore[arg-type]
    )


def _camera_record(camera: Camera) -> CameraRecord:
    return CameraRecord(
        width=camera.width,
        height=camera.height,
        fx=camera.fx,
        fy=camera.fy,
        cx=camera.cx,
        cy=camera.cy,
        T_world_camera=_matrix(camera.T_world_camera),
    )


def _instance_record(instance: Instance) -> InstanceRecord:
    center = None
    if np.isfinite(instance.center_of_mass).all():
        u, v, z = (round(float(value), 4) for value in instance.center_of_mass)
        center = (u, v, z)
    return InstanceRecord(
        id=instance.id,
        part=instance.part,
        family=instance.family,
        bbox=_xywh(instance.amodal_box),
        segmentation=_rle(instance.amodal_mask),
        visible_bbox=_xywh(instance.visible_box),
        visible_mask=_rle(instance.visible_mask),
        occluded_rate=round(float(instance.occluded_rate), 6),
        occluded=bool(instance.occluded),
        center_of_mass=center,
        layer=instance.layer,
        T_camera_part=_matrix(instance.T_camera_part) if np.isfinite(instance.T_camera_part).all() else None,
        ignore=bool(instance.ignore),
    )


def _xywh(box: Float32Array) -> tuple[float, float, float, float]:
    x, y, width, height = (float(value) for value in boxes.to_xywh(box))
    return x, y, width, height


def _rle(mask: BoolArray) -> Rle:
    return Rle.model_validate(masks.encode(mask))


def _matrix(transform: Float64Array) -> list[list[float]]:
    return [[round(float(value), 9) for value in row] for row in transform]
