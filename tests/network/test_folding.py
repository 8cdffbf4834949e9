import torch

from graspnext.network.blocks.conv import StandardisedConv2d
from graspnext.network.build import build_network
from graspnext.network.folding import fold
from graspnext.network.presets import TINY


def test_a_folded_network_is_plain_and_computes_the_same() -> None:
    torch.manual_seed(0)
    network = build_network(TINY).eval().double()
    with torch.no_grad():
        for parameter in network.parameters():  # gains that start at 0 hide what is behind them
            parameter.add_(0.05 * torch.randn_like(parameter))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded = fold(network)
    assert any(isinstance(module, StandardisedConv2d) for module in network.modules())
    assert not any(isinstance(module, StandardisedConv2d) for module in folded.modules())
    assert not folded.training
    image = torch.rand(1, 3, 96, 128, dtype=torch.float64)
    with torch.no_grad():
        for level, other in zip(network.levels(image), folded.levels(image), strict=True):
            assert torch.allclose(level, other, rtol=1e-12, atol=1e-12)
        for want, found in zip(network(image.float().double()), folded(image.float().double()), strict=True):
            assert torch.allclose(want, found, rtol=1e-9, atol=1e-9)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    names = {name for name, _ in network.named_modules()}
    assert names == {name for name, _ in folded.named_modules()}
