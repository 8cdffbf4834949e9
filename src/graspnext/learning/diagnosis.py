"""What a prediction got wrong in one view: every missed part and every false alarm, by kind, and in words.

The kinds are those of TIDE (Bolya et al., ECCV 2020) as far as they apply without classes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np

from graspnext.geometry import boxes
from graspnext.geometry.predictions import suction_peaks
from graspnext.learning.metrics.accumulator import SHOWN_SCORE
from graspnext.learning.metrics.average_precision import MAX_DETECTIONS
from graspnext.learning.metrics.matching import MATCH_IOU, match
from graspnext.types import BoolArray, Float32Array, Instance, Prediction, View

CLOSE_IOU = 0.1
"""From this IoU with a part on, a box is a poor one of that part rather than one of nothing."""
MOSTLY_HIDDEN = 0.5
SMALL_PX = 32.0
"""Square root of the amodal area below which a part is called small, as in COCO."""

Miss = Literal["missed_low_score", "missed_misplaced", "missed_unseen"]
FalseAlarm = Literal["false_double", "false_misplaced", "false_nothing"]
MISSES: tuple[Miss, ...] = ("missed_low_score", "missed_misplaced", "missed_unseen")
FALSE_ALARMS: tuple[FalseAlarm, ...] = ("false_double", "false_misplaced", "false_nothing")


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """How the detections of one view were judged. Rows are those of the prediction, at most 100."""

    pairs: dict[int, int]
    """Row of a right detection, of any score -> place in `view.labels.instances`."""
    iou: Float32Array
    """(N,) of each row's box with the part that it matched, or else with the one that it overlaps most."""
    excused: BoolArray
    """(N,) rows that lie on an ignored part: neither right nor wrong."""
    shown: BoolArray
    """(N,) rows of a score of at least 0.5."""
    missed: dict[int, Miss]
    """Place in `view.labels.instances` -> why, for each part without a right detection that is shown."""
    false_alarms: dict[int, FalseAlarm]
    """Row -> what it is, of those shown."""

    @property
    def right(self) -> frozenset[int]:
        """Rows of the right detections that are shown."""
        return frozenset(row for row in self.pairs if self.shown[row])

    def judged(self, scores: Float32Array) -> tuple[Float32Array, BoolArray, Float32Array]:
        """Score, whether right, and IoU of each detection that is either right or wrong, each (K,)."""
        right = np.array([row in self.pairs for row in range(len(self.iou))], dtype=bool)
        kept = ~self.excused
        return scores[: len(self.iou)][kept], right[kept], self.iou[kept]

    def counts(self) -> dict[str, int]:
        """How many mistakes of each kind, all kinds named."""
        found = Counter([*self.missed.values(), *self.false_alarms.values()])
        return {kind: found[kind] for kind in (*MISSES, *FALSE_ALARMS)}


def diagnose(view: View, prediction: Prediction) -> Diagnosis:
    """Match the detections with the parts, best score first, by IoU 0.5 of the amodal boxes, and sort out the rest."""
    instances = view.labels.instances
    asked = [index for index, one in enumerate(instances) if not one.ignore]
    found = prediction.amodal_boxes[:MAX_DETECTIONS]
    shown = prediction.scores[: len(found)] >= SHOWN_SCORE
    truths = _boxes([instances[index] for index in asked])
    pairs = {row: asked[place] for row, place in match(found, truths)}
    overlap = boxes.iou(found, truths)  # (N, M)
    best = overlap.max(axis=1, initial=0.0)
    for row, index in pairs.items():
        best[row] = overlap[row, asked.index(index)]
    unmatched = np.array([row not in pairs for row in range(len(found))], dtype=bool)
    excused = unmatched & _on_ignored(found, _boxes([one for one in instances if one.ignore]))
    wrong = unmatched & ~excused & shown
    owners = {index: row for row, index in pairs.items()}
    missed: dict[int, Miss] = {}
    for place, index in enumerate(asked):
        if index not in owners:
            poor = bool((overlap[wrong, place] >= CLOSE_IOU).any())
            missed[index] = "missed_misplaced" if poor else "missed_unseen"
        elif not shown[owners[index]]:
            missed[index] = "missed_low_score"
    alarms: dict[int, FalseAlarm] = {}
    for row in np.flatnonzero(wrong).tolist():
        near = float(best[row])
        alarms[row] = (
            "false_double" if near >= MATCH_IOU else "false_misplaced" if near >= CLOSE_IOU else "false_nothing"
        )
    return Diagnosis(pairs, best, excused, shown, missed, alarms)


