"""One update: parts of a batch, balanced losses, bad values noticed late, and nothing that waits for a device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from graspnext.data.augmentation import AugmentationConfig
from graspnext.data.loader import Batch, LoaderConfig, TrainLoader
from graspnext.data.reader import Dataset
from graspnext.errors import RunError
from graspnext.learning.balance import LIMIT, Balance
from graspnext.learning.checkpoint import load_checkpoint, save_checkpoint
from graspnext.learning.distribution import Processes
from graspnext.learning.failure import load_failure
from graspnext.learning.recipes import OptimizerConfig, Recipe
from graspnext.learning.run import read_log
from graspnext.learning.train import start_network, train
from graspnext.learning.update import LOSSES, Learner, compute_losses, sample_generators, split
from graspnext.network.presets import find_preset

TINY = find_preset("tiny")
RECIPE = Recipe(
    steps=50,
    device="cpu",
    precision="fp32",
    overlays_every=0,
    augmentation=AugmentationConfig(size=64),
    loader=LoaderConfig(batch_size=4, workers=0),
)


def make_learner(recipe: Recipe, out: Path, *, late: int = 0) -> Learner:
    network = start_network(TINY, recipe, None).to(memory_format=torch.channels_last)
    return Learner(network.train(), recipe, out=out, processes=Processes(), late=late)


def batches(data: Path, recipe: Recipe) -> Iterator[Batch]:
    loader = TrainLoader(Dataset(data), "train", recipe.augmentation, recipe.loader, recipe.seed)
    return loader.batches(0)


def test_a_batch_splits_into_consecutive_parts_none_of_them_empty() -> None:
    batch = Batch(torch.arange(5 * 3).view(5, 3, 1, 1), list("abcde"), [10, 11, 12, 13, 14])  # type: ignore[arg-type]
    for parts, sizes in ((1, [5]), (2, [2, 3]), (3, [1, 2, 2]), (5, [1] * 5), (9, [1] * 5)):
        pieces = split(batch, parts)
        assert [len(piece.numbers) for piece in pieces] == sizes
        assert [n for piece in pieces for n in piece.numbers] == batch.numbers
        assert "".join(name for piece in pieces for name in piece.targets) == "abcde"  # type: ignore[misc]
        assert torch.equal(torch.cat([piece.images for piece in pieces]), batch.images)


def test_random_numbers_follow_from_seed_and_sample() -> None:
    """Also the upper half of a seed counts: torch's CPU generator alone would drop it."""

    def draw(numbers: list[int], seed: int) -> list[float]:
        return [torch.rand((), generator=g).item() for g in sample_generators(numbers, seed, torch.device("cpu"))]

    assert draw([3, 4, 5], 1)[1:] == draw([4, 5], 1)
    drawn = draw([0, 1, 2], 0) + draw([0, 1, 2], 1) + draw([2**32], 0)
    assert len(set(drawn)) == len(drawn)


def test_losses_of_a_batch_are_the_means_of_those_of_its_parts(tiny_dataset: Path) -> None:
    recipe = RECIPE
    batch = next(batches(tiny_dataset, recipe))
    network = start_network(TINY, recipe, None).train()
    whole = compute_losses(network, batch, recipe=recipe)
    assert tuple(whole) == LOSSES
    parts = [compute_losses(network, part, recipe=recipe) for part in split(batch, 3)]  # 1, 1 and 2 images
    for name in LOSSES:
        mean = (parts[0][name] + parts[1][name] + 2 * parts[2][name]) / 4
        assert mean.item() == pytest.approx(whole[name].item(), rel=1e-4), name


def test_balance_starts_as_the_plain_sum_and_finds_its_rest() -> None:
    losses = {"a": torch.tensor(4.0), "b": torch.tensor(0.1), "c": torch.tensor(0.0)}
    balance = Balance(tuple(losses))
    assert balance(losses).item() == pytest.approx(4.1)
    optimizer = torch.optim.SGD(balance.parameters(), lr=0.5)
    for _ in range(2000):
        optimizer.zero_grad()
        balance(losses).backward()
        optimizer.step()
    factors = balance.factors()
    assert factors["a"] == pytest.approx(0.5 / 4, rel=1e-3)  # there every weighted loss is 1/2
    assert factors["b"] == pytest.approx(0.5 / 0.1, rel=1e-3)
    assert factors["c"] <= torch.e**LIMIT  # a loss without labels runs against the stop
    halves = [{name: value * share for name, value in losses.items()} for share in (0.5, 1.5)]
    mean = (balance(halves[0]) + balance(halves[1])) / 2
    assert mean.item() == pytest.approx(balance(losses).item(), rel=1e-6)


