"""What is remembered of all frames: the worst differences, which frames broke a gate, and metrics of the six tasks."""

from __future__ import annotations

import math
import statistics
from typing import Any

from graspnext.deploy.comparison.agreement import TASKS, Outputs, Tolerance, broken, differences, is_worse, task_gaps
from graspnext.deploy.frames import Frames
from graspnext.geometry.predictions import EVALUATION_MIN_SCORE, wrap
from graspnext.learning.metrics.accumulator import MetricAccumulator
from graspnext.types import View

METRIC_OF = {
    "amodal_box": "amodal_box_ap",
    "visible_mask": "visible_mask_ap",
    "amodal_mask": "amodal_mask_ap",
    "occlusion": "occlusion_accuracy",
    "center_of_mass": "center_of_mass_ap",
    "suction": "heatmap_mse",
}
"""Task -> the metric that must not drop. Of the heatmap's error the root is taken, which has the unit of scores."""


FOLDS = 8
"""Equal parts of the frames, on which metrics are measured once more: their spread says how sure a drop is."""


class Reference:
    """Metrics of the trained network itself, as `graspnext evaluate` measures them."""

    def __init__(self, frames: Frames) -> None:
        self._accumulators = [MetricAccumulator() for _ in range(1 + FOLDS)] if frames.labelled else []
        self._frames = 0
        self._measured: dict[int, dict[str, float]] = {}

    def add(self, view: View | None, outputs: Outputs) -> None:
        """Count a frame."""
        fold = 1 + self._frames % FOLDS
        self._frames += 1
        self._measured.clear()
        if self._accumulators and view is not None:
            height, width = view.image.shape[:2]
            prediction = wrap(outputs, width=width, height=height, min_score=EVALUATION_MIN_SCORE)
            self._accumulators[0].add(view, prediction)
            self._accumulators[fold].add(view, prediction)

    def metrics(self, fold: int = 0) -> dict[str, float]:
        """By task: AP and accuracy, fractions; of the heatmap the root mean squared error. Empty without labels.

        Args:
            fold: 1 to `FOLDS`: over that part of the frames; 0: over all.
        """
        if not self._accumulators:
            return {}
        if fold not in self._measured:
            result = self._accumulators[fold].result()
            values = {task: result[name] for task, name in METRIC_OF.items()}
            self._measured[fold] = values | {"suction": math.sqrt(values["suction"])}
        return self._measured[fold]

    @property
    def folds(self) -> range:
        """Numbers of the parts that hold frames."""
        return range(1, 1 + min(self._frames, FOLDS))


class Ledger(Reference):
    """One runtime in one precision beside the trained network."""

    def __init__(self, frames: Frames, tolerance: Tolerance) -> None:
        super().__init__(frames)
        self._tolerance = tolerance
        self._differences: list[dict[str, float]] = []
        self._gaps: list[dict[str, float]] = []
        self.ties: dict[int, str] = {}
        """Frames that break a gate for a near-tie, and where."""

    def compare(self, view: View | None, expected: Outputs, outputs: Outputs) -> None:
        """Count a frame, given what the trained network puts out on it."""
        self._differences.append(differences(expected, outputs, min_score=EVALUATION_MIN_SCORE))
        self._gaps.append(task_gaps(expected, outputs, min_score=EVALUATION_MIN_SCORE))
        self.add(view, outputs)

    def broken_frames(self) -> list[int]:
        """Those whose single detections are beyond the tolerance, in order."""
        return [frame for frame, found in enumerate(self._differences) if broken(found, self._tolerance)]

    def worst(self) -> dict[str, tuple[float, int]]:
        """By quantity the worst value over the frames that are no near-ties, and its frame."""
        result: dict[str, tuple[float, int]] = {}
        for frame, found in enumerate(self._differences):
            if frame in self.ties:
                continue
            for name in self._tolerance.limits():
                if name not in result or is_worse(name, found[name], result[name][0]):
                    result[name] = (found[name], frame)
        return result

    def furthest(self, task: str) -> int:
        """The frame on which a task differs most from the trained network."""
        gaps = [gaps[task] if math.isfinite(gaps[task]) else math.inf for gaps in self._gaps]
        return gaps.index(max(gaps))

    def drops(self, trained: Reference, fold: int = 0) -> dict[str, float]:
        """By task how many points the metric is worse than the trained network's; what neither could measure is out.

        NaN where only one of the two could be measured.
        """
        ours, theirs = self.metrics(fold), trained.metrics(fold)
        drops = {}
        for task in TASKS if theirs else ():
            if math.isnan(theirs[task]) and math.isnan(ours[task]):
                continue
            worse = ours[task] - theirs[task] if task == "suction" else theirs[task] - ours[task]
            drops[task] = 100 * worse
        return drops

    def drop_errors(self, trained: Reference) -> dict[str, float]:
        """By task the standard error of its drop, points, from the drops of the folds; without two folds it is out."""
        every = [self.drops(trained, fold) for fold in self.folds]
        errors = {}
        for task in self.drops(trained):
            known = [drops[task] for drops in every if task in drops and math.isfinite(drops[task])]
            if len(known) > 1:
                errors[task] = statistics.stdev(known) / math.sqrt(len(known))
        return errors

    def to_dict(self, trained: Reference) -> dict[str, Any]:
        """`differences` (worst values), `detections`, `near_ties`; `metrics`, `drops` and `drop_errors` by task."""
        return {
            "differences": {name: value for name, (value, _) in self.worst().items()},
            "detections": sum(found["detections"] for found in self._differences),
            "near_ties": len(self.ties),
            "metrics": self.metrics(),
            "drops": self.drops(trained),
            "drop_errors": self.drop_errors(trained),
        }
