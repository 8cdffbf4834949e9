"""Checks a dataset on disk and lists all its faults: files, hashes, and labels that contradict one another."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from graspnext.data import reader
from graspnext.data.checks.duplicates import check_duplicates
from graspnext.data.checks.findings import Findings
from graspnext.data.checks.listing import check_counts, check_folders, check_info, check_log, check_manifest
from graspnext.data.checks.scene import CheckedScene, SceneChecker
from graspnext.data.faults import Fault
from graspnext.data.format import ManifestEntry, hash_of
from graspnext.errors import DatasetError


def check_dataset(
    root: Path,
    *,
    workers: int = 1,
    progress: Callable[[Iterable[CheckedScene], int], Iterable[CheckedScene]] = lambda scenes, _total: scenes,
) -> list[Fault]:
    """All faults of a dataset; an empty list says that every file is whole and all labels agree.

    Args:
        root: The dataset's folder.
        workers: Processes at a time; the list is the same whatever their number.
        progress: Passes checked scenes on, given them and their number: the place for a progress bar.

    Raises:
        DatasetError: A worker process died, as when the machine runs out of memory.
    """
    findings = Findings(root)
    info = check_info(findings)
    entries = check_manifest(findings)
    if info is not None:
        check_counts(findings, info, entries)
    check_folders(findings, entries)
    check_log(findings, info, entries)
    scenes: dict[str, list[ManifestEntry]] = defaultdict(list)
    written: dict[str, str] = {}
    for entry in entries:
        scenes[entry.scene].append(entry)
        for key, file in reader.files_of(entry).items():
            written.setdefault(hash_of(entry.sha256, key), file)
    checker = SceneChecker(root, info, written)
    checked = list(progress(_checked(checker, list(scenes.values()), workers), len(scenes)))
    for scene in checked:
        findings.faults += scene.faults
    check_duplicates(findings, checked)
    return findings.faults


def _checked(checker: SceneChecker, scenes: Sequence[list[ManifestEntry]], workers: int) -> Iterator[CheckedScene]:
    """Checked scenes, in order."""
    workers = min(workers, len(scenes))
    if workers <= 1:
        yield from map(checker, scenes)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    context = multiprocessing.get_context("spawn")  # a fork would copy native threads' locks
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(checker,)) as pool:
        try:
            yield from pool.map(_check_here, scenes, chunksize=4)
        except BrokenProcessPool as error:
            problem = "a process that checked it died"
            raise DatasetError(checker.root, problem, "if the machine ran out of memory, use fewer workers") from error


_checker: SceneChecker | None = None
"""In a worker process: sent once, not with each scene."""


def _start(checker: SceneChecker) -> None:
    global _checker  # noqa: PLW0603
    _checker = checker
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """End with the parent, even if it was killed: this process would wait for work for ever."""
    import multiprocessing
    from multiprocessing.connection import wait

    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _check_here(entries: list[ManifestEntry]) -> CheckedScene:
    assert _checker is not None
    return _checker(entries)
