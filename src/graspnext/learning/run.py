"""The folder of one training run: what it was started with, its log, its end.

RUN/config.json              preset, recipe, dataset, versions, hardware
RUN/log.jsonl                one line every `log_every` steps
RUN/checkpoint/              the state to go on from (learning.checkpoint)
RUN/curves.png, overlays/    what there is to see (learning.monitor)
RUN/weights.safetensors      the averaged weights, when the run is finished
RUN/run.json                 summary, when the run is finished
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed

from graspnext import __version__
from graspnext.data.format import MANIFEST_FILE, SPLITS
from graspnext.data.reader import Dataset
from graspnext.errors import DatasetError, RunError
from graspnext.files import make_folder, output_errors, write_json, write_text
from graspnext.learning.checkpoint import CHECKPOINT_FILE, CONFIG_FILE, WEIGHTS_FILE, read_config
from graspnext.learning.recipes import Recipe
from graspnext.learning.scalars import SCALARS_DIR
from graspnext.network.backbones.pretrained import fingerprint as weights_fingerprint
from graspnext.network.config import NetworkConfig

LOG_FILE = "log.jsonl"
SUMMARY_FILE = "run.json"
LOCK_FILE = ".lock"
OWN_FILES = (CHECKPOINT_FILE, WEIGHTS_FILE, LOG_FILE, SCALARS_DIR)
"""What a run goes on from, or replaces: none may be there before it."""
FREE_TO_CHANGE = frozenset({"log_every", "checkpoint_every", "overlays_every", "workers", "prefetch"})
"""Fields of the recipe that a resumed run may have different: they do not touch the result."""
_BF16_UNITS = frozenset({"amx_bf16", "avx512_bf16", "bf16"})
"""Flags of processors that multiply bfloat16 matrices themselves: x86 (tiles, vectors) and Arm."""


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
    """The machine and the processes on it, as far as they matter to speed."""
    processor, flags = platform.processor() or platform.machine(), frozenset[str]()
    info = Path("/proc/cpuinfo")
    if info.exists():
        fields = {key.strip(): value.strip() for key, _, value in map(_parted, info.read_text().splitlines())}
        processor = fields.get("model name", processor)
        flags = frozenset((fields.get("flags") or fields.get("Features") or "").split())
    gpu = torch.cuda.get_device_properties(torch.cuda.current_device()) if torch.cuda.is_available() else None
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "bf16_units": sorted(flags & _BF16_UNITS),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "gpu": None if gpu is None else gpu.name,
        "gpu_memory_gb": None if gpu is None else round(gpu.total_memory / 2**30, 1),
        "processes": torch.distributed.get_world_size() if distributed else 1,
    }


def _parted(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def versions() -> dict[str, str | None]:
    """Of what the result depends on."""
    names = ("torchvision", "numpy", "Pillow", "safetensors")
    return {
        "graspnext": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        **{name.lower(): importlib.metadata.version(name) for name in names},
    }


def open_run(
    out: Path, *, preset: NetworkConfig, recipe: Recipe, data: Path, resume: bool, weights: Path | None = None
) -> None:
    """Make the run's folder, or check that the one there was started with the same settings.

    Raises:
        RunError: The folder holds a run and `resume` is false, or the settings differ from those it was started with;
            or it holds parts of one.
        OutputError: The folder cannot be written.
        WeightsError: The file of the starting weights cannot be read.
    """
    config: dict[str, Any] = {
        "schema_version": 1,
        "preset": preset.to_dict(),
        "recipe": recipe.to_dict(),
        "data": str(data.resolve()),
        "dataset": describe_dataset(data),
        "dataset_sha256": fingerprint(data),
        "weights": None if weights is None else str(weights.resolve()),
        "weights_sha256": None if weights is None else weights_fingerprint(weights),
        "versions": versions(),
        "hardware": hardware(),
    }
    if not (out / CONFIG_FILE).exists():
        for name in OWN_FILES:
            if (out / name).exists():
                raise RunError(out, f"holds {name}, but no {CONFIG_FILE}", "choose another folder")
        make_folder(out)
        write_json(out / CONFIG_FILE, config)
        return
    if not resume:
        raise RunError(out, "holds a training run already", "add --resume to go on with it, or choose another folder")
    before = _completed(read_config(out))
    differing = [
        f"{name} ({old} then, {new} now)"
        for part in ("preset", "recipe", "dataset_sha256", "weights_sha256")
        for name, old, new in _differences(part, before.get(part), json.loads(json.dumps(config[part])))
        if name.rpartition(".")[2] not in FREE_TO_CHANGE
    ]
    if differing:
        raise RunError(out, f"was started with other settings: {', '.join(differing[:4])}", "repeat its own command")
    _sweep(out)


@contextmanager
def only_writer(out: Path) -> Iterator[None]:
    """Keep other processes from training into the folder; the system lets go of it when this process ends, however.

    Raises:
        RunError: Another process trains into it.
        OutputError: The folder cannot be written.
    """
    make_folder(out)
    with output_errors(out / LOCK_FILE):
        lock = (out / LOCK_FILE).open("ab", buffering=0)
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(
                out, "another process trains into it", "wait for its end, or choose another folder"
            ) from error
        yield


def _sweep(out: Path) -> None:
    """Remove what a killed process left half written."""
    with output_errors(out):
        for file in out.rglob(".*.part"):
            file.unlink(missing_ok=True)


def _completed(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a run whose release knew fewer settings, with the defaults of those it lacks."""
    preset = NetworkConfig.from_dict(config["preset"]).to_dict()
    recipe = _filled(config.get("recipe"), Recipe().to_dict())
    return {**config, "preset": json.loads(json.dumps(preset)), "recipe": json.loads(json.dumps(recipe))}


