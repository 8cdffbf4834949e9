"""Which pictures the words of a command line mean: files, folders and glob patterns."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from graspnext.errors import GraspNextError, InputImageError, NoSourcesError
from graspnext.runtime.images import SUFFIXES


@dataclass(frozen=True)
class Problem:
    """A source that gives no result, and why."""

    source: str
    problem: str
    """One line, with what to do."""


@dataclass(frozen=True)
class Sources:
    """What the words came to."""

    paths: tuple[Path, ...]
    """Pictures to read, in the order of the words, sorted within a folder or pattern, each once."""
    problems: tuple[Problem, ...]
    """Words that name nothing."""


def describe(source: str | Path, error: GraspNextError) -> Problem:
    """The problem that an error tells of, on one line and without the source's name in front of it."""
    text = " ".join(str(error).split())
    return Problem(str(source), text.removeprefix(f"{source}: "))


def expand_sources(words: Sequence[str | Path]) -> Sources:
    """All pictures that files, folders (not searched below their first level) and glob patterns name.

    A file is taken at its word, whatever its suffix; whether it is a picture shows when it is read.
    """
    found: dict[Path, Path] = {}
    problems: list[Problem] = []
    for word in words:
        try:
            for path in _expand(str(word)):
                found.setdefault(path.resolve(), path)
        except GraspNextError as error:
            problems.append(describe(word, error))
    return Sources(tuple(found.values()), tuple(problems))


def _expand(word: str) -> list[Path]:
    path = Path(word)
    try:
        if path.is_dir():
            return _pictures(word, path.iterdir())
        if path.exists():
            return [path]
        if glob.has_magic(word):
            return _pictures(word, map(Path, glob.glob(word, recursive=True)))  # noqa: PTH207 - absolute patterns too
    except GraspNextError:
        raise
    except PermissionError as error:
        raise InputImageError(word, "permission denied", "make it readable") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputImageError(word, f"cannot be read ({error})", "check the path") from error
    raise InputImageError(word, "no such file or folder", "check the path")


def _pictures(word: str, paths: Iterable[Path]) -> list[Path]:
    pictures = sorted(path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file())
    if not pictures:
        raise NoSourcesError(word, SUFFIXES)
    return pictures
