"""Checks one scene: its folder, `scene.json`, its views, and the poses by which they must agree."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ValidationError

from graspnext.data import reader
from graspnext.data.checks.findings import Findings
from graspnext.data.checks.listing import names_in
from graspnext.data.checks.view import Fingerprint, check_view
from graspnext.data.faults import REMAKE, RESUME, Fault
from graspnext.data.format import (
    SCENES_DIR,
    DatasetInfo,
    FiniteFloat,
    ManifestEntry,
    Matrix4,
    SceneFile,
    ViewFiles,
    ViewLabels,
    file_names,
)
from graspnext.data.record_files import parse_record, read_bytes
from graspnext.geometry import cameras

POSE_TOLERANCE = 1e-4
"""Metres, or the same in a rotation's entries: far above the rounding of the files."""
CENTER_TOLERANCE_PX = 0.1
CENTER_TOLERANCE_M = 1e-3
SCENE_FILE = "scene.json"


class _Part(BaseModel):
    name: str
    center_of_mass_m: tuple[FiniteFloat, FiniteFloat, FiniteFloat]


class _Placement(BaseModel):
    id: int
    part: str
    T_world_part: Matrix4


class _Account(BaseModel):
    """What the generator's own account of a scene says that the labels must agree with, if it says it."""

    parts: list[_Part] = []
    placements: list[_Placement] = []


@dataclass(frozen=True, eq=False)
class CheckedScene:
    """What checking one scene gave."""

    scene: str
    views: int
    faults: list[Fault]
    fingerprints: list[Fingerprint]
    layout: str
    """What lies where, as text: the same for two scenes only if one is a copy; empty = unknown."""


@dataclass(frozen=True)
class SceneChecker:
    """Checks scenes of one dataset, each by itself."""

    root: Path
    info: DatasetInfo | None
    written: Mapping[str, str]
    """Hash -> file, for all files that the manifest lists."""

    def __call__(self, entries: Sequence[ManifestEntry]) -> CheckedScene:
        """Check the scene whose views are `entries`."""
        findings = Findings(self.root)
        scene = entries[0].scene
        file = f"{SCENES_DIR}/{scene}/{SCENE_FILE}"
        record = _scene_file(findings, file, entries)
        _strangers(findings, entries, record)
        account = _account(findings, file, record)
        fingerprints = []
        for entry in entries:
            checked = check_view(findings, entry, self.info, self.written)
            if checked.fingerprint is not None:
                fingerprints.append(checked.fingerprint)
            if checked.labels is not None:
                labels_file = reader.files_of(entry)["labels"]
                _poses(findings, labels_file, checked.labels, account)
                _centers(findings, labels_file, checked.labels, account)
        return CheckedScene(scene, len(entries), findings.faults, fingerprints, _layout(account))


def _strangers(findings: Findings, entries: Sequence[ManifestEntry], record: SceneFile | None) -> None:
    """Files in the scene's folder that belong to no view, neither of the manifest nor of `scene.json`."""
    folder = f"{SCENES_DIR}/{entries[0].scene}"
    views: list[ManifestEntry | ViewFiles] = [*entries, *(record.views if record else ())]
    known = {name for view in views for name in file_names(view.view, view.rgb, view.sha256).values()}
    for name in names_in(findings, folder):
        if name not in known | {SCENE_FILE} and not name.startswith("."):
            problem = "the file belongs to no view"
            findings.say(f"{folder}/{name}", "", problem, f"delete it, or {RESUME}")


