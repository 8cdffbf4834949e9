"""A bundle is opened only when it is exactly what its card says."""

from __future__ import annotations

import hashlib
import json
import os
import runpy
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from graspnext.errors import BundleError
from graspnext.geometry.predictions import OUTPUT_NAMES
from graspnext.runtime import bundle as bundles
from graspnext.runtime.bundle import default_bundle, is_shipped, open_bundle

small_model = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("small_model.py"))))


@cache
def model_bytes(*, external: bool = False) -> bytes:
    model = onnx.load_model_from_string(small_model.small_onnx())
    if external:
        model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    content: bytes = model.SerializeToString()
    return content


def card_for(content: bytes) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "name": "test",
        "created_by": "tests",
        "architecture": {},
        "input_size": 64,
        "max_detections": 10,
        "mask_size": 14,
        "outputs": {name: {"shape": [1], "dtype": "float32"} for name in OUTPUT_NAMES},
        "weights": "fp32",
        "cost": {"params_m": 0.1},
        "files": {"model.onnx": {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "bundle", model_bytes())


def write(folder: Path, content: bytes, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    (folder / "card.json").write_text(json.dumps(card_for(content) | changes))
    return folder


def test_a_whole_bundle_opens(folder: Path) -> None:
    opened = open_bundle(folder)
    assert opened.card.name == "test"
    assert onnx.load_from_string(opened.model).graph.initializer[0].name == "stem"


def damage(edit: Callable[[Path], object], match: str) -> Any:
    return pytest.param(edit, match, id=match)


def set_card(**changes: Any) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        card = json.loads((folder / "card.json").read_text()) | changes
        (folder / "card.json").write_text(json.dumps(card))

    return edit


def replace_by_link(folder: Path) -> None:
    (folder / "model.onnx").rename(folder / "other.onnx")
    (folder / "model.onnx").symlink_to(folder / "other.onnx")


def flip_last_byte(folder: Path) -> None:
    content = bytearray((folder / "model.onnx").read_bytes())
    content[-1] ^= 1
    (folder / "model.onnx").write_bytes(content)


RECORD = {"sha256": "0" * 64, "size_bytes": 1}


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        damage(shutil.rmtree, "no such folder; give a folder with card.json and model.onnx"),
        damage(lambda folder: (folder / "card.json").unlink(), "card.json: the file is missing"),
        damage(lambda folder: (folder / "model.onnx").unlink(), "model.onnx: the file is missing"),
        damage(lambda folder: (folder / "card.json").write_text("{"), "not JSON"),
        damage(lambda folder: (folder / "card.json").write_text("[" * 99_999), "not JSON "),
        damage(lambda folder: (folder / "card.json").write_text("[1]"), "not a JSON object"),
        damage(lambda folder: (folder / "card.json").write_bytes(b"\xff\xfe\x00"), "not JSON  ".strip()),
        damage(set_card(schema_version=2), "schema version 2; this release reads version 1"),
        damage(set_card(input_size=100), "field 'input_size': Input should be a multiple of 32"),
        damage(set_card(surprise=1), "field 'surprise': Extra inputs"),
        damage(set_card(name="../up"), "field 'name'"),
        damage(set_card(outputs={}), "field 'outputs' lacks scores"),
        damage(set_card(files={}), "field 'files' does not list model.onnx"),
        damage(set_card(files={"model.onnx": RECORD, "../x": RECORD}), r"field 'files\.\.\./x"),
        damage(set_card(files={"model.onnx": RECORD, "/etc/passwd": RECORD}), "field 'files./etc/passwd"),
        damage(set_card(files={"model.onnx": RECORD | {"size_bytes": -1}}), "size_bytes"),
        damage(flip_last_byte, "model.onnx: its SHA-256 is not the one in card.json"),
        damage(lambda folder: (folder / "model.onnx").write_bytes(b"x"), "1 bytes, but card.json says"),
        damage(replace_by_link, "cannot be opened as a plain file"),
        damage(lambda folder: write(folder, b"\x00\x01 rubbish"), "not a model of graspnext"),
        damage(lambda folder: write(folder, model_bytes(external=True)), "refers to a file outside the model"),
    ],
)
def test_each_damage_is_named(folder: Path, edit: Callable[[Path], object], match: str) -> None:
    edit(folder)
    with pytest.raises(BundleError, match=match):
        open_bundle(folder)


