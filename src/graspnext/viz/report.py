"""The report of a dataset: its numbers and some of its pictures on one page that can be read, printed and mailed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graspnext.types import View
from graspnext.viz import labels
from graspnext.viz.contact_sheet import contact_sheet
from graspnext.viz.report_charts import LEVEL_COLOURS, bars, histogram, number, safe, scatter, stack
from graspnext.viz.report_page import card, cards, facts, folded, key, page, picture, pictures, section, table, tiles

LEVEL_NAMES = ("1 free", "2 touched", "3 crowded", "4 covered", "5 buried")
_DISTRIBUTIONS = {
    "occluded_rate": ("Hidden share of each part", "", "1 - visible / amodal pixels"),
    "view_mean_occluded_rate": ("Hidden share, mean over a view", "", "what difficulty is measured by"),
    "amodal_size_px": ("Amodal size of each part", "px", "square root of its area"),
    "parts_per_view": ("Parts in each view", "", ""),
    "parts_per_scene": ("Parts in each scene", "", ""),
    "layer": ("Layer of each part", "", "0 lies on top"),
    "distance_m": ("Distance of the parts", "m", "median depth of the centres of mass of a view"),
    "tilt_deg": ("Tilt of the camera", "°", "0 looks straight down"),
    "suction_score": ("Suction score of part pixels", "", ""),
    "suckable_share": ("Suckable share of part pixels", "", "score of 0.5 or more, each view"),
    "best_suction_score": ("Best suction score of each part", "", "over its visible pixels"),
    "depth_missing_share": ("Missing depth, each view", "", ""),
    "sensor_depth_missing_share": ("Missing depth of the sensor, each view", "", ""),
    "sensor_depth_error_mm": ("Error of the sensor's depth", "mm", "median over each view"),
}
"""Key -> title, unit, explanation; in this order on the page."""
_PICTURE_PX = 300
_MAX_FAILED = 200
_MAX_REASONS = 40


@dataclass(frozen=True, eq=False)
class Sample:
    """One view to show."""

    view: View
    split: str
    difficulty: int


def report(name: str, numbers: Mapping[str, Any], samples: Sequence[Sample]) -> str:
    """The page.

    Args:
        name: What the dataset is called.
        numbers: What `data.statistics.gather` returns.
        samples: Views to show, by split and by difficulty.

    Returns:
        A whole HTML file: no script, nothing from elsewhere.
    """
    body = [
        _head(name, numbers),
        section("What it holds", [_splits(numbers), _groups(numbers)]),
        section("Pictures", _sheets(samples), "Of each split: picture, labels, instances, depth, suction."),
        section("By difficulty", _levels(samples), "Red free, blue occluded, grey ignored; dashed amodal, x mass."),
        section("Distributions", [_distributions(numbers)], _sampled(numbers)),
        section("Failures", _failures(numbers["failures"])),
        section("Time and memory", _costs(numbers)),
        section("Recipe", _recipe(numbers["dataset"])),
    ]
    return page(f"{name}: dataset report", [part for part in body if part])


def _head(name: str, numbers: Mapping[str, Any]) -> str:
    about, counts = numbers["dataset"], numbers["counts"]
    height, width = about["image_size_px"]
    failed = counts["failed_scenes"]
    lead = (
        f"Made by {about['generator']}, recipe “{about['recipe_name']}”, seed {about['seed']}; "
        f"{width} x {height} px; cups: {', '.join(['its own', *about['more_cups']])}."
    )
    values = {
        "scenes": number(counts["scenes"]),
        "views": number(counts["views"]),
        "labelled instances": number(counts["instances"]),
        "part families": number(counts["families"]),
        f"failed scenes of {number(about['num_scenes'])}": number(failed),
    }
    return f'<header><h1>{safe(name)}</h1><p class="lead">{safe(lead)}</p>{tiles(values)}</header>'


def _splits(numbers: Mapping[str, Any]) -> str:
    rows = []
    for split, counts in numbers["by_split"].items():
        if not counts["views"]:
            continue
        levels = dict(zip(LEVEL_NAMES, counts["views_by_difficulty"], strict=True))
        cells = [number(counts[name]) for name in ("scenes", "views", "instances")]
        rows.append([split, *cells, stack(levels)])
    names = ["split", "scenes", "views", "instances", "views by difficulty"]
    return table(names, rows, markup=frozenset({4})) + key(LEVEL_NAMES, LEVEL_COLOURS)


def _groups(numbers: Mapping[str, Any]) -> str:
    families = {
        name: counts["instances"]
        for name, counts in sorted(numbers["by_family"].items(), key=lambda item: -item[1]["instances"])
    }
    hidden = {
        name: round(100 * numbers["by_family"][name]["occluded"] / max(count, 1), 1) for name, count in families.items()
    }
    groups = [
        card("Instances by family", bars(families)) if families else "",
        card("Occluded share by family", bars(hidden, unit="%")) if families else "",
    ]
    for title, field in (
        ("Scenes by container", "scenes_by_container"),
        ("Scenes by fill", "scenes_by_fill"),
        ("Scenes by light", "scenes_by_light"),
        ("Views by sensor", "views_by_sensor"),
        ("Views without a label of", "views_without"),
    ):
        counts = numbers[field]
        if counts and counts.keys() != {"none"}:
            groups.append(card(title, bars(counts)))
    return cards(groups, wide=True)


def _sheets(samples: Sequence[Sample]) -> list[str]:
    found = []
    for split in dict.fromkeys(sample.split for sample in samples):
        views = [sample.view for sample in samples if sample.split == split][:2]
        sheet = contact_sheet(views, columns=1, panel_px=_PICTURE_PX, notes=[split] * len(views))
        found.append(picture(sheet, f"Split {split}"))
    return found


def _levels(samples: Sequence[Sample]) -> list[str]:
    found = []
    for level, name in enumerate(LEVEL_NAMES, start=1):
        figures = []
        for sample in [one for one in samples if one.difficulty == level][:4]:
            view = sample.view
            height = max(1, round(_PICTURE_PX * view.image.shape[0] / view.image.shape[1]))
            caption = f"Level {name}: scene {view.scene_id} view {view.view_id}, {sample.split}"
            figures.append(picture(labels.outlines(view, height, _PICTURE_PX), caption))
        found.append(pictures(figures))
    return found


def _distributions(numbers: Mapping[str, Any]) -> str:
    shown = []
    for field, (title, unit, about) in _DISTRIBUTIONS.items():
        one = numbers["distributions"].get(field)
        if one is None:
            continue
        shown.append(card(title, _histogram(one, unit), _spread(one, unit, about)))
    return cards(shown)


def _histogram(one: Mapping[str, Any], unit: str) -> str:
    return histogram(one["edges"], one["counts"], median=one["median"], unit=unit)


def _spread(one: Mapping[str, Any], unit: str, about: str = "") -> str:
    gap = f" {unit}" if unit else ""
    text = f"mean {one['mean']:.3g}{gap}; 90 % in {one['p05']:.3g} to {one['p95']:.3g}{gap}; of {number(one['number'])}"
    return f"{about}; {text}" if about else text


def _sampled(numbers: Mapping[str, Any]) -> str:
    return (
        f"Depth and suction are those of {number(numbers['sampled_views'])} views, spread evenly; all else is counted."
    )


def _failures(failures: Mapping[str, Any]) -> list[str]:
    failed = failures["failed_scenes"]
    if not failures["logged_scenes"] and not failed:
        return ['<p class="soft">No scene failed. There is no log of attempts.</p>']
    share = failures["refused_share"]
    text = {
        "Failed scenes": number(len(failed)),
        "Attempts": f"{number(failures['attempts'])} for {number(failures['logged_scenes'])} logged scenes",
        "Refused": f"{number(failures['refused_attempts'])}"
        + (f" ({share:.1%} of the attempts)" if share is not None else ""),
    }
    attempts = max(failures["attempts"], 1)
    reasons = list(failures["reasons"].items())
    rows = [[reason, number(count), f"{count / attempts:.2%}"] for reason, count in reasons[:_MAX_REASONS]]
    scenes = [[f"{one['scene']}: {'; '.join(dict.fromkeys(one['problems']))}"] for one in failed[:_MAX_FAILED]]
    more = len(failed) - _MAX_FAILED
    return [
        facts(text),
        table(["why an attempt was refused", "attempts", "share"], rows),
        table(["failed scenes"], scenes + ([[f"and {more} more"]] if more > 0 else [])),
    ]


def _costs(numbers: Mapping[str, Any]) -> list[str]:
    time = numbers["time"]
    if not time["stages"]:
        return ['<p class="soft">There is no log of times.</p>']
    total = time["total_s"]
    stages = time["stages"]
    rows = [
        [
            name,
            _seconds(one["s_per_view"]),
            number(round(one["total_s"], 1)),
            f"{one['total_s'] / max(total, 1e-9):.0%}",
        ]
        for name, one in stages.items()
    ]
    rows.append(["together", _seconds(time["s_per_view"]), number(round(total, 1)), "100%"])
    shown = [card("Seconds per view by stage", bars({name: one["s_per_view"] or 0.0 for name, one in stages.items()}))]
    if time["per_scene_s"]:
        shown.append(card("Seconds per scene", _histogram(time["per_scene_s"], "s"), _spread(time["per_scene_s"], "s")))
    return [
        '<p class="soft">Seconds of work, summed over processes.</p>',
        table(["stage", "s per view", "s in all", "share"], rows),
        cards(shown, wide=True),
        _memory(numbers["memory_mb"]),
    ]


def _memory(points: Sequence[Sequence[float]]) -> str:
    if not points:
        return ""
    chart = scatter(points, x_name="scenes finished", y_name="MB")
    values = [point[1] for point in points]
    note = f"resident, after each scene; median {np.median(values):.0f}, most {max(values):.0f} MB"
    return card("Memory of the workers over time", chart, note)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _recipe(about: Mapping[str, Any]) -> list[str]:
    cups = {"its own": about["cup"], **about["more_cups"]}
    shown = {
        f"Cup {name}": ", ".join(f"{field} {_value(value)}" for field, value in cup.items())
        for name, cup in cups.items()
    }
    return [facts(shown), folded("All parameters of the recipe", json.dumps(about["recipe"], indent=2))]


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)
