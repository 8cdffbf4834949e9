"""Amodal sets in COCO's form (UOAIS-Sim, SynTable, the conversions of uoais-vmrn) as our views.

One JSON file of images and annotations, with the amodal mask in `segmentation` and the visible one in `visible_mask`
(or, turned round, the hidden one in `occluded_mask`), beside a folder of pictures.

Source: Back et al., Unseen Object Amodal Instance Segmentation via Hierarchical Occlusion Modeling, ICRA 2022.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from graspnext.data.faults import Fault
from graspnext.data.foreign.coco_masks import decode_segmentation
from graspnext.data.foreign.instances import (
    BOX_TOLERANCE_PX,
    RATE_TOLERANCE,
    STRAY_PX,
    STRAY_SHARE,
    MaskPair,
    instance_ids,
    pixels_beyond,
    to_instances,
)
from graspnext.data.foreign.opening import attempt, fault, parse, picture_size, read_counts, read_json, read_rgb
from graspnext.data.foreign.source import Account, ForeignScene
from graspnext.data.format import Coordinate, Cup, FiniteFloat, Split
from graspnext.data.splits import split_of
from graspnext.errors import ConfigError, DatasetError
from graspnext.geometry import boxes
from graspnext.types import BoolArray, Camera, Float32Array, Labels, View

MAX_ANNOTATION_BYTES = 8 << 30
_SCENE = re.compile(r"(?:^|/)(scene[-_]?\d+)(?=/|_)", re.IGNORECASE)


class _Foreign(BaseModel):
    """Unknown keys are left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ImageEntry(_Foreign):
    """One entry of `images`."""

    id: int | str
    file_name: str = Field(min_length=1, max_length=1024)
    depth_file_name: str | None = Field(default=None, max_length=1024)
    intrinsics: Annotated[list[Coordinate], Field(min_length=4, max_length=4)] | None = None
    """fx, fy, cx, cy px, in files that we exported."""


class AnnotationEntry(_Foreign):
    """One entry of `annotations`; masks are decoded later."""

    id: int | str | None = None
    image_id: int | str
    category_id: int | str = 0
    bbox: Annotated[list[Coordinate], Field(min_length=4, max_length=4)] | None = None
    segmentation: Any
    visible_mask: Any = None
    occluded_mask: Any = None
    occluded_rate: FiniteFloat | None = None
    occlude_rate: FiniteFloat | None = None
    """The same, as some files spell it."""
    center_of_mass: Annotated[list[Coordinate], Field(min_length=3, max_length=3)] | None = None
    """u px, v px, z m, in files that we exported."""
    layer: int | None = Field(default=None, ge=0, le=10000)
    """In files that we exported."""
    iscrowd: bool = False
    """A region of many: neither right nor wrong, as `ignore` says."""
    ignore: bool | None = None
    """In files that we exported."""

    @property
    def ignored(self) -> bool | None:
        """Whether it carries `ignore`; None when the file does not say."""
        return True if self.iscrowd else self.ignore


@dataclass(frozen=True)
class CocoAmodalOptions:
    """How the set is read."""

    images: Path | None = None
    """Folder that `file_name` starts from; looked for beside and above the JSON file when not given."""
    depth_unit_m: float | None = None
    """Metres a count of the depth pictures; they are left out without it, since files do not state their unit."""
    scene_pattern: str | None = None
    """Regular expression whose first group, found in `file_name`, names the scene. Without it a part such as scene12
    of the path does, or every picture is a scene of its own."""
    shift_px: int = 3
    """Pictures whose visible pixels lie farther than this outside the amodal masks are refused."""
    min_visible_px: int = 64
    """Instances with fewer visible pixels carry `ignore`."""

    def __post_init__(self) -> None:
        if self.depth_unit_m is not None and not 0 < self.depth_unit_m <= 1:
            raise ConfigError("depth_unit_m", self.depth_unit_m, "in (0, 1]")
        if not 0 <= self.shift_px <= 100:
            raise ConfigError("shift_px", self.shift_px, "in 0 ... 100")
        if self.min_visible_px < 1:
            raise ConfigError("min_visible_px", self.min_visible_px, "at least 1")
        if self.images is not None and not self.images.is_dir():
            raise ConfigError("images", str(self.images), "a folder that exists")
        try:
            groups = 1 if self.scene_pattern is None else re.compile(self.scene_pattern).groups
        except re.error as error:
            raise ConfigError("scene_pattern", self.scene_pattern, f"a regular expression ({error})") from error
        if groups < 1:
            raise ConfigError("scene_pattern", self.scene_pattern, "a regular expression with a group")


