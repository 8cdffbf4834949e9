"""The whole network as plain values: what `build.py` turns into parts, presets are, and a search varies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from graspnext.errors import ConfigError
from graspnext.network.backbones.condenser import BackboneConfig
from graspnext.network.backbones.torchvision_trunk import TorchvisionBackboneConfig
from graspnext.network.heads.box import BoxHeadConfig
from graspnext.network.heads.dense import DenseHeadConfig
from graspnext.network.heads.hierarchical_mask import HierarchicalMaskHeadConfig
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

    backbone: BackboneConfig | TorchvisionBackboneConfig = field(default_factory=BackboneConfig)
    neck: NeckConfig = field(default_factory=NeckConfig)
    rpn: RpnConfig = field(default_factory=RpnConfig)
    box_head: BoxHeadConfig = field(default_factory=BoxHeadConfig)
    mask_head: MaskHeadConfig | HierarchicalMaskHeadConfig = field(default_factory=MaskHeadConfig)
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
    if isinstance(hint, UnionType):
        return _from_dict(_member(hint, value, where), value, where)
    if is_dataclass(hint):
        return _from_dict(hint, value, where)  # type: ignore[arg-type]
    if get_origin(hint) is Literal or hint is bool:
        choices = get_args(hint) or (True, False)
        if not any(value is choice or (isinstance(choice, str) and value == choice) for choice in choices):
            raise ConfigError(where, value, f"one of: {', '.join(map(str, choices))}")
        return value
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


def _member(union: UnionType, values: object, where: str) -> type[Any]:
    """The dataclass of a union whose `kind` the values name; the first where they name none."""
    members = {member.__dataclass_fields__["kind"].default: member for member in get_args(union)}
    kind = values.get("kind", next(iter(members))) if isinstance(values, Mapping) else None
    if not isinstance(kind, str) or kind not in members:
        raise ConfigError(f"{where}.kind", kind, f"one of: {', '.join(map(str, members))}")
    member: type[Any] = members[kind]
    return member


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(where, value, "a number")
    return float(value)
