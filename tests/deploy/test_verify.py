"""A sound bundle passes every gate; a sabotaged one is named by task, frame and layer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tests.deploy import tiny_run

from graspnext.deploy import verify
from graspnext.deploy.comparison import divergence
from graspnext.deploy.comparison.agreement import Tolerance
from graspnext.deploy.frames import dataset_frames, drawn_frames
from graspnext.deploy.model.onnx_file import round_weights
from graspnext.deploy.model.translation import TorchValues
from graspnext.deploy.model.values import OnnxRuntimeValues
from graspnext.deploy.timing.machine import can_do
from graspnext.deploy.verify import VerifyConfig, verify_bundle
from graspnext.errors import ConfigError
from graspnext.geometry.boxes import iou
from graspnext.learning.evaluate import evaluate
from graspnext.network.pipeline import Pipeline


@pytest.fixture(scope="module", autouse=True)
def _translated_once() -> Iterator[None]:
    """The same pipeline all along: torch's side of it is made once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(divergence, "TorchValues", cache(TorchValues))
        yield


def changed_bundle(bundle: Path, folder: Path, weight: str) -> tuple[Path, str]:
    """A copy whose card fits, but one of whose weights is another; and the node that uses it."""
    model = onnx.load(bundle / "model.onnx")
    tensor = next(one for one in model.graph.initializer if one.name.removesuffix(".half") == weight)
    values = numpy_helper.to_array(tensor).copy()
    values.flat[np.abs(values).argmax()] *= -1
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    write_bundle(bundle, folder, model)
    return folder, next(node.name for node in model.graph.node if weight in node.input and node.op_type != "Cast")


def write_bundle(bundle: Path, folder: Path, model: onnx.ModelProto) -> None:
    """Another model with the card of a bundle."""
    folder.mkdir()
    content = model.SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    card = json.loads((bundle / "card.json").read_text())
    card["files"] = {"model.onnx": {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}}
    (folder / "card.json").write_text(json.dumps(card))


def test_a_sound_bundle_passes(bundle: Path, pipeline: Pipeline, tiny_dataset: Path) -> None:
    frames = dataset_frames(tiny_dataset, "train", limit=4)
    seen: list[int] = []

    def watch(numbers: Any, total: int) -> Any:
        for number in numbers:
            seen.append(total)
            yield number

    found = verify_bundle(bundle, pipeline, frames, config=VerifyConfig(num_threads=1), watch=watch)
    assert not found.faults and seen == [4] * 4
    forms = {"onnxruntime fp32", "openvino fp32"} | ({"openvino bf16"} if can_do("openvino", "bf16") else set())
    assert set(found.results) == forms and found.frames == 4
    ours = evaluate(pipeline.predict, frames_dataset(tiny_dataset), "train", limit=4)["metrics"]
    assert found.reference["amodal_box"] == ours["amodal_box_ap"]
    assert found.reference["suction"] ** 2 == pytest.approx(ours["heatmap_mse"])
    result = found.results["openvino fp32"]
    assert result["detections"] > 20 and 0 < result["differences"]["score"] < 1e-4
    assert abs(result["drops"]["suction"]) < 1e-3
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["ok"] is True


def frames_dataset(root: Path) -> Any:
    from graspnext.data.reader import Dataset

    return Dataset(root)


def test_a_changed_weight_is_named_by_task_frame_and_layer(bundle: Path, pipeline: Pipeline, tmp_path: Path) -> None:
    changed, layer = changed_bundle(bundle, tmp_path / "changed", "network.box_head.score.weight")
    frames = drawn_frames(3, rng=np.random.default_rng(1))
    config = VerifyConfig(precisions=("fp32",), num_threads=1)
    found = verify_bundle(changed, pipeline, frames, config=config)
    assert {fault.runtime for fault in found.faults} == {"onnxruntime", "openvino"}
    for fault in found.faults:
        assert (fault.task, fault.precision, fault.layer) == ("amodal_box", "fp32", layer)
        assert fault.frame in frames.names and fault.measured > fault.limit
        assert layer in str(fault) and fault.frame in str(fault)
    assert {fault.gate for fault in found.faults} >= {"score"}
    plain = found.to_dict()
    assert plain["ok"] is False and plain["faults"][0]["layer"] == layer and plain["reference"] == {}


