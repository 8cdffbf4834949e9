"""`graspnext weights FILE.pth --out FILE.safetensors`: torchvision's weights in a form that can hold no program."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from graspnext.cli.options import read_options
from graspnext.cli.output import check_target


@dataclass(frozen=True)
class Weights:
    """Turn a .pth file of torchvision into pretrained weights for train.

    For resnet50, efficientnet_b0 and mobilenet_v3_large; which of them it is, the tensors say. The classifier is left
    out. A .pth file may hold programs: none is run, and one with anything but named tensors is refused. Nothing is
    ever fetched.

    Examples:
      graspnext weights resnet50-11ad3fa6.pth --out resnet50.safetensors
      graspnext train resnet50 --data bins --out runs/resnet50 --backbone-weights resnet50.safetensors
    """

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """What torch.save(model.state_dict(), FILE) wrote."""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """Safetensors file to write; replaced where there is one."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 when done."""
    options = read_options(Weights, arguments, prog="graspnext weights")
    check_target(options.out)
    from graspnext.learning.checkpoint import save_tensors
    from graspnext.network.backbones.pretrained import fingerprint, select_weights
    from graspnext.network.backbones.pth import read_pth

    weights = select_weights(read_pth(options.source), options.source)
    header = {"trunk": weights.trunk, "source": options.source.name, "source_sha256": fingerprint(options.source)}
    save_tensors(options.out, weights.tensors, header)
    sys.stdout.write(f"{options.out}: {weights.summary()}\n")
    return 0