def _scene_file(findings: Findings, file: str, entries: Sequence[ManifestEntry]) -> SceneFile | None:
    content = findings.attempt(lambda: read_bytes(findings.root, file, REMAKE))
    if content is None:
        return None
    record = findings.attempt(lambda: parse_record(SceneFile, content, findings.root, file, REMAKE))
    if record is None:
        return None
    if record.scene != entries[0].scene:
        findings.say(file, "scene", f"the file is of scene '{record.scene}'", REMAKE)
    listed = {entry.view: entry for entry in entries}
    for index, files in enumerate(record.views):
        entry = listed.get(files.view)
        where = f"views[{index}]"
        if entry is None:
            findings.say(file, where, f"view {files.view} is not in the manifest", RESUME)
        elif (files.rgb, files.sha256) != (entry.rgb, entry.sha256):
            findings.say(file, where, "the manifest lists other files or hashes for this view", REMAKE)
        elif None not in {files.difficulty, entry.difficulty} and files.difficulty != entry.difficulty:
            problem = f"it is {files.difficulty}, in the manifest {entry.difficulty}"
            findings.say(file, f"{where}.difficulty", problem)
    for view in sorted(listed.keys() - {files.view for files in record.views}):
        findings.say(file, "views", f"view {view} of the manifest is not among them", REMAKE)
    findings.say_non_finite(file, "info", record.info)
    return record


def _account(findings: Findings, file: str, record: SceneFile | None) -> _Account:
    if record is None:
        return _Account()
    try:
        return _Account.model_validate(record.info)
    except ValidationError as error:
        for one in error.errors(include_input=False, include_url=False, include_context=False):
            place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in one["loc"])
            findings.say(file, f"info{place}", one["msg"])
        return _Account()


def _poses(findings: Findings, file: str, labels: ViewLabels, account: _Account) -> None:
    """A part lies still: every view must put it where the account of the scene does."""
    placements = {placement.id: placement for placement in account.placements}
    if "camera_pose" in labels.missing or not placements:
        return
    T_world_camera = np.array(labels.camera.T_world_camera)
    for index, record in enumerate(labels.instances):
        where = f"instances[{index}]"
        placement = placements.get(record.id)
        if placement is None:
            findings.say(file, f"{where}.id", f"{SCENE_FILE} has no placement {record.id}")
            continue
        if placement.part != record.part:
            problem = f"id {record.id} is '{record.part}', in {SCENE_FILE} '{placement.part}'"
            findings.say(file, f"{where}.part", problem)
        if record.T_camera_part is None:
            continue
        with np.errstate(all="ignore"):
            T_world_part = T_world_camera @ np.array(record.T_camera_part)
            distance = np.abs(T_world_part - np.array(placement.T_world_part)).max()
        if not distance <= POSE_TOLERANCE:
            problem = f"in the world, id {record.id} lies elsewhere than {SCENE_FILE} says (by {distance:.3g})"
            findings.say(file, f"{where}.T_camera_part", problem)


def _centers(findings: Findings, file: str, labels: ViewLabels, account: _Account) -> None:
    """The centre of mass is the projection of the part's own."""
    if {"camera", "center_of_mass"} & {*labels.missing, *labels.approximate}:
        return
    centers = {part.name: part.center_of_mass_m for part in account.parts}
    camera = reader.camera_of(labels.camera)
    for index, record in enumerate(labels.instances):
        center = centers.get(record.part)
        if center is None or record.center_of_mass is None or record.T_camera_part is None:
            continue
        with np.errstate(all="ignore"):
            point = np.array(record.T_camera_part) @ np.array([*center, 1.0])
            u, v, z = cameras.project(camera, point[None, :3])[0]
            off_px = np.hypot(record.center_of_mass[0] - u, record.center_of_mass[1] - v)
            off_m = abs(record.center_of_mass[2] - z)
        if not (off_px <= CENTER_TOLERANCE_PX and off_m <= CENTER_TOLERANCE_M):
            problem = f"it lies {off_px:.1f} px and {off_m:.3f} m from where its pose puts the part's centre of mass"
            findings.say(file, f"instances[{index}].center_of_mass", problem)


def _layout(account: _Account) -> str:
    """Parts and poses, rounded to a tenth of a millimetre, in one order."""
    if not account.placements:
        return ""
    lines = sorted(
        json.dumps([placement.part, [round(value, 4) for row in placement.T_world_part for value in row]])
        for placement in account.placements
    )
    return "\n".join(lines)
