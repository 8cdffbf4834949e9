"""A folder of mesh files as parts: every file gets an outcome, a bad one never stops the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from graspnext.errors import ConfigError, MeshFileError, PartsError
from graspnext.world.parts.imported.cache import ShapeCache, key_of
from graspnext.world.parts.imported.preparing import PrepareTask, prepare_all
from graspnext.world.parts.imported.records import ImportedPart, ImportedParts, record
from graspnext.world.parts.imported.settings import UNITS, PartSettings, Settings, Unit, read_settings
from graspnext.world.parts.imported.sources import find_files, folder_digest, read_source
from graspnext.world.parts.imported.units import (
    LARGEST_M,
    SMALLEST_M,
    FolderUnit,
    detect,
    is_open,
    unit_of,
)
from graspnext.world.workers import usable_cores

Status = Literal["ok", "repaired", "refused"]


@dataclass(frozen=True)
class FileOutcome:
    """What became of one file."""

    file: str
    status: Status
    notes: tuple[str, ...] = ()
    """What was repaired or left out."""
    problem: str = ""
    """Why it was refused."""
    advice: str = ""
    part: ImportedPart | None = None
    unit: Unit | None = None
    size_mm: tuple[float, float, float] | None = None
    faces: int = 0
    """Of the part; the file may have more."""
    pieces: int = 0
    """Convex pieces."""
    mass_from: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        part = self.part
        return {
            "file": self.file,
            "status": self.status,
            "notes": list(self.notes),
            "problem": self.problem,
            "advice": self.advice,
            "name": None if part is None else part.name,
            "unit": self.unit,
            "size_mm": None if self.size_mm is None else list(self.size_mm),
            "faces": self.faces,
            "convex_pieces": self.pieces,
            "mass_kg": None if part is None else part.mass_kg,
            "mass_from": self.mass_from,
            "novel": part is not None and part.novel,
            "key": None if part is None else part.key,
        }


@dataclass(frozen=True)
class PartFolder:
    """A folder of meshes, read."""

    folder: Path
    unit: FolderUnit
    outcomes: tuple[FileOutcome, ...]
    digest: str
    prepared: int
    """Files that were not in the cache."""

    @property
    def refused(self) -> tuple[FileOutcome, ...]:
        """The files that are no parts."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == "refused")

    def parts(self) -> ImportedParts:
        """The usable parts, as a recipe holds them.

        Raises:
            PartsError: There is none, or all are held out.
        """
        usable = tuple(outcome.part for outcome in self.outcomes if outcome.part is not None)
        if not usable:
            lines = [f"{one.file}: {one.problem}" for one in self.refused[:5]]
            raise PartsError(self.folder, f"no file can be used ({'; '.join(lines)})", "see `graspnext world parts`")
        if all(part.novel for part in usable):
            raise PartsError(self.folder, "every part is marked novel", "leave some for ordinary scenes")
        return ImportedParts(self.digest, usable)


def _no_watch(items: Iterable[Any], _total: int) -> Iterable[Any]:
    return items


def read_folder(
    folder: Path,
    *,
    units: str | None = None,
    workers: int | None = None,
    cache: Path | None = None,
    watch: Callable[[Iterable[Any], int], Iterable[Any]] = _no_watch,
) -> PartFolder:
    """Read every mesh below a folder, prepare those that the cache does not hold, and judge them.

    Args:
        folder: The meshes, and `parts.yaml` where there is one.
        units: "mm" or "m" for all files; found out when None.
        workers: Processes; one a core when None.
        cache: Where prepared shapes are kept; the user's cache folder when None.
        watch: Passes files on as they become ready, given them and their number: the place for a progress bar.

    Raises:
        PartsError: The folder or its parts.yaml cannot be used.
        OutputError: The cache cannot be written.
    """
    if units is not None and units not in UNITS:
        raise ConfigError("units", units, f"one of: {', '.join(UNITS)}")
    files = find_files(folder)
    settings = read_settings(folder, files)
    store = ShapeCache(cache)
    store.prepare()
    refusals: dict[str, MeshFileError] = {}
    digests: dict[str, str] = {}
    for file in files:
        try:
            digests[file] = read_source(folder, file).digest
        except MeshFileError as error:
            refusals[file] = error
    keys = {file: key_of(digest) for file, digest in digests.items()}
    late, prepared = _prepare(folder, keys, store, workers, watch)
    refusals |= {file: late[key] for file, key in keys.items() if key in late}
    outcomes, unit = _judge(files, keys, refusals, settings, (store, units))  # type: ignore[arg-type]
    return PartFolder(folder, unit, outcomes, folder_digest(digests), prepared)


