"""Endless training batches that depend only on (seed, number of the batch), made here or by worker processes.

Batch k holds samples k * B ... (k + 1) * B - 1 of an endless stream (see `data.stream`). Training can therefore stop
and go on anywhere, and the number of workers changes nothing but speed. Several processes that train together share
each batch: the r-th of W takes the r-th of W equal consecutive slices; together they see what one alone would see.

Workers are plain child processes that speak over their own pipes, without torch. A pipe closes with either of its
ends, so no worker outlives the loader, not even when the loader's process is killed.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from graspnext.data.augmentation import AugmentationConfig
from graspnext.data.reader import Dataset
from graspnext.data.sample import Sample
from graspnext.data.stream import SampleStream
from graspnext.errors import ConfigError, DatasetError, GraspNextError
from graspnext.types import Targets

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class LoaderConfig:
    """How batches are made."""

    batch_size: int = 8
    """Samples of one update, over all processes that train together."""
    workers: int = 1
    """Processes that make batches ahead; 0 makes them in this process when they are asked for."""
    prefetch: int = 2
    """Batches that each worker keeps ready."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError("batch_size", self.batch_size, "1 or more")
        if not 0 <= self.workers <= 256:
            raise ConfigError("workers", self.workers, "in 0 ... 256")
        if not 1 <= self.prefetch <= 64:
            raise ConfigError("prefetch", self.prefetch, "in 1 ... 64")


class Batch(NamedTuple):
    """What one process learns from in one step: B samples, in the order of the stream."""

    images: torch.Tensor
    """(B, 3, S, S) uint8, RGB."""
    targets: list[Targets]
    numbers: list[int]
    """Numbers of the samples in the endless stream."""


@dataclass(frozen=True)
class Shard:
    """Which of the processes that train together this one is; all of them must be given the same `world`."""

    rank: int = 0
    world: int = 1
    """Number of processes."""

    def __post_init__(self) -> None:
        if self.world < 1:
            raise ConfigError("world", self.world, "1 or more processes")
        if not 0 <= self.rank < self.world:
            raise ConfigError("rank", self.rank, f"in 0 ... {self.world - 1}, as there are {self.world} processes")

    def numbers(self, step: int, batch_size: int) -> range:
        """Numbers in the stream of this process's samples of batch `step`.

        Raises:
            ConfigError: The batch cannot be cut into equal parts.
        """
        share, rest = divmod(batch_size, self.world)
        if rest:
            raise ConfigError("batch_size", batch_size, f"a multiple of the {self.world} processes that share a batch")
        first = step * batch_size + self.rank * share
        return range(first, first + share)


class TrainLoader:
    """Batches for training: pictures and targets as torch tensors on the CPU."""

    def __init__(
        self,
        dataset: Dataset,
        split: str,
        augmentation: AugmentationConfig,
        config: LoaderConfig,
        seed: int,
        shard: Shard = Shard(),
    ) -> None:
        """Prepare the stream; workers start with the first batch.

        Args:
            dataset: Where the views are.
            split: Which of them.
            augmentation: What is done to them.
            config: How batches are made.
            seed: Of the order of the views and of what is done to each.
            shard: This process's share of each batch.

        Raises:
            UnknownNameError: No split has that name.
            DatasetError: The split is empty.
            ConfigError: The seed is negative, or the batch cannot be cut into `shard.world` equal parts.
        """
        shard.numbers(0, config.batch_size)
        self._stream = SampleStream(dataset, split, augmentation, seed)
        self._task = _Task(dataset.root, split, augmentation, config, seed, shard)

    def __len__(self) -> int:
        """Number of views in one epoch."""
        return len(self._stream)

    def batches(self, start_step: int) -> Iterator[Batch]:
        """This process's share of batches `start_step`, `start_step + 1`, ... without end.

        Closing the iterator ends its workers.

        Raises:
            DatasetError: A view cannot be read, or a worker died.
        """
        crew = _Crew(self._task, start_step) if self._task.config.workers else None
        step = start_step
        try:
            while True:
                batch = crew.batch(step) if crew else None
                if batch is None:  # no crew, or its worker met an error: meet it here, where it can be raised
                    numbers = self._task.numbers(step)
                    batch = collate([self._stream.sample(number) for number in numbers], numbers)
                yield batch
                step += 1
        finally:
            if crew:
                crew.close()


def collate(samples: Sequence[Sample], numbers: Sequence[int]) -> Batch:
    """Samples of one size and their numbers in the stream as a batch."""
    import torch

    images = torch.from_numpy(np.stack([sample.image for sample in samples]))  # (B, S, S, 3)
    images = images.permute(0, 3, 1, 2).contiguous()  # (B, 3, S, S)
    return Batch(images, [targets_of(sample) for sample in samples], list(numbers))


def targets_of(sample: Sample) -> Targets:
    """The targets of one sample as tensors on the CPU."""
    import torch

    names = ("boxes", "visible_masks", "amodal_masks", "occluded", "centers", "ignore", "suction")
    return Targets(**{name: torch.from_numpy(np.ascontiguousarray(getattr(sample, name))) for name in names})


