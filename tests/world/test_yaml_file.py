"""YAML as people write it: numbers with exponents, lines of keys, nothing that repeats or refers."""

from __future__ import annotations

from pathlib import Path

import pytest

from graspnext.world.yaml_file import YamlFileError, read_yaml


def read(tmp_path: Path, text: str) -> object:
    (tmp_path / "a.yaml").write_text(text)
    return read_yaml(tmp_path / "a.yaml")[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("6e4", 6e4),
        ("60e3", 6e4),
        ("-1.5E-3", -1.5e-3),
        (".5e+1", 5.0),
        ("6", 6),
        ("'6e4'", "6e4"),
        ("e4", "e4"),
        ("6e4m", "6e4m"),
    ],
)
def test_numbers_with_exponents(text: str, value: object, tmp_path: Path) -> None:
    found = read(tmp_path, f"key: {text}")
    assert found == {"key": value}
    assert type(found["key"]) is type(value)  # type: ignore[index]


def test_lines_of_keys_and_items(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a:\n  b: 1\n  c:\n    - x\n    - {d: 2}\n")
    content, lines = read_yaml(tmp_path / "a.yaml")
    assert content == {"a": {"b": 1, "c": ["x", {"d": 2}]}}
    assert lines == {
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "c"): 3,
        ("a", "c", "0"): 4,
        ("a", "c", "1"): 5,
        ("a", "c", "1", "d"): 5,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: 'a' stands there twice"),
        ("a: &x [1]\nb: *x", r"line 2: aliases \(\*\) are not read"),
        ("a: [", "no YAML"),
        ("a: " + "[" * 5000, "no YAML"),
        ("a: !!python/object:os.system {}", "no YAML"),
        ("# " + "x" * 2**20, "bytes; at most"),
    ],
)
def test_what_breaks_the_rules_is_named(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(YamlFileError, match=message):
        read(tmp_path, text)


def test_a_missing_file_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(YamlFileError, match="cannot be read: No such file"):
        read_yaml(tmp_path / "none.yaml")
    assert read(tmp_path, "") is None
