"""Does every runtime say what the trained network says? Measured on many frames, in every runtime and precision.

In float32, single detections are compared: scores, boxes, masks, centres. In every precision, the metrics of all six
tasks are measured on the same labelled frames with the trained network and with the runtime, and must not drop.

Near-ties: suppression, the choice of the best so many and the like are step functions, so a difference in the last
bits can move a whole detection, and both results are right. Every frame on which a gate is broken is looked into:
where the first choice that fell differently was made rightly, on inputs that agree within rounding
(comparison/choices.py), the frame is counted as a near-tie and left out of the comparison of single detections, not
out of the metrics. At most `VerifyConfig.max_tie_share` of the frames may be such, and the first of them is walked
through layer by layer like a defect, so that none hides behind a tie.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from graspnext.deploy.comparison.agreement import TASK_OF, Outputs, Tolerance, broken, differences
from graspnext.deploy.comparison.divergence import Divergence, Inspector
from graspnext.deploy.comparison.ledger import Ledger, Reference
from graspnext.deploy.frames import Frames
from graspnext.deploy.model.translation import reference_outputs
from graspnext.deploy.model.values import OnnxRuntimeValues, OpenVinoValues, Source
from graspnext.deploy.timing.machine import can_do
from graspnext.errors import ConfigError
from graspnext.geometry.predictions import EVALUATION_MIN_SCORE
from graspnext.network.pipeline import Pipeline
from graspnext.runtime.backend import open_backend
from graspnext.runtime.bundle import Bundle, open_bundle
from graspnext.types import UInt8Array

logger = logging.getLogger(__name__)

PRECISIONS = ("fp32", "bf16", "int8")
MAX_WALKS = 3
"""Frames of one runtime and precision that are walked through layer by layer; each takes some seconds."""

Watch = Callable[[Iterable[int], int], Iterable[int]]
"""Passes the numbers of the frames on and shows progress, given them and how many there are."""


@dataclass(frozen=True)
class VerifyConfig:
    """What is compared, and how far apart it may be."""

    precisions: tuple[str, ...] = ()
    """Of fp32, bf16, int8; empty: all that the model and this machine can do."""
    tolerance: Tolerance = field(default_factory=Tolerance)
    """Of single detections in fp32."""
    ap_drop_fp32: float = 0.1
    """The most that a task may lose to the trained network, in points: AP and accuracy in hundredths, the root of the
    heatmap's mean squared error in hundredths of the range of scores."""
    ap_drop_bf16: float = 0.3
    """The same in bf16."""
    ap_drop_int8: float = 1.0
    """The same in int8."""
    max_tie_share: float = 0.05
    """Of the frames that may be near-ties."""
    num_threads: int = 0
    """Of each runtime; 0 leaves it to them."""

    def __post_init__(self) -> None:
        for name in ("ap_drop_fp32", "ap_drop_bf16", "ap_drop_int8", "max_tie_share", "num_threads"):
            if not getattr(self, name) >= 0:
                raise ConfigError(name, getattr(self, name), "at least 0")
        for one in self.precisions:
            if one not in PRECISIONS:
                raise ConfigError("precisions", one, f"of {', '.join(PRECISIONS)}")

    def ap_drop(self, precision: str) -> float:
        """The limit of a precision, in points."""
        return float(getattr(self, f"ap_drop_{precision}"))


@dataclass(frozen=True)
class Fault:
    """A gate that is broken."""

    runtime: str
    precision: str
    task: str
    gate: str
    """`ap_drop`, `near_ties`, `not_finite`, or a quantity of `agreement.differences`."""
    frame: str
    """The frame that is furthest from the trained network in this."""
    layer: str
    """The first layer that diverges there, as the model's file names it; empty where none was looked for."""
    why: str
    """What is wrong with that layer, in words."""
    measured: float
    limit: float

    def __str__(self) -> str:
        where = f"; {self.why}" if self.why else ""
        return (
            f"{self.runtime} {self.precision}: {self.task}: {self.gate} is {self.measured:.4g} (limit {self.limit:g}), "
            f"worst on {self.frame}{where}"
        )


