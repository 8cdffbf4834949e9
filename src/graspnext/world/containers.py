"""Containers by kind."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graspnext.errors import UnknownNameError
from graspnext.world.bins.crates import crate
from graspnext.world.bins.flat import conveyor, table
from graspnext.world.bins.totes import carton, tote
from graspnext.world.bins.trays import tray
from graspnext.world.scene import Container, ContainerKind

CONTAINERS: dict[ContainerKind, Callable[[np.random.Generator], Container]] = {
    "tote": tote,
    "carton": carton,
    "tray": tray,
    "crate": crate,
    "conveyor": conveyor,
    "table": table,
}


def sample_container(kind: str, *, rng: np.random.Generator) -> Container:
    """A random container with its inner floor at z = 0 around the origin.

    Args:
        kind: "tote" (plastic or metal, walls, often a rim, ribs, hand holes), "carton" (cardboard, open, often with
            flaps), "tray" (low, with compartments), "crate" (wire mesh or slotted plastic, open to the eye), "conveyor"
            (belt or rollers between rails), "table" (a slab). The last two have no walls: `inner_size` is the part of
            them that things are put on.
        rng: Source of randomness.

    Raises:
        UnknownNameError: Another kind.
    """
    for name, make in CONTAINERS.items():
        if name == kind:
            return make(rng)
    raise UnknownNameError("container", kind, CONTAINERS)
