from dataclasses import replace

import pytest
import torch
from refused import refused

from benchmarks.plain_training import train_one
from novelweights.data.images import ImageData, load_data
from novelweights.networks.mlp import DIGITS_MLP, DeepMLP, OneHiddenMLP
from novelweights.networks.small_resnet import SmallResNet
from novelweights.tasks.classification import loss_and_accuracy
from novelweights.zoos import training
from novelweights.zoos.cnn_training import AdamRecipe
from novelweights.zoos.resnet_training import AdamWRecipe
from novelweights.zoos.training import Recipe, train_batched, train_trajectories


@pytest.fixture
def data():
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(70, 13, generator=rng), torch.randint(0, 3, (70,), generator=rng)
    return ImageData("tiny", "random", "", x, y, x[:20], y[:20], (13,))


NETWORKS = [
    *(OneHiddenMLP(13, 5, 3, activation) for activation in ("relu", "tanh")),
    *(DeepMLP(13, (6, 5), 3, activation) for activation in ("relu", "tanh")),
]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
@pytest.mark.parametrize("batch_size", [1, 8, 21, 70])  # 21: groups of 8, 8, 5; last batch dropped
def test_batched_runs_equal_the_plain_loop(data, network, batch_size):
    recipe = Recipe(epochs=3, batch_size=batch_size, learning_rate=0.02)
    together = train_batched(network, data, recipe, [3, 1, 4])
    alone = torch.stack([train_one(network, data, recipe, seed) for seed in (3, 1, 4)])
    assert torch.allclose(together, alone, atol=2e-5)
    assert not torch.allclose(together[0], together[1], atol=0.1)


@pytest.mark.usefixtures("sound_convolutions")
def test_batched_runs_with_batch_statistics_equal_the_plain_loop():
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(70, 36, generator=rng), torch.randint(0, 3, (70,), generator=rng)
    images = ImageData("tiny", "random", "", x, y, x[:20], y[:20], (6, 6))
    network, recipe = SmallResNet(3, 2, 6, 3), Recipe(3, 16, learning_rate=0.02, weight_decay=0.05)
    together = train_batched(network, images, recipe, [3, 1])
    alone = torch.stack([train_one(network, images, recipe, seed) for seed in (3, 1)])
    assert torch.allclose(together, alone, atol=1e-4)
    assert not torch.allclose(together[0], together[1], atol=0.1)
    start = torch.stack([network.initial(torch.Generator().manual_seed(s)) for s in (3, 1)])
    state, before = map(network.layout.unflatten, (together, start))
    for name in ("bn1.running_mean", "layer1.1.bn2.running_var"):  # decay would not move these
        assert (state[name] - before[name]).abs().min() > 1e-3, name


def test_plain_sgd_and_no_weight_decay_equal_the_plain_loop(data):
    network = OneHiddenMLP(13, 5, 3)
    recipe = Recipe(epochs=2, batch_size=16, momentum=0.0, weight_decay=0.0)
    assert torch.allclose(
        train_batched(network, data, recipe, [5])[0],
        train_one(network, data, recipe, 5),
        atol=1e-5,
    )


@pytest.mark.parametrize("network", NETWORKS[::2], ids=lambda network: network.name)
def test_a_run_does_not_depend_on_its_neighbors(data, network, monkeypatch):
    recipe = Recipe(epochs=2, batch_size=10)
    seeds = list(range(7))
    together = train_batched(network, data, recipe, seeds)
    monkeypatch.setattr(training, "RUNS_AT_ONCE", 3)
    # torch's products depend, by rounding, on where in memory a run lies
    allowed = 0 if isinstance(network, OneHiddenMLP) else 1e-5
    for again in (
        train_batched(network, data, recipe, seeds),
        train_batched(network, data, recipe, seeds[::-1]).flip(0),
    ):
        assert (again - together).abs().max() <= allowed


def test_data_order_is_each_runs_own(data):
    network, recipe = OneHiddenMLP(13, 5, 3), Recipe(epochs=1, batch_size=10)
    same = network.initial(torch.Generator().manual_seed(0))
    first, second = train_batched(network, data, recipe, [1, 2], initial=same)
    assert not torch.allclose(first, second, atol=1e-4)