@dataclass(frozen=True, eq=False)
class Verification:
    """What was measured."""

    frames: int
    about: str
    """Where the frames come from."""
    labelled: bool
    """Whether metrics could be measured; without labels only single detections are compared."""
    reference: dict[str, float]
    """Metrics of the trained network by task; empty without labels."""
    results: dict[str, dict[str, Any]]
    """`<runtime> <precision>` -> `differences`, `near_ties` (frames), `metrics`, `drops` (points) and
    `drop_errors` (their standard errors) by task."""
    faults: list[Fault]
    ungated: list[str]
    """Those of `results` without a gate: what is not fp32 is judged by its metrics, and these need labels."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and for the card; what is no number is None."""
        plain = asdict(self) | {"ok": not self.faults}
        return dict(_plain(plain))


@dataclass(frozen=True, eq=False)
class _Form:
    """A runtime in a precision."""

    runtime: str
    precision: str
    run: Callable[[UInt8Array], Outputs]
    source: Source
    """The same, open to questions about values inside."""

    @property
    def label(self) -> str:
        return f"{self.runtime} {self.precision}"


def verify_bundle(
    bundle: Path,
    pipeline: Pipeline,
    frames: Frames,
    *,
    config: VerifyConfig,
    watch: Watch = lambda numbers, _total: numbers,
) -> Verification:
    """Compare a bundle in every runtime and precision with the pipeline that it was frozen from.

    Args:
        bundle: Its folder.
        pipeline: With the weights that are stored: rounded where the bundle's are fp16 (`onnx_file.round_weights`).
        frames: At least 200 views say something about metrics; a few drawn pictures find gross defects only.
        config: Limits and precisions.
        watch: For a progress bar.

    Raises:
        BundleError: The bundle is damaged, or a runtime cannot read it.
        ConfigError: No runtime can do a precision that is asked for.
        DatasetError: A view cannot be read.
    """
    opened = open_bundle(bundle)
    forms = _open_forms(opened, config)
    trained = Reference(frames)
    ledgers = {form.label: Ledger(frames, config.tolerance) for form in forms}
    senseless: dict[str, Fault] = {}
    for index in watch(range(len(frames)), len(frames)):
        image, view = frames.read(index)
        expected = reference_outputs(pipeline, image)
        trained.add(view, expected)
        for form in forms:
            outputs = form.run(image)
            ledgers[form.label].compare(view, expected, outputs)
            for name, values in outputs.items():
                if count := int(np.count_nonzero(~np.isfinite(values))):
                    fault = Fault(
                        form.runtime, form.precision, name, "not_finite", frames.names[index], "", "", count, 0
                    )
                    senseless.setdefault(form.label, fault)
    inspector = Inspector(opened.model, pipeline, num_threads=config.num_threads)
    judge = _Judge(inspector, pipeline, frames, config)
    faults = list(senseless.values())
    faults += [fault for form in forms for fault in judge.faults(form, ledgers[form.label], trained)]
    return Verification(
        frames=len(frames),
        about=frames.about,
        labelled=frames.labelled,
        reference=trained.metrics(),
        results={label: ledger.to_dict(trained) for label, ledger in ledgers.items()},
        faults=faults,
        ungated=[form.label for form in forms if form.precision != "fp32" and not frames.labelled],
    )


def _open_forms(bundle: Bundle, config: VerifyConfig) -> list[_Form]:
    """Every runtime in every precision that is asked for, or that the model and the machine can do.

    Raises:
        ConfigError: None is left, or a precision asked for is not among those of the model or the machine.
    """
    quantised = bundle.card.precision == "int8"
    possible = [("onnxruntime", "int8" if quantised else "fp32"), ("openvino", "int8" if quantised else "fp32")]
    possible += [] if quantised or not can_do("openvino", "bf16") else [("openvino", "bf16")]
    wanted = [form for form in possible if not config.precisions or form[1] in config.precisions]
    missing = set(config.precisions) - {precision for _, precision in wanted}
    if missing or not wanted:
        able = ", ".join(dict.fromkeys(precision for _, precision in possible))
        raise ConfigError("precisions", ", ".join(sorted(missing)), f"of {able} for this bundle on this machine")
    return [_open(bundle, runtime, precision, config.num_threads) for runtime, precision in wanted]


def _open(bundle: Bundle, runtime: str, precision: str, num_threads: int) -> _Form:
    if runtime == "onnxruntime":
        backend = open_backend(runtime, bundle, num_threads=num_threads)
        model = onnx.load_from_string(bundle.model)
        return _Form(runtime, precision, backend.run, OnnxRuntimeValues(model, optimised=True, num_threads=num_threads))
    backend = open_backend(runtime, bundle, precision=precision, num_threads=num_threads)
    source = OpenVinoValues(bundle, precision=precision, num_threads=num_threads)
    return _Form(runtime, precision, backend.run, source)


