"""Further cups of a dataset from a YAML file. Strict: unknown fields, wrong types and values out of range are named.

large:                 # a name: lower-case letters, digits and hyphens
  radius_m: 0.02       # fields of world.cup.CupConfig; what is left out is as in the dataset's own cup
  compliance_m: 0.006
with-flange:
  upper_body: [[0.04, 0.02], [0.03, 0.1]]
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from graspnext.data.format import Cup, CupName
from graspnext.errors import ConfigError, UnknownNameError
from graspnext.world.cup import CupConfig
from graspnext.world.yaml_file import YamlFileError, read_yaml

_FORM = TypeAdapter(dict[CupName, Cup])


def read_cups(path: Path, own: CupConfig) -> dict[str, CupConfig]:
    """The cups in a file, by name.

    Args:
        path: A YAML file.
        own: The dataset's own cup, from which the others take what they do not say.

    Raises:
        ConfigError: The file cannot be read, is no YAML or no table of cups, or a value is out of its range.
        UnknownNameError: A field is none of a cup's.
    """
    try:
        content = json.dumps(read_yaml(path)[0], default=str)
    except (YamlFileError, TypeError, ValueError) as error:
        raise ConfigError("cups", str(path), f"a readable YAML file ({error})") from error
    try:
        cups = _FORM.validate_json(content, strict=True)  # as JSON, a list may be a pair, yet no text a number
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"][:2]) or "cups"
        value = first["input"] if first["loc"] and len(repr(first["input"])) <= 80 else str(path)
        raise ConfigError(where, value, f"as in NAME: {{radius_m: 0.02, ...}} ({first['msg']})") from error
    if not cups:
        raise ConfigError("cups", str(path), "a file with at least one cup: NAME: {radius_m: 0.02, ...}")
    fields = [field.name for field in dataclasses.fields(CupConfig)]
    return {name: _cup(values, own, fields) for name, values in cups.items()}


def _cup(values: Cup, own: CupConfig, fields: list[str]) -> CupConfig:
    for key in values:
        if key not in fields:
            raise UnknownNameError("field of a cup", key, fields)
    for key, value in values.items():
        if isinstance(value, list) != (key == "upper_body"):
            raise ConfigError(f"cup.{key}", value, "pairs (radius, length)" if key == "upper_body" else "a number")
    return dataclasses.replace(own, **values)  # type: ignore[arg-type]  # the types are checked just above
