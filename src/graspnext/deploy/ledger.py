"""What is remembered of all frames: the worst differences, which frames broke a gate, and metrics of the six tasks."""

from __future__ import annotations

import math
from typing import Any

from graspnext.deploy.agreement import TASKS, Outputs, Tolerance, broken, differences, is_worse, task_gaps
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


class Reference:
    """Metrics of the trained network itself, as `graspnext evaluate` measures them."""

    def __init__(self, frames: Frames) -> None:
        self._accumulator = MetricAccumulator() if frames.labelled else None

    def add(self, view: View | None, outputs: Outputs) -> None:
        """Count a frame."""
        if self._accumulator is not None and view is not None:
            height, width = view.image.shape[:2]
            prediction = wrap(outputs, width=width, height=height, min_score=EVALUATION_MIN_SCORE)
            self._accumulator.add(view, prediction)

    def metrics(self) -> dict[str, float]:
        """By task: AP and accuracy, fractions; of the heatmap the root mean squared error. Empty without labels."""
        if self._accumulator is None:
            return {}
        result = self._accumulator.result()
        values = {task: result[name] for task, name in METRIC_OF.items()}
        return values | {"suction": math.sqrt(values["suction"])}


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

    def drops(self, reference: dict[str, float]) -> dict[str, float]:
        """By task how many points the metric is worse than the trained network's; what neither could measure is out.

        NaN where only one of the two could be measured.
        """
        ours = self.metrics()
        drops = {}
        for task in TASKS if reference else ():
            if math.isnan(reference[task]) and math.isnan(ours[task]):
                continue
            worse = ours[task] - reference[task] if task == "suction" else reference[task] - ours[task]
            drops[task] = 100 * worse
        return drops

    def to_dict(self, reference: dict[str, float]) -> dict[str, Any]:
        """`differences` (worst values), `detections`, `near_ties`, `metrics` and `drops` by task."""
        return {
            "differences": {name: value for name, (value, _) in self.worst().items()},
            "detections": sum(found["detections"] for found in self._differences),
            "near_ties": len(self.ties),
            "metrics": self.metrics(),
            "drops": self.drops(reference),
        }
