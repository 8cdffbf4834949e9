"""Batches on the device that learns from them, one ahead of the step at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from graspnext.data.loader import Batch
from graspnext.types import Targets


def feed(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """The same batches on the device.

    For a GPU each is copied from pinned memory on a stream of its own while the batch before is learnt from; the
    host does not wait for the copy, the GPU's own queue does.
    """
    if device.type != "cuda":
        yield from batches
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    ahead: Batch | None = None
    for batch in batches:
        with torch.cuda.stream(stream):
            coming = _mapped(batch, lambda tensor: tensor.pin_memory().to(device, non_blocking=True))
        if ahead is not None:
            yield _arrived(ahead, stream)
        ahead = coming
    if ahead is not None:
        yield _arrived(ahead, stream)


def _arrived(batch: Batch, stream: torch.cuda.Stream) -> Batch:
    """The batch, safe to use by what is queued from now on."""
    present = torch.cuda.current_stream(batch.images.device)
    present.wait_stream(stream)

    def hand_over(tensor: Tensor) -> Tensor:
        tensor.record_stream(present)  # its memory is not given to the other stream while this one reads it
        return tensor

    return _mapped(batch, hand_over)


def _mapped(batch: Batch, function: Callable[[Tensor], Tensor]) -> Batch:
    targets = [Targets(**{name: function(value) for name, value in vars(target).items()}) for target in batch.targets]
    return Batch(function(batch.images), targets, batch.numbers)
