"""What crashes, hangs or eats memory in the trial of a foreign bundle is a named error here."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from graspnext.errors import BundleError, ConfigError, UnknownNameError
from graspnext.runtime import predictor as predictors
from graspnext.runtime.bundle import Bundle, open_bundle
from graspnext.runtime.predictor import Predictor
from graspnext.runtime.safety import quarantine
from graspnext.runtime.safety.quarantine import Limits, try_bundle

small_model = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("small_model.py"))))
FAST = "onnxruntime"  # opens in half the time


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(small_model.small_bundle(tmp_path_factory.mktemp("small") / "bundle", ir=True))


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    return open_bundle(folder)


def constants(values: dict[str, object], folder: Path) -> Bundle:
    """The small bundle with other constants."""
    model = onnx.load_model_from_string(small_model.small_onnx())
    for tensor in model.graph.initializer:
        if tensor.name in values:
            tensor.CopyFrom(numpy_helper.from_array(np.array(values[tensor.name]), tensor.name))
    return open_bundle(small_model.write_bundle(folder, {"model.onnx": model.SerializeToString()}))


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_good_bundle_passes_and_leaves_nothing(
    bundle: Bundle, runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    try_bundle(bundle, runtime, {"num_threads": 1})
    assert list(tmp_path.iterdir()) == []


def test_what_eats_memory_is_an_error(tmp_path: Path) -> None:
    """A picture of 300 000 x 300 000 px inside the model: 1 TB."""
    greedy = constants({"size": np.array([1, 3, 300_000, 300_000])}, tmp_path / "greedy")
    for runtime in ("openvino", FAST):
        with pytest.raises(BundleError, match=r"greedy: it failed on trial: .*; do not use it; if it is your own"):
            try_bundle(greedy, runtime, {"num_threads": 1})


def test_what_takes_time_is_an_error(tmp_path: Path) -> None:
    """Thirty billion sigmoids."""
    model = onnx.load_model_from_string(small_model.small_onnx())
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 3, 1500, 1500]), "large"))
    model.graph.node.append(helper.make_node("Resize", ["one", "", "", "large"], ["e0"], mode="nearest"))
    model.graph.node.extend(helper.make_node("Sigmoid", [f"e{index}"], [f"e{index + 1}"]) for index in range(4000))
    model.graph.node.append(helper.make_node("ReduceMax", ["e4000"], ["top"], keepdims=0))
    last = next(node for node in model.graph.node if node.output[0] == "valid")
    model.graph.node.append(helper.make_node("Max", ["whole", "top"], ["valid"]))
    model.graph.node.remove(last)
    slow = open_bundle(small_model.write_bundle(tmp_path / "slow", {"model.onnx": model.SerializeToString()}))
    begin = time.monotonic()
    with pytest.raises(BundleError, match=r"failed on trial: ended by the system, most likely after 2 s of processor"):
        try_bundle(slow, FAST, {"num_threads": 1}, limits=Limits(cpu_s=2))
    with pytest.raises(BundleError, match=r"failed on trial: more than 1 s"):
        try_bundle(slow, FAST, {"num_threads": 1}, limits=Limits(wall_s=1))
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import os; os.abort()", r"a crash \(SIGABRT\)"),
        ("import ctypes; ctypes.string_at(0)", r"a crash \(SIGSEGV\)"),
        ("import sys; sys.exit('no space for arenas')", "ended with code 1, saying 'no space for arenas'"),
        ("print('[1]')", "its process ended with code 0"),
        ("print('{\"error\": 5}')", "failed on trial: 5"),
        ("import os\nwhile True: os.write(1, b'x' * 4096)", "failed on trial"),
        ("print('\\x1b[2J' * 1000)", "its process ended with code 0"),
    ],
)
def test_whatever_its_process_does_is_one_line(
    bundle: Bundle, program: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs in place of a model that takes over the process of the trial."""
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16,) * 2)\n"
    (tmp_path / "hostile.py").write_text(limited + program)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(quarantine, "PROGRAM", "hostile")
    with pytest.raises(BundleError, match=said) as caught:
        try_bundle(bundle, FAST, {}, limits=Limits(wall_s=20))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