def test_forms_that_only_labels_can_judge(bundle: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without labels nothing is said of them but that they give numbers."""
    open_forms = verify._open_forms

    def run(form: Any, spoiled: set[int], calls: list[int]) -> Any:
        def outputs(image: Any) -> Any:
            found = dict(form.run(image))
            calls.append(0)
            return found | ({"suction": found["suction"] * np.nan} if len(calls) in spoiled else {})

        return outputs

    for spoiled in (set(), {2, 3}):
        monkeypatch.setattr(
            verify,
            "_open_forms",
            lambda *asked, bad=spoiled: [
                replace(form, precision="int8", run=run(form, bad, [])) for form in open_forms(*asked)
            ],
        )
        frames = drawn_frames(3, rng=np.random.default_rng(0))
        found = verify_bundle(bundle, pipeline, frames, config=VerifyConfig(precisions=("fp32",)))
        assert found.ungated == ["onnxruntime int8", "openvino int8"] == found.to_dict()["ungated"]
        assert [(one.task, one.gate, one.frame) for one in found.faults] == (
            [("suction", "not_finite", frames.names[1])] * 2 if spoiled else []
        )
        assert found.to_dict()["ok"] == (not spoiled)


def test_a_drop_is_named_by_task_frame_and_layer(
    bundle: Path, pipeline: Pipeline, tmp_path: Path, tiny_dataset: Path
) -> None:
    weight = "network.dense_head.branches.0.0.conv.weight"
    changed, layer = changed_bundle(bundle, tmp_path / "changed", weight)
    frames = dataset_frames(tiny_dataset, "test", limit=2)
    config = VerifyConfig(
        precisions=("fp32",),
        num_threads=1,
        ap_drop_fp32=0.0,
        tolerance=Tolerance(score=1, box_px=1e9, mask_iou=0, center_px=1e9, occlusion=1, suction=1),
    )
    found = verify_bundle(changed, pipeline, frames, config=config)
    drops = [fault for fault in found.faults if fault.gate == "ap_drop"]
    assert drops and all(fault.layer == layer and fault.frame in frames.names for fault in drops)
    assert {fault.task for fault in drops} <= {"suction", "center_of_mass"}


def test_a_near_tie_is_told_from_a_defect(bundle: Path, tmp_path: Path) -> None:
    """The threshold lies just above the overlap of two boxes; in the file, edges are off by a rounding error."""
    model = onnx.load(bundle / "model.onnx")
    node = [one for one in model.graph.node if one.op_type == "NonMaxSuppression"][-1]
    frames = drawn_frames(2, rng=np.random.default_rng(0))
    source = OnnxRuntimeValues(model, optimised=False, num_threads=1)
    values = source.values(frames.read(1)[0], [node.input[0], node.output[0]])
    found = values[node.input[0]][0][values[node.output[0]][:, 2]].astype(np.float64)  # (K, 4), best first
    overlap = np.triu(iou(found, found), 1)
    edge = np.array([0, 0, 0, 0.004])
    shifted = np.triu(iou(found + edge, found + edge), 1)
    growing = np.where(shifted > overlap + 1e-6, overlap, 0)
    worse = np.unravel_index(growing.argmax(), growing.shape)
    threshold = float((overlap[worse] + shifted[worse]) / 2)
    assert 0.1 < threshold < 0.6

    network = tiny_run.lively_network()
    network.box_head.config = replace(network.box_head.config, nms_iou=threshold)
    pipeline = Pipeline(network, tiny_run.INPUT_SIZE)
    round_weights(pipeline)
    constants = {"other_threshold": [threshold], "rounding": edge}
    for name, value in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(value, dtype=np.float32), name))
    node.input[3] = "other_threshold"
    makers = {name: maker for maker in model.graph.node for name in maker.output}
    maker = makers[node.input[0]]
    while maker.output[0].startswith("val_"):  # up to the boxes, which have a name in torch as well
        maker = makers[maker.input[0]]
    boxes = maker.output[0]
    maker.output[0] = "exact"
    shift = onnx.helper.make_node("Add", ["exact", "rounding"], [boxes], name="network/moved")
    model.graph.node.insert(list(model.graph.node).index(maker) + 1, shift)
    write_bundle(bundle, tmp_path / "tied", model)
    verified = verify_bundle(tmp_path / "tied", pipeline, frames, config=VerifyConfig(("fp32",), num_threads=1))
    assert not verified.faults
    assert [result["near_ties"] for result in verified.results.values()] == [1, 1]
    strict = VerifyConfig(("fp32",), num_threads=1, max_tie_share=0.0)
    assert not verify_bundle(tmp_path / "tied", pipeline, frames, config=strict).faults, "one is always allowed"


def test_mistakes_are_named(bundle: Path, pipeline: Pipeline) -> None:
    with pytest.raises(ConfigError, match="precisions is 'fp8'"):
        VerifyConfig(precisions=("fp8",))
    with pytest.raises(ConfigError, match="ap_drop_bf16 is -1"):
        VerifyConfig(ap_drop_bf16=-1)
    frames = drawn_frames(1, rng=np.random.default_rng(0))
    with pytest.raises(ConfigError, match=r"precisions is 'int8'; it must be of fp32.* for this bundle"):
        verify_bundle(bundle, pipeline, frames, config=VerifyConfig(precisions=("int8",)))
