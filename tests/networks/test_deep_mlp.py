import pytest
import torch

from novelweights.networks.mlp import DIGITS_DEEP_MLP, DeepMLP
from novelweights.networks.symmetry_of import layout_of, symmetry_of
from novelweights.weights.symmetry import random_transform

NETWORK = DeepMLP(5, (4, 6, 3), 2, "tanh")


def test_forward_equals_the_module(rng):
    weights = torch.stack([NETWORK.initial(rng) for _ in range(3)])
    x = torch.randn(7, 5, generator=rng)
    together = NETWORK.forward(weights, x)
    own = NETWORK.forward(weights, x.expand(3, 7, 5))
    for row, logits in zip(weights, together, strict=True):
        module = NETWORK.module()
        module.load_state_dict(NETWORK.layout.unflatten(row))
        assert torch.allclose(module(x), logits, atol=1e-6)
    assert torch.allclose(own, together, atol=1e-6)


def test_initial_weights_are_within_the_fan_in(rng):
    state = DIGITS_DEEP_MLP.layout.unflatten(DIGITS_DEEP_MLP.initial(rng))
    assert DIGITS_DEEP_MLP.layout.size == 3466
    assert DIGITS_DEEP_MLP.name == "mlp-64-32-32-10-relu"
    for name, value in state.items():
        bound = (64 if name.startswith("layers.0") else 32) ** -0.5
        assert value.abs().max() <= bound
        assert value.abs().max() > 0.9 * bound


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_moves_keep_the_function(activation, rng):
    network = DeepMLP(5, (4, 6, 3), 2, activation)
    weights = torch.stack([network.initial(rng) for _ in range(5)])
    x = torch.randn(7, 5, generator=rng)
    moved = random_transform(weights, network.layout, network.symmetry, rng=rng)
    assert torch.allclose(network.forward(weights, x), network.forward(moved, x), atol=1e-5)
    assert not torch.allclose(weights, moved)
    derived = symmetry_of(network.module(), x)
    assert layout_of(network.module()) == network.layout
    assert len(derived.sizes(network.layout)) == 3
    assert len(derived.sign_groups) == len(network.symmetry.sign_groups)


def test_other_networks_are_refused():
    with pytest.raises(ValueError, match="two hidden layers"):
        DeepMLP(5, (4,), 2)
    with pytest.raises(ValueError, match="gelu"):
        DeepMLP(5, (4, 4), 2, "gelu")
