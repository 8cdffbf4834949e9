"""Checks what lists the scenes: `manifest.jsonl`, `dataset.json`, `log.jsonl`, and the folders themselves."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial

from graspnext.data import reader
from graspnext.data.checks.findings import Findings
from graspnext.data.faults import RESUME
from graspnext.data.format import (
    DATASET_FILE,
    LOG_FILE,
    MANIFEST_FILE,
    SCENES_DIR,
    DatasetInfo,
    LogEntry,
    ManifestEntry,
)
from graspnext.data.record_files import parse_record, read_bytes


def check_info(findings: Findings) -> DatasetInfo | None:
    """`dataset.json` in itself."""
    info = findings.attempt(lambda: reader.read_info(findings.root))
    if info is None:
        return None
    for name in ("recipe", "cup", "more_cups"):
        findings.say_non_finite(DATASET_FILE, name, getattr(info, name))
    return info


def check_manifest(findings: Findings) -> list[ManifestEntry]:
    """The manifest in itself; its readable entries, each view once."""
    entries: dict[tuple[str, int], ManifestEntry] = {}
    splits: dict[str, str] = {}
    for number, line in findings.attempt(lambda: reader.manifest_lines(findings.root)) or []:
        where = f"{MANIFEST_FILE}:{number}"
        entry = findings.attempt(partial(reader.parse_manifest_line, findings.root, number, line))
        if entry is None:
            continue
        key = (entry.scene, entry.view)
        if key in entries:
            findings.say(where, "view", f"view {entry.view} of scene {entry.scene} stands twice", "delete one line")
            continue
        entries[key] = entry
        if splits.setdefault(entry.scene, entry.split) != entry.split:
            problem = f"scene {entry.scene} is in split {splits[entry.scene]} and in split {entry.split}"
            findings.say(where, "split", problem, "give all views of a scene one split")
    return list(entries.values())


def check_counts(findings: Findings, info: DatasetInfo, entries: Sequence[ManifestEntry]) -> None:
    """What `dataset.json` announces against what the manifest lists: scenes, failed ones, views, cups."""
    views: dict[str, int] = defaultdict(int)
    for entry in entries:
        views[entry.scene] += 1
    failed: set[str] = set()
    for index, scene in enumerate(info.failed_scenes):
        field = f"failed_scenes[{index}]"
        if scene.scene in failed:
            findings.say(DATASET_FILE, field, f"scene {scene.scene} stands twice", "delete one of the two")
        if scene.scene in views:
            problem = f"scene {scene.scene} is said to have failed, yet the manifest lists it"
            findings.say(DATASET_FILE, field, problem, RESUME)
        failed.add(scene.scene)
    listed = len(views.keys() | failed)
    if listed != info.num_scenes:
        also = f" and {len(failed)} failed ones" if failed else ""
        problem = f"{info.num_scenes} scenes are announced, the manifest lists {len(views)}{also}"
        findings.say(DATASET_FILE, "num_scenes", problem, RESUME)
    for scene_id, count in views.items():
        if info.views_per_scene not in {None, count}:
            problem = f"scene {scene_id} has {count} views, each should have {info.views_per_scene}"
            findings.say(MANIFEST_FILE, "view", problem, RESUME)
    for entry in entries:
        if entry.sha256.more_suction.keys() != info.more_cups.keys():
            problem = (
                f"view {entry.view} of scene {entry.scene} has maps for the cups {_names(entry.sha256.more_suction)}, "
                f"the dataset's further cups are {_names(info.more_cups)}"
            )
            findings.say(MANIFEST_FILE, "sha256.more_suction", problem, RESUME)


def check_folders(findings: Findings, entries: Sequence[ManifestEntry]) -> None:
    """The folders on the disk against the manifest."""
    scenes = {entry.scene for entry in entries}
    for name in names_in(findings, SCENES_DIR):
        if name not in scenes and not name.startswith("."):  # a dot: still being written
            findings.say(f"{SCENES_DIR}/{name}", "", "the scene is not in the manifest", RESUME)


def names_in(findings: Findings, folder: str) -> list[str]:
    """Sorted names in a folder of the dataset; none, and a fault unless it is only missing, if it cannot be listed."""
    try:
        return sorted(path.name for path in (findings.root / folder).iterdir())
    except FileNotFoundError:
        return []  # each file that should be there is told
    except OSError as error:
        problem = f"the folder cannot be listed: {error.strerror or error}"
        findings.say(folder, "", problem, "make it a folder that you may read")
        return []


def check_log(findings: Findings, info: DatasetInfo | None, entries: Sequence[ManifestEntry]) -> None:
    """`log.jsonl`, where there is one: lines that parse, of scenes that are known. Nothing else needs it."""
    if not os.path.lexists(findings.root / LOG_FILE):
        return
    advice = "delete the line; nothing needs it"
    content = findings.attempt(lambda: read_bytes(findings.root, LOG_FILE, "delete it; nothing needs it"))
    known = {entry.scene for entry in entries} | {scene.scene for scene in (info.failed_scenes if info else ())}
    complete = info is not None and len(known) == info.num_scenes  # otherwise the run may be going on
    for number, line in enumerate((content or b"").splitlines(), start=1):
        where = f"{LOG_FILE}:{number}"
        entry = findings.attempt(partial(parse_record, LogEntry, line, findings.root, where, advice))
        if entry is None:
            continue
        if complete and entry.scene not in known:
            findings.say(where, "scene", f"the dataset has no scene {entry.scene}", advice)
        if entry.attempts - len(entry.problems) not in {0, 1}:  # 0: the last attempt failed too
            problem = f"{entry.attempts} attempts name {len(entry.problems)} problems"
            findings.say(where, "problems", problem, advice)
        for stage, seconds in entry.seconds.items():
            if seconds < 0:
                findings.say(where, f"seconds.{stage}", f"{seconds:g} s is less than nothing", advice)


def _names(values: Iterable[str]) -> str:
    return ", ".join(sorted(values)) or "none"
