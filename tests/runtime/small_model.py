"""The smallest model with all outputs of a bundle: forty nodes, among them what detectors are made of."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from graspnext.runtime.openvino_backend import import_openvino, openvino_core

INPUT_SIZE = 32
DETECTIONS = 6
MASK_SIZE = 7
CHANNELS = 8
CELLS = INPUT_SIZE // 4
OUTPUTS: dict[str, tuple[list[int], int]] = {
    "scores": ([DETECTIONS], TensorProto.FLOAT),
    "amodal_boxes": ([DETECTIONS, 4], TensorProto.FLOAT),
    "visible_masks": ([DETECTIONS, MASK_SIZE, MASK_SIZE], TensorProto.FLOAT),
    "amodal_masks": ([DETECTIONS, MASK_SIZE, MASK_SIZE], TensorProto.FLOAT),
    "occluded_probability": ([DETECTIONS], TensorProto.FLOAT),
    "center_of_mass": ([DETECTIONS, 2], TensorProto.FLOAT),
    "suction": ([CELLS, CELLS], TensorProto.FLOAT),
    "valid": ([2], TensorProto.FLOAT),
    "count": ([1], TensorProto.INT64),
}


def _constants() -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> np.ndarray[Any, Any]:
        return (rng.normal(size=shape) / np.prod(shape[1:]) ** 0.5).astype(np.float32)

    rows, columns = np.mgrid[0:CELLS, 0:CELLS].reshape(2, -1) * 4 + 2
    anchors = np.stack([columns - 5, rows - 5, columns + 5, rows + 5], axis=1)  # (64, 4)
    return {
        "stem": weights(CHANNELS, 3, 3, 3),
        "stem_bias": weights(CHANNELS, 1)[:, 0],
        "scale": np.ones(CHANNELS, dtype=np.float32),
        "shift": np.zeros(CHANNELS, dtype=np.float32),
        "body_int8": rng.integers(-100, 100, (CHANNELS, CHANNELS, 3, 3)).astype(np.int8),
        "step": np.array(0.002, dtype=np.float32),
        "zero": np.array(0, dtype=np.int8),
        "dense": weights(6, CHANNELS, 1, 1),
        "mask": weights(2, CHANNELS, 1, 1),
        "occlusion": weights(CHANNELS, 1),
        "anchors": anchors.astype(np.float32),
        "size": np.array([1, 3, INPUT_SIZE, INPUT_SIZE], dtype=np.int64),
        "axis0": np.array([0], dtype=np.int64),
        "axis1": np.array([1], dtype=np.int64),
        "axes01": np.array([0, 1], dtype=np.int64),
        "middle": np.array([2, 3], dtype=np.int64),
        "ends": np.array([4], dtype=np.int64),
        "cut1": np.array([1], dtype=np.int64),
        "cut5": np.array([5], dtype=np.int64),
        "cut6": np.array([6], dtype=np.int64),
        "flat": np.array([-1], dtype=np.int64),
        "rows": np.array([4, CELLS * CELLS], dtype=np.int64),
        "boxes3": np.array([1, CELLS * CELLS, 4], dtype=np.int64),
        "scores3": np.array([1, 1, CELLS * CELLS], dtype=np.int64),
        "k": np.array([DETECTIONS], dtype=np.int64),
        "batch": np.zeros(DETECTIONS, dtype=np.int64),
        "most": np.array(DETECTIONS, dtype=np.int64),
        "overlap": np.array(0.5, dtype=np.float32),
        "whole": np.ones(2, dtype=np.float32),
        "half": np.array(0.5, dtype=np.float32),
        "level": np.array(1 / 255, dtype=np.float32),
    }


def _nodes() -> list[onnx.NodeProto]:
    node = helper.make_node
    half_pixel = {"coordinate_transformation_mode": "half_pixel"}
    return [
        node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        node("Mul", ["float", "level"], ["unit"]),
        node("Transpose", ["unit"], ["planes"], perm=[2, 0, 1]),
        node("Unsqueeze", ["planes", "axis0"], ["one"]),
        node("Resize", ["one", "", "", "size"], ["square"], mode="linear", **half_pixel),
        node("Conv", ["square", "stem", "stem_bias"], ["a"], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("InstanceNormalization", ["a", "scale", "shift"], ["b"], epsilon=1e-5),
        node("Relu", ["b"], ["c"]),
        node("MaxPool", ["c"], ["d"], kernel_shape=[2, 2], strides=[2, 2]),
        node("DequantizeLinear", ["body_int8", "step", "zero"], ["body"]),
        node("Conv", ["d", "body"], ["features"], pads=[1, 1, 1, 1]),
        node("Conv", ["features", "dense"], ["maps"]),  # (1, 6, 8, 8)
        node("Sigmoid", ["maps"], ["chances"]),
        node("Slice", ["chances", "axis0", "cut1", "axis1"], ["chance"]),
        node("Slice", ["maps", "cut1", "cut5", "axis1"], ["deltas"]),
        node("Slice", ["chances", "cut5", "cut6", "axis1"], ["heat"]),
        node("Squeeze", ["heat", "axes01"], ["suction"]),
        node("Reshape", ["deltas", "rows"], ["delta_rows"]),
        node("Transpose", ["delta_rows"], ["delta_columns"], perm=[1, 0]),
        node("Add", ["anchors", "delta_columns"], ["boxes"]),
        node("Reshape", ["chance", "flat"], ["every_score"]),
        node("Reshape", ["boxes", "boxes3"], ["boxes_3d"]),
        node("Reshape", ["chance", "scores3"], ["scores_3d"]),
        node("NonMaxSuppression", ["boxes_3d", "scores_3d", "most", "overlap"], ["kept"]),
        node("Shape", ["kept"], ["kept_shape"]),
        node("Gather", ["kept_shape", "axis0"], ["count"], axis=0),
        node("TopK", ["every_score", "k"], ["scores", "best"], axis=0),
        node("Gather", ["boxes", "best"], ["amodal_boxes"], axis=0),
        node(
            "RoiAlign",
            ["features", "amodal_boxes", "batch"],
            ["crops"],
            output_height=MASK_SIZE,
            output_width=MASK_SIZE,
            sampling_ratio=2,
            spatial_scale=0.25,
        ),
        node("Conv", ["crops", "mask"], ["mask_maps"]),
        node("Sigmoid", ["mask_maps"], ["mask_chances"]),
        node("Gather", ["mask_chances", "zero_index"], ["visible_masks"], axis=1),
        node("Gather", ["mask_chances", "one_index"], ["amodal_masks"], axis=1),
        node("ReduceMean", ["crops", "middle"], ["means"], keepdims=0),
        node("MatMul", ["means", "occlusion"], ["logits"]),
        node("Squeeze", ["logits", "axis1"], ["logit"]),
        node("Sigmoid", ["logit"], ["occluded_probability"]),
        node("Slice", ["amodal_boxes", "axis0", "middle_cut", "axis1"], ["low"]),
        node("Slice", ["amodal_boxes", "middle_cut", "ends", "axis1"], ["high"]),
        node("Add", ["low", "high"], ["sum"]),
        node("Mul", ["sum", "half"], ["center_of_mass"]),
        node("Identity", ["whole"], ["valid"]),
    ]


def small_onnx() -> bytes:
    """The model as ONNX; one constant in a field of its type, one as an attribute, the rest raw."""
    tensors = [numpy_helper.from_array(values, name) for name, values in _constants().items()]
    tensors.append(helper.make_tensor("zero_index", TensorProto.INT64, [], [0]))
    tensors.append(helper.make_tensor("middle_cut", TensorProto.INT64, [1], [2]))
    one = helper.make_node("Constant", [], ["one_index"], value=helper.make_tensor("", TensorProto.INT64, [], [1]))
    outputs = [helper.make_tensor_value_info(name, kind, shape) for name, (shape, kind) in OUTPUTS.items()]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["height", "width", 3])
    nodes = [one, *_nodes()]
    for index, node in enumerate(nodes):
        node.name = f"network.layer{index}/{node.op_type}"
    graph = helper.make_graph(nodes, "small", [image], outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10, producer_name="tests")
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def small_ir() -> tuple[bytes, bytes]:
    """The model in OpenVINO's own form."""
    model = openvino_core().read_model(model=small_onnx(), weights=b"")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.xml"
        import_openvino().save_model(model, path, compress_to_fp16=True)
        return path.read_bytes(), path.with_suffix(".bin").read_bytes()


def small_card(files: dict[str, bytes]) -> dict[str, Any]:
    """The card of a bundle of these files."""
    kinds = {TensorProto.FLOAT: "float32", TensorProto.INT64: "int64"}
    return {
        "schema_version": 1,
        "name": "small",
        "created_by": "tests",
        "architecture": {"levels": [{"width": 8}]},
        "input_size": INPUT_SIZE,
        "max_detections": DETECTIONS,
        "mask_size": MASK_SIZE,
        "outputs": {name: {"shape": shape, "dtype": kinds[kind]} for name, (shape, kind) in OUTPUTS.items()},
        "weights": "fp32",
        "cost": {"params_m": 0.001},
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
            for name, content in files.items()
        },
    }


def write_bundle(folder: Path, files: dict[str, bytes], card: bytes | None = None) -> Path:
    """A bundle of these files with a card that fits them, or with the one that is given."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "card.json").write_bytes(json.dumps(small_card(files)).encode() if card is None else card)
    return folder


def small_bundle(folder: Path, *, ir: bool = False) -> Path:
    """The whole bundle."""
    files = {"model.onnx": small_onnx()}
    return write_bundle(folder, files | (dict(zip(("model.xml", "model.bin"), small_ir(), strict=True)) if ir else {}))
