"""When the loss leaves the numbers: stop before any weight changes, and keep all that is needed to see it again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from graspnext.errors import RunError
from graspnext.learning.checkpoint import load_tensors, save_tensors
from graspnext.types import Targets

FAILURE_FILE = "failure.safetensors"

Batch = tuple[Tensor, list[Targets]]
"""Images (B, 3, S, S) uint8 and one `Targets` for each."""


@dataclass(frozen=True, eq=False)
class Failure:
    """A step that went wrong; `train.compute_losses` with these weights, this batch and this step repeats it."""

    step: int
    batch: Batch
    weights: dict[str, Tensor]
    """The network's state before the step."""


def stop_on_bad_loss(
    run: Path, network: nn.Module, batch: Batch, *, losses: dict[str, Tensor], norm: Tensor, step: int
) -> None:
    """Do nothing while losses and gradient norm are finite; otherwise save the step and stop.

    Called before the optimizer's step, so the network still has the weights that led here.

    Raises:
        RunError: A loss or the gradient is NaN or infinite; the message names which.
    """
    if bool(torch.isfinite(torch.stack([*losses.values(), norm])).all()):
        return
    images, targets = batch
    tensors = {"images": images}
    for index, target in enumerate(targets):
        tensors |= {f"targets/{index}/{name}": value for name, value in vars(target).items()}
    tensors |= {f"weights/{name}": value for name, value in network.state_dict().items()}
    values = {name: f"{float(value.detach()):g}" for name, value in {**losses, "gradient": norm}.items()}
    save_tensors(run / FAILURE_FILE, tensors, {"step": step, "losses": values})
    bad = ", ".join(f"{name} is {value}" for name, value in values.items() if value in {"nan", "inf", "-inf"})
    raise RunError(
        run, f"{bad} at step {step}", f"the batch is in {FAILURE_FILE}; try a lower learning rate in a new folder"
    )


def load_failure(run: Path) -> Failure:
    """The step that stopped a run.

    Raises:
        RunError: The run did not stop that way, or the file is damaged.
    """
    tensors, header = load_tensors(run / FAILURE_FILE)
    images = tensors.pop("images")
    weights = {key.removeprefix("weights/"): value for key, value in tensors.items() if key.startswith("weights/")}
    targets = [
        Targets(**{name: tensors[f"targets/{index}/{name}"] for name in Targets.__dataclass_fields__})
        for index in range(len(images))
    ]
    return Failure(step=int(header["step"]), batch=(images, targets), weights=weights)
