"""What is kept of each view beside how well its detections fit: a few numbers an instance and a detection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from graspnext.types import BoolArray, Float32Array, Float64Array, Int64Array


@dataclass(frozen=True, eq=False)
class Facts:
    """Of one view, or of many in a row: V views with T instances, D detections and P matched pairs."""

    asked: BoolArray
    """(T,) False = ignored."""
    occluded: BoolArray
    """(T,)"""
    occluded_rate: Float64Array
    """(T,)"""
    layer: Int64Array
    """(T,) negative = unknown."""
    code: Int64Array
    """(T,) MetaGraspNet's code of the layer (`layout_codes`)."""
    size: Float64Array
    """(T,) square root of the amodal area over that of the image."""
    view: Int64Array
    """(T,) the instance's view: 0, 1, ..."""
    found_size: Float64Array
    """(D,) as `size`, of the predicted amodal mask."""
    found_view: Int64Array
    """(D,) the detection's view."""
    matched: Int64Array
    """(P,) instances that a detection matches at amodal-box IoU 0.5 (`matching.match`)."""
    probability: Float32Array
    """(P,) that the instance is occluded, as predicted."""
    distance_px: Float64Array
    """(P,) error of its centre of mass; NaN = unknown."""
    difficulty: Float64Array
    """(V,) level of the view; NaN = unknown."""
    layered: BoolArray
    """(V,) whether the layers of all its instances are known."""


_REALS, _COUNTS, _FLAGS = np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.bool_)
NOTHING = Facts(
    asked=_FLAGS,
    occluded=_FLAGS,
    occluded_rate=_REALS,
    layer=_COUNTS,
    code=_COUNTS,
    size=_REALS,
    view=_COUNTS,
    found_size=_REALS,
    found_view=_COUNTS,
    matched=_COUNTS,
    probability=np.zeros(0, dtype=np.float32),
    distance_px=_REALS,
    difficulty=_REALS,
    layered=_FLAGS,
)
"""Of no view."""


def gather(views: Sequence[Facts]) -> Facts:
    """The facts of many views as those of all: views and instances are counted on."""
    first = np.cumsum([0, *(len(one.asked) for one in views)])
    moved = [
        replace(one, view=one.view + v, found_view=one.found_view + v, matched=one.matched + first[v])
        for v, one in enumerate(views)
    ]
    return Facts(**{name: np.concatenate([getattr(one, name) for one in (NOTHING, *moved)]) for name in vars(NOTHING)})
