"""`--recipe NAME` beside `--recipe.FIELD`."""

from __future__ import annotations

from graspnext.cli.recipe import take_recipe


def test_the_name_is_taken_out_and_fields_stay() -> None:
    words = ["tiny", "--recipe", "smoke", "--recipe.steps", "3"]
    assert take_recipe(words, default="cpu") == ("smoke", ["tiny", "--recipe.steps", "3"])
    assert words == ["tiny", "--recipe", "smoke", "--recipe.steps", "3"]
    assert take_recipe(["--recipe=smoke"], default="cpu") == ("smoke", [])


def test_the_default_is_taken_when_no_name_is_given() -> None:
    assert take_recipe(["tiny", "--resume"], default="cpu") == ("cpu", ["tiny", "--resume"])
    assert take_recipe(["--recipe", "--resume"], default="cpu") == ("cpu", ["--recipe", "--resume"])
