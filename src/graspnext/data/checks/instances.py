"""Checks the labels of each part of a view: masks, boxes, rates, centre of mass, pose, and the order of layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from graspnext.data import reader
from graspnext.data.checks.findings import Findings, numbers
from graspnext.data.format import OCCLUDED_FROM_RATE, InstanceRecord, Rle, ViewLabels
from graspnext.geometry import boxes, layering
from graspnext.types import BoolArray, Int32Array

BOX_TOLERANCE_PX = 0.01
CENTER_TOLERANCE_PX = 1.5
"""A centre of mass projects into the hull of its part, of which pixel centres show all but a pixel's rim."""
RATE_TOLERANCE = 1e-3
RIGID_TOLERANCE = 1e-4
MIN_SEEN_COVERED_PX = 16
MIN_SEEN_COVERED_SHARE = 0.01
"""From so many pixels, and so large a share of the amodal mask, a part that is seen in front of another covers it."""


@dataclass(frozen=True, eq=False)
class Masks:
    """The masks of one view that could be decoded, by index of the instance, and who is seen where."""

    amodal: Mapping[int, BoolArray]
    visible: Mapping[int, BoolArray]
    owner: Int32Array
    """(H, W): index + 1 of the instance that is seen, 0 background."""


def check_instances(findings: Findings, file: str, labels: ViewLabels) -> Masks:
    """The labels of all parts of a view; their masks, for the checks against the view's maps."""
    size = (labels.camera.height, labels.camera.width)
    amodal: dict[int, BoolArray] = {}
    visible: dict[int, BoolArray] = {}
    owner = np.zeros(size, dtype=np.int32)
    seen: set[int] = set()
    covered: BoolArray = np.zeros(size, dtype=np.bool_)
    for index, record in enumerate(labels.instances):
        where = f"instances[{index}]"
        if record.id in seen:
            findings.say(file, f"{where}.id", f"id {record.id} stands twice in the view")
        seen.add(record.id)
        check_rigid(findings, file, f"{where}.T_camera_part", record.T_camera_part)
        whole = _mask(findings, file, f"{where}.segmentation", record.segmentation, size)
        part = _mask(findings, file, f"{where}.visible_mask", record.visible_mask, size)
        if whole is not None:
            amodal[index] = whole
            _center(findings, file, where, record, whole)
        if part is not None:
            visible[index] = part
            covered |= part & (owner > 0)
            owner[part] = index + 1
        if whole is not None and part is not None:
            _masks(findings, file, where, record, (whole, part))
    if covered.any():
        findings.say(file, "instances", f"visible masks overlap in {np.count_nonzero(covered)} pixels")
    masks = Masks(amodal, visible, owner)
    _layers(findings, file, labels, masks)
    return masks


def check_rigid(findings: Findings, file: str, field: str, matrix: list[list[float]] | None) -> None:
    """That a pose is a rotation and a translation; None is an unknown one."""
    if matrix is None:
        return
    T = np.array(matrix, dtype=np.float64)
    with np.errstate(all="ignore"):
        error = np.abs(T[:3, :3].T @ T[:3, :3] - np.eye(3)).max() + np.abs(T[3] - (0, 0, 0, 1)).max()
        rigid = error <= RIGID_TOLERANCE and np.linalg.det(T[:3, :3]) > 0
    if not rigid:
        findings.say(file, field, "the matrix is not a rigid transform")


def _mask(findings: Findings, file: str, field: str, rle: Rle, size: tuple[int, int]) -> BoolArray | None:
    return findings.attempt(lambda: reader.decode_mask(findings.root, file, field, rle, size))


