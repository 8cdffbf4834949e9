"""Which unit of length a folder's meshes are in: by how large they would be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graspnext.world.parts.imported.settings import UNITS, PartSettings, Unit

SMALLEST_M = 0.003
LARGEST_M = 0.6
"""Longest sides of things that a suction cup picks out of a bin."""
_METRE_KINDS = ("glb", "gltf")
"""Formats whose unit is the metre by their specification."""


@dataclass(frozen=True)
class FolderUnit:
    """The unit of the files of a folder that do not say their own."""

    unit: Unit
    why: str
    """For the user: stated, or what speaks for it."""
    sure: bool


def detect(longest: dict[str, float], stated: Unit | None) -> FolderUnit:
    """The unit of a folder.

    Args:
        longest: File -> longest side in its own unit, of the files whose unit is open.
        stated: The user's word for it; decides where given.
    """
    if stated is not None:
        return FolderUnit(stated, "as stated", True)
    sides = np.array(list(longest.values()), dtype=np.float64)
    if len(sides) == 0:
        return FolderUnit("m", "all files say so", True)
    misfits = {unit: _misfit(sides * metres) for unit, metres in UNITS.items()}
    votes = {unit: int((misfit == 0).sum()) for unit, misfit in misfits.items()}
    total = {unit: float(misfit.sum()) for unit, misfit in misfits.items()}
    unit: Unit = "mm" if (-votes["mm"], total["mm"]) <= (-votes["m"], total["m"]) else "m"
    other = "m" if unit == "mm" else "mm"
    size = f"{1e3 * SMALLEST_M:.0f} to {1e3 * LARGEST_M:.0f} mm"
    why = f"detected: {votes[unit]} of {len(sides)} files are then {size} long, {votes[other]} if in {other}"
    return FolderUnit(unit, why, votes[unit] > 2 * votes[other])


def _misfit(sides_m: np.ndarray) -> np.ndarray:
    """How far (in natural logarithms) lengths lie outside what is plausible."""
    safe = np.maximum(sides_m, 1e-12)
    return np.asarray(np.maximum(0, np.maximum(np.log(SMALLEST_M / safe), np.log(safe / LARGEST_M))))


def unit_of(file: str, own: PartSettings, forced: Unit | None, folder: FolderUnit) -> Unit:
    """The unit of one file: its own entry in parts.yaml, then --units, then the format's, then the folder's."""
    if own.units is not None:
        return own.units
    if forced is not None:
        return forced
    return "m" if file.rpartition(".")[2].lower() in _METRE_KINDS else folder.unit


def is_open(file: str, own: PartSettings) -> bool:
    """Whether the unit of a file has to be found out."""
    return own.units is None and file.rpartition(".")[2].lower() not in _METRE_KINDS
