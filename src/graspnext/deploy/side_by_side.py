"""Training runs are frozen, opened in several runtimes and precisions, and timed side by side."""

from __future__ import annotations

import copy
import gc
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graspnext.deploy.export import freeze, reference_outputs
from graspnext.deploy.latency import Call, Comparison, compare
from graspnext.deploy.verify import Tolerance, differences, faults
from graspnext.learning.checkpoint import load_run
from graspnext.learning.table.protocols import SpeedConfig
from graspnext.network.pipeline import Pipeline
from graspnext.runtime.backend import find_backend
from graspnext.runtime.openvino_backend import openvino_core
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
        `size_px`, `input_size_px`, `threads`, `rounds`, `load_before`, `load_after`; `agreement` (run -> how far the
        exported model's outputs are from the trained network's, and `faults` in words); `results`, one a run and form:
        `name`, `runtime`, `precision`, times and `speedup` (over the reference in the same form); `left_out`, forms
        that this machine cannot do.

    Raises:
        RunError: A run cannot be read.
        MissingDependencyError: A runtime is not installed.
    """
    forms = [form for form in config.forms if can_do(*form)]
    calls: dict[str, Call] = {}
    agreement: dict[str, dict[str, Any]] = {}
    for name, run in runs.items():
        logger.info("latency: exporting %s", name)
        pipeline = Pipeline(load_run(run)[0], config.input_size)
        model = freeze(pipeline, half=False) if any(runtime != "torch" for runtime, _ in forms) else b""
        for runtime, precision in forms:
            predict = open_form(pipeline, model, runtime, precision)
            calls[label(name, runtime, precision)] = over(predict, frames)
            if (runtime, precision) == ("openvino", "fp32"):
                found = differences(reference_outputs(pipeline, frames[0]), predict(frames[0]))
                agreement[name] = {**found, "faults": faults(found, Tolerance())}
        del pipeline, model
        gc.collect()  # the exporter leaves gigabytes in circles, and all compiled models must fit at once
    measured = compare(
        calls, rounds=config.rounds, warmups=config.warmups, rng=np.random.default_rng(config.seed), watch=watch
    )
    reference = reference if reference in runs else None
    about = measured.to_dict()
    del about["latency"]
    return {
        "size_px": config.size,
        "input_size_px": config.input_size,
        "threads": os.cpu_count(),
        **about,
        "reference": reference,
        "agreement": agreement,
        "results": [_result(measured, name, form, reference) for name in runs for form in forms],
        "left_out": [list(form) for form in config.forms if form not in forms],
    }


def _result(measured: Comparison, name: str, form: tuple[str, str], reference: str | None) -> dict[str, Any]:
    key = label(name, *form)
    speedup = None if reference is None else asdict(measured.speedup(key, label(reference, *form)))
    times = asdict(measured.latency(key))
    return {"name": name, "runtime": form[0], "precision": form[1], **times, "speedup": speedup}


def can_do(runtime: str, precision: str) -> bool:
    """Whether the processor has what a form needs: bf16 in OpenVINO falls back to fp32 without a word elsewhere."""
    if (runtime, precision) != ("openvino", "bf16"):
        return True
    return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def open_form(
    pipeline: Pipeline, model: bytes, runtime: str, precision: str
) -> Callable[[UInt8Array], dict[str, np.ndarray[Any, np.dtype[Any]]]]:
    """What runs an image in a runtime: its outputs by name, as arrays, so that nothing is left to wait for."""
    if runtime != "torch":
        backend_class: Any = find_backend(runtime)
        options = {"precision": precision} if runtime == "openvino" else {}
        run: Callable[[UInt8Array], dict[str, np.ndarray[Any, np.dtype[Any]]]] = backend_class(model, **options).run
        return run
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    wanted = "bf16" if precision == "bf16" else "fp32"
    network = copy.deepcopy(pipeline.network).to(device).to(memory_format=torch.channels_last)
    own = Pipeline(network, pipeline.input_size, wanted)

    @torch.inference_mode()
    def predict(image: UInt8Array) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
        found = own(torch.from_numpy(image).to(device))
        return {name: value.float().cpu().numpy() for name, value in found._asdict().items()}

    return predict


def over(predict: Callable[[UInt8Array], object], frames: Sequence[UInt8Array]) -> Call:
    """A call that takes the frame of its round."""
    return lambda number: predict(frames[number % len(frames)])


def label(name: str, runtime: str, precision: str) -> str:
    """Of a network in a form."""
    return f"{name} {runtime} {precision}"
