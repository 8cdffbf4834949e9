"""Several processes that train one network together, each on its share of every batch; usually there is one.

torchrun starts them, or anything else that sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT. All see the
same dataset and the same folder of the run, in which the first alone writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed
from torch import Tensor

from graspnext.errors import WorkerError


@dataclass(frozen=True)
class Processes:
    """This process among those of the training."""

    rank: int = 0
    world: int = 1
    device: torch.device = torch.device("cpu")  # noqa: RUF009 (a value, never changed)
    """Where this one computes."""

    @property
    def first(self) -> bool:
        """Whether this is the one that writes the run's folder and reports."""
        return self.rank == 0

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one dtype and device by their means over all processes, in one exchange.

        The same bits come out in every process, which keeps their weights equal without ever sending them.

        Raises:
            WorkerError: Another process has ended.
        """
        if self.world == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        try:
            torch.distributed.all_reduce(flat)
        except RuntimeError as error:  # gloo: a closed connection; nccl: an aborted exchange
            raise WorkerError(
                f"process {self.rank} of {self.world} stops, for another one has ended; see its message"
            ) from error
        flat /= self.world
        pieces = torch.split(flat, [tensor.numel() for tensor in tensors])
        torch._foreach_copy_(list(tensors), [p.view(t.shape) for p, t in zip(pieces, tensors, strict=True)])

    def wait(self) -> None:
        """Go on when all processes have come here.

        Raises:
            WorkerError: Another process has ended.
        """
        arrived = torch.ones(1, device=self.device)
        self.average([arrived])
        arrived.item()  # a GPU's exchange runs on while its host does


def local_rank() -> int:
    """Number of this process on its machine, and of the GPU that it takes."""
    return int(os.environ.get("LOCAL_RANK", "0"))


@contextmanager
def join_processes(device: torch.device) -> Iterator[Processes]:
    """Meet the other processes, over gloo on CPUs and nccl on GPUs; alone where the environment names no others.

    A group that the caller has opened is used and left open.

    Raises:
        WorkerError: The others did not come.
    """
    ours = not torch.distributed.is_initialized()
    if ours and int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes(device=device)
        return
    if ours:
        try:
            torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        except (RuntimeError, ValueError) as error:
            raise WorkerError(f"the processes of the training did not meet ({error}); use torchrun") from error
    yield Processes(torch.distributed.get_rank(), torch.distributed.get_world_size(), device)
    if ours:  # not after an error: closing would wait for the others, while the end of this process tells them
        torch.distributed.destroy_process_group()
