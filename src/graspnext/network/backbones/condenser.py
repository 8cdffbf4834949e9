"""A lean residual backbone: anti-aliased steps down, dense 3x3 blocks, attention condensers where maps are small.

Dense 3x3 convolutions train and run faster on matrix units than depthwise ones of a sixth of their arithmetic, and
high-resolution maps cost memory traffic: the first stages are narrow and short, the
capacity sits at strides 8 to 32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from graspnext.errors import ConfigError
from graspnext.network.blocks.attention_condenser import VisualAttentionCondenser
from graspnext.network.blocks.conv import ResidualBlock
from graspnext.network.blocks.downsample import TAPS, AntiAliasedDown

STAGES = 4


@dataclass(frozen=True)
class BackboneConfig:
    """Four stages at strides 4, 8, 16 and 32 behind a stem at stride 2."""

    kind: Literal["condenser"] = "condenser"
    stem_channels: int = 32
    """Width of the first convolution, at stride 2."""
    widths: tuple[int, ...] = (48, 96, 192, 256)
    """Channels of each stage."""
    depths: tuple[int, ...] = (1, 2, 3, 2)
    """Residual blocks of each stage."""
    taps: tuple[int, ...] = (2, 2, 4, 4)
    """Length of the binomial filter before each stage's step down."""
    condensers: tuple[int, ...] = (0, 0, 1, 1)
    """Visual attention condensers that close each stage."""

    def __post_init__(self) -> None:
        if self.kind != "condenser":
            raise ConfigError("backbone.kind", self.kind, "'condenser' here")
        for name in ("widths", "depths", "taps", "condensers"):
            if len(getattr(self, name)) != STAGES:
                raise ConfigError(f"backbone.{name}", getattr(self, name), f"{STAGES} numbers, one a stage")
        for name in ("widths", "depths"):
            if min(getattr(self, name)) < 1:
                raise ConfigError(f"backbone.{name}", getattr(self, name), "at least 1 in every stage")
        if any(taps not in TAPS for taps in self.taps):
            raise ConfigError("backbone.taps", self.taps, f"numbers out of {TAPS}")
        if any(width % 8 for width in (*self.widths, self.stem_channels)) or self.stem_channels < 1:
            raise ConfigError("backbone.widths", (self.stem_channels, *self.widths), "positive multiples of 8")


class CondenserBackbone(nn.Module):
    """Image to feature maps at strides 4, 8, 16, 32."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, config.stem_channels, 3, stride=2, padding=1)
        nn.init.kaiming_normal_(self.stem.weight, nonlinearity="relu")
        nn.init.zeros_(self.stem.bias)  # type: ignore[arg-type]
        stages, channels = [], config.stem_channels
        for width, depth, taps, condensers in zip(
            config.widths, config.depths, config.taps, config.condensers, strict=True
        ):
            layers: list[nn.Module] = [AntiAliasedDown(channels, width, taps=taps)]
            layers += [ResidualBlock(width) for _ in range(depth)]
            layers += [VisualAttentionCondenser(width) for _ in range(condensers)]
            stages.append(nn.Sequential(*layers))
            channels = width
        self.stages = nn.ModuleList(stages)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Normalised image (B, 3, H, W), multiples of 32, to four maps (B, widths[i], H / 4 / 2^i, W / 4 / 2^i)."""
        # No normalisation here: at stride 2 it would cost more than the convolution.
        x = functional.relu_(self.stem(image))
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps
