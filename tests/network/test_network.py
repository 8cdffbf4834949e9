"""The promises of the whole network: shapes, learning, reproducibility, the same graph outside torch."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from graspnext.network.backbones.torchvision_trunk import TorchvisionBackboneConfig
from graspnext.network.build import build_network
from graspnext.network.folding import fold
from graspnext.network.heads.dense import DenseHeadConfig
from graspnext.network.heads.hierarchical_mask import HierarchicalMaskHeadConfig
from graspnext.network.neck import NeckConfig
from graspnext.network.network import Detections, Network
from graspnext.network.presets import PRESETS, find_preset
from graspnext.types import Targets

SIZE = 96
NAMES = {
    "rpn_objectness",
    "rpn_box",
    "box_score",
    "box_delta",
    "visible_mask",
    "amodal_mask",
    "occlusion",
    "center_of_mass",
    "suction",
}


def make_batch(draw_view, count: int) -> tuple[torch.Tensor, list[Targets]]:  # type: ignore[no-untyped-def]
    views = [draw_view(size=SIZE, count=5, rng=np.random.default_rng(k)) for k in range(count)]
    return torch.stack([image for image, _ in views]), [targets for _, targets in views]


def generators(seed: int, count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(1000 * seed + k) for k in range(count)]


def train(network: Network, batch: tuple[torch.Tensor, list[Targets]], steps: int) -> list[dict[str, float]]:
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    sources = generators(0, len(batch[1]))
    history = []
    for _ in range(steps):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses = network.losses(*batch, generators=sources)
        total = torch.stack(list(losses.values())).sum()
        total.backward()
        optimizer.step()
        history.append({name: float(value.detach()) for name, value in losses.items()})
    return history


SMALL_BASELINE = dataclasses.replace(
    find_preset("tiny"),
    backbone=TorchvisionBackboneConfig(trunk="mobilenet_v3_large", norm="batch"),
    neck=NeckConfig(width=32, finest_conv=True),
    rpn=dataclasses.replace(find_preset("tiny").rpn, finest_stride=4, level_limits_px=(16.0, 32.0, 64.0, 128.0)),
    mask_head=HierarchicalMaskHeadConfig(roi_size=8, width=16),
    dense_head=DenseHeadConfig(width=16, depth=2, separate=True, stride=8),
)
"""Every kind of part that the paper's baselines are made of, narrow."""
CONFIGS = {**PRESETS, "small_baseline": SMALL_BASELINE}


def fresh(seed: int, preset: str = "tiny") -> Network:
    torch.manual_seed(seed)
    return build_network(CONFIGS[preset])


@pytest.mark.parametrize("preset", ["tiny", "small_baseline"])
def test_learns_two_pictures_and_then_finds_them(preset: str, draw_view) -> None:  # type: ignore[no-untyped-def]
    network, batch = fresh(0, preset), make_batch(draw_view, 2)
    history = train(network, batch, 80)
    first, last = (sum(h.values()) for h in (history[0], history[-1]))
    assert set(history[0]) == NAMES
    assert all(np.isfinite(list(h.values())).all() for h in history)
    assert last < 0.5 * first
    network.eval()
    with torch.no_grad():
        found = network(batch[0][:1].float() / 255)
    wanted = batch[1][0].boxes[~batch[1][0].ignore]
    assert (box_iou(found.boxes[:15], wanted).amax(dim=0) > 0.5).float().mean() >= 0.75


def test_same_seed_same_weights(draw_view) -> None:  # type: ignore[no-untyped-def]
    batch = make_batch(draw_view, 2)
    networks = [fresh(seed) for seed in (4, 4, 5)]
    for network in networks:
        train(network, batch, 3)
    a, b, c = (torch.cat([p.flatten() for p in network.parameters()]) for network in networks)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@pytest.mark.parametrize("preset", ["fast", "small_baseline"])
def test_every_weight_gets_a_gradient(preset: str, draw_view) -> None:  # type: ignore[no-untyped-def]
    network, batch = fresh(0, preset), make_batch(draw_view, 1)
    for name, parameter in network.named_parameters():  # scales that start at 0 hide what is behind them
        if parameter.ndim == 1 and not name.endswith("bias") and not parameter.any():
            torch.nn.init.ones_(parameter)
    losses = network.losses(*batch, generators=generators(0, 1))
    torch.stack(list(losses.values())).sum().backward()
    missing = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not missing


def test_bytes_and_floats_give_the_same_losses(draw_view) -> None:  # type: ignore[no-untyped-def]
    network, (images, targets) = fresh(0), make_batch(draw_view, 2)
    of_bytes = network.losses(images, targets, generators=generators(1, 2))
    of_floats = network.losses(images.float() / 255, targets, generators=generators(1, 2))
    for name in NAMES:
        torch.testing.assert_close(of_bytes[name], of_floats[name])


