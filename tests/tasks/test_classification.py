from dataclasses import replace

import pytest
import torch
from refused import refused

from novelweights.data.images import ImageData
from novelweights.networks.mlp import MNIST_MLP, OneHiddenMLP
from novelweights.networks.small_cnn import COLOR_CNN, GRAY_CNN, SmallCNN
from novelweights.tasks import classification, make_task
from novelweights.tasks.classification import Classification, loss_and_accuracy
from novelweights.tasks.decision_regions import decision_regions, principal_plane
from novelweights.tasks.task import Task
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, sampled_records

MLP, CNN = OneHiddenMLP(6, 4, 3, "tanh"), SmallCNN(1, "tanh", "kaiming")


def task_of(network):
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(70, network.inputs, generator=rng)
    y = torch.randint(0, network.classes, (70,), generator=rng)
    shape = (28, 28) if network is CNN else (6,)
    return Classification("tiny", network, ImageData("tiny", "random", "", x, y, x, y, shape))


def some(network, n=7):
    rng = torch.Generator().manual_seed(1)
    weights = torch.stack([3 * network.initial(rng) for _ in range(n)])
    return Population(weights, network.layout, sampled_records(n))


def one_by_one(network, population, x):
    module, outputs = network.module(), []
    for weights in population.weights:
        module.load_state_dict(network.layout.unflatten(weights))
        outputs.append(module(x).detach())
    return torch.stack(outputs)


@pytest.mark.parametrize("network", [MLP, CNN], ids=["mlp", "cnn"])
@pytest.mark.parametrize("block", [3, 2048])
def test_predictions_and_losses_equal_one_network_at_a_time(network, monkeypatch, block):
    monkeypatch.setattr(classification, "BLOCK_CHECKPOINTS", block)
    monkeypatch.setattr(classification, "BLOCK_EXAMPLES", 16 * block)
    task, population = task_of(network), some(network)
    x, y = task.data.test_x, task.data.test_y
    expected = one_by_one(network, population, x)
    behavior = task.behave(population)
    assert torch.equal(behavior.long(), expected.argmax(dim=2))
    right = (expected.argmax(dim=2) == y).double().mean(dim=1)
    assert torch.allclose(task.score(behavior), 100 * right)
    loss, accuracy = loss_and_accuracy(network, population.weights, x, y)
    assert torch.allclose(accuracy, task.score(behavior))
    assert torch.equal(task.loss(population), loss)
    by_torch = [torch.nn.functional.cross_entropy(out, y).item() for out in expected]
    assert loss.tolist() == pytest.approx(by_torch, rel=1e-5)


def test_novelty_of_a_copy_is_one_unless_excluded():
    task = task_of(MLP)
    behavior = task.behave(some(MLP))
    assert task.novelty_against(behavior, behavior).eq(1).all()
    itself = torch.eye(7, dtype=torch.bool)
    alone = task.novelty_against(behavior, behavior, exclude=itself)
    assert (alone < 1).all()
    assert not task.novelty.higher_is_better


def test_parameters_may_be_in_any_order_but_must_be_the_networks():
    task, population = task_of(CNN), some(CNN)
    assert isinstance(task, Task)
    shapes = population.layout.shapes
    shuffled = population.in_order_of(WeightLayout(tuple(sorted(shapes))))
    assert shuffled.layout != population.layout
    assert torch.equal(task.weights_of(shuffled), population.weights)
    renamed = WeightLayout(tuple((f"net.{name}", shape) for name, shape in shapes))
    for layout in (renamed, COLOR_CNN.layout, MNIST_MLP.layout, WeightLayout(shapes[:4])):
        other = Population(torch.zeros(1, layout.size), layout, sampled_records(1))
        for judge in (task.behave, task.loss):
            with refused("other-network", "tiny", layout.size):
                judge(other)
    with pytest.raises(ValueError, match="does not fit"):
        Classification("tiny", COLOR_CNN, task.data)


def test_tasks_are_made_by_name(tmp_path, monkeypatch):
    assert make_task("digits").name == "digits"
    with refused("unknown-name", "digits"):
        make_task("digit")
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(tmp_path))
    with refused("no-data", "novelweights data fetch mnist"):
        make_task("mnist")


def test_initialization_is_no_part_of_the_architecture():
    assert replace(GRAY_CNN, initialization="kaiming").name == GRAY_CNN.name


def test_decision_regions_are_the_predictions_on_the_plane():
    task, population = task_of(CNN), some(CNN)
    plane = principal_plane(task.data.test_x, resolution=6)
    regions = decision_regions(task, population, plane)
    expected = one_by_one(CNN, population, plane.reshape(36, 784)).argmax(dim=2)
    assert regions.shape == (7, 6, 6)
    assert regions.reshape(7, 36).tolist() == expected.tolist()
