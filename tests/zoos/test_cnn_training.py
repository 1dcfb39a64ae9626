from dataclasses import replace

import numba
import numpy as np
import pytest
import torch
from refused import refused

from benchmarks.plain_training import train_one
from novelweights.data.images import ImageData, load_data
from novelweights.networks.small_cnn import COLOR_CNN, COLOR_GELU_CNN, GRAY_CNN, SmallCNN
from novelweights.tasks.classification import loss_and_accuracy
from novelweights.zoos import cnn_training
from novelweights.zoos.cnn_kernel import Run, Steps, adam_step, train_epoch
from novelweights.zoos.cnn_training import AdamRecipe, train_epochs


def image_data(network, n=63, seed=0):
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(n, network.inputs, generator=rng)
    y = torch.randint(0, 10, (n,), generator=rng)
    return ImageData("tiny", "random", "", x, y, x[:20], y[:20], (network.channels, 28, 28))


NETWORKS = [
    pytest.param(GRAY_CNN, 10, id="gray-tanh"),
    pytest.param(SmallCNN(1, "gelu", "kaiming"), 1, id="gray-gelu"),
    pytest.param(SmallCNN(1, "tanh", "kaiming"), 21, id="gray-tanh-kaiming"),  # 16 and 5 images
    pytest.param(COLOR_CNN, 10, id="color-tanh"),
    pytest.param(COLOR_GELU_CNN, 7, id="color-gelu"),
]


def gradients(network, data, batch_size):
    """Of the mean loss of the first images: by the kernel, and by torch in float64."""
    weights = network.initial(torch.Generator().manual_seed(0))
    if network.initialization == "uniform":
        weights *= 0.2  # in float32 tanh is flat where these weights lead to
    run = Run(weights.numpy().copy(), *np.zeros((2, network.layout.size), np.float32))
    x, y = data.train_x.numpy(), data.train_y.numpy()
    is_gelu = network.activation == "gelu"
    train_epoch(x, y, np.arange(batch_size), run, 0, Steps(batch_size, 1e-3, 0.0), is_gelu)
    module = network.module()
    module.load_state_dict(network.layout.unflatten(weights))
    module.double()
    logits = module(data.train_x[:batch_size].double())
    torch.nn.functional.cross_entropy(logits, data.train_y[:batch_size]).backward()
    expected = {name: parameter.grad for name, parameter in module.named_parameters()}
    return network.layout.unflatten(torch.from_numpy(run.mean / np.float32(0.1))), expected


@pytest.mark.parametrize(("network", "batch_size"), NETWORKS)
def test_gradients_equal_those_of_torch(network, batch_size):
    found, expected = gradients(network, image_data(network), batch_size)
    for name, gradient in expected.items():
        assert (found[name] - gradient).norm() < 5e-5 * gradient.norm(), name


@pytest.mark.parametrize(("network", "batch_size"), NETWORKS)
@pytest.mark.parametrize(("weight_decay", "tolerance"), [(1e-2, 1e-4), (0.0, 0.02)])
def test_runs_equal_the_plain_loop(network, batch_size, weight_decay, tolerance):
    """Relative to the way from the start. Adam's first steps are as long for a gradient that is
    all rounding error as for others; weight decay adds something larger than that error."""
    if not weight_decay:  # behind the flat tanhs of the uniform one, all is rounding error
        network = replace(network, initialization="kaiming")
    data = image_data(network)
    recipe = AdamRecipe(2, batch_size, 1e-3, weight_decay)  # an incomplete last batch is dropped
    together = train_epochs(network, data, recipe, [3, 1], 1)[:, 0]
    alone = torch.stack([train_one(network, data, recipe, seed) for seed in (3, 1)])
    start = torch.stack([network.initial(torch.Generator().manual_seed(s)) for s in (3, 1)])
    assert (together - alone).norm() < tolerance * (alone - start).norm()
    assert (alone - start).norm() > 0.05


