"""The folder of one training run: what it was started with, its log, its end.

RUN/config.json              preset, recipe, dataset, versions, hardware
RUN/log.jsonl                one line every `log_every` steps
RUN/checkpoint/              the state to go on from (learning.checkpoint)
RUN/weights.safetensors      the averaged weights, when the run is finished
RUN/run.json                 summary, when the run is finished
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from pathlib import Path
from typing import Any

import torch

from graspnext import __version__
from graspnext.data.format import MANIFEST_FILE, SPLITS
from graspnext.data.reader import Dataset
from graspnext.errors import DatasetError, RunError
from graspnext.files import make_folder, output_errors, write_json, write_text
from graspnext.learning.checkpoint import CHECKPOINT_FILE, CONFIG_FILE, read_config
from graspnext.learning.recipes import Recipe
from graspnext.network.config import NetworkConfig

LOG_FILE = "log.jsonl"
SUMMARY_FILE = "run.json"
FREE_TO_CHANGE = frozenset({"log_every", "checkpoint_every", "workers", "prefetch"})
"""Fields of the recipe that a resumed run may have different: they do not touch the result."""


def fingerprint(data: Path) -> str:
    """SHA-256 of the dataset's manifest, which itself holds the hash of every file.

    Raises:
        DatasetError: There is no manifest.
    """
    try:
        return hashlib.sha256((data / MANIFEST_FILE).read_bytes()).hexdigest()
    except OSError as error:
        raise DatasetError(data, f"{MANIFEST_FILE} cannot be read", "check the path to the dataset") from error


def describe_dataset(data: Path) -> dict[str, Any]:
    """What a dataset is, in a few words and numbers: for the run's record and the card of its bundle.

    Raises:
        DatasetError: The dataset cannot be read.
    """
    dataset = Dataset(data)
    info = dataset.info
    return {
        "generator": info.generator,
        "recipe": info.recipe_name,
        "seed": info.seed,
        "scenes": info.num_scenes,
        "views_per_scene": info.views_per_scene,
        "image_size": list(info.image_size),
        "views": {split: len(dataset.split(split)) for split in SPLITS},
        "cup": info.cup,
    }


def hardware() -> dict[str, Any]:
    """The machine, as far as it matters to speed."""
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"processor": processor, "cores": os.cpu_count(), "threads": torch.get_num_threads(), "gpu": gpu}


def open_run(out: Path, *, preset: NetworkConfig, recipe: Recipe, data: Path, resume: bool) -> None:
    """Make the run's folder, or check that the one there was started with the same settings.

    Raises:
        RunError: The folder holds a run and `resume` is false, or the settings differ from those it was started with.
        OutputError: The folder cannot be written.
    """
    config: dict[str, Any] = {
        "schema_version": 1,
        "preset": preset.to_dict(),
        "recipe": recipe.to_dict(),
        "data": str(data.resolve()),
        "dataset": describe_dataset(data),
        "dataset_sha256": fingerprint(data),
        "versions": {"graspnext": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "hardware": hardware(),
    }
    if not (out / CONFIG_FILE).exists():
        if (out / CHECKPOINT_FILE).exists():
            raise RunError(out, f"a checkpoint without {CONFIG_FILE}", "choose another folder")
        make_folder(out)
        write_json(out / CONFIG_FILE, config)
        return
    if not resume:
        raise RunError(out, "holds a training run already", "add --resume to go on with it, or choose another folder")
    before = read_config(out)
    differing = [
        f"{name} ({old} then, {new} now)"
        for part in ("preset", "recipe", "dataset_sha256")
        for name, old, new in _differences(part, before.get(part), json.loads(json.dumps(config[part])))
        if name.rpartition(".")[2] not in FREE_TO_CHANGE
    ]
    if differing:
        raise RunError(out, f"was started with other settings: {', '.join(differing[:4])}", "repeat its own command")


def _differences(name: str, before: Any, now: Any) -> list[tuple[str, Any, Any]]:
    """Dotted names of the leaves that differ, with both values."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*before, *now])
        return [leaf for key in keys for leaf in _differences(f"{name}.{key}", before.get(key), now.get(key))]
    return [] if before == now else [(name, before, now)]


def read_summary(run: Path) -> dict[str, Any]:
    """What `run.json` says of a finished run: steps, wall_time_s, hardware; nothing of an unfinished one.

    Raises:
        RunError: The file is damaged.
    """
    path = run / SUMMARY_FILE
    try:
        summary = json.loads(path.read_text()) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise RunError(path, f"cannot be read ({error})", "finish the run again with --resume") from error
    return dict(summary) if isinstance(summary, dict) else {}


class Log:
    """`log.jsonl`: appended to line by line; a resumed run first drops the lines after its checkpoint."""

    def __init__(self, run: Path, *, start_step: int) -> None:
        self.path = run / LOG_FILE
        kept = [json.dumps(line) + "\n" for line in read_log(run) if line["step"] <= start_step]
        write_text(self.path, "".join(kept))

    def append(self, line: dict[str, Any]) -> None:
        """Add one line; `step` must be in it."""
        with output_errors(self.path), self.path.open("a") as stream:
            stream.write(json.dumps(line) + "\n")


def read_log(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's log; a last line cut off by a kill is left out."""
    path = run / LOG_FILE
    lines: list[dict[str, Any]] = []
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines
