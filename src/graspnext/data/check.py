"""Checks a dataset on disk and lists all its faults: files, hashes, and labels that contradict one another."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from graspnext.data import reader
from graspnext.data.faults import DatasetFaultError, Fault
from graspnext.data.format import (
    DATASET_FILE,
    MANIFEST_FILE,
    OCCLUDED_FROM_RATE,
    SCENES_DIR,
    CameraRecord,
    DatasetInfo,
    InstanceRecord,
    ManifestEntry,
    Rle,
    SceneFile,
    ViewLabels,
    hash_of,
)
from graspnext.geometry import boxes
from graspnext.types import BoolArray, Float32Array

BOX_TOLERANCE_PX = 0.01
CENTER_TOLERANCE_PX = 1.5
"""A centre of mass projects into the hull of its part, of which pixel centres show all but a pixel's rim."""
RATE_TOLERANCE = 1e-3
RIGID_TOLERANCE = 1e-4
DEPTH_SHARE = 0.05
"""Largest share of a part's visible pixels that may lack depth."""
DEPTH_TOLERANCE_M = 0.5
"""Farther than this from its centre of mass no part of a bin has its surface: another unit, or another view."""

_MEND = "mend the field, or make the scene again"
_REMAKE = "make the scene again, or delete its folder and its lines in manifest.jsonl"
_RESUME = "let `graspnext world make --resume` finish the dataset"

_Result = TypeVar("_Result")


def check_dataset(
    root: Path, *, progress: Callable[[Sequence[ManifestEntry]], Iterable[ManifestEntry]] | None = None
) -> list[Fault]:
    """All faults of a dataset; an empty list says that every file is whole and all labels agree.

    Args:
        root: The dataset's folder.
        progress: Wraps the views while they are checked, to show how far the check is.
    """
    check = _Check(root)
    info = check.attempt(lambda: reader.read_info(root))
    entries = check.manifest(info)
    check.scenes(entries)
    for entry in progress(entries) if progress else entries:
        check.view(entry, info)
    return check.faults


class _Check:
    """The faults found so far."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.faults: list[Fault] = []

    def attempt(self, action: Callable[[], _Result]) -> _Result | None:
        """The action's result, or None and its faults on the list."""
        try:
            return action()
        except DatasetFaultError as error:
            self.faults.extend(error.faults)
            return None

    def say(self, file: str, field: str, problem: str, advice: str = _MEND) -> None:
        self.faults.append(Fault(file, field, problem, advice))

    def manifest(self, info: DatasetInfo | None) -> list[ManifestEntry]:
        """Check the manifest in itself; its readable entries, each view once."""
        entries: dict[tuple[str, int], ManifestEntry] = {}
        splits: dict[str, str] = {}
        pictures: dict[str, ManifestEntry] = {}
        for number, line in self.attempt(lambda: reader.manifest_lines(self.root)) or []:
            where = f"{MANIFEST_FILE}:{number}"
            entry = self.attempt(partial(reader.parse_manifest_line, self.root, number, line))
            if entry is None:
                continue
            key = (entry.scene, entry.view)
            if key in entries:
                self.say(where, "view", f"view {entry.view} of scene {entry.scene} stands twice", "delete one line")
                continue
            entries[key] = entry
            if splits.setdefault(entry.scene, entry.split) != entry.split:
                problem = f"scene {entry.scene} is in split {splits[entry.scene]} and in split {entry.split}"
                self.say(where, "split", problem, "give all views of a scene one split")
            twin = pictures.setdefault(entry.sha256.rgb, entry)
            if twin is not entry:
                problem = (
                    f"the picture is that of scene {twin.scene} view {twin.view} (splits {twin.split}, {entry.split})"
                )
                self.say(where, "sha256.rgb", problem, "delete one of the two scenes")
        if info is not None:
            self._counts(info, list(entries.values()))
        return list(entries.values())

    def _counts(self, info: DatasetInfo, entries: list[ManifestEntry]) -> None:
        views: dict[str, int] = defaultdict(int)
        for entry in entries:
            views[entry.scene] += 1
        if len(views) != info.num_scenes:
            problem = f"{info.num_scenes} scenes are announced, the manifest lists {len(views)}"
            self.say(DATASET_FILE, "num_scenes", problem, _RESUME)
        for scene, count in views.items():
            if info.views_per_scene not in {None, count}:
                problem = f"scene {scene} has {count} views, each should have {info.views_per_scene}"
                self.say(MANIFEST_FILE, "view", problem, _RESUME)

    def scenes(self, entries: list[ManifestEntry]) -> None:
        """Check that folders and manifest list the same scenes, and `scene.json` the same files."""
        listed = {(entry.scene, entry.view): entry for entry in entries}
        scenes = {entry.scene for entry in entries}
        folder = self.root / SCENES_DIR
        on_disk = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        for name in on_disk:
            if name not in scenes and not name.startswith("."):  # a dot: still being written
                self.say(f"{SCENES_DIR}/{name}", "", "the scene is not in the manifest", _RESUME)
        for scene in sorted(scenes):
            file = f"{SCENES_DIR}/{scene}/scene.json"
            record = self.attempt(partial(self._scene, file))
            if record is None:
                continue
            if record.scene != scene:
                self.say(file, "scene", f"the file is of scene '{record.scene}'", _REMAKE)
            for index, files in enumerate(record.views):
                entry = listed.get((scene, files.view))
                where = f"views[{index}]"
                if entry is None:
                    self.say(file, where, f"view {files.view} is not in the manifest", _RESUME)
                elif (files.rgb, files.sha256) != (entry.rgb, entry.sha256):
                    self.say(file, where, "the manifest lists other files or hashes for this view", _REMAKE)

    def _scene(self, file: str) -> SceneFile:
        content = reader.read_bytes(self.root, file, _REMAKE)
        return reader.parse_record(SceneFile, content, self.root, file, _REMAKE)

    def view(self, entry: ManifestEntry, info: DatasetInfo | None) -> None:
        """Check the files of one view, each by itself and against the others."""
        files = reader.files_of(entry)
        for key, file in files.items():
            content = self.attempt(partial(reader.read_bytes, self.root, file, _REMAKE))
            if content is not None and hashlib.sha256(content).hexdigest() != hash_of(entry.sha256, key):
                self.say(file, "", "the file is not the one that was written: its hash differs", _REMAKE)
        size = info.image_size if info else self._size_by_camera(entry)
        if size is None:
            return
        existing = {key for key, file in files.items() if (self.root / file).is_file()}  # missing ones are told
        root = self.root
        if "rgb" in existing:
            self.attempt(lambda: reader.read_rgb(root, entry, size))
        depth = self.attempt(lambda: reader.read_depth(root, entry, size)) if "depth" in existing else None
        suction = self.attempt(lambda: reader.read_suction(root, entry, size)) if "suction" in existing else None
        labels = self.attempt(lambda: reader.read_labels(root, entry, size)) if "labels" in existing else None
        if labels is not None:
            self._labels(files, labels, depth, suction)

    def _size_by_camera(self, entry: ManifestEntry) -> tuple[int, int] | None:
        file = reader.files_of(entry)["labels"]
        try:
            content = reader.read_bytes(self.root, file, _REMAKE)
            camera = reader.parse_record(ViewLabels, content, self.root, file, _MEND).camera
        except DatasetFaultError:
            return None
        return camera.height, camera.width

    def _labels(
        self,
        files: dict[str, str],
        labels: ViewLabels,
        depth: Float32Array | None,
        suction: Float32Array | None,
    ) -> None:
        file = files["labels"]
        size = (labels.camera.height, labels.camera.width)
        self._camera(file, labels.camera)
        seen: set[int] = set()
        covered: npt.NDArray[np.uint16] = np.zeros(size, dtype=np.uint16)
        for index, record in enumerate(labels.instances):
            where = f"instances[{index}]"
            if record.id in seen:
                self.say(file, f"{where}.id", f"id {record.id} stands twice in the view")
            seen.add(record.id)
            self._pose(file, f"{where}.T_camera_part", record.T_camera_part)
            amodal = self._mask(file, f"{where}.segmentation", record.segmentation, size)
            visible = self._mask(file, f"{where}.visible_mask", record.visible_mask, size)
            if visible is not None:
                covered += visible
            if amodal is not None and visible is not None:
                self._masks(file, where, record, (amodal, visible))
            if visible is not None and depth is not None and "depth" not in [*labels.missing, *labels.approximate]:
                self._depth(files["depth"], where, record, depth[visible])
        if covered.max() > 1:
            pixels = int(np.count_nonzero(covered > 1))
            self.say(file, "instances", f"visible masks overlap in {pixels} pixels")
        if suction is not None and (pixels := int(np.count_nonzero(suction[covered == 0]))):
            self.say(files["suction"], "", f"{pixels} background pixels have a suction score", _REMAKE)

    def _mask(self, file: str, field: str, rle: Rle, size: tuple[int, int]) -> BoolArray | None:
        return self.attempt(lambda: reader.decode_mask(self.root, file, field, rle, size))

    def _masks(self, file: str, where: str, record: InstanceRecord, pair: tuple[BoolArray, BoolArray]) -> None:
        amodal, visible = pair
        if not amodal.any():
            self.say(file, f"{where}.segmentation", "the amodal mask is empty")
            return
        outside = int(np.count_nonzero(visible & ~amodal))
        if outside:
            self.say(file, f"{where}.visible_mask", f"{outside} visible pixels lie outside the amodal mask")
        for key, box, mask in (("bbox", record.bbox, amodal), ("visible_bbox", record.visible_bbox, visible)):
            tight = boxes.to_xywh(boxes.from_mask(mask))
            if np.abs(tight - np.array(box)).max() > BOX_TOLERANCE_PX:
                self.say(file, f"{where}.{key}", f"the box is {_numbers(box)}, its mask's {_numbers(tight)} (xywh px)")
        rate = 1 - np.count_nonzero(visible) / np.count_nonzero(amodal)
        if abs(rate - record.occluded_rate) > RATE_TOLERANCE:
            self.say(file, f"{where}.occluded_rate", f"it is {record.occluded_rate:.4f}, by the masks {rate:.4f}")
        if record.occluded != (rate >= OCCLUDED_FROM_RATE) and abs(rate - OCCLUDED_FROM_RATE) > 1e-9:
            self.say(file, f"{where}.occluded", f"it is {record.occluded} at a rate of {rate:.4f} by the masks")
        if not visible.any() and not record.ignore:
            self.say(file, f"{where}.ignore", "nothing of the part is visible, yet it is not ignored")
        self._center(file, where, record, amodal)

    def _center(self, file: str, where: str, record: InstanceRecord, amodal: BoolArray) -> None:
        if record.center_of_mass is None:
            return
        u, v, z = record.center_of_mass
        if z <= 0:
            self.say(file, f"{where}.center_of_mass", f"z is {z} m; it must be in front of the camera")
        height, width = amodal.shape
        x1, y1, x2, y2 = boxes.from_mask(amodal)
        if x1 == 0 or y1 == 0 or x2 == width or y2 == height:
            return  # the part may go on outside the view, in any direction
        slack = CENTER_TOLERANCE_PX
        if not (x1 - slack <= u <= x2 + slack and y1 - slack <= v <= y2 + slack):
            self.say(file, f"{where}.center_of_mass", f"({u:.1f}, {v:.1f}) px lies outside the amodal box")

    def _depth(self, file: str, where: str, record: InstanceRecord, depth_m: Float32Array) -> None:
        if depth_m.size == 0:
            return
        missing = np.count_nonzero(depth_m == 0) / depth_m.size
        if missing > DEPTH_SHARE:
            self.say(file, where, f"{missing:.0%} of the visible pixels of id {record.id} have no depth", _REMAKE)
            return
        if record.center_of_mass is None:
            return
        median, z = float(np.median(depth_m[depth_m > 0])), record.center_of_mass[2]
        if abs(median - z) > DEPTH_TOLERANCE_M:
            problem = f"id {record.id} is seen at {median:.3f} m, its centre of mass is at {z:.3f} m"
            self.say(file, where, problem, _REMAKE)

    def _camera(self, file: str, camera: CameraRecord) -> None:
        self._pose(file, "camera.T_world_camera", camera.T_world_camera)
        for key, focal in (("fx", camera.fx), ("fy", camera.fy)):
            if not 0.1 <= focal / camera.width <= 100:
                self.say(file, f"camera.{key}", f"a focal length of {focal:g} px does not suit {camera.width} px")
        for key, center, side in (("cx", camera.cx, camera.width), ("cy", camera.cy, camera.height)):
            if not 0 <= center <= side:
                self.say(file, f"camera.{key}", f"the principal point at {center:g} px lies outside 0 ... {side}")

    def _pose(self, file: str, field: str, matrix: list[list[float]] | None) -> None:
        if matrix is None:  # unknown
            return
        T = np.array(matrix, dtype=np.float64)
        with np.errstate(all="ignore"):
            error = np.abs(T[:3, :3].T @ T[:3, :3] - np.eye(3)).max() + np.abs(T[3] - (0, 0, 0, 1)).max()
            rigid = error <= RIGID_TOLERANCE and np.linalg.det(T[:3, :3]) > 0
        if not rigid:
            self.say(file, field, "the matrix is not a rigid transform")


def _numbers(values: Iterable[float]) -> str:
    return "(" + ", ".join(f"{float(value):g}" for value in values) + ")"
