"""The loader: batches depend on (seed, number) alone, with any number of workers, and no worker is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pytest
import torch

from graspnext.data.augmentation import AugmentationConfig
from graspnext.data.loader import Batch, LoaderConfig, Shard, TrainLoader
from graspnext.data.reader import Dataset
from graspnext.data.stream import SampleStream
from graspnext.errors import ConfigError, DatasetError, UnknownNameError

AUGMENTATION = AugmentationConfig(size=64, paste_probability=0.5)


ALONE = Shard()


def loader(root: Path, *, workers: int = 0, batch_size: int = 4, seed: int = 3, shard: Shard = ALONE) -> TrainLoader:
    return TrainLoader(Dataset(root), "train", AUGMENTATION, LoaderConfig(batch_size, workers), seed, shard)


def take(source: TrainLoader, start: int, count: int) -> list[Batch]:
    batches = source.batches(start)
    taken = list(islice(batches, count))
    batches.close()  # type: ignore[attr-defined]
    return taken


def assert_same(a: list[Batch], b: list[Batch]) -> None:
    assert len(a) == len(b)
    for batch, other_batch in zip(a, b, strict=True):
        assert batch.numbers == other_batch.numbers
        assert torch.equal(batch.images, other_batch.images)
        for one, other in zip(batch.targets, other_batch.targets, strict=True):
            for name, value in vars(one).items():
                assert value.dtype == getattr(other, name).dtype
                assert torch.equal(value, getattr(other, name)), name


def children() -> set[int]:
    found: set[int] = set()
    for task in Path(f"/proc/{os.getpid()}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread may end while this reads
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def test_shapes_and_types(tiny_dataset: Path) -> None:
    (images, targets, numbers), *_ = take(loader(tiny_dataset), 2, 1)
    assert numbers == [8, 9, 10, 11]
    assert images.shape == (4, 3, 64, 64)
    assert images.dtype == torch.uint8
    assert len(targets) == 4
    for one in targets:
        count = len(one.boxes)
        assert one.boxes.shape == (count, 4)
        assert one.visible_masks.shape == one.amodal_masks.shape == (count, 64, 64)
        assert one.centers.shape == (count, 2)
        assert one.suction.shape == (16, 16)
        kinds = (one.visible_masks, one.amodal_masks, one.occluded, one.ignore)
        assert all(value.dtype == torch.bool for value in kinds)
        assert all(value.dtype == torch.float32 for value in (one.boxes, one.centers, one.suction))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts processes by /proc")
def test_workers_change_nothing_and_end_with_the_iterator(tiny_dataset: Path) -> None:
    before = children()
    expected = take(loader(tiny_dataset), 2, 7)
    batches = loader(tiny_dataset, workers=2).batches(2)
    found = list(islice(batches, 7))
    assert len(children() - before) == 2
    batches.close()  # type: ignore[attr-defined]
    assert children() <= before
    assert_same(found, expected)


@pytest.mark.parametrize(("world", "workers", "start"), [(2, 0, 0), (2, 1, 3), (4, 2, 5), (4, 0, 1), (1, 2, 4)])
def test_processes_together_see_the_batches_of_one(tiny_dataset: Path, world: int, workers: int, start: int) -> None:
    whole = take(loader(tiny_dataset, batch_size=8), start, 3)
    shares = [
        take(loader(tiny_dataset, batch_size=8, workers=workers, shard=Shard(rank, world)), start, 3)
        for rank in range(world)
    ]
    joined = [
        Batch(
            torch.cat([share.images for share in parts]),
            [one for share in parts for one in share.targets],
            [number for share in parts for number in share.numbers],
        )
        for parts in zip(*shares, strict=True)
    ]
    assert_same(joined, whole)
    assert [batch.numbers for batch in whole] == [[*range(8 * k, 8 * k + 8)] for k in range(start, start + 3)]
    assert all(len(share.images) == 8 // world for parts in shares for share in parts)


def test_training_goes_on_where_it_stopped(tiny_dataset: Path) -> None:
    whole = take(loader(tiny_dataset), 0, 6)  # 24 samples of 10 views: more than two epochs
    assert_same(take(loader(tiny_dataset), 3, 3), whole[3:])
    assert not torch.equal(take(loader(tiny_dataset, seed=4), 0, 1)[0][0], whole[0][0])


def test_each_epoch_shows_each_view_once_in_its_own_order(tiny_dataset: Path) -> None:
    dataset = Dataset(tiny_dataset)
    still = AugmentationConfig(96, (1.0, 1.0), False, False, 0, 0, 0, 0, 0, 0, blur_probability=0, noise_probability=0)
    stream = SampleStream(dataset, "train", still, seed=0)
    known = {dataset.read(entry).image.tobytes(): index for index, entry in enumerate(dataset.split("train"))}
    orders = [[known[stream.sample(10 * epoch + at).image.tobytes()] for at in range(10)] for epoch in range(3)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3


def test_a_view_is_changed_anew_in_each_epoch(tiny_dataset: Path) -> None:
    stream = SampleStream(Dataset(tiny_dataset), "test", AUGMENTATION, seed=0)
    images = {stream.sample(number).image.tobytes() for number in range(8)}  # four epochs of two views
    assert len(images) == 8


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_view_is_the_same_error_with_and_without_workers(
    tmp_path: Path, tiny_dataset: Path, workers: int
) -> None:
    root = Path(shutil.copytree(tiny_dataset, tmp_path / "broken"))
    for path in root.glob("scenes/*/0_rgb.png"):
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DatasetError, match=r"0_rgb\.png"):
        take(loader(root, workers=workers), 0, 5)


def test_a_worker_that_dies_is_told(tiny_dataset: Path) -> None:
    before = children()
    batches = loader(tiny_dataset, workers=1).batches(0)
    next(batches)
    for pid in children() - before:
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(DatasetError, match="worker ended with code -9"):
        for _ in range(50):
            next(batches)


KILLED = """
import os, signal, sys
from pathlib import Path
from graspnext.data.augmentation import AugmentationConfig
from graspnext.data.loader import LoaderConfig, TrainLoader
from graspnext.data.reader import Dataset
batches = TrainLoader(Dataset(Path(sys.argv[1])), "train", AugmentationConfig(64), LoaderConfig(2, 1), 0).batches(0)
next(batches)
for task in Path(f"/proc/{os.getpid()}/task").iterdir():
    try:
        print((task / "children").read_text())
    except OSError:  # a thread that has just ended
        pass
