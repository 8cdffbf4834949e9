"""Checks one view: its files, each by itself, and then against the others."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image

from graspnext.data import reader
from graspnext.data.checks.findings import Findings
from graspnext.data.checks.instances import check_instances, check_rigid
from graspnext.data.checks.maps import Maps, check_maps
from graspnext.data.difficulty import difficulty_of_rates
from graspnext.data.faults import MEND, REMAKE
from graspnext.data.format import CameraRecord, DatasetInfo, ManifestEntry, ViewLabels, hash_of
from graspnext.data.record_files import parse_record, read_bytes
from graspnext.types import UInt8Array

THUMBNAIL_PX = 24


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What tells pictures apart."""

    entry: ManifestEntry
    pixels: str
    """SHA-256 of the decoded pixels: the same for the same picture in another file."""
    thumbnail: bytes
    """Mean colours of THUMBNAIL_PX x THUMBNAIL_PX cells, 3 bytes each: nearly the same after another compression."""


@dataclass(frozen=True, eq=False)
class CheckedView:
    """What the checks across views need of one."""

    labels: ViewLabels | None
    fingerprint: Fingerprint | None


def check_view(
    findings: Findings, entry: ManifestEntry, info: DatasetInfo | None, written: Mapping[str, str]
) -> CheckedView:
    """Check the files of one view.

    Args:
        findings: Where faults go.
        entry: Its line in the manifest.
        info: `dataset.json`; without it the camera says how large the view must be.
        written: Hash -> file, for all files of the dataset: tells which file stands in the place of another.
    """
    files = reader.files_of(entry)
    root = findings.root
    existing = {key for key, file in files.items() if _hashed(findings, file, hash_of(entry.sha256, key), written)}
    size = info.image_size if info else _size_by_camera(findings, files["labels"])
    if size is None:
        return CheckedView(None, None)

    image = findings.attempt(lambda: reader.read_rgb(root, entry, size)) if "rgb" in existing else None
    depths = {
        key: findings.attempt(partial(reader.read_depth, root, entry, size, key=key))
        for key in ("depth", "sensor_depth")
        if key in existing
    }
    suction = {
        key: findings.attempt(partial(reader.read_suction, root, entry, size, cup))
        for key, cup in [("suction", None), *((f"suction_{cup}", cup) for cup in entry.sha256.more_suction)]
        if key in existing
    }
    labels = findings.attempt(lambda: reader.read_labels(root, entry, size)) if "labels" in existing else None
    if labels is not None:
        _camera(findings, files["labels"], labels)
        _difficulty(findings, entry, labels)
        masks = check_instances(findings, files["labels"], labels)
        maps = Maps(
            image,
            depths.get("depth"),
            depths.get("sensor_depth"),
            {key: scores for key, scores in suction.items() if scores is not None},
        )
        check_maps(findings, files, labels, masks, maps)
    return CheckedView(labels, None if image is None else _fingerprint(entry, image))


def _hashed(findings: Findings, file: str, expected: str, written: Mapping[str, str]) -> bool:
    """Whether the file is there; a fault unless it is the one that was written."""
    content = findings.attempt(partial(read_bytes, findings.root, file, REMAKE))
    if content is None:
        return False
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected:
        other = written.get(digest)
        problem = f"the file is {other}" if other else "the file is not the one that was written: its hash differs"
        findings.say(file, "", problem, REMAKE)
    return True


def _size_by_camera(findings: Findings, file: str) -> tuple[int, int] | None:
    quiet = Findings(findings.root)
    content = quiet.attempt(lambda: read_bytes(findings.root, file, REMAKE))
    if content is None:
        return None
    labels = findings.attempt(lambda: parse_record(ViewLabels, content, findings.root, file, MEND))
    return (labels.camera.height, labels.camera.width) if labels else None


def _camera(findings: Findings, file: str, labels: ViewLabels) -> None:
    camera: CameraRecord = labels.camera
    check_rigid(findings, file, "camera.T_world_camera", camera.T_world_camera)
    if "camera" in labels.missing:
        return
    for key, focal in (("fx", camera.fx), ("fy", camera.fy)):
        if not 0.1 <= focal / camera.width <= 100:
            findings.say(file, f"camera.{key}", f"a focal length of {focal:g} px does not suit {camera.width} px")
    if not 0.5 <= camera.fx / camera.fy <= 2:
        problem = f"pixels of {camera.fx:g} to {camera.fy:g} px of focal length are far from square"
        findings.say(file, "camera.fy", problem)
    for key, center, side in (("cx", camera.cx, camera.width), ("cy", camera.cy, camera.height)):
        if not 0 <= center <= side:
            findings.say(file, f"camera.{key}", f"the principal point at {center:g} px lies outside 0 ... {side}")


def _difficulty(findings: Findings, entry: ManifestEntry, labels: ViewLabels) -> None:
    level = difficulty_of_rates([record.occluded_rate for record in labels.instances])
    if entry.difficulty not in {None, level}:
        problem = f"view {entry.view} of scene {entry.scene} is said to be of level {entry.difficulty}, it is {level}"
        findings.say("manifest.jsonl", "difficulty", problem)


def _fingerprint(entry: ManifestEntry, image: UInt8Array) -> Fingerprint:
    small = Image.fromarray(image).resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX)
    digest = hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()
    return Fingerprint(entry, f"{image.shape}{digest}", small.tobytes())
