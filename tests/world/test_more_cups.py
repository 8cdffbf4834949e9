"""Several cups in one dataset, from the command line to the reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graspnext.cli.main import main
from graspnext.data.reader import Dataset
from graspnext.world.render.renderer import renderer_problems

needs_renderer = pytest.mark.skipif(
    all(problem is not None for problem in renderer_problems().values()), reason=f"no renderer: {renderer_problems()}"
)


@needs_renderer
def test_each_cup_has_its_record_and_its_maps(tmp_path: Path) -> None:
    cups = tmp_path / "cups.yaml"
    cups.write_text("small: {radius_m: 0.005}\nwith-flange: {upper_body: [[0.05, 0.05]]}\n")
    out = tmp_path / "bins"
    words = ["world", "make", "--out", str(out), "--recipe", "smoke", "--scenes", "1", "--views", "1", "--workers", "1"]
    assert main([*words, "--cups", str(cups)]) == 0
    dataset = Dataset(out)
    assert set(dataset.info.more_cups) == {"small", "with-flange"}
    assert dataset.info.more_cups["small"]["radius_m"] == 0.005
    assert dataset.info.more_cups["with-flange"]["upper_body"] == [(0.05, 0.05)]
    assert (out / "scenes" / dataset.entries[0].scene / "0_suction_with-flange.png").is_file()
    labels = dataset.read(dataset.entries[0]).labels
    assert set(labels.more_suction) == {"small", "with-flange"}
    # The flange takes away from what the own cup reaches, and adds nothing.
    assert (labels.more_suction["with-flange"] <= labels.suction + 1e-6).mean() > 0.999
    assert not np.array_equal(labels.more_suction["small"], labels.suction)
    assert main([*words, "--cups", str(cups), "--resume"]) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("small: {radius: 0.005}", "unknown field of a cup 'radius'"),
        ("small: {radius_m: true}", "small.radius_m is True; it must be as in NAME"),
        ("small: {radius_m: wide}", "small.radius_m is 'wide'; it must be as in NAME: {radius_m: 0.02, ...}"),
        ("small: {upper_body: [[0.04]]}", "small.upper_body is [[0.04]]; it must be as in"),
        ("a: {radius_m: 0.02}\na: {radius_m: 0.01}", "line 2: 'a' stands there twice"),
        ("small:", "small is None; it must be as in NAME"),
        ("", "cups.yaml'; it must be as in NAME"),
    ],
)
def test_a_bad_file_of_cups_is_one_line(
    content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cups = tmp_path / "cups.yaml"
    cups.write_text(content + "\n")
    assert main(["world", "make", "--out", str(tmp_path / "bins"), "--recipe", "smoke", "--cups", str(cups)]) == 2
    complaint = capsys.readouterr().err
    assert message in complaint
    assert complaint.count("\n") == 1
    assert not (tmp_path / "bins").exists()
