"""Does a folder look like MetaGraspNet? Checked straight from the description of its files; shares no code with us."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

GRASP_ARRAYS = {
    "paralleljaw": {
        "franka_poses_relative_to_camera": (4, 4),
        "contact_poses_relative_to_camera": (4, 4),
        "contact_width": (),
        "object_id": (),
        "score_analytical": (),
        "score_simulation": (),
        "score_wrench": (),
    },
    "suctioncup": {
        "suction_poses_relative_to_camera": (4, 4),
        "contact_poses_relative_to_camera": (4, 4),
        "object_id": (),
        "score_analytical": (),
        "score_simulation": (),
    },
}


def check_layout(root: Path, mask_key: str) -> int:
    """Assert that each simulated view is whole and its files agree; the number of views."""
    views = 0
    scenes = [path for path in root.iterdir() if path.name.startswith("scene")]
    assert scenes and all(path.name.removeprefix("scene").isdecimal() for path in scenes)
    for scene in scenes:
        for picture in scene.glob("*_rgb.png"):
            check_view(scene, int(picture.name.split("_")[0]), mask_key)
            views += 1
    return views


def check_view(scene: Path, v: int, mask_key: str) -> None:
    with Image.open(scene / f"{v}_rgb.png") as image:
        assert image.mode in {"RGB", "RGBA"}
        width, height = image.size
    with Image.open(scene / f"{v}_depth.png") as image:
        assert image.mode == "L" and image.size == (width, height)
    camera = json.loads((scene / f"{v}_camera_params.json").read_text())
    assert camera["fx"] > 0 and camera["fy"] > 0 and camera["resolution"] == {"height": height, "width": width}

    with np.load(scene / f"{v}.npz", allow_pickle=False) as data:
        assert mask_key in data and {"depth", "instances_objects", "instances_semantic", "occlusion"} <= set(data)
        depth, objects, semantic = data["depth"], data["instances_objects"].astype(int), data["instances_semantic"]
        occlusion, isolated = data["occlusion"], data[mask_key]
    count = len(isolated)
    assert depth.shape == objects.shape == semantic.shape == occlusion.shape == (height, width)
    assert isolated.shape == (count, height, width) and set(np.unique(isolated)) <= {0, 1}
    assert depth.dtype.kind == "f" and 10 < np.nanmedian(depth) < 300  # centimetres
    assert objects.max() <= count and ((objects > 0) == (semantic > 0)).all()
    for index in range(count):
        seen = objects == index + 1
        assert (isolated[index][seen] == 1).all()
        if seen.any():
            ratio = 1 - seen.sum() / isolated[index].sum()
            assert np.abs(occlusion[seen] - ratio).max() < 1e-4
            assert len(np.unique(semantic[seen])) == 1

    with h5py.File(scene / f"{v}_scene.hdf5") as file:
        assert file["camera/pose_relative_to_world"].shape == (1, 4, 4)
        assert file["objects/poses_relative_to_camera"].shape == (count, 4, 4)
        assert file["objects/categories"].shape == (count,) and file["objects/bbox_loose"].shape == (count, 4)
        for index, (x, y, w, h) in enumerate(file["objects/bbox_loose"][()]):
            rows, columns = np.nonzero(isolated[index])
            assert (x, y, x + w, y + h) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        for gripper, arrays in GRASP_ARRAYS.items():
            group = file[f"non_colliding_grasps/{gripper}"]
            lengths = {len(group[name]) for name in arrays}
            assert len(lengths) == 1 and all(group[name].shape[1:] == tail for name, tail in arrays.items())
        cup = file["non_colliding_grasps/suctioncup"]
        check_grasps(cup["contact_poses_relative_to_camera"][()], cup["score_analytical"][()], camera, depth, objects)
        keypoints = file["keypts/com/keypts_relative_to_camera"][()]
        assert keypoints.shape[1:] == (4,) and len(keypoints) == len(file["keypts/com/object_id"])
        if len(keypoints):
            assert keypoints[:, 0].min() >= 0 and keypoints[:, 0].max() <= 1
            on_surface(keypoints[:, 1:], camera, depth, objects)
        assert "keypts/byhand/keypts_relative_to_camera" in file
        assert all(values.dtype == np.float32 for values in leaves(file))

    order = json.loads((scene / f"{v}_order.json").read_text())
    table = np.array(list(csv.reader((scene / f"{v}_order.csv").open())), dtype=int).reshape(count, count)
    assert list(order) == [str(n) for n in range(1, count + 1)]
    for key, node in order.items():
        assert {"id", "occlusion", "children", "parents", "total_covered_edge", "layer"} <= set(node)
        parents = {parent["id"] for parent in node["parents"]} - {0}
        assert parents == set(np.flatnonzero(table[int(key) - 1] == -1) + 1) and node["layer"] in {0, 1, 2, 3}
        assert all(int(key) in {c["id"] for c in order[str(p)]["children"]} for p in parents)


def leaves(group: h5py.Group) -> list[h5py.Dataset]:
    found: list[h5py.Dataset] = []
    group.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    return found


def on_surface(points_cm, camera, depth_cm, objects) -> None:  # type: ignore[no-untyped-def]
    """The points project onto objects, where the depth is theirs."""
    cx = camera.get("cx", camera["resolution"]["width"] / 2)
    cy = camera.get("cy", camera["resolution"]["height"] / 2)
    u = np.floor(points_cm[:, 0] / points_cm[:, 2] * camera["fx"] + cx).astype(int)
    v = np.floor(points_cm[:, 1] / points_cm[:, 2] * camera["fy"] + cy).astype(int)
    assert (objects[v, u] > 0).all() and np.abs(depth_cm[v, u] - points_cm[:, 2]).max() < 0.1


def check_grasps(poses, scores, camera, depth_cm, objects) -> None:  # type: ignore[no-untyped-def]
    assert len(poses) == len(scores) and (len(scores) == 0 or (scores.min() > 0 and scores.max() <= 1))
    if len(poses) == 0:
        return
    rotations = poses[:, :3, :3]
    assert np.abs(rotations.transpose(0, 2, 1) @ rotations - np.eye(3)).max() < 1e-4
    assert (np.linalg.det(rotations) > 0.99).all() and (poses[:, 3] == (0, 0, 0, 1)).all()
    rays = poses[:, :3, 3] / np.linalg.norm(poses[:, :3, 3], axis=1, keepdims=True)
    assert ((rotations[:, :, 2] * rays).sum(axis=1) > 0).all()  # approach: away from the camera
    on_surface(poses[:, :3, 3], camera, depth_cm, objects)
