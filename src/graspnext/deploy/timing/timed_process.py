"""The program of a process that holds one network in one runtime and times it, part by part, when it is told to; other
jobs that want a process of their own are done by it, too.

`contestant.py` starts it and speaks with it: a line of JSON in, a line of JSON out. Nothing heavy is imported before it
is needed, since the time from the start of the process to its first result is one of the results.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from graspnext.errors import GraspNextError

if TYPE_CHECKING:
    from graspnext.deploy.timing.compiled import CompiledModel
    from graspnext.types import UInt8Array

Milliseconds = dict[str, float]
KEEP_ALL = 0.0
"""Score from which detections are kept: all rows that are not padding, so that every network wraps the same."""


class Runner(Protocol):
    """One network in one runtime."""

    precision: str
    """The arithmetic that really runs."""

    def whole(self, path: str) -> tuple[Milliseconds, int]:
        """From a picture's file to its prediction: the time of each part, and the detections found."""


class BundleRunner:
    """A bundle in the runtime that a robot would use, by the very steps of the predictor."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        from graspnext.runtime.backend import open_backend
        from graspnext.runtime.bundle import open_bundle

        options: dict[str, Any] = {"num_threads": spec["threads"]}
        if spec["runtime"] == "openvino":
            options["precision"] = spec["precision"]
        self._backend = open_backend(spec["runtime"], open_bundle(spec["bundle"]), **options)
        asked, ran = spec["precision"], getattr(self._backend, "precision", spec["precision"])
        self.precision = asked if asked == "int8" else str(ran)  # what a quantised model leaves in floats runs in `ran`

    def whole(self, path: str) -> tuple[Milliseconds, int]:
        """Parts: decode, model, wrap."""
        from graspnext.geometry.predictions import wrap
        from graspnext.runtime.images import read_image

        start = time.perf_counter()
        image = read_image(path)
        decoded = time.perf_counter()
        outputs = self._backend.run(image)
        ran = time.perf_counter()
        found = wrap(outputs, width=image.shape[1], height=image.shape[0], source=path, min_score=KEEP_ALL)
        end = time.perf_counter()
        parts = {"decode": decoded - start, "model": ran - decoded, "wrap": end - ran, "end_to_end": end - start}
        return {name: seconds * 1e3 for name, seconds in parts.items()}, len(found.scores)


class SubModels:
    """Pre-processing, network and post-processing as models of their own, each fed with what the one before gives."""

    def __init__(self, spec: Mapping[str, Any], files: Mapping[str, str], frames: Sequence[str]) -> None:
        from graspnext.deploy.timing.compiled import CompiledModel
        from graspnext.runtime.images import read_image

        form = {"runtime": spec["runtime"], "precision": spec["precision"], "threads": spec["threads"]}
        self._models: dict[str, CompiledModel] = {}
        self._inputs: dict[str, list[Mapping[str, Any]]] = {}
        known: list[dict[str, Any]] = [{"image": read_image(path)} for path in frames]
        for part, file in files.items():  # in the order in which one feeds the next
            model = CompiledModel(Path(file).read_bytes(), **form)
            self._models[part] = model
            self._inputs[part] = [{name: values[name] for name in model.inputs} for values in known]
            for values, inputs in zip(known, self._inputs[part], strict=True):
                values.update(model.run(inputs))

    def run(self, part: str, number: int) -> Milliseconds:
        """Time one of them."""
        inputs = self._inputs[part]
        return {part: self._models[part].time(inputs[number % len(inputs)]) * 1e3}


class TorchRunner:
    """The pipeline as training has it, on the device that torch finds; for reference."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        import torch

        from graspnext.deploy.timing.contenders import load_network
        from graspnext.network.pipeline import Pipeline

        if spec["threads"]:
            torch.set_num_threads(spec["threads"])
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = load_network(spec["source"]).to(self._device).to(memory_format=torch.channels_last)
        self._pipeline = Pipeline(network, spec["input_size"], spec["precision"])
        self._marks: list[float] = []
        self._pipeline.network.register_forward_pre_hook(lambda *_: self._mark())
        self._pipeline.network.register_forward_hook(lambda *_: self._mark())
        self.precision = spec["precision"]

    def whole(self, path: str) -> tuple[Milliseconds, int]:
        """Parts: decode, pre, network, post, model (the last three together), wrap."""
        from graspnext.geometry.predictions import wrap
        from graspnext.runtime.images import read_image

        start = time.perf_counter()
        image = read_image(path)
        decoded = time.perf_counter()
        arrays = self._run(image)
        ran = time.perf_counter()
        found = wrap(arrays, width=image.shape[1], height=image.shape[0], source=path, min_score=KEEP_ALL)
        end = time.perf_counter()
        began, ended = self._marks
        parts = {
            "decode": decoded - start,
            "pre": began - decoded,
            "network": ended - began,
            "post": ran - ended,
            "model": ran - decoded,
            "wrap": end - ran,
            "end_to_end": end - start,
        }
        return {name: seconds * 1e3 for name, seconds in parts.items()}, len(found.scores)

    def _run(self, image: UInt8Array) -> dict[str, Any]:
        import torch

        self._marks.clear()
        with torch.inference_mode():
            found = self._pipeline(torch.from_numpy(image).to(self._device))
            return {name: value.float().cpu().numpy() for name, value in found._asdict().items()}

    def _mark(self) -> None:
        if self._device.type == "cuda":
            import torch

            torch.cuda.synchronize()
        self._marks.append(time.perf_counter())


