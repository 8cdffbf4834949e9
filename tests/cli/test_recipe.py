"""`--recipe NAME` beside `--recipe.FIELD`."""

from __future__ import annotations

import pytest

from graspnext.cli.recipe import take_recipe
from graspnext.errors import ConfigError


def test_the_name_is_taken_out_and_fields_stay() -> None:
    words = ["tiny", "--recipe", "smoke", "--recipe.steps", "3"]
    assert take_recipe(words, default="modern") == ("smoke", ["tiny", "--recipe.steps", "3"])
    assert words == ["tiny", "--recipe", "smoke", "--recipe.steps", "3"]
    assert take_recipe(["--recipe=smoke"], default="modern") == ("smoke", [])


def test_the_default_is_taken_when_no_name_is_given() -> None:
    assert take_recipe(["tiny", "--resume"], default="modern") == ("modern", ["tiny", "--resume"])


def test_a_name_that_is_left_out_is_asked_for() -> None:
    for words in (["--recipe", "--resume"], ["tiny", "--recipe"]):
        with pytest.raises(ConfigError, match="--recipe is ''; it must be followed by the name of a recipe"):
            take_recipe(words, default="modern")
