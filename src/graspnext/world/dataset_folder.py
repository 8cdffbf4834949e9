"""The folder that a run writes into: one writer at a time, whole scenes only, and what is needed to go on later.

The order of writing makes any sudden end harmless: a scene's folder appears whole, then its line in `log.jsonl`,
then, every few scenes and at the end, the manifest. A failed scene is in `dataset.json` at once.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import ValidationError

from graspnext import __version__
from graspnext.data.exclusive import holds_something, lock, sweep
from graspnext.data.format import (
    LOG_FILE,
    SCENES_DIR,
    DatasetInfo,
    FailedScene,
    LogEntry,
    ManifestEntry,
    ViewFiles,
    file_names,
    hash_of,
)
from graspnext.data.reader import read_info
from graspnext.data.splits import split_of
from graspnext.data.writer import read_scene_files, store_scene, write_dataset_info, write_manifest
from graspnext.errors import DatasetError, OutputError
from graspnext.files import make_folder, output_errors
from graspnext.world.recipes import RECIPES, Recipe
from graspnext.world.scene_task import SceneResult, scene_id

_MANIFEST_EVERY = 20
"""Scenes between two writings of the manifest."""
_SAME = ("generator", "seed", "renderer", "recipe", "views_per_scene", "image_size")
"""Fields of `dataset.json` in which a run that is resumed must agree with what is there."""


class DatasetFolder:
    """A dataset that is being made. Use it in a `with` block: it holds the folder's lock, and lists what is there."""

    def __init__(self, root: Path, *, recipe: Recipe, seed: int, renderer: str, resume: bool) -> None:
        """Take the folder, and find out what it holds.

        Args:
            root: Must not exist or be empty, unless resumed.
            recipe: Its `scenes` is the number of scenes that the dataset is to have.
            seed: The dataset's seed.
            renderer: Name of the renderer.
            resume: Keep the whole scenes and the failed ones of an earlier run.

        Raises:
            OutputError: The folder is not empty, is being written by another run, was made with another recipe or
                seed, holds more scenes than asked for, or cannot be written.
        """
        self.root = root
        self._recipe = recipe
        self._info = _description(recipe, seed, renderer)
        _check_folder(root, self._info, resume=resume)  # before anything is made
        self._log = lock(make_folder(root))
        self._entries: dict[int, list[ManifestEntry]] = {}
        self._unlisted = 0
        self._storing: int | None = None
        self.failed: dict[int, list[str]] = {}
        """Scenes that cannot be made, with the reasons."""
        try:
            found = _check_folder(root, self._info, resume=resume)  # another run may have been quicker
            sweep(root)
            if found is not None:
                self._take_over(found)
            self._write_info()
            self.write_manifest()
        except BaseException:
            self._log.close()
            raise

    def __enter__(self) -> DatasetFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """List what was made, whatever ended the run; if the disk is full, the list before stays."""
        try:
            if self._storing is not None and (files := self._whole(self._storing)) is not None:
                self._list(self._storing, files)  # stopped between its last file and its listing
            self.write_manifest()
        except OutputError:
            if error is None:  # otherwise the first complaint is the one to hear
                raise
        finally:
            self._log.close()

    @property
    def missing(self) -> list[int]:
        """Numbers of the scenes that are neither there nor known to fail."""
        return [i for i in range(self._recipe.scenes) if i not in self._entries and i not in self.failed]

    @property
    def kept(self) -> int:
        """Number of scenes that are there."""
        return len(self._entries)

    def add(self, result: SceneResult) -> LogEntry:
        """Store one scene, or note that it failed; returns its line of the log, with the time of writing.

        Raises:
            OutputError: It cannot be written. Nothing that was there is lost.
        """
        start = time.perf_counter()
        if result.encoded is None:
            self.failed[result.index] = result.log.problems
            self._write_info()
        else:
            self._storing = result.index
            store_scene(self.root, scene_id(result.index), result.encoded)
            self._list(result.index, result.encoded.views)
            self._storing = None
            self._unlisted += 1
            if self._unlisted >= _MANIFEST_EVERY:
                self.write_manifest()
        seconds = {**result.log.seconds, "write": round(time.perf_counter() - start, 4)}
        entry = result.log.model_copy(update={"seconds": seconds})
        self._append(entry.model_dump_json().encode() + b"\n")
        return entry

    def write_manifest(self) -> None:
        """List all scenes that are there."""
        write_manifest(self.root, [entry for entries in self._entries.values() for entry in entries])
        self._unlisted = 0

    def _list(self, index: int, files: Iterable[ViewFiles]) -> None:
        split = split_of(self._recipe.rank(index), novel=self._recipe.is_novel(index))
        self._entries[index] = [ManifestEntry(scene=scene_id(index), split=split, **dict(one)) for one in files]

    def _write_info(self) -> None:
        failed = [FailedScene(scene=scene_id(i), problems=problems) for i, problems in sorted(self.failed.items())]
        write_dataset_info(self.root, self._info.model_copy(update={"failed_scenes": failed}))

    def _append(self, line: bytes) -> None:
        end = os.fstat(self._log.fileno()).st_size
        with output_errors(self.root / LOG_FILE):
            try:
                while line:  # a nearly full disk takes a part, and refuses the next one
                    line = line[self._log.write(line) :]
            except BaseException:  # no half line, which the next one would be joined to
                os.ftruncate(self._log.fileno(), end)
                raise

    def _take_over(self, found: DatasetInfo) -> None:
        """Go on with what an earlier run left."""
        _mend_log(self._log.fileno())
        numbers = {scene_id(i): i for i in range(self._recipe.scenes)}
        self.failed = {numbers[one.scene]: one.problems for one in found.failed_scenes if one.scene in numbers}
        with ThreadPoolExecutor() as threads:  # hashing runs outside the interpreter's lock
            for index, files in enumerate(threads.map(self._whole, range(self._recipe.scenes))):
                if files is not None:
                    self._list(index, files)

    def _whole(self, index: int) -> list[ViewFiles] | None:
        """The files of a scene, if all are there and as they were written."""
        folder = self.root / SCENES_DIR / scene_id(index)
        try:
            views = read_scene_files(self.root, scene_id(index))
            if [one.view for one in views] != list(range(self._recipe.views)):
                return None
            for one in views:
                for key, name in file_names(one.view, one.rgb, one.sha256).items():
                    content = (folder / name).read_bytes()
                    if hashlib.sha256(content).hexdigest() != hash_of(one.sha256, key):
                        return None
        except (DatasetError, OSError):
            return None
        return views


