"""When the loss leaves the numbers: stop before any weight changes, and keep all that is needed to see it again."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from graspnext.data.loader import Batch
from graspnext.errors import RunError
from graspnext.learning.checkpoint import load_tensors, save_tensors
from graspnext.learning.distribution import Processes
from graspnext.types import Targets

FAILURE_FILE = "failure.safetensors"


@dataclass(frozen=True, eq=False)
class Failure:
    """A step that went wrong; `update.compute_losses` with these weights and this batch repeats it."""

    step: int
    batch: Batch
    """The share of the process whose loss was bad."""
    weights: dict[str, Tensor]
    """The network's state before the step."""


class Guard:
    """Stops the training at the first step whose losses or gradient are not finite.

    A GPU's host must not wait for a step's values, or the GPU would wait in turn for the next step's work. So `bad` is
    raised on the device, where it makes the optimizer skip this update and all later ones, and the host reads the
    values `late` steps later, when they have long been there; until then it keeps the batch. With 0 it reads at once.
    """

    def __init__(self, run: Path, network: nn.Module, processes: Processes, *, late: int) -> None:
        self.bad = torch.zeros((), device=processes.device)
        """1 from the first bad step on: the `found_inf` of fused optimizers."""
        self._run, self._network, self._processes, self._late = run, network, processes, late
        self.leaving = False
        """Whether a process asked, in a step looked at so far, to stop; the same in all of them."""
        self._open: deque[_Watched] = deque()

    def watch(self, step: int, batch: Batch, values: Mapping[str, Tensor], notes: Tensor) -> None:
        """Judge a step before its update.

        Args:
            step: Its number.
            batch: What this process learns from in it.
            values: Losses and norm of the gradient, scalars, the same in all processes.
            notes: (world + 1,): greater than 0 for each process whose own share went wrong, and at the end if one
                asks to stop.

        Raises:
            RunError: A step is bad; its batch is saved, and the weights are those before it.
        """
        numbers = torch.stack(list(values.values()))
        self.bad.copy_(torch.maximum(self.bad, (~numbers.isfinite().all()).to(self.bad.dtype)))
        self._open.append(_Watched(step, batch, tuple(values), _HostCopy(torch.cat([numbers, notes]))))
        self._settle(self._late)

    def settle(self) -> None:
        """Wait for all steps watched so far, before anything is made of their outcome.

        Raises:
            RunError: As `watch`.
        """
        self._settle(0)

    def _settle(self, late: int) -> None:
        while len(self._open) > late:
            watched = self._open.popleft()
            numbers = watched.numbers.read()
            values, notes = numbers[: len(watched.names)], numbers[len(watched.names) :]
            if not bool(values.isfinite().all()):
                bad = notes[:-1].nonzero()[:, 0].tolist()
                self._stop(watched, values.tolist(), culprit=bad[0] if bad else 0)
            self.leaving |= bool(notes[-1] > 0)

    def _stop(self, watched: _Watched, values: Sequence[float], *, culprit: int) -> None:
        shown = {name: f"{value:g}" for name, value in zip(watched.names, values, strict=True)}
        if self._processes.rank == culprit:
            _save_failure(self._run, self._network, watched, shown)
        bad = ", ".join(f"{name} is {value}" for name, value in shown.items() if value in {"nan", "inf", "-inf"})
        raise RunError(
            self._run,
            f"{bad} at step {watched.step}",
            f"the batch is in {FAILURE_FILE}; try a lower learning rate in a new folder",
        )


@dataclass(frozen=True, eq=False)
class _Watched:
    """A step whose outcome is not known yet."""

    step: int
    batch: Batch
    names: tuple[str, ...]
    numbers: _HostCopy


class _HostCopy:
    """Values on their way from a device; nothing waits for them until they are read."""

    def __init__(self, values: Tensor) -> None:
        values = values.detach()
        self._event: torch.cuda.Event | None = None
        if values.device.type == "cuda":
            self._host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._host.copy_(values, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()
        else:
            self._host = values.clone()

    def read(self) -> Tensor:
        if self._event is not None:
            self._event.synchronize()
        return self._host


def _save_failure(run: Path, network: nn.Module, watched: _Watched, values: Mapping[str, str]) -> None:
    images, targets, numbers = watched.batch
    tensors = {"images": images}
    for index, target in enumerate(targets):
        tensors |= {f"targets/{index}/{name}": value for name, value in vars(target).items()}
    tensors |= {f"weights/{name}": value for name, value in network.state_dict().items()}
    header = {"step": watched.step, "numbers": list(numbers), "losses": dict(values)}
    save_tensors(run / FAILURE_FILE, tensors, header)


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
    batch = Batch(images, targets, [int(number) for number in header["numbers"]])
    return Failure(step=int(header["step"]), batch=batch, weights=weights)