@dataclass(frozen=True)
class _Picture:
    """One picture with its annotations, as a scene's content holds them."""

    image: ImageEntry
    annotations: tuple[tuple[int, Any], ...]
    """Place in the file's list, and what stands there: read with the picture, which alone a bad one then costs."""
    file: str
    """Of the annotations."""


class CocoAmodal:
    """An annotation file, or a folder with some (in itself or in `annotations/`)."""

    name = "coco-amodal"

    def __init__(self, source: Path, options: CocoAmodalOptions) -> None:
        self.options = options
        self.root = source if source.is_dir() else source.parent
        self._files = _annotation_files(source)
        self._categories: dict[str, str] = {}
        self._images: Path | None = options.images

    def settings(self) -> dict[str, Any]:
        """The options, as plain JSON values."""
        values = vars(self.options) | {"annotations": [path.name for path in self._files]}
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}

    def cup(self) -> Cup:
        """Such sets have no suction labels."""
        return {}

    def scenes(self) -> list[ForeignScene]:
        """All scenes; each picture once, however often a file lists it.

        Raises:
            DatasetError: A file is missing, damaged, or lists no picture; or a scene stands in files of two splits.
        """
        pictures: dict[str, list[_Picture]] = defaultdict(list)
        splits: dict[str, Split | None] = {}
        for path in self._files:
            split = next((s for s in _SPLIT_WORDS if re.search(rf"(?<![a-z]){s}(?![a-z])", path.stem.lower())), None)
            for picture in self._read(path):
                scene = self._scene_of(picture.image.file_name)
                pictures[scene].append(picture)
                if splits.setdefault(scene, _SPLIT_WORDS.get(split or "")) != _SPLIT_WORDS.get(split or ""):
                    problem = f"pictures of {scene} are in files of two splits"
                    raise DatasetError(path, problem, "state what a scene is with a pattern, or convert one file")
        if not pictures:
            raise DatasetError(self.root, "its annotation files list no picture", "give another file")
        return [
            ForeignScene(scene, splits[scene] or split_of(rank, novel=False), tuple(pictures[scene]))
            for rank, scene in enumerate(sorted(pictures, key=_natural))
        ]

    def image_size(self, scenes: list[ForeignScene]) -> tuple[int, int]:
        """(height, width) of the first picture that can be read.

        Raises:
            DatasetError: None can be read.
        """
        problem: DatasetError | None = None
        for scene in scenes:
            for picture in scene.content:
                try:
                    return picture_size(*self._place(picture.image.file_name))
                except DatasetError as error:
                    problem = problem or error
        raise problem or DatasetError(self.root, "it lists no picture", "give another file")

    def views(self, scene: ForeignScene, account: Account) -> Iterator[View]:
        """The views of a scene, numbered as listed; those that cannot be read go to the account."""
        account.info["pictures"] = [picture.image.file_name for picture in scene.content]
        for number, picture in enumerate(scene.content):
            notes: list[Fault] = []
            try:
                view = self._view(scene.id, number, picture, notes)
            except DatasetError as error:
                account.refuse(number, error)
                continue
            account.notes += notes
            yield view

    def _read(self, path: Path) -> list[_Picture]:
        root, file = self.root, path.relative_to(self.root).as_posix()
        content = read_json(root, file, max_bytes=MAX_ANNOTATION_BYTES)
        if not isinstance(content, dict) or not all(
            isinstance(content.get(k), list) for k in ("images", "annotations")
        ):
            raise fault(root, file, "", "it holds no lists `images` and `annotations`", "give COCO annotations")
        for entry in content.get("categories") or []:
            if isinstance(entry, dict) and "id" in entry:
                self._categories[str(entry["id"])] = str(entry.get("name", entry["id"]))
        images: dict[str, ImageEntry] = {}  # by file name: some files repeat an image for each of its annotations
        name_of: dict[int | str, str] = {}
        for index, entry in enumerate(content["images"]):
            image = parse(ImageEntry, entry, root, file, f"images[{index}]")
            images.setdefault(image.file_name, image)
            if name_of.setdefault(image.id, image.file_name) != image.file_name:
                raise fault(root, file, f"images[{index}].id", f"id {image.id} is that of {name_of[image.id]} too")
        found: dict[str, dict[str, tuple[int, Any]]] = {name: {} for name in images}
        for index, entry in enumerate(content["annotations"]):
            image_id = entry.get("image_id") if isinstance(entry, dict) else None
            if not isinstance(image_id, int | str) or image_id not in name_of:
                raise fault(root, file, f"annotations[{index}].image_id", f"no image has the id {image_id}")
            key = f"#{index}" if entry.get("id") is None else str(entry["id"])
            found[name_of[image_id]].setdefault(key, (index, entry))
        return [_Picture(image, tuple(found[name].values()), file) for name, image in images.items()]

    def _scene_of(self, file_name: str) -> str:
        pattern = re.compile(self.options.scene_pattern) if self.options.scene_pattern else _SCENE
        match = pattern.search(file_name)
        name = match[1] if match and match[1] else str(PurePosixPath(file_name).with_suffix(""))
        return re.sub(r"[^A-Za-z0-9_.-]+", "_", name)[-120:].strip("._-") or "scene"

    def _place(self, file_name: str) -> tuple[Path, str]:
        """Folder and path inside it of a picture; never outside the folder."""
        parts = PurePosixPath(file_name.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts:
            raise fault(self.root, file_name, "file_name", "the path leads out of the set's folder")
        if self._images is None:
            start = self._files[0].parent
            tries = [place / sub for place in (start, start.parent) for sub in ("", "images")]
            self._images = next((place for place in tries if (place / parts).is_file()), None)
        if self._images is None:
            raise fault(self.root, file_name, "", "the file is missing", "say where the pictures are with --images")
        return self._images, parts.as_posix()

    def _view(self, scene_id: str, number: int, picture: _Picture, notes: list[Fault]) -> View:
        image = read_rgb(*self._place(picture.image.file_name))
        size = image.shape[:2]
        annotations = [
            parse(AnnotationEntry, entry, self.root, picture.file, f"annotations[{index}]")
            for index, entry in picture.annotations
        ]
        listed: dict[int, AnnotationEntry] = dict(enumerate(annotations, start=1))
        pairs = list(self._pairs(picture, listed, (size[0], size[1]), notes))
        longer = float(max(size))
        known = picture.image.intrinsics
        if known and not min(known[:2]) > 0:
            raise fault(self.root, picture.file, f"{picture.image.file_name}: intrinsics", "fx and fy must be above 0")
        camera = Camera(size[1], size[0], *(known or (longer, longer, size[1] / 2, size[0] / 2)))
        depth_m = self._depth(picture, (size[0], size[1]))
        missing = {"camera_pose", "suction"} | ({"depth"} if depth_m is None else set())
        missing |= set() if known else {"camera"}
        instances = to_instances(
            pairs,
            centers={
                k: np.array(one.center_of_mass, dtype=np.float32)
                for k, one in listed.items()
                if one.center_of_mass is not None
            },
            poses={},
            layer_of={k: one.layer for k, one in listed.items() if one.layer is not None},
            min_visible_px=self.options.min_visible_px,
            ignored={k: one.ignored for k, one in listed.items() if one.ignored is not None},
        )
        labels = Labels(
            instances,
            instance_ids(pairs, (size[0], size[1])),
            np.zeros(size, dtype=np.float32) if depth_m is None else depth_m,
            np.zeros(size, dtype=np.float32),
            missing=frozenset(missing),
            approximate=frozenset() if depth_m is None else frozenset({"depth"}),
        )
        return View(scene_id, number, image, camera, labels)

    def _depth(self, picture: _Picture, size: tuple[int, int]) -> Float32Array | None:
        name, unit = picture.image.depth_file_name, self.options.depth_unit_m
        if name is None or unit is None:
            return None
        root, file = self._place(name)
        counts = read_counts(root, file)
        if counts.shape != size:
            raise fault(root, file, "", f"the depth is {counts.shape[1]} x {counts.shape[0]} px, its picture is not")
        return counts * np.float32(unit)

    def _pairs(
        self, picture: _Picture, listed: dict[int, AnnotationEntry], size: tuple[int, int], notes: list[Fault]
    ) -> Iterator[MaskPair]:
        taken = np.zeros(size, dtype=np.bool_)
        for number, one in listed.items():
            where = f"{picture.image.file_name}: annotation {number if one.id is None else one.id}"

            def mask(key: str, content: Any, where: str = where) -> BoolArray:
                return attempt(lambda: decode_segmentation(content, size), self.root, picture.file, f"{where}.{key}")

            amodal = mask("segmentation", one.segmentation)
            if one.visible_mask is not None:
                visible = mask("visible_mask", one.visible_mask)
            elif one.occluded_mask is not None:
                visible = amodal & ~mask("occluded_mask", one.occluded_mask)
            else:
                raise fault(self.root, picture.file, where, "it has neither visible_mask nor occluded_mask")
            pair = self._agree(picture.file, where, number, (amodal, visible & ~taken), one, notes=notes)
            twice = int(np.count_nonzero(visible & taken))
            if twice > STRAY_PX:
                problem = f"{twice} visible pixels are another instance's too; left to that one"
                notes.append(Fault(picture.file, where, problem, "look at the picture"))
            taken |= visible
            if pair is not None:
                yield pair

    def _agree(
        self,
        file: str,
        where: str,
        number: int,
        pair: tuple[BoolArray, BoolArray],
        one: AnnotationEntry,
        *,
        notes: list[Fault],
    ) -> MaskPair | None:
        """The instance, once its masks, box and rate have been compared; None outside the picture."""
        amodal, visible = pair
        seen, beyond = int(np.count_nonzero(visible)), pixels_beyond(visible, amodal, self.options.shift_px)
        if beyond > max(STRAY_PX, STRAY_SHARE * seen):
            problem = f"{beyond} of {seen} visible pixels lie over {self.options.shift_px} px outside the amodal mask"
            raise fault(self.root, file, where, problem, "mend the annotation, or allow a larger shift")
        amodal = amodal | visible
        if not amodal.any():
            notes.append(Fault(file, where, "its amodal mask is empty; left out", "look at the picture"))
            return None
        name = self._categories.get(str(one.category_id), f"category_{one.category_id}")
        made = MaskPair(number, name, name, amodal, visible)
        said = one.occluded_rate if one.occluded_rate is not None else one.occlude_rate
        if said is not None and abs(said - made.occluded_rate) > RATE_TOLERANCE:
            problem = f"occluded_rate is {said:.3f}, by the masks {made.occluded_rate:.3f}; the masks count"
            notes.append(Fault(file, where, problem, "look at the picture"))
        if one.bbox is not None:
            off = np.abs(boxes.to_xywh(boxes.from_mask(amodal)) - np.array(one.bbox)).max()
            if off > BOX_TOLERANCE_PX:
                problem = f"bbox is {off:.0f} px off that of the amodal mask; the mask counts"
                notes.append(Fault(file, where, problem, "look at the picture"))
        return made


_SPLIT_WORDS: dict[str, Split | None] = {"train": "train", "val": "val", "test": "test", "novel": "novel"}


def _annotation_files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise DatasetError(source, "no such file or folder", "give an annotation file, or the folder that holds it")
    places = [source, source / "annotations"]
    found = [path for place in places if place.is_dir() for path in sorted(place.glob("*.json"))]
    if not found:
        raise DatasetError(source, "no *.json in it or in its annotations/", "give the annotation file")
    return found


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts scene2 before scene10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
