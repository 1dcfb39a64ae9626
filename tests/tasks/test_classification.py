import pytest
import torch

from novelweights.data.images import ImageData
from novelweights.errors import InputError
from novelweights.networks.mlp import OneHiddenMLP
from novelweights.tasks import classification, make_task
from novelweights.tasks.classification import Classification, loss_and_accuracy
from novelweights.tasks.task import Task
from novelweights.weights.population import Population, sampled_records

NETWORK = OneHiddenMLP(6, 4, 3, "tanh")


@pytest.fixture
def task():
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(50, 6, generator=rng), torch.randint(0, 3, (50,), generator=rng)
    return Classification("tiny", NETWORK, ImageData("tiny", "random", "", x, y, x, y, (6,)))


@pytest.fixture
def population():
    rng = torch.Generator().manual_seed(1)
    weights = torch.stack([3 * NETWORK.initial(rng) for _ in range(7)])
    return Population(weights, NETWORK.layout, sampled_records(7))


def one_by_one(population, x):
    module = NETWORK.module()
    for weights in population.weights:
        module.load_state_dict(NETWORK.layout.unflatten(weights))
        yield module(x).detach()


@pytest.mark.parametrize("block", [3, 2048])
def test_predictions_equal_one_network_at_a_time(task, population, monkeypatch, block):
    monkeypatch.setattr(classification, "BLOCK_CHECKPOINTS", block)
    monkeypatch.setattr(classification, "BLOCK_EXAMPLES", block)
    expected = torch.stack([out.argmax(dim=1) for out in one_by_one(population, task.data.test_x)])
    behavior = task.behave(population)
    assert torch.equal(behavior.long(), expected)
    right = (expected == task.data.test_y).double().mean(dim=1)
    assert torch.allclose(task.score(behavior), 100 * right)
    loss, accuracy = loss_and_accuracy(
        NETWORK, population.weights, task.data.test_x, task.data.test_y
    )
    by_torch = [
        torch.nn.functional.cross_entropy(out, task.data.test_y).item()
        for out in one_by_one(population, task.data.test_x)
    ]
    assert loss.tolist() == pytest.approx(by_torch, rel=1e-5)
    assert torch.allclose(accuracy, task.score(behavior))


def test_novelty_of_a_copy_is_one_unless_excluded(task, population):
    behavior = task.behave(population)
    assert task.novelty_against(behavior, behavior).eq(1).all()
    itself = torch.eye(7, dtype=torch.bool)
    alone = task.novelty_against(behavior, behavior, exclude=itself)
    assert (alone < 1).all()
    assert not task.novelty.higher_is_better


def test_it_is_a_task_and_other_networks_are_refused(task):
    assert isinstance(task, Task)
    other = OneHiddenMLP(5, 4, 3)
    weights = torch.zeros(1, other.layout.size)
    with pytest.raises(InputError, match="name the task that fits"):
        task.behave(Population(weights, other.layout, sampled_records(1)))
    with pytest.raises(ValueError, match="does not fit"):
        Classification("tiny", other, task.data)


def test_tasks_are_made_by_name():
    assert make_task("digits").name == "digits"
    with pytest.raises(InputError, match="did you mean 'digits'"):
        make_task("digit")


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_task_on_data_that_were_not_fetched_says_how(tmp_path, monkeypatch, name):
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=f"novelweights data fetch {name}`"):
        make_task(name)


def test_loss_is_the_mean_cross_entropy_on_the_test_images(task, population):
    by_torch = [
        torch.nn.functional.cross_entropy(out, task.data.test_y).item()
        for out in one_by_one(population, task.data.test_x)
    ]
    assert task.loss(population).tolist() == pytest.approx(by_torch, rel=1e-5)
    other = OneHiddenMLP(5, 4, 3)
    with pytest.raises(InputError, match="name the task that fits"):
        task.loss(Population(torch.zeros(1, other.layout.size), other.layout, sampled_records(1)))
