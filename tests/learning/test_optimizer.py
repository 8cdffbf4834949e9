"""AdamW against its published update in numpy, and the average against its recurrence."""

from __future__ import annotations

import numpy as np
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


def make_network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(16, 2))
    return network.to(memory_format=torch.channels_last)


def test_update_is_adamw_and_spares_norms_and_biases() -> None:
    config = OptimizerConfig(lr=0.1, weight_decay=0.3, momentum=0.8, beta2=0.9)
    network = make_network()
    optimizer = build_optimizer(network, config)
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


def test_restored_optimizer_continues_exactly() -> None:
    def advance(network: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for parameter in network.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()

    config = OptimizerConfig(lr=0.05)
    first = make_network()
    optimizer = build_optimizer(first, config)
    advance(first, optimizer, 1)
    saved = {name: value.clone() for name, value in optimizer_tensors(first, optimizer).items()}
    second = make_network(seed=9)
    second.load_state_dict(first.state_dict())
    other = build_optimizer(second, config)
    restore_optimizer(second, other, saved)
    advance(first, optimizer, 2)
    advance(second, other, 2)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


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
