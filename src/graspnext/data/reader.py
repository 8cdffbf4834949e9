"""Reads datasets. Any damage is a `DatasetError` that names the file, the field and what to do; never anything else."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from graspnext.data.faults import MEND, REMAKE, RESUME
from graspnext.data.format import (
    DATASET_FILE,
    DEPTH_UNIT_M,
    MANIFEST_FILE,
    SCENES_DIR,
    SPLITS,
    CameraRecord,
    DatasetInfo,
    InstanceRecord,
    ManifestEntry,
    Rle,
    ViewLabels,
    file_names,
)
from graspnext.data.record_files import as_px, attempt, fault, parse_record, read_bytes
from graspnext.errors import UnknownNameError
from graspnext.geometry import boxes, masks
from graspnext.types import (
    BoolArray,
    Camera,
    Float32Array,
    Instance,
    Int32Array,
    Labels,
    UInt8Array,
    View,
)

_NO_MASK: BoolArray = np.zeros((0, 0), dtype=np.bool_)


class Dataset:
    """A dataset on disk: its description, its manifest, and its views on demand."""

    def __init__(self, root: Path) -> None:
        """Read `dataset.json` and `manifest.jsonl`.

        Raises:
            DatasetError: The folder, or one of the two files, is missing or damaged.
        """
        self.root = root
        self.info: DatasetInfo = read_info(root)
        self.entries: tuple[ManifestEntry, ...] = tuple(read_manifest(root))

    def split(self, name: str) -> list[ManifestEntry]:
        """The views of one split, in the manifest's order.

        Raises:
            UnknownNameError: No split has that name.
        """
        if name not in SPLITS:
            raise UnknownNameError("split", name, SPLITS)
        return [entry for entry in self.entries if entry.split == name]

    def read(self, entry: ManifestEntry, *, depth: bool = True) -> View:
        """One view with all its labels. Masks are column-major in memory, as their run lengths are.

        Args:
            entry: A line of the manifest.
            depth: Read what learning on pictures alone does not need: both depths and the maps of further cups.
                Without it, `Labels.depth_m` is 0 (missing) everywhere, in less time.

        Raises:
            DatasetError: Any file of the view is missing, damaged, or does not fit the others.
        """
        view = self.open(entry).view()
        if not depth:
            return view
        size = self.info.image_size
        more = {cup: read_suction(self.root, entry, size, cup) for cup in entry.sha256.more_suction}
        labels = replace(view.labels, depth_m=read_depth(self.root, entry, size), more_suction=more)
        measured = entry.sha256.sensor_depth is not None
        sensor_depth_m = read_depth(self.root, entry, size, key="sensor_depth") if measured else None
        return replace(view, labels=labels, sensor_depth_m=sensor_depth_m)

    def open(self, entry: ManifestEntry) -> OpenView:
        """What learning on pictures needs of one view, its masks not decoded yet.

        Raises:
            DatasetError: Labels, picture or suction map are missing, damaged, or do not fit each other.
        """
        size = self.info.image_size
        labels = read_labels(self.root, entry, size)
        image = read_rgb(self.root, entry, size)
        return OpenView(self.root, entry, labels, image, read_suction(self.root, entry, size))


@dataclass(frozen=True, eq=False)
class OpenView:
    """A view of a dataset, read but for its depths and with its masks still as run lengths."""

    root: Path
    entry: ManifestEntry
    labels: ViewLabels
    image: UInt8Array
    """(H, W, 3) uint8, RGB."""
    suction: Float32Array
    """(H, W)."""

    def view(self, wanted: Callable[[Instance], bool] | None = None) -> View:
        """The view, without depth, of all instances or of those that are wanted alone.

        Args:
            wanted: Is asked about each instance while its masks are still empty. The pixels of one that is not wanted
                are 0 in `Labels.instance_ids`, and its masks remain unread, damage included.

        Raises:
            DatasetError: A mask does not fit, or two instances share an id.
        """
        size = self.image.shape[0], self.image.shape[1]
        instances = decode_instances(self.root, self.entry, self.labels, size, wanted)
        return View(
            scene_id=self.entry.scene,
            view_id=self.entry.view,
            image=self.image,
            camera=camera_of(self.labels.camera),
            labels=Labels(
                instances=tuple(instances),
                instance_ids=_instance_ids(instances, size),
                depth_m=np.broadcast_to(np.float32(0), size),  # takes no room and no time
                suction=self.suction,
                missing=frozenset(self.labels.missing),
                approximate=frozenset(self.labels.approximate),
            ),
            sensor=self.labels.sensor,
        )


def files_of(entry: ManifestEntry) -> dict[str, str]:
    """Path of each file of a view relative to the dataset's folder, by the keys of `file_names`."""
    return {
        key: f"{SCENES_DIR}/{entry.scene}/{name}"
        for key, name in file_names(entry.view, entry.rgb, entry.sha256).items()
    }


