"""The smallest network in 8 bits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from graspnext.deploy.frames import check_frames
from graspnext.deploy.model.layer_names import part_of
from graspnext.deploy.model.onnx_file import store_as_float
from graspnext.deploy.model.parts import split
from graspnext.deploy.model.quantise import QuantiseConfig, quantise, quantised_layers, rank_layers
from graspnext.errors import ConfigError
from graspnext.runtime.backend import find_backend
from graspnext.types import UInt8Array

pytest.importorskip("nncf")


@pytest.fixture(scope="module")
def frames() -> list[UInt8Array]:
    return check_frames(4, rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def quantised(model: bytes, frames: list[UInt8Array]) -> bytes:
    return quantise(model, frames, config=QuantiseConfig())[0]


def test_the_layers_of_the_network_are_quantised_and_no_others(model: bytes, quantised: bytes) -> None:
    before, after = (onnx.load_model_from_string(content) for content in (model, quantised))
    convolutions = {node.name for node in before.graph.node if node.op_type == "Conv"}
    layers = quantised_layers(after)
    assert convolutions <= {node.name for node in layers}
    assert {part_of(node.name) for node in layers} == {"network"}
    steps = [node for node in after.graph.node if node.op_type in {"QuantizeLinear", "DequantizeLinear"}]
    assert {part_of(node.name) for node in steps} == {"network"}
    names = [node.name for node in after.graph.node]
    assert len(set(names)) == len(names)
    assert len(quantised) < 0.75 * len(model)  # a byte a weight in place of two
    assert set(split(after)) == {"pre", "network", "post"}


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_runtimes_find_nearly_the_same(runtime: str, model: bytes, quantised: bytes, frames: list[UInt8Array]) -> None:
    backend: type = find_backend(runtime)
    exact, rough = (backend(content, num_threads=1).run(frames[1]) for content in (model, quantised))
    gap = np.abs(exact["suction"] - rough["suction"])
    assert 0 < gap.mean() < 0.05
    assert np.abs(np.sort(exact["scores"]) - np.sort(rough["scores"])).mean() < 0.1


def test_named_layers_stay_in_floating_point(model: bytes, quantised: bytes, frames: list[UInt8Array]) -> None:
    ranked = rank_layers(model, quantised, frames[:1])
    assert set(ranked) == {node.name for node in quantised_layers(onnx.load_model_from_string(quantised))}
    assert list(ranked.values()) == sorted(ranked.values(), reverse=True)
    worst = next(iter(ranked))
    content, about = quantise(model, frames, config=QuantiseConfig(float_layers=(worst,)))
    assert about["frames"] == len(frames) and worst in about["float_layers"]
    after = {node.name for node in quantised_layers(onnx.load_model_from_string(content))}
    assert after == set(ranked) - set(about["float_layers"])


def test_layers_that_share_weights_stay_together(model: bytes, frames: list[UInt8Array]) -> None:
    shared = {node.name for node in onnx.load_model_from_string(model).graph.node if "rpn.predict/Conv" in node.name}
    assert len(shared) > 1
    content, about = quantise(model, frames[:1], config=QuantiseConfig(float_layers=(min(shared),)))
    assert set(about["float_layers"]) == shared
    assert not shared & {node.name for node in quantised_layers(onnx.load_model_from_string(content))}


def test_boxes_and_centres_are_not_rounded_to_8_bits(quantised: bytes) -> None:
    graph = onnx.load_model_from_string(quantised).graph
    makers = {output: node for node in graph.node for output in node.output}
    readers = [node for node in graph.node for name in node.input if _is_dequantised(makers.get(name))]
    assert {"Conv", "Gemm", "Add"} <= {node.op_type for node in readers}
    assert not [node.name for node in readers if node.name.startswith("network/")]  # the network's own arithmetic
    assert not {node.op_type for node in readers} & {"Div", "Gather", "ReduceMean", "ReduceSum", "Slice", "Sqrt"}


def _is_dequantised(node: onnx.NodeProto | None) -> bool:
    return node is not None and node.op_type == "DequantizeLinear"


def test_without_a_layer_in_8_bits_nothing_is(model: bytes, quantised: bytes, frames: list[UInt8Array]) -> None:
    layers = tuple(node.name for node in quantised_layers(onnx.load_model_from_string(quantised)))
    content, _ = quantise(model, frames[:1], config=QuantiseConfig(float_layers=layers))
    graph = onnx.load_model_from_string(content).graph
    assert not [node.name for node in graph.node if node.op_type == "QuantizeLinear"]


def test_the_same_frames_give_the_same_bytes(model: bytes, quantised: bytes, frames: list[UInt8Array]) -> None:
    assert quantise(model, frames, config=QuantiseConfig())[0] == quantised


def test_half_weights_come_back_as_they_were(model: bytes) -> None:
    restored = onnx.load_model_from_string(model)
    store_as_float(restored)
    kinds = {tensor.data_type for tensor in restored.graph.initializer}
    assert onnx.TensorProto.FLOAT16 not in kinds
    onnx.checker.check_model(restored)
    frame = check_frames(1, rng=np.random.default_rng(1))[0]
    run = find_backend("onnxruntime")
    for name, value in run(model, num_threads=1).run(frame).items():  # type: ignore[call-arg]
        np.testing.assert_array_equal(value, run(restored.SerializeToString(), num_threads=1).run(frame)[name])  # type: ignore[call-arg]


def test_wrong_settings_are_named(model: bytes, frames: list[UInt8Array]) -> None:
    with pytest.raises(ConfigError, match="frames is 0"):
        quantise(model, [], config=QuantiseConfig())
    with pytest.raises(ConfigError, match="pre/MatMul"):
        QuantiseConfig(float_layers=("pre/MatMul",))
    with pytest.raises(ConfigError, match=r"network\.nothing/Conv"):
        quantise(model, frames, config=QuantiseConfig(float_layers=("network.nothing/Conv",)))


def test_nncf_reports_to_nobody(tmp_path: Path) -> None:
    code = """
import socket, sys
def refuse(*_a, **_k): raise AssertionError("a connection")
socket.socket.connect = refuse; socket.getaddrinfo = refuse
from graspnext.deploy.model.quantise import import_nncf
import_nncf()
assert "openvino_telemetry" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "HOME": str(tmp_path)})
    assert not list(tmp_path.rglob("*telemetry*"))
    assert not list(tmp_path.rglob("intel*"))
