"""Export of a run with random weights, and what must stop it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.deploy import tiny_run

from graspnext.deploy import export
from graspnext.deploy.comparison.agreement import Tolerance, differences, faults
from graspnext.deploy.frames import check_frames
from graspnext.deploy.model.bundle_files import Extras
from graspnext.deploy.model.translation import reference_outputs
from graspnext.deploy.timing.machine import can_do
from graspnext.errors import BundleError, ConfigError, OutputError, RunError
from graspnext.network.folding import fold
from graspnext.network.pipeline import Pipeline
from graspnext.runtime.backend import BACKENDS, Backend, open_backend
from graspnext.runtime.bundle import open_bundle
from graspnext.runtime.openvino_backend import compile_options, openvino_core


def test_the_card_says_what_the_files_are(bundle: Path) -> None:
    card = json.loads((bundle / "card.json").read_text())
    assert sorted(path.name for path in bundle.iterdir()) == ["card.json", "model.onnx"]
    assert card["files"]["model.onnx"]["sha256"] == hashlib.sha256((bundle / "model.onnx").read_bytes()).hexdigest()
    assert card["files"]["model.onnx"]["size_bytes"] == (bundle / "model.onnx").stat().st_size
    assert card["license"] == "Apache-2.0"
    assert card["training"]["wall_time_s"] == 1.5
    assert card["training"]["hardware"] == {"cores": 2}
    assert card["outputs"]["amodal_boxes"] == {"shape": [100, 4], "dtype": "float32"}
    assert card["outputs"]["visible_masks"]["shape"] == [100, card["mask_size"], card["mask_size"]]
    assert card["max_detections"] == 100
    parameters = sum(parameter.numel() for parameter in fold(tiny_run.lively_network()).parameters())
    assert card["cost"]["params_m"] == pytest.approx(parameters / 1e6)
    assert card["training"]["recipe"] == {"steps": 7}
    assert card["training"]["data"] == "bins"
    assert (card["precision"], card["weights"]) == ("fp32", "fp16")
    verification = card["verification"]
    assert verification["ok"] and not verification["labelled"] and not verification["faults"]
    assert verification["results"]["openvino fp32"]["differences"]["box_px"] < 0.5


def test_the_model_is_one_file_that_says_nothing_of_this_machine(bundle: Path) -> None:
    content = (bundle / "model.onnx").read_bytes()
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == 18
    for word in (b"site-packages", b"/home", b"/root", b"pipeline.py", b"secret"):
        assert word not in content
    image = model.graph.input[0].type.tensor_type
    assert image.elem_type == onnx.TensorProto.UINT8
    assert [bool(d.dim_param) for d in image.shape.dim] == [True, True, False]


def test_weights_are_stored_in_half_and_lose_nothing_more(bundle: Path, pipeline: Pipeline) -> None:
    model = onnx.load(bundle / "model.onnx")
    half = sum(np.prod(t.dims) for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16)
    single = sum(np.prod(t.dims) for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT)
    matrices = sum(p.numel() for p in pipeline.network.parameters() if p.dim() >= 2)
    assert half > 0.9 * matrices
    assert single < 0.2 * matrices


@pytest.mark.parametrize("runtime", sorted(BACKENDS))
@pytest.mark.parametrize(
    "shape", [(128, 128), (90, 400), (400, 90), (32, 48), (900, 1500), (1, 1), (3, 700), (191, 193)]
)
def test_every_runtime_equals_torch(
    bundle: Path, pipeline: Pipeline, runtime: str, shape: tuple[int, int], rng_image: np.ndarray
) -> None:
    image = np.ascontiguousarray(rng_image[: shape[0], : shape[1]])
    reference = reference_outputs(pipeline, image)
    found = backend_of(bundle, runtime).run(image)
    difference = differences(reference, found)
    assert not faults(difference, Tolerance(score=1e-4, box_px=0.1, center_px=0.1, occlusion=1e-4, suction=1e-4))
    if min(shape) > 30:
        assert difference["detections"] >= 5


@pytest.mark.skipif(not can_do("openvino", "bf16"), reason="this processor has no bfloat16")
def test_boxes_are_pooled_where_they_are_in_bf16(bundle: Path) -> None:
    core = openvino_core()
    model = core.read_model(model=(bundle / "model.onnx").read_bytes(), weights=b"")
    compiled = core.compile_model(model, "CPU", compile_options("bf16", 1)).get_runtime_model()
    layers = {node.get_friendly_name(): node for node in compiled.get_ordered_ops()}
    pooling = [node for node in layers.values() if node.get_rt_info()["layerType"].astype(str) == "ROIAlign"]
    assert len(pooling) >= 4
    for node in pooling:
        boxes = node.input_value(1).get_node().get_rt_info()
        assert boxes["layerType"].astype(str) != "Reorder"
        assert boxes["outputPrecisions"].astype(str) == "f32"
        assert node.input_value(0).get_node().get_rt_info()["outputPrecisions"].astype(str) in {"bf16", "f32"}


_OPEN: dict[tuple[Path, str], Backend] = {}


def backend_of(bundle: Path, runtime: str) -> Backend:
    key = (bundle, runtime)
    if key not in _OPEN:
        _OPEN[key] = open_backend(runtime, open_bundle(bundle), num_threads=1)
    return _OPEN[key]


@pytest.fixture(scope="module")
def rng_image() -> np.ndarray:
    """Texture at many scales."""
    rng = np.random.default_rng(0)
    image = np.zeros((1024, 1536, 3))
    for cell in (4, 16, 64, 128):
        image += np.kron(rng.uniform(0, 64, (1024 // cell, 1536 // cell, 3)), np.ones((cell, cell, 1)))
    return image.astype(np.uint8)


def test_a_failed_export_leaves_the_old_bundle(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for path in bundle.iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    damaged = onnx.load(bundle / "model.onnx")
    for tensor in damaged.graph.initializer:
        if "score" in tensor.name:
            values = onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values * values.dtype.type(-3), tensor.name))
    monkeypatch.setattr(export, "freeze", lambda *_args, **_options: damaged.SerializeToString())
    run = tiny_run.write_run(tmp_path / "run")
    config = export.ExportConfig(input_size=tiny_run.INPUT_SIZE)
    with pytest.raises(BundleError, match=r"a gate is broken: onnxruntime fp32: amodal_box: .*box_head\.score"):
        export.export_bundle(run, out, config=config)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]
    export.export_bundle(run, out, config=replace(config, accept_faults=True))
    verification = open_bundle(out).card.verification
    assert not verification["ok"]
    assert "box_head.score" in verification["faults"][0]["layer"]


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="input_size is 100; it must be a positive multiple of 32"):
        export.ExportConfig(input_size=100)
    with pytest.raises(ConfigError, match="precision is 'int3'"):
        export.ExportConfig(precision="int3")
    with pytest.raises(ConfigError, match="weights is 'int3'"):
        export.ExportConfig(weights="int3")
    with pytest.raises(ConfigError, match="a dataset for int8"):
        export.ExportConfig(precision="int8")
    with pytest.raises(RunError, match="not a training run"):
        export.export_bundle(tmp_path, tmp_path / "out", config=export.ExportConfig())
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(OutputError, match="not a bundle"):
        export.export_bundle(tmp_path, tmp_path, config=export.ExportConfig())
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]
    (tmp_path / "card.json").write_text("{}")  # which makes no bundle of what lies beside it
    with pytest.raises(OutputError, match=r"kept\.txt lies beside the bundle; move it away"):
        export.export_bundle(tmp_path, tmp_path, config=export.ExportConfig())
    assert (tmp_path / "kept.txt").read_text() == "mine"


def test_the_card_names_no_place_of_the_machine() -> None:
    record = {
        "preset": {},
        "schema_version": 1,
        "data": "/home/a/bins",
        "weights": "/home/a/r50.safetensors",
        "step": 3,
    }
    assert export._training(record) == {"data": "bins", "weights": "r50.safetensors", "step": 3}
    assert export._training({"weights": None}) == {"weights": None}


def test_metrics_of_several_splits(tmp_path: Path) -> None:
    for split in ("test", "novel"):
        content = {"split": split, "num_views": 3, "metrics": {"amodal_box_ap": 0.5}}
        (tmp_path / f"{split}.json").write_text(json.dumps(content))
    files = (tmp_path / "test.json", tmp_path / "novel.json")
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"split": "val", "metrics": {}, "model_card": {"params_m": 92.552}}))
    with pytest.raises(RunError, match=r"measured on a network of 92\.552 M parameters, this one has 7\.656 M"):
        export.read_metrics((other,), 640, params_m=7.6561)
    assert export.read_metrics(files, 640, params_m=1.0)["novel"] == {"amodal_box_ap": 0.5, "num_views": 3}
    assert list(export.read_metrics((other,), 640, params_m=92.55201)) == ["val"]
    with pytest.raises(RunError, match="a second file for the split 'test'"):
        export.read_metrics((files[0], files[0]), 640, params_m=1.0)
    files[0].write_text(json.dumps({"split": "test", "metrics": {}, "input_size": 512}))
    with pytest.raises(RunError, match="measured at input size 512, but the bundle has 640"):
        export.read_metrics(files, 640, params_m=1.0)
    (tmp_path / "test.json").write_text("{}")
    with pytest.raises(RunError, match="no metrics"):
        export.read_metrics(files, 640, params_m=1.0)


def test_all_forms_of_a_model(tmp_path: Path, bundle: Path) -> None:
    run = tiny_run.write_run(tmp_path / "run")
    extras = Extras(ir=True, opset13=True, tensorrt=True)
    config = export.ExportConfig(input_size=tiny_run.INPUT_SIZE, extras=extras)
    out = export.export_bundle(run, tmp_path / "out", config=config)
    names = {"card.json", "model.onnx", "model.xml", "model.bin", "model_opset13.onnx", "build_tensorrt.sh"}
    assert {path.name for path in out.iterdir()} == names
    opened = open_bundle(out)
    assert set(opened.card.files) == names - {"card.json"}
    assert opened.ir == ((out / "model.xml").read_bytes(), (out / "model.bin").read_bytes())
    for word in (b"/tmp", b"/root", b"/home", str(tmp_path).encode(), b"secret"):
        assert word not in opened.ir[0]
    assert len(opened.ir[1]) < 1.1 * len(opened.model)
    frame = check_frames(2, rng=np.random.default_rng(3))[1]
    found = open_backend("openvino", opened, num_threads=1).run(frame)
    assert not faults(differences(backend_of(bundle, "openvino").run(frame), found), Tolerance())
    script = (out / "build_tensorrt.sh").read_text()
    assert "--onnx=model_opset13.onnx" in script and f"image:{tiny_run.INPUT_SIZE}x{tiny_run.INPUT_SIZE}x3" in script
    subprocess.run(["sh", "-n", str(out / "build_tensorrt.sh")], check=True)


@pytest.mark.slow
def test_single_precision_weights(tmp_path: Path) -> None:
    run = tiny_run.write_run(tmp_path / "run")
    config = export.ExportConfig(input_size=tiny_run.INPUT_SIZE, weights="fp32")
    out = export.export_bundle(run, tmp_path / "out", config=config)
    untouched = Pipeline(tiny_run.lively_network(), tiny_run.INPUT_SIZE)
    frame = check_frames(rng=np.random.default_rng(5))[1]
    found = backend_of(out, "onnxruntime").run(frame)
    assert not faults(differences(reference_outputs(untouched, frame), found), Tolerance())
    export.export_bundle(run, out, config=config)  # replaces what is there
    assert open_bundle(out).card.weights == "fp32"
