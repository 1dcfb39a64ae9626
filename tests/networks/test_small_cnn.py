import numba
import pytest
import torch

from novelweights.networks import small_cnn
from novelweights.networks.small_cnn import COLOR_CNN, COLOR_GELU_CNN, GRAY_CNN, SmallCNN


def some(network, n, rng, examples=40):
    weights = torch.stack([network.initial(rng) for _ in range(n)])
    return weights, torch.randn(examples, network.inputs, generator=rng)


def test_sizes_and_names_are_the_published_ones():
    assert GRAY_CNN.layout.size == 2464
    assert COLOR_CNN.layout.size == COLOR_GELU_CNN.layout.size == 2864
    assert GRAY_CNN.name == "cnn-1x28x28-8-6-4-20-10-tanh"


def test_forward_does_not_depend_on_what_is_beside(rng, monkeypatch):
    weights, x = some(GRAY_CNN, 3, rng, 50)
    together = GRAY_CNN.forward(weights, x)
    assert torch.equal(GRAY_CNN.forward(weights[1:2], x)[0], together[1])
    assert torch.equal(GRAY_CNN.forward(weights, x[7:8])[:, 0], together[:, 7])
    monkeypatch.setattr(small_cnn, "IMAGES_AT_ONCE", 16)
    monkeypatch.setattr(numba, "get_num_threads", lambda: 3)
    assert torch.equal(GRAY_CNN.forward(weights, x), together)


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


def test_impossible_networks_are_refused():
    for wrong in ({"activation": "relu"}, {"initialization": "normal"}, {"classes": 9}):
        with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
            SmallCNN(**wrong)