def test_runs_can_share_an_initialization_and_keep_their_own_data_order(data):
    network, recipe = OneHiddenMLP(13, 5, 3), Recipe(epochs=2, batch_size=10)
    start = network.initial(torch.Generator().manual_seed(0))
    kept = start.clone()
    steps = torch.tensor([[0, 14], [0, 14]])
    saved = train_trajectories(network, data, recipe, [1, 2], steps, initial=start).weights
    assert torch.equal(saved[0, 0], start)
    assert torch.equal(saved[1, 0], start)
    assert torch.equal(start, kept)
    alone = torch.stack([train_one(network, data, recipe, seed, initial=start) for seed in (1, 2)])
    assert torch.allclose(saved[:, 1], alone, atol=2e-5)
    own = network.initial(torch.Generator().manual_seed(1))  # the start that run 1 would draw
    assert torch.equal(
        train_batched(network, data, recipe, [1], initial=own),
        train_batched(network, data, recipe, [1]),
    )


def test_trajectory_starts_at_the_initialization_and_ends_at_the_last_checkpoint(data):
    network, recipe = OneHiddenMLP(13, 5, 3), Recipe(epochs=3, batch_size=10)
    steps = torch.tensor([[0, 5, 7, 21], [0, 0, 14, 21]])
    saved = train_trajectories(network, data, recipe, [8, 9], steps).weights
    assert torch.equal(saved[0, 0], network.initial(torch.Generator().manual_seed(8)))
    assert torch.equal(saved[1, 0], saved[1, 1])
    assert torch.equal(saved[:, -1], train_batched(network, data, recipe, [8, 9]))
    # seven steps are one epoch: stop there, at the first epoch's learning rate
    first_epoch = train_batched(network, data, replace(recipe, epochs=1), [8])
    assert torch.equal(saved[0, 2], first_epoch[0])


