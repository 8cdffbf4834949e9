"""Converts a set of others into a dataset of ours: whole scenes, resumable, what cannot be read told at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from graspnext import __version__
from graspnext.data.exclusive import holds_something, lock, sweep
from graspnext.data.faults import Fault
from graspnext.data.foreign.source import Account, ForeignScene, Source
from graspnext.data.format import (
    SCENES_DIR,
    DatasetInfo,
    FailedScene,
    ManifestEntry,
    SceneFile,
    ViewFiles,
    file_names,
)
from graspnext.data.reader import read_info
from graspnext.data.record_files import parse_record, read_bytes
from graspnext.data.writer import EncodedScene, encode_scene, store_scene, write_dataset_info, write_manifest
from graspnext.errors import ConfigError, DatasetError, OutputError
from graspnext.files import make_folder
from graspnext.types import View

_MANIFEST_EVERY = 20
"""Scenes between two writings of the manifest."""
_ADVICE = "go on with the command it was made with, or choose another folder"


@dataclass(frozen=True)
class _Task:
    source: Source
    scene: ForeignScene
    size: tuple[int, int]


@dataclass(frozen=True)
class SceneOutcome:
    """What became of one scene."""

    id: str
    encoded: EncodedScene | None
    """None when no view of it could be taken over."""
    account: Account


@dataclass
class ConvertReport:
    """What a run did, scenes kept from an earlier one included."""

    scenes: int = 0
    views: int = 0
    kept: int = 0
    """Scenes found whole."""
    unlabelled_views: int = 0
    refused_views: int = 0
    refused: list[Fault] = field(default_factory=list)
    notes: list[Fault] = field(default_factory=list)

    def add(self, views: int, account: Account) -> None:
        """Count one scene."""
        self.scenes += views > 0
        self.views += views
        self.unlabelled_views += len(account.unlabelled_views)
        self.refused_views += len(account.refused_views)
        self.refused += account.refused
        self.notes += account.notes


Run = Callable[[Callable[[_Task], SceneOutcome], Sequence[_Task]], Iterable[SceneOutcome]]
"""How tasks are run: `map`, or by worker processes."""
Watch = Callable[[Iterable[SceneOutcome], int], Iterable[SceneOutcome]]


def convert(
    source: Source,
    out: Path,
    *,
    limit: int | None = None,
    resume: bool = False,
    run: Run = map,
    watch: Watch = lambda outcomes, _total: outcomes,
) -> ConvertReport:
    """Write a set of others as a dataset of ours.

    Args:
        source: The set; nothing is written there.
        out: Folder of the dataset; must not exist or be empty, unless resumed.
        limit: At most so many scenes, the first ones; all when None.
        resume: Keep the whole scenes of an earlier run from the same source (known by its folder's name) with the
            same options.
        run: How tasks are run.
        watch: Passes outcomes on, given them and their number: the place for a progress bar.

    Returns:
        Counts, and all that was refused or odd.

    Raises:
        DatasetError: The set cannot be read at all, or not one view of it.
        OutputError: The folder is in use, was made otherwise, lies in the set's own, or cannot be written.
        ConfigError: The limit is below 1.
    """
    if limit is not None and limit < 1:
        raise ConfigError("limit", limit, "at least 1")
    if out.resolve().is_relative_to(source.root.resolve()):
        raise OutputError(out, f"it lies in {source.root}, which is only read", "choose another folder")
    scenes = source.scenes()
    with _Folder(source, out, scenes, resume=resume) as folder:
        report = ConvertReport(kept=len(folder.done))
        for views, account in folder.accounts.values():
            report.add(views, account)
        tasks = [_Task(source, scene, folder.size) for scene in scenes[:limit] if scene.id not in folder.done]
        for outcome in watch(iter(run(convert_scene, tasks)), len(tasks)):
            folder.add(outcome)
            report.add(len(outcome.encoded.views) if outcome.encoded else 0, outcome.account)
    if not folder.done:
        first = f": {report.refused[0]}" if report.refused else f", {report.unlabelled_views} have no labels"
        raise DatasetError(source.root, f"not one view could be taken over{first}", "look at the first fault")
    report.refused.sort()
    report.notes.sort()
    return report


def convert_scene(task: _Task) -> SceneOutcome:
    """Read and encode one scene.

    Raises:
        MissingDependencyError: A library that the set's files need is not installed.
    """
    account = Account()
    info: dict[str, Any] = {}

    def views() -> Iterator[View]:
        for view in task.source.views(task.scene, account):
            if view.image.shape[:2] == task.size:
                yield view
                continue
            found, wanted = (f"{width} x {height} px" for height, width in (view.image.shape[:2], task.size))
            error = DatasetError(f"{task.scene.id} view {view.view_id}", f"it is {found}, the first one {wanted}", "")
            account.refuse(view.view_id, error)
        info.update(_to_info(task, account))  # goes into scene.json, which is made after the last view

    try:
        encoded = encode_scene(task.scene.id, scene_info=info, views=views())
    except DatasetError as error:  # a view with values that our format has no place for
        account.refuse(-1, error)
        return SceneOutcome(task.scene.id, None, account)
    return SceneOutcome(task.scene.id, encoded if encoded.views else None, account)


def _to_info(task: _Task, account: Account) -> dict[str, Any]:
    return {
        "converted_from": task.source.name,
        **account.info,
        "refused": [vars(fault) for fault in account.refused],
        "refused_views": account.refused_views,
        "notes": [vars(fault) for fault in account.notes],
        "unlabelled_views": account.unlabelled_views,
    }


def _from_info(info: dict[str, Any]) -> Account:
    return Account(
        refused=[Fault(**fault) for fault in info.get("refused", [])],
        refused_views=info.get("refused_views", []),
        notes=[Fault(**fault) for fault in info.get("notes", [])],
        unlabelled_views=info.get("unlabelled_views", []),
    )


class _Folder:
    """The dataset while it is written: holds the folder's lock, and lists what is there at the end of its block."""

    def __init__(self, source: Source, out: Path, scenes: list[ForeignScene], *, resume: bool) -> None:
        self.out = out
        self.done: dict[str, list[ViewFiles]] = {}
        """Whole scenes, by name."""
        self.accounts: dict[str, tuple[int, Account]] = {}
        """Number of views and account of the scenes that were kept."""
        self._failed: dict[str, list[str]] = {}
        self._storing: str | None = None
        self._splits = {scene.id: scene.split for scene in scenes}
        recipe = {"source": source.root.resolve().name, **source.settings()}
        self._check(source, recipe, resume=resume)  # before anything is made
        self.size = source.image_size(scenes)
        self._info = DatasetInfo(
            generator=f"graspnext {__version__}",
            recipe_name=source.name,
            recipe=recipe,
            seed=0,
            cup=source.cup(),
            num_scenes=len(scenes),
            image_size=self.size,
        )
        self._lock = lock(make_folder(out))
        try:
            found = self._check(source, recipe, resume=resume)  # another run may have been quicker
            sweep(out)
            if found is not None:
                self._take_over(scenes, found)
            write_dataset_info(out, self._info)
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> _Folder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._storing is not None:
                self._keep(self._storing)  # stopped between its last file and its listing
            self.list_scenes()
        except OutputError:
            if error is None:  # otherwise the first complaint is the one to hear
                raise
        finally:
            self._lock.close()

    def _check(self, source: Source, recipe: dict[str, Any], *, resume: bool) -> DatasetInfo | None:
        """The dataset that is there to be resumed; None if there is nothing. Changes nothing."""
        if not holds_something(self.out):
            return None
        if not resume:
            raise OutputError(self.out, "the folder is not empty", "choose another one, or add --resume to go on")
        try:
            found = read_info(self.out)
        except DatasetError as error:
            raise OutputError(self.out, f"no dataset that could be resumed ({error})", _ADVICE) from error
        if (found.recipe_name, found.recipe) != (source.name, recipe):
            raise OutputError(self.out, f"it was made from {found.recipe_name} with {found.recipe}", _ADVICE)
        return found

    def _take_over(self, scenes: list[ForeignScene], found: DatasetInfo) -> None:
        """Find the whole scenes, and those known to fail."""
        self._failed = {one.scene: one.problems for one in found.failed_scenes if one.scene in self._splits}
        for scene in scenes:
            self._keep(scene.id)

    def _keep(self, scene: str) -> None:
        """Count a scene as done if it is on the disk, whole."""
        file = f"{SCENES_DIR}/{scene}/scene.json"
        try:
            record = parse_record(SceneFile, read_bytes(self.out, file, ""), self.out, file, "")
            account = _from_info(record.info)
        except (DatasetError, TypeError):
            return
        folder = self.out / SCENES_DIR / scene
        names = [name for one in record.views for name in file_names(one.view, one.rgb, one.sha256).values()]
        if record.views and all((folder / name).is_file() for name in names):
            self.done[scene] = record.views
            self.accounts[scene] = (len(record.views), account)
            self._failed.pop(scene, None)

    def add(self, outcome: SceneOutcome) -> None:
        """Store one scene, or why there is none."""
        self._failed.pop(outcome.id, None)
        if outcome.encoded is None:
            if outcome.account.refused:
                self._failed[outcome.id] = [str(fault) for fault in outcome.account.refused]
            return
        self._storing = outcome.id
        store_scene(self.out, outcome.id, outcome.encoded)
        self.done[outcome.id] = outcome.encoded.views
        self._storing = None
        if len(self.done) % _MANIFEST_EVERY == 0:
            self.list_scenes()

    def list_scenes(self) -> None:
        """Write the manifest and the description for what is there."""
        entries = [
            ManifestEntry(scene=scene, split=self._splits[scene], **dict(one))
            for scene, files in self.done.items()
            for one in files
        ]
        failed = [FailedScene(scene=scene, problems=problems) for scene, problems in sorted(self._failed.items())]
        info = self._info.model_copy(update={"num_scenes": len(self.done) + len(failed), "failed_scenes": failed})
        write_manifest(self.out, entries)
        write_dataset_info(self.out, info)