def read_info(root: Path) -> DatasetInfo:
    """`dataset.json`.

    Raises:
        DatasetError: It is missing or damaged.
    """
    content = read_bytes(root, DATASET_FILE, "give the folder that `graspnext world make` wrote")
    return parse_record(DatasetInfo, content, root, DATASET_FILE, "mend the field, or make the dataset again")


def read_manifest(root: Path) -> list[ManifestEntry]:
    """`manifest.jsonl`.

    Raises:
        DatasetError: It is missing, or a line of it is damaged.
    """
    lines = manifest_lines(root)
    return [parse_manifest_line(root, number, line) for number, line in lines]


def manifest_lines(root: Path) -> list[tuple[int, bytes]]:
    """The lines of `manifest.jsonl` that are not blank, each with its number from 1.

    Raises:
        DatasetError: The file is missing or unreadable.
    """
    content = read_bytes(root, MANIFEST_FILE, RESUME)
    return [(number, line) for number, line in enumerate(content.splitlines(), start=1) if line.strip()]


def parse_manifest_line(root: Path, number: int, line: bytes) -> ManifestEntry:
    """One line of the manifest.

    Raises:
        DatasetError: It is damaged.
    """
    return parse_record(ManifestEntry, line, root, f"{MANIFEST_FILE}:{number}", "mend the line or delete it")


def read_labels(root: Path, entry: ManifestEntry, size: tuple[int, int]) -> ViewLabels:
    """`<v>_labels.json`, its camera of the dataset's size (height, width).

    Raises:
        DatasetError: It is missing or damaged.
    """
    file = files_of(entry)["labels"]
    record = parse_record(ViewLabels, read_bytes(root, file, REMAKE), root, file, MEND)
    found = (record.camera.height, record.camera.width)
    if found != size:
        raise fault(root, file, "camera", f"the camera is {as_px(found)}, the dataset's views {as_px(size)}", MEND)
    return record


def read_rgb(root: Path, entry: ManifestEntry, size: tuple[int, int]) -> UInt8Array:
    """The picture (H, W, 3) uint8, RGB.

    Raises:
        DatasetError: It is missing, damaged, or not 8-bit RGB of the dataset's size (height, width).
    """
    return np.asarray(_read_picture(root, files_of(entry)["rgb"], ("RGB",), size), dtype=np.uint8)


def read_depth(root: Path, entry: ManifestEntry, size: tuple[int, int], *, key: str = "depth") -> Float32Array:
    """Depth (H, W) float32, z in metres, 0 = missing; the sensor's own for the key "sensor_depth".

    Raises:
        DatasetError: It is missing, damaged, or not 16-bit grey of the dataset's size (height, width).
    """
    counts = _read_picture(root, files_of(entry)[key], ("I;16", "I"), size)
    return np.asarray(counts, dtype=np.float32) * np.float32(DEPTH_UNIT_M)


def read_suction(root: Path, entry: ManifestEntry, size: tuple[int, int], cup: str | None = None) -> Float32Array:
    """Suction scores (H, W) float32 in [0, 1] for the dataset's own cup, or for a further one.

    Raises:
        DatasetError: It is missing, damaged, or not 8-bit grey of the dataset's size (height, width).
    """
    key = "suction" if cup is None else f"suction_{cup}"
    levels = _read_picture(root, files_of(entry)[key], ("L",), size)
    return np.asarray(levels, dtype=np.float32) * np.float32(1 / 255)


