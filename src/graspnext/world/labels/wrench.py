"""Does the cup hold the part's weight at this point? Closed form."""

from __future__ import annotations

import numpy as np

from graspnext.types import Float64Array
from graspnext.world.cup import CupConfig
from graspnext.world.scene import Part

GRAVITY = 9.81
"""m / s^2."""


def can_be_lifted(part: Part, cup: CupConfig) -> bool:
    """Whether the part's mass is within the payload."""
    return part.mass_kg <= cup.payload_kg


def wrench_scores(
    part: Part, T_world_part: Float64Array, points: Float64Array, normals: Float64Array, cup: CupConfig
) -> Float64Array:
    """Holding capacity over `safety_factor` times the load, the worst of three ways to fail: (N,) in [0, 1].

    The cup pulls with F = vacuum * pi r^2 along its axis n. The weight W = m g acts at the centre of mass, whose
    lever from the contact is l; its moment is M = l x (-W z). The ring contact has the limits of Dex-Net 3.0
    (Mahler et al., "Computing Robust Vacuum Suction Grasp Targets", ICRA 2018), with the lip's weakest point
    deciding the bending moment:

        pulling off   load W max(0, n.z)                                  capacity F
        slipping      load sqrt(W_t^2 + (M.n / r)^2)                      capacity mu N
        tipping       load |M - (M.n) n|                                  capacity N r

    with N = max(0, F - W n.z) the force that presses the lip on the part, and W_t the weight across the axis;
    sliding and twisting share the friction of the ring (elliptic limit surface, Howe and Cutkosky, 1996).
    The score is clip(min(capacity / (safety_factor * load)), 0, 1), and 0 where N = 0; at the default factor of 2
    a score of 0.5 just holds. It is 0 everywhere on a part heavier than the payload.

    Args:
        part: Mass and centre of mass.
        T_world_part: (4, 4); world z is up.
        points: (N, 3) contacts, world frame, metres.
        normals: (N, 3) unit outward normals, world frame.
        cup: The cup.
    """
    if not can_be_lifted(part, cup):
        return np.zeros(len(points))
    force = cup.vacuum_pa * np.pi * cup.radius_m**2
    weight = part.mass_kg * GRAVITY
    center = T_world_part[:3, :3] @ part.center_of_mass + T_world_part[:3, 3]
    lever = center - points  # (N, 3)
    moment = weight * np.stack([-lever[:, 1], lever[:, 0], np.zeros(len(points))], axis=1)  # lever x (0, 0, -W)
    twist = np.einsum("nd,nd->n", moment, normals)
    bending = np.linalg.norm(moment - twist[:, None] * normals, axis=1)
    pull = weight * normals[:, 2]
    across = weight * np.sqrt(np.clip(1 - normals[:, 2] ** 2, 0, None))
    pressing = np.clip(force - pull, 0, None)
    loads = np.stack([np.clip(pull, 0, None), np.hypot(across, twist / cup.radius_m), bending])  # (3, N)
    capacities = np.stack([np.full_like(pull, force), cup.friction * pressing, pressing * cup.radius_m])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.where(loads > 0, capacities / (cup.safety_factor * loads), np.inf)
    score = np.where(pressing > 0, np.clip(ratio.min(axis=0), 0, 1), 0)
    return np.asarray(score, dtype=np.float64)
