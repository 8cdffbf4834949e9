"""Near-ties are told from defects."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from graspnext.deploy.comparison.choices import first_tie
from graspnext.deploy.model.values import Graph, OnnxRuntimeValues

THRESHOLD = 0.5


def suppression(*, shift: float = 0.0, threshold: float = THRESHOLD) -> onnx.ModelProto:
    """Boxes (1, N, 4) from `x`, a shift of all lower edges, suppression, and what is left of the scores."""
    constants: dict[str, Any] = {
        "shift": np.array([0, 0, shift, 0], dtype=np.float32),
        "scores": np.array([[[0.9, 0.8, 0.7]]], dtype=np.float32),
        "most": np.array([10]),
        "threshold": np.array([threshold], dtype=np.float32),
    }
    nodes = [
        helper.make_node("Add", ["x", "shift"], ["boxes"], name="shifted"),
        helper.make_node("NonMaxSuppression", ["boxes", "scores", "most", "threshold"], ["kept"], name="suppress"),
        helper.make_node("Shape", ["kept"], ["shape"], name="shape"),
        helper.make_node("Cast", ["shape"], ["y"], to=TensorProto.FLOAT, name="cast"),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def boxes(overlap: float) -> Any:
    """The first two boxes overlap by that IoU, the third lies apart."""
    height = 100 * overlap
    return np.array([[[0, 0, 100, 100], [0, 0, height, 100], [0, 300, 100, 400]]], dtype=np.float32)


def verdict(image: Any, suspected: onnx.ModelProto) -> str | None:
    model = suppression()
    reference, suspect = (OnnxRuntimeValues(one, optimised=False, num_threads=1) for one in (model, suspected))
    found = first_tie(Graph.of(model), reference, suspect, image, num_threads=1)
    return None if found is None else found[0].name


def test_a_choice_between_near_equals_is_a_tie() -> None:
    image = boxes(THRESHOLD - 1e-5)  # both are kept; with edges moved by rounding, only the better one
    assert verdict(image, suppression(shift=0.01)) == "suppress"


@pytest.mark.parametrize(
    ("overlap", "suspected"),
    [
        (THRESHOLD - 1e-5, suppression()),  # nothing differs
        (0.3, suppression(shift=0.01)),  # the inputs do, the choice does not
        (0.4, suppression(shift=30.0)),  # the choice does, since the inputs are far apart
        (THRESHOLD - 1e-5, suppression(threshold=0.3)),  # on equal inputs: decided wrongly
        (0.4, suppression(shift=0.01, threshold=0.3)),  # near enough, but decided wrongly
    ],
    ids=["same", "unmoved", "far", "wrong", "wrong-near"],
)
def test_what_is_no_tie(overlap: float, suspected: onnx.ModelProto) -> None:
    assert verdict(boxes(overlap), suspected) is None
