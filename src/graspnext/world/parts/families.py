"""All part families by name, and which of them training never sees."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graspnext.errors import UnknownNameError
from graspnext.world.parts import electrical, freeform, machinery, packaging, profiles, revolved, wrapped
from graspnext.world.scene import Part

FamilyFunction = Callable[[str, np.random.Generator], Part]
"""(name, rng) -> one random part of the family."""

FAMILIES: dict[str, FamilyFunction] = {
    "carton": packaging.carton,
    "book": packaging.book,
    "pouch": packaging.pouch,
    "squeeze_tube": packaging.squeeze_tube,
    "tiled_cube": packaging.tiled_cube,
    "can": revolved.can,
    "bottle": revolved.bottle,
    "cup": revolved.cup,
    "mug": revolved.mug,
    "ring": revolved.ring,
    "tube": revolved.tube,
    "flange": revolved.flange,
    "ball": revolved.ball,
    "turned": revolved.turned,
    "bracket": profiles.bracket,
    "nut": profiles.nut,
    "bolt": profiles.bolt,
    "plate": profiles.plate,
    "gear": profiles.gear,
    "prism": profiles.prism,
    "machined": profiles.machined,
    "brick": profiles.brick,
    "blob": freeform.blob,
    "toy": freeform.toy,
    "curved": freeform.curved,
    "tool": freeform.tool,
    "clamp": freeform.clamp,
    "car": freeform.car,
    "parcel": packaging.parcel,
    "bearing": machinery.bearing,
    "fitting": machinery.fitting,
    "housing": machinery.housing,
    "valve": machinery.valve,
    "shaft": machinery.shaft,
    "spring": machinery.spring,
    "circuit_board": electrical.circuit_board,
    "cable": electrical.cable,
    "seal": electrical.seal,
    "blister": wrapped.blister,
    "bag": wrapped.bag,
    "jar": wrapped.jar,
}

INDUSTRIAL_FAMILIES = frozenset(
    {"bearing", "bolt", "bracket", "cable", "circuit_board", "fitting", "flange", "gear", "housing", "machined", "nut",
     "plate", "seal", "shaft", "spring", "tube", "valve"}
)  # fmt: skip
"""What factories make and build in, beside goods and packages."""

NOVEL_FAMILIES = frozenset({"mug", "gear", "car", "valve"})
"""Only in scenes of the `novel` split: what a network says about them it cannot have learnt by heart. A hollow vessel
with a handle, a toothed disc, a toy, and an assembled casting."""

TRAIN_FAMILIES = tuple(sorted(FAMILIES.keys() - NOVEL_FAMILIES))


def sample_part(family: str, name: str, *, rng: np.random.Generator) -> Part:
    """One random part of a family, called `name`.

    Raises:
        UnknownNameError: There is no such family.
    """
    if family not in FAMILIES:
        raise UnknownNameError("part family", family, FAMILIES)
    return FAMILIES[family](name, rng)
