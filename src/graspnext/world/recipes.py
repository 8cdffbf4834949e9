"""Recipes: every number that decides what the world looks like. Plain values, stored whole with each dataset."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from graspnext.errors import ConfigError, UnknownNameError
from graspnext.world.cup import CupConfig
from graspnext.world.parts.families import FAMILIES, NOVEL_FAMILIES, TRAIN_FAMILIES

CONTAINER_KINDS = ("tote", "carton", "table")


def _check_range(name: str, value: tuple[float, float], low: float, high: float) -> None:
    if not low <= value[0] <= value[1] <= high:
        raise ConfigError(name, value, f"a pair (low, high) with {low} <= low <= high <= {high}")


@dataclass(frozen=True)
class CameraRanges:
    """Where cameras stand. The first view of a scene is roughly overhead, the others lie on a hemisphere."""

    field_of_view_rad: tuple[float, float] = (math.radians(35), math.radians(65))
    """Full angle over the shorter side of the picture."""
    overhead_tilt_rad: tuple[float, float] = (0.0, math.radians(12))
    """Angle between the optical axis and straight down, first view."""
    tilt_rad: tuple[float, float] = (0.0, math.radians(45))
    """The same, other views."""
    fill: tuple[float, float] = (0.5, 1.3)
    """Longer side of the container over the shorter side of the picture, both at three quarters of its height."""
    roll_rad: float = math.radians(12)
    """Largest roll of tilted views; overhead ones turn freely."""
    clearance_m: float = 0.25
    """Least distance from the camera to the container's rim."""

    def __post_init__(self) -> None:
        _check_range("camera.field_of_view_rad", self.field_of_view_rad, 0.1, 2.5)
        _check_range("camera.overhead_tilt_rad", self.overhead_tilt_rad, 0.0, 1.2)
        _check_range("camera.tilt_rad", self.tilt_rad, 0.0, 1.2)
        _check_range("camera.fill", self.fill, 0.05, 5.0)
        if not 0 <= self.roll_rad <= math.pi:
            raise ConfigError("camera.roll_rad", self.roll_rad, "in [0, pi]")
        if not self.clearance_m > 0:
            raise ConfigError("camera.clearance_m", self.clearance_m, "greater than 0")


@dataclass(frozen=True)
class LookRanges:
    """How bright, how warm and how hard the light is. Intensities are drawn evenly in their logarithm."""

    directional_lux: tuple[float, float] = (1e4, 7e4)
    """Illuminance of the one directional light."""
    ambient_lux: tuple[float, float] = (1.5e4, 4.5e4)
    """Illuminance of the uniform sky: keeps the darkest picture readable."""
    lamp_lux: tuple[float, float] = (3e3, 2.5e4)
    """Illuminance that each extra lamp gives at the container's middle."""
    num_lamps: tuple[int, int] = (0, 3)
    """Point and spot lights beside the directional one."""
    temperature_k: tuple[float, float] = (4200.0, 8500.0)
    """Colour temperature of each light."""
    exposure: tuple[float, float] = (0.8, 1.4)
    no_shadow_probability: float = 0.3
    """Share of scenes under light so wide that the directional light casts no visible shadow."""

    def __post_init__(self) -> None:
        for name in ("directional_lux", "ambient_lux", "lamp_lux"):
            _check_range(f"look.{name}", getattr(self, name), 1.0, 1e6)
        _check_range("look.num_lamps", self.num_lamps, 0, 8)
        _check_range("look.temperature_k", self.temperature_k, 1500.0, 20000.0)
        _check_range("look.exposure", self.exposure, 0.05, 20.0)
        if not 0 <= self.no_shadow_probability <= 1:
            raise ConfigError("look.no_shadow_probability", self.no_shadow_probability, "in [0, 1]")


