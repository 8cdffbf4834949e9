"""`graspnext data`."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graspnext.cli.data import COMMANDS
from graspnext.cli.main import main
from graspnext.data.difficulty import difficulty_of_rates


def test_a_sound_dataset_is_counted(tiny_dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(tiny_dataset)]) == 0
    assert capsys.readouterr().out == "10 scenes, 20 views: no faults\n"


def test_each_fault_is_a_line(tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(shutil.copytree(tiny_dataset, tmp_path / "broken"))
    (root / "scenes/000001/0_depth.png").unlink()
    (root / "scenes/000002/1_rgb.png").write_bytes(b"no picture")
    report = tmp_path / "faults.json"
    assert main(["data", "check", str(root), "--json", str(report)]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("scenes/000001/0_depth.png: the file is missing; ")
    assert lines[-1] == "10 scenes, 20 views: 3 faults"  # the picture: another hash, and no picture
    content = json.loads(report.read_text())
    assert (content["scenes"], content["views"], len(content["faults"])) == (10, 20, 3)
    assert content["faults"][0]["file"] == "scenes/000001/0_depth.png"


def test_json_on_standard_output_stands_alone(tiny_dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(tiny_dataset), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == {"scenes": 10, "views": 20, "faults": []}


def test_a_folder_that_is_not_there_is_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(tmp_path / "nowhere")]) == 2
    assert "dataset.json: the file is missing" in capsys.readouterr().out


def test_show_writes_a_sheet_of_as_many_views_as_asked_for(tiny_dataset: Path, tmp_path: Path) -> None:
    heights = []
    for count in (1, 3):
        out = tmp_path / f"{count}.png"
        words = ["--views", str(count), "--split", "train", "--panel-px", "64"]
        assert main(["data", "show", str(tiny_dataset), "--out", str(out), *words]) == 0
        heights.append(Image.open(out).height - 6)
    assert heights[1] == 3 * heights[0]


def test_the_seed_chooses_the_views(tiny_dataset: Path, tmp_path: Path) -> None:
    sheets = []
    for number, seed in enumerate((1, 1, 2)):
        out = tmp_path / f"{number}.png"
        words = ["--views", "2", "--seed", str(seed), "--panel-px", "64"]
        assert main(["data", "show", str(tiny_dataset), "--out", str(out), *words]) == 0
        sheets.append(np.asarray(Image.open(out)))
    np.testing.assert_array_equal(sheets[0], sheets[1])
    assert not np.array_equal(sheets[0], sheets[2])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "sheet.gif"], "sheet.gif"),
        (["--out", "sheet.png", "--views", "0"], "views is 0"),
        (["--out", "sheet.png", "--seed", "-1"], "seed is -1"),
    ],
)
def test_bad_values_are_one_clear_message(
    tiny_dataset: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["data", "show", str(tiny_dataset), *words])
    except SystemExit as end:
        code = int(end.code or 0)
    assert code == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_show_says_what_is_wrong_with_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", str(tmp_path), "--out", str(tmp_path / "x.png")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_workers_and_progress_change_nothing(tiny_dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(tiny_dataset), "--workers", "2"]) == 0
    assert capsys.readouterr().out == "10 scenes, 20 views: no faults\n"


def test_report_writes_a_page_and_its_numbers(
    tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, numbers = tmp_path / "report.html", tmp_path / "numbers.json"
    assert main(["data", "report", str(tiny_dataset), "--out", str(page), "--json", str(numbers)]) == 0
    assert capsys.readouterr().out == f"{page}: 10 scenes, 20 views\n"
    html = page.read_text()
    assert html.startswith("<!DOCTYPE html>")
    assert html.count("<img") > 4
    assert json.loads(numbers.read_text())["counts"]["views"] == 20
    again = tmp_path / "again.html"
    assert main(["data", "report", str(tiny_dataset), "--out", str(again)]) == 0
    assert again.read_text() == html


@pytest.mark.parametrize("words", [["--out", "report.pdf"], ["--out", "r.html", "--sample", "0"]])
def test_report_refuses_bad_values(tiny_dataset: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(["data", "report", str(tiny_dataset), *words])
    except SystemExit as end:
        code = int(end.code or 0)
    assert code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_report_says_what_is_wrong_with_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "report", str(tmp_path), "--out", str(tmp_path / "x.html")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_help_names_every_verb_on_a_line_and_each_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "--help"]) == 0
    overview = capsys.readouterr().out.splitlines()
    for verb in COMMANDS:
        assert sum(line.startswith(f"  {verb} ") for line in overview) == 1
        with pytest.raises(SystemExit) as end:
            main(["data", verb, "--help"])
        assert end.value.code == 0
        assert f"  graspnext data {verb} " in capsys.readouterr().out
    assert main(["data"]) == 2


def test_an_unknown_verb_and_a_bad_value_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (["chekc", "bins"], "unknown data command 'chekc'; choose one of: check"),
        (["show", "bins", "--out", "sheet.png", "--views", "0"], "views is 0; it must be in 1 ... 200"),
    ):
        assert main(["data", *words]) == 2
        complaint = capsys.readouterr().err
        assert complaint.count("\n") == 1
        assert message in complaint


def test_the_page_shows_as_many_scenes_as_it_can(tiny_dataset: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert main(["data", "report", str(tiny_dataset), "--out", str(page)]) == 0
    shown = re.findall(r"Level (\d) [a-z]+: scene (\d+) view \d+", page.read_text())
    there: dict[int, set[str]] = {}
    for path in tiny_dataset.glob("scenes/*/*_labels.json"):
        rates = [one["occluded_rate"] for one in json.loads(path.read_text())["instances"]]
        there.setdefault(difficulty_of_rates(rates), set()).add(path.parent.name)
    assert {int(level) for level, _ in shown} == set(there)
    for level, scenes in there.items():
        assert len({scene for number, scene in shown if int(number) == level}) == min(4, len(scenes))