def test_of_equal_values_the_first_is_the_maximum_as_in_torch(monkeypatch):
    """Small integers, so that sums are exact and many values of a window are equal."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randint(0, 2, (10, 784), generator=rng).float()
    x[3] = 0
    x[4] = x[5]
    y = torch.tensor([0, 1, 2, 3, 4, 4, 6, 7, 8, 9])
    data = ImageData("ties", "random", "", x, y, x, y, (28, 28))
    state = GRAY_CNN.layout.unflatten(GRAY_CNN.initial(rng))
    state["conv1.weight"] = (4 * state["conv1.weight"]).floor() / 64
    start = GRAY_CNN.layout.flatten(state)
    monkeypatch.setattr(SmallCNN, "initial", lambda self, rng: start.clone())
    recipe = AdamRecipe(1, 10, 1e-3)
    found = train_epochs(GRAY_CNN, data, recipe, [0], 1)[0, 0]
    expected = train_one(GRAY_CNN, data, recipe, 0)
    # the first step of Adam is the sign of a gradient; another maximum would give other signs
    assert torch.allclose(found, expected, atol=1e-5)


def test_an_image_twice_in_a_batch_counts_twice():
    once = image_data(GRAY_CNN, 2)
    twice = replace(once, train_x=once.train_x.repeat(2, 1), train_y=once.train_y.repeat(2))
    assert torch.allclose(
        train_epochs(GRAY_CNN, once, AdamRecipe(3, 2, 1e-3), [0], 1),
        train_epochs(GRAY_CNN, twice, AdamRecipe(3, 4, 1e-3), [0], 1),
        atol=1e-6,
    )


def test_a_run_does_not_depend_on_its_neighbors_or_the_threads(monkeypatch):
    network, recipe = COLOR_GELU_CNN, AdamRecipe(2, 10, 1e-3, 1e-2)
    data = image_data(network)
    together = train_epochs(network, data, recipe, range(5), 2)
    monkeypatch.setattr(cnn_training, "RUNS_AT_ONCE", 2)
    assert torch.equal(train_epochs(network, data, recipe, range(5), 2), together)
    monkeypatch.setattr(numba, "get_num_threads", lambda: 3)
    assert torch.equal(
        train_epochs(network, data, recipe, list(range(5))[::-1], 2).flip(0), together
    )
    assert not torch.allclose(together[0], together[1], atol=0.01)


def test_kept_epochs_are_the_last_ones():
    data, told = image_data(GRAY_CNN), []
    recipe = AdamRecipe(4, 10, 1e-3)
    every = train_epochs(GRAY_CNN, data, recipe, [1, 2], 4, on_epoch=lambda *now: told.append(now))
    assert told == [(2, 8), (4, 8), (6, 8), (8, 8)]
    assert torch.equal(train_epochs(GRAY_CNN, data, recipe, [1, 2], 2), every[:, 2:])
    for epochs in (1, 3):
        short = train_epochs(GRAY_CNN, data, replace(recipe, epochs=epochs), [1, 2], 1)
        assert torch.equal(short[:, 0], every[:, epochs - 1])


def test_steps_equal_those_of_torch_adam():
    rng = torch.Generator().manual_seed(0)
    weights = torch.nn.Parameter(torch.randn(2464, generator=rng))
    mine = weights.detach().clone().numpy()
    run = Run(mine, np.zeros_like(mine), np.zeros_like(mine))
    optimizer = torch.optim.Adam([weights], lr=3e-3, weight_decay=0.1)
    for step in range(1, 30):
        weights.grad = torch.randn(2464, generator=rng) * 10.0 ** -(step % 9)
        adam_step(run, weights.grad.numpy(), step, Steps(10, 3e-3, 0.1))
        optimizer.step()
    assert np.abs(mine - weights.detach().numpy()).max() < 1e-6


def test_accuracy_goes_up():
    data = load_data("mnist-5k")
    few = replace(data, train_x=data.train_x[::4], train_y=data.train_y[::4])
    network = SmallCNN(1, "tanh", "kaiming")
    weights = train_epochs(network, few, AdamRecipe(6, 10, 3e-3), [0, 1], 6)
    _, accuracy = loss_and_accuracy(network, weights[:, -1], data.test_x, data.test_y)
    assert (accuracy > 75).all()


def test_impossible_requests_are_refused():
    data = image_data(GRAY_CNN)
    with refused("wrong-option", 64):
        train_epochs(GRAY_CNN, data, AdamRecipe(batch_size=64), [0], 1)
    with pytest.raises(ValueError, match="takes 2352 inputs"):
        train_epochs(COLOR_CNN, data, AdamRecipe(), [0], 1)
    with pytest.raises(ValueError, match="1 to 25 epochs"):
        train_epochs(GRAY_CNN, data, AdamRecipe(), [0], 26)