def _prepare(
    folder: Path,
    keys: dict[str, str],
    store: ShapeCache,
    workers: int | None,
    watch: Callable[[Iterable[Any], int], Iterable[Any]],
) -> tuple[dict[str, MeshFileError], int]:
    """Fill the cache; the refusals by key, and how many files were prepared."""
    refusals: dict[str, MeshFileError] = {}
    tasks: dict[str, PrepareTask] = {}
    for file, key in keys.items():
        if key in tasks or key in refusals:
            continue
        try:
            if store.get(key) is None:
                tasks[key] = PrepareTask(folder, file, key, store.folder)
        except MeshFileError as error:
            refusals[key] = error
    if tasks:
        count = usable_cores() if workers is None else workers
        for key, refusal in watch(prepare_all(list(tasks.values()), workers=count), len(tasks)):
            if refusal is not None:
                refusals[key] = refusal
    return refusals, len(tasks)


def _names(files: list[str]) -> dict[str, str]:
    """Part names: the file without its suffix, or with it where two files differ in that alone."""
    stems = [file.rpartition(".")[0] for file in files]
    return {file: stem if stems.count(stem) == 1 else file for file, stem in zip(files, stems, strict=True)}


def _judge(
    files: list[str],
    keys: dict[str, str],
    refusals: dict[str, MeshFileError],
    settings: Settings,
    how: tuple[ShapeCache, Unit | None],
) -> tuple[tuple[FileOutcome, ...], FolderUnit]:
    store, forced = how
    longest: dict[str, float] = {}
    for file, key in keys.items():
        if file not in refusals:
            shape = store.get(key)
            assert shape is not None
            if is_open(file, settings.of(file)):
                longest[file] = float(shape.extents.max())
    folder = detect(longest, forced)
    names = _names(list(keys))  # a drawing beside the mesh, which is not read, changes no name
    outcomes = []
    for file in files:
        if file in refusals:
            outcomes.append(FileOutcome(file, "refused", problem=refusals[file].problem, advice=refusals[file].advice))
            continue
        own = settings.of(file)
        unit = unit_of(file, own, forced, folder)
        outcomes.append(_outcome((file, names[file], keys[file]), store, own, unit))
    return tuple(outcomes), folder


def _outcome(which: tuple[str, str, str], store: ShapeCache, own: PartSettings, unit: Unit) -> FileOutcome:
    """The outcome of (file, name, key) in a unit."""
    file, name, key = which
    shape = store.get(key)
    assert shape is not None
    metres = UNITS[unit]
    x, y, z = (round(1e3 * float(side) * metres, 3) for side in shape.extents)
    try:
        _check_size(float(shape.extents.max()), unit)
        part, mass_from = record(name, key, shape, metres, own)
    except MeshFileError as error:
        return FileOutcome(file, "refused", shape.notes, error.problem, error.advice, unit=unit, size_mm=(x, y, z))
    return FileOutcome(
        file,
        "repaired" if shape.notes else "ok",
        shape.notes,
        part=part,
        unit=unit,
        size_mm=(x, y, z),
        faces=len(shape.faces),
        pieces=len(shape.hulls),
        mass_from=mass_from,
    )


def _check_size(longest: float, unit: Unit) -> None:
    metres = longest * UNITS[unit]
    if SMALLEST_M <= metres <= LARGEST_M:
        return
    other = "m" if unit == "mm" else "mm"
    would = longest * UNITS[other]
    advice = f"parts are {1e3 * SMALLEST_M:.0f} to {1e3 * LARGEST_M:.0f} mm long"
    if SMALLEST_M <= would <= LARGEST_M:
        advice += f"; if it is in {other} ({1e3 * would:.4g} mm), write `units: {other}` for it in parts.yaml"
    kind = "large for a bin" if metres > LARGEST_M else "small"
    raise MeshFileError(f"too {kind}: {1e3 * metres:.4g} mm long, read in {unit}", advice)
