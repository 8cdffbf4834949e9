"""`graspnext table` as it is typed: the whole protocol `smoke`, killed once on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from graspnext.cli.main import main
from graspnext.learning.table.markdown import TASKS

ROWS = ["resnet50", "efficientnet_b0", "mobilenet_v3_large", "fast"]


def words(out: Path, *more: str) -> list[str]:
    return ["table", "--protocol", "smoke", "--out", str(out), *more]


def stamps(out: Path) -> dict[str, tuple[int, int]]:
    """File -> inode and time of writing."""
    return {str(path.relative_to(out)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.rglob("*")}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, tuple[int, int]]]]:
    """A finished table, and what was in its folder just after it was killed between two rows."""
    out = tmp_path_factory.mktemp("table") / "t"
    command = [sys.executable, "-m", "graspnext", *words(out)]
    begin = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    while not (out / "rows" / "resnet50" / "novel.json").exists():
        assert process.poll() is None, (process.stderr.read() if process.stderr else b"").decode()
        assert time.monotonic() - begin < 600
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = stamps(out)
    assert main(words(out, "--resume")) == 0
    yield out, before
    shutil.rmtree(out)  # the weights take a gigabyte


def read(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "table.json").read_text())
    return content


def test_all_rows_are_trained_measured_and_timed(table: tuple[Path, dict[str, tuple[int, int]]]) -> None:
    content = read(table[0])
    assert content["complete"] and [row["name"] for row in content["rows"]] == ROWS
    for row in content["rows"]:
        assert set(row["evaluation"]) == {"test", "novel"}
        for measured in row["evaluation"].values():
            assert set(TASKS) <= set(measured["metrics"])
            assert measured["num_views"] == 1 and measured["metrics"]["num_instances"] > 0
            assert 0 < measured["metrics"]["heatmap_mse"] < 1
        assert row["training"]["images"] == content["images_per_row"] == 4
        assert row["training"]["wall_time_s"] > 0
        assert "graspnext table --protocol smoke --out" in row["training"]["provenance"]["command"]
        assert row["training"]["provenance"]["hardware"]["cores"] == os.cpu_count()
        (timed,) = row["latency"]
        assert (timed["runtime"], timed["precision"]) == ("openvino", "fp32")
        assert 0 < timed["min_ms"] <= timed["p25_ms"] <= timed["p50_ms"] <= timed["p75_ms"] <= timed["p95_ms"]
        assert timed["speedup"]["p25"] <= timed["speedup"]["median"] <= timed["speedup"]["p75"]
        assert content["latency"]["agreement"][row["name"]]["score"] < 1e-2
    params = {row["name"]: row["cost"]["params_m"] for row in content["rows"]}
    for name, paper in content["paper"]["rows"].items():
        if name != "fast":
            assert params[name] == pytest.approx(paper["params_m"], rel=0.01)
    assert params["fast"] <= content["aims"]["params_m"]
    assert content["rows"][0]["latency"][0]["speedup"]["median"] == 1
    assert content["rows"][3]["latency"][0]["speedup"]["median"] > 1
    assert content["data"]["recipe"] == "smoke" and content["data"]["views"]["novel"] == 1
    assert "path" not in content["data"], "of this machine alone"


def test_the_page_and_the_charts(table: tuple[Path, dict[str, tuple[int, int]]]) -> None:
    out, _ = table
    page = (out / "table.md").read_text()
    for words_of_it in ("Scores on `test`", "Scores on `novel`", "MetaGraspNet", "| ResNet-50 | ", "at most 8.9"):
        assert words_of_it in page
    assert "Not complete" not in page
    for name in ("accuracy_latency.png", "learning.png"):
        assert f"({name})" in page
        with Image.open(out / name) as picture:
            assert picture.format == "PNG" and min(picture.size) > 400


def test_a_killed_table_repeats_nothing(table: tuple[Path, dict[str, tuple[int, int]]]) -> None:
    out, before = table
    after = stamps(out)
    kept = [name for name in before if name.startswith(("data.json", "protocol.json", "rows/resnet50"))]
    kept += [name for name in before if name.startswith("data/scenes/") and name.endswith(".png")]
    kept = [name for name in kept if Path(name).suffix in {".json", ".png", ".safetensors", ".jsonl"}]
    assert len(kept) > 20
    assert {name: after.get(name) for name in kept if "checkpoint" not in name} == {
        name: before[name] for name in kept if "checkpoint" not in name
    }
    assert not list(out.rglob("checkpoint/*")), "a finished row needs none"


def test_resuming_a_finished_table_writes_nothing(
    table: tuple[Path, dict[str, tuple[int, int]]], capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = table
    before = stamps(out)
    assert main(words(out, "--resume")) == 0
    assert capsys.readouterr().out.strip() == str(out / "table.md")
    assert stamps(out) == before


def test_another_start_is_refused_in_one_line(
    table: tuple[Path, dict[str, tuple[int, int]]], tiny_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = table
    before = stamps(out)
    for more, message in (
        ((), "holds a table already; add --resume"),
        (("--resume", "--steps", "3"), "was started with other settings: recipe.steps (2 then, 3 now)"),
        (("--resume", "--data", str(tiny_dataset)), "was started with another dataset"),
        (("--resume", "--rows", "vit"), "unknown row 'vit'"),
        (("--resume", "--data", "nowhere"), "nowhere"),
    ):
        assert main(words(out, *more)) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert stamps(out) == before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--protocol", "quick"], "unknown protocol 'quick'; choose one of: cpu, gpu, paper, smoke"),
        (["--steps", "0"], "steps is 0"),
        (["--data", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    more: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(tmp_path / "t", *more)) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "t").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photo.txt").write_text("mine")
    assert main(words(tmp_path)) == 2
    assert "is not empty, and holds no table" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["photo.txt"]


def test_help_names_protocols_with_their_budgets(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["table", "--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "graspnext table --protocol cpu --data bench --out table --resume" in text
    for name in ("smoke", "cpu", "gpu", "paper"):
        assert f" {name} " in text
    assert text.count("time:") == 4


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_table_outlives_those_who_read_its_lines(
    unbuffered: str, table: tuple[Path, dict[str, tuple[int, int]]]
) -> None:
    """Here the last of its lines, which come after everything else was done."""
    out, _ = table
    (out / "table.md").unlink()
    command = [sys.executable, "-m", "graspnext", *words(out, "--resume")]
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    assert process.wait() == 0
    assert (out / "table.md").exists()
