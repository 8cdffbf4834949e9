"""The predictor on an exported network, in every runtime."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graspnext.errors import BundleError, ConfigError, InputImageError, UnknownNameError
from graspnext.runtime.backend import BACKENDS
from graspnext.runtime.predictor import Predictor
from graspnext.types import Frame, Prediction

IMAGE = np.kron(np.random.default_rng(0).integers(0, 256, (15, 25, 3)), np.ones((12, 12, 1))).astype(np.uint8)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    make = runpy.run_path(str(Path(__file__).parents[1] / "deploy" / "tiny_run.py"))["tiny_bundle"]
    return Path(make(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="module", params=sorted(BACKENDS))
def predictor(request: pytest.FixtureRequest, bundle: Path) -> Predictor:
    return Predictor(bundle, runtime=request.param, num_threads=1)


def equal(a: Prediction, b: Prediction) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in vars(a) if name != "source")


def test_frame_array_and_file_give_the_same(predictor: Predictor, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(IMAGE).save(path)
    from_array = predictor.predict(IMAGE, min_score=0.1)
    assert len(from_array.scores) > 3
    assert (from_array.width, from_array.height, from_array.source) == (300, 180, "")
    for source in (Frame(IMAGE), path, str(path)):
        assert equal(predictor.predict(source, min_score=0.1), from_array)
    assert predictor.predict(path).source == str(path)


def test_boxes_and_heatmap_belong_to_the_image(predictor: Predictor) -> None:
    found = predictor.predict(IMAGE, min_score=0.0)
    assert found.amodal_boxes.min() >= 0
    assert found.amodal_boxes[:, 2].max() <= 300
    assert found.amodal_boxes[:, 3].max() <= 180
    assert np.all(found.amodal_boxes[:, 2:] > found.amodal_boxes[:, :2])
    assert found.suction.shape == (19, 32)  # 128 / 4 columns; 180 / 300 of 32 rows
    assert found.suction.dtype == np.float32


def test_min_score_only_cuts(predictor: Predictor) -> None:
    every = predictor.predict(IMAGE, min_score=0.0)
    middle = float(np.median(every.scores))
    some = predictor.predict(IMAGE, min_score=middle)
    kept = int((every.scores >= middle).sum())
    assert 0 < kept < len(every.scores)
    assert np.array_equal(some.amodal_boxes, every.amodal_boxes[:kept])


def test_many_threads_get_what_one_gets(predictor: Predictor) -> None:
    images = [np.ascontiguousarray(IMAGE[:, : 80 + 30 * index]) for index in range(6)]
    expected = [predictor.predict(image, min_score=0.1) for image in images]
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(3):
            if not equal(predictor.predict(images[index], min_score=0.1), expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_wrong_arrays_are_named(predictor: Predictor) -> None:
    for array, said in (
        (IMAGE[..., 0], r"an array \(180, 300\) of uint8"),
        (IMAGE.astype(np.float32), "of float32"),
        (np.zeros((0, 5, 3), dtype=np.uint8), "an empty array"),
        ([1, 2], "a list"),
    ):
        with pytest.raises(InputImageError, match=said):
            predictor.predict(array)
    with pytest.raises(ConfigError, match=r"min_score is 1\.5"):
        predictor.predict(IMAGE, min_score=1.5)


def test_wrong_runtime_and_precision_are_named(bundle: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown runtime 'tensorrt'; choose one of: onnxruntime, openvino"):
        Predictor(bundle, runtime="tensorrt")
    with pytest.raises(ConfigError, match="precision is 'int8'"):
        Predictor(bundle, precision="int8")
    with pytest.raises(BundleError, match="no such folder"):
        Predictor(bundle / "none")


def test_a_model_that_is_no_network_is_a_bundle_error(bundle: Path, tmp_path: Path) -> None:
    import hashlib
    import json

    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("x", TensorProto.UINT8, ["h", "w", 3])
    out = helper.make_tensor_value_info("y", TensorProto.UINT8, ["h", "w", 3])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "graph", [value], [out])
    opset = [helper.make_opsetid("", 18)]
    content = helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString()
    (tmp_path / "model.onnx").write_bytes(content)
    card = json.loads((bundle / "card.json").read_text())
    card["files"]["model.onnx"] = {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
    (tmp_path / "card.json").write_text(json.dumps(card))
    for runtime in BACKENDS:
        with pytest.raises(BundleError, match=f"{runtime} cannot load the model"):
            Predictor(tmp_path, runtime=runtime)


def test_bf16_stays_close(bundle: Path) -> None:
    """A coarse check that the option is taken and works: the heatmap within bf16's precision."""
    single, half = Predictor(bundle, num_threads=1), Predictor(bundle, precision="bf16", num_threads=1)
    gap = np.abs(single.predict(IMAGE).suction - half.predict(IMAGE).suction)
    assert gap.max() < 0.1


def test_prediction_needs_neither_torch_nor_a_network(bundle: Path, tmp_path: Path) -> None:
    script = f"""
import socket, sys
def refuse(*_, **__): raise RuntimeError("network")
socket.socket.connect = socket.getaddrinfo = refuse
import numpy as np
from graspnext.runtime.predictor import Predictor
image = np.zeros((40, 60, 3), dtype=np.uint8)
for runtime in ("openvino", "onnxruntime"):
    Predictor({str(bundle)!r}, runtime=runtime).predict(image)
assert "torch" not in sys.modules and "openvino_telemetry" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300, env=os.environ | {"HOME": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []


def test_signals_are_heard_after_two_predictors_have_come_and_gone(bundle: Path) -> None:
    """In the order in which they were made: with two of OpenVINO's cores this ended in a segmentation fault."""
    program = """
import signal, sys
from graspnext.runtime.predictor import Predictor
first = Predictor(sys.argv[1], runtime="openvino", num_threads=1)
second = Predictor(sys.argv[1], runtime="openvino", num_threads=1)
del first
del second
signal.signal(signal.SIGTERM, lambda number, frame: print("heard", flush=True))
signal.raise_signal(signal.SIGTERM)
"""
    done = subprocess.run([sys.executable, "-c", program, str(bundle)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
