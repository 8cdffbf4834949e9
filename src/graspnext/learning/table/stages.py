"""The steps of a table, each remembered in a file that is whole or absent: what is done is never done again.

DIR/protocol.json            what the table was started with
DIR/data.json                the dataset that it uses; DIR/data/ the dataset itself, unless another one was given
DIR/rows/ROW/run/            the training (see `learning.run`)
DIR/rows/ROW/training.json   what it took
DIR/rows/ROW/cost.json       parameters and multiply-accumulates
DIR/rows/ROW/SPLIT.json      its measurement on a split
DIR/latency.json             all rows timed side by side
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from graspnext.data.reader import Dataset
from graspnext.errors import DatasetError, RunError
from graspnext.files import make_folder, write_json
from graspnext.learning.checkpoint import CHECKPOINT_FILE, load_run
from graspnext.learning.evaluate import Track, evaluate
from graspnext.learning.recipes import Recipe
from graspnext.learning.run import FREE_TO_CHANGE, describe_dataset, fingerprint, read_summary
from graspnext.learning.table.protocols import Protocol, SpeedConfig, WorldConfig
from graspnext.learning.train import find_device, train
from graspnext.network.cost import profile_network
from graspnext.network.pipeline import Pipeline

logger = logging.getLogger(__name__)

PROTOCOL_FILE = "protocol.json"
DATA_FILE = "data.json"
LATENCY_FILE = "latency.json"
_WORDS = frozenset({"summary", "budget", "expected"})
"""Fields of a protocol that only describe it."""


@dataclass(frozen=True)
class Tools:
    """What a table needs from elsewhere."""

    provenance: Callable[[], dict[str, Any]]
    """Where a measurement comes from, asked at its end."""
    make_data: Callable[[WorldConfig, Path], None]
    """Make a dataset in a folder, or go on making it."""
    measure_latency: Callable[[Mapping[str, Path], SpeedConfig, Dataset], dict[str, Any]]
    """Time finished runs, by row, side by side on views of a dataset."""
    track: Callable[[str], Track]
    """A progress bar with a label."""


def read_json(path: Path) -> dict[str, Any]:
    """A file that a stage has written.

    Raises:
        RunError: It is damaged.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(path, f"cannot be read ({error})", "delete it, and its step is done again") from error
    if not isinstance(content, dict):
        raise RunError(path, "holds no table of values", "delete it, and its step is done again")
    return content


