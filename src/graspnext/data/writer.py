"""Writes datasets. A scene is written aside and renamed, so that its folder is either whole or not there.

The same views give the same bytes: compression levels are fixed, keys keep one order, nothing holds a time stamp.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zlib
from collections.abc import Sequence
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
from graspnext.files import make_folder, output_errors, write_text
from graspnext.geometry import boxes, masks
from graspnext.types import BoolArray, Camera, Float32Array, Float64Array, Instance, View

_PNG_LEVEL = 1
"""zlib level of every picture: level 6 takes several times as long for files about a tenth smaller."""
_PHOTO = zlib.Z_HUFFMAN_ONLY
"""How colour pictures are compressed: filtered, they are noise in which there are no repeats to search for; this
is a fifth smaller and a fifth faster than level 1 alone. Maps have repeats."""
_MAX_DEPTH_COUNT = 65535


def write_scene(root: Path, scene_id: str, *, scene_info: dict[str, Any], views: Sequence[View]) -> list[ViewFiles]:
    """Write all files of one scene; a folder of the same name is replaced.

    Args:
        root: The dataset's folder.
        scene_id: Name of the scene's folder.
        scene_info: The generator's account of the scene; plain JSON values.
        views: Whole labelled views of this scene. Depth beyond 6.5535 m is written as missing.

    Returns:
        The files of each view with their hashes, in the order of `views`.

    Raises:
        OutputError: The folder cannot be written.
        DatasetError: A view does not fit the format: NaN, sizes that differ, values out of range.
    """
    scenes = make_folder(root / SCENES_DIR)
    aside = scenes / f".{scene_id}.part"
    with output_errors(aside):
        if aside.exists():  # left by a run that was killed
            shutil.rmtree(aside)
        aside.mkdir()
        try:
            files = [_write_view(aside, view) for view in views]
            scene = SceneFile(scene=scene_id, info=scene_info, views=files)
            (aside / "scene.json").write_text(_json(scene.model_dump(mode="json"), indent=1), encoding="utf-8")
            final = scenes / scene_id
            if final.exists():
                shutil.rmtree(final)
            aside.rename(final)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
    return files


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


def _write_view(folder: Path, view: View) -> ViewFiles:
    where = folder.parent / view.scene_id
    _check_view(where, view)
    v = view.view_id
    try:
        labels = _labels_record(view)
    except ValidationError as error:
        first = error.errors()[0]
        raise DatasetError(where, f"view {v}: {first['loc']}: {first['msg']}", "mend the generator") from error

    def put(name: str, content: bytes) -> str:
        (folder / f"{v}_{name}").write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    hashes = FileHashes(
        rgb=put("rgb.png", _png(Image.fromarray(np.ascontiguousarray(view.image)), _PHOTO)),
        depth=put("depth.png", _depth_png(view.labels.depth_m)),
        suction=put("suction.png", _suction_png(view.labels.suction)),
        labels=put("labels.json", _json(labels.model_dump(mode="json")).encode()),
        sensor_depth=None if view.sensor_depth_m is None else put("sensor_depth.png", _depth_png(view.sensor_depth_m)),
        more_suction={
            cup: put(f"suction_{cup}.png", _suction_png(scores)) for cup, scores in view.labels.more_suction.items()
        },
    )
    return ViewFiles(view=v, rgb=f"{v}_rgb.png", sha256=hashes, difficulty=difficulty_of(view.labels.instances))


def _depth_png(depth_m: Float32Array) -> bytes:
    counts = np.rint(depth_m / np.float32(DEPTH_UNIT_M))
    return _png(Image.fromarray(np.where(counts > _MAX_DEPTH_COUNT, 0, counts).astype(np.uint16)))


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
    u, v, z = (round(float(value), 4) for value in instance.center_of_mass)
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
        center_of_mass=(u, v, z),
        layer=instance.layer,
        T_camera_part=_matrix(instance.T_camera_part),
        ignore=bool(instance.ignore),
    )


def _xywh(box: Float32Array) -> tuple[float, float, float, float]:
    x, y, width, height = (float(value) for value in boxes.to_xywh(box))
    return x, y, width, height


def _rle(mask: BoolArray) -> Rle:
    return Rle.model_validate(masks.encode(mask))


def _matrix(transform: Float64Array) -> list[list[float]]:
    return [[round(float(value), 9) for value in row] for row in transform]
