"""Instances from pairs of masks: boxes, hidden share and layers follow from visible and amodal masks alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from graspnext.data.format import OCCLUDED_FROM_RATE
from graspnext.geometry import boxes
from graspnext.geometry.layering import MIN_COVERED_PX, MIN_COVERED_SHARE, layers
from graspnext.types import BoolArray, Float32Array, Float64Array, Instance, Int32Array

RATE_TOLERANCE = 0.05
"""Hidden shares that differ by more from those of the masks are noted."""
BOX_TOLERANCE_PX = 3.0
"""Boxes that differ by more from those of the masks are noted."""
STRAY_PX = 8
STRAY_SHARE = 0.01
"""Up to so many visible pixels, or this share of them, may lie outside an amodal mask: edges are drawn twice."""
UNKNOWN_POINT: Float32Array = np.full(3, np.nan, dtype=np.float32)
UNKNOWN_POSE: Float64Array = np.full((4, 4), np.nan)


@dataclass(frozen=True, eq=False)
class MaskPair:
    """The masks of one instance, visible within amodal."""

    id: int
    """1, 2, ..."""
    part: str
    family: str
    amodal: BoolArray
    """(H, W)."""
    visible: BoolArray
    """(H, W)."""

    @property
    def occluded_rate(self) -> float:
        """1 - |visible| / |amodal|."""
        return 1 - int(np.count_nonzero(self.visible)) / int(np.count_nonzero(self.amodal))


def pixels_beyond(visible: BoolArray, amodal: BoolArray, distance_px: int) -> int:
    """How many pixels of a visible mask lie farther than that (in rows or columns) from its amodal mask."""
    stray = visible & ~amodal
    if not stray.any():
        return 0
    height, width = amodal.shape
    rows, columns = np.nonzero(stray)
    sums = np.zeros((height + 1, width + 1), dtype=np.int64)
    np.cumsum(np.cumsum(amodal, axis=0), axis=1, out=sums[1:, 1:])
    top, bottom = np.maximum(rows - distance_px, 0), np.minimum(rows + distance_px + 1, height)
    left, right = np.maximum(columns - distance_px, 0), np.minimum(columns + distance_px + 1, width)
    near = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    return int(np.count_nonzero(near == 0))


def coverage(pairs: Sequence[MaskPair]) -> Float64Array:
    """Share (N, N) of the amodal mask of part i that is hidden where part j is seen; 0 below a touching edge."""
    shares = np.zeros((len(pairs), len(pairs)))
    for i, under in enumerate(pairs):
        x1, y1, x2, y2 = boxes.from_mask(under.amodal).astype(int)
        hidden = (under.amodal & ~under.visible)[y1:y2, x1:x2]
        total = int(np.count_nonzero(under.amodal))
        if not hidden.any():
            continue
        for j, over in enumerate(pairs):
            covered = int(np.count_nonzero(hidden & over.visible[y1:y2, x1:x2]))
            if i != j and covered >= max(MIN_COVERED_PX, MIN_COVERED_SHARE * total):
                shares[i, j] = covered / total
    return shares


def lasting_name(one: Instance) -> str:
    """What a part is called in all scenes: parts of our own families are drawn, and numbered, anew in each."""
    return one.family if re.fullmatch(rf"{re.escape(one.family)}-\d+", one.part) else one.part


def to_instances(
    pairs: Sequence[MaskPair],
    *,
    centers: dict[int, Float32Array],
    poses: dict[int, Float64Array],
    layer_of: dict[int, int],
    min_visible_px: int,
    ignored: Mapping[int, bool] = MappingProxyType({}),
) -> tuple[Instance, ...]:
    """Instances with all that follows from their masks.

    Args:
        pairs: Their masks; amodal ones are not empty.
        centers: Id -> centre of mass (3,) u, v px, z m, where it is known.
        poses: Id -> T_camera_part (4, 4), where it is known.
        layer_of: Id -> layer, where something tells better than the masks.
        min_visible_px: Instances with fewer visible pixels carry `ignore`.
        ignored: Id -> whether it carries `ignore`, where the set says so.
    """
    by_masks = layers(coverage(pairs))
    return tuple(
        Instance(
            id=pair.id,
            part=pair.part,
            family=pair.family,
            amodal_box=boxes.from_mask(pair.amodal),
            visible_box=boxes.from_mask(pair.visible),
            amodal_mask=pair.amodal,
            visible_mask=pair.visible,
            occluded_rate=pair.occluded_rate,
            occluded=pair.occluded_rate >= OCCLUDED_FROM_RATE,
            center_of_mass=centers.get(pair.id, UNKNOWN_POINT),
            layer=layer_of.get(pair.id, by_masks[index]),
            T_camera_part=poses.get(pair.id, UNKNOWN_POSE),
            ignore=ignored.get(pair.id, int(np.count_nonzero(pair.visible)) < min_visible_px),
        )
        for index, pair in enumerate(pairs)
    )


def instance_ids(pairs: Sequence[MaskPair], size: tuple[int, int]) -> Int32Array:
    """(H, W): the id of the part seen, 0 = background."""
    ids = np.zeros(size, dtype=np.int32)
    for pair in pairs:
        ids[pair.visible] = pair.id
    return ids
