"""One update of the weights: losses, gradients, their mean over parts and processes, the step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from graspnext.data.loader import Batch
from graspnext.learning.balance import Balance
from graspnext.learning.checkpoint import CHECKPOINT_FILE, Checkpoint, load_weights
from graspnext.learning.distribution import Processes
from graspnext.learning.failure import Guard
from graspnext.learning.optimizer import (
    WeightAverage,
    build_optimizer,
    optimizer_tensors,
    restore_optimizer,
    set_learning_rate,
)
from graspnext.learning.recipes import Recipe
from graspnext.network.config import LossWeights
from graspnext.network.network import Network

LOSSES = tuple(item.name for item in fields(LossWeights))
"""Names of the losses, in the order in which they are logged."""


@dataclass(frozen=True, eq=False)
class Update:
    """What one update was like; still on the device, where reading a value waits for it."""

    losses: dict[str, Tensor]
    """Scalars, means over the images of all processes: each loss before balancing, and `total`, what was minimised."""
    grad_norm: Tensor
    """Scalar: norm of the gradient before it was clipped."""


class Learner:
    """A network in training with everything that changes along with it."""

    def __init__(self, network: Network, recipe: Recipe, *, out: Path, processes: Processes, late: int) -> None:
        """Take a network over.

        Args:
            network: On its device, in training mode.
            recipe: Update rule, precision, parts of a batch.
            out: The run's folder, where a bad step is saved.
            processes: Those that learn together.
            late: By how many steps the host trails behind when it looks for bad values (see `Guard`).
        """
        self.network, self.recipe, self._out, self._processes = network, recipe, out, processes
        self.balance = Balance(LOSSES).to(processes.device) if recipe.balance == "uncertainty" else None
        self._parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
        if self.balance is not None:
            self._parameters["balance.raw"] = self.balance.raw
        self._optimizer = build_optimizer(self._parameters, recipe.optimizer)
        self.average = WeightAverage(network, recipe.optimizer.ema_decay)
        self.guard = Guard(out, network, processes, late=late)
        self._optimizer.found_inf = self.guard.bad  # type: ignore[attr-defined]

    def learn(self, batch: Batch, step: int, *, leaving: bool = False) -> Update:
        """Go one step down the mean loss of the batches of all processes.

        Args:
            batch: This process's share, on the network's device.
            step: Its number in the schedule.
            leaving: Tell all processes that this one is asked to stop (`Guard.leaving`).

        Raises:
            RunError: A loss or the gradient is not finite (`Guard`, which says when it is noticed).
            WorkerError: Another process has ended.
        """
        set_learning_rate(self._optimizer, self.recipe.learning_rate(step))
        values = self._accumulate(batch)
        gradients = self._gradients()
        notes = torch.zeros(self._processes.world + 1, dtype=values.dtype, device=values.device)
        notes[-1].fill_(leaving)
        if self._processes.world > 1:
            finite = torch.stack([*torch._foreach_norm(gradients), *values]).isfinite().all()
            notes[self._processes.rank].copy_(~finite)
            self._processes.average([*gradients, values, notes])
        norm = torch.nn.utils.get_total_norm(gradients)
        losses = dict(zip((*LOSSES, "total"), values.unbind(), strict=True))
        self.guard.watch(step, batch, {**losses, "gradient": norm}, notes)
        if self.recipe.optimizer.clip_norm:
            clip = self.recipe.optimizer.clip_norm
            torch.nn.utils.clip_grads_with_norm_(self._parameters.values(), clip, norm)
        self._optimizer.step()
        self.average.update(self.network, step)
        return Update(losses, norm)

    def _accumulate(self, batch: Batch) -> Tensor:
        """Gradients of the share's mean loss, taken in parts; the losses and their total, (T + 1,)."""
        self._optimizer.zero_grad(set_to_none=True)
        parts = split(batch, self.recipe.accumulate)
        values: list[Tensor] = []
        for part in parts:
            losses = compute_losses(self.network, part, recipe=self.recipe)
            own = torch.stack([losses[name] for name in LOSSES])
            total = own.sum() if self.balance is None else self.balance(losses)
            share = len(part.numbers) / len(batch.numbers)
            (total * share).backward()
            values.append(torch.cat([own.detach(), total.detach()[None]]) * share)
        return torch.stack(values).sum(0)

    def _gradients(self) -> list[Tensor]:
        """All gradients; 0 where no image reached a weight, so that it does not matter who held which image."""
        for parameter in self._parameters.values():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        return [p.grad for p in self._parameters.values() if p.grad is not None]

    def checkpoint(self, step: int, elapsed_s: float) -> Checkpoint:
        """The state after `step` steps; its tensors are the learner's own."""
        return Checkpoint(
            step=step,
            elapsed_s=elapsed_s,
            model=self.network.state_dict(),
            average=self.average.tensors,
            optimizer=optimizer_tensors(self._parameters, self._optimizer),
            extra={} if self.balance is None else {"balance": dict(self.balance.state_dict())},
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to a checkpoint of the same recipe.

        Raises:
            RunError: Its weights do not fit the network.
        """
        source = self._out / CHECKPOINT_FILE
        load_weights(self.network, checkpoint.model, source)
        if self.balance is not None:
            load_weights(self.balance, checkpoint.extra.get("balance", {}), source)
        restore_optimizer(self._parameters, self._optimizer, checkpoint.optimizer)
        self.average.restore(checkpoint.average)


def compute_losses(network: Network, batch: Batch, *, recipe: Recipe) -> dict[str, Tensor]:
    """The weighted losses of a batch by name, means over its images.

    All random numbers follow from the seed and the numbers of the samples, so a resumed run draws what it would have
    drawn, in whichever process and whichever part of a batch a sample lies.

    Args:
        network: In training mode.
        batch: On any device.
        recipe: Gives seed and precision.
    """
    device = next(network.parameters()).device
    images = batch.images.to(device, non_blocking=True)
    targets = [target.to(device) for target in batch.targets]
    generators = sample_generators(batch.numbers, recipe.seed, device)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=recipe.precision == "bf16"):
        return network.losses(images, targets, generators=generators)


def sample_generators(numbers: Sequence[int], seed: int, device: torch.device) -> list[torch.Generator]:
    """One generator a sample, from (seed, its number) alone.

    The two are mixed first: torch's generator on CPUs takes 32 bits of a seed and drops the others without a word.
    """
    mixed = [int(np.random.SeedSequence([seed, n]).generate_state(1, np.uint64)[0]) for n in numbers]
    return [torch.Generator(device).manual_seed(value) for value in mixed]


def split(batch: Batch, parts: int) -> list[Batch]:
    """A batch in at most `parts` consecutive pieces, as equal as can be and none empty."""
    count = len(batch.numbers)
    parts = min(parts, count)
    edges = [count * index // parts for index in range(parts + 1)]
    return [Batch(batch.images[a:b], batch.targets[a:b], batch.numbers[a:b]) for a, b in pairwise(edges)]
