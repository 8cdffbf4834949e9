"""YAML files that people write: read strictly, with the line of every key for messages."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

Lines = dict[tuple[str, ...], int]
"""Keys (and list indices) from the top down -> line, counted from 1."""

_MAX_BYTES = 2**20
_EXPONENT = re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$")


class YamlFileError(ValueError):
    """What is wrong with a YAML file, without its path: the caller knows what the file is for."""


def read_yaml(path: Path) -> tuple[Any, Lines]:
    """The plain content of a YAML file, None for an empty one, and the line of every key.

    `6e4` is a number, as people mean it and as YAML 1.2 has it. Aliases and repeated keys are refused.

    Raises:
        YamlFileError: The file cannot be read, is too large, no YAML, or breaks one of these rules.
    """
    import yaml

    try:
        raw = path.read_bytes()
        if len(raw) > _MAX_BYTES:
            raise YamlFileError(f"{len(raw)} bytes; at most {_MAX_BYTES} are read")
        text = raw.decode("utf-8")
        for event in yaml.parse(text, Loader=_loader()):
            if isinstance(event, yaml.AliasEvent):
                number = 1 + (event.start_mark.line if event.start_mark else 0)
                raise YamlFileError(f"line {number}: aliases (*) are not read; write it out")
        lines: Lines = {}
        _walk(yaml.compose(text, Loader=_loader()), (), lines)
        return yaml.load(text, Loader=_loader()), lines  # a safe loader
    except YamlFileError:
        raise
    except OSError as error:
        raise YamlFileError(f"cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise YamlFileError(f"no YAML: {' '.join(str(error).split())[:200]}") from error


@lru_cache(maxsize=1)
def _loader() -> type[Any]:
    import yaml

    class Loader(yaml.SafeLoader):
        """Plain values only; numbers with an exponent need no decimal point."""

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))
    return Loader


def _walk(node: Any, at: tuple[str, ...], lines: Lines) -> None:
    import yaml

    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            step = (*at, str(key.value))
            number = key.start_mark.line + 1
            if step in lines:
                raise YamlFileError(f"line {number}: '{key.value}' stands there twice; keep one of them")
            lines[step] = number
            _walk(value, step, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*at, str(index))] = value.start_mark.line + 1
            _walk(value, (*at, str(index)), lines)
