"""Our datasets in MetaGraspNet's layout (metagraspnet_layout), so that tools made for that set can read them.

Two additions, which other readers pass over: `keypts/com/center_of_mass_relative_to_camera` (N, 3) cm in the HDF5
files, and `graspnext_layer` in the files of orders, which counts layers without an upper end.
"""

from __future__ import annotations

import io
import json
import math
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from graspnext.data.foreign.grasp_poses import contact_poses
from graspnext.data.foreign.hdf5 import import_h5py
from graspnext.data.foreign.instances import MaskPair, coverage, lasting_name
from graspnext.data.foreign.metagraspnet_layout import CM
from graspnext.data.foreign.npz import Stack, write_npz
from graspnext.data.foreign.suction import Surface, scatter
from graspnext.data.format import ManifestEntry
from graspnext.data.reader import Dataset
from graspnext.errors import ConfigError, DatasetError, OutputError
from graspnext.files import make_folder, output_errors, write_json
from graspnext.geometry import boxes
from graspnext.geometry.layering import interlocked
from graspnext.types import BoolArray, Camera, Float64Array, Instance, View

_APERTURE_MM = 20.955
"""Width of the film that the set's files state focal lengths for."""
_TOP, _SECONDARY, _INTERLOCKED, _OTHER = range(4)
Watch = Callable[[Iterable[ManifestEntry], int], Iterable[ManifestEntry]]


@dataclass(frozen=True)
class MetaGraspNetExport:
    """How a dataset is written in that layout."""

    mask_key: Literal["seg_masks_single", "occlusion_objects"] = "seg_masks_single"
    """Under which key the isolated masks stand: releases differ."""
    suction_spacing_px: int = 4
    """Side of the cells from each of which the best suction point is kept."""
    keypoint_spacing_px: int = 8
    """Side of the cells from each of which one key point is kept."""

    def __post_init__(self) -> None:
        if self.mask_key not in {"seg_masks_single", "occlusion_objects"}:
            raise ConfigError("mask_key", self.mask_key, "seg_masks_single or occlusion_objects")
        for name in ("suction_spacing_px", "keypoint_spacing_px"):
            if not 1 <= getattr(self, name) <= 1000:
                raise ConfigError(name, getattr(self, name), "in 1 ... 1000")


def export_metagraspnet(
    dataset: Dataset, out: Path, config: MetaGraspNetExport, *, watch: Watch = lambda entries, _total: entries
) -> int:
    """Write a dataset as `scene<N>` folders, `splits.json` and `categories.json`; the number of views.

    Args:
        dataset: Ours.
        out: Must not exist, or be empty.
        config: How it is written.
        watch: Passes the views on, given them and their number: the place for a progress bar.

    Raises:
        OutputError: The folder is in use or cannot be written.
        DatasetError: A view cannot be read, or its camera is unknown.
        MissingDependencyError: h5py is not installed.
    """
    import_h5py()
    with output_errors(out):
        if out.exists() and any(out.iterdir()):
            raise OutputError(out, "the folder is not empty", "choose another one")
    make_folder(out)
    numbers = scene_numbers([entry.scene for entry in dataset.entries])
    categories: dict[str, int] = {}
    entries = watch(dataset.entries, len(dataset.entries))
    for scene, views in groupby(entries, key=lambda entry: entry.scene):
        _write_scene(dataset, out / f"scene{numbers[scene]}", list_of=views, config=config, categories=categories)
    splits: dict[str, list[int]] = {}
    for entry in dataset.entries:
        listed = splits.setdefault(entry.split, [])
        if numbers[entry.scene] not in listed[-1:]:
            listed.append(numbers[entry.scene])
    write_json(out / "splits.json", splits)
    write_json(out / "categories.json", {str(number): name for name, number in categories.items()})
    return len(dataset.entries)


def scene_numbers(scenes: Iterable[str]) -> dict[str, int]:
    """A number for each scene: the one its name is made of where all have one of their own, otherwise its rank."""
    names = list(dict.fromkeys(scenes))
    matches = [re.fullmatch(r"(?:scene)?0*(\d{1,9})", name) for name in names]
    numbers = [int(match[1]) for match in matches if match]
    if len(set(numbers)) < len(names):
        numbers = list(range(len(names)))
    return dict(zip(names, numbers, strict=True))


def _write_scene(
    dataset: Dataset,
    final: Path,
    *,
    list_of: Iterable[ManifestEntry],
    config: MetaGraspNetExport,
    categories: dict[str, int],
) -> None:
    aside = final.with_name(f".{final.name}.part")
    with output_errors(final):
        aside.mkdir()
        try:
            for entry in list_of:
                write_view(aside, dataset.read(entry), config, categories)
            aside.rename(final)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise


def write_view(folder: Path, view: View, config: MetaGraspNetExport, categories: dict[str, int]) -> None:
    """Write all files of one view.

    Args:
        folder: Of the scene; exists.
        view: Labelled.
        config: How it is written.
        categories: Name of a kind of part (`lasting_name`) -> number; those that are not in it yet are added.

    Raises:
        OSError: A file cannot be written.
        DatasetError: The camera is unknown.
    """
    labels, v = view.labels, view.view_id
    if "camera" in labels.missing:
        raise DatasetError(f"{view.scene_id} view {v}", "its camera is unknown", "export the dataset as coco-amodal")
    instances = sorted(labels.instances, key=lambda one: one.id)
    ids = np.zeros(view.image.shape[:2], dtype=np.int32)  # 1 ... N without gaps
    for number, one in enumerate(instances, start=1):
        ids[one.visible_mask] = number
        categories.setdefault(lasting_name(one), _number(lasting_name(one), categories))
    surface = Surface(view.camera, ids, labels.depth_m)
    Image.fromarray(np.ascontiguousarray(view.image)).save(folder / f"{v}_rgb.png", compress_level=1)
    Image.fromarray(_depth_picture(labels.depth_m)).save(folder / f"{v}_depth.png", compress_level=1)
    numbers = np.array([0, *(categories[lasting_name(one)] for one in instances)], dtype=np.int32)
    rates = np.array([0, *(round(one.occluded_rate, 4) for one in instances)], dtype=np.float32)
    depth_cm = np.where(labels.depth_m > 0, labels.depth_m / CM, np.nan).astype(np.float32)
    masks = (one.amodal_mask for one in instances)
    write_npz(
        folder / f"{v}.npz",
        {
            "depth": depth_cm,
            "instances_objects": ids,
            "instances_semantic": numbers[ids],
            "occlusion": rates[ids],
            config.mask_key: Stack((len(instances), *ids.shape), np.dtype(np.float32), masks),
        },
    )
    (folder / f"{v}_camera_params.json").write_text(json.dumps(_camera(view.camera)) + "\n")
    _write_hdf5(folder / f"{v}_scene.hdf5", view, surface, config, [categories[lasting_name(one)] for one in instances])
    orders, table = _orders(instances, surface)
    (folder / f"{v}_order.json").write_text(json.dumps(orders) + "\n")
    (folder / f"{v}_order.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in table))


def _number(name: str, categories: dict[str, int]) -> int:
    """The number of a new kind of part: its own where it comes from the set, otherwise the next one."""
    own = re.fullmatch(r"ifl_(\d{1,6})", name)
    return int(own[1]) if own else len(categories) + 1


def _depth_picture(depth_m: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """(H, W): inverse depth stretched over 8 bits; a picture, not a measurement."""
    known = depth_m > 0
    if not known.any():
        return np.zeros(depth_m.shape, dtype=np.uint8)
    inverse = np.where(known, 1 / np.where(known, depth_m, 1), 0)
    low, high = float(inverse[known].min()), float(inverse.max())
    return np.where(known, np.rint(255 * (inverse - low) / max(high - low, 1e-9)), 0).astype(np.uint8)


def _camera(camera: Camera) -> dict[str, Any]:
    millimetres = _APERTURE_MM / camera.width
    return {
        "clipping_range": [1, 1000000],
        "cx": camera.cx,
        "cy": camera.cy,
        "focal_length": camera.fx * millimetres,
        "fx": camera.fx,
        "fy": camera.fy,
        "height": camera.height,
        "horizontal_aperture": _APERTURE_MM,
        "horizontal_fov": 2 * math.atan(camera.width / 2 / camera.fx),
        "resolution": {"height": camera.height, "width": camera.width},
        "vertical_aperture": camera.height * millimetres,
        "vertical_fov": 2 * math.atan(camera.height / 2 / camera.fy),
        "width": camera.width,
    }


def _write_hdf5(path: Path, view: View, surface: Surface, config: MetaGraspNetExport, categories: list[int]) -> None:
    instances = sorted(view.labels.instances, key=lambda one: one.id)
    asset_ids = np.array([one.id for one in instances])
    arrays: dict[str, Any] = {
        "objects/categories": np.array(categories),
        "objects/bbox_loose": np.array([boxes.to_xywh(one.amodal_box) for one in instances]).reshape(-1, 4),
        "keypts/byhand/keypts_relative_to_camera": np.zeros((0, 4)),
        "keypts/byhand/object_id": np.zeros(0),
        "keypts/byhand/occluded_keypts_relative_to_camera": np.zeros((0, 4)),
        "keypts/byhand/occluded_object_id": np.zeros(0),
    }
    if "camera_pose" not in view.labels.missing:
        arrays["camera/pose_relative_to_world"] = _centimetres(view.camera.T_world_camera[None])
    poses = np.array([one.T_camera_part for one in instances]).reshape(-1, 4, 4)
    if np.isfinite(poses).all():  # rows belong to instances: all or none
        arrays["objects/poses_relative_to_camera"] = _centimetres(poses)
    jaws = "non_colliding_grasps/paralleljaw"
    arrays |= {f"{jaws}/{name}_poses_relative_to_camera": np.zeros((0, 4, 4)) for name in ("franka", "contact")}
    names = ("contact_width", "object_id", "score_analytical", "score_simulation", "score_wrench")
    arrays |= {f"{jaws}/{name}": np.zeros(0) for name in names}
    if "suction" not in view.labels.missing:
        points, scores, owners = scatter(surface, view.labels.suction, spacing_px=config.suction_spacing_px)
        contacts = _centimetres(contact_poses(surface, points))
        cup = "non_colliding_grasps/suctioncup"
        arrays |= {f"{cup}/{name}_poses_relative_to_camera": contacts for name in ("suction", "contact")}
        arrays |= {f"{cup}/score_analytical": scores, f"{cup}/score_simulation": scores}
        arrays[f"{cup}/object_id"] = asset_ids[owners - 1]
    arrays |= _center_arrays(instances, surface, config, exact="center_of_mass" not in view.labels.approximate)
    content = io.BytesIO()
    with import_h5py().File(content, "w") as file:
        for name, values in sorted(arrays.items()):
            file.create_dataset(name, data=np.asarray(values, dtype=np.float32), track_times=False)
    path.write_bytes(content.getvalue())


def _centimetres(poses_m: Float64Array) -> Float64Array:
    poses = poses_m.copy()
    poses[..., :3, 3] /= CM
    return poses


def _center_arrays(
    instances: list[Instance], surface: Surface, config: MetaGraspNetExport, *, exact: bool
) -> dict[str, Any]:
    """Key points by their nearness to the centre of mass, 0 to 1 on each part, and the centres themselves if exact."""
    camera = surface.camera
    u, v, z = np.array([one.center_of_mass for one in instances], dtype=np.float64).reshape(-1, 3).T
    centers = np.stack([(u - camera.cx) / camera.fx * z, (v - camera.cy) / camera.fy * z, z], axis=1)  # (N, 3) m
    everywhere = np.ones(surface.instance_ids.shape, dtype=np.float32)
    points, _, owners = scatter(surface, everywhere, spacing_px=config.keypoint_spacing_px)
    known = np.isfinite(centers[owners - 1]).all(axis=1)
    points, owners = points[known], owners[known]
    distances = np.linalg.norm(points - centers[owners - 1], axis=1)
    scores = np.zeros(len(points))
    for number in np.unique(owners):
        mine = owners == number
        nearest, farthest = distances[mine].min(), distances[mine].max()
        scores[mine] = (farthest - distances[mine]) / max(farthest - nearest, 1e-9) if farthest > nearest else 1.0
    asset_ids = np.array([one.id for one in instances])
    arrays: dict[str, Any] = {
        "keypts/com/keypts_relative_to_camera": np.column_stack([scores, points / CM]),
        "keypts/com/object_id": asset_ids[owners - 1] if len(owners) else np.zeros(0),
    }
    if exact and np.isfinite(centers).all():  # rows belong to instances: all or none
        arrays["keypts/com/center_of_mass_relative_to_camera"] = centers / CM
    return arrays


def _orders(instances: list[Instance], surface: Surface) -> tuple[dict[str, Any], list[list[int]]]:
    """The file of orders and its table: row i, column j is -1 where j covers i."""
    pairs = [
        MaskPair(number, one.part, one.family, one.amodal_mask, one.visible_mask)
        for number, one in enumerate(instances, start=1)
    ]
    over = coverage(pairs) > 0  # (N, N): column covers row
    ring = interlocked(over)
    edges = {(i, j): _edge(pairs[i].visible, pairs[j].visible, surface) for i, j in np.argwhere(over)}
    orders: dict[str, Any] = {}
    none = {"id": 0, "depth_diff": 0.0, "edge_size": 0}
    for i, one in enumerate(instances):
        parents = [{"id": int(j) + 1, **edges[i, j]} for j in np.flatnonzero(over[i])]
        children = [{"id": int(j) + 1, **edges[j, i]} for j in np.flatnonzero(over[:, i])]
        if one.layer == 0:
            code = _TOP
        elif ring[i]:
            code = _INTERLOCKED
        else:
            code = _SECONDARY if one.layer == 1 else _OTHER
        orders[str(i + 1)] = {
            "id": i + 1,
            "occlusion": round(one.occluded_rate, 4),
            "children": children or [none],
            "parents": parents or [none],
            "total_covered_edge": sum(parent["edge_size"] for parent in parents),
            "layer": code,
            "graspnext_layer": one.layer,
        }
    return orders, np.where(over, -1, 0).tolist()


def _edge(under: BoolArray, over: BoolArray, surface: Surface) -> dict[str, Any]:
    """Pixels of the lower part that touch the upper one, and how much higher that is beside them (median, cm)."""
    steps: list[float] = []
    touching = np.zeros(under.shape, dtype=np.bool_)
    for axis in (0, 1):
        for low, high in ((slice(None, -1), slice(1, None)), (slice(1, None), slice(None, -1))):
            a = (low, slice(None)) if axis == 0 else (slice(None), low)
            b = (high, slice(None)) if axis == 0 else (slice(None), high)
            meet = under[a] & over[b] & (surface.depth_m[a] > 0) & (surface.depth_m[b] > 0)
            touching[a] |= under[a] & over[b]
            steps += ((surface.depth_m[a] - surface.depth_m[b])[meet] / CM).tolist()
    return {"depth_diff": round(float(np.median(steps)), 3) if steps else 0.0, "edge_size": int(touching.sum())}
