import numba
import pytest
import torch

from novelweights.networks import small_cnn
from novelweights.networks.mlp import MNIST_MLP
from novelweights.networks.network import TargetNetwork
from novelweights.networks.small_cnn import COLOR_CNN, COLOR_GELU_CNN, GRAY_CNN, SmallCNN
from novelweights.weights.symmetry import random_transform, transform


def by_modules(network, weights, x):
    module, outputs = network.module(), []
    for row in weights:
        module.load_state_dict(network.layout.unflatten(row))
        outputs.append(module(x).detach())
    return torch.stack(outputs)


def some(network, n, rng, examples=40):
    weights = torch.stack([network.initial(rng) for _ in range(n)])
    return weights, torch.randn(examples, network.inputs, generator=rng)


NETWORKS = [
    pytest.param(GRAY_CNN, id="gray-tanh-uniform"),
    pytest.param(SmallCNN(1, "gelu", "kaiming"), id="gray-gelu-kaiming"),
    pytest.param(COLOR_CNN, id="color-tanh-kaiming"),
    pytest.param(COLOR_GELU_CNN, id="color-gelu-kaiming"),
]


def test_sizes_and_names_are_the_published_ones():
    assert GRAY_CNN.layout.size == 2464
    assert COLOR_CNN.layout.size == COLOR_GELU_CNN.layout.size == 2864
    assert GRAY_CNN.name == "cnn-1x28x28-8-6-4-20-10-tanh"
    assert [list(p.shape) for p in GRAY_CNN.module().parameters()] == [
        list(shape) for _, shape in GRAY_CNN.layout.shapes
    ]
    assert list(GRAY_CNN.module().state_dict()) == [name for name, _ in GRAY_CNN.layout.shapes]
    assert isinstance(GRAY_CNN, TargetNetwork)
    assert isinstance(MNIST_MLP, TargetNetwork)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("examples", [1, 16, 45])
def test_forward_equals_one_module_at_a_time(network, examples, rng, monkeypatch):
    monkeypatch.setattr(small_cnn, "IMAGES_AT_ONCE", 32)
    weights, x = some(network, 4, rng, examples)
    expected = by_modules(network, weights, x)
    logits = network.forward(weights, x)
    assert torch.allclose(logits, expected, rtol=1e-5, atol=2e-6 * expected.abs().max().item())


def test_forward_does_not_depend_on_what_is_beside(rng, monkeypatch):
    weights, x = some(GRAY_CNN, 3, rng, 50)
    together = GRAY_CNN.forward(weights, x)
    assert torch.equal(GRAY_CNN.forward(weights[1:2], x)[0], together[1])
    assert torch.equal(GRAY_CNN.forward(weights, x[7:8])[:, 0], together[:, 7])
    monkeypatch.setattr(small_cnn, "IMAGES_AT_ONCE", 16)
    monkeypatch.setattr(numba, "get_num_threads", lambda: 3)
    assert torch.equal(GRAY_CNN.forward(weights, x), together)
    assert GRAY_CNN.forward(weights[:0], x).shape == (0, 50, 10)
    assert GRAY_CNN.forward(weights, x[:0]).shape == (3, 0, 10)


@pytest.mark.parametrize("network", NETWORKS)
def test_random_transforms_keep_the_outputs(network, rng):
    weights, x = some(network, 3, rng)
    weights *= 1 if network.initialization == "kaiming" else 0.2  # where tanh is not flat
    moved = random_transform(weights, network.layout, network.symmetry, rng=rng)
    assert (moved - weights).abs().amax(dim=1).min() > 0.1
    expected = by_modules(network, weights, x)
    assert torch.allclose(by_modules(network, moved, x), expected, atol=1e-4)


@pytest.mark.parametrize("network", NETWORKS)
def test_only_signs_that_keep_the_outputs_are_in_the_table(network, rng):
    weights, x = some(network, 3, rng)
    weights *= 1 if network.initialization == "kaiming" else 0.2
    expected = by_modules(network, weights, x)
    sizes = network.symmetry.sizes(network.layout)
    assert sizes == {"c1": 8, "c2": 6, "c3": 4, "d1": 20}
    for group, size in sizes.items():
        same = torch.arange(size).expand(3, size)
        signs = torch.ones(3, size)
        signs[:, 0] = -1
        flipped = transform(
            weights, network.layout, network.symmetry, {group: same}, {group: signs}
        )
        difference = (by_modules(network, flipped, x) - expected).abs().max()
        if group in network.symmetry.sign_groups:
            assert difference < 1e-4
        else:
            assert difference > 1e-2
    assert network.symmetry.sign_groups == ({"c3", "d1"} if network.activation == "tanh" else set())


def test_a_channel_moved_in_one_parameter_only_changes_the_outputs(rng):
    weights, x = some(COLOR_CNN, 2, rng)
    expected = by_modules(COLOR_CNN, weights, x)
    for name in ("conv2.weight", "dense1.weight", "dense2.weight"):
        moved = weights.clone()
        where = COLOR_CNN.layout.slices[name]
        only = COLOR_CNN.layout.unflatten(weights)[name]
        moved[:, where] = only.roll(9 if name == "dense1.weight" else 1, dims=2).flatten(1)
        assert (by_modules(COLOR_CNN, moved, x) - expected).abs().max() > 1e-2


def test_initializations_have_the_published_ranges(rng):
    uniform = GRAY_CNN.layout.unflatten(GRAY_CNN.initial(rng))
    kaiming = COLOR_CNN.layout.unflatten(COLOR_CNN.initial(rng))
    for state in (uniform, kaiming):
        for name, value in state.items():
            if name.endswith("bias"):
                assert (value == 0.01).all()
    for name in ("conv1", "conv2", "conv3", "dense1", "dense2"):
        value = uniform[f"{name}.weight"]
        assert value.min() >= 0
        assert value.max() < 1
        assert abs(value.mean() - 0.5) < 0.1
        by_torch = torch.nn.init.kaiming_uniform_(
            torch.empty(100, *kaiming[f"{name}.weight"].shape[1:])
        )
        own = kaiming[f"{name}.weight"]
        assert own.abs().max() <= by_torch.abs().max() * 1.001
        assert own.abs().max() > 0.9 * by_torch.abs().max()
    assert torch.equal(
        GRAY_CNN.initial(torch.Generator().manual_seed(3)),
        GRAY_CNN.initial(torch.Generator().manual_seed(3)),
    )


def test_impossible_networks_are_refused():
    for wrong in ({"activation": "relu"}, {"initialization": "normal"}, {"classes": 9}):
        with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
            SmallCNN(**wrong)