sys.stdout.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes by /proc")
def test_a_terminal_does_not_reach_the_workers(tiny_dataset: Path) -> None:
    """They would end while they start, and the training with them, where it should save and stop."""
    before = children()
    batches = loader(tiny_dataset, workers=1).batches(0)
    next(batches)
    (worker,) = children() - before
    assert os.getpgid(worker) != os.getpgrp()
    batches.close()  # type: ignore[attr-defined]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes by /proc")
def test_no_worker_outlives_a_killed_training(tiny_dataset: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(tiny_dataset)], stdout=subprocess.PIPE, text=True, check=False, timeout=60
    )
    assert run.returncode == -signal.SIGKILL
    (worker,) = map(int, run.stdout.split())
    deadline = time.monotonic() + 10
    while alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(worker)


@pytest.mark.parametrize("kind", [RuntimeError, ValueError, OSError, MemoryError])
def test_what_goes_wrong_with_a_workers_batch_is_raised(
    kind: type[Exception], tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as memory that this process lacks: nobody waits for a batch that does not come."""

    def fail(*_: object) -> Batch:
        raise kind("not enough memory")

    monkeypatch.setattr("graspnext.data.loader.collate", fail)
    before = children()
    batches = loader(tiny_dataset, workers=1).batches(0)
    with pytest.raises(kind, match="not enough memory"):
        next(iter(batches))
    assert children() <= before


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_mistakes_are_named(tmp_path: Path, tiny_dataset: Path) -> None:
    dataset = Dataset(tiny_dataset)
    with pytest.raises(UnknownNameError, match="trian"):
        TrainLoader(dataset, "trian", AUGMENTATION, LoaderConfig(), 0)
    with pytest.raises(ConfigError, match="seed"):
        TrainLoader(dataset, "train", AUGMENTATION, LoaderConfig(), -1)
    for field, value in (("batch_size", 0), ("workers", -1), ("prefetch", 0)):
        with pytest.raises(ConfigError, match=field):
            LoaderConfig(**{field: value})
    for rank, world, field in ((0, 0, "world"), (2, 2, "rank"), (-1, 2, "rank")):
        with pytest.raises(ConfigError, match=field):
            Shard(rank, world)
    for batch_size, world in ((4, 3), (2, 4), (1, 2)):
        with pytest.raises(ConfigError, match=f"batch_size.*{batch_size}.*multiple of the {world}"):
            loader(tiny_dataset, batch_size=batch_size, shard=Shard(0, world))
    root = Path(shutil.copytree(tiny_dataset, tmp_path / "copy"))
    kept = [line for line in (root / "manifest.jsonl").read_text().splitlines() if '"novel"' in line]
    (root / "manifest.jsonl").write_text("\n".join(kept))
    with pytest.raises(DatasetError, match="'train' is empty"):
        TrainLoader(Dataset(root), "train", AUGMENTATION, LoaderConfig(), 0)
