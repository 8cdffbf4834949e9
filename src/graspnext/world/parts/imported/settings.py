"""`parts.yaml`: what a mesh does not say about a part. Strict: unknown keys, wrong types and lost names are named."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator, model_validator

from graspnext.errors import PartsError
from graspnext.types import Float64Array
from graspnext.world.looks.appearance import FINISHES
from graspnext.world.yaml_file import Lines, YamlFileError, read_yaml

SETTINGS_FILE = "parts.yaml"
UNITS: dict[str, float] = {"mm": 1e-3, "m": 1.0}
"""Unit of length -> metres."""
Unit = Literal["mm", "m"]
_AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SuctionSurfaces(_Strict):
    """Where a cup may be set: faces that look along one of the directions, or that belong to one of the groups."""

    directions: list[str | list[float]] = Field(default_factory=list)
    """`+x`, `-z`, ... or three numbers, in the part's own axes."""
    within_deg: float = Field(default=30.0, gt=0, le=180, allow_inf_nan=False)
    """How far a face may look away from a direction."""
    groups: list[str] = Field(default_factory=list)
    """Names of nodes, meshes, groups or materials in the file; * and ? stand for any characters."""

    @field_validator("directions")
    @classmethod
    def _known(cls, directions: list[str | list[float]]) -> list[str | list[float]]:
        for direction in directions:
            axis(direction)
        return directions

    @model_validator(mode="after")
    def _some(self) -> SuctionSurfaces:
        if not self.directions and not self.groups:
            raise ValueError("needs `directions` or `groups`")
        return self


def axis(direction: str | list[float]) -> Float64Array:
    """(3,) unit vector of `+x`, `-z`, ... or of three numbers.

    Raises:
        ValueError: It is neither.
    """
    if isinstance(direction, str):
        match = re.fullmatch(r"([+-]?)([xyz])", direction)
        if match is None:
            raise ValueError(f"'{direction}' is no direction; write +x, -x, +y, -y, +z, -z or three numbers")
        return np.array(_AXES[match[2]]) * (-1.0 if match[1] == "-" else 1.0)
    vector = np.array(direction, dtype=np.float64)
    if vector.shape != (3,) or not np.isfinite(vector).all() or not np.linalg.norm(vector) > 0:
        raise ValueError(f"{direction} is no direction; three numbers, not all 0")
    return np.asarray(vector / np.linalg.norm(vector))


_Suction = Annotated[
    Annotated[Literal["all", "none"], Tag("word")] | Annotated[SuctionSurfaces, Tag("surfaces")],
    Discriminator(lambda value: "word" if isinstance(value, str) else "surfaces"),
]


class PartSettings(_Strict):
    """What may be said about one part; what is left out follows from the file, or is assumed."""

    units: Unit | None = None
    mass_kg: float | None = Field(default=None, gt=0, le=100, allow_inf_nan=False)
    density_kg_m3: float | None = Field(default=None, ge=1, le=25000, allow_inf_nan=False)
    finish: str | None = None
    """One of `appearance.FINISHES`: sets roughness and metallic to the middle of its ranges."""
    color: str | list[int] | None = None
    """`#rrggbb` or [r, g, b] in 0..255, sRGB; replaces the file's colours and textures."""
    roughness: _Share | None = None
    metallic: _Share | None = None
    opacity: _Share | None = None
    friction: float | None = Field(default=None, ge=0.05, le=2, allow_inf_nan=False)
    porosity: _Share | None = None
    suction: _Suction | None = None
    novel: bool | None = None
    """Held out: only in scenes of the `novel` split."""
    count: float | None = Field(default=None, gt=0, le=1000, allow_inf_nan=False)
    """How often the part is drawn, against 1 of the others."""

    @field_validator("finish")
    @classmethod
    def _finish(cls, finish: str | None) -> str | None:
        if finish is not None and finish not in FINISHES:
            raise ValueError(f"'{finish}' is no finish; choose one of: {', '.join(sorted(FINISHES))}")
        return finish

    @field_validator("color")
    @classmethod
    def _color(cls, color: str | list[int] | None) -> str | list[int] | None:
        if color is not None:
            rgb(color)
        return color

    @model_validator(mode="after")
    def _one_mass(self) -> PartSettings:
        if self.mass_kg is not None and self.density_kg_m3 is not None:
            raise ValueError("give mass_kg or density_kg_m3, not both")
        return self

    def over(self, below: PartSettings) -> PartSettings:
        """These settings where they say something, else the others. Mass and density replace one another."""
        stated = self.model_dump(exclude_none=True)
        base = below.model_dump(exclude_none=True)
        if {"mass_kg", "density_kg_m3"} & stated.keys():
            base.pop("mass_kg", None)
            base.pop("density_kg_m3", None)
        return PartSettings.model_validate(base | stated)


