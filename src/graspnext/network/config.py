"""The whole network as plain values: what `build.py` turns into parts, presets are, and a search varies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

from graspnext.errors import ConfigError
from graspnext.network.backbones.condenser import BackboneConfig
from graspnext.network.heads.box import BoxHeadConfig
from graspnext.network.heads.dense import DenseHeadConfig
from graspnext.network.heads.mask import MaskHeadConfig
from graspnext.network.neck import NeckConfig
from graspnext.network.rpn import RpnConfig
from graspnext.network.sampling import SamplingConfig

T = TypeVar("T")


@dataclass(frozen=True)
class LossWeights:
    """Factor of each loss."""

    rpn_objectness: float = 1.0
    rpn_box: float = 1.0
    box_score: float = 1.0
    box_delta: float = 0.5
    visible_mask: float = 1.0
    amodal_mask: float = 1.0
    occlusion: float = 0.25
    center_of_mass: float = 0.25
    suction: float = 10.0
    """A mean square over a map that is mostly near 0: small unless weighted."""

    def __post_init__(self) -> None:
        for item in fields(self):
            if getattr(self, item.name) < 0:
                raise ConfigError(f"loss_weights.{item.name}", getattr(self, item.name), "at least 0")


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of every part."""

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    neck: NeckConfig = field(default_factory=NeckConfig)
    rpn: RpnConfig = field(default_factory=RpnConfig)
    box_head: BoxHeadConfig = field(default_factory=BoxHeadConfig)
    mask_head: MaskHeadConfig = field(default_factory=MaskHeadConfig)
    dense_head: DenseHeadConfig = field(default_factory=DenseHeadConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    loss_weights: LossWeights = field(default_factory=LossWeights)
    roi_finest_limit_px: float = 96.0
    """Square-root area of boxes below which RoIs are pooled from stride 4; each doubling moves one level up."""
    max_detections: int = 100
    """Rows of the result."""

    def __post_init__(self) -> None:
        if self.max_detections < 1:
            raise ConfigError("max_detections", self.max_detections, "at least 1")
        if self.roi_finest_limit_px <= 0:
            raise ConfigError("roi_finest_limit_px", self.roi_finest_limit_px, "greater than 0")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NetworkConfig:
        """The configuration of a dictionary such as `to_dict` writes; what is left out keeps its default.

        Raises:
            ConfigError: A key is unknown, or a value is of the wrong kind or out of range.
        """
        return _from_dict(cls, values, "network")


def _from_dict(kind: type[T], values: object, where: str) -> T:
    if not isinstance(values, Mapping):
        raise ConfigError(where, values, "a table of settings")
    hints = get_type_hints(kind)
    if unknown := sorted(set(values) - set(hints)):
        raise ConfigError(f"{where}.{unknown[0]}", values[unknown[0]], f"left out; known are: {', '.join(hints)}")
    return kind(**{name: _value(hints[name], value, f"{where}.{name}") for name, value in values.items()})


def _value(hint: Any, value: object, where: str) -> Any:
    if is_dataclass(hint):
        return _from_dict(hint, value, where)  # type: ignore[arg-type]
    if hint is int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ConfigError(where, value, "a whole number")
        return value
    if hint is float:
        return _number(value, where)
    if not isinstance(value, list | tuple):
        raise ConfigError(where, value, "a list of numbers")
    element = hint.__args__[0]
    return tuple(_value(element, item, where) for item in value)


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(where, value, "a number")
    return float(value)
