"""The report of a measurement: how good a network is on a split, and where it fails, on one page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graspnext.viz.evaluation_charts import CURVE_COLOURS, curves, grouped, reliability
from graspnext.viz.evaluation_pictures import FALSE_ALARM, FOUND, IGNORED, MISSED, Case, heatmaps, mistakes
from graspnext.viz.report_charts import bars, number, safe
from graspnext.viz.report_page import card, cards, facts, folded, key, page, picture, pictures, section, table, tiles

TASKS: dict[str, tuple[tuple[str, str], ...]] = {
    "1 Amodal box": (("amodal_box_ap", "AP"), ("amodal_box_ap50", "AP at IoU 0.50")),
    "2 Visible mask": (("visible_mask_ap", "AP"), ("visible_mask_ap50", "AP at IoU 0.50")),
    "3 Amodal mask": (("amodal_mask_ap", "AP"), ("amodal_mask_ap50", "AP at IoU 0.50")),
    "4 Occlusion": (("occlusion_accuracy", "accuracy"), ("occlusion_f1", "F1"), ("matched_share", "parts asked")),
    "5 Centre of mass": (("center_of_mass_ap", "AP"), ("center_of_mass_median_px", "median error, px")),
    "6 Suction heatmap": (
        ("heatmap_mse", "MSE"),
        ("suction_precision_at_1", "precision at 1"),
        ("suction_precision_at_5", "precision at 5"),
    ),
}
"""The six tasks: each with its main metric first, and the names of the metrics in the measurement."""
_MEANING = {
    "1 Amodal box": "Box around the whole part, hidden regions included. COCO AP, mean over IoU 0.50:0.05:0.95.",
    "2 Visible mask": "Pixels where the part is seen. COCO AP of masks.",
    "3 Amodal mask": "Pixels where the part would be seen if it lay alone. COCO AP of masks.",
    "4 Occlusion": "Is the part covered by another? Asked of parts matched at amodal-box IoU 0.5; F1 of “occluded”.",
    "5 Centre of mass": "Its projection into the picture. COCO keypoint AP of one point.",
    "6 Suction heatmap": "Where a suction cup holds. Mean squared error, less is better; precision at k: share of the "
    "k highest peaks on a label of at least 0.5.",
}
_LINES = ("0.50", "0.75", "mean")
_AP_TASKS = {
    "amodal_box": ("amodal box", "#2f6db3"),
    "visible_mask": ("visible mask", "#2a9d8f"),
    "amodal_mask": ("amodal mask", "#8a63c4"),
    "center_of_mass": ("centre of mass", "#e08a1e"),
}
"""Task -> name and colour."""
_GROUPS = {
    "size": ("By size", "square root of the amodal area, as a share of that of the picture"),
    "occlusion": ("By occlusion", "hidden share of the part; below 5% is not occluded"),
    "difficulty": ("By difficulty", "level of the view"),
    "layer": ("By layer", "0 lies on top"),
}
MISTAKE_NAMES = {
    "missed_low_score": "missed: scored below 0.5",
    "missed_misplaced": "missed: placed poorly",
    "missed_unseen": "missed: not seen at all",
    "false_double": "false alarm: part found already",
    "false_misplaced": "false alarm: placed poorly",
    "false_nothing": "false alarm: no part there",
}
"""Kind of mistake -> words; counted at box IoU 0.5 and score 0.5."""


def evaluation_page(result: Mapping[str, Any], *, worst: Iterable[Case], suction: Iterable[Case]) -> str:
    """The page.

    Args:
        result: The measurement, as `graspnext evaluate --json` writes it; every number on the page is from there.
        worst: Views to show labels and predictions of, worst first. Taken one at a time: it may make them as it goes.
        suction: Views to show heatmaps of, likewise.

    Returns:
        A whole HTML file: no script, nothing from elsewhere.
    """
    failures = [picture(mistakes(case), case.caption) for case in worst]
    heats = [picture(heatmaps(case), case.caption) for case in suction]
    body = [
        _head(result),
        section("The six tasks", [_tasks(result["metrics"])]),
        section("Precision and recall", [_curves(result["curves"])], "Over all detections, at most 100 a view."),
        section("Where it is good, and where not", _breakdown(result["breakdown"]), _BINS),
        section("What a score is worth, and what goes wrong", [_scores(result)]),
        section("Worst views", [_mistake_key(), pictures(failures, large=True)] if failures else [], _WORST),
        section("Suction: true and predicted", [pictures(heats, large=True)], _SUCTION),
        section("Network and speed", [facts(_about(result)), _whole_card(result)]),
        section("Labels", _gaps(result)),
        section("All numbers", [_all(result)]),
    ]
    return page(f"{_name(result)} on {result['split']}: measurement", [part for part in body if part])


_BINS = (
    "AP of the four tasks that have one. A detection of no part is a false alarm in every bin of occlusion "
    "and layer, so that a bin of few parts comes off badly: there, compare networks, not bins."
)
_WORST = (
    "Those with the lowest F1 of the amodal boxes (IoU 0.5, score 0.5). Left the labels, right the prediction; boxes "
    "are amodal, outlines visible."
)
_SUCTION = (
    "The picture, the label, the prediction: blue 0, green 0.5, red 1; crosses: the three best points predicted. By "
    "mean squared error: the worst, some around the median, the best."
)


def _name(result: Mapping[str, Any]) -> str:
    return str(result["model"]).rstrip("/\\").replace("\\", "/").rpartition("/")[2] or str(result["model"])


def _head(result: Mapping[str, Any]) -> str:
    metrics = result["metrics"]
    lead = (
        f"Measured on the split “{result['split']}” of {result['data']}: {number(result['num_views'])} views, "
        f"{number(metrics['num_instances'])} parts."
    )
    values = {
        f"{task[2:].lower()}, {named[0][1]}": _value(metrics.get(named[0][0]), 3) for task, named in TASKS.items()
    }
    return f'<header><h1>{safe(_name(result))}</h1><p class="lead">{safe(lead)}</p>{tiles(values)}</header>'


def _value(value: float | None, digits: int = 4) -> str:
    """A metric as it is printed everywhere; "-" where it could not be measured."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return number(value)
    # A mean squared error is small: its leading digits, not its decimals, are what is read.
    return f"{value:.{digits + 1}f}" if 0 < abs(value) < 0.1 else f"{value:.{digits}f}"


def _tasks(metrics: Mapping[str, Any]) -> str:
    rows = []
    for task, named in TASKS.items():
        first, *others = [f"{name} {_value(metrics.get(field))}" for field, name in named]
        rows.append([_whole(task), f"<b>{_whole(first)}</b>", safe(", ".join(others)), safe(_MEANING[task])])
    return table(["task", "measure", "beside it", "what it means"], rows, markup=frozenset(range(4)))


def _whole(words: str) -> str:
    """Words that stay on one line."""
    return f'<span class="whole">{safe(words)}</span>'


def _curves(lines: Mapping[str, Mapping[str, Sequence[float | None]]]) -> str:
    shown = []
    for task, (name, _) in _AP_TASKS.items():
        if task in lines:
            similarity = "OKS" if task == "center_of_mass" else "IoU"
            chart = curves({f"{similarity} {line}": lines[task][line] for line in _LINES}, CURVE_COLOURS)
            shown.append(card(name.capitalize(), chart, f"at {similarity} 0.50, 0.75, and the mean"))
    return key(_LINES, CURVE_COLOURS) + pictures(shown) if shown else ""


def _breakdown(groups: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    names = [name for name, _ in _AP_TASKS.values()]
    colours = [colour for _, colour in _AP_TASKS.values()]
    shown, tables = [], []
    for group, bins in groups.items():
        title, about = _GROUPS.get(group, (f"By {group}", ""))
        rows = {
            f"{name}\n{number(values['num_instances'])} parts": [values.get(f"{task}_ap") for task in _AP_TASKS]
            for name, values in bins.items()
        }
        if not rows:
            continue
        shown.append(card(title, grouped(rows, colours, names), about))
        fields = list(dict.fromkeys(field for values in bins.values() for field in values))
        tables.append(
            table(
                [group, *fields],
                [[name, *(_value(values.get(field)) for field in fields)] for name, values in bins.items()],
            )
        )
    if not shown:
        return []
    all_numbers = f"<details><summary>All numbers by group</summary>{''.join(tables)}</details>"
    return [key(names, colours), cards(shown, wide=True), all_numbers]


def _scores(result: Mapping[str, Any]) -> str:
    shown = []
    known = result.get("reliability")
    if known and any(one["number"] for one in known["bins"]):
        error = _value(known["expected_calibration_error"])
        note = (
            f"share of detections that match a part (box IoU 0.5) by score; darker: more of them; the dashes: score "
            f"= share. Expected calibration error {error}"
        )
        rows = [
            [f"{one['low']:.1f} to {one['high']:.1f}", number(one["number"]), *(_value(one[k]) for k in _BIN_FIELDS)]
            for one in known["bins"]
        ]
        numbers = table(["score", "detections", "mean score", "right", "mean IoU"], rows)
        shown += [card("Is a score of 0.8 right in 8 of 10?", reliability(known["bins"]), note), numbers]
    counts = {words: result["mistakes"][kind] for kind, words in MISTAKE_NAMES.items() if kind in result["mistakes"]}
    if counts:
        total = sum(counts.values())
        note = f"{number(total)} in all, at box IoU 0.5 and score 0.5; poorly: IoU 0.1 to 0.5"
        shown.append(card("Mistakes by kind", bars(counts, label_px=252), note))
    return cards(shown, wide=True)


_BIN_FIELDS = ("mean_score", "right_share", "mean_iou")


def _mistake_key() -> str:
    colours = [f"rgb{colour}" for colour in (FOUND, MISSED, FALSE_ALARM, IGNORED)]
    return key(["found", "missed", "false alarm", "not asked for"], colours)


def _about(result: Mapping[str, Any]) -> dict[str, str]:
    """What is known of the model and of the measurement."""
    model = result.get("model_card", {})
    shown: dict[str, str] = {"Model": str(result["model"])}
    for name, value in (
        ("Network", model.get("preset")),
        ("Parameters", _unit(model.get("params_m"), "M")),
        ("Multiply-accumulates", _unit(model.get("gmacs"), "G a view at the input size")),
        ("Input", _unit(result.get("input_size"), "px, square")),
        ("Arithmetic", result.get("precision")),
        ("Executed by", result.get("runtime", "torch")),
        ("Trained for", _steps(result, model)),
        ("Trained on", model.get("trained_on")),
        ("Training took", _unit(model.get("wall_time_s"), "s")),
        ("Time a view", _times(result)),
        ("Measured on", model.get("measured_on")),
    ):
        if value is not None:
            shown[name] = str(value)
    return shown


def _unit(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{value:g} {unit}"


def _steps(result: Mapping[str, Any], model: Mapping[str, Any]) -> str | None:
    step, whole = result.get("step", model.get("step")), model.get("steps")
    if step is None:
        return None
    short = f" of {number(whole)}; not finished" if result.get("finished") is False and whole else ""
    return f"{number(step)}{short or ' steps'}"


def _times(result: Mapping[str, Any]) -> str:
    slow = result.get("predict_ms_p95")
    return f"{result['predict_ms_p50']:g} ms (median)" + (
        f", {slow:g} ms (95th percentile)" if slow is not None else ""
    )


def _whole_card(result: Mapping[str, Any]) -> str:
    card_of = result.get("model_card", {})
    return folded("All that the model says of itself", json.dumps(card_of, indent=2, default=str)) if card_of else ""


def _gaps(result: Mapping[str, Any]) -> list[str]:
    gaps = result["label_gaps"]
    if not gaps:
        return ['<p class="soft">Every view has every label.</p>']
    rows = [[name, number(count), f"{count / result['num_views']:.0%}"] for name, count in gaps.items()]
    lead = '<p class="soft">What a view has no label of is not measured there.</p>'
    return [lead, table(["label", "views", "share"], rows)]


def _all(result: Mapping[str, Any]) -> str:
    numbers = facts({name: _value(value) for name, value in result["metrics"].items()})
    return numbers + facts(result["definitions"])
