"""What accumulation, several processes and GPUs rest on: losses are means over images, and wait for no value."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from graspnext.network.backbones.torchvision_trunk import TorchvisionBackboneConfig
from graspnext.network.build import build_network
from graspnext.network.config import NetworkConfig
from graspnext.network.heads.dense import DenseHeadConfig
from graspnext.network.heads.hierarchical_mask import HierarchicalMaskHeadConfig
from graspnext.network.neck import NeckConfig
from graspnext.network.network import Network
from graspnext.network.presets import TINY
from graspnext.types import Targets

Batch = tuple[torch.Tensor, list[Targets]]
SIZE = 96
SMALL_BASELINE = dataclasses.replace(
    TINY,
    backbone=TorchvisionBackboneConfig(trunk="efficientnet_b0"),
    neck=NeckConfig(width=32, finest_conv=True),
    rpn=dataclasses.replace(TINY.rpn, finest_stride=4, level_limits_px=(16.0, 32.0, 64.0, 128.0)),
    mask_head=HierarchicalMaskHeadConfig(roi_size=8, width=16),
    dense_head=DenseHeadConfig(width=16, depth=2, separate=True, stride=8),
)
"""Built like the paper's baselines, but narrow."""

WAITING = {
    "aten::nonzero",
    "aten::_local_scalar_dense",
    "aten::item",
    "aten::is_nonzero",
    "aten::equal",
    "aten::masked_select",
    "aten::unique_dim",
    "aten::_unique2",
    "aten::unique_consecutive",
    "aten::bincount",
    "aten::histc",
    "aten::repeat_interleave",
    "aten::_sync",
    "torchvision::nms",
}
"""Operations whose result has a shape, or is a Python number, that a GPU has to be asked for."""


class NoWaiting(TorchDispatchMode):
    """Notes operations that would make the host wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        self.count += 1
        masks = (
            args[1] if name in {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"} else ()
        )
        if any(mask is not None and mask.dtype in (torch.bool, torch.uint8) for mask in masks):
            self.found.add(f"{name} with a mask")
        if name in WAITING:
            self.found.add(name)
        return func(*args, **(kwargs or {}))


def mixed_batch(draw_view: Callable[..., tuple[torch.Tensor, Targets]]) -> Batch:
    """Images with many, few, no and only ignored instances; one without centres and suction labels."""
    views = [draw_view(size=SIZE, count=count, rng=np.random.default_rng(count)) for count in (9, 3, 5, 4, 6, 2)]
    empty, ignored, unknown = views[2][1], views[3][1], views[4][1]
    for name, value in vars(empty).items():
        if name != "suction":
            setattr(empty, name, value[:0])
    ignored.ignore = torch.ones_like(ignored.ignore)
    unknown.centers = torch.full_like(unknown.centers, torch.nan)
    unknown.suction = torch.full_like(unknown.suction, torch.nan)
    return torch.stack([image for image, _ in views]), [targets for _, targets in views]


def generators(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(k) for k in range(count)]


def fresh(config: NetworkConfig) -> Network:
    torch.manual_seed(0)
    return build_network(config).train()


def total(losses: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(losses.values())).sum()


@pytest.mark.parametrize("config", [TINY, SMALL_BASELINE], ids=["tiny", "small_baseline"])
def test_nothing_in_a_step_waits_for_a_value(config: NetworkConfig, draw_view) -> None:  # type: ignore[no-untyped-def]
    network, (images, targets) = fresh(config), mixed_batch(draw_view)
    with NoWaiting() as mode, torch.autocast("cpu", dtype=torch.bfloat16):
        total(network.losses(images, targets, generators=generators(len(targets)))).backward()  # type: ignore[no-untyped-call]
    assert mode.count > 1000  # it was watched
    assert not mode.found


def test_the_watch_sees_what_waits() -> None:
    values = torch.tensor([1.0, 0.0, 2.0], requires_grad=True)
    with NoWaiting() as mode:
        float(values.detach()[0])
        bool((values > 0).any())
        values[values > 0].sum()
        torch.ones(3, 3).prod(dim=1)
        values[None].prod(dim=1).sum().backward()  # type: ignore[no-untyped-call]
    assert mode.found == {"aten::_local_scalar_dense", "aten::index with a mask"}


@pytest.mark.parametrize("config", [TINY, SMALL_BASELINE], ids=["tiny", "small_baseline"])
def test_a_step_needs_no_values_at_all(config: NetworkConfig, draw_view) -> None:  # type: ignore[no-untyped-def]
    """On tensors without values, by the way that a GPU takes: whatever asks for one raises."""
    network, (images, targets) = fresh(config).to("meta"), mixed_batch(draw_view)
    with NoWaiting() as mode:
        losses = network.losses(images.to("meta"), [t.to("meta") for t in targets], generators=generators(len(targets)))
        total(losses).backward()  # type: ignore[no-untyped-call]
    assert not mode.found
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("config", [TINY, SMALL_BASELINE], ids=["tiny", "small_baseline"])
def test_a_gpu_is_not_waited_for(config: NetworkConfig, draw_view) -> None:  # type: ignore[no-untyped-def]
    network, (images, targets) = fresh(config).cuda(), mixed_batch(draw_view)
    images, targets = images.cuda(), [t.to("cuda") for t in targets]
    sources = [torch.Generator("cuda").manual_seed(k) for k in range(len(targets))]
    total(network.losses(images, targets, generators=sources)).backward()  # type: ignore[no-untyped-call]
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            total(network.losses(images, targets, generators=sources)).backward()  # type: ignore[no-untyped-call]
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("config", [TINY, SMALL_BASELINE], ids=["tiny", "small_baseline"])
@pytest.mark.parametrize("parts", [2, 3, 6])
def test_the_mean_over_parts_is_the_loss_of_the_whole(config: NetworkConfig, parts: int, draw_view) -> None:  # type: ignore[no-untyped-def]
    network, (images, targets) = fresh(config).double(), mixed_batch(draw_view)
    whole = network.losses(images, targets, generators=generators(6))
    total(whole).backward()  # type: ignore[no-untyped-call]
    expected = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    network.zero_grad()
    shares: dict[str, torch.Tensor] = {name: torch.zeros((), dtype=torch.float64) for name in whole}
    step = 6 // parts
    for k in range(0, 6, step):
        part = network.losses(images[k : k + step], targets[k : k + step], generators=generators(6)[k : k + step])
        (total(part) / parts).backward()  # type: ignore[no-untyped-call]
        shares = {name: shares[name] + part[name].detach() / parts for name in shares}
    for name, value in whole.items():
        assert value.dtype == torch.float64
        torch.testing.assert_close(shares[name], value.detach(), rtol=1e-12, atol=1e-12)
    found = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("place", "silent"),
    [
        (2, {"rpn_box", "box_delta", "visible_mask", "amodal_mask", "occlusion"}),
        (3, {"rpn_box", "box_delta", "visible_mask", "amodal_mask", "occlusion"}),
        (4, {"center_of_mass", "suction"}),
        (0, set()),
    ],
)
def test_an_image_is_silent_where_it_has_nothing_to_teach(place: int, silent: set[str], draw_view) -> None:  # type: ignore[no-untyped-def]
    network, (images, targets) = fresh(TINY), mixed_batch(draw_view)
    with torch.no_grad():
        losses = network.losses(images[place, None], [targets[place]], generators=generators(1))
    assert {name for name, value in losses.items() if value == 0} == silent
    assert all(torch.isfinite(value) for value in losses.values())