def test_loss_weights_scale_their_loss(draw_view) -> None:  # type: ignore[no-untyped-def]
    batch = make_batch(draw_view, 1)
    config = find_preset("tiny").to_dict()
    config["loss_weights"] |= {"suction": 20.0, "occlusion": 0.0}
    changed = type(find_preset("tiny")).from_dict(config)
    torch.manual_seed(0)
    weighted = build_network(changed).losses(*batch, generators=generators(0, 1))
    plain = fresh(0).losses(*batch, generators=generators(0, 1))
    torch.testing.assert_close(weighted["suction"], 2 * plain["suction"])
    assert weighted["occlusion"].item() == 0


@pytest.mark.parametrize("ignored", [True, False])
def test_views_without_instances_train(ignored: bool, draw_view) -> None:  # type: ignore[no-untyped-def]
    network, (images, targets) = fresh(0), make_batch(draw_view, 1)
    view = targets[0]
    if ignored:
        view.ignore = torch.ones_like(view.ignore)
    else:
        empty = {name: getattr(view, name)[:0] for name in vars(view) if name != "suction"}
        view = Targets(**empty, suction=view.suction)
    losses = network.losses(images, [view], generators=generators(0, 1))
    torch.stack(list(losses.values())).sum().backward()
    assert all(torch.isfinite(value) for value in losses.values())
    assert losses["rpn_box"].item() == 0
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def check_detections(found: Detections, height: int, width: int, cells: int) -> None:
    assert found.scores.shape == (100,)
    assert found.boxes.shape == (100, 4)
    assert found.visible_masks.shape == found.amodal_masks.shape == (100, cells, cells)
    assert found.occluded.shape == (100,)
    assert found.centers.shape == (100, 2)
    assert found.suction.shape == (height // 4, width // 4)
    assert all(value.dtype == torch.float32 for value in found)
    for value in (found.scores, found.visible_masks, found.amodal_masks, found.occluded, found.suction):
        assert value.min() >= 0
        assert value.max() <= 1
    assert (found.scores[1:] <= found.scores[:-1]).all()
    assert (found.boxes >= 0).all()
    assert (found.boxes <= torch.tensor([width, height, width, height])).all()
    assert (found.boxes[found.scores == 0] == 0).all()
    overlap = box_iou(found.boxes, found.boxes)[found.scores > 0][:, found.scores > 0]
    assert (overlap - torch.eye(len(overlap))).max() <= 0.6 + 1e-5


@pytest.mark.parametrize(
    ("preset", "height", "width"), [("tiny", 96, 160), ("tiny", 32, 32), ("fast", 96, 128), ("small_baseline", 96, 64)]
)
def test_detections_keep_their_shapes_and_ranges(preset: str, height: int, width: int) -> None:
    network = fresh(0, preset).eval()
    with torch.no_grad():
        found = network(torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)))
    check_detections(found, height, width, CONFIGS[preset].mask_head.mask_size)
    assert found.scores.max() > 0


def test_state_round_trip() -> None:
    one, other = fresh(0).eval(), fresh(1).eval()
    image = torch.rand(1, 3, SIZE, SIZE)
    other.load_state_dict(one.state_dict(), strict=True)
    with torch.no_grad():
        for ours, theirs in zip(one(image), other(image), strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("preset", ["tiny", "small_baseline"])
def test_onnx_runtime_agrees_with_torch(preset: str, tmp_path: Path, draw_view) -> None:  # type: ignore[no-untyped-def]
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network, batch = fresh(0, preset), make_batch(draw_view, 2)
    train(network, batch, 30)  # so that detections, masks and suppression are not those of noise
    network = fold(network.eval())
    image = batch[0][:1].float() / 255
    path = tmp_path / "network.onnx"
    program = torch.onnx.export(network, (image,), dynamo=True, opset_version=18, input_names=["image"], verbose=False)
    assert program is not None
    program.save(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    other = batch[0][1:].float() / 255  # not the picture it was traced with
    for picture in (image, other):
        with torch.no_grad():
            expected = network(picture)
        assert (expected.scores > 0).sum() > 3
        found = Detections(*map(torch.from_numpy, session.run(None, {"image": picture.numpy()})))
        torch.testing.assert_close(found.scores, expected.scores, atol=1e-4, rtol=1e-4)
        order = torch.cdist(expected.boxes, found.boxes).argmin(dim=1)  # equal scores may come in either order
        for name in Detections._fields:
            theirs = getattr(found, name)
            theirs = theirs if name in ("scores", "suction") else theirs[order]
            torch.testing.assert_close(theirs, getattr(expected, name), atol=1e-4, rtol=1e-4)