def main() -> int:
    """Obey until the input ends."""
    answers = _own_output()
    try:
        spec = json.loads(sys.stdin.readline())
        _serve(spec, answers) if spec["job"] == "time" else _send(answers, _do(spec))
    except GraspNextError as error:
        _send(answers, {"error": str(error)})
        return 2
    return 0


def _serve(spec: Mapping[str, Any], answers: TextIO) -> None:
    imported = time.monotonic()
    runner: Runner = TorchRunner(spec) if spec["runtime"] == "torch" else BundleRunner(spec)
    opened = time.monotonic()
    frames: list[str] = spec["frames"]
    _, found = runner.whole(frames[0])
    first = time.monotonic()
    stamps = {"imported": imported, "opened": opened, "first": first}
    _send(answers, {**stamps, "precision": runner.precision, "detections": found})
    parts: SubModels | None = None
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "memory":
            from graspnext.deploy.timing.machine import peak_memory_mb

            _send(answers, {"peak_memory_mb": peak_memory_mb()})
        elif order["do"] == "open":
            parts = SubModels(spec, order["files"], frames)
            _send(answers, {})
        elif order["do"] == "whole":
            _send(answers, runner.whole(frames[order["number"] % len(frames)])[0])
        else:
            assert parts is not None, "parts are opened before they are timed"
            _send(answers, parts.run(order["do"], order["number"]))


def _do(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of a job that is not timing."""
    if spec["job"] == "prepare":
        return _prepare(spec)
    form = {"runtime": spec["runtime"], "precision": spec["precision"], "threads": spec["threads"]}
    if spec["job"] == "peaks":
        from graspnext.deploy.timing.peaks import measure_peaks

        return measure_peaks(**form)
    from graspnext.deploy.timing.operators import profile_layers
    from graspnext.runtime.images import read_image

    images = [read_image(path) for path in spec["frames"]]
    return profile_layers(Path(spec["model"]).read_bytes(), images, runs=spec["runs"], **form)


def _prepare(spec: Mapping[str, Any]) -> dict[str, Any]:
    from graspnext.deploy.timing.contenders import Preparation, Source, prepare

    made = prepare(Source(**spec["source"]), Path(spec["folder"]), Preparation(**spec["preparation"]))
    bundles = {precision: str(path) for precision, path in made.bundles.items()}
    return {
        "name": made.name,
        "about": made.about,
        "bundles": bundles,
        "parts": made.parts,
        "torch_spec": made.torch_spec,
    }


def _own_output() -> TextIO:
    """Standard output for answers alone: whatever else prints there goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _send(answers: TextIO, content: Mapping[str, Any]) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()


if __name__ == "__main__":
    sys.exit(main())
