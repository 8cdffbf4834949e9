"""Labels that a data set of others lacks: no loss, no metric, and nothing invented in their place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from graspnext.data.augmentation import AugmentationConfig, augment
from graspnext.data.check import check_dataset
from graspnext.data.format import DatasetInfo, ManifestEntry
from graspnext.data.loader import collate
from graspnext.data.reader import Dataset
from graspnext.data.writer import write_dataset_info, write_manifest, write_scene
from graspnext.learning.evaluate import evaluate
from graspnext.learning.metrics.accumulator import MetricAccumulator
from graspnext.network.build import build_network
from graspnext.network.losses.dense import center_loss, center_target, suction_loss
from graspnext.network.presets import find_preset
from graspnext.network.truth import gather_truth
from graspnext.types import Prediction, UInt8Array, View

NAN3 = np.full(3, np.nan, dtype=np.float32)


def without(view: View, *, centers: tuple[int, ...] = (), missing: frozenset[str] = frozenset()) -> View:
    """The same view, with the centres of those ids and the named maps unknown."""
    instances = tuple(
        dataclasses.replace(one, center_of_mass=NAN3) if one.id in centers else one for one in view.labels.instances
    )
    labels = dataclasses.replace(view.labels, instances=instances, missing=missing)
    if "suction" in missing:
        labels = dataclasses.replace(labels, suction=np.zeros_like(labels.suction))
    return dataclasses.replace(view, labels=labels)


@pytest.fixture
def view(tiny_view: Callable[..., View]) -> View:
    made = tiny_view("000000", 0, size=96, num_parts=5, rng=np.random.default_rng(3))
    assert isinstance(made, View)
    return made


def said(view: View, *, shift: float = 0.0) -> Prediction:
    """All instances found, their centres off by `shift` px; unknown ones said to be in the middle of their boxes."""
    found = view.labels.instances
    boxes = np.stack([one.amodal_box for one in found])
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    centers = np.stack([one.center_of_mass[:2] for one in found])
    masks = np.ones((len(found), 4, 4), dtype=np.float32)
    return Prediction(
        width=view.image.shape[1],
        height=view.image.shape[0],
        scores=np.linspace(0.9, 0.5, len(found), dtype=np.float32),
        amodal_boxes=boxes,
        visible_masks=masks,
        amodal_masks=masks,
        occluded_probability=np.array([float(one.occluded) for one in found], dtype=np.float32),
        center_of_mass=np.where(np.isnan(centers), middle, centers) + np.float32(shift),
        suction=np.zeros((24, 24), dtype=np.float32),
    )


def test_an_unknown_centre_is_neither_wanted_nor_wrong(view: View) -> None:
    ids = tuple(one.id for one in view.labels.instances)
    known, some = MetricAccumulator(), MetricAccumulator()
    known.add(view, said(view))
    some.add(without(view, centers=ids[:2]), said(without(view, centers=ids[:2])))
    assert known.result()["center_of_mass_ap"] == some.result()["center_of_mass_ap"] == pytest.approx(1)
    none = MetricAccumulator()
    none.add(without(view, centers=ids), said(view))
    result = none.result()
    assert np.isnan(result["center_of_mass_ap"]) and np.isnan(result["center_of_mass_median_px"])
    assert result["amodal_box_ap"] == pytest.approx(known.result()["amodal_box_ap"])


def test_a_known_centre_still_counts_beside_unknown_ones(view: View) -> None:
    first = view.labels.instances[0].id
    wrong = MetricAccumulator()
    wrong.add(without(view, centers=(first,)), said(view, shift=60.0))
    assert wrong.result()["center_of_mass_ap"] < 0.5


def test_a_missing_suction_map_is_not_measured(view: View) -> None:
    partial = MetricAccumulator()
    partial.add(without(view, missing=frozenset({"suction"})), said(view))
    assert np.isnan(partial.result()["heatmap_mse"])
    both = MetricAccumulator()
    both.add(view, said(view))
    alone = both.result()["heatmap_mse"]
    both.add(without(view, missing=frozenset({"suction"})), said(view))
    assert both.result()["heatmap_mse"] == alone > 0


def test_unknown_cells_give_no_suction_loss_and_no_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 6, 6, generator=generator, requires_grad=True)
    wanted = torch.rand(2, 6, 6, generator=generator)
    wanted[1] = torch.nan
    loss, unknown = suction_loss(logits, wanted)
    (loss + unknown).backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(torch.nn.functional.mse_loss(torch.sigmoid(logits[0]), wanted[0]).item())
    assert logits.grad is not None
    assert logits.grad[0].abs().min() > 0 and logits.grad[1].abs().max() == 0
    assert unknown.item() == 0


def test_unknown_centres_give_no_centre_loss(view: View) -> None:
    config = AugmentationConfig(size=96, scale_range=(1.0, 1.0), flip=False, rotate90=False)
    ids = tuple(one.id for one in view.labels.instances)
    top = max(one.id for one in view.labels.instances)
    samples = [
        augment(v, config, rng=np.random.default_rng(0))
        for v in (view, without(view, centers=(top,)), without(view, centers=ids))
    ]
    _, targets, _ = collate(samples, range(len(samples)))
    (full, all_known), (heat, some), (_, nothing) = zip(*center_target(gather_truth(targets), (24, 24), 4), strict=True)
    box = next(one.amodal_box for one in view.labels.instances if one.id == top) / 4
    inside = (slice(int(np.ceil(box[1])), int(box[3])), slice(int(np.ceil(box[0])), int(box[2])))
    assert float(some[inside].max()) == 0 < float(all_known[inside].max())
    assert float(some.sum()) > 0 and int((heat == 1).sum()) == int((full == 1).sum()) - 1
    logits = torch.zeros(1, 24, 24, requires_grad=True)
    loss = center_loss(logits, heat[None], nothing[None])
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0 and logits.grad is not None and logits.grad.abs().max() == 0


def test_a_network_learns_the_other_tasks_from_a_view_without_suction_and_centres(view: View) -> None:
    ids = tuple(one.id for one in view.labels.instances)
    partial = without(view, centers=ids, missing=frozenset({"suction"}))
    config = AugmentationConfig(size=96, scale_range=(1.0, 1.0))
    images, targets, _ = collate([augment(partial, config, rng=np.random.default_rng(0))], [0])
    torch.manual_seed(0)
    network = build_network(find_preset("tiny")).train()
    losses = network.losses(images, targets, generators=[torch.Generator().manual_seed(0)])
    assert losses["suction"].item() == losses["center_of_mass"].item() == 0
    others = {name: value for name, value in losses.items() if name not in {"suction", "center_of_mass"}}
    assert all(torch.isfinite(value) and value.item() > 0 for value in others.values())
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert gradients and all(torch.isfinite(g).all() for g in gradients)


def test_what_is_missing_survives_the_disk_and_shows_in_the_report(view: View, tmp_path: Path) -> None:
    pose = np.full((4, 4), np.nan)
    partial = without(view, centers=(1,), missing=frozenset({"suction", "camera", "depth"}))
    instances = tuple(dataclasses.replace(one, T_camera_part=pose) for one in partial.labels.instances)
    labels = dataclasses.replace(
        partial.labels,
        instances=instances,
        depth_m=np.zeros_like(view.labels.depth_m),
        approximate=frozenset({"center_of_mass"}),
    )
    files = write_scene(tmp_path, "a", scene_info={}, views=iter([dataclasses.replace(partial, labels=labels)]))
    entries = [ManifestEntry(scene="a", split="test", **dict(one)) for one in files]
    write_manifest(tmp_path, entries)
    info = DatasetInfo(generator="tests", recipe_name="x", recipe={}, seed=0, cup={}, num_scenes=1, image_size=(96, 96))
    write_dataset_info(tmp_path, info)
    assert check_dataset(tmp_path) == []
    dataset = Dataset(tmp_path)
    back = dataset.read(dataset.entries[0])
    assert back.labels.missing == {"suction", "camera", "depth"}
    assert back.labels.approximate == {"center_of_mass"}
    unknown = {one.id for one in back.labels.instances if np.isnan(one.center_of_mass).all()}
    assert unknown == {1} and all(np.isnan(one.T_camera_part).all() for one in back.labels.instances)

    def predict(image: UInt8Array) -> Prediction:
        return said(view)

    report = evaluate(predict, dataset, "test", limit=None)
    assert report["metrics"]["heatmap_mse"] is None and report["metrics"]["center_of_mass_ap"] is not None
    gaps = ("approximate center_of_mass", "missing camera", "missing center_of_mass", "missing depth")
    assert report["label_gaps"] == dict.fromkeys([*gaps, "missing suction"], 1)
