"""COCO average precision without classes (Lin et al., 2014): over all instances, or over any choice of them.

IoU or OKS 0.50:0.05:0.95, 101 recall points, at most 100 detections a view. Ignored instances are COCO crowds: a
detection that fits one, measured by the share of the detection inside it, is neither right nor wrong. Instances out of
a choice are what COCO makes of those outside an area range: each excuses one detection that fits it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from graspnext.learning.metrics.similarity import MIN_SIMILARITY
from graspnext.types import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array

MAX_DETECTIONS = 100
THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class Matches:
    """Which detection is right at which threshold; D detections of all views in the order added."""

    scores: Float64Array
    """(D,)"""
    truth: Int32Array
    """(10, D) the instance that the detection took, counted over all views; -1 = none."""
    counts: BoolArray
    """(10, D) whether the detection is right or wrong; the others are neither."""
    asked: BoolArray
    """(T,) which instances there were to find."""

    @property
    def num_asked(self) -> int:
        """How many instances there were to find."""
        return int(np.count_nonzero(self.asked))

    def precision(self) -> Float64Array:
        """The highest precision (10, 101) at each threshold from each recall on; NaN without an instance to find."""
        return interpolated_precision(self, (self.truth >= 0).astype(np.float64), float(self.num_asked))

    def average_precision(self, threshold: float | None = None) -> float:
        """The mean over recalls and thresholds, or over recalls at one of `THRESHOLDS`: a fraction, or NaN."""
        precision = self.precision()
        if threshold is None:
            return float(precision.mean())
        return float(precision[int(np.argmin(np.abs(THRESHOLDS - threshold)))].mean())

    def average_recall(self) -> float:
        """The share of the instances that were found, mean over the thresholds: a fraction, or NaN."""
        found = np.count_nonzero((self.truth >= 0) & self.counts)
        return found / len(THRESHOLDS) / self.num_asked if self.num_asked else float("nan")


def interpolated_precision(
    matches: Matches, weight: Float64Array, total: float, *, tolerance: float = 0.0
) -> Float64Array:
    """Precision (10, 101) over the recalls 0, 0.01, ..., 1, made monotone from the right.

    Args:
        matches: Which detections are right.
        weight: (10, D) what a right detection counts; a wrong one counts 1.
        total: What recall is a share of.
        tolerance: A recall is reached from so little below it on, for weights whose sum has rounding errors.

    Returns:
        0 where a recall is not reached; NaN everywhere if the total is 0.
    """
    result = np.full((len(THRESHOLDS), len(RECALLS)), np.nan)
    if total == 0:
        return result
    order = np.argsort(-matches.scores, kind="stable")
    for row in range(len(THRESHOLDS)):
        kept = order[matches.counts[row, order]]
        right = matches.truth[row, kept] >= 0
        found = np.cumsum(np.where(right, weight[row, kept], 0.0))
        recall = found / total
        judged = found + np.cumsum(~right)
        precision = np.divide(found, judged, out=np.zeros_like(found), where=judged > 0)
        envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
        result[row] = envelope[np.searchsorted(recall, RECALLS - tolerance, side="left")]
    return result


class AveragePrecision:
    """Collects how well the detections of each view fit its instances, then matches all views at once.

    Of each view only the pairs that fit at least half are kept, so a thousand views need a few megabytes.
    """

    def __init__(self) -> None:
        self._scores: list[Float64Array] = []
        self._crowd: list[BoolArray] = []
        self._detection: list[Int64Array] = []
        self._truth: list[Int64Array] = []
        self._similarity: list[Float64Array] = []
        self._num_detections = self._num_truths = 0

    def add_view(self, scores: Float32Array, similarity: Float64Array, crowd: BoolArray) -> None:
        """Add the next view; of equal scores the earlier detection counts first.

        Args:
            scores: (D,) of its detections, falling, at most `MAX_DETECTIONS`.
            similarity: (D, T) of detections and instances; what is below 0.5 may be anything below it.
            crowd: (T,) instances that are neither positives nor mistakes.
        """
        detection, truth = np.nonzero(similarity >= MIN_SIMILARITY)
        self._scores.append(scores.astype(np.float64))
        self._crowd.append(crowd.astype(np.bool_))
        self._detection.append(detection + self._num_detections)
        self._truth.append(truth + self._num_truths)
        self._similarity.append(similarity[detection, truth].astype(np.float64))
        self._num_detections += len(scores)
        self._num_truths += len(crowd)

    def matches(self, *, asked: BoolArray | None = None, excused: BoolArray | None = None) -> Matches:
        """Give each detection, best score first in each view, the free instance that it fits best.

        Args:
            asked: Which instances of all views (T,) are to be found; the others, and crowds, are neither positives nor
                mistakes. All when None.
            excused: Which detections of all views (D,) are no mistakes where they take nothing. None when None.
        """
        crowd = np.concatenate(self._crowd) if self._crowd else np.zeros(0, dtype=np.bool_)
        ignored = crowd if asked is None else crowd | ~asked
        truth = self._take(crowd, ignored)
        taken = np.maximum(truth, 0)
        counts = np.where(truth >= 0, ~ignored[taken] if len(ignored) else True, True)
        if excused is not None:
            counts &= (truth >= 0) | ~excused
        scores = np.concatenate(self._scores) if self._scores else np.zeros(0)
        return Matches(scores, truth, counts, ~ignored)

    def _take(self, crowd: BoolArray, ignored: BoolArray) -> Int32Array:
        """(10, D) instances taken: the n-th detections of all views choose together, as views do not compete."""
        taken = np.full((len(THRESHOLDS), self._num_detections), -1, dtype=np.int32)
        if not self._scores or not sum(len(one) for one in self._truth):
            return taken
        detection, truth = np.concatenate(self._detection), np.concatenate(self._truth)
        similarity = np.concatenate(self._similarity)
        rank = np.concatenate([np.arange(len(one)) for one in self._scores])[detection]
        # What a detection would take first stands first: asked for, fitting better, and of equals the last.
        order = np.lexsort((-truth, -similarity, ignored[truth], detection, rank))
        detection, truth, rank = detection[order], truth[order], rank[order]
        fits = similarity[order] >= THRESHOLDS[:, None]  # (10, P)
        free = np.ones((len(THRESHOLDS), len(crowd)), dtype=np.bool_)
        borders = np.flatnonzero(np.diff(rank, prepend=-1, append=rank[-1] + 1))
        for begin, end in pairwise(borders):
            wanted = truth[begin:end]
            possible = fits[:, begin:end] & free[:, wanted]  # (10, p)
            starts = np.flatnonzero(np.diff(detection[begin:end], prepend=-1))
            places = np.where(possible, np.arange(end - begin), end - begin)
            first = np.minimum.reduceat(places, starts, axis=1)  # (10, d) the first possible pair of each detection
            level, chooser = np.nonzero(first < end - begin)
            chosen = wanted[first[level, chooser]]
            taken[level, detection[begin:end][starts[chooser]]] = chosen
            free[level, chosen] = crowd[chosen]
        return taken
