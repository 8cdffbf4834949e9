"""The predictor on an exported network, in every runtime."""

from __future__ import annotations

import dataclasses
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image
from tests.deploy import tiny_run

from graspnext.errors import BundleError, ConfigError, InputImageError, UnknownNameError
from graspnext.geometry.cameras import project
from graspnext.runtime.backend import BACKENDS, find_backend, open_backend
from graspnext.runtime.bundle import open_bundle
from graspnext.runtime.openvino_backend import import_openvino, openvino_core
from graspnext.runtime.predictor import Predictor
from graspnext.runtime.processor import computes_bf16, read_processor
from graspnext.types import Camera, Frame, Prediction

IMAGE = np.kron(np.random.default_rng(0).integers(0, 256, (15, 25, 3)), np.ones((12, 12, 1))).astype(np.uint8)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tiny_run.tiny_bundle(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="module", params=sorted(BACKENDS))
def predictor(request: pytest.FixtureRequest, bundle: Path) -> Predictor:
    return Predictor(bundle, runtime=request.param, trusted=True, num_threads=1)


def equal(a: Prediction, b: Prediction) -> bool:
    names = [field.name for field in dataclasses.fields(Prediction) if field.name != "source"]
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


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


def test_a_list_gives_a_list_and_a_stream_one_after_the_other(predictor: Predictor) -> None:
    images = [IMAGE, np.ascontiguousarray(IMAGE[:, :200])]
    expected = [predictor.predict(image, min_score=0.1) for image in images]
    for found in (predictor.predict(images, min_score=0.1), predictor.predict(tuple(images), min_score=0.1)):
        assert all(map(equal, found, expected))
    taken: list[int] = []

    def camera() -> Iterator[Frame]:
        for number in itertools.count():
            taken.append(number)
            yield Frame(images[number % 2], source=f"camera#{number}")

    stream = predictor.stream(camera(), min_score=0.1)
    assert not taken
    found = [next(stream) for _ in range(3)]
    assert taken == [0, 1, 2]
    assert [one.source for one in found] == ["camera#0", "camera#1", "camera#2"]
    assert all(map(equal, found, [*expected, expected[0]]))
    assert predictor.predict([]) == []
    with pytest.raises(ConfigError, match="min_score is -1"):
        predictor.stream(images, min_score=-1)


def test_the_depth_of_a_frame_is_told(predictor: Predictor) -> None:
    depth_m = np.full(IMAGE.shape[:2], 0.75, dtype=np.float32)
    camera = Camera(300, 180, 400.0, 400.0, 150.0, 90.0)
    found = predictor.predict(Frame(IMAGE, depth_m, camera), min_score=0.1)
    assert equal(found, predictor.predict(IMAGE, min_score=0.1))
    assert found.suction_depth_m is not None
    assert found.suction_points_m is not None
    assert len(found.suction_peaks) > 0
    assert np.all(found.suction_depth_m == 0.75)
    back = project(camera, found.suction_points_m)
    assert np.allclose(back[:, :2], found.suction_peaks[:, :2], atol=1e-3)
    with pytest.raises(InputImageError, match=r"depth \(90, 300\) for an image \(180, 300\)"):
        predictor.predict(Frame(IMAGE, depth_m[:90], camera))