def rgb(color: str | list[int]) -> tuple[int, int, int]:
    """Colour in 0..255, sRGB, of `#rrggbb` or of three whole numbers.

    Raises:
        ValueError: It is neither.
    """
    if isinstance(color, str):
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", color):
            raise ValueError(f"'{color}' is no colour; write '#rrggbb' in quotes, or [r, g, b] in 0..255")
        return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
    if len(color) != 3 or not all(0 <= value <= 255 for value in color):
        raise ValueError(f"{color} is no colour; write '#rrggbb' in quotes, or [r, g, b] in 0..255")
    return color[0], color[1], color[2]


class Settings(_Strict):
    """The whole of `parts.yaml`."""

    defaults: PartSettings = Field(default_factory=PartSettings)
    parts: dict[str, PartSettings] = Field(default_factory=dict)
    """File below the folder, with or without its suffix, or a pattern with * and ?; later entries overrule earlier."""

    @field_validator("parts", mode="before")
    @classmethod
    def _texts(cls, parts: object) -> object:
        for name in parts if isinstance(parts, dict) else ():
            if not isinstance(name, str):
                raise ValueError(f"YAML takes the name {name} for no text; write it in quotes")
        return parts

    def of(self, file: str) -> PartSettings:
        """What holds for one file."""
        found = self.defaults
        for name, settings in self.parts.items():
            if _matches(name, file):
                found = settings.over(found)
        return found


def _matches(name: str, file: str) -> bool:
    name = name.replace("[", "[[]")  # only * and ? are special
    return any(fnmatchcase(candidate, name) for candidate in (file, file.rpartition(".")[0]))


def read_settings(folder: Path, files: list[str]) -> Settings:
    """The settings in a folder's `parts.yaml`, or those of an empty one where there is none.

    Args:
        folder: The folder of meshes.
        files: Its mesh files, which every name in `parts` must match.

    Raises:
        PartsError: The file breaks the rules; all faults are listed with their lines.
    """
    path = folder / SETTINGS_FILE
    if not path.is_file():
        return Settings()
    try:
        content, lines = read_yaml(path)
    except YamlFileError as error:
        raise PartsError(path, str(error), "see docs/parts.md for what may stand there") from error
    faults: list[str] = []
    settings = Settings()
    try:
        settings = Settings.model_validate({} if content is None else content)
    except ValidationError as error:
        for fault in error.errors():
            where = [str(step) for step in fault["loc"] if str(step) not in _UNION_STEPS]
            message = _MESSAGES.get(fault["type"], fault["msg"].removeprefix("Value error, "))
            text = f"{_line(lines, where)}{'.'.join(where) or 'the file'}: {message}"
            faults += [] if text in faults else [text]
    for name in settings.parts:
        if not any(_matches(name, file) for file in files):
            faults.append(f"{_line(lines, ['parts', name])}parts.{name}: matches no file ({_some(files)})")
    if faults:
        raise PartsError(path, "; ".join(faults), "see docs/parts.md for what may stand there")
    return settings


_UNION_STEPS = {"str", "list[int]", "list[float]", "word", "surfaces", "[key]"}
"""Steps in pydantic's locations that say which member of a union was tried."""
_MESSAGES = {
    "extra_forbidden": "unknown key",
    "model_type": "must hold keys and values",
    "dict_type": "must hold keys and values",
    "union_tag_not_found": "must be all, none, or hold directions or groups",
}


def _some(files: list[str]) -> str:
    return ", ".join(files[:5]) + (f" and {len(files) - 5} more" if len(files) > 5 else "")


def _line(lines: Lines, where: list[str]) -> str:
    """`line N: ` of the nearest known place."""
    for length in range(len(where), 0, -1):
        if (number := lines.get(tuple(where[:length]))) is not None:
            return f"line {number}: "
    return ""
