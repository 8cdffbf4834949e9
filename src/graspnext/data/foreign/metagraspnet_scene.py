"""`<v>_scene.hdf5` and `scene_gt.json`: poses, boxes, grasps and key points, in metres."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from graspnext.data.foreign.hdf5 import Hdf5
from graspnext.data.foreign.metagraspnet_layout import CM, ObjectPose
from graspnext.data.foreign.opening import attempt, fault, parse, read_json
from graspnext.types import Float64Array

RIGID_TOLERANCE = 1e-3
MAX_VALUE = 1e6
"""Metres, pixels or numbers of things: more is damage."""
_POSES = TypeAdapter(dict[str, list[ObjectPose]])
_SUCTION = "non_colliding_grasps/suctioncup"


@dataclass(frozen=True, eq=False)
class SceneArrays:
    """What the HDF5 file of a view holds; None where it does not. Row i of the first three is one visible object."""

    T_world_camera: Float64Array | None = None
    """(4, 4) m."""
    T_camera_objects: Float64Array | None = None
    """(N, 4, 4) m."""
    categories: Float64Array | None = None
    """(N,)."""
    boxes_xywh: Float64Array | None = None
    """(N, 4) px: loose boxes, those of the objects alone."""
    contacts: Float64Array | None = None
    """(G, 3) m, camera frame: contact points of suction grasps that do not collide."""
    contact_scores: Float64Array | None = None
    """(G,) in [0, 1]."""
    com_keypoints: Float64Array | None = None
    """(K, 4) score, x, y, z; m, camera frame."""
    centers_of_mass: Float64Array | None = None
    """(N, 3) m, camera frame; in files that we exported."""


def read_scene_arrays(root: Path, file: str) -> SceneArrays:
    """All that is read of the file of one view.

    Raises:
        DatasetFaultError: It is missing or damaged.
        MissingDependencyError: h5py is not installed.
    """
    with Hdf5(root, file) as source:
        pose = source.array("camera/pose_relative_to_world", (4, 4))
        if pose is None:
            pose = source.array("camera/poses_relative_to_world", (4, 4))
        objects = source.array("objects/poses_relative_to_camera", (4, 4))
        contacts = source.array(f"{_SUCTION}/contact_poses_relative_to_camera", (4, 4))
        scores = source.array(f"{_SUCTION}/score_analytical")
        keypoints = source.array("keypts/com/keypts_relative_to_camera", (4,))
        centers = source.array("keypts/com/center_of_mass_relative_to_camera", (3,))
        arrays = SceneArrays(
            T_world_camera=_meters(pose[0]) if pose is not None and len(pose) else None,
            T_camera_objects=None if objects is None else _meters(objects),
            categories=source.array("objects/categories"),
            boxes_xywh=source.array("objects/bbox_loose", (4,)),
            contacts=None if contacts is None else contacts[:, :3, 3] * CM,
            contact_scores=scores,
            com_keypoints=None if keypoints is None else keypoints * (1, CM, CM, CM),
            centers_of_mass=None if centers is None else centers * CM,
        )
    _check_lengths(root, file, arrays)
    return arrays


def _meters(poses_cm: Float64Array) -> Float64Array:
    poses = poses_cm.copy()
    poses[..., :3, 3] *= CM
    return poses


def _check_lengths(root: Path, file: str, arrays: SceneArrays) -> None:
    for name, values in vars(arrays).items():
        if values is not None and np.abs(values).max(initial=0) > MAX_VALUE:
            raise fault(root, file, name, f"it holds a value of {np.abs(values).max():.3g}")
    contacts, scores = arrays.contacts, arrays.contact_scores
    if contacts is not None and scores is not None:
        if len(contacts) != len(scores):
            raise fault(root, file, _SUCTION, f"{len(contacts)} contact poses but {len(scores)} scores")
        if len(scores) and not (scores.min() >= 0 and scores.max() <= 1 + 1e-6):
            problem = f"scores lie in [{scores.min():g}, {scores.max():g}], not in [0, 1]"
            raise fault(root, file, f"{_SUCTION}/score_analytical", problem)
    lengths = {
        name: len(values)
        for name, values in (
            ("poses_relative_to_camera", arrays.T_camera_objects),
            ("categories", arrays.categories),
            ("bbox_loose", arrays.boxes_xywh),
        )
        if values is not None
    }
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} {count}" for name, count in lengths.items())
        raise fault(root, file, "objects", f"the number of objects differs: {said}")


def is_rigid(T: Float64Array) -> bool:
    """Whether a matrix (4, 4) turns and moves without scaling or mirroring."""
    with np.errstate(all="ignore"):
        off = np.abs(T[:3, :3].T @ T[:3, :3] - np.eye(3)).max() + np.abs(T[3] - (0, 0, 0, 1)).max()
        return bool(off <= RIGID_TOLERANCE and np.linalg.det(T[:3, :3]) > 0)


def rigid(T: Float64Array) -> Float64Array:
    """The nearest rigid transform: float32 files round rotations."""
    u, _, vt = np.linalg.svd(T[:3, :3])
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = u @ vt, T[:3, 3]
    return out


def read_object_poses(root: Path, file: str, view: int) -> list[tuple[int, Float64Array]]:
    """(category, T_camera_object) of the objects that `scene_gt.json` lists for a view; none without the file.

    Raises:
        DatasetFaultError: It is damaged.
    """
    if not (root / file).is_file():
        return []
    listed: dict[str, list[ObjectPose]] = parse(_POSES, read_json(root, file), root, file)
    poses = []
    for index, one in enumerate(listed.get(str(view), [])):
        where = f"{view}[{index}].cam_R_m2c"
        rotation = attempt(lambda one=one: np.array(one.cam_R_m2c, dtype=np.float64).reshape(3, 3), root, file, where)  # type: ignore[misc]
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = rotation, np.array(one.cam_t_m2c) * CM
        if not is_rigid(T):
            raise fault(root, file, where, "the matrix is no rotation")
        poses.append((one.obj_id, rigid(T)))
    return poses
