"""Files in MetaGraspNet's layout, written straight from its description; shares no code with reader or exporter.

The scene is a stack of flat discs seen from above. All lengths in the files are centimetres.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[Any]

FLOOR_CM = 90.0
SHEET_CM = 3.0
FOCAL = 2.0  # focal length over the picture's width


@dataclass
class Pile:
    """Discs: centre (u, v) and radius in px, the first one at the bottom; and all that follows from them."""

    discs: list[tuple[float, float, float]]
    height: int = 120
    width: int = 120
    categories: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.categories = self.categories or [8 + 7 * i for i in range(len(self.discs))]
        rows, columns = np.mgrid[0 : self.height, 0 : self.width] + 0.5
        self.amodal = np.stack([np.hypot(columns - u, rows - v) <= r for u, v, r in self.discs])  # (N, H, W)
        self.ids = np.zeros((self.height, self.width))
        self.depth_cm = np.full((self.height, self.width), FLOOR_CM)
        for number, mask in enumerate(self.amodal, start=1):
            self.ids[mask] = number
            self.depth_cm[mask] = self.z_cm(number)
        self.visible = np.stack([self.ids == n for n in range(1, len(self.discs) + 1)])
        counts = self.amodal.sum((1, 2))
        self.rates = np.round(1 - self.visible.sum((1, 2)) / counts, 4)
        self.focal = FOCAL * self.width

    def z_cm(self, number: int) -> float:
        return FLOOR_CM - SHEET_CM * number

    def point_cm(self, number: int, u: float, v: float) -> Array:
        """The point of a disc that lies under (u, v) px, camera frame."""
        z = self.z_cm(number)
        return np.array([(u - self.width / 2) / self.focal * z, (v - self.height / 2) / self.focal * z, z])

    def parents(self, number: int) -> list[int]:
        """Which discs lie directly or indirectly on one: higher and overlapping."""
        mine = self.amodal[number - 1]
        return [m for m in range(number + 1, len(self.discs) + 1) if (mine & self.amodal[m - 1]).sum() > 0]


def small_pile(seed: int = 0) -> Pile:
    shift = seed % 5
    return Pile([(45.0 + shift, 50.0, 24.0), (70.0, 62.0, 20.0), (88.0, 84.0 - shift, 16.0), (30.0, 92.0, 14.0)])


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content))


def write_rgb(path: Path, pile: Pile, *, alpha: bool = False, seed: int = 0) -> None:
    rng = np.random.default_rng([seed, *path.name.encode()])
    colours = rng.integers(60, 220, (len(pile.discs) + 1, 3))
    image = np.clip(colours[pile.ids.astype(int)] + rng.normal(0, 5, (*pile.ids.shape, 3)), 0, 255).astype(np.uint8)
    if alpha:
        image = np.dstack([image, np.full(pile.ids.shape, 7, np.uint8)])
    Image.fromarray(image).save(path)


def sim_arrays(pile: Pile, *, stack_key: str, nan_depth: bool, shift_px: int, dtype: str) -> dict[str, Array]:
    depth = pile.depth_cm.copy()
    if nan_depth:
        depth[5:9, 5:9], depth[50:52, 44:47] = np.nan, 0
    semantic = np.zeros_like(pile.ids)
    occlusion = np.zeros_like(pile.ids)
    for number, category in enumerate(pile.categories, start=1):
        semantic[pile.ids == number] = category
        occlusion[pile.ids == number] = pile.rates[number - 1]
    stack = np.roll(pile.amodal, shift_px, axis=2).astype(float)
    return {
        "depth": depth,
        "instances_objects": pile.ids.astype(dtype),
        "instances_semantic": semantic.astype(dtype),
        "occlusion": occlusion,
        stack_key: stack,
    }


def pose(point_cm: Array) -> Array:
    """A frame at a point whose z axis goes away from the camera."""
    T = np.eye(4)
    T[:3, 3] = point_cm
    return T


def suction_points(pile: Pile) -> tuple[Array, Array, Array]:
    """Contact points (G, 3) cm, scores (G,), owners (G,): every fourth pixel of each disc, better near its middle.

    Points of covered regions are among them: they belong to objects of which another one hides that place.
    """
    points, scores, owners = [], [], []
    for number, (u, v, r) in enumerate(pile.discs, start=1):
        for y in np.arange(v - r, v + r, 4):
            for x in np.arange(u - r, u + r, 4):
                distance = np.hypot(x - u, y - v)
                if distance < r - 2:
                    points.append(pile.point_cm(number, x, y))
                    scores.append(np.clip(np.round(1 - distance / r, 1), 0.1, 1.0))
                    owners.append(number)
    return np.array(points), np.array(scores), np.array(owners)


def com_keypoints(pile: Pile) -> tuple[Array, Array]:
    """(K, 4) score, x, y, z cm of seen surface points, and their owners (K,)."""
    rows, owners = [], []
    for number, (u, v, r) in enumerate(pile.discs, start=1):
        for y, x in np.argwhere(pile.visible[number - 1])[::7]:
            distance = np.hypot(x + 0.5 - u, y + 0.5 - v)
            rows.append([1 - distance / r, *pile.point_cm(number, x + 0.5, y + 0.5)])
            owners.append(number)
    return np.array(rows), np.array(owners)


def write_sim_hdf5(path: Path, pile: Pile, *, pose_key: str, id_offset: int) -> None:
    camera = np.diag([1.0, -1.0, -1.0, 1.0])
    camera[2, 3] = FLOOR_CM
    boxes = []
    for mask in pile.amodal:
        rows, columns = np.nonzero(mask)
        boxes.append([columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1])
    points, scores, owners = suction_points(pile)
    keypoints, keypoint_owners = com_keypoints(pile)
    contacts = np.stack([pose(point) for point in points])
    count = len(pile.discs)
    with h5py.File(path, "w") as file:

        def put(name: str, values: Array) -> None:
            file[name] = np.asarray(values, dtype=np.float32)

        put(f"camera/{pose_key}", camera[None])
        objects = [pose(pile.point_cm(n, *pile.discs[n - 1][:2])) for n in range(1, count + 1)]
        put("objects/poses_relative_to_camera", np.stack(objects))
        put("objects/categories", np.array(pile.categories))
        put("objects/bbox_loose", np.array(boxes))
        for group in ("non_colliding_grasps", "colliding_grasps"):
            put(f"{group}/suctioncup/suction_poses_relative_to_camera", contacts)
            put(f"{group}/suctioncup/contact_poses_relative_to_camera", contacts)
            put(f"{group}/suctioncup/object_id", owners + id_offset)
            put(f"{group}/suctioncup/score_analytical", scores if group.startswith("non") else scores * 0 + 1)
            put(f"{group}/suctioncup/score_simulation", scores)
            put(f"{group}/paralleljaw/franka_poses_relative_to_camera", np.zeros((0, 4, 4)))
            put(f"{group}/paralleljaw/contact_poses_relative_to_camera", np.zeros((0, 4, 4)))
            for name in ("contact_width", "object_id", "score_analytical", "score_simulation", "score_wrench"):
                put(f"{group}/paralleljaw/{name}", np.zeros(0))
        put("keypts/com/keypts_relative_to_camera", keypoints)
        put("keypts/com/object_id", keypoint_owners + id_offset)
        put("keypts/byhand/keypts_relative_to_camera", np.zeros((0, 4)))
        put("keypts/byhand/object_id", np.zeros(0))


def order_of(pile: Pile) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for number in range(1, len(pile.discs) + 1):
        over = pile.parents(number)
        children = [m for m in range(1, number) if number in pile.parents(m)]
        result[str(number)] = {
            "id": number,
            "occlusion": float(pile.rates[number - 1]),
            "children": [{"id": m, "depth_diff": SHEET_CM * (number - m), "edge_size": 5} for m in children],
            "parents": [{"id": m, "depth_diff": SHEET_CM * (m - number), "edge_size": 5} for m in over]
            or [{"id": 0, "depth_diff": 0, "edge_size": 0}],
            "total_covered_edge": 5 * len(over),
            "layer": 0 if not over else 1,
        }
    return result


def write_sim_view(
    folder: Path,
    view: int,
    pile: Pile,
    *,
    stack_key: str = "seg_masks_single",
    pose_key: str = "pose_relative_to_world",
    alpha: bool = True,
    nan_depth: bool = False,
    shift_px: int = 0,
    id_offset: int = 40,
    dtype: str = "float64",
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_rgb(folder / f"{view}_rgb.png", pile, alpha=alpha)
    Image.fromarray((pile.depth_cm / FLOOR_CM * 255).astype(np.uint8)).save(folder / f"{view}_depth.png")
    arrays = sim_arrays(pile, stack_key=stack_key, nan_depth=nan_depth, shift_px=shift_px, dtype=dtype)
    np.savez_compressed(folder / f"{view}.npz", **arrays)  # type: ignore[arg-type]
    resolution = {"height": pile.height, "width": pile.width}
    camera = {"clipping_range": [1, 1000000], "focal_length": 35.0, "fx": pile.focal, "fy": pile.focal}
    write_json(folder / f"{view}_camera_params.json", camera | {"horizontal_fov": 0.58, "resolution": resolution})
    write_sim_hdf5(folder / f"{view}_scene.hdf5", pile, pose_key=pose_key, id_offset=id_offset)
    write_json(folder / f"{view}_order.json", order_of(pile))
    numbers = range(1, len(pile.discs) + 1)
    covered = [[-1 if m in pile.parents(n) else 0 for m in numbers] for n in numbers]
    (folder / f"{view}_order.csv").write_text("\n".join(",".join(map(str, row)) for row in covered) + "\n")


def write_real_scene(folder: Path, pile: Pile, *, hidden_part: bool = False, suction: bool = True) -> None:
    """View 3 annotated, view 0 with picture and depth alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for view in (0, 3):
        write_rgb(folder / f"{view}_rgb.png", pile)
        depth = pile.depth_cm.copy()
        depth[np.random.default_rng(view).random(depth.shape) < 0.21] = np.nan
        semantic = np.zeros_like(pile.ids)
        for number, category in enumerate(pile.categories, start=1):
            semantic[pile.ids == number] = category
        arrays = {"depth": depth, "instances_objects": pile.ids, "instances_semantic": semantic}
        np.savez_compressed(folder / f"{view}.npz", **arrays)  # type: ignore[arg-type]
        camera: dict[str, Any] = {"fx": pile.focal, "fy": pile.focal, "cx": pile.width / 2, "cy": pile.height / 2}
        write_json(folder / f"{view}_camera_params.json", camera | {"width": pile.width, "height": pile.height})
        with h5py.File(folder / f"{view}_scene.hdf5", "w") as file:
            file["camera/pose_relative_to_world"] = np.eye(4, dtype=np.float32)[None]
            file["objects/categories"] = np.array(pile.categories, dtype=np.float32)
    second = pile.amodal & ~pile.visible if hidden_part else pile.amodal
    ratio = np.zeros_like(pile.ids)
    for number in range(1, len(pile.discs) + 1):
        ratio[pile.ids == number] = pile.rates[number - 1]
    bitmaps = np.stack([pile.visible, second], axis=1).astype(np.uint8)
    np.savez_compressed(
        folder / "3_amodal.npz",
        amodal_bitmaps_full_size_instances=bitmaps,
        amodal_bitmaps_full_size=bitmaps.max(axis=0),
        occlusion_bitmap_full_size=ratio,
    )
    if suction:
        painted = np.zeros(pile.ids.shape, np.uint8)
        for u, v, r in pile.discs:
            painted[int(v - r / 3) : int(v + r / 3), int(u - r / 3) : int(u + r / 3)] = 255
        np.savez_compressed(folder / "3_grasps.npz", suction_bitmap=painted, parallel_jaw_2d=np.zeros((0, 2, 2)))
    write_json(folder / "3_order.json", order_of(pile))
    write_json(folder / "3_bin_rel.json", {str(n): "no_rel" for n in range(1, len(pile.discs) + 1)})
    poses = [
        {
            "cam_R_m2c": np.eye(3).tolist(),
            "cam_t_m2c": pile.point_cm(n, *pile.discs[n - 1][:2]).tolist(),
            "obj_id": pile.categories[n - 1],
        }
        for n in range(1, len(pile.discs) + 1)
    ]
    write_json(folder / "scene_gt.json", {"3": poses[::-1]})


def write_models(folder: Path, categories: list[int], center_m: tuple[float, float, float]) -> None:
    """A cube of 2 cm around the same off-centre point for each object, metres."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 0.01 + center_m
    faces = [(1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4)]
    lines = [f"v {x} {y} {z}" for x, y, z in corners] + [f"f {a} {b} {c} {d}" for a, b, c, d in faces]
    for category in categories:
        place = folder / f"{category:03d}"
        place.mkdir(parents=True)
        (place / "textured.obj").write_text("\n".join(lines) + "\n")
