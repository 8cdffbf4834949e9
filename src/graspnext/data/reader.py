"""Reads datasets. Any damage is a `DatasetError` that names the file, the field and what to do; never anything else."""

from __future__ import annotations

import io
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, ValidationError

from graspnext.data.faults import DECODING_ERRORS, DatasetFaultError, Fault
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

_Model = TypeVar("_Model", bound=BaseModel)

MAX_FILE_BYTES = 1 << 30
"""More than any file of a dataset has: a picture of 16384 x 16384 px, or the manifest of a million views."""

_REMAKE = "make the scene again, or delete its folder and its lines in manifest.jsonl"
_MEND = "mend the field, or make the scene again"


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
        size = self.info.image_size
        labels = read_labels(self.root, entry, size)
        image = read_rgb(self.root, entry, size)
        suction = read_suction(self.root, entry, size)
        depth_m = read_depth(self.root, entry, size) if depth else np.zeros(size, dtype=np.float32)
        more = {cup: read_suction(self.root, entry, size, cup) for cup in entry.sha256.more_suction if depth}
        measured = entry.sha256.sensor_depth is not None and depth
        instances = decode_instances(self.root, entry, labels, size)
        return View(
            scene_id=entry.scene,
            view_id=entry.view,
            image=image,
            camera=camera_of(labels.camera),
            labels=Labels(
                instances=tuple(instances),
                instance_ids=_instance_ids(instances, size),
                depth_m=depth_m,
                suction=suction,
                more_suction=more,
                missing=frozenset(labels.missing),
                approximate=frozenset(labels.approximate),
            ),
            sensor=labels.sensor,
            sensor_depth_m=read_depth(self.root, entry, size, key="sensor_depth") if measured else None,
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
    content = read_bytes(root, MANIFEST_FILE, "let `graspnext world make --resume` finish the dataset")
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
    record = parse_record(ViewLabels, read_bytes(root, file, _REMAKE), root, file, _MEND)
    found = (record.camera.height, record.camera.width)
    if found != size:
        raise _fault(root, file, "camera", f"the camera is {_text(found)}, the dataset's views {_text(size)}", _MEND)
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


def decode_instances(root: Path, entry: ManifestEntry, labels: ViewLabels, size: tuple[int, int]) -> list[Instance]:
    """All instances of a view, masks decoded.

    Raises:
        DatasetError: A mask does not fit, or two instances share an id.
    """
    file = files_of(entry)["labels"]
    instances: list[Instance] = []
    seen: set[int] = set()
    for index, record in enumerate(labels.instances):
        if record.id in seen:
            raise _fault(root, file, f"instances[{index}].id", f"id {record.id} stands twice in the view", _MEND)
        seen.add(record.id)
        amodal, visible = (
            decode_mask(root, file, f"instances[{index}].{key}", rle, size)
            for key, rle in (("segmentation", record.segmentation), ("visible_mask", record.visible_mask))
        )
        instances.append(_instance(record, amodal, visible))
        for key, box, mask in (
            ("bbox", instances[-1].amodal_box, amodal),
            ("visible_bbox", instances[-1].visible_box, visible),
        ):
            if np.count_nonzero(mask[window(box, size)]) != np.count_nonzero(mask):
                raise _fault(root, file, f"instances[{index}].{key}", "the box does not hold its mask", _MEND)
    return instances


def window(box: Float32Array, size: tuple[int, int]) -> tuple[slice, slice]:
    """The whole pixels (rows, columns) of an image of (height, width) that a box (4,) xyxy touches."""
    x1, y1 = np.floor(np.clip(box[:2], 0, size[::-1])).astype(int)
    x2, y2 = np.ceil(np.clip(box[2:], 0, size[::-1])).astype(int)
    return slice(int(y1), int(y2)), slice(int(x1), int(x2))


def decode_mask(root: Path, file: str, field: str, rle: Rle, size: tuple[int, int]) -> BoolArray:
    """One mask (H, W) bool.

    Raises:
        DatasetError: Its size is not the view's, or its run lengths are malformed.
    """
    if rle.size != size:
        raise _fault(root, file, field, f"the mask is {_text(rle.size)}, the view {_text(size)}", _MEND)
    try:
        return masks.decode(rle.size, rle.counts)
    except ValueError as error:
        raise _fault(root, file, field, str(error), _MEND) from error


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


def read_bytes(root: Path, file: str, advice: str) -> bytes:
    """A file of a dataset, whole.

    Raises:
        DatasetError: It is missing, unreadable, or no plain file: a pipe would never end, a device never be read whole.
    """
    path = root / file

    def read() -> bytes:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("not a plain file")
        if found.st_size > MAX_FILE_BYTES:
            raise ValueError(f"{found.st_size} bytes are more than any file of a dataset has")
        return path.read_bytes()

    return _attempt(read, root, file, advice)


def parse_record(model: type[_Model], content: bytes, root: Path, file: str, advice: str) -> _Model:
    """JSON bytes as a record.

    Raises:
        DatasetError: They are not JSON, or do not fit the schema.
    """
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        faults = [Fault(file, _location(one["loc"]), one["msg"], advice) for one in found]
        raise DatasetFaultError(root, *faults) from error


def _location(parts: tuple[int | str, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.removeprefix(".")


def _instance(record: InstanceRecord, amodal: BoolArray, visible: BoolArray) -> Instance:
    both = boxes.from_xywh(np.array([record.bbox, record.visible_bbox], dtype=np.float32))  # (2, 4) xyxy px
    return Instance(
        id=record.id,
        part=record.part,
        family=record.family,
        amodal_box=both[0],
        visible_box=both[1],
        amodal_mask=amodal,
        visible_mask=visible,
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
    content = read_bytes(root, file, _REMAKE)
    image = _attempt(lambda: Image.open(io.BytesIO(content), formats=("PNG", "WEBP")), root, file, _REMAKE)
    found = (image.height, image.width)
    if found != size:  # before a pixel is decoded: a small file can claim a huge picture
        raise _fault(root, file, "", f"the picture is {_text(found)}, the dataset's views {_text(size)}", _REMAKE)
    if image.mode not in modes:
        raise _fault(root, file, "", f"the picture's mode is {image.mode}, it must be {' or '.join(modes)}", _REMAKE)
    _attempt(image.load, root, file, _REMAKE)
    return image


_Result = TypeVar("_Result")


def _attempt(action: Callable[[], _Result], root: Path, file: str, advice: str) -> _Result:
    try:
        return action()
    except FileNotFoundError as error:
        raise _fault(root, file, "", "the file is missing", advice) from error
    except UnidentifiedImageError as error:
        raise _fault(root, file, "", "not a PNG or WebP picture", advice) from error
    except DECODING_ERRORS as error:
        problem = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        raise _fault(root, file, "", f"cannot be read: {problem}", advice) from error


def _fault(root: Path, file: str, field: str, problem: str, advice: str) -> DatasetFaultError:
    return DatasetFaultError(root, Fault(file=file, field=field, problem=problem, advice=advice))


def _text(size: tuple[int, int]) -> str:
    height, width = size
    return f"{width} x {height} px"
