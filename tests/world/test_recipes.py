"""Recipes refuse values out of range and are stored whole."""

import dataclasses
import json
from itertools import pairwise

import pytest

from graspnext.errors import ConfigError, UnknownNameError
from graspnext.world.lighting import LookRanges
from graspnext.world.recipes import RECIPES, Recipe, find_recipe
from graspnext.world.viewpoints import CameraRanges


def test_find_recipe() -> None:
    assert find_recipe("default") is RECIPES["default"]
    with pytest.raises(UnknownNameError, match="unknown recipe 'big'; choose one of: bench, default, paper, smoke"):
        find_recipe("big")


def test_to_dict_is_json_and_whole() -> None:
    recipe = find_recipe("default")
    plain = json.loads(json.dumps(recipe.to_dict(), allow_nan=False))
    assert plain == recipe.to_dict()
    assert set(plain) == {field.name for field in dataclasses.fields(Recipe)}
    assert set(plain["cup"]) == {field.name for field in dataclasses.fields(recipe.cup)}
    assert plain["image_size"] == [512, 512]


def test_every_tenth_scene_is_novel() -> None:
    recipe = find_recipe("default")
    novel = [index for index in range(40) if recipe.is_novel(index)]
    assert len(novel) == 4 and {b - a for a, b in pairwise(novel)} == {10}
    never = dataclasses.replace(recipe, novel_every=0)
    assert not any(never.is_novel(index) for index in range(40))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"families": ()}, "families"),
        ({"families": ("mug",)}, "novel_families"),
        ({"novel_every": -1}, "novel_every"),
        ({"parts_per_scene": (5, 3)}, "parts_per_scene"),
        ({"parts_per_scene": (0, 3)}, "parts_per_scene"),
        ({"distinct_parts": (0, 3)}, "distinct_parts"),
        ({"single_part_probability": 1.5}, "single_part_probability"),
        ({"containers": {"tote": -1.0}}, "containers.tote"),
        ({"containers": {"tote": 0.0}}, "containers"),
        ({"fills": {"pile": float("inf")}}, "fills.pile is inf; it must be a finite number"),
        ({"sensors": {"ideal": float("nan")}}, "sensors.ideal is nan"),
        ({"views": 0}, "views"),
        ({"image_size": (512, 8)}, "image_size"),
        ({"min_visible_px": 0}, "min_visible_px"),
    ],
)
def test_bad_values_are_refused(changes: dict[str, object], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        dataclasses.replace(find_recipe("default"), **changes)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown part family 'teapot'"):
        Recipe(families=("teapot",))
    with pytest.raises(UnknownNameError, match="unknown container 'bucket'"):
        Recipe(containers={"bucket": 1.0})


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: CameraRanges(tilt_rad=(0.5, 0.1)), "camera.tilt_rad"),
        (lambda: CameraRanges(fill=(0.0, 1.0)), "camera.fill"),
        (lambda: CameraRanges(roll_rad=-0.1), "camera.roll_rad"),
        (lambda: CameraRanges(clearance_m=0.0), "camera.clearance_m"),
        (lambda: LookRanges(ambient_lux=(0.0, 1e3)), "look.ambient_lux"),
        (lambda: LookRanges(exposure=(1.0, 100.0)), "look.exposure"),
        (lambda: LookRanges(no_shadow_probability=2.0), "look.no_shadow_probability"),
    ],
)
def test_bad_ranges_are_refused(make: object, match: str) -> None:
    assert callable(make)
    with pytest.raises(ConfigError, match=match):
        make()


@pytest.mark.parametrize("every", [0, 1, 3, 10])
def test_rank_counts_scenes_of_the_same_kind(every: int) -> None:
    recipe = dataclasses.replace(Recipe(), novel_every=every)
    seen = {True: 0, False: 0}
    for index in range(40):
        kind = recipe.is_novel(index)
        assert recipe.rank(index) == seen[kind]
        seen[kind] += 1
