"""The pipeline in bf16: the convolutions are, places in the picture stay in float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from graspnext.errors import ConfigError
from graspnext.network.build import build_network
from graspnext.network.pipeline import Pipeline
from graspnext.network.presets import find_preset

IMAGE = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)


def test_the_network_computes_in_bf16_and_its_input_and_output_do_not() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = build_network(find_preset("tiny"))
    seen: list[tuple[torch.dtype, torch.dtype]] = []
    convolutions = [layer for layer in network.backbone.modules() if isinstance(layer, nn.Conv2d)]
    convolutions[0].register_forward_hook(lambda _, inputs, output: seen.append((inputs[0].dtype, output.dtype)))
    exact = Pipeline(network, 128).predict(IMAGE, min_score=0.0)
    rough = Pipeline(network, 128, "bf16")
    with torch.inference_mode():
        found = rough(torch.from_numpy(IMAGE))
    assert seen == [(torch.float32, torch.float32), (torch.float32, torch.bfloat16)]  # the picture is not rounded
    for name, value in found._asdict().items():
        assert value.dtype == (torch.int64 if name == "count" else torch.float32), name
    said = rough.predict(IMAGE, min_score=0.0)
    assert said.scores[0] == pytest.approx(exact.scores[0], abs=0.02)
    np.testing.assert_allclose(said.suction, exact.suction, atol=0.02)
    assert np.any(said.suction != exact.suction)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ConfigError, match="precision is 'fp16'; it must be one of fp32, bf16"):
        Pipeline(build_network(find_preset("tiny")), 64, "fp16")
