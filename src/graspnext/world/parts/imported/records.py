"""The user's parts as plain values, stored with each dataset, and the `Part` that each stands for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

import numpy as np

from graspnext.errors import MeshFileError, PartsError
from graspnext.types import BoolArray
from graspnext.world.looks.appearance import FINISHES, METALS, Color, sample_color, to_linear
from graspnext.world.parts.imported.cache import ShapeCache
from graspnext.world.parts.imported.settings import PartSettings, SuctionSurfaces, axis, rgb
from graspnext.world.parts.imported.shape import Shape
from graspnext.world.parts.solid import Physics, make_part
from graspnext.world.scene import Material, Mesh, Part

_DENSITIES = (("steel", 7850.0), ("plastic", 1100.0))
"""Assumed for metallic parts and for all others, kg/m^3."""
_METALLIC_FROM = 0.5
_FRICTIONS = {"rubber": 0.8, "metal": 0.35}
_FRICTION = 0.45
_PLAIN_FINISHES = ("metal", "plastic", "plastic", "gloss", "rubber")
"""What parts without a look are made of, one drawn by the hash of their content."""


@dataclass(frozen=True)
class SuctionRule:
    """Which faces may be sucked; both empty = none."""

    directions: tuple[tuple[float, float, float], ...] = ()
    within_deg: float = 30.0
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportedPart:
    """One part: which shape, how large, how heavy, how it looks."""

    name: str
    key: str
    """Of its shape in the cache: a hash of the file's content."""
    metres: float
    """Length of the file's unit."""
    mass_kg: float
    friction: float
    porosity: float
    roughness: float
    metallic: float
    color: tuple[float, float, float] | None = None
    """Linear light in [0, 1]; None = as in the file."""
    opacity: float = 1.0
    suction: SuctionRule | None = None
    """None = everywhere."""
    novel: bool = False
    """Held out for `novel` scenes."""
    count: float = 1.0
    """Weight in drawing."""


@dataclass(frozen=True)
class ImportedParts:
    """The usable parts of one folder."""

    digest: str
    """SHA-256 over names and content of the folder's meshes, hex."""
    parts: tuple[ImportedPart, ...]

    def of(self, *, novel: bool) -> tuple[ImportedPart, ...]:
        """The parts of novel scenes or of all others."""
        return tuple(part for part in self.parts if part.novel == novel)


def record(name: str, key: str, shape: Shape, metres: float, settings: PartSettings) -> tuple[ImportedPart, str]:
    """The record of one part, and where its mass comes from.

    Raises:
        MeshFileError: `suction` names groups that the file does not have.
    """
    color, roughness, metallic, finish = _look(shape, key, settings)
    volume = shape.volume * metres**3
    if settings.mass_kg is not None:
        mass, source = settings.mass_kg, "parts.yaml"
    elif settings.density_kg_m3 is not None:
        mass, source = volume * settings.density_kg_m3, "parts.yaml"
    else:
        stuff, density = _DENSITIES[0 if metallic >= _METALLIC_FROM else 1]
        mass, source = volume * density, f"as {stuff}"
    part = ImportedPart(
        name=name,
        key=key,
        metres=metres,
        mass_kg=max(float(f"{mass:.6g}"), 1e-4),
        friction=_FRICTIONS.get(finish, _FRICTION) if settings.friction is None else settings.friction,
        porosity=settings.porosity or 0.0,
        roughness=roughness,
        metallic=metallic,
        color=color,
        opacity=1.0 if settings.opacity is None else settings.opacity,
        suction=_rule(shape, settings),
        novel=bool(settings.novel),
        count=1.0 if settings.count is None else settings.count,
    )
    return part, source


def _look(
    shape: Shape, key: str, settings: PartSettings
) -> tuple[tuple[float, float, float] | None, float, float, str]:
    """Colour (None = the file's), roughness, metallic and finish: as stated, else as in the file, else by its hash."""
    rng = np.random.default_rng(int(key[:16], 16))
    silent = shape.color is None
    finish = settings.finish
    if finish is None:
        finish = str(rng.choice(_PLAIN_FINISHES)) if silent else "plastic"
        if shape.metallic is not None:
            finish = "metal" if shape.metallic >= _METALLIC_FROM else "plastic"
    rough, metal = (round(float(np.mean(bounds)), 3) for bounds in FINISHES[finish])
    if settings.finish is None:
        rough = rough if shape.roughness is None else round(shape.roughness, 3)
        metal = metal if shape.metallic is None else round(shape.metallic, 3)
    chosen: Color | None = None
    if settings.color is not None:
        chosen = rgb(settings.color)
    elif silent:
        chosen = METALS[int(rng.integers(len(METALS)))] if finish == "metal" else sample_color(rng=rng)
    color = None
    if chosen is not None:
        r, g, b = to_linear(chosen)
        color = (round(r, 4), round(g, 4), round(b, 4))
    rough = rough if settings.roughness is None else settings.roughness
    metal = metal if settings.metallic is None else settings.metallic
    return color, rough, metal, finish


def _rule(shape: Shape, settings: PartSettings) -> SuctionRule | None:
    if settings.suction is None or settings.suction == "all":
        return None
    if not isinstance(settings.suction, SuctionSurfaces):
        return SuctionRule()
    stated = settings.suction
    known = sorted({name for names in shape.groups for name in names})
    for pattern in stated.groups:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise MeshFileError(
                f"suction.groups: nothing in the file is called '{pattern}'",
                f"it has {', '.join(known[:12]) or 'no names'}; correct parts.yaml",
            )
    directions = tuple(tuple(round(float(value), 6) for value in axis(one)) for one in stated.directions)
    return SuctionRule(directions, stated.within_deg, tuple(stated.groups))  # type: ignore[arg-type]


def build_part(about: ImportedPart, shape: Shape) -> Part:
    """The part of a record and its shape: the same pair gives the same bytes."""
    mesh = Mesh((shape.vertices * about.metres).astype(np.float32), shape.faces, shape.uv)
    plain = about.color is not None
    color = about.color or shape.color or (0.5, 0.5, 0.5)
    material = Material(color, about.roughness, about.metallic, None if plain else shape.texture, about.opacity)
    part = make_part(
        about.name,
        about.name,
        mesh,
        physics=Physics(about.mass_kg, about.friction, about.porosity),
        material=material,
        hulls=[(hull * about.metres).astype(np.float32) for hull in shape.hulls],
    )
    return replace(part, suckable=_suckable(about, shape))


def _suckable(about: ImportedPart, shape: Shape) -> BoolArray | None:
    rule = about.suction
    if rule is None:
        return None
    corners = shape.vertices[shape.faces]  # (F, 3, 3)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    allowed = np.zeros(len(shape.faces), dtype=np.bool_)
    for direction in rule.directions:
        allowed |= normals @ np.array(direction) >= np.cos(np.deg2rad(rule.within_deg))
    for pattern in rule.groups:
        named = [any(fnmatchcase(name, pattern) for name in names) for names in shape.groups]
        allowed |= np.array(named)[shape.group]
    return allowed


@lru_cache(maxsize=512)
def load_part(about: ImportedPart, cache: Path | None = None) -> Part:
    """The part of a record, from the cache; kept for the process.

    Raises:
        PartsError: The cache does not hold its shape.
    """
    try:
        shape = ShapeCache(cache).get(about.key)
    except MeshFileError:
        shape = None
    if shape is None:
        raise PartsError(
            ShapeCache(cache).folder,
            f"does not hold part '{about.name}'",
            "run `graspnext world parts` on its folder again; several machines need one folder in XDG_CACHE_HOME",
        )
    return build_part(about, shape)