def _boxes(instances: list[Instance]) -> Float32Array:
    return np.array([one.amodal_box for one in instances], dtype=np.float32).reshape(-1, 4)


def _on_ignored(found: Float32Array, ignored: Float32Array) -> BoolArray:
    """(N,) whether at least half of a box (N, 4) lies on one of the boxes (K, 4): COCO's rule for crowds."""
    low = np.maximum(found[:, None, :2], ignored[None, :, :2])  # (N, K, 2)
    high = np.minimum(found[:, None, 2:], ignored[None, :, 2:])
    inside = np.prod(np.clip(high - low, 0, None), axis=2)  # (N, K)
    share = inside / np.maximum(boxes.area(found), 1e-9)[:, None]
    return np.asarray(share.max(axis=1, initial=0.0) >= MATCH_IOU, dtype=bool)


_MISS_WORDS = {
    "missed_low_score": "scored below 0.5",
    "missed_misplaced": "placed poorly",
    "missed_unseen": "not seen at all",
}
_ALARM_WORDS = {
    "false_double": "on parts found already",
    "false_misplaced": "placed poorly",
    "false_nothing": "where no part is",
}


def describe(view: View, prediction: Prediction, diagnosis: Diagnosis) -> str:
    """Which parts were missed, what was found that is none, where occlusion is wrong: sentences for people."""
    instances = view.labels.instances
    asked = sum(not one.ignore for one in instances)
    sentences = [_missed_words(instances, diagnosis, asked)]
    if diagnosis.false_alarms:
        count = len(diagnosis.false_alarms)
        kinds = _listed(Counter(diagnosis.false_alarms.values()), _ALARM_WORDS)
        sentences.append(f"{count} false alarm{'' if count == 1 else 's'}: {kinds}.")
    right = diagnosis.right
    wrong = sum(
        (prediction.occluded_probability[row] >= 0.5) != instances[diagnosis.pairs[row]].occluded for row in right
    )
    if wrong:
        sentences.append(f"Occlusion wrong for {wrong} of {len(right)} found.")
    return " ".join(sentences)


def _missed_words(instances: tuple[Instance, ...], diagnosis: Diagnosis, asked: int) -> str:
    if not asked:
        return "No part to find."
    if not diagnosis.missed:
        return f"All {asked} parts found." if asked > 1 else "The one part found."
    lost = [instances[index] for index in diagnosis.missed]
    kinds = _listed(Counter(diagnosis.missed.values()), _MISS_WORDS)
    hidden = sum(one.occluded_rate > MOSTLY_HIDDEN for one in lost)
    small = sum(float(np.sqrt(np.count_nonzero(one.amodal_mask))) < SMALL_PX for one in lost)
    marks = [f"{hidden} mostly hidden"] * bool(hidden) + [f"{small} small"] * bool(small)
    return f"Missed {len(lost)} of {asked}: {kinds}" + (f" ({', '.join(marks)})." if marks else ".")


def _listed(counts: Counter[Miss] | Counter[FalseAlarm], words: dict[str, str]) -> str:
    return ", ".join(f"{counts[kind]} {said}" for kind, said in words.items() if counts[kind])  # type: ignore[index]


def describe_suction(view: View, prediction: Prediction) -> str:
    """What the label is where the prediction says is best: a sentence for people."""
    label = view.labels.suction
    peaks = suction_peaks(prediction, count=1, min_score=0.0)
    if not len(peaks):
        return "No suction point."
    u, v, score = peaks[0]
    best = f"best is {label.max():.2f}" if label.max() > 0 else "no place holds"
    return f"Best point: predicted {score:.2f}, label {label[int(v), int(u)]:.2f}; in this view {best}."
