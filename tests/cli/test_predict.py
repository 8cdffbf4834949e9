"""`graspnext predict` as a user meets it: good sources, bad ones, both at once."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.deploy import tiny_run

from graspnext.cli.main import main
from graspnext.cli.predict_output import unique_names


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tiny_run.tiny_bundle(tmp_path_factory.getbasetemp()))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    folder = tmp_path / "in"
    (folder / "more").mkdir(parents=True)
    for name in ("a.png", "b.jpg", "more/a.png"):
        blocks = np.kron(rng.integers(0, 256, (8, 10, 3)), np.ones((16, 16, 1))).astype(np.uint8)
        Image.fromarray(blocks).save(folder / name)
    return folder


def run(*words: object) -> int:
    return main(["predict", *map(str, words)])


def test_folder_and_pattern(bundle: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = (pictures, pictures / "more" / "*.png", "--out", out, "--model", bundle, "--min-score", 0.1)
    assert run(*words, "--json", tmp_path / "copy.json") == 0
    written = sorted(path.name for path in out.iterdir())
    assert written == ["a_2_overlay.png", "a_overlay.png", "b_overlay.png", "predictions.json"]
    content = json.loads((out / "predictions.json").read_text())
    assert [Path(frame["file"]).name for frame in content["frames"]] == ["a.png", "b.jpg", "a.png"]
    assert [frame["overlay"] for frame in content["frames"]] == ["a_overlay.png", "b_overlay.png", "a_2_overlay.png"]
    assert all(frame["instances"] for frame in content["frames"])
    assert all(frame["predict_ms"] > 0 for frame in content["frames"])
    assert content["errors"] == []
    assert json.loads((tmp_path / "copy.json").read_text()) == content
    with Image.open(out / "a_overlay.png") as overlay:
        assert overlay.width > 3 * 400
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["file", "parts", "occluded", "best", "suction", "ms"]
    assert len(table) == 5
    assert table[-1] == f"3 overlays and predictions.json: see {out}"
    assert int(table[1].split()[1]) == len(content["frames"][0]["instances"])


def test_the_runtimes_tell_the_same(bundle: Path, pictures: Path, tmp_path: Path) -> None:
    found = []
    for runtime in ("openvino", "onnxruntime"):
        assert run(pictures, "--out", tmp_path / runtime, "--model", bundle, "--runtime", runtime) == 0
        found.append(json.loads((tmp_path / runtime / "predictions.json").read_text())["frames"])
    for one, other in zip(*found, strict=True):
        assert len(one["instances"]) == len(other["instances"])
        for a, b in zip(one["instances"], other["instances"], strict=True):
            assert a["amodal_box"] == pytest.approx(b["amodal_box"], abs=0.1)
            assert a["score"] == pytest.approx(b["score"], abs=1e-3)


def test_bad_sources_do_not_stop_good_ones(
    bundle: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "cut.png").write_bytes((pictures / "a.png").read_bytes()[:500])
    (pictures / "text.png").write_text("hello")
    out = tmp_path / "out"
    words = (pictures / "none.png", pictures, tmp_path / "*.webp", "--out", out, "--model", bundle)
    assert run(*words) == 2
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 4  # the head, the two good ones, where to look
    errors = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 4
    assert "Traceback" not in captured.err
    assert any("none.png: no such file or folder; check the path" in line for line in errors)
    assert any("cut.png: the image is damaged" in line for line in errors)
    content = json.loads((out / "predictions.json").read_text())
    assert len(content["frames"]) == 2
    assert {Path(error["source"]).name for error in content["errors"]} == {"none.png", "cut.png", "text.png", "*.webp"}
    assert sorted(path.name for path in out.glob("*.png")) == ["a_overlay.png", "b_overlay.png"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--min-score", "2"), "--min-score is 2.0; it must be in [0, 1]"),
        (("--runtime", "magic"), "unknown runtime 'magic'; choose one of: onnxruntime, openvino"),
        (("--model", "nowhere"), "nowhere: no such folder"),
    ],
)
def test_mistakes_are_one_line(
    bundle: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, str], said: str
) -> None:
    model = () if "--model" in words else ("--model", bundle)
    assert run(pictures, "--out", tmp_path / "out", *model, *words) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert said in errors[0]


def test_output_that_cannot_be_written(
    bundle: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert run(pictures, "--out", tmp_path / "file", "--model", bundle) == 2
    assert "a file stands where a folder must be" in capsys.readouterr().err


def test_no_overlay_takes_the_place_of_a_source(
    bundle: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "own"
    shutil.copytree(pictures, folder)
    shutil.copy(folder / "a.png", folder / "a_overlay.png")
    before = (folder / "a_overlay.png").read_bytes()
    assert run(folder, "--out", folder, "--model", bundle) == 2
    assert "a_overlay.png: the overlay of" in capsys.readouterr().err
    assert (folder / "a_overlay.png").read_bytes() == before and not (folder / "predictions.json").exists()
    assert run(folder / "a.png", "--out", tmp_path / "out", "--model", bundle) == 0


def test_names_that_are_no_text_are_printed_all_the_same(
    bundle: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = os.fsdecode(b"St\xfcck.png")
    shutil.copy(pictures / "a.png", tmp_path / name)
    assert run(tmp_path / name, "--out", tmp_path / "out", "--model", bundle) == 0
    assert "St?ck.png" in capsys.readouterr().out


def test_report_on_standard_output_is_pure_json(
    bundle: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(pictures / "a.png", "--out", tmp_path / "out", "--model", bundle, "--json", "-") == 0
    assert len(json.loads(capsys.readouterr().out)["frames"]) == 1


def test_names_never_collide() -> None:
    names = unique_names(["a", "a", "a_2", "A", "a"])
    assert len({name.lower() for name in names}) == 5
    assert names[:2] == ["a", "a_2"]