class _Judge:
    """Turns what was measured into faults, and finds the layer of each."""

    def __init__(self, inspector: Inspector, pipeline: Pipeline, frames: Frames, config: VerifyConfig) -> None:
        self._inspector = inspector
        self._pipeline = pipeline
        self._frames = frames
        self._config = config
        self._located: dict[tuple[str, int], Divergence] = {}
        self._agrees: dict[int, bool] = {}

    def faults(self, form: _Form, ledger: Ledger, trained: Reference) -> list[Fault]:
        """Of one runtime and precision."""
        found = []
        if form.precision == "fp32":
            self._excuse_ties(form, ledger)
            allowed = self._config.max_tie_share * len(self._frames)
            if len(ledger.ties) > max(1.0, allowed):
                frame = min(ledger.ties)
                found.append(self._fault(form, "amodal_box", "near_ties", frame, (len(ledger.ties), allowed)))
            worst = ledger.worst()
            beyond = broken({gate: value for gate, (value, _) in worst.items()}, self._config.tolerance)
            for gate, limit in beyond.items():
                value, frame = worst[gate]
                found.append(self._fault(form, TASK_OF[gate], gate, frame, (value, limit)))
        limit = self._config.ap_drop(form.precision)
        for task, drop in ledger.drops(trained).items():
            if not drop <= limit:
                frame = ledger.furthest(task)
                found.append(self._fault(form, task, "ap_drop", frame, (drop, limit)))
        return found

    def _excuse_ties(self, form: _Form, ledger: Ledger) -> None:
        """Mark the frames that break a gate for a near-tie; stop once there are more than may be."""
        allowed = max(1.0, self._config.max_tie_share * len(self._frames))
        for frame in ledger.broken_frames():
            if len(ledger.ties) > allowed:
                return
            tie = self._tie(form, frame)
            if tie is None:  # a defect; where one is, ties need no more looking for
                return
            if not ledger.ties and self._locate(form, frame).kind not in {"tie", "spread"}:
                return
            ledger.ties[frame] = str(tie)

    def _tie(self, form: _Form, frame: int) -> Divergence | None:
        """The choice near a tie that moved detections on a frame, if that is why."""
        image, _ = self._frames.read(frame)
        if not self._graph_agrees(frame, image):
            return self._inspector.near_tie(None, image)
        return self._inspector.near_tie(form.source, image)

    def _fault(self, form: _Form, task: str, gate: str, frame: int, numbers: tuple[float, float]) -> Fault:
        walked = [number for label, number in self._located if label == form.label]
        place: Divergence | None = None
        if frame in walked or len(walked) < MAX_WALKS:
            place = self._locate(form, frame)
        layer, why = (place.layer, str(place)) if place is not None else ("", "")
        return Fault(form.runtime, form.precision, task, gate, self._frames.names[frame], layer, why, *numbers)

    def _locate(self, form: _Form, frame: int) -> Divergence:
        """The first layer that diverges on a frame."""
        key = (form.label, frame)
        if key not in self._located:
            logger.info(
                "verify: %s: looking for the first layer that diverges on %s", form.label, self._frames.names[frame]
            )
            image, _ = self._frames.read(frame)
            of_file = "int8" if form.precision == "int8" else "fp32"  # bf16 is the runtime's doing
            agrees = self._graph_agrees(frame, image)
            first, largest = (None, None) if agrees else self._inspector.in_graph(image, of_file)
            found = first or self._inspector.in_runtime(form.source, image, form.precision)
            if found.kind == "spread" and agrees:  # the file may be a little wrong, too
                first, largest = self._inspector.in_graph(image, of_file)
                found = first or found
            if found.kind == "spread" and largest is not None and form.precision == "int8":
                found = replace(largest, kind="spread")  # what quantisation costs is in the file
            self._located[key] = found
        return self._located[key]

    def _graph_agrees(self, frame: int, image: UInt8Array) -> bool:
        """Whether the model's file, run as it is written, says what torch says on a frame."""
        if frame not in self._agrees:
            plain = self._inspector.plain.values(image, ())
            expected = reference_outputs(self._pipeline, image)
            found = differences(expected, plain, min_score=EVALUATION_MIN_SCORE)
            self._agrees[frame] = not broken(found, self._config.tolerance)
        return self._agrees[frame]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.4g}") if np.isfinite(value) else None
    return value
