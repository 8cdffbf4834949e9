"""The least time that each layer could take on a machine, against the time that it takes.

A layer cannot be quicker than its operations at the machine's peak, nor than its bytes at the machine's bandwidth: the
larger of the two is its roof. What it takes beyond that is lost, and a table of it says where to look next.

Source: S. Williams, A. Waterman, D. Patterson: Roofline: an insightful visual performance model for multicore
architectures, Communications of the ACM 52(4), 2009. Peak and bandwidth are measured here (`peaks.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from graspnext.deploy.timing.operators import LAYOUT_KINDS

ARITHMETIC = {"f32": "fp32", "bf16": "bf16", "i8": "int8", "u8": "int8"}
"""Precision of a layer, as runtimes name it -> ours."""
_LOOK_UPS = frozenset({"ROIAlign", "RoiAlign", "NonMaxSuppression", "TopK", "NonZero", "ScatterUpdate", "ScatterND"})


@dataclass(frozen=True)
class RoofedLayer:
    """A layer and its roof, ms."""

    name: str
    part: str
    kind: str
    implementation: str
    output: tuple[int, ...]
    gmacs: float
    mb: float
    compute_ms: float
    """Its operations at the peak of its precision."""
    memory_ms: float
    """Its bytes at the bandwidth."""
    measured_ms: float

    @property
    def roof_ms(self) -> float:
        """The least that it could take."""
        return max(self.compute_ms, self.memory_ms)

    @property
    def lost_ms(self) -> float:
        """What it takes beyond that; below 0 where caches are quicker than the bandwidth that was measured."""
        return self.measured_ms - self.roof_ms

    @property
    def bound(self) -> str:
        """Which of the two is its roof."""
        return "compute" if self.compute_ms > self.memory_ms else "memory"

    @property
    def cause(self) -> str:
        """Why it can take longer than its roof."""
        if self.kind in LAYOUT_KINDS:
            return "layout and precision changes"
        if self.kind.startswith("depthwise"):
            return "depthwise convolutions"
        if self.gmacs > 0:
            return "convolutions and products below peak" if self.bound == "compute" else "thin convolutions: memory"
        return "look-ups and selections" if self.kind in _LOOK_UPS else "elementwise work, resizing, copies"


def roofline(profile: Mapping[str, Any], peaks: Mapping[str, Mapping[str, Any]], *, precision: str) -> dict[str, Any]:
    """Put a roof over every layer.

    Args:
        profile: Of `operators.profile_layers`.
        peaks: Precision -> what `peaks.measure_peaks` found, for all in which layers with operations run.
        precision: Of the form; taken for layers that do not say theirs.

    Returns:
        `layers`, most lost first, as the fields and properties of `RoofedLayer`; `kinds`, `parts` and `causes`, sums
        over them; `total`; `peaks`; `between_ms`: time of whole calls that no layer accounts for.
    """
    width = float(max(one["gb_per_s"]["best"] for one in peaks.values()))
    rates = {name: float(one["gmacs_per_s"]["best"]) for name, one in peaks.items()}
    layers = [
        _roofed(one, rates.get(ARITHMETIC.get(one["precision"], precision), math.inf), width)
        for one in profile["layers"]
    ]
    layers.sort(key=lambda one: -one.lost_ms)
    total = _sum("total", layers)
    return {
        "peaks": {name: dict(one) for name, one in peaks.items()},
        "wall_ms": profile["wall_ms"],
        "between_ms": round(profile["wall_ms"] - total["measured_ms"], 3),
        "total": total,
        "parts": _sums(layers, lambda one: one.part),
        "kinds": _sums(layers, lambda one: one.kind),
        "causes": _sums(layers, lambda one: one.cause),
        "layers": [_row(one) for one in layers],
    }


def _roofed(layer: Mapping[str, Any], gmacs_per_s: float, gb_per_s: float) -> RoofedLayer:
    same = ("name", "part", "kind", "implementation", "output", "gmacs", "mb")
    return RoofedLayer(
        **{name: layer[name] for name in same},
        compute_ms=layer["gmacs"] / gmacs_per_s * 1e3,
        memory_ms=layer["mb"] / gb_per_s,
        measured_ms=layer["ms"],
    )


def _row(layer: RoofedLayer) -> dict[str, Any]:
    values = asdict(layer) | {"roof_ms": layer.roof_ms, "lost_ms": layer.lost_ms}
    rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in values.items()}
    return {**rounded, "bound": layer.bound, "cause": layer.cause}


def _sum(name: str, layers: Iterable[RoofedLayer]) -> dict[str, Any]:
    every = list(layers)
    sums = {
        key: round(sum(getattr(one, key) for one in every), 3)
        for key in ("gmacs", "mb", "compute_ms", "memory_ms", "roof_ms", "measured_ms", "lost_ms")
    }
    return {"name": name, "layers": len(every), **sums}


def _sums(layers: Sequence[RoofedLayer], key: Callable[[RoofedLayer], str]) -> list[dict[str, Any]]:
    groups: dict[str, list[RoofedLayer]] = {}
    for layer in layers:
        groups.setdefault(key(layer), []).append(layer)
    return sorted((_sum(name, group) for name, group in groups.items()), key=lambda one: -one["lost_ms"])
