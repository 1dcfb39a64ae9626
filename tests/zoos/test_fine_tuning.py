"""P-diff's populations: what moves, what is kept, and builds that were stopped."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from folders import contents
from refused import refused
from torch.nn import functional as F
from toy_pixels import NETWORK, QUICK, TUNED, Stop

from novelweights.data.image_data import PixelData
from novelweights.networks.parts import LAST_TWO_NORMALIZATIONS
from novelweights.readers import read_checkpoints
from novelweights.seeding import rng_for, seed_for
from novelweights.tasks import make_task
from novelweights.tasks.classification import Classification, loss_and_accuracy
from novelweights.tasks.evaluation_images import evaluation_images
from novelweights.weights.population import Population
from novelweights.weights.store import open_population
from novelweights.weights.writer import PopulationWriter
from novelweights.zoos.building import build
from novelweights.zoos.fine_tuning import FineTuningRecipe, fine_tune
from novelweights.zoos.resnet_training import augmented, train_network


def plain_loop(
    data: PixelData, base: torch.Tensor, seed: int, kept: int, mode: str
) -> torch.Tensor:
    """The same fine-tuning of the whole module, without splitting it."""
    module = NETWORK.module().train()
    module.load_state_dict(NETWORK.layout.unflatten(base), strict=False)
    named = dict(module.named_parameters())
    own = [named[name] for name in LAST_TWO_NORMALIZATIONS]
    optimizer = torch.optim.AdamW(own, lr=0.03, weight_decay=5e-4)
    rng, saved = rng_for(seed, "epoch", 0), []
    order = torch.randperm(len(data.train), generator=rng).split(TUNED.recipe.batch_size)
    for step, rows in enumerate(order, start=1):
        images = augmented(data, rows, "crop", 32, rng)
        optimizer.zero_grad()
        F.cross_entropy(module(images), torch.from_numpy(data.train_y[rows.numpy()])).backward()
        optimizer.step()
        if step >= 2:
            saved.append(torch.cat([p.detach().flatten() for p in own]))
            if mode == "released":
                module.eval()
        if len(saved) == kept:
            break
    return torch.stack(saved)


@pytest.mark.parametrize("mode", ["released", "training"])
def test_steps_are_those_of_a_plain_loop(toy_set: PixelData, mode: str) -> None:
    base = NETWORK.initial(rng_for(5))
    zoo = replace(TUNED, recipe=replace(TUNED.recipe, normalization=mode))
    found = fine_tune(zoo, toy_set, base, 7, 3, lambda steps: None)
    expected = plain_loop(toy_set, base, 7, 3, mode)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    other = {"released": "training", "training": "released"}[mode]
    assert not torch.allclose(found[-1], plain_loop(toy_set, base, 7, 3, other)[-1], atol=1e-4)


def test_passes_over_the_images_follow_each_other(toy_set: PixelData) -> None:
    base = NETWORK.initial(rng_for(5))
    told: list[int] = []
    found = fine_tune(TUNED, toy_set, base, 7, 6, told.append)
    assert found.shape == (6, 4 * 16)
    assert sum(told) == 7  # four batches a pass, the first step is not kept
    assert (found[1:] - found[:-1]).abs().max() <= 0.031  # what AdamW moves a weight at most


def test_a_build_holds_runs_of_one_base(toy_set: PixelData, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    build(
        TUNED,
        tmp_path / "zoo",
        heldout_runs=2,
        checkpoints=3,
        progress=lambda *now: told.append(now),
    )
    stored = open_population(tmp_path / "zoo")
    splits = ["train"] * 3 + ["heldout"] * 6 + ["start"]
    assert list(stored.records.split) == splits
    assert list(stored.records.step) == [2, 3, 4] * 3 + [0]
    assert len(set(stored.records.run)) == 4
    assert told[-1] == (8 + 3 * 4, 8 + 3 * 4)  # two epochs of four batches, runs of four steps
    train, whole = read_checkpoints(tmp_path / "zoo", split="train"), stored.load()
    assert train.shared is not None
    assert not set(LAST_TWO_NORMALIZATIONS) & set(train.shared)
    assert len(train.shared) == len(NETWORK.layout.shapes) - 4
    assert not (tmp_path / "zoo.network.partial").exists()
    [base] = whole.select([9]).weights
    assert not torch.equal(whole.weights[0], whole.weights[3])  # other order, other crops
    assert (whole.weights[[0, 3, 6]] - base).abs().max() < 0.07  # two steps from one base
    task = make_task("toy-resnet18-bn", train.shared)
    assert isinstance(task, Classification)
    accuracy = task.score(task.behave(whole))
    np.testing.assert_allclose(accuracy.numpy(), whole.records.scores["test_accuracy"])
    np.testing.assert_allclose(task.loss(whole).numpy(), whole.records.scores["test_loss"])
    test = evaluation_images(NETWORK, toy_set)
    state = {**train.shared, **whole.layout.unflatten(base)}
    of_base = NETWORK.layout.flatten(state)[None]
    _, [by_itself] = loss_and_accuracy(NETWORK, of_base, test.test_x, test.test_y)
    assert float(by_itself) == whole.records.scores["test_accuracy"][9]
    settings = whole.info.settings
    assert settings["base"]["test_accuracy"] == float(by_itself)
    assert settings["data"] == {"name": "toy", "source": "made in a test", "sha256": "toy"}


def test_the_rest_is_the_bases_own_with_its_statistics(toy_set: PixelData, tmp_path: Path) -> None:
    build(TUNED, tmp_path / "zoo", heldout_runs=0, checkpoints=2, seed=9)
    stored = open_population(tmp_path / "zoo")
    base = train_network(
        NETWORK,
        toy_set,
        evaluation_images(NETWORK, toy_set),
        TUNED.base,
        seed_for(9, "base"),
        keep_best=True,
        state_file=tmp_path / "state.pt",
        tell=lambda steps: None,
    )
    population, state = stored.load(), NETWORK.layout.unflatten(base.weights)
    assert population.shared is not None
    assert set(state) == {*population.shared, *LAST_TWO_NORMALIZATIONS}
    for name, value in population.shared.items():
        assert torch.equal(value, state[name])
    begun = population.layout.unflatten(population.weights[-1])
    for name in LAST_TWO_NORMALIZATIONS:
        assert torch.equal(begun[name], state[name])
    settings = stored.info.settings["base"]
    assert (settings["epoch_taken"], settings["test_accuracy"]) == (base.epoch, base.accuracy)


def test_runs_are_their_own_whatever_is_built_beside(toy_set: PixelData, tmp_path: Path) -> None:
    asked = {"checkpoints": 2, "seed": 1}
    few = open_population(build(QUICK, tmp_path / "few", heldout_runs=1, **asked)).load()
    more = open_population(build(QUICK, tmp_path / "more", runs=2, heldout_runs=2, **asked)).load()
    assert few.records.run.tolist() == [*["train-00000"] * 2, *["heldout-00000"] * 2, "base"]
    assert torch.equal(few.weights, more.weights[[0, 1, 4, 5, 8]])


def test_the_old_folder_stays_until_the_new_is_complete(toy_set: PixelData, tmp_path: Path) -> None:
    asked = {"heldout_runs": 0, "checkpoints": 1, "overwrite": True}
    build(QUICK, tmp_path / "zoo", **asked)
    before = contents(tmp_path / "zoo")

    def looks(done: int, total: int) -> None:
        assert contents(tmp_path / "zoo") == before

    build(QUICK, tmp_path / "zoo", **asked, seed=1, progress=looks)
    assert contents(tmp_path / "zoo") != before
    assert [path.name for path in tmp_path.iterdir()] == ["zoo"]


def test_an_unfinished_population_is_told_before_the_base_is_trained(
    toy_set: PixelData, tmp_path: Path, make_population: Callable[..., Population]
) -> None:
    other = make_population(4)
    with PopulationWriter(tmp_path / "zoo", other.layout, other.info, 4) as writer:
        part = other.select(slice(0, 2))
        writer.append(part.weights, part.records)
    with refused("unfinished", "zoo.partial", "--resume"):
        build(
            TUNED,
            tmp_path / "zoo",
            heldout_runs=0,
            progress=lambda *now: pytest.fail("it was trained"),
        )
    assert [path.name for path in tmp_path.iterdir()] == ["zoo.partial"]


def test_a_damaged_or_another_base_is_refused(toy_set: PixelData, tmp_path: Path) -> None:
    def killed(done: int, total: int) -> None:
        if done == 10:
            raise Stop

    with pytest.raises(Stop):
        build(TUNED, tmp_path / "zoo", heldout_runs=0, checkpoints=3, progress=killed)
    other = replace(TUNED, base=replace(TUNED.base, learning_rate=1e-4))
    with refused("other-settings"):
        build(other, tmp_path / "zoo", heldout_runs=0, checkpoints=3, resume=True)
    (tmp_path / "zoo.network.partial" / "base.pt").write_bytes(b"no state")
    with refused("damaged", "base.pt"):
        build(TUNED, tmp_path / "zoo", heldout_runs=0, checkpoints=3, resume=True)


def test_a_finished_folder_is_refused_before_anything_is_trained(
    toy_set: PixelData, tmp_path: Path
) -> None:
    build(TUNED, tmp_path / "zoo", heldout_runs=0, checkpoints=1)
    with refused("exists", "--overwrite"):
        build(
            TUNED,
            tmp_path / "zoo",
            heldout_runs=0,
            progress=lambda *now: pytest.fail("it was trained"),
        )


def test_a_rate_that_diverges_is_told(toy_set: PixelData) -> None:
    wild = replace(TUNED, recipe=replace(TUNED.recipe, learning_rate=1e30))
    with refused("not-finite"):
        fine_tune(wild, toy_set, NETWORK.initial(rng_for(5)), 7, 5, lambda steps: None)
    with pytest.raises(ValueError, match="normalization 'none'"):
        FineTuningRecipe(normalization="none")