def test_learnt_factors_move_resume_exactly_and_leave_the_logged_losses_alone(
    tiny_dataset: Path, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, balance="uncertainty")
    data = [batch for batch, _ in zip(batches(tiny_dataset, recipe), range(6), strict=False)]
    first = make_learner(recipe, tmp_path)
    before = compute_losses(first.network, data[0], recipe=recipe)
    update = first.learn(data[0], 0)
    assert first.balance is not None
    assert float(update.losses["total"]) == pytest.approx(sum(value.item() for value in before.values()), rel=1e-5)
    assert all(float(update.losses[name]) == pytest.approx(before[name].item(), rel=1e-5) for name in LOSSES)
    for step in (1, 2):
        first.learn(data[step], step)
    assert all(value != 1 for value in first.balance.factors().values())
    save_checkpoint(tmp_path, first.checkpoint(3, 1.0))
    second = make_learner(replace(recipe, seed=5), tmp_path)
    second.recipe = recipe
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint is not None
    second.restore(checkpoint)
    for step in (3, 4, 5):
        ours, theirs = first.learn(data[step], step), second.learn(data[step], step)
        assert {k: float(v) for k, v in ours.losses.items()} == {k: float(v) for k, v in theirs.losses.items()}
    assert second.balance is not None and torch.equal(first.balance.raw, second.balance.raw)


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
@pytest.mark.parametrize("late", [0, 1, 2])
def test_bad_values_noticed_late_leave_the_weights_of_before(
    kind: str, late: int, tiny_dataset: Path, tmp_path: Path
) -> None:
    """The path of a GPU, taken on a CPU: the host looks `late` steps after the device has stopped updating."""
    optimizer = OptimizerConfig(kind=kind, lr=1e-3, warmup_fraction=0)  # type: ignore[arg-type]
    recipe = replace(RECIPE, optimizer=optimizer)
    learner = make_learner(recipe, tmp_path, late=late)
    data = [batch for batch, _ in zip(batches(tiny_dataset, recipe), range(8), strict=False)]
    for step in range(3):
        learner.learn(data[step], step)
    moments = {name: value.clone() for name, value in learner.checkpoint(3, 0).optimizer.items()}
    with torch.no_grad():
        next(learner.network.parameters()).fill_(torch.inf)
    before = {name: value.clone() for name, value in learner.network.state_dict().items()}
    for step in range(3, 3 + late):
        learner.learn(data[step], step)
    with pytest.raises(RunError, match=r"is (nan|inf).* at step 3; the batch is in failure.safetensors"):
        learner.learn(data[3 + late], 3 + late)
    after = learner.network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    kept = learner.checkpoint(3, 0).optimizer
    assert all(torch.equal(value, kept[name]) for name, value in moments.items())

    failure = load_failure(tmp_path)
    assert failure.step == 3 and failure.batch.numbers == data[3].numbers
    assert torch.equal(failure.batch.images, data[3].images)
    network = start_network(TINY, recipe, None).train()
    network.load_state_dict(failure.weights)
    again = compute_losses(network, failure.batch, recipe=recipe)
    once = compute_losses(learner.network, data[3], recipe=recipe)
    assert not all(bool(value.isfinite()) for value in again.values())
    for name in LOSSES:
        torch.testing.assert_close(again[name], once[name], equal_nan=True, rtol=0, atol=0)


def test_settling_looks_at_once(tiny_dataset: Path, tmp_path: Path) -> None:
    learner = make_learner(RECIPE, tmp_path, late=1)
    data = batches(tiny_dataset, RECIPE)
    learner.learn(next(data), 0)
    learner.guard.settle()
    with torch.no_grad():
        next(learner.network.parameters()).fill_(torch.nan)
    learner.learn(next(data), 1)
    with pytest.raises(RunError, match="at step 1"):
        learner.guard.settle()


class _NoWaiting(TorchDispatchMode):
    """Notes every operation for which a host would wait for its GPU."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "item", "equal", "unique", "_unique2")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.name().removeprefix("aten::").partition(".")[0]
        masks = name in {"index", "index_put", "index_put_", "_index_put_impl_"} and any(
            isinstance(index, Tensor) and index.dtype == torch.bool for index in args[1] if index is not None
        )
        if name in self.WAITING or masks:
            self.found.append(name)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("balance", ["fixed", "uncertainty"])
@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_a_step_waits_for_nothing(kind: str, balance: str, tiny_dataset: Path, tmp_path: Path) -> None:
    optimizer = OptimizerConfig(kind=kind)  # type: ignore[arg-type]
    recipe = replace(RECIPE, optimizer=optimizer, balance=balance, accumulate=2)  # type: ignore[arg-type]
    learner = make_learner(recipe, tmp_path, late=2)  # what is looked at later waits for nothing, but shows here too
    data = batches(tiny_dataset, recipe)
    learner.learn(next(data), 0)  # the optimizer makes its state
    batch = next(data)
    with _NoWaiting() as mode:
        learner.learn(batch, 1)
    assert mode.found == []
    assert _notes(lambda: torch.ones(2).sum().item()) and _notes(lambda: torch.ones(2)[torch.ones(2) > 0])


def _notes(action: Any) -> list[str]:
    with _NoWaiting() as mode:
        action()
    return mode.found


@pytest.mark.gpu
def test_a_step_on_a_gpu_waits_for_nothing(tiny_dataset: Path, tmp_path: Path) -> None:
    """As above, told by the driver: also copies that wait are errors there."""
    from graspnext.learning.feed import feed

    device = torch.device("cuda")
    network = start_network(TINY, RECIPE, None).to(device).to(memory_format=torch.channels_last).train()
    learner = Learner(
        network, replace(RECIPE, precision="bf16"), out=tmp_path, processes=Processes(device=device), late=1
    )
    data = feed(batches(tiny_dataset, RECIPE), device)
    for step in range(3):
        learner.learn(next(data), step)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(3, 6):
            learner.learn(next(data), step)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    learner.guard.settle()


@pytest.mark.parametrize("parts", [2, 4])
def test_parts_of_a_batch_learn_what_the_whole_does(parts: int, tiny_dataset: Path, tmp_path: Path) -> None:
    """In float64: in float32 steps agree to 4e-6, but for those where rounding tips a choice of proposals (5e-5)."""
    logs = []
    for accumulate in (1, parts):
        out = tmp_path / str(accumulate)
        recipe = replace(RECIPE, steps=12, precision="fp64", log_every=1, accumulate=accumulate)
        train(TINY, data=tiny_dataset, out=out, recipe=recipe, resume=False)
        logs.append([line["losses"] for line in read_log(out)])
    assert len(logs[0]) == 12
    for whole, split_up in zip(*logs, strict=True):
        assert split_up == pytest.approx(whole, rel=1e-6)
    assert len({line["total"] for line in logs[0]}) == 12
