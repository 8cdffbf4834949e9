"""A training run without training: the tiny preset with random weights, turned so that it detects something."""

from __future__ import annotations

from pathlib import Path

import torch

from graspnext.deploy.export import ExportConfig, export_bundle
from graspnext.files import make_folder, write_json
from graspnext.learning.checkpoint import CONFIG_FILE, WEIGHTS_FILE, save_tensors
from graspnext.learning.run import SUMMARY_FILE
from graspnext.network.build import build_network
from graspnext.network.network import Network
from graspnext.network.presets import find_preset

INPUT_SIZE = 128


def lively_network() -> Network:
    """Predictions of a fresh network are all alike; here the last layers are drawn wide and the biases raised."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network(find_preset("tiny"))
        generator = torch.Generator().manual_seed(1)
        last = ("predict", "box_head.score", "box_head.delta", "logits", "occluded")
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if parameter.dim() >= 2 and any(word in name for word in last):
                    scale = (0.3 if "delta" in name else 1.0) / parameter[0].numel() ** 0.5
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
            network.rpn.predict.bias[0] = 0.0
            network.box_head.score.bias.fill_(0.5)
    return network.eval()


def write_run(folder: Path) -> Path:
    """The run's folder as training leaves it."""
    make_folder(folder)
    config = {"schema_version": 1, "preset": find_preset("tiny").to_dict(), "data": "/somewhere/secret/bins"}
    write_json(folder / CONFIG_FILE, config | {"recipe": {"steps": 7}, "hardware": {"cores": 2}})
    write_json(folder / SUMMARY_FILE, {"steps": 7, "wall_time_s": 1.5, "hardware": {"cores": 2}})
    save_tensors(folder / WEIGHTS_FILE, dict(lively_network().state_dict()), {"step": 7})
    return folder


def tiny_bundle(base: Path) -> Path:
    """A bundle of that run at `base`/tiny_bundle, exported once."""
    out = base / "tiny_bundle"
    if not out.exists():
        torch.set_num_threads(
            1
        )  # test machines are busy, and threads that wait for one another cost more than they bring
        export_bundle(write_run(base / "tiny_run"), out, config=ExportConfig(input_size=INPUT_SIZE, name="tiny"))
    return out
