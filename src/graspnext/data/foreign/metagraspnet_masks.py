"""Masks, depth and ids of one MetaGraspNet view, simulated or real, each checked against the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from graspnext.data.faults import Fault
from graspnext.data.foreign.instances import RATE_TOLERANCE, STRAY_PX, STRAY_SHARE, MaskPair, pixels_beyond
from graspnext.data.foreign.metagraspnet_layout import CM, MASK_STACKS
from graspnext.data.foreign.npz import MAX_PLANES, Array, Npz
from graspnext.data.foreign.opening import fault
from graspnext.types import BoolArray, Float32Array, Int32Array

MAX_DEPTH_M = 1e3
"""What is farther is no depth."""
OTHER_RELEASE = "older releases have shifted masks; get the corrected release, or allow a larger shift"


@dataclass(frozen=True)
class ViewFiles:
    """Where the files of one view are."""

    root: Path
    folder: str
    """Of the scene, relative to the root."""
    view: int
    size: tuple[int, int]
    """(height, width) of the picture."""
    columns: slice = field(default_factory=lambda: slice(None))
    """What of it is kept."""
    shift_px: int = 3
    """How far visible pixels may lie from their amodal mask."""

    def name(self, kind: str) -> str:
        """Path of `<v><kind>`, relative to the root."""
        return f"{self.folder}/{self.view}{kind}"

    def has(self, kind: str) -> bool:
        """Whether the view has that file."""
        return (self.root / self.name(kind)).is_file()

    def cut(self, values: Array) -> Array:
        """The columns kept of (..., H, W)."""
        return values[..., self.columns]

    def note(self, notes: list[Fault], kind: str, where: str, problem: str, advice: str = "look at the view") -> None:
        """Put something odd on the list."""
        notes.append(Fault(self.name(kind), where, problem, advice))


@dataclass(frozen=True, eq=False)
class ViewMaps:
    """What the archives of a view hold, columns cut."""

    depth_m: Float32Array
    """(H, W), 0 = missing."""
    pairs: list[MaskPair]
    real: bool
    suction: Float32Array | None
    """(H, W) 0 or 1 where someone painted it; None otherwise."""


def read_maps(files: ViewFiles, notes: list[Fault]) -> ViewMaps | None:
    """Depth and masks of one view; None when nobody labelled it.

    Args:
        files: Where they are.
        notes: Takes what is odd.

    Raises:
        DatasetFaultError: A file is damaged, or visible pixels lie far outside their amodal masks.
    """
    with Npz(files.root, files.name(".npz")) as archive:
        key = next((one for one in MASK_STACKS if one in archive), None)
        if key is None and "occlusion" in archive:
            raise fault(files.root, files.name(".npz"), "", f"it holds neither {' nor '.join(MASK_STACKS)}")
        if key is None and not files.has("_amodal.npz"):
            return None
        depth = np.asarray(files.cut(archive.array("depth", files.size)), dtype=np.float64) * CM
        depth_m = np.where((depth > 0) & (depth < MAX_DEPTH_M), depth, 0).astype(np.float32)  # NaN: neither
        categories = _whole(files, archive, "instances_semantic")
        if key is not None:
            ids = _whole(files, archive, "instances_objects")
            pairs = list(_simulated(files, archive, key, ids, categories, notes=notes))
            return ViewMaps(depth_m, pairs, real=False, suction=None)
    return ViewMaps(depth_m, list(_real(files, categories, notes)), real=True, suction=_painted(files))


def _whole(files: ViewFiles, archive: Npz, key: str) -> Int32Array:
    values = files.cut(archive.array(key, files.size))
    with np.errstate(invalid="ignore"):
        whole = bool(np.isfinite(values).all() and (values >= 0).all() and (values <= 2**20).all())
        whole = whole and bool((values == np.floor(values)).all())
    if not whole:
        raise fault(files.root, files.name(".npz"), key, "it must hold whole numbers from 0 to 1048576")
    return values.astype(np.int32)


def _simulated(
    files: ViewFiles, archive: Npz, key: str, ids: Int32Array, categories: Int32Array, *, notes: list[Fault]
) -> Iterator[MaskPair]:
    rates = files.cut(archive.array("occlusion", files.size)) if "occlusion" in archive else None
    count = 0
    for count, plane in enumerate(archive.planes(key, (None, *files.size)), start=1):
        pair = _pair(
            files, (count, f"{key}[{count - 1}]", ".npz"), files.cut(plane) > 0, ids == count, categories, notes
        )
        if pair is None:
            continue
        if rates is not None and pair.visible.any():
            _compare_rate(files, "occlusion", pair, float(np.median(rates[pair.visible])), notes)
        yield pair
    if ids.max(initial=0) > count:
        problem = f"instance {ids.max()} has visible pixels, but the stack has {count} masks"
        raise fault(files.root, files.name(".npz"), key, problem)


def _real(files: ViewFiles, categories: Int32Array, notes: list[Fault]) -> Iterator[MaskPair]:
    kind, key = "_amodal.npz", "amodal_bitmaps_full_size_instances"
    whole_picture = files.columns == slice(None)
    taken = np.zeros(categories.shape, dtype=np.bool_)
    with Npz(files.root, files.name(kind)) as archive:
        ratio = "occlusion_bitmap_full_size"
        rates = archive.array(ratio, files.size) if ratio in archive and whole_picture else None
        for index, planes in enumerate(archive.planes(key, (None, 2, *files.size))):
            # The second mask is amodal in some descriptions and the hidden part in others: both give the same union.
            seen: BoolArray = files.cut(planes[0]) > 0
            both: BoolArray = np.any(files.cut(planes) > 0, axis=0)
            twice = int(np.count_nonzero(seen & taken))
            if twice > STRAY_PX:
                files.note(notes, kind, f"{key}[{index}]", f"{twice} visible pixels are another instance's too")
            visible = seen & ~taken
            taken |= seen
            pair = _pair(files, (index + 1, f"{key}[{index}]", kind), both, visible, categories, notes)
            if pair is None:
                continue
            if rates is not None and visible.any():
                _compare_rate(files, ratio, pair, float(np.median(rates[visible])), notes, kind)
            yield pair


def _pair(
    files: ViewFiles,
    where: tuple[int, str, str],
    amodal: BoolArray,
    visible: BoolArray,
    categories: Int32Array,
    notes: list[Fault],
) -> MaskPair | None:
    """The masks of one instance once they agree; None when it is outside the picture.

    Args:
        files: The view.
        where: Id, key and kind of file, for messages.
        amodal: (H, W).
        visible: (H, W).
        categories: (H, W), 0 = background.
        notes: Takes what is odd.
    """
    number, key, kind = where
    if number > MAX_PLANES:
        raise fault(files.root, files.name(kind), key, f"more than {MAX_PLANES} instances")
    beyond, seen = pixels_beyond(visible, amodal, files.shift_px), int(np.count_nonzero(visible))
    if beyond > max(STRAY_PX, STRAY_SHARE * seen):
        problem = f"{beyond} of {seen} visible pixels lie more than {files.shift_px} px outside the amodal mask"
        raise fault(files.root, files.name(kind), key, problem, OTHER_RELEASE)
    stray = int(np.count_nonzero(visible & ~amodal))
    if stray > max(STRAY_PX, STRAY_SHARE * seen):
        files.note(notes, kind, key, f"{stray} of {seen} visible pixels lie outside the amodal mask; added to it")
    amodal = amodal | visible
    if not amodal.any():
        return None
    values, counts = np.unique(categories[visible], return_counts=True)
    category = int(values[np.argmax(counts)]) if len(values) else 0
    name = f"ifl_{category:03d}" if category else "unknown"
    return MaskPair(number, name, name, amodal, visible)


def _compare_rate(
    files: ViewFiles, key: str, pair: MaskPair, said: float, notes: list[Fault], kind: str = ".npz"
) -> None:
    if abs(said - pair.occluded_rate) > RATE_TOLERANCE:
        problem = (
            f"instance {pair.id} is hidden by {said:.3f}, by its masks by {pair.occluded_rate:.3f}; the masks count"
        )
        files.note(notes, kind, key, problem)


def _painted(files: ViewFiles) -> Float32Array | None:
    """(H, W) 1 where someone marked a place for the cup; None where nobody did."""
    if not files.has("_grasps.npz"):
        return None
    with Npz(files.root, files.name("_grasps.npz")) as archive:
        if "suction_bitmap" not in archive:
            return None
        return (files.cut(archive.array("suction_bitmap", files.size)) > 0).astype(np.float32)
