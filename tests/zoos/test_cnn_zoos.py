from dataclasses import replace

import numpy as np
import pytest
import torch
from refused import refused

from novelweights.data.images import load_data
from novelweights.networks.small_cnn import GRAY_CNN
from novelweights.seeding import seed_for
from novelweights.tasks import TASKS, make_task
from novelweights.weights.store import open_population
from novelweights.zoos import ZOOS, independent_runs
from novelweights.zoos.building import build
from novelweights.zoos.cnn_training import AdamRecipe, train_epochs
from novelweights.zoos.independent_runs import IndependentRuns
from novelweights.zoos.training import Recipe

ZOO = replace(ZOOS["mnist-5k-cnn"], recipe=AdamRecipe(epochs=3, batch_size=500), checkpoints=2)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(independent_runs, "BLOCK_RUNS", 2)


def test_rows_are_the_ends_of_the_last_epochs(tmp_path, small_blocks):
    told = []
    built = build(
        ZOO,
        tmp_path / "zoo",
        runs=3,
        heldout_runs=1,
        start_runs=1,
        progress=lambda *now: told.append(now),
    )
    stored = open_population(built)
    names = ["train-00000", "train-00001", "train-00002", "heldout-00000"]
    assert stored.records.run.tolist() == [*np.repeat(names, 2), "start-00000"]
    assert stored.records.step.tolist() == [16, 24] * 4 + [0]
    assert list(stored.records.scores) == ["test_accuracy", "test_loss"]
    assert stored.info.architecture == GRAY_CNN.name
    assert stored.info.symmetry == GRAY_CNN.symmetry
    assert stored.info.settings["keep"] == "last-epochs"
    assert stored.info.settings["network"]["initialization"] == "uniform"
    assert stored.info.settings["training"]["learning_rate"] == 3e-3
    population, data = stored.load(), load_data("mnist-5k")
    alone = train_epochs(GRAY_CNN, data, ZOO.recipe, [seed_for(0, "heldout", 0)], 2)
    assert torch.equal(population.weights[6:8], alone[0])
    task = make_task(stored.info.task)
    assert task.score(task.behave(population)).tolist() == pytest.approx(
        stored.records.scores["test_accuracy"].tolist()
    )
    assert told[-1] == (4, 4)
    assert told == sorted(told)


def test_one_checkpoint_is_the_last_and_as_many_as_epochs_are_all(tmp_path):
    every = open_population(build(ZOO, tmp_path / "a", runs=1, heldout_runs=0, checkpoints=3))
    last = open_population(build(ZOO, tmp_path / "l", runs=1, heldout_runs=0, checkpoints=1))
    assert every.records.step.tolist() == [8, 16, 24]
    assert last.records.step.tolist() == [24]
    assert torch.equal(every.load().weights[2:], last.load().weights)
    with refused("wrong-option", 3, 4):
        build(ZOO, tmp_path / "more", runs=1, heldout_runs=0, checkpoints=4)


def test_other_networks_can_keep_the_ends_of_epochs_too(tmp_path):
    recipe = Recipe(epochs=3, batch_size=100)
    zoo = replace(ZOOS["digits-mlp"], recipe=recipe, keep="last-epochs", checkpoints=2)
    stored = open_population(build(zoo, tmp_path / "z", runs=2, heldout_runs=0))
    assert stored.records.step.tolist() == [20, 30] * 2
    assert list(stored.records.scores) == ["test_accuracy", "test_loss"]


def test_cnn_zoos_are_published_recipes_with_tasks_of_their_own():
    cnn_zoos = {name: zoo for name, zoo in ZOOS.items() if name.endswith("-cnn")}
    assert len(cnn_zoos) == 9
    for zoo in cnn_zoos.values():
        assert (zoo.checkpoints, zoo.keep, zoo.recipe.epochs) == (5, "last-epochs", 25)
        assert zoo.recipe.batch_size == 10
        assert zoo.task_name == f"{zoo.data_name}-cnn"
        assert zoo.task_name in TASKS
    assert cnn_zoos["svhn-cnn"].recipe.learning_rate == 3e-3
    assert cnn_zoos["digits-on-photo-cnn"].recipe == cnn_zoos["svhn-cnn"].recipe
    assert cnn_zoos["cifar-10-jpeg-cnn"].recipe == cnn_zoos["cifar-10-cnn"].recipe
    assert cnn_zoos["cifar-10-cnn"].network.activation == "gelu"
    assert cnn_zoos["stl-10-cnn"].recipe == AdamRecipe(learning_rate=1e-4, weight_decay=1e-3)


@pytest.mark.parametrize(
    "wrong", [{"recipe": Recipe()}, {"keep": "random"}, {"keep": "every"}], ids=str
)
def test_zoos_that_do_not_fit_are_refused(wrong):
    with pytest.raises(ValueError, match="mnist-5k-cnn"):
        replace(ZOO, **wrong)
    assert isinstance(ZOO, IndependentRuns)
