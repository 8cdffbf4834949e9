"""Named errors: one class per mistake, each message says what is wrong, where, and what to do.

Every error that a user can cause derives from `GraspNextError`; the command line prints its message
as one line and exits with code 2. Anything else that escapes is a defect of ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class GraspNextError(Exception):
    """Root of all errors that input, configuration or environment can cause."""


class InputImageError(GraspNextError, ValueError):
    """A source is missing, unreadable, truncated, too large, or not an image."""

    def __init__(self, source: str | Path, problem: str, advice: str) -> None:
        super().__init__(f"{source}: {problem}; {advice}")
        self.source = str(source)


class NoSourcesError(GraspNextError, ValueError):
    """A folder or glob holds no image."""

    def __init__(self, source: str | Path, suffixes: Iterable[str]) -> None:
        super().__init__(f"{source}: no images found; expected files ending in {', '.join(sorted(suffixes))}")


class BundleError(GraspNextError, ValueError):
    """A model bundle is missing, incomplete, damaged, or of a version that this release cannot read."""

    def __init__(self, path: str | Path, problem: str, advice: str) -> None:
        super().__init__(f"{path}: {problem}; {advice}")


class DatasetError(GraspNextError, ValueError):
    """A dataset, or one view of it, cannot be read."""

    def __init__(self, path: str | Path, problem: str, advice: str) -> None:
        super().__init__(f"{path}: {problem}; {advice}")


class SceneError(GraspNextError, RuntimeError):
    """A scene cannot be made: unstable physics, nothing visible, or a part that does not fit."""


class PartsError(GraspNextError, ValueError):
    """A folder of part meshes, its parts.yaml, or the cache of what was made of them cannot be used."""

    def __init__(self, path: str | Path, problem: str, advice: str) -> None:
        super().__init__(f"{path}: {problem}; {advice}")


class MeshFileError(GraspNextError, ValueError):
    """A mesh file cannot become a part."""

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(problem, advice)
        self.problem, self.advice = problem, advice

    def __str__(self) -> str:
        return f"{self.problem}; {self.advice}"


class WorkerError(GraspNextError, RuntimeError):
    """A worker process reported a named error, or died again and again."""


class RunError(GraspNextError, ValueError):
    """A training run's folder is missing, incomplete, or does not fit what is asked of it."""

    def __init__(self, path: str | Path, problem: str, advice: str) -> None:
        super().__init__(f"{path}: {problem}; {advice}")


class WeightsError(GraspNextError, ValueError):
    """A file of pretrained weights is missing, damaged, holds more than tensors, or does not fit the network."""

    def __init__(self, path: str | Path, problem: str, advice: str) -> None:
        super().__init__(f"{path}: {problem}; {advice}")


class ConfigError(GraspNextError, ValueError):
    """A configuration value is out of its range; the message gives the value and the valid ones."""

    def __init__(self, field: str, value: object, valid: str) -> None:
        super().__init__(f"{field} is {value!r}; it must be {valid}")


class UnknownNameError(GraspNextError, KeyError):
    """A preset, recipe, family, runtime or metric that does not exist was asked for."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self._message = f"unknown {kind} '{name}'; choose one of: {', '.join(sorted(known))}"
        super().__init__(self._message)

    def __str__(self) -> str:  # KeyError would print the repr
        return self._message


class MissingDependencyError(GraspNextError, ImportError):
    """An optional library or system package that this command needs is not installed."""

    def __init__(self, library: str, needed_for: str, install: str) -> None:
        super().__init__(f"{library} is needed for {needed_for}; install it with: {install}")


class OutputError(GraspNextError, OSError):
    """Output cannot be written: no permission, no space, or a file where a folder must be."""

    def __init__(self, path: str | Path, problem: str, advice: str) -> None:
        super().__init__(f"{path}: {problem}; {advice}")