def plain_trajectory(network, data, recipe, seed):
    """Weights after every step, and loss and accuracy of every minibatch, by plain PyTorch."""
    rng = torch.Generator().manual_seed(seed)
    module = network.module()
    module.load_state_dict(network.layout.unflatten(network.initial(rng)))
    optimizer = torch.optim.SGD(
        module.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=True,
    )
    weights, losses, accuracies = [network.layout.flatten(module.state_dict())], [], []
    for epoch in range(recipe.epochs):
        optimizer.param_groups[0]["lr"] = recipe.learning_rate_in(epoch)
        order = torch.randperm(len(data.train_y), generator=rng)
        for batch in order.split(recipe.batch_size)[: len(order) // recipe.batch_size]:
            logits, labels = module(data.train_x[batch]), data.train_y[batch]
            loss = torch.nn.functional.cross_entropy(logits, labels)
            losses.append(loss.item())
            accuracies.append(100 * (logits.argmax(dim=1) == labels).double().mean().item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            weights.append(network.layout.flatten(module.state_dict()))
    return torch.stack(weights), torch.tensor(losses).double(), torch.tensor(accuracies).double()


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
@pytest.mark.parametrize("batch_size", [1, 8, 21])  # 21: groups of 8, 8, 5
def test_checkpoints_and_minibatch_scores_equal_the_plain_loop(data, network, batch_size):
    recipe = Recipe(epochs=2, batch_size=batch_size, learning_rate=0.02)
    last = recipe.steps(len(data.train_y))
    some = torch.tensor([[0, 0, 2, 3, last // 2, last // 2 + 1, last], [1, 1, 2, 3, 4, 5, last]])
    made = train_trajectories(network, data, recipe, [3, 1], some)
    for run, seed in enumerate((3, 1)):
        weights, loss, accuracy = plain_trajectory(network, data, recipe, seed)
        assert torch.allclose(made.weights[run], weights[some[run]], atol=2e-5)
        before = (some[run] - 1).clamp(min=0)  # the minibatch that led there, or the first
        assert torch.allclose(made.batch_loss[run], loss[before], atol=2e-5)
        assert torch.allclose(made.batch_accuracy[run], accuracy[before])
    assert made.batch_loss[0, 0] == made.batch_loss[0, 1]


def test_minibatch_scores_do_not_depend_on_what_else_is_saved(data):
    network, recipe = OneHiddenMLP(13, 5, 3), Recipe(epochs=2, batch_size=10)
    every = train_trajectories(network, data, recipe, [4, 5], torch.arange(15).expand(2, 15))
    few = train_trajectories(network, data, recipe, [5], torch.tensor([[0, 9, 14]]))
    for name in ("weights", "batch_loss", "batch_accuracy"):
        assert torch.equal(getattr(few, name)[0], getattr(every, name)[1, [0, 9, 14]])


def test_extreme_and_equal_logits_have_exact_scores(data):
    network, recipe = OneHiddenMLP(13, 5, 3), Recipe(epochs=1, batch_size=70)
    equal = train_trajectories(
        network, data, recipe, [0], torch.tensor([[0]]), initial=torch.zeros(network.layout.size)
    )
    first = (data.train_y == 0).double().mean()
    assert equal.batch_accuracy.item() == pytest.approx(100 * first.item())
    assert equal.batch_loss.item() == pytest.approx(1.0986122886681098, rel=1e-7)
    far = 100 * network.initial(torch.Generator().manual_seed(0))  # probabilities underflow
    made = train_trajectories(network, data, recipe, [0], torch.tensor([[0]]), initial=far)
    loss, accuracy = loss_and_accuracy(network, far[None], data.train_x, data.train_y)
    assert loss.item() > 500
    assert made.batch_loss.item() == pytest.approx(loss.item(), rel=1e-6)
    assert made.batch_accuracy.item() == pytest.approx(accuracy.item())


def test_loss_goes_down_and_progress_is_told():
    data, told = load_data("digits"), []
    recipe = Recipe(epochs=10, batch_size=32)
    last = torch.full((4, 2), recipe.steps(1000))
    last[:, 0] = 0
    saved = train_trajectories(
        DIGITS_MLP, data, recipe, range(4), last, on_epoch=lambda *now: told.append(now)
    ).weights
    before, _ = loss_and_accuracy(DIGITS_MLP, saved[:, 0], data.train_x, data.train_y)
    after, accuracy = loss_and_accuracy(DIGITS_MLP, saved[:, 1], data.train_x, data.train_y)
    assert (before > 2).all()
    assert (after < 0.2).all()
    assert (accuracy > 95).all()
    assert told == [(4 * (epoch + 1), 40) for epoch in range(10)]


@pytest.mark.parametrize("recipe", [Recipe, AdamRecipe, AdamWRecipe])
@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch_size": 0}], ids=str)
def test_recipes_without_steps_are_refused(recipe, wrong):
    with refused("wrong-option", 0):
        recipe(**wrong)


@pytest.mark.parametrize("kind", [Recipe, AdamWRecipe])
def test_learning_rate_follows_a_cosine_by_epoch(kind):
    recipe = kind(epochs=4, learning_rate=0.1)
    rates = [recipe.learning_rate_in(epoch) for epoch in range(4)]
    assert rates == pytest.approx([0.1, 0.0853553, 0.05, 0.0146447], rel=1e-5)


def test_impossible_requests_are_refused(data):
    network = OneHiddenMLP(13, 5, 3)
    with refused("wrong-option", 71):
        train_batched(network, data, Recipe(batch_size=71), [0])
    with pytest.raises(ValueError, match="takes 12 inputs"):
        train_batched(OneHiddenMLP(12, 5, 3), data, Recipe(batch_size=7), [0])
    with pytest.raises(ValueError, match="ascend"):
        train_trajectories(network, data, Recipe(1, 10), [0], torch.tensor([[3, 2]]))
    with pytest.raises(ValueError, match=r"in 0\.\.7"):
        train_trajectories(network, data, Recipe(1, 10), [0], torch.tensor([[8]]))
