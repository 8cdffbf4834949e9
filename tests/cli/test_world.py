from __future__ import annotations

import json
from pathlib import Path

import pytest

from graspnext.cli.main import main
from graspnext.cli.world import summary, take_workers
from graspnext.data.reader import read_info, read_manifest
from graspnext.world.generate import GenerateReport
from graspnext.world.recipes import find_recipe
from graspnext.world.render.renderer import renderer_problems

needs_renderer = pytest.mark.skipif(
    all(problem is not None for problem in renderer_problems().values()), reason=f"no renderer: {renderer_problems()}"
)


@needs_renderer
def test_make_writes_a_dataset_and_says_where_time_went(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, measured = tmp_path / "bins", tmp_path / "made.json"
    words = ["world", "make", "--out", str(out), "--scenes", "2", "--views", "1", "--size", "64", "--seed", "3"]
    words += ["--recipe", "smoke", "--recipe.cup.radius-m", "0.01", "--json", str(measured)]
    assert main(words) == 0
    info = read_info(out)
    assert (info.seed, info.num_scenes, info.views_per_scene, info.image_size) == (3, 2, 1, (64, 64))
    assert info.cup["radius_m"] == 0.01
    assert info.recipe["parts_per_scene"] == [3, 8]
    assert len(read_manifest(out)) == 2
    numbers = json.loads(measured.read_text())
    assert (numbers["scenes"], numbers["views"], numbers["kept_scenes"]) == (2, 2, 0)
    assert 0 < numbers["render_s_per_view"] < numbers["wall_s"]
    captured = capsys.readouterr()
    assert "2 scenes made (2 views), 0 kept, 0 failed (0.0%)" in captured.out
    assert (numbers["failed_scenes"], numbers["failed_share"]) == (0, 0.0)
    assert numbers["attempts"] == 2 + sum(numbers["refused_by_reason"].values())
    assert "physics" in captured.out
    assert "scenes: 2/2" in captured.err

    assert main(words) == 2  # the folder is in use
    assert "error: " in (complaint := capsys.readouterr().err)
    assert "--resume" in complaint
    assert main([*words, "--resume"]) == 0
    assert "0 scenes made (0 views), 2 kept" in capsys.readouterr().out


@needs_renderer
def test_a_preset_says_how_many_scenes_and_json_goes_to_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["world", "make", "--recipe", "smoke", "--out", str(tmp_path / "out"), "--json", "-"]
    assert main([*words, "--size", "48", "--views", "1", "--recipe.parts-per-scene", "1", "2"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["scenes"] + numbers["failed_scenes"] == find_recipe("smoke").scenes == 8
    info = read_info(tmp_path / "out")
    assert (info.num_scenes, info.recipe["scenes"]) == (8, 8)


def test_workers_are_a_number_or_a_cluster() -> None:
    assert [take_workers(word) for word in (None, "3", "ray", "ray:10.0.0.1:6379")] == [
        (None, None),
        (3, None),
        (None, ""),
        (None, "10.0.0.1:6379"),
    ]


def test_the_summary_counts_failures_by_reason(tmp_path: Path) -> None:
    report = GenerateReport(scenes=8, views=16, failed=2, attempts=21)
    report.refused.update({"parts overlap by # mm": 8, "a part still moves": 3})
    text = summary(tmp_path, report)
    assert "8 scenes made (16 views), 0 kept, 2 failed (20.0%)" in text
    assert "11 of 21 attempts refused: 8 x parts overlap by # mm; 3 x a part still moves" in text


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["world", "make", "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for word in ("Examples:", "--resume", "--workers", "--recipe.look.ambient-lux"):
        assert word in text
    assert main(["world", "--help"]) == 0
    assert main(["world"]) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bake"], "unknown world command 'bake'; choose one of: make"),
        (
            ["make", "--out", "x", "--scenes", "1", "--recipe", "soup"],
            "unknown recipe 'soup'; choose one of: bench, default, paper",
        ),
        (["make", "--out", "x", "--scenes", "0"], "scenes is 0; it must be"),
        (["make", "--out", "x", "--scenes", "1", "--size", "7"], "image_size is (7, 7)"),
        (["make", "--out", "x", "--scenes", "1", "--views", "0"], "views is 0"),
        (["make", "--out", "x", "--scenes", "1", "--renderer", "blender"], "renderer is 'blender'"),
        (["make", "--out", "x", "--workers", "many"], "workers is 'many'; it must be a whole number from 1, ray"),
        (["make", "--out", "x", "--workers", "0"], "workers is '0'; it must be a whole number from 1"),
        (["make", "--out", "x", "--workers", "-1"], "workers is '-1'; it must be a whole number from 1"),
        (["make", "--out", "x", "--recipe"], "--recipe is ''; it must be followed by the name of a recipe"),
        (["make", "--out", "x", "--recipe.parts-per-scene", "5", "1"], "parts_per_scene is (5, 1); it must be a pair"),
        (["make", "--out", "x", "--scenes", "1", "--json", "."], ".: a folder stands where a file must be"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["world", *words]) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert message in complaint
    assert not list(tmp_path.iterdir())
