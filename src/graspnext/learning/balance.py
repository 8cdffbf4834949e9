"""Factors of the losses that are learnt along with the network."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

LIMIT = 4.0
"""Log variances stay within -LIMIT ... LIMIT, factors within 1/55 ... 55: a loss that is 0 throughout a dataset, for
its labels are missing, would otherwise drive its factor beyond all numbers."""


class Balance(nn.Module):
    """Weights losses by the uncertainty of their tasks (Kendall, Gal and Cipolla, CVPR 2018).

    The total is the sum of exp(-s) loss + s / 2 over the tasks, s being the learnt log variance of each: the negative
    log-likelihood up to constants. It starts at s = 0, where it is the plain sum; at rest every weighted loss is 1/2.
    It is linear in the losses, so the mean of the totals of two halves of a batch is the total of the whole.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self.names = names
        self.raw = nn.Parameter(torch.zeros(len(names)))

    def log_variances(self) -> Tensor:
        """(T,): s of each task."""
        return LIMIT * torch.tanh(self.raw / LIMIT)

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The balanced total, a scalar, of the losses of all tasks by name."""
        variances = self.log_variances()
        values = torch.stack([losses[name] for name in self.names])  # (T,)
        return (torch.exp(-variances) * values + variances / 2).sum()

    def factors(self) -> dict[str, float]:
        """What each loss is multiplied by at present; waits for a device's values."""
        return dict(zip(self.names, torch.exp(-self.log_variances().detach()).tolist(), strict=True))