def test_depth_from_a_program_is_cleaned_or_refused(predictor: Predictor) -> None:
    """Cameras say 0, NaN or infinity where they measured nothing, and count in their own units."""
    camera = Camera(300, 180, 400.0, 400.0, 150.0, 90.0)
    depth_m = np.full(IMAGE.shape[:2], 0.75)
    want = predictor.predict(Frame(IMAGE, depth_m.astype(np.float32), camera), min_score=0.1)
    depth_m[:, ::2] = np.inf
    depth_m[::2] = np.nan
    depth_m[1::4, 1::4] = -1
    found = predictor.predict(Frame(IMAGE, depth_m, camera), min_score=0.1)  # type: ignore[arg-type]
    assert equal(found, want) and np.array_equal(found.suction_depth_m, want.suction_depth_m)  # type: ignore[arg-type]
    assert np.isnan(depth_m).any()  # the caller's own array stays
    gone = predictor.predict(Frame(IMAGE, np.full_like(depth_m, np.inf), camera), min_score=0.1)  # type: ignore[arg-type]
    assert gone.suction_depth_m is not None and np.isnan(gone.suction_depth_m).all()
    counts = np.full(IMAGE.shape[:2], 812, dtype=np.uint16)
    for bad, said in (
        (counts, "depth of uint16; give metres as floats"),
        (counts.astype(float), "all depth is beyond"),
    ):
        with pytest.raises(InputImageError, match=said):
            predictor.predict(Frame(IMAGE, bad, camera))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options", [*({"runtime": runtime} for runtime in sorted(BACKENDS)), {"runtime": "openvino", "num_streams": 2}]
)
def test_eight_threads_get_what_one_gets(bundle: Path, options: dict[str, Any]) -> None:
    """Each thread has an image of its own size, which it predicts on alone and in a list."""
    predictor = Predictor(bundle, trusted=True, num_threads=2, **options)
    images = [np.ascontiguousarray(IMAGE[:, : 80 + 25 * index]) for index in range(8)]
    expected = [predictor.predict(image, min_score=0.1) for image in images]
    start = threading.Barrier(8)

    def work(index: int) -> bool:
        start.wait()
        found = [predictor.predict(images[index], min_score=0.1) for _ in range(4)]
        found += predictor.predict([images[index]] * 2, min_score=0.1)
        return all(equal(one, expected[index]) for one in found)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_wrong_arrays_are_named(predictor: Predictor) -> None:
    for array, said in (
        (IMAGE[..., 0], r"an array \(180, 300\) of uint8"),
        (IMAGE.astype(np.float32), "of float32"),
        (np.zeros((0, 5, 3), dtype=np.uint8), "an empty array"),
        ({"image": IMAGE}, "a dict"),
        ([IMAGE, 2], "a int"),
    ):
        with pytest.raises(InputImageError, match=said):
            predictor.predict(array)
    with pytest.raises(ConfigError, match=r"min_score is 1\.5"):
        predictor.predict(IMAGE, min_score=1.5)


def test_wrong_runtime_and_precision_are_named(bundle: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown runtime 'tensorrt'; choose one of: onnxruntime, openvino"):
        Predictor(bundle, runtime="tensorrt")
    for options, said in (
        ({"precision": "int8"}, "precision is 'int8'; it must be fp32 or bf16 for this model, which is not quantised"),
        ({"precision": "fp64"}, "precision is 'fp64'"),
        ({"num_threads": -1}, "num_threads is -1"),
        ({"num_streams": 0}, "num_streams is 0"),
        ({"colour": "red"}, "options of openvino is 'colour'"),
    ):
        with pytest.raises(ConfigError, match=said):
            Predictor(bundle, trusted=True, **options)
    with pytest.raises(BundleError, match="no such folder"):
        Predictor(bundle / "none")


@pytest.mark.parametrize("runtime", sorted(BACKENDS))
def test_a_model_that_is_no_network_is_a_bundle_error(runtime: str, bundle: Path) -> None:
    """Of the runtime too, should it get past the checks of bundles."""
    value = helper.make_tensor_value_info("x", TensorProto.UINT8, ["h", "w", 3])
    out = helper.make_tensor_value_info("y", TensorProto.UINT8, ["h", "w", 3])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "graph", [value], [out])
    opset = [helper.make_opsetid("", 18)]
    content = helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString()
    with pytest.raises(BundleError, match=f"{runtime} cannot load the model"):
        open_backend(runtime, dataclasses.replace(open_bundle(bundle), model=content))


