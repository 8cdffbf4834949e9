import dataclasses
import math
from pathlib import Path

import pytest

from graspnext.errors import ConfigError, UnknownNameError
from graspnext.world.cup import CupConfig, check_cup_names
from graspnext.world.cups_file import read_cups
from graspnext.world.recipes import Recipe

NUMBERS = [field.name for field in dataclasses.fields(CupConfig) if field.name != "upper_body"]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_every_number_is_checked(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"cup.{name} is {value}"):
        CupConfig(**{name: value})


@pytest.mark.parametrize("steps", [((0.02,),), ((0.02, 0.0),), ((math.nan, 0.1),), ((0.02, 0.1, 0.1),)])
def test_steps_of_the_body_are_checked(steps: tuple[tuple[float, ...], ...]) -> None:
    with pytest.raises(ConfigError, match=r"cup.upper_body"):
        CupConfig(upper_body=steps)


def test_the_body_is_stacked_and_swept() -> None:
    cup = CupConfig(
        radius_m=0.01,
        compliance_m=0.012,
        tool_radius_m=0.02,
        tool_length_m=0.1,
        upper_body=((0.04, 0.05),),
        retreat_m=0.03,
    )
    first, second = cup.body()
    assert first == pytest.approx((0.02, 0.012, 0.142))  # the lip's stroke is longer than the cup's radius
    assert second == pytest.approx((0.04, 0.112, 0.192))
    assert cup.top_m == second[2]


def test_lists_make_equal_cups() -> None:
    assert CupConfig(upper_body=[[0.02, 1]]) == CupConfig(upper_body=((0.02, 1.0),))  # type: ignore[arg-type]
    assert hash(CupConfig(upper_body=[[0.02, 1]])) == hash(CupConfig(upper_body=((0.02, 1.0),)))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "Large", "a/b", "..", "a_b", "-a", "x" * 65, "a\n"])
def test_names_that_are_no_file_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="more_cups"):
        check_cup_names([name])
    with pytest.raises(ConfigError, match="more_cups"):
        Recipe(more_cups={name: CupConfig()})


def test_a_file_of_cups(tmp_path: Path) -> None:
    path = tmp_path / "cups.yaml"
    path.write_text(
        "large: {radius_m: 0.02}\nwith-flange:\n  upper_body: [[0.04, 0.02], [0.03, 0.1]]\n  payload_kg: 1\n"
    )
    own = CupConfig(vacuum_pa=50e3)
    cups = read_cups(path, own)
    assert cups == {
        "large": CupConfig(vacuum_pa=50e3, radius_m=0.02),
        "with-flange": CupConfig(vacuum_pa=50e3, upper_body=((0.04, 0.02), (0.03, 0.1)), payload_kg=1),
    }


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        (
            "large: {radius: 0.02}",
            UnknownNameError,
            "unknown field of a cup 'radius'; choose one of: approach_cone_rad",
        ),
        ("large: {radius_m: big}", ConfigError, "large.radius_m is 'big'"),
        ("large: {radius_m: -1}", ConfigError, "cup.radius_m is -1"),
        ("large: {radius_m: true}", ConfigError, "large.radius_m is True"),
        ("large: {radius_m: '0.02'}", ConfigError, "large.radius_m is '0.02'"),
        ("large: {radius_m: 2001-01-01}", ConfigError, "large.radius_m is '2001-01-01'"),
        ("large: 2001-99-99", ConfigError, "readable YAML"),
        ("2001-01-01: {}", ConfigError, "readable YAML"),
        pytest.param("large: " + "[" * 20_000, ConfigError, "readable YAML", id="nested without end"),
        ("large: {radius_m: [[1, 2]]}", ConfigError, "cup.radius_m is"),
        ("large: {upper_body: 3}", ConfigError, "cup.upper_body is 3"),
        ("Large: {radius_m: 0.02}", ConfigError, "Large"),
        ("[1, 2]", ConfigError, "NAME"),
        ("", ConfigError, "NAME"),
        ("{}", ConfigError, "at least one cup"),
        ("a: [", ConfigError, "readable YAML"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, error: type[Exception], match: str) -> None:
    path = tmp_path / "cups.yaml"
    path.write_text(text)
    with pytest.raises(error, match=match):
        read_cups(path, CupConfig())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        read_cups(tmp_path / "none.yaml", CupConfig())
