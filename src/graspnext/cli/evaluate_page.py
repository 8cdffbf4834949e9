"""The page of `graspnext evaluate --html`: the measurement, and a second look at the views worth seeing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from graspnext.cli.output import progress
from graspnext.types import Prediction, UInt8Array

if TYPE_CHECKING:
    from graspnext.data.format import ManifestEntry
    from graspnext.data.reader import Dataset
    from graspnext.viz.evaluation_pictures import Case

NUM_WORST = 12
Predict = Callable[[UInt8Array], Prediction]


def make_page(result: Mapping[str, Any], predict: Predict, dataset: Dataset, limit: int | None) -> str:
    """The page of a measurement.

    The views that it shows are read and predicted once more, one at a time, so that no prediction has to be kept while
    a split is measured.

    Args:
        result: What `--json` writes.
        predict: What was measured.
        dataset: Where it was measured.
        limit: That of the measurement: with the split it says which views those of the result are.
    """
    from graspnext.learning.evaluate import choose, heatmap_views, worst_views
    from graspnext.viz.evaluation import evaluation_page

    entries = choose(dataset.split(result["split"]), limit)
    views = result["views"]
    worst, heat = worst_views(views, NUM_WORST), heatmap_views(views)
    return evaluation_page(
        result,
        worst=_cases(predict, dataset, [(entries[place], views[place]) for place in worst], suction=False),
        suction=_cases(predict, dataset, [(entries[place], views[place]) for place in heat], suction=True),
    )


def _cases(
    predict: Predict, dataset: Dataset, chosen: Sequence[tuple[ManifestEntry, Mapping[str, Any]]], *, suction: bool
) -> Iterator[Case]:
    """The views to show, each with its scores in its caption."""
    from graspnext.learning.diagnosis import describe, describe_suction, diagnose
    from graspnext.viz.evaluation_pictures import Case

    for entry, scores in progress(chosen, total=len(chosen), label="views to show"):
        view = dataset.read(entry, depth=False)
        prediction = predict(view.image)
        diagnosis = diagnose(view, prediction)
        if suction:
            said = f"mean squared error {scores['heatmap_mse']:.5f}. {describe_suction(view, prediction)}"
        else:
            said = f"F1 {scores['amodal_box_f1']:.3f}. {describe(view, prediction, diagnosis)}"
        yield Case(
            view,
            prediction,
            missed=frozenset(diagnosis.missed),
            right=diagnosis.right,
            false_alarms=frozenset(diagnosis.false_alarms),
            caption=f"{scores['file']}: {said}",
        )
