import pytest
import torch

from novelweights.networks.mlp import DIGITS_DEEP_MLP, DeepMLP, OneHiddenMLP


def test_examples_may_be_each_checkpoints_own(rng):
    network = DeepMLP(5, (4, 6, 3), 2, "tanh")
    weights = torch.stack([network.initial(rng) for _ in range(3)])
    x = torch.randn(3, 7, 5, generator=rng)
    own = network.forward(weights, x)
    for i in range(3):
        alone = network.forward(weights[i : i + 1].double(), x[i].double())[0]
        assert torch.allclose(own[i].double(), alone, atol=1e-6)  # 20 sums of products below 1


def test_initial_weights_are_within_the_fan_in(rng):
    state = DIGITS_DEEP_MLP.layout.unflatten(DIGITS_DEEP_MLP.initial(rng))
    assert DIGITS_DEEP_MLP.layout.size == 3466
    assert DIGITS_DEEP_MLP.name == "mlp-64-32-32-10-relu"
    for name, value in state.items():
        bound = (64 if name.startswith("layers.0") else 32) ** -0.5
        assert value.abs().max() <= bound
        assert value.abs().max() > 0.9 * bound


def test_other_networks_are_refused():
    with pytest.raises(ValueError, match="two hidden layers"):
        DeepMLP(5, (4,), 2)
    for make in (lambda: DeepMLP(5, (4, 4), 2, "gelu"), lambda: OneHiddenMLP(5, 4, 2, "gelu")):
        with pytest.raises(ValueError, match="gelu"):
            make()