def _filled(values: Any, defaults: Any) -> Any:
    """Nested values, with defaults where they have none."""
    if not isinstance(values, dict) or not isinstance(defaults, dict):
        return values
    return {**defaults, **{name: _filled(value, defaults.get(name)) for name, value in values.items()}}


def _differences(name: str, before: Any, now: Any) -> list[tuple[str, Any, Any]]:
    """Dotted names of the leaves that differ, with both values."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*before, *now])
        pairs = {key: (before.get(key), now.get(key, "not known")) for key in keys}
        return [leaf for key, pair in pairs.items() for leaf in _differences(f"{name}.{key}", *pair)]
    return [] if before == now else [(name, before, now)]


def read_summary(run: Path) -> dict[str, Any]:
    """What `run.json` says of a finished run (see `write_summary`); nothing of an unfinished one.

    Raises:
        RunError: The file is damaged.
    """
    path = run / SUMMARY_FILE
    try:
        summary = json.loads(path.read_text()) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise RunError(path, f"cannot be read ({error})", "finish the run again with --resume") from error
    return dict(summary) if isinstance(summary, dict) else {}


def write_summary(run: Path, recipe: Recipe, *, elapsed_s: float) -> None:
    """Write `run.json`: what the whole run was like, over all its starts.

    Raises:
        OutputError: The file cannot be written.
    """
    images, lines = recipe.steps * recipe.loader.batch_size, read_log(run)
    begins = [0, *(line["step"] for line in lines)]
    # Steps over images/s is the time but for the batch size, which is the same throughout.
    spans = [
        (line["step"] - begin) / max(line["images_per_s"], 1e-9) for line, begin in zip(lines, begins, strict=False)
    ]
    waited = sum(span * line["data_wait_share"] for span, line in zip(spans, lines, strict=True))
    summary = {
        "steps": recipe.steps,
        "images_seen": images,
        "wall_time_s": round(elapsed_s, 1),
        "images_per_s": round(images / max(elapsed_s, 1e-9), 3),
        "data_wait_share": round(waited / max(sum(spans), 1e-9), 4),
        "peak_memory_mb": max((line["memory_mb"] for line in lines), default=0),
        "hardware": hardware(),
    }
    write_json(run / SUMMARY_FILE, summary)


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