def decode_instances(
    root: Path,
    entry: ManifestEntry,
    labels: ViewLabels,
    size: tuple[int, int],
    wanted: Callable[[Instance], bool] | None = None,
) -> list[Instance]:
    """The instances of a view, masks decoded: all, or those wanted by what is known of them without masks.

    Raises:
        DatasetError: A mask does not fit, or two instances share an id.
    """
    file = files_of(entry)["labels"]
    instances: list[Instance] = []
    seen: set[int] = set()
    for index, record in enumerate(labels.instances):
        if record.id in seen:
            raise fault(root, file, f"instances[{index}].id", f"id {record.id} stands twice in the view", MEND)
        seen.add(record.id)
        instance = _instance(record)
        if wanted is not None and not wanted(instance):
            continue
        amodal = decode_mask(root, file, f"instances[{index}].segmentation", record.segmentation, size)
        visible = amodal  # of a part that nothing hides both are the same, and need no second decoding
        if record.visible_mask != record.segmentation:
            visible = decode_mask(root, file, f"instances[{index}].visible_mask", record.visible_mask, size)
        instances.append(replace(instance, amodal_mask=amodal, visible_mask=visible))
        for key, box, mask in (("bbox", instance.amodal_box, amodal), ("visible_bbox", instance.visible_box, visible)):
            if np.count_nonzero(mask[window(box, size)]) != np.count_nonzero(mask):
                raise fault(root, file, f"instances[{index}].{key}", "the box does not hold its mask", MEND)
    return instances


def window(box: Float32Array, size: tuple[int, int]) -> tuple[slice, slice]:
    """The whole pixels (rows, columns) of an image of (height, width) that a box (4,) xyxy touches."""
    height, width = size
    x1, y1, x2, y2 = box.tolist()
    rows = slice(math.floor(min(max(y1, 0), height)), math.ceil(min(max(y2, 0), height)))
    return rows, slice(math.floor(min(max(x1, 0), width)), math.ceil(min(max(x2, 0), width)))


def decode_mask(root: Path, file: str, field: str, rle: Rle, size: tuple[int, int]) -> BoolArray:
    """One mask (H, W) bool.

    Raises:
        DatasetError: Its size is not the view's, or its run lengths are malformed.
    """
    if rle.size != size:
        raise fault(root, file, field, f"the mask is {as_px(rle.size)}, the view {as_px(size)}", MEND)
    try:
        return masks.decode(rle.size, rle.counts)
    except ValueError as error:
        raise fault(root, file, field, str(error), MEND) from error


def camera_of(record: CameraRecord) -> Camera:
    """The camera that a record describes."""
    return Camera(
        width=record.width,
        height=record.height,
        fx=record.fx,
        fy=record.fy,
        cx=record.cx,
        cy=record.cy,
        T_world_camera=np.array(record.T_world_camera, dtype=np.float64),
    )


def _instance(record: InstanceRecord) -> Instance:
    """All but the masks, which are empty."""
    both = boxes.from_xywh(np.array([record.bbox, record.visible_bbox], dtype=np.float32))  # (2, 4) xyxy px
    return Instance(
        id=record.id,
        part=record.part,
        family=record.family,
        amodal_box=both[0],
        visible_box=both[1],
        amodal_mask=_NO_MASK,
        visible_mask=_NO_MASK,
        occluded_rate=record.occluded_rate,
        occluded=record.occluded,
        center_of_mass=np.array(record.center_of_mass or (np.nan,) * 3, dtype=np.float32),
        layer=record.layer,
        T_camera_part=np.array(record.T_camera_part or np.full((4, 4), np.nan), dtype=np.float64),
        ignore=record.ignore,
    )


def _instance_ids(instances: list[Instance], size: tuple[int, int]) -> Int32Array:
    ids = np.zeros(size, dtype=np.int32)
    for instance in instances:
        part = window(instance.visible_box, size)  # only the box: most of a view is not this part
        ids[part][instance.visible_mask[part]] = instance.id
    return ids


def _read_picture(root: Path, file: str, modes: tuple[str, ...], size: tuple[int, int]) -> Image.Image:
    content = read_bytes(root, file, REMAKE)
    image = attempt(lambda: Image.open(io.BytesIO(content), formats=("PNG", "WEBP")), root, file, REMAKE)
    found = (image.height, image.width)
    if found != size:  # before a pixel is decoded: a small file can claim a huge picture
        raise fault(root, file, "", f"the picture is {as_px(found)}, the dataset's views {as_px(size)}", REMAKE)
    if image.mode not in modes:
        raise fault(root, file, "", f"the picture's mode is {image.mode}, it must be {' or '.join(modes)}", REMAKE)
    attempt(image.load, root, file, REMAKE)
    return image
