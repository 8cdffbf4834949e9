"""All part families by name, and which of them training never sees."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graspnext.errors import UnknownNameError
from graspnext.world.parts import freeform, packaging, profiles, revolved
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
}

NOVEL_FAMILIES = frozenset({"mug", "gear", "car"})
"""Only in scenes of the `novel` split: what a network says about them it cannot have learnt by heart."""

TRAIN_FAMILIES = tuple(sorted(FAMILIES.keys() - NOVEL_FAMILIES))


def sample_part(family: str, name: str, *, rng: np.random.Generator) -> Part:
    """One random part of a family, called `name`.

    Raises:
        UnknownNameError: There is no such family.
    """
    if family not in FAMILIES:
        raise UnknownNameError("part family", family, FAMILIES)
    return FAMILIES[family](name, rng)
