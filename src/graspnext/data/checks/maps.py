"""Checks the pixels of a view against its masks: depth, the sensor's depth, suction, and the picture itself.

Depth files hold whole numbers, so there is no NaN in them: whoever casts NaN to 16 bits writes 0, which is missing
depth, or the largest count. Both are found: parts without depth, views without any, pixels at the largest count.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from graspnext.data.checks.alignment import (
    MAX_QUIET,
    MIN_PICTURE_BORDER_PX,
    MIN_PICTURE_CONTRAST,
    MIN_PICTURE_GAIN,
    MIN_VIEW_BORDER_PX,
    MIN_VIEW_SHARE,
    border,
    depth_edges,
    fit,
    is_free,
    shifted,
    steepness,
    thinned,
)
from graspnext.data.checks.findings import Findings
from graspnext.data.checks.instances import Masks
from graspnext.data.faults import REMAKE
from graspnext.data.format import DEPTH_UNIT_M, ViewLabels
from graspnext.types import Float32Array, Int64Array, UInt8Array

MISSING_SHARE = 0.05
"""Largest share of a part's visible pixels that may lack depth."""
DEPTH_TOLERANCE_M = 0.5
"""Farther than this from its centre of mass no part of a bin has its surface: another unit, or another view."""
SATURATED_SHARE = 1e-3
"""Largest share of pixels at the depth file's largest count; depth beyond it is written as missing."""
SENSOR_ERROR = 0.03
"""Largest median difference between the sensor's depth and the clean one, as a share of the depth."""
_MAX_COUNT_M = 65535 * DEPTH_UNIT_M
_BORDER_LIMIT_PX = 2000


@dataclass(frozen=True, eq=False)
class Maps:
    """The maps of a view that could be read."""

    image: UInt8Array | None = None
    depth_m: Float32Array | None = None
    sensor_depth_m: Float32Array | None = None
    suction: dict[str, Float32Array] = field(default_factory=dict)
    """By the keys of `file_names`."""


def check_maps(findings: Findings, files: dict[str, str], labels: ViewLabels, masks: Masks, maps: Maps) -> None:
    """All maps of a view against its labels."""
    borders = {index: border(mask, masks.owner) for index, mask in masks.visible.items() if mask.any()}
    if maps.depth_m is not None and "depth" not in labels.missing:
        _depth(findings, files["depth"], labels, masks, maps.depth_m)
        if maps.depth_m.any():
            _alignment(findings, files, masks, borders, maps.depth_m)
        if maps.sensor_depth_m is not None:
            _sensor(findings, files["sensor_depth"], maps.sensor_depth_m, maps.depth_m)
    if maps.image is not None:
        _picture(findings, files, borders, maps.image)
    if "suction" not in labels.missing:
        for key, scores in maps.suction.items():
            if pixels := int(np.count_nonzero(scores[masks.owner == 0])):
                findings.say(files[key], "", f"{pixels} background pixels have a suction score", REMAKE)


def _depth(findings: Findings, file: str, labels: ViewLabels, masks: Masks, depth_m: Float32Array) -> None:
    if not depth_m.any():
        findings.say(file, "", "no pixel has a depth", REMAKE)
        return
    saturated = np.count_nonzero(depth_m >= _MAX_COUNT_M - DEPTH_UNIT_M / 2) / depth_m.size
    if saturated > SATURATED_SHARE:
        problem = f"{saturated:.1%} of the pixels hold the largest count: infinity, NaN or a depth out of range"
        findings.say(file, "", problem, "write such pixels as 0, which is missing")
    for index, visible in masks.visible.items():
        record = labels.instances[index]
        where = f"instances[{index}]"
        values = depth_m[visible]
        if values.size == 0 or "depth" in labels.approximate:  # a sensor's depth has holes
            continue
        missing = np.count_nonzero(values == 0) / values.size
        if missing > MISSING_SHARE:
            problem = f"{missing:.0%} of the visible pixels of id {record.id} have no depth"
            findings.say(file, where, problem, REMAKE)
        elif record.center_of_mass is not None:
            median, z = float(np.median(values[values > 0])), record.center_of_mass[2]
            if abs(median - z) > DEPTH_TOLERANCE_M:
                problem = f"id {record.id} is seen at {median:.3f} m, its centre of mass is at {z:.3f} m"
                findings.say(file, where, problem, REMAKE)


def _sensor(findings: Findings, file: str, sensor_m: Float32Array, clean_m: Float32Array) -> None:
    both = (sensor_m > 0) & (clean_m > 0)
    if not both.any():
        findings.say(file, "", "no pixel has both the sensor's depth and the clean one", REMAKE)
        return
    error = float(np.median(np.abs(sensor_m[both] - clean_m[both]) / clean_m[both]))
    if error > SENSOR_ERROR:
        findings.say(file, "", f"it differs from the clean depth by {error:.0%} at the median", REMAKE)


def _alignment(
    findings: Findings, files: dict[str, str], masks: Masks, borders: dict[int, Int64Array], depth_m: Float32Array
) -> None:
    """Masks against the edges of depth: all together, then each by itself."""
    edges, clean = depth_edges(depth_m)
    if not clean:
        return
    whole = _together(borders)
    if len(whole) >= MIN_VIEW_BORDER_PX:
        found = fit(whole, edges)
        if max(found.here, found.elsewhere) < MIN_VIEW_SHARE:
            problem = f"only {found.here:.0%} of the masks' borders lie at an edge of the depth: it is of another view"
            findings.say(files["depth"], "", problem, REMAKE)
            return
    shift = shifted(whole, edges) if len(borders) > 1 else None
    if shift is not None:
        findings.say(files["labels"], "instances", _moved("the masks' borders fit", "depth", shift), REMAKE)
        return
    for index, pixels in borders.items():
        shift = shifted(pixels, edges)
        if shift is not None and is_free(masks.visible[index], masks.owner, shift):
            field = f"instances[{index}].visible_mask"
            findings.say(files["labels"], field, _moved("its border fits", "depth", shift), REMAKE)


def _picture(findings: Findings, files: dict[str, str], borders: dict[int, Int64Array], image: UInt8Array) -> None:
    """All borders together against the picture's: single ones may be lost in print or shade."""
    whole = _together(borders)
    if len(whole) < MIN_PICTURE_BORDER_PX:
        return
    found = fit(whole, steepness(image))
    if found.elsewhere > MIN_PICTURE_GAIN * found.here:
        findings.say(files["rgb"], "", _moved("the masks' borders fit", "picture", found.shift), REMAKE)
    elif found.median < MAX_QUIET and 0 < found.here < MIN_PICTURE_CONTRAST * found.mean:
        problem = "the picture is no steeper at the masks' borders than around them: it is of another view"
        findings.say(files["rgb"], "", problem, REMAKE)


def _together(borders: dict[int, Int64Array]) -> Int64Array:
    return thinned(np.concatenate([*borders.values(), np.zeros((0, 2), dtype=np.int64)]), _BORDER_LIMIT_PX)


def _moved(what: str, target: str, shift: tuple[int, int]) -> str:
    return f"{what} the {target} better {shift[0]:+d} px in x, {shift[1]:+d} px in y: shifted labels"