@dataclass(frozen=True)
class _Task:
    """All that a worker needs to know."""

    root: Path
    split: str
    augmentation: AugmentationConfig
    config: LoaderConfig
    seed: int
    shard: Shard

    def numbers(self, step: int) -> range:
        """Numbers in the stream of the samples of batch `step`."""
        return self.shard.numbers(step, self.config.batch_size)


class _Crew:
    """Worker processes; worker w makes batches start + w, start + w + W, ..."""

    def __init__(self, task: _Task, start: int) -> None:
        self._start = start
        self._root = task.root
        self._workers = [_Worker(task, start + index) for index in range(task.config.workers)]

    def batch(self, step: int) -> Batch | None:
        """Batch `step`, asked for in rising order; None when its worker met an error."""
        worker = self._workers[(step - self._start) % len(self._workers)]
        batch: Batch | Exception | object | None = worker.results.get()
        if isinstance(batch, Exception):
            raise batch
        if not isinstance(batch, Batch | None):
            code = worker.process.wait()
            raise DatasetError(
                self._root, f"a loader worker ended with code {code}", "free memory, or use fewer workers"
            )
        return batch

    def close(self) -> None:
        """End all workers and wait for them."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.close()


_ENDED = object()


class _Worker:
    """One child process, and the thread that makes batches of what comes from it."""

    def __init__(self, task: _Task, first: int) -> None:
        self._task, self._first = task, first
        self.results: queue.Queue[Any] = queue.Queue(maxsize=task.config.prefetch)
        self._closed = threading.Event()
        command = [sys.executable, "-c", "from graspnext.data.loader import work; work()"]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        # In a group of its own: a terminal's Ctrl-C would end it while it starts, before it can ignore the signal.
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, process_group=0
        )
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # a worker dead already: `batch` reports it
            pickle.dump((task, first), self.process.stdin)
            self.process.stdin.flush()  # stays open: its end tells the worker that we are gone
        self._thread = threading.Thread(target=self._take_in, daemon=True)
        self._thread.start()

    def _receive(self, step: int) -> Batch | Exception | object | None:
        """The next batch; None for an error that the worker met, an exception for one that was met here."""
        assert self.process.stdout is not None
        try:
            packed = pickle.load(self.process.stdout)
        except (EOFError, pickle.UnpicklingError, OSError, ValueError):  # cut short when the worker dies
            return _ENDED
        except Exception as error:  # noqa: BLE001 - such as no memory left: who asks has to hear of it
            return error
        try:
            return packed and collate([_unpack(parts) for parts in packed], self._task.numbers(step))
        except Exception as error:  # noqa: BLE001 - the same
            return error

    def _take_in(self) -> None:
        result: Batch | Exception | object | None = None
        step = self._first
        while result is not _ENDED and not isinstance(result, Exception) and not self._closed.is_set():
            result = self._receive(step)
            step += self._task.config.workers
            while not self._closed.is_set():
                try:
                    self.results.put(result, timeout=0.1)
                    break
                except queue.Full:
                    continue

    def close(self) -> None:
        """Wait for the killed process and the thread, and close the pipes."""
        self._closed.set()
        self.process.wait()
        self._thread.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # unsent bytes for a process that is gone
                    pipe.close()


def work() -> None:
    """Body of a worker process: reads its task from stdin, writes batches to stdout until a pipe closes."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the loader's process decides; its end closes the pipes
        signal.signal(number, signal.SIG_IGN)
    output = os.fdopen(os.dup(1), "wb", buffering=1 << 20)
    os.dup2(2, 1)  # whatever a library may print must not get between the batches
    task, step = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_loader, daemon=True).start()
    dataset = Dataset(task.root)
    stream = SampleStream(dataset, task.split, task.augmentation, task.seed)
    while True:
        try:
            result = [_pack(stream.sample(number)) for number in task.numbers(step)]
        except GraspNextError:
            result = None
        try:
            pickle.dump(result, output, protocol=5)
            output.flush()
        except BrokenPipeError:
            os._exit(0)  # nobody listens; a normal exit would try to flush again
        step += task.config.workers


def _end_with_loader() -> None:
    sys.stdin.buffer.read()  # returns when the loader's end closes
    os._exit(0)


_MASKS = ("visible_masks", "amodal_masks")


def _pack(sample: Sample) -> dict[str, Any]:
    """A sample with one bit a mask pixel: an eighth of the bytes to send."""
    return vars(sample) | {name: np.packbits(getattr(sample, name), axis=None) for name in _MASKS}


def _unpack(parts: dict[str, Any]) -> Sample:
    shape = (len(parts["boxes"]), *parts["image"].shape[:2])
    masks = {
        name: np.unpackbits(parts[name], count=int(np.prod(shape))).view(np.bool_).reshape(shape) for name in _MASKS
    }
    return Sample(**(parts | masks))