def _description(recipe: Recipe, seed: int, renderer: str) -> DatasetInfo:
    def sized(known: Recipe) -> Recipe:
        return dataclasses.replace(known, scenes=recipe.scenes, views=recipe.views, image_size=recipe.image_size)

    names = [name for name, known in RECIPES.items() if known == recipe]
    names += [name for name, known in RECIPES.items() if sized(known) == recipe]  # as told, but for its size
    return DatasetInfo(
        generator=f"graspnext {__version__}",
        recipe_name=names[0] if names else "custom",
        recipe=recipe.to_dict(),
        seed=seed,
        renderer=renderer,
        cup=dataclasses.asdict(recipe.cup),
        more_cups={name: dataclasses.asdict(cup) for name, cup in recipe.more_cups.items()},
        num_scenes=recipe.scenes,
        views_per_scene=recipe.views,
        image_size=recipe.image_size,
    )


def _check_folder(root: Path, info: DatasetInfo, *, resume: bool) -> DatasetInfo | None:
    """What is in the folder: None if nothing, otherwise a dataset that can be resumed. Changes nothing.

    Raises:
        OutputError: It holds something else.
    """
    if not holds_something(root):
        return None
    if not resume:
        raise OutputError(root, "the folder is not empty", "choose another one, or add --resume to go on with it")
    advice = "resume with the command it was made with, or choose another folder"
    try:
        found = read_info(root)
    except DatasetError as error:
        raise OutputError(root, f"no dataset that could be resumed ({error})", advice) from error
    for name, old, new in _differences(found, info):
        raise OutputError(root, f"it was made with {name} = {old}, not {new}", advice)
    beyond = _scenes_beyond(root, info.num_scenes)
    if beyond:
        raise OutputError(
            root,
            f"it holds scenes up to {beyond[-1]}, more than the {info.num_scenes} asked for",
            "ask for at least as many, or choose another folder",
        )
    return found


def _differences(found: DatasetInfo, info: DatasetInfo) -> Iterable[tuple[str, object, object]]:
    """Name, old and new value of what differs; within the recipe by field. The number of scenes may."""
    for name in _SAME:
        old, new = getattr(found, name), getattr(info, name)
        if name == "recipe":
            for key, was, now in _unlike(old, new):
                if key != "scenes":
                    yield f"recipe.{key}", was, now
        elif old not in {new, None}:
            yield name, old, new


def _unlike(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, object, object]]:
    """Dotted key, old and new value of what differs in two recipes or parts of them; the smallest part that does."""
    for key in [*new, *(key for key in old if key not in new)]:
        was, now = old.get(key), new.get(key)
        if isinstance(was, dict) and isinstance(now, dict) and was.get("digest") == now.get("digest"):
            for deeper, one, other in _unlike(_inside(was), _inside(now)):
                yield f"{key}.{deeper}", one, other
        elif was != now:
            yield key, _brief(was), _brief(now)


def _inside(value: dict[str, Any]) -> dict[str, Any]:
    """The fields of a part of a recipe; of the user's meshes each by its name."""
    return {part["name"]: part for part in value["parts"]} if "digest" in value else value


def _brief(value: object) -> object:
    """The user's meshes by their hash: what they are would fill a screen."""
    for key, what in (("digest", "meshes"), ("key", "mesh")):
        if isinstance(value, dict) and key in value:
            return f"{what} {value[key][:12]}"
    return value


def _scenes_beyond(root: Path, scenes: int) -> list[str]:
    known = {scene_id(index) for index in range(scenes)}
    with output_errors(root):
        folder = root / SCENES_DIR
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return [name for name in names if not name.startswith(".") and name not in known]


def _mend_log(descriptor: int) -> None:
    """Cut off what a run that was killed left of its last line."""
    content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    good = 0
    for line in content.splitlines(keepends=True):
        with suppress(ValidationError):
            if line.endswith(b"\n"):
                LogEntry.model_validate_json(line)
                good += len(line)
                continue
        break
    os.ftruncate(descriptor, good)
