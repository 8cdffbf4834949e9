"""The tiny network, its pipeline and its bundle, made once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.deploy import tiny_run

from graspnext.deploy.model.onnx_file import round_weights
from graspnext.network.pipeline import Pipeline


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle in fp32; tests leave it as it is."""
    return Path(tiny_run.tiny_bundle(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="session")
def model(bundle: Path) -> bytes:
    """The content of its `model.onnx`."""
    return (bundle / "model.onnx").read_bytes()


@pytest.fixture(scope="session")
def pipeline() -> Pipeline:
    """What it was frozen from, weights rounded as they are stored; tests leave it as it is."""
    torch.set_num_threads(1)
    pipeline = Pipeline(tiny_run.lively_network(), tiny_run.INPUT_SIZE)
    round_weights(pipeline)
    return pipeline
