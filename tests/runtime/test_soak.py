"""Memory over some hundred frames, in a process of its own; `scripts/soak.py` itself is for thousands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.deploy import tiny_run

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells a process's memory")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tiny_run.tiny_bundle(tmp_path_factory.getbasetemp()))


def soak(bundle: Path, out: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """The script's exit code and what it wrote."""
    base = [sys.executable, str(ROOT / "scripts" / "soak.py"), "--model", str(bundle), "--trust", "--threads", "1"]
    done = subprocess.run(
        [*base, "--largest-px", "400", "--out", str(out), *options], capture_output=True, text=True, check=False
    )
    assert done.returncode in {0, 1}, done.stderr
    return done.returncode, dict(json.loads((out / "soak.json").read_text()))


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_eight_sizes_in_turns_hold_memory_still(runtime: str, bundle: Path, tmp_path: Path) -> None:
    frames, warm_up = ("300", "100") if runtime == "openvino" else ("100", "40")  # onnxruntime is several times slower
    code, found = soak(bundle, tmp_path, "--runtime", runtime, "--frames", frames, "--warm-up", warm_up)
    assert found["growth"] < 0.01
    assert code == 0
    assert found["detections"]["least"] < found["detections"]["most"]  # the outputs' sizes inside the model changed too
    curve = found["curve"]
    assert len(curve["frame"]) == len(curve["memory_mb"]) == int(frames)
    settled = curve["memory_mb"][int(warm_up) - 1]
    assert found["growth"] == pytest.approx(max(curve["memory_mb"][int(warm_up) :]) / settled - 1, abs=1e-4)


def test_sizes_never_seen_before_are_not_remembered_for_ever(bundle: Path, tmp_path: Path) -> None:
    """Without bounds on both of OpenVINO's caches this grows by a third."""
    code, found = soak(bundle, tmp_path, "--sizes", "0", "--frames", "400", "--warm-up", "200", "--limit", "0.05")
    assert found["growth"] < 0.05
    assert code == 0
    picture = np.asarray(Image.open(tmp_path / "soak.png"))
    assert picture.shape == (620, 1000, 3)
    assert (picture == (31, 119, 180)).all(axis=2).sum() > 500  # the curve


def test_growth_is_seen_and_fails(bundle: Path, tmp_path: Path) -> None:
    """The first frames of a process do take memory, so a warm-up of one frame is broken by them."""
    code, found = soak(bundle, tmp_path, "--frames", "12", "--warm-up", "1", "--sizes", "0")
    assert found["growth"] > 0.01
    assert code == 1


def test_settings_out_of_range_are_named(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "soak.py"), "--out", str(tmp_path), "--warm-up", "9999"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "warm_up is 9999; it must be above 0 and below the 5000 frames" in done.stderr
