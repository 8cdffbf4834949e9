"""Is the part occluded? Accuracy and F1 over the instances that were found."""

from __future__ import annotations


class OcclusionScore:
    """Counts answers over matched instances; the class asked for is "occluded", answered from probability 0.5 on.

    Instances that were not found are not asked: read it beside the amodal box AP and the share matched.
    """

    def __init__(self) -> None:
        self.true_positives = self.true_negatives = self.false_positives = self.false_negatives = 0

    def add(self, probability: float, occluded: bool) -> None:
        """Count one matched instance."""
        answer = probability >= 0.5
        self.true_positives += answer and occluded
        self.true_negatives += not answer and not occluded
        self.false_positives += answer and not occluded
        self.false_negatives += not answer and occluded

    def result(self) -> tuple[float, float]:
        """Accuracy and F1, fractions.

        Accuracy is NaN where nothing was matched, F1 where no matched instance was or was said to be occluded.
        """
        right = self.true_positives + self.true_negatives
        wrong = self.false_positives + self.false_negatives
        accuracy = right / (right + wrong) if right + wrong else float("nan")
        weight = 2 * self.true_positives + wrong
        return accuracy, 2 * self.true_positives / weight if weight else float("nan")
