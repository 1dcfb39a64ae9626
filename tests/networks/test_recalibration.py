"""Running statistics that are recomputed are those that torch measures itself."""

import numpy as np
import pytest
import torch
from refused import refused
from torch import nn

from novelweights.networks.module_network import module_network
from novelweights.networks.recalibration import EXAMPLES, examples_for, recalibrated, statistics_of
from novelweights.networks.symmetry_of import layout_of


def normalized() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(27, 4),
        nn.BatchNorm1d(4),
        nn.Linear(4, 3),
    )


def test_statistics_are_those_of_a_pass_over_the_examples_in_training_mode(rng):
    module, x = normalized(), torch.randn(40, 1, 5, 5, generator=rng)
    layout, names = layout_of(module), statistics_of(module)
    network = module_network(module, layout, x)
    weights = torch.rand(3, layout.size, generator=rng)
    before = {name: value.clone() for name, value in network.held.state_dict().items()}
    found = recalibrated(network, weights, x.flatten(1), names)
    for row, given in zip(found, weights, strict=True):
        module.load_state_dict(layout.unflatten(given), strict=False)
        module.eval()
        for layer in (module[1], module[6]):
            layer.train()
            layer.momentum = 1.0
        module(x)
        state = layout.unflatten(row)
        for name, value in module.state_dict().items():
            if name in state:
                torch.testing.assert_close(state[name], value, rtol=1e-4, atol=1e-5)
    assert torch.equal(found[:, layout.is_learned], weights[:, layout.is_learned])
    assert all(torch.equal(v, before[n]) for n, v in network.held.state_dict().items())


def test_what_the_columns_held_does_not_count(rng):
    module, x = normalized(), torch.randn(30, 1, 5, 5, generator=rng)
    layout, names = layout_of(module), statistics_of(module)
    network = module_network(module, layout, x)
    weights = torch.rand(2, layout.size, generator=rng)
    wild = torch.where(layout.is_learned, weights, 1e6 * torch.rand(weights.shape))
    one, other = (recalibrated(network, w, x.flatten(1), names) for w in (weights, wild))
    assert torch.equal(one, other)


def test_modules_of_which_nothing_is_known_are_refused(rng):
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("running_mean", torch.zeros(3))
            self.out = nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(x - self.running_mean)

    network = module_network(Own(), layout_of(Own()), torch.zeros(2, 3))
    weights = torch.zeros(1, network.layout.size)
    with refused("unsuited", "running_mean"):
        recalibrated(network, weights, torch.zeros(2, 3), ["running_mean"])


@pytest.mark.parametrize(("n", "largest", "k"), [(7, 1, 7), (10**5, 1, EXAMPLES), (100, 2**40, 2)])
def test_examples_are_spread_over_all(n, largest, k):
    rows = examples_for(n, largest)
    assert len(rows) == k
    assert (rows[0], rows[-1]) == (0, n - 1)
    assert (np.diff(rows) > 0).all()
