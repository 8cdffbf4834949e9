"""The account of a scene that is stored with it in `scene.json`: how to make it again, and what lies where."""

from __future__ import annotations

import dataclasses
from typing import Any

from graspnext.world.scene import Part, Scene


def scene_info(scene: Scene, *, seed: int, index: int, attempt: int) -> dict[str, Any]:
    """Plain JSON values, the same for the same scene.

    Args:
        scene: The scene.
        seed: The dataset's seed.
        index: The scene's number.
        attempt: Which try it is, from 0.
    """
    return {
        "seed": seed,
        "index": index,
        "attempt": attempt,
        "container": {"kind": scene.container.kind, "inner_size_m": list(scene.container.inner_size)},
        "fill": scene.fill,
        "parts": [_part_info(part) for part in scene.parts],
        "placements": [
            {
                "id": number,
                "part": scene.parts[placement.part].name,
                "T_world_part": [[round(float(value), 9) for value in row] for row in placement.T_world_part],
            }
            for number, placement in enumerate(scene.placements, start=1)
        ],
        "num_props": len(scene.props),
        "look": dataclasses.asdict(scene.look),
        "sensor": dataclasses.asdict(scene.sensor),
    }


def _part_info(part: Part) -> dict[str, Any]:
    return {
        "name": part.name,
        "family": part.family,
        "mass_kg": round(part.mass_kg, 9),
        "center_of_mass_m": [round(float(value), 9) for value in part.center_of_mass],
        "friction": part.friction,
        "porosity": part.porosity,
        "num_faces": len(part.mesh.faces),
        "metallic": part.material.metallic,
        "roughness": part.material.roughness,
    }
