"""Well-known trunks from torchvision: the backbones of the paper's three baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, Literal, cast

from torch import Tensor, nn
from torchvision import models
from torchvision.models.efficientnet import MBConv
from torchvision.models.mobilenetv3 import InvertedResidual
from torchvision.models.resnet import Bottleneck
from torchvision.ops import FrozenBatchNorm2d

from graspnext.errors import ConfigError
from graspnext.network.blocks.depthwise import swap_depthwise

Trunk = Literal["resnet50", "efficientnet_b0", "mobilenet_v3_large"]


@dataclass(frozen=True)
class _Taps:
    """Where a trunk's maps at strides 4, 8, 16 and 32 leave it."""

    make: Callable[..., nn.Module]
    ends: tuple[int, int, int, int]
    """Children of the trunk (of its `features`, where it has them) up to and including each tap."""
    widths: tuple[int, int, int, int]
    eps: float = 1e-5
    """What its batch normalisations add to the variance: part of what pretrained weights mean."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of `make`."""


_TRUNKS: dict[str, _Taps] = {
    # conv1, bn1, relu, maxpool, then one child a stage
    "resnet50": _Taps(models.resnet50, (5, 6, 7, 8), (256, 512, 1024, 2048)),
    # the last block of each resolution; at stride 32 the 1x1 convolution that closes the trunk
    # Without stochastic depth, which regularises trainings far longer than ours: the other trunks have none, so all
    # learn under equal conditions; and it draws from torch's global generator, so losses would depend on the sharding.
    "efficientnet_b0": _Taps(
        models.efficientnet_b0, (3, 4, 6, 9), (24, 40, 112, 1280), options={"stochastic_depth_prob": 0.0}
    ),
    "mobilenet_v3_large": _Taps(models.mobilenet_v3_large, (4, 7, 13, 17), (24, 40, 112, 960), eps=1e-3),
}

CHANNELS_PER_GROUP = 16
"""Channels that are normalised together; fewer where a layer is not a multiple of it."""
NORMS = ("batch", "group", "frozen_batch")
MIN_BATCH = 4
"""Images from which on batch statistics are worth having (Wu and He, ECCV 2018, Figure 1: below, errors soar)."""


@dataclass(frozen=True)
class TorchvisionBackboneConfig:
    """A trunk of torchvision without its classifier, with maps at strides 4, 8, 16 and 32."""

    kind: Literal["torchvision"] = "torchvision"
    trunk: Trunk = "resnet50"
    norm: Literal["batch", "group", "frozen_batch"] = "group"
    """"batch" learns from scratch and is folded into the convolutions when deployed, but wants `MIN_BATCH` images in
    each part of a batch; "group" learns from scratch at any batch size, and costs time wherever it runs; "frozen_batch"
    keeps the statistics and scales that pretrained weights bring, and without such weights normalises nothing. Filters
    learn in all stages in any case, so that every row of a table learns alike; to freeze the first stages too, as
    detectors often do, would save time and memory."""

    def __post_init__(self) -> None:
        if self.kind != "torchvision":
            raise ConfigError("backbone.kind", self.kind, "'torchvision' here")
        if self.trunk not in _TRUNKS:
            raise ConfigError("backbone.trunk", self.trunk, f"one of: {', '.join(_TRUNKS)}")
        if self.norm not in NORMS:
            raise ConfigError("backbone.norm", self.norm, f"one of: {', '.join(NORMS)}")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each map."""
        return _TRUNKS[self.trunk].widths


class FrozenNorm(FrozenBatchNorm2d):  # type: ignore[misc]  # torchvision has no types
    """Batch normalisation with fixed statistics and scales, in the precision of its input.

    Torchvision's own writes float32 maps under autocast: a fifth slower on a CPU, and twice the memory.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        out: Tensor = x * scale.to(x.dtype)[:, None, None] + shift.to(x.dtype)[:, None, None]
        return out


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation (Wu and He, ECCV 2018), independent of the batch size.

    Args:
        channels: Channels of the map; groups hold 16 of them, or the largest power of two that divides them.
    """
    size = CHANNELS_PER_GROUP
    while channels % size:
        size //= 2
    return nn.GroupNorm(channels // size, channels)


def start_as_shortcuts(body: nn.Module) -> None:
    """Let residual blocks add nothing at the start: the scale of the last norm of each is set to 0.

    After Goyal et al. (arXiv 1706.02677, section 5.1), as `fast` does. Blocks that change the size of maps work from
    the start: every 3x3 convolution of ResNet-50 would be silent otherwise. Pretrained weights bring their own scales.

    Args:
        body: A trunk of torchvision whose norms have scales that are learnt.
    """
    for block in body.modules():
        if isinstance(block, Bottleneck) and block.downsample is None:
            nn.init.zeros_(block.bn3.weight)
        elif isinstance(block, MBConv | InvertedResidual) and block.use_res_connect:
            nn.init.zeros_(block.block[-1][1].weight)


class TorchvisionBackbone(nn.Module):
    """Image to feature maps at strides 4, 8, 16, 32. Weights are drawn at random; nothing is ever fetched.

    Pretrained ones come from a file: `backbones.pretrained`.
    """

    def __init__(self, config: TorchvisionBackboneConfig) -> None:
        super().__init__()
        taps = _TRUNKS[config.trunk]
        norms: dict[str, Callable[[int], nn.Module]] = {
            "batch": partial(nn.BatchNorm2d, eps=taps.eps),
            "group": group_norm,
            "frozen_batch": partial(FrozenNorm, eps=taps.eps),
        }
        trunk = taps.make(weights=None, norm_layer=norms[config.norm], **taps.options)
        body = cast("nn.Module", getattr(trunk, "features", trunk))
        swap_depthwise(body)
        if config.norm != "frozen_batch":
            start_as_shortcuts(body)
        prefix = "" if body is trunk else "features."
        names, layers = zip(*body.named_children(), strict=True)
        self.config = config
        self.stages = nn.ModuleList(nn.Sequential(*layers[a:b]) for a, b in pairwise((0, *taps.ends)))
        self._source = {
            f"stages.{stage}.{index}": f"{prefix}{name}"
            for stage, (a, b) in enumerate(pairwise((0, *taps.ends)))
            for index, name in enumerate(names[a:b])
        }

    def source_names(self) -> dict[str, str]:
        """Own name of each tensor -> its name in torchvision: "stages.1.0.0.bn1.bias" -> "layer2.0.bn1.bias"."""
        split = [(own, *own.split(".", 3)) for own in self.state_dict()]
        return {own: f"{self._source[f'{a}.{b}.{c}']}.{rest}" for own, a, b, c, rest in split}

    def forward(self, image: Tensor) -> list[Tensor]:
        """Normalised image (B, 3, H, W), multiples of 32, to four maps (B, widths[i], H / 4 / 2^i, W / 4 / 2^i)."""
        x, maps = image, []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps
