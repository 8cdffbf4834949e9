"""`graspnext data report`: one page about a dataset."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from graspnext.cli.output import check_target, emit_json, progress
from graspnext.errors import ConfigError

if TYPE_CHECKING:
    from graspnext.data.format import ManifestEntry
    from graspnext.data.reader import Dataset


@dataclass(frozen=True)
class Report:
    """Sum up a dataset on one HTML page: counts, distributions, pictures, failed scenes, and where the time went.

    The page holds its pictures itself and needs no network: mail it, print it. 6,000 views take about half a minute.

    Examples:
      graspnext data report bins --out report.html
      graspnext data report bins --out report.html --json numbers.json
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Folder of the dataset."""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """Page to write (.html)."""
    sample: int = 200
    """Views whose depth and suction are read, spread evenly; labels are read of all views."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the numbers of the page to this file; `-` is standard output."""

    def __post_init__(self) -> None:
        if self.out.suffix.lower() not in {".html", ".htm"}:
            raise ConfigError("out", str(self.out), "a file ending in .html")
        if not 1 <= self.sample <= 10**6:
            raise ConfigError("sample", self.sample, "in 1 ... 1000000")


def run_report(command: Report) -> int:
    """Write the page."""
    from graspnext.data.reader import Dataset
    from graspnext.data.statistics import gather
    from graspnext.errors import DatasetError
    from graspnext.files import write_text
    from graspnext.viz.report import Sample, report

    def watch(views: Iterable[ManifestEntry], total: int) -> Iterable[ManifestEntry]:
        return progress(views, total=total, label="views read")

    check_target(command.out)
    check_target(command.json)
    dataset = Dataset(command.folder)
    if not dataset.entries:
        raise DatasetError(command.folder, "it holds no view", "make one with `graspnext world make`")
    numbers = gather(dataset, sample=command.sample, progress=watch)
    samples = [Sample(dataset.read(entry), entry.split, level) for entry, level in _chosen(dataset)]
    write_text(command.out, report(command.folder.resolve().name, numbers, samples))
    emit_json(numbers, command.json)
    if str(command.json) != "-":
        counts = numbers["counts"]
        sys.stdout.write(f"{command.out}: {counts['scenes']} scenes, {counts['views']} views\n")
    return 0


def _chosen(dataset: Dataset) -> list[tuple[ManifestEntry, int]]:
    """Two views of each split and four of each difficulty, of as many scenes as possible; always the same."""
    from graspnext.data.format import SPLITS

    chosen: dict[tuple[str, int], tuple[ManifestEntry, int]] = {}
    entries = dataset.entries
    levels = {(one.scene, one.view): one.difficulty or _difficulty(dataset, one) for one in entries}
    groups = [[one for one in entries if one.split == split] for split in SPLITS]
    groups += [[one for one in entries if levels[one.scene, one.view] == level] for level in range(1, 6)]
    for number, group in enumerate(groups):
        have = [one for one in group if (one.scene, one.view) in chosen]
        for entry in _spread(group, have, 2 if number < len(SPLITS) else 4):
            chosen[entry.scene, entry.view] = (entry, levels[entry.scene, entry.view])
    return list(chosen.values())


def _spread(entries: list[ManifestEntry], have: list[ManifestEntry], most: int) -> list[ManifestEntry]:
    """What `have` lacks to `most` entries, of other scenes and of several places in them where there are enough."""
    by_scene: dict[str, list[ManifestEntry]] = {}
    for entry in entries:
        by_scene.setdefault(entry.scene, []).append(entry)
    others = [views for scene, views in by_scene.items() if all(scene != one.scene for one in have)]
    lacking = max(0, most - len(have))
    first = [views[number % len(views)] for number, views in enumerate(others[:: max(1, len(others) // most)])]
    return (first + [entry for entry in entries if entry not in first + have])[:lacking]


def _difficulty(dataset: Dataset, entry: ManifestEntry) -> int:
    """For datasets whose manifest does not say."""
    from graspnext.data.difficulty import difficulty_of_rates
    from graspnext.data.reader import read_labels

    labels = read_labels(dataset.root, entry, dataset.info.image_size)
    return difficulty_of_rates([one.occluded_rate for one in labels.instances])