def once(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `path` remembers; made and remembered where it does not exist yet."""
    if not path.exists():
        write_json(path, make())
    return read_json(path)


def open_table(out: Path, protocol: Protocol, *, resume: bool) -> None:
    """Make the table's folder, or check that the one there was started with the same protocol.

    Raises:
        RunError: It holds a table and `resume` is false, or one of another protocol.
        OutputError: It cannot be written.
    """
    path = out / PROTOCOL_FILE
    now = _plain(protocol.to_dict())
    if not path.exists():
        if out.is_dir() and any(out.iterdir()):
            raise RunError(out, "is not empty, and holds no table", "choose another folder")
        write_json(make_folder(out) / PROTOCOL_FILE, now)
        return
    if not resume:
        raise RunError(out, "holds a table already", "add --resume to go on with it, or choose another folder")
    older = _leaves(
        _plain({"recipe": Recipe().to_dict()})
    )  # settings that the release which began the table did not know
    before, after = older | _leaves(read_json(path)), _leaves(now)
    differing = [
        f"{name} ({before.get(name)} then, {after.get(name)} now)"
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name) and name.rpartition(".")[2] not in FREE_TO_CHANGE | _WORDS
    ]
    if differing:
        raise RunError(out, f"was started with other settings: {', '.join(differing[:4])}", "repeat its own command")


def _plain(values: Any) -> Any:
    """Values as JSON gives them back."""
    return json.loads(json.dumps(values))


def _leaves(values: Any, name: str = "") -> dict[str, Any]:
    """Dotted names of all plain values inside a dictionary."""
    if not isinstance(values, dict):
        return {name: values}
    return {
        inner: leaf
        for key, value in values.items()
        for inner, leaf in _leaves(value, f"{name}.{key}".lstrip(".")).items()
    }


def take_data(out: Path, protocol: Protocol, data: Path | None, tools: Tools) -> Path:
    """The dataset of the table: the given one, or one made in the table's folder.

    Raises:
        RunError: The table was started with another dataset.
        DatasetError: The dataset cannot be read, or lacks a split that the protocol needs.
    """
    path = out / DATA_FILE
    before = read_json(path) if path.exists() else {}
    folder = data or Path(before.get("path") or out / "data")

    def make() -> dict[str, Any]:
        begin = time.monotonic()
        if data is None:
            logger.info("data: making %s in %s", protocol.world.recipe, folder)
            tools.make_data(protocol.world, folder)
        check_splits(folder, protocol)
        return {
            "path": None if data is None else str(data.resolve()),
            "sha256": fingerprint(folder),
            **describe_dataset(folder),
            "time_s": round(time.monotonic() - begin, 1),
            "provenance": tools.provenance(),
        }

    known = once(path, make)
    if fingerprint(folder) != known["sha256"]:
        problem = f"was started with another dataset than {folder} now is"
        raise RunError(out, problem, "give the same --data as before, or choose another folder")
    return folder


def check_splits(data: Path, protocol: Protocol) -> None:
    """Look for all splits that the protocol needs.

    Raises:
        DatasetError: The dataset cannot be read, or lacks one.
    """
    dataset = Dataset(data)
    for split in ("train", *protocol.evaluation.splits):
        if not dataset.split(split):
            raise DatasetError(data, f"no views in the split '{split}'", "give a dataset that has some")


def train_row(out: Path, protocol: Protocol, row: str, data: Path, tools: Tools) -> dict[str, Any]:
    """Train a row, or go on with it; its checkpoint, four times the size of its weights, is then deleted."""
    run = run_folder(out, row)

    def make() -> dict[str, Any]:
        logger.info("%s: training, %d steps of %d", row, protocol.recipe.steps, protocol.recipe.loader.batch_size)
        train(protocol.config(row), data=data, out=run, recipe=protocol.recipe, resume=True)
        summary = read_summary(run)
        return {
            "images": protocol.images,
            **summary,
            "images_per_s": round(protocol.images / max(summary["wall_time_s"], 1e-9), 3),
            "provenance": tools.provenance(),
        }

    training = once(out / "rows" / row / "training.json", make)
    shutil.rmtree((run / CHECKPOINT_FILE).parent, ignore_errors=True)
    return training


def cost_row(out: Path, protocol: Protocol, row: str) -> dict[str, Any]:
    """Parameters and multiply-accumulates of a row, with its own numbers of proposals and detections."""

    def make() -> dict[str, Any]:
        config = protocol.config(row)
        report = profile_network(
            config, protocol.speed.size, proposals=config.rpn.proposals, detections=config.max_detections
        )
        return report.to_dict()

    return once(out / "rows" / row / "cost.json", make)


def evaluate_row(out: Path, protocol: Protocol, row: str, dataset: Dataset, tools: Tools) -> dict[str, Any]:
    """Split -> measurement of a trained row."""
    asked = protocol.evaluation

    def make(split: str) -> dict[str, Any]:
        begin = time.monotonic()
        network, _, _ = load_run(run_folder(out, row))
        network = network.to(find_device(protocol.recipe)).to(memory_format=torch.channels_last)
        pipeline = Pipeline(network, asked.input_size, asked.precision)
        track = tools.track(f"{row}: evaluating on {split}")
        result = evaluate(pipeline.predict, dataset, split, limit=asked.views, track=track)
        return {
            "model": row,
            "data": str(dataset.root),
            "input_size": asked.input_size,
            "precision": asked.precision,
            **result,
            "time_s": round(time.monotonic() - begin, 1),
            "provenance": tools.provenance(),
        }

    folder = out / "rows" / row
    return {split: once(folder / f"{split}.json", lambda split=split: make(split)) for split in asked.splits}  # type: ignore[misc]


def time_rows(out: Path, protocol: Protocol, rows: Iterable[str], dataset: Dataset, tools: Tools) -> dict[str, Any]:
    """Latency of trained rows, in one run."""

    def make() -> dict[str, Any]:
        begin = time.monotonic()
        logger.info("latency: all rows side by side at %d px", protocol.speed.size)
        measured = tools.measure_latency({row: run_folder(out, row) for row in rows}, protocol.speed, dataset)
        return {**measured, "time_s": round(time.monotonic() - begin, 1), "provenance": tools.provenance()}

    return once(out / LATENCY_FILE, make)


def run_folder(out: Path, row: str) -> Path:
    """Where a row is trained."""
    return out / "rows" / row / "run"


def is_done(out: Path, protocol: Protocol, row: str) -> bool:
    """Whether a row has been trained and measured."""
    names = ("training", "cost", *protocol.evaluation.splits)
    return all((out / "rows" / row / f"{name}.json").exists() for name in names)
