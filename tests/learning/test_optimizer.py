"""The update rules against their published form in numpy, and the average against its recurrence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from graspnext.learning.optimizer import (
    WeightAverage,
    build_optimizer,
    optimizer_tensors,
    restore_optimizer,
    set_learning_rate,
)
from graspnext.learning.recipes import OptimizerConfig

RULES = (
    OptimizerConfig(lr=0.05),
    OptimizerConfig(kind="sgd", lr=0.05, weight_decay=1e-4),
    OptimizerConfig(kind="sgd", lr=0.05, momentum=0.0),
)


def named(network: nn.Module) -> dict[str, nn.Parameter]:
    return dict(network.named_parameters())


def make_network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(16, 2))
    return network.to(memory_format=torch.channels_last)


def test_update_is_adamw_and_spares_norms_and_biases() -> None:
    config = OptimizerConfig(lr=0.1, weight_decay=0.3, momentum=0.8, beta2=0.9)
    network = make_network()
    optimizer = build_optimizer(named(network), config)
    rng = np.random.default_rng(1)
    expected = {n: p.detach().double().numpy().copy() for n, p in network.named_parameters()}
    mean = {n: np.zeros_like(v) for n, v in expected.items()}
    square = {n: np.zeros_like(v) for n, v in expected.items()}
    for step in range(1, 4):
        rate = 0.1 / step
        for name, parameter in network.named_parameters():
            gradient = rng.normal(size=parameter.shape)
            parameter.grad = torch.empty_like(parameter).copy_(torch.from_numpy(gradient))
            mean[name] = 0.8 * mean[name] + 0.2 * gradient
            square[name] = 0.9 * square[name] + 0.1 * gradient**2
            if parameter.ndim > 1:
                expected[name] *= 1 - rate * 0.3
            corrected = np.sqrt(square[name] / (1 - 0.9**step)) + 1e-8
            expected[name] -= rate * mean[name] / (1 - 0.8**step) / corrected
        set_learning_rate(optimizer, rate)
        optimizer.step()
    for name, parameter in network.named_parameters():
        np.testing.assert_allclose(parameter.detach().numpy(), expected[name], rtol=2e-5, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("momentum", [0.8, 0.0])
def test_update_is_sgd_and_spares_norms_and_biases(momentum: float) -> None:
    config = OptimizerConfig(kind="sgd", lr=0.1, weight_decay=0.3, momentum=momentum)
    network = make_network()
    optimizer = build_optimizer(named(network), config)
    rng = np.random.default_rng(1)
    expected = {n: p.detach().double().numpy().copy() for n, p in network.named_parameters()}
    velocity = {n: np.zeros_like(v) for n, v in expected.items()}
    for step in range(1, 4):
        rate = 0.1 / step
        for name, parameter in network.named_parameters():
            gradient = rng.normal(size=parameter.shape)
            parameter.grad = torch.empty_like(parameter).copy_(torch.from_numpy(gradient))
            decay = 0.3 * expected[name] if parameter.ndim > 1 else 0.0
            velocity[name] = momentum * velocity[name] + gradient + decay
            expected[name] -= rate * velocity[name]
        set_learning_rate(optimizer, rate)
        optimizer.step()
    for name, parameter in network.named_parameters():
        np.testing.assert_allclose(parameter.detach().numpy(), expected[name], rtol=2e-5, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("config", RULES, ids=lambda config: f"{config.kind}-{config.momentum}")
def test_restored_optimizer_continues_exactly(config: OptimizerConfig) -> None:
    def advance(network: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for parameter in network.parameters():
            # Laid out as backward() lays it out: as its parameter.
            parameter.grad = torch.empty_like(parameter).copy_(torch.randn(parameter.shape, generator=generator))
        optimizer.step()

    first = make_network()
    optimizer = build_optimizer(named(first), config)
    advance(first, optimizer, 1)
    saved = {name: value.clone() for name, value in optimizer_tensors(named(first), optimizer).items()}
    assert bool(saved) == (config.kind == "adamw" or config.momentum > 0)
    second = make_network(seed=9)
    second.load_state_dict(first.state_dict())
    other = build_optimizer(named(second), config)
    restore_optimizer(named(second), other, saved)
    advance(first, optimizer, 2)
    advance(second, other, 2)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize("config", RULES, ids=lambda config: f"{config.kind}-{config.momentum}")
def test_found_inf_skips_the_update_and_leaves_the_moments(config: OptimizerConfig) -> None:
    network = make_network()
    optimizer = build_optimizer(named(network), config)
    for value, bad in ((1.0, 0.0), (torch.nan, 1.0)):
        optimizer.found_inf = torch.tensor(bad)  # type: ignore[attr-defined]
        for parameter in network.parameters():
            parameter.grad = torch.full_like(parameter, value)
        before = [p.detach().clone() for p in network.parameters()]
        moments = {name: value.clone() for name, value in optimizer_tensors(named(network), optimizer).items()}
        optimizer.step()
        same = [torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True)]
        assert all(same) if bad else not any(same)
    after = optimizer_tensors(named(network), optimizer)
    assert all(torch.equal(value, after[name]) for name, value in moments.items())


def test_frozen_weights_are_left_out() -> None:
    network = make_network()
    parameters = named(network)
    parameters["0.weight"].requires_grad_(False)
    optimizer = build_optimizer(parameters, OptimizerConfig())
    held = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(held) == len(parameters) - 1 and all(p is not parameters["0.weight"] for p in held)


def test_average_follows_its_recurrence() -> None:
    network = nn.BatchNorm1d(2)
    average = WeightAverage(network, decay=0.5)
    expected = np.ones(2)
    for step in range(12):
        with torch.no_grad():
            network.weight += torch.tensor([1.0, -2.0])
            network.num_batches_tracked += 1
        average.update(network, step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * network.weight.detach().numpy()
    np.testing.assert_allclose(average.tensors["weight"].numpy(), expected, rtol=1e-6)
    assert average.tensors["num_batches_tracked"] == 12  # a counter is not averaged
    network.weight.data.zero_()
    assert average.tensors["weight"].abs().min() > 0  # its own memory


def test_no_averaging_is_the_weights_themselves() -> None:
    network = make_network()
    average = WeightAverage(network, decay=0.0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    average.update(network, 0)
    state = network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in average.tensors.items())


def test_a_network_wears_the_average_and_gets_its_own_weights_back() -> None:
    network = make_network()
    average = WeightAverage(network, decay=0.9)
    start = {name: value.clone() for name, value in average.tensors.items()}
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    own = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(RuntimeError, match="out of paper"), average.worn_by(network):
        assert all(torch.equal(value, start[name]) for name, value in network.state_dict().items())
        raise RuntimeError("out of paper")
    assert all(torch.equal(value, own[name]) for name, value in network.state_dict().items())
    assert all(torch.equal(value, start[name]) for name, value in average.tensors.items())
