"""The contact sheet shows every kind of label: changing one changes its own panel and no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from graspnext.types import Instance, Int32Array, UInt8Array, View
from graspnext.viz import labels
from graspnext.viz.contact_sheet import PANELS, contact_sheet

PICTURE, OUTLINES, INSTANCES, DEPTH, SUCTION = range(PANELS)
PANEL_PX = 96


@pytest.fixture(scope="module")
def view(tiny_view: Callable[..., View]) -> View:
    made = tiny_view("000007", 1, size=96, num_parts=5, rng=np.random.default_rng(1))
    assert any(one.occluded for one in made.labels.instances)
    assert any(not one.occluded for one in made.labels.instances)
    return made


def panels(view: View) -> list[UInt8Array]:
    """The five panels, captions cut off."""
    sheet = contact_sheet([view], columns=1, panel_px=PANEL_PX)
    step = (sheet.shape[1] - 6) // PANELS
    return [sheet[20 : 20 + PANEL_PX, 6 + index * step : 6 + index * step + PANEL_PX] for index in range(PANELS)]


def with_labels(view: View, **changes: Any) -> View:
    return replace(view, labels=replace(view.labels, **changes))


def with_first(view: View, **changes: Any) -> View:
    first, *others = view.labels.instances
    return with_labels(view, instances=(replace(first, **changes), *others))


def moved(mask: Any) -> Any:
    return np.roll(mask, 9, axis=1)


@pytest.mark.parametrize(
    ("panel", "change"),
    [
        (OUTLINES, lambda view: with_first(view, amodal_box=np.array([1, 2, 9, 9], dtype=np.float32))),
        (OUTLINES, lambda view: with_first(view, center_of_mass=np.array([70, 20, 0.5], dtype=np.float32))),
        (OUTLINES, lambda view: with_first(view, amodal_mask=moved(view.labels.instances[0].amodal_mask))),
        (OUTLINES, lambda view: with_first(view, occluded=not view.labels.instances[0].occluded)),
        (OUTLINES, lambda view: with_first(view, ignore=True)),
        (INSTANCES, lambda view: with_first(view, layer=view.labels.instances[0].layer + 1)),
        (INSTANCES, lambda view: with_first(view, occluded_rate=0.77)),
        (DEPTH, lambda view: with_labels(view, depth_m=view.labels.depth_m.T)),
        (SUCTION, lambda view: with_labels(view, suction=view.labels.suction / 2)),
    ],
)
def test_each_label_shows_in_its_own_panel(view: View, panel: int, change: Callable[[View], View]) -> None:
    before, after = panels(view), panels(change(view))
    changed = [index for index in range(PANELS) if not np.array_equal(before[index], after[index])]
    assert changed == [panel]


@pytest.mark.parametrize(("name", "panel"), [("depth", DEPTH), ("suction", SUCTION)])
def test_a_missing_map_is_said_to_be_missing(view: View, name: str, panel: int) -> None:
    key = "depth_m" if name == "depth" else name
    zero = with_labels(view, **{key: np.zeros_like(getattr(view.labels, key))})
    known, missing = panels(zero), panels(with_labels(zero, missing=frozenset({name})))
    assert [i for i in range(PANELS) if not np.array_equal(known[i], missing[i])] == [panel]
    grey = missing[panel]
    assert (grey == grey[..., :1]).all() and (grey == 255).any()  # words in white, and no colour that means a value


def test_outlines_of_visible_masks_show(view: View) -> None:
    seen = next(one for one in view.labels.instances if one.visible_mask.any())
    others = tuple(one for one in view.labels.instances if one is not seen)
    change = with_labels(view, instances=(*others, replace(seen, visible_mask=moved(seen.visible_mask))))
    assert not np.array_equal(panels(view)[OUTLINES], panels(change)[OUTLINES])


def colours_of(view: View, one: Instance) -> UInt8Array:
    """What `outlines` draws for one part on a grey picture."""
    grey = replace(with_labels(view, instances=(one,)), image=np.full_like(view.image, 128))
    picture = labels.outlines(grey, 192, 192).astype(int)
    drawn = np.abs(picture - 128).max(axis=2) > 60
    return picture[drawn].mean(axis=0)


def test_free_parts_are_red_and_occluded_ones_blue(view: View) -> None:
    one = next(one for one in view.labels.instances if not one.occluded)
    red, _, blue = colours_of(view, one)
    assert red > blue + 40
    red, _, blue = colours_of(view, replace(one, occluded=True))
    assert blue > red + 40


def test_suction_is_red_high_green_middle_blue_low(view: View) -> None:
    ids: Int32Array = np.ones((30, 30), dtype=np.int32)
    ids[:, 24:] = 0
    score = np.zeros((30, 30), dtype=np.float32)
    score[:, 8:16], score[:, 16:24] = 0.5, 1.0
    flat = with_labels(replace(view, image=np.full((30, 30, 3), 90, dtype=np.uint8)), instance_ids=ids, suction=score)
    picture = labels.suction(flat, 30, 30)
    assert [int(picture[5, column].argmax()) for column in (4, 12, 20)] == [2, 1, 0]
    assert picture[5, 27].max() <= 30  # background stays dim
    assert len(set(picture[5, 27].tolist())) == 1  # and grey


def test_missing_depth_is_black_and_near_is_red(view: View) -> None:
    depth = np.full((20, 20), 0.9, dtype=np.float32)
    depth[:, :8], depth[:, 16:] = 0.5, 0
    picture = labels.depth(depth, labels.depth_range(depth), 20, 20)
    assert [int(picture[3, column].argmax()) for column in (2, 12)] == [0, 2]
    assert not picture[:, 16:].any()


def test_measured_depth_has_a_panel_in_the_same_colours(view: View) -> None:
    """The last panel: the colours of the clean depth where it was measured well, black holes, others elsewhere."""
    depth = view.labels.depth_m.copy()
    depth[:20], depth[20:40] = 0, depth[20:40] + 0.05
    sheet = contact_sheet([replace(view, sensor="d435", sensor_depth_m=depth), view], columns=1, panel_px=PANEL_PX)
    step = (sheet.shape[1] - 6) // (PANELS + 1)
    clean, measured = (sheet[20 : 20 + PANEL_PX, 6 + step * place :][:, :PANEL_PX] for place in (DEPTH, PANELS))
    np.testing.assert_array_equal(measured[40:], clean[40:])
    assert not measured[:20].any()
    assert (measured[20:40] != clean[20:40]).any()
    below = sheet[20 + PANEL_PX + 26 : 20 + 2 * PANEL_PX, 6 + step * PANELS :]
    assert (below == below[0, 0]).all()  # the other view has none
    assert len(panels(view)) == PANELS


def test_nearby_ids_differ_in_colour() -> None:
    colours = labels.id_colours(np.arange(1, 40, dtype=np.int32)[None]).astype(int)[0]
    for step in (1, 2, 3):
        assert np.abs(colours[step:] - colours[:-step]).sum(axis=1).min() > 60


def test_strips_stand_in_rows_and_columns(view: View) -> None:
    one = contact_sheet([view], columns=3, panel_px=64)
    five = contact_sheet([view] * 5, columns=2, panel_px=64, notes=["train"] * 5)
    assert five.shape[1] == 2 * one.shape[1]
    assert five.shape[0] - 6 == 3 * (one.shape[0] - 6)
    assert five.dtype == np.uint8


def test_notes_show_in_the_caption(view: View) -> None:
    plain, noted = (contact_sheet([view], columns=1, panel_px=300, notes=[note]) for note in ("", "novel"))
    assert not np.array_equal(plain[:20], noted[:20])
    np.testing.assert_array_equal(plain[20:], noted[20:])


def test_views_without_parts_or_depth_are_drawn(view: View) -> None:
    empty = with_labels(
        view,
        instances=(),
        instance_ids=np.zeros_like(view.labels.instance_ids),
        depth_m=np.zeros_like(view.labels.depth_m),
    )
    assert contact_sheet([empty], columns=1, panel_px=64).ndim == 3


def test_mistakes_are_refused(view: View) -> None:
    with pytest.raises(ValueError, match="needs a view"):
        contact_sheet([], columns=1)
    with pytest.raises(ValueError, match="2 notes for 1 views"):
        contact_sheet([view], columns=1, notes=["a", "b"])
