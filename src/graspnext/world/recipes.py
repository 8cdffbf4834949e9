"""Recipes: every number that decides what the world looks like. Plain values, stored whole with each dataset."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Any

import tyro

from graspnext.errors import ConfigError, UnknownNameError
from graspnext.world.clutter import ClutterRanges
from graspnext.world.cup import CupConfig, check_cup_names
from graspnext.world.fills import FILLS
from graspnext.world.lighting import LookRanges
from graspnext.world.parts.families import FAMILIES, NOVEL_FAMILIES, TRAIN_FAMILIES
from graspnext.world.parts.imported.records import ImportedParts
from graspnext.world.ranges import check_range, check_share, check_weights
from graspnext.world.scene import CONTAINER_KINDS
from graspnext.world.sensors.models import OWN, SENSORS, Sensor
from graspnext.world.sensors.picture import CaptureRanges
from graspnext.world.viewpoints import CameraRanges


@dataclass(frozen=True)
class Recipe:
    """Everything that `world make` needs beside a seed."""

    families: tuple[str, ...] = TRAIN_FAMILIES
    """Part families of ordinary scenes."""
    novel_families: tuple[str, ...] = tuple(sorted(NOVEL_FAMILIES))
    """Part families of `novel` scenes; never in ordinary ones."""
    imported: Annotated[ImportedParts | None, tyro.conf.Suppress] = None
    """The user's own parts, from a folder of meshes."""
    imported_share: float = 1.0
    """Where there are such parts: share of a scene's different parts drawn from them; the rest are of our families."""
    novel_every: int = 10
    """Every how many scenes one is `novel`; 0 = never."""
    parts_per_scene: tuple[int, int] = (1, 60)
    """Placements dropped into a scene, before what the container's room allows."""
    distinct_parts: tuple[int, int] = (1, 9)
    """Different parts that the placements of a scene are drawn from, unless it holds copies of a single one."""
    single_part_probability: float = 0.12
    """Share of scenes that hold many copies of one part, as bins in production do."""
    containers: dict[str, float] = field(
        default_factory=lambda: {
            "tote": 0.34,
            "carton": 0.14,
            "tray": 0.1,
            "crate": 0.14,
            "conveyor": 0.1,
            "table": 0.18,
        }
    )
    """Kind of container -> weight."""
    fills: dict[str, float] = field(
        default_factory=lambda: {"pile": 0.54, "packed": 0.2, "layer": 0.13, "scattered": 0.13}
    )
    """How the parts come into it -> weight. Things are heaped into a tray with compartments a quarter as often."""
    scenes: int = 100
    """Scenes of a dataset, unless another number is asked for."""
    views: int = 4
    """Views of each scene."""
    image_size: tuple[int, int] = (512, 512)
    """(height, width) px."""
    min_visible_px: int = 64
    """Instances with fewer visible pixels are marked `ignore`."""
    sensors: dict[str, float] = field(
        default_factory=lambda: {
            "ideal": 0.2,
            "realsense_d435": 0.25,
            "realsense_d415": 0.1,
            "zivid_like": 0.2,
            "photoneo_like": 0.05,
            "basler_like": 0.2,
            "own": 0.0,
        }
    )
    """Camera model (docs/sensors.md) -> weight; each scene has one. "own" is `own_sensor`."""
    own_sensor: Sensor = field(default_factory=lambda: Sensor(OWN))
    """A camera of your own: what "own" in `sensors` stands for."""
    capture: CaptureRanges = field(default_factory=CaptureRanges)
    camera: CameraRanges = field(default_factory=CameraRanges)
    look: LookRanges = field(default_factory=LookRanges)
    clutter: ClutterRanges = field(default_factory=ClutterRanges)
    cup: CupConfig = field(default_factory=CupConfig)
    """The dataset's own cup."""
    more_cups: dict[str, CupConfig] = field(default_factory=dict)
    """Further cups by name (lower-case letters, digits and hyphens), each with suction maps of its own."""

    def __post_init__(self) -> None:
        self._check_families()
        check_cup_names(self.more_cups)
        check_weights("containers", "container", self.containers, CONTAINER_KINDS)
        check_weights("fills", "fill", self.fills, FILLS)
        check_weights("sensors", "sensor", self.sensors, (*SENSORS, OWN))
        check_range("parts_per_scene", self.parts_per_scene, 1, 200)
        check_range("distinct_parts", self.distinct_parts, 1, 64)
        check_share("single_part_probability", self.single_part_probability)
        check_share("imported_share", self.imported_share)
        if not 1 <= self.scenes <= 10**6:
            raise ConfigError("scenes", self.scenes, "in 1..1000000")
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

    def with_imported(self, parts: ImportedParts) -> Recipe:
        """The same world with the user's parts. Without a held-out part among them it has no novel scenes, unless
        `imported_share` leaves room for our families.
        """
        no_novel = self.imported_share == 1 and not parts.of(novel=True)
        return dataclasses.replace(self, imported=parts, novel_every=0 if no_novel else self.novel_every)

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
    "smoke": Recipe(
        parts_per_scene=(3, 8),
        distinct_parts=(1, 4),
        sensors={"ideal": 0.3, "realsense_d435": 0.4, "zivid_like": 0.3, "own": 0.0},
        scenes=8,
        views=2,
        image_size=(128, 128),
        min_visible_px=16,
    ),
    "bench": Recipe(scenes=1200, views=5),
    "paper": Recipe(scenes=200, views=37, image_size=(1200, 1200)),
}
"""`default`: what the networks are trained on. `smoke`: small and quick, for tests and a first look. `bench`: the
default world in the size that every table of results uses. `paper`: the same world in the pictures and views of
MetaGraspNet, whose 8,008 scenes would fill most of a terabyte; ask for them by number."""


def find_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES)
    return RECIPES[name]