def test_a_pipe_does_not_hang(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    os.mkfifo(folder / "model.onnx")
    with pytest.raises(BundleError, match="not a regular file"):
        open_bundle(folder)


def test_an_oversized_card_is_not_parsed(folder: Path) -> None:
    (folder / "card.json").write_text(" " * (bundles.MAX_CARD_BYTES + 1))
    with pytest.raises(BundleError, match="more than the"):
        open_bundle(folder)


def test_further_files_are_hashed_too(folder: Path) -> None:
    content = (folder / "model.onnx").read_bytes()
    (folder / "build_tensorrt.sh").write_text("hello")
    files = card_for(content)["files"]
    set_card(files=files | {"build_tensorrt.sh": {"sha256": "0" * 64, "size_bytes": 5}})(folder)
    with pytest.raises(BundleError, match=r"build_tensorrt\.sh: its SHA-256"):
        open_bundle(folder)


def test_only_files_of_a_bundle_may_be_listed(folder: Path) -> None:
    files = card_for((folder / "model.onnx").read_bytes())["files"]
    set_card(files=files | {"notes.txt": RECORD})(folder)
    with pytest.raises(BundleError, match=r"'files' lists notes\.txt, which no bundle has"):
        open_bundle(folder)
    set_card(files=files | {"model.xml": RECORD})(folder)
    with pytest.raises(BundleError, match=r"one of model\.xml and model\.bin without the other"):
        open_bundle(folder)


def test_hundreds_of_mutated_cards_give_bundle_errors_or_bundles(folder: Path) -> None:
    rng = np.random.default_rng(0)
    original = (folder / "card.json").read_bytes()
    refused = 0
    for _ in range(300):
        data = bytearray(original)
        for place in rng.integers(0, len(data), 3):
            data[place] = int(rng.integers(256))
        (folder / "card.json").write_bytes(data)
        try:
            open_bundle(folder)
        except BundleError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 200


def test_a_second_name_is_refused(folder: Path, tmp_path: Path) -> None:
    """Whoever makes a bundle must not be able to hand over a file that only its reader may read."""
    os.link(folder / "model.onnx", tmp_path / "other")
    with pytest.raises(BundleError, match=r"model\.onnx: a hard link \(2 names\); copy the bundle"):
        open_bundle(folder)


def test_devices_and_folders_are_refused(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").mkdir()
    with pytest.raises(BundleError, match=r"model\.onnx: (not a regular file|cannot be opened)"):
        open_bundle(folder)
    (folder / "model.onnx").rmdir()
    (folder / "model.onnx").symlink_to("/dev/zero")
    with pytest.raises(BundleError, match="cannot be opened as a plain file"):
        open_bundle(folder)


@pytest.mark.parametrize(
    "name", ["../model.onnx", "/etc/passwd", "a/b", "model.onnx\0.txt", "", "MODEL.ONNX", "..", "con"]
)
def test_no_other_path_can_be_listed(folder: Path, name: str) -> None:
    files = card_for((folder / "model.onnx").read_bytes())["files"]
    set_card(files=files | {name: RECORD})(folder)
    with pytest.raises(BundleError, match="field 'files"):
        open_bundle(folder)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (lambda card: card.replace('"name"', '"name": "a", "name"', 1), "a key is there twice"),
        (lambda card: card.replace("0.1", "NaN"), "NaN is no number"),
        (lambda card: card.replace("0.1", "1e999"), "1e999 is too large"),
        (lambda card: card.replace('"tests"', '"\\ud800"'), "not JSON"),
        (lambda card: card.replace("{}", "[" * 60 + "]" * 60, 1), "nest deeper than 40"),
        (lambda card: card.replace("{}", '{"a":' * 60 + "1" + "}" * 60, 1), "nest deeper than 40"),
        (lambda card: "[" * 100_000, "not JSON"),
        (lambda card: card.replace("64", "9" * 5000, 1), "not JSON"),
        (lambda card: card.replace('"schema_version": 1', f'"schema_version": "{"x" * 5000}"'), "schema version 'xxx"),
        (lambda card: card.replace('"license"', '"\\u001b[2J"'), "tests|x1b|bundle"),
    ],
)
def test_hostile_cards(folder: Path, text: Callable[[str], str], match: str) -> None:
    card = json.dumps(card_for((folder / "model.onnx").read_bytes()) | {"license": "x"})
    (folder / "card.json").write_text(text(card))
    with pytest.raises(BundleError, match=match) as caught:
        open_bundle(folder)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 700


def test_the_other_form_of_the_model_is_checked_too(tmp_path: Path) -> None:
    folder = small_model.small_bundle(tmp_path / "bundle", ir=True)
    opened = open_bundle(folder)
    assert opened.ir == ((folder / "model.xml").read_bytes(), (folder / "model.bin").read_bytes())
    files = {name: (folder / name).read_bytes() for name in ("model.onnx", "model.xml", "model.bin")}
    small_model.write_bundle(folder, files | {"model.bin": files["model.bin"][:-1]})
    with pytest.raises(BundleError, match=r"model\.xml: not a model of graspnext .* of 3144"):
        open_bundle(folder)
    small_model.write_bundle(folder, {"model.onnx": files["model.onnx"], "model_opset13.onnx": b"\x08\x07"})
    with pytest.raises(BundleError, match=r"model_opset13\.onnx: not a model of graspnext"):
        open_bundle(folder)


def test_the_default_bundle_is_whole_or_its_absence_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bundles, "__file__", str(tmp_path / "runtime" / "bundle.py"))
    with pytest.raises(BundleError, match="ships no trained network; name a bundle with --model"):
        default_bundle()
    (tmp_path / "bundles").mkdir()
    write(tmp_path / "bundles" / "fast", model_bytes())
    os.link(tmp_path / "bundles" / "fast" / "model.onnx", tmp_path / "store")  # as installers do
    assert open_bundle(default_bundle()).card.name == "test"
    assert is_shipped(default_bundle())
    assert not is_shipped(tmp_path)