def _masks(
    findings: Findings, file: str, where: str, record: InstanceRecord, pair: tuple[BoolArray, BoolArray]
) -> None:
    amodal, visible = pair
    num_amodal, num_visible = int(np.count_nonzero(amodal)), int(np.count_nonzero(visible))
    if not num_amodal:
        findings.say(file, f"{where}.segmentation", "the amodal mask is empty")
        return
    outside = int(np.count_nonzero(visible & ~amodal))
    if outside:
        findings.say(file, f"{where}.visible_mask", f"{outside} visible pixels lie outside the amodal mask")
    for key, box, mask in (("bbox", record.bbox, amodal), ("visible_bbox", record.visible_bbox, visible)):
        tight = boxes.to_xywh(boxes.from_mask(mask))
        if np.abs(tight - np.array(box)).max() > BOX_TOLERANCE_PX:
            problem = f"the box is {numbers(box)}, its mask's {numbers(tight)} (xywh px)"
            findings.say(file, f"{where}.{key}", problem)
    rate = 1 - num_visible / num_amodal
    if abs(rate - record.occluded_rate) > RATE_TOLERANCE:
        findings.say(file, f"{where}.occluded_rate", f"it is {record.occluded_rate:.4f}, by the masks {rate:.4f}")
    if record.occluded != (rate >= OCCLUDED_FROM_RATE) and abs(rate - OCCLUDED_FROM_RATE) > 1e-9:
        findings.say(file, f"{where}.occluded", f"it is {record.occluded} at a rate of {rate:.4f} by the masks")
    if not num_visible and not record.ignore:
        findings.say(file, f"{where}.ignore", "nothing of the part is visible, yet it is not ignored")


def _center(findings: Findings, file: str, where: str, record: InstanceRecord, amodal: BoolArray) -> None:
    if record.center_of_mass is None:
        return
    u, v, z = record.center_of_mass
    field = f"{where}.center_of_mass"
    if z <= 0:
        findings.say(file, field, f"z is {z} m; it must be in front of the camera")
    height, width = amodal.shape
    x1, y1, x2, y2 = boxes.from_mask(amodal)
    if x1 == 0 or y1 == 0 or x2 == width or y2 == height:
        return  # the part may go on outside the view, in any direction
    slack = CENTER_TOLERANCE_PX
    if not (x1 - slack <= u <= x2 + slack and y1 - slack <= v <= y2 + slack):
        findings.say(file, field, f"({u:.1f}, {v:.1f}) px lies outside the amodal box")


def _layers(findings: Findings, file: str, labels: ViewLabels, masks: Masks) -> None:
    """That layers leave no gap, and that what is seen in front of a part lies in a higher layer (a lower number)."""
    layers = {index: record.layer for index, record in enumerate(labels.instances)}
    there = set(layers.values())
    for index, layer in layers.items():
        if layer and layer - 1 not in there:
            problem = f"it is {layer}, but no part of the view lies in layer {layer - 1}"
            findings.say(file, f"instances[{index}].layer", problem)
    above = {index: _covering(index, masks) for index in masks.amodal}
    perhaps: dict[int, set[int]] | None = None
    for under, covering in above.items():
        for over in sorted(covering):
            # Interlocked parts lie over one another in a ring, which has no top: any order of them is right. A link of
            # the ring may be hidden under a third part, or too small to be counted here.
            if over not in above or layers[under] > layers[over] or _reaches(over, under, above):
                continue
            perhaps = perhaps or _perhaps_covering(masks)
            if not _reaches(over, under, perhaps):
                ids = labels.instances[over].id, labels.instances[under].id
                problem = (
                    f"it is {layers[under]}, but id {ids[0]} of layer {layers[over]} is seen in front of id {ids[1]}"
                )
                findings.say(file, f"instances[{under}].layer", problem)
                break


def _covering(index: int, masks: Masks) -> set[int]:
    """The instances that are seen where this one would be."""
    seen = masks.owner[masks.amodal[index]]
    counts = np.bincount(seen, minlength=1)
    least = max(MIN_SEEN_COVERED_PX, MIN_SEEN_COVERED_SHARE * seen.size)
    return {int(owner) - 1 for owner in np.flatnonzero(counts >= least) if owner not in (0, index + 1)}


def _perhaps_covering(masks: Masks) -> dict[int, set[int]]:
    """What may cover each instance: where both would be, something else than the instance itself is seen."""
    result: dict[int, set[int]] = {index: set() for index in masks.amodal}
    for under, mask in masks.amodal.items():
        hidden = mask & (masks.owner != under + 1)
        least = max(layering.MIN_COVERED_PX, layering.MIN_COVERED_SHARE * np.count_nonzero(mask))
        for over, other in masks.amodal.items():
            if over != under and np.count_nonzero(hidden & other) >= least:
                result[under].add(over)
    return result


def _reaches(start: int, goal: int, above: Mapping[int, set[int]]) -> bool:
    """Whether going upwards from one part, from cover to cover, leads to the other."""
    waiting, done = [start], {start}
    while waiting:
        for over in above.get(waiting.pop(), set()):
            if over == goal:
                return True
            if over not in done:
                done.add(over)
                waiting.append(over)
    return False
