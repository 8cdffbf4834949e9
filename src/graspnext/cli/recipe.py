"""`--recipe NAME`: which recipe the fields of `--recipe.FIELD` start from."""

from __future__ import annotations

from collections.abc import Sequence

from graspnext.errors import ConfigError


def take_recipe(words: Sequence[str], *, default: str) -> tuple[str, list[str]]:
    """The name after `--recipe` or in `--recipe=NAME`, the last one given, and the other words.

    Args:
        words: Arguments of a command.
        default: The name when none is given.

    Raises:
        ConfigError: No name follows `--recipe`.
    """
    name, others, left = default, list[str](), list(words)
    while left:
        word = left.pop(0)
        if word == "--recipe":
            if not left or left[0].startswith("-"):
                raise ConfigError("--recipe", "", "followed by the name of a recipe")
            name = left.pop(0)
        elif word.startswith("--recipe="):
            name = word.removeprefix("--recipe=")
        else:
            others.append(word)
    return name, others
