from dataclasses import replace

import pytest
import torch

from novelweights.data.images import ImageData
from novelweights.errors import InputError
from novelweights.networks.mlp import MNIST_MLP
from novelweights.networks.small_cnn import COLOR_CNN, GRAY_CNN, SmallCNN
from novelweights.tasks import classification
from novelweights.tasks.classification import Classification, loss_and_accuracy
from novelweights.tasks.decision_regions import decision_regions, principal_plane
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, sampled_records

NETWORK = SmallCNN(1, "tanh", "kaiming")


@pytest.fixture
def task():
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(70, 784, generator=rng), torch.randint(0, 10, (70,), generator=rng)
    return Classification("tiny", NETWORK, ImageData("tiny", "random", "", x, y, x, y, (28, 28)))


@pytest.fixture
def population():
    rng = torch.Generator().manual_seed(1)
    weights = torch.stack([3 * NETWORK.initial(rng) for _ in range(5)])
    return Population(weights, NETWORK.layout, sampled_records(5))


def one_by_one(population, x):
    module, outputs = NETWORK.module(), []
    for weights in population.weights:
        module.load_state_dict(NETWORK.layout.unflatten(weights))
        outputs.append(module(x).detach())
    return torch.stack(outputs)


@pytest.mark.parametrize("block", [3, 2048])
def test_predictions_and_losses_equal_one_network_at_a_time(task, population, monkeypatch, block):
    monkeypatch.setattr(classification, "BLOCK_CHECKPOINTS", block)
    monkeypatch.setattr(classification, "BLOCK_EXAMPLES", 16 * block)
    expected = one_by_one(population, task.data.test_x)
    behavior = task.behave(population)
    assert torch.equal(behavior.long(), expected.argmax(dim=2))
    loss, accuracy = loss_and_accuracy(
        NETWORK, population.weights, task.data.test_x, task.data.test_y
    )
    assert torch.allclose(accuracy, task.score(behavior))
    assert torch.equal(loss, task.loss(population))
    by_torch = [torch.nn.functional.cross_entropy(out, task.data.test_y).item() for out in expected]
    assert loss.tolist() == pytest.approx(by_torch, rel=1e-5)


def test_parameters_may_be_in_any_order_but_must_be_the_networks(task, population):
    shapes = population.layout.shapes
    shuffled = population.in_order_of(WeightLayout(tuple(sorted(shapes))))
    assert shuffled.layout != population.layout
    assert torch.equal(task.weights_of(shuffled), population.weights)
    renamed = WeightLayout(tuple((f"net.{name}", shape) for name, shape in shapes))
    for layout in (renamed, COLOR_CNN.layout, MNIST_MLP.layout, WeightLayout(shapes[:4])):
        other = Population(torch.zeros(1, layout.size), layout, sampled_records(1))
        with pytest.raises(InputError, match="name the task that fits"):
            task.behave(other)
    with pytest.raises(ValueError, match="does not fit"):
        Classification("tiny", COLOR_CNN, task.data)


def test_initialization_is_no_part_of_the_architecture():
    assert replace(GRAY_CNN, initialization="kaiming").name == GRAY_CNN.name


def test_decision_regions_are_the_predictions_on_the_plane(task, population):
    plane = principal_plane(task.data.test_x, resolution=6)
    regions = decision_regions(task, population, plane)
    expected = one_by_one(population, plane.reshape(36, 784)).argmax(dim=2)
    assert regions.shape == (5, 6, 6)
    assert regions.reshape(5, 36).tolist() == expected.tolist()
