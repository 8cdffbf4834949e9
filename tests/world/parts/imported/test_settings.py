from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from graspnext.errors import PartsError
from graspnext.world.looks.appearance import FINISHES
from graspnext.world.parts.imported.settings import axis, read_settings, rgb

DOCS = Path(__file__).parents[4] / "docs/parts.md"
FILES = ["a.stl", "sub/b.obj"]


def faults(tmp_path: Path, text: str) -> str:
    (tmp_path / "parts.yaml").write_text(text)
    with pytest.raises(PartsError) as caught:
        read_settings(tmp_path, FILES)
    return str(caught.value)


def test_a_number_as_a_name_is_explained(tmp_path: Path) -> None:
    assert "write it in quotes" in faults(tmp_path, "parts: {4711: {mass_kg: 1}}")


def test_brackets_are_letters_like_others(tmp_path: Path) -> None:
    (tmp_path / "parts.yaml").write_text("parts: {'rail [left].stl': {mass_kg: 1}}")
    settings = read_settings(tmp_path, ["rail [left].stl", "rail l.stl"])
    assert settings.of("rail [left].stl").mass_kg == 1 and settings.of("rail l.stl").mass_kg is None


def test_no_file_and_an_empty_one_say_nothing(tmp_path: Path) -> None:
    assert read_settings(tmp_path, FILES).of("a.stl").model_dump(exclude_none=True) == {}
    (tmp_path / "parts.yaml").write_text("# nothing yet\n")
    assert read_settings(tmp_path, FILES).parts == {}


def test_later_entries_overrule_earlier_ones_and_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "parts.yaml").write_text(
        "defaults: {density_kg_m3: 2700, friction: 0.3}\n"
        "parts:\n  'sub/*': {novel: true, count: 2}\n  sub/b: {mass_kg: 0.4, count: 3}\n  a.stl: {units: m}\n"
    )
    settings = read_settings(tmp_path, FILES)
    assert settings.of("a.stl").model_dump(exclude_none=True) == {"units": "m", "density_kg_m3": 2700, "friction": 0.3}
    assert settings.of("sub/b.obj").model_dump(exclude_none=True) == {
        "mass_kg": 0.4,
        "friction": 0.3,
        "novel": True,
        "count": 3,
    }


def test_every_fault_is_listed_with_its_line(tmp_path: Path) -> None:
    said = faults(
        tmp_path,
        "defaults:\n  densty: 1\n  mass_kg: -1\nparts:\n"
        "  a: {suction: maybe}\n  a.stl:\n    novel: 3\n    finish: shiny\n    units: inch\n",
    )
    for expected in (
        "line 2: defaults.densty: unknown key",
        "line 3: defaults.mass_kg",
        "line 5: parts.a.suction",
        "line 7: parts.a.stl.novel",
        "line 8: parts.a.stl.finish: 'shiny' is no finish",
        "line 9: parts.a.stl.units",
    ):
        assert expected in said, (expected, said)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("parts:\n  zz: {}\n", "line 2: parts.zz: matches no file"),
        ("defaults: {mass_kg: 1, density_kg_m3: 2}", "not both"),
        ("defaults: {mass_kg: .nan}", "finite"),
        ("defaults: {mass_kg: true}", "mass_kg"),
        ("defaults: {color: red}", "no colour"),
        ("defaults: {color: [1, 2]}", "no colour"),
        ("defaults: {suction: {directions: [up]}}", "'up' is no direction"),
        ("defaults: {suction: {within_deg: 3}}", "directions"),
        ("defaults: {}\ndefaults: {}", "stands there twice"),
        ("a: &x [1]\nb: *x", "aliases"),
        ("a: [", "no YAML"),
        ("- 1", "keys and values"),
        ("defaults: !!python/object:os.system {}", "no YAML"),
    ],
)
def test_single_faults(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in faults(tmp_path, text)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "parts.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PartsError, match="no YAML"):
        read_settings(tmp_path, FILES)


def test_directions_and_colours() -> None:
    np.testing.assert_allclose(axis("-y"), (0, -1, 0))
    np.testing.assert_allclose(axis("z"), (0, 0, 1))
    np.testing.assert_allclose(axis([0, 3, 4]), (0, 0.6, 0.8))
    assert rgb("#ff8000") == (255, 128, 0) == rgb([255, 128, 0])


def test_the_example_in_the_docs_holds(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    (tmp_path / "parts.yaml").write_text(example)
    files = ["bracket.stl", "bags/crisps.glb", "housing.obj", "legacy.off", "new_part.ply"]
    settings = read_settings(tmp_path, files)
    assert settings.of("bracket.stl").mass_kg == 0.18 and settings.of("bracket.stl").density_kg_m3 is None
    assert settings.of("new_part.ply").novel and settings.of("bags/crisps.glb").count == 3
    assert settings.of("housing.obj").friction == 0.45
    assert sorted(FINISHES) == re.search(r"finish: metal +# ([a-z, ]+):", example)[1].split(", ")  # type: ignore[index]