def test_outputs_must_be_what_the_card_says(folder: Path, tmp_path: Path) -> None:
    files = {"model.onnx": (folder / "model.onnx").read_bytes()}
    card = small_model.small_card(files)
    card["outputs"]["visible_masks"]["shape"] = [6, 9, 9]
    wrong = small_model.write_bundle(tmp_path / "wrong", files, json.dumps(card).encode())
    with pytest.raises(
        BundleError, match=r"output visible_masks has the shape \[6, 7, 7\], but the card says \[6, 9, 9\]"
    ):
        try_bundle(open_bundle(wrong), FAST, {})
    infinite = constants({"half": np.float32(3.4e38)}, tmp_path / "infinite")
    with pytest.raises(BundleError, match="output center_of_mass holds values that are no numbers"):
        try_bundle(infinite, FAST, {})


def test_errors_of_the_caller_keep_their_names(folder: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown runtime 'tensorrt'"):
        Predictor(folder, runtime="tensorrt")
    with pytest.raises(ConfigError, match="precision is 'fp8'"):
        Predictor(folder, precision="fp8")
    with pytest.raises(ConfigError, match=r"wall_s is 0; it must be above 0"):
        Limits(wall_s=0)


def test_who_is_tried(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every bundle but the one of the package, unless its owner vouches for it."""
    tried: list[Path] = []
    monkeypatch.setattr(predictors, "try_bundle", lambda bundle, *_: tried.append(bundle.path))
    Predictor(folder, runtime=FAST, num_threads=1)
    assert tried == [folder]
    Predictor(folder, runtime=FAST, trusted=True, num_threads=1)
    assert tried == [folder]
    monkeypatch.setattr(predictors, "default_bundle", lambda: folder)
    monkeypatch.setattr(predictors, "is_shipped", lambda path: path == folder)
    Predictor(runtime=FAST, num_threads=1)
    assert tried == [folder]


def test_the_bytes_on_trial_are_those_in_use(folder: Path, tmp_path: Path) -> None:
    """A bundle that is swapped after the check changes nothing: files are read once."""
    files = {"model.onnx": (folder / "model.onnx").read_bytes()}
    opened = open_bundle(small_model.write_bundle(tmp_path / "bundle", files))
    (tmp_path / "bundle" / "model.onnx").write_bytes(b"something else")
    (tmp_path / "bundle" / "card.json").unlink()
    try_bundle(opened, FAST, {})


def test_no_process_can_be_started(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(BundleError, match="no process can be started to try it"):
        try_bundle(bundle, FAST, {})


def test_limits_hold_in_the_process() -> None:
    program = """
import os
from graspnext.runtime.safety.trial import set_limits
set_limits({"memory_bytes": 1 << 30, "cpu_s": 7})
import resource
print(resource.getrlimit(resource.RLIMIT_AS)[0] >> 20, resource.getrlimit(resource.RLIMIT_CPU)[0], end=" ")
print(resource.getrlimit(resource.RLIMIT_CORE)[1], len(os.sched_getaffinity(0)) <= 2)
try:
    bytearray(2 << 30)
except MemoryError:
    print("refused")
set_limits({"memory_bytes": 4 << 30, "cpu_s": 70})
print(resource.getrlimit(resource.RLIMIT_AS)[0] >> 20)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.split("\n")[:3] == ["1024 7 0 True", "refused", "1024"]


@pytest.mark.parametrize(("words", "count"), [([], 1), (["--trust"], 0)])
def test_the_command_line_tries_what_is_not_vouched_for(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], count: int
) -> None:
    from PIL import Image

    from graspnext.cli.predict import main

    tried: list[Path] = []
    monkeypatch.setattr(predictors, "try_bundle", lambda bundle, *_: tried.append(bundle.path))
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    source, out = str(tmp_path / "a.png"), str(tmp_path / "out")
    assert main([source, "--out", out, "--model", str(folder), "--runtime", FAST, *words]) == 0
    assert len(tried) == count