def test_bf16_stays_close(bundle: Path) -> None:
    """A coarse check that the option is taken and works: the heatmap within bf16's precision."""
    single, half = (Predictor(bundle, precision=one, trusted=True, num_threads=1) for one in ("fp32", "bf16"))
    gap = np.abs(single.predict(IMAGE).suction - half.predict(IMAGE).suction)
    assert gap.max() < 0.1
    assert (gap.max() > 0) == (half.precision == "bf16")


def test_the_precision_is_the_one_that_runs(bundle: Path) -> None:
    listed = openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    able = "BF16" in listed and computes_bf16(read_processor())
    assert Predictor(bundle, trusted=True, num_threads=1).precision == "fp32"  # what its card says
    assert Predictor(bundle, precision="bf16", trusted=True, num_threads=1).precision == ("bf16" if able else "fp32")
    model = with_integers((bundle / "model.onnx").read_bytes())
    for runtime in BACKENDS:
        backend: Any = find_backend(runtime)
        assert backend(model, num_threads=1).precision == "int8"
    assert backend_precision(model, "int8") == backend_precision(model, "fp32") == "int8"


def test_openvinos_own_form_gives_the_same(bundle: Path, tmp_path: Path) -> None:
    content = (bundle / "model.onnx").read_bytes()
    network = openvino_core().read_model(model=content, weights=b"")
    import_openvino().save_model(network, tmp_path / "model.xml", compress_to_fp16=False)
    files = ((tmp_path / "model.xml").read_bytes(), (tmp_path / "model.bin").read_bytes())
    opened = open_bundle(bundle)
    both = (opened, dataclasses.replace(opened, model=b"not read", ir=files))
    plain, own = (open_backend("openvino", one, num_threads=1).run(IMAGE) for one in both)
    assert set(plain) == set(own)
    for name, values in plain.items():
        np.testing.assert_allclose(own[name], values, rtol=1e-4, atol=1e-3)


def backend_precision(model: bytes, precision: str) -> str:
    backend: Any = find_backend("openvino")
    return str(backend(model, precision=precision, num_threads=1).precision)


def with_integers(content: bytes) -> bytes:
    """The model with what one of its convolutions reads rounded to 8 bits."""
    model = onnx.load_model_from_string(content)
    place, layer = next((place, node) for place, node in enumerate(model.graph.node) if node.op_type == "Conv")
    zero = helper.make_tensor("zero_point", TensorProto.INT8, [], [0])
    model.graph.initializer.extend([helper.make_tensor("step", TensorProto.FLOAT, [], [0.01]), zero])
    rounded = helper.make_node("QuantizeLinear", [layer.input[0], "step", "zero_point"], ["rounded"], "to_integers")
    restored = helper.make_node("DequantizeLinear", ["rounded", "step", "zero_point"], ["restored"], "to_floats")
    layer.input[0] = "restored"
    model.graph.node.insert(place, restored)
    model.graph.node.insert(place, rounded)
    return bytes(model.SerializeToString())


def test_openvino_bounds_its_kernels_without_a_trace(bundle: Path) -> None:
    """The bound of oneDNN's cache is a variable of the environment: nobody else may find it set, or changed."""
    program = """
import os, sys
from graspnext.runtime.openvino_backend import openvino_core
openvino_core()
print(os.environ.get("ONEDNN_PRIMITIVE_CACHE_CAPACITY"))
"""
    for value in (None, "77"):
        own = {} if value is None else {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": value}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ | own
        )
        assert done.stdout.strip() == str(value)


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
first = Predictor(sys.argv[1], runtime="openvino", trusted=True, num_threads=1)
second = Predictor(sys.argv[1], runtime="openvino", trusted=True, num_threads=1)
del first
del second
signal.signal(signal.SIGTERM, lambda number, frame: print("heard", flush=True))
signal.raise_signal(signal.SIGTERM)
"""
    done = subprocess.run([sys.executable, "-c", program, str(bundle)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
