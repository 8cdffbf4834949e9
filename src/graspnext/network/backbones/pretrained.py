"""Pretrained weights for the trunks of torchvision, from a file of this machine; nothing is ever fetched.

The file is safetensors with the names that torchvision gives its tensors ("layer1.0.bn1.weight"): what `graspnext
weights` makes of a .pth file. Batch normalisations keep the statistics and scales of the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from graspnext.errors import ConfigError, WeightsError
from graspnext.network.backbones.torchvision_trunk import TorchvisionBackbone, TorchvisionBackboneConfig, Trunk
from graspnext.network.config import NetworkConfig
from graspnext.network.network import Network

CLASSIFIERS = ("fc.", "classifier.")
"""Beginnings of the names of what a trunk leaves out."""
UNUSED = "num_batches_tracked"
"""End of the names of counters that no network reads."""
FAULTS_SHOWN = 4
_TAKES_NONE = "one of torchvision's trunks (resnet50, efficientnet_b0, mobilenet_v3_large) for pretrained weights"


@dataclass(frozen=True, eq=False)
class TrunkWeights:
    """A trunk's tensors, checked: of its names and shapes, all numbers finite."""

    trunk: Trunk
    tensors: dict[str, Tensor]
    """Torchvision's name -> float32 tensor."""
    left: tuple[str, ...]
    """Names of the classifier's tensors, which no backbone takes."""

    def summary(self) -> str:
        """In words: "resnet50, 265 tensors taken; left out: fc.bias, fc.weight"."""
        left = ", ".join(ascii(name).strip("'") for name in self.left) or "nothing"  # as a file's names may be anything
        return f"{self.trunk}, {len(self.tensors)} tensors taken; left out: {left}"


def with_frozen_norms(config: NetworkConfig) -> NetworkConfig:
    """The same network, its trunk with the normalisation that pretrained weights were made with.

    Raises:
        ConfigError: The trunk is not one of torchvision's.
    """
    if not isinstance(config.backbone, TorchvisionBackboneConfig):
        raise ConfigError("backbone.kind", config.backbone.kind, _TAKES_NONE)
    return replace(config, backbone=replace(config.backbone, norm="frozen_batch"))


def load_backbone_weights(network: Network, path: Path) -> TrunkWeights:
    """Put a file's weights into a network's trunk.

    Args:
        network: Its backbone is a trunk of torchvision with frozen batch normalisation (see `with_frozen_norms`).
        path: Safetensors file with torchvision's names.

    Returns:
        What was taken, and the names of what was left.

    Raises:
        ConfigError: The network's trunk takes no pretrained weights.
        WeightsError: The file is missing or damaged, is of another trunk, or holds numbers that are not finite.
    """
    backbone = network.backbone
    if not isinstance(backbone, TorchvisionBackbone):
        raise ConfigError("backbone.kind", type(backbone).__name__, _TAKES_NONE)
    if backbone.config.norm != "frozen_batch":
        raise ConfigError("backbone.norm", backbone.config.norm, "'frozen_batch' for pretrained weights")
    weights = select_weights(_read(path), path, trunks=(backbone.config.trunk,))
    backbone.load_state_dict({own: weights.tensors[name] for own, name in backbone.source_names().items()})
    return weights


def select_weights(
    tensors: Mapping[str, Tensor], path: Path, *, trunks: Sequence[Trunk] = get_args(Trunk)
) -> TrunkWeights:
    """The tensors of a trunk out of those of a whole model.

    Args:
        tensors: By torchvision's names.
        path: Where they come from, for the messages.
        trunks: The first of these that fits is meant.

    Raises:
        WeightsError: They fit none of the trunks, or some numbers are not finite.
    """
    counted = {name: value for name, value in tensors.items() if not name.endswith(UNUSED)}
    left = tuple(sorted(name for name in counted if name.startswith(CLASSIFIERS)))
    own = {name: value for name, value in counted.items() if name not in left}
    faults = {trunk: _misfits(own, trunk) for trunk in trunks}
    nearest = min(trunks, key=lambda trunk: len(faults[trunk]))
    if faults[nearest]:
        shown = ", ".join(faults[nearest][:FAULTS_SHOWN])
        more = f", and {len(faults[nearest]) - FAULTS_SHOWN} more" if len(faults[nearest]) > FAULTS_SHOWN else ""
        known = ", ".join(trunks)
        raise WeightsError(path, f"not the weights of {nearest} ({shown}{more})", f"give a file of: {known}")
    bad = [name for name, value in own.items() if not _is_sound(name, value)]
    if bad:
        shown = ", ".join(sorted(bad)[:FAULTS_SHOWN])
        raise WeightsError(path, f"numbers that no weights can be, in {shown}", "restore the file from its source")
    return TrunkWeights(nearest, {name: value.float() for name, value in own.items()}, left)


def fingerprint(path: Path) -> str:
    """SHA-256 of a file of weights, for a run's record.

    Raises:
        WeightsError: It cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(path, f"cannot be read ({error.strerror})", "check the path") from error


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError(path, "there is no such file", "check the path; weights are never fetched")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        advice = f"for torchvision's .pth files: graspnext weights {path} --out FILE.safetensors"
        raise WeightsError(path, f"not a safetensors file, or a damaged one ({error})", advice) from error


def _misfits(tensors: Mapping[str, Tensor], trunk: Trunk) -> list[str]:
    """What keeps tensors from being those of a trunk, one line a tensor."""
    with torch.device("meta"):
        backbone = TorchvisionBackbone(TorchvisionBackboneConfig(trunk=trunk, norm="frozen_batch"))
    shapes = {name: backbone.state_dict()[own].shape for own, name in backbone.source_names().items()}
    faults = [f"no {name}" for name in shapes if name not in tensors]
    faults += [
        f"{name} is {tuple(tensors[name].shape)}, not {tuple(shape)}"
        for name, shape in shapes.items()
        if name in tensors and tensors[name].shape != shape
    ]
    return faults + [f"{name!r} is none of its tensors" for name in tensors if name not in shapes]


def _is_sound(name: str, value: Tensor) -> bool:
    """Floating-point numbers, all finite, and no negative variance."""
    if not value.is_floating_point() or not bool(value.isfinite().all()):
        return False
    return not name.endswith("running_var") or bool((value >= 0).all())
