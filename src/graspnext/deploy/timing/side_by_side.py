"""Training runs as their exported models, in several runtimes and precisions, timed side by side for the table."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from graspnext.deploy.comparison.agreement import Tolerance, differences, faults
from graspnext.deploy.model.onnx_file import round_weights
from graspnext.deploy.model.translation import reference_outputs
from graspnext.deploy.timing.contenders import Contender, Preparation, Source, prepare_apart
from graspnext.deploy.timing.contestant import Contestant
from graspnext.deploy.timing.latency import Call, Comparison, Plan, compare
from graspnext.deploy.timing.lineup import BenchmarkConfig, Form, Lineup
from graspnext.deploy.timing.machine import can_do
from graspnext.learning.checkpoint import load_run
from graspnext.learning.table.protocols import SpeedConfig
from graspnext.network.pipeline import Pipeline
from graspnext.runtime.backend import open_backend
from graspnext.runtime.bundle import open_bundle
from graspnext.types import UInt8Array

logger = logging.getLogger(__name__)


def time_runs(
    runs: Mapping[str, Path],
    frames: Sequence[UInt8Array],
    *,
    config: SpeedConfig,
    reference: str | None,
    watch: Callable[[Iterable[int], int], Iterable[int]] = lambda numbers, _total: numbers,
) -> dict[str, Any]:
    """Time training runs as their exported models, pre- and post-processing included, batch 1.

    Args:
        runs: Name -> folder of a run.
        frames: Images (H, W, 3) uint8, RGB; round by round the next one, the same for all networks.
        config: Sizes, rounds, runtimes and precisions.
        reference: The run whose times the others are compared with.
        watch: For a progress bar over the rounds.

    Returns:
        `size_px`, `input_size_px`, `threads`, `rounds`, `load_before`, `load_after`, `other_cores`; `agreement` (run ->
        how far the exported model's outputs are from the trained network's, and `faults` in words); `results`, one a
        run and form: `name`, `runtime`, `precision`, times and `speedup` (over the reference in the same form);
        `left_out`, forms that this machine cannot do.

    Raises:
        RunError: A run cannot be read.
        WorkerError: A runtime is not installed, or fails.
    """
    forms = [form for form in config.forms if can_do(*form)]
    with tempfile.TemporaryDirectory(prefix="graspnext-table-") as base, ExitStack() as stack:
        lineup = _line_up(runs, frames, config, Path(base))
        agreement = {one.name: _agreement(one, frames[0]) for one in lineup.contenders if ("openvino", "fp32") in forms}
        calls: dict[str, Call] = {}
        for contender in lineup.contenders:
            for form in forms:
                logger.info("latency: starting %s", _label(contender.name, form))
                contestant = Contestant(lineup.spec(contender, form))
                stack.callback(contestant.close)
                calls[_label(contender.name, form)] = contestant.call("whole")
        plan = Plan(rounds=config.rounds, warmups=config.warmups)
        measured = compare(calls, plan=plan, rng=np.random.default_rng(config.seed), watch=watch)
        reference = reference if reference in runs else None
        return {
            "size_px": config.size,
            "input_size_px": config.input_size,
            "threads": lineup.threads,
            **measured.conditions(),
            "reference": reference,
            "agreement": agreement,
            "results": [_result(measured, name, form, reference) for name in runs for form in forms],
            "left_out": [list(form) for form in config.forms if form not in forms],
        }


def _line_up(runs: Mapping[str, Path], frames: Sequence[UInt8Array], config: SpeedConfig, base: Path) -> Lineup:
    """The runs, exported, and the frames as files."""
    paths = []
    for index, frame in enumerate(frames):
        paths.append(str(base / f"{index}.png"))
        Image.fromarray(frame).save(paths[-1])
    preparation = Preparation(config.size, ("fp32", "bf16"), parts=False)
    sources = [Source("run", str(run), name) for name, run in runs.items()]
    contenders = [prepare_apart(source, base / f"run{index}", preparation) for index, source in enumerate(sources)]
    return Lineup(BenchmarkConfig(size=config.size), contenders, paths)


def _agreement(contender: Contender, frame: UInt8Array) -> dict[str, Any]:
    """How far the exported model's outputs are from the trained network's."""
    assert contender.torch_spec is not None, "runs can be opened in torch"
    pipeline = Pipeline(load_run(Path(contender.torch_spec["source"]["where"]))[0], contender.about["input_size"])
    round_weights(pipeline)
    backend = open_backend("openvino", open_bundle(contender.bundles["fp32"]), precision="fp32")
    found = differences(reference_outputs(pipeline, frame), backend.run(frame))
    return {**found, "faults": faults(found, Tolerance())}


def _result(measured: Comparison, name: str, form: Form, reference: str | None) -> dict[str, Any]:
    key = _label(name, form)
    speedup = None if reference is None else asdict(measured.speedup(key, _label(reference, form), "model"))
    times = asdict(measured.latency(key, "model"))
    return {"name": name, "runtime": form[0], "precision": form[1], **times, "speedup": speedup}


def _label(name: str, form: Form) -> str:
    return " ".join((name, *form))