@dataclass(frozen=True)
class Recipe:
    """Everything that `world make` needs beside a seed."""

    families: tuple[str, ...] = TRAIN_FAMILIES
    """Part families of ordinary scenes."""
    novel_families: tuple[str, ...] = tuple(sorted(NOVEL_FAMILIES))
    """Part families of `novel` scenes; never in ordinary ones."""
    novel_every: int = 10
    """Every how many scenes one is `novel`; 0 = never."""
    parts_per_scene: tuple[int, int] = (3, 28)
    """Placements dropped into a scene, before what the container's room allows."""
    distinct_parts: tuple[int, int] = (2, 9)
    """Different parts that the placements of a scene are drawn from, unless it holds copies of a single one."""
    single_part_probability: float = 0.12
    """Share of scenes that hold many copies of one part, as bins in production do."""
    containers: dict[str, float] = field(default_factory=lambda: {"tote": 0.5, "carton": 0.2, "table": 0.3})
    """Kind of container -> weight."""
    views: int = 4
    """Views of each scene."""
    image_size: tuple[int, int] = (512, 512)
    """(height, width) px."""
    min_visible_px: int = 64
    """Instances with fewer visible pixels are marked `ignore`."""
    camera: CameraRanges = field(default_factory=CameraRanges)
    look: LookRanges = field(default_factory=LookRanges)
    cup: CupConfig = field(default_factory=CupConfig)

    def __post_init__(self) -> None:
        self._check_families()
        self._check_containers()
        _check_range("parts_per_scene", self.parts_per_scene, 1, 200)
        _check_range("distinct_parts", self.distinct_parts, 1, 64)
        if not 0 <= self.single_part_probability <= 1:
            raise ConfigError("single_part_probability", self.single_part_probability, "in [0, 1]")
        if self.views < 1:
            raise ConfigError("views", self.views, "at least 1")
        if min(self.image_size) < 32 or max(self.image_size) > 4096:
            raise ConfigError("image_size", self.image_size, "(height, width), each in 32..4096 px")
        if self.min_visible_px < 1:
            raise ConfigError("min_visible_px", self.min_visible_px, "at least 1")

    def _check_families(self) -> None:
        for name in (*self.families, *self.novel_families):
            if name not in FAMILIES:
                raise UnknownNameError("part family", name, FAMILIES)
        if not self.families:
            raise ConfigError("families", self.families, "at least one part family")
        if shared := set(self.families) & set(self.novel_families):
            raise ConfigError("novel_families", sorted(shared), "families that are not in `families`")
        if self.novel_every < 0 or (self.novel_every and not self.novel_families):
            raise ConfigError("novel_every", self.novel_every, "0, or positive with at least one novel family")

    def _check_containers(self) -> None:
        for kind, weight in self.containers.items():
            if kind not in CONTAINER_KINDS:
                raise UnknownNameError("container", kind, CONTAINER_KINDS)
            if weight < 0:
                raise ConfigError(f"containers.{kind}", weight, "at least 0")
        if not sum(self.containers.values()) > 0:
            raise ConfigError("containers", self.containers, "weights of which one is positive")

    def is_novel(self, index: int) -> bool:
        """Whether scene number `index` (0, 1, ...) is made of novel families only."""
        return self.novel_every > 0 and index % self.novel_every == self.novel_every - 1

    def rank(self, index: int) -> int:
        """How many scenes of its kind, novel or ordinary, come before scene number `index`."""
        novel_before = index // self.novel_every if self.novel_every else 0
        return novel_before if self.is_novel(index) else index - novel_before

    def to_dict(self) -> dict[str, Any]:
        """All values as JSON-ready lists, dicts and numbers."""
        plain: dict[str, Any] = _plain(dataclasses.asdict(self))
        return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


RECIPES: dict[str, Recipe] = {
    "default": Recipe(),
    "smoke": Recipe(parts_per_scene=(3, 8), distinct_parts=(1, 4), views=2, image_size=(128, 128), min_visible_px=16),
}
"""`default`: what the networks are trained on. `smoke`: small and quick, for tests and a first look."""


def find_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES)
    return RECIPES[name]
