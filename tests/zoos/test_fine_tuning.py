"""P-diff's populations: what moves, what is kept, and builds that were stopped."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from toy_pixels import NETWORK, TUNED

from novelweights.data.pixel_data import PixelData
from novelweights.errors import InputError
from novelweights.networks.parts import LAST_TWO_NORMALIZATIONS
from novelweights.seeding import rng_for
from novelweights.tasks import make_task
from novelweights.tasks.classification import Classification, loss_and_accuracy
from novelweights.tasks.evaluation_images import evaluation_images
from novelweights.weights.readers import read_checkpoints
from novelweights.weights.store import open_population
from novelweights.zoos.building import build, counts_of
from novelweights.zoos.fine_tuning import FineTuningRecipe, fine_tune
from novelweights.zoos.resnet_training import augmented

FILES = ("population.json", "records.csv", "shared.safetensors")


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


class Stop(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("at", [2, 6, 9, 14])
def test_a_build_that_was_killed_ends_with_the_same_bytes(
    toy_set: PixelData, tmp_path: Path, at: int
) -> None:
    asked = {"heldout_runs": 1, "checkpoints": 3}
    build(TUNED, tmp_path / "whole", **asked)

    def killed(done: int, total: int) -> None:
        if done == at:
            raise Stop

    with pytest.raises(Stop):
        build(TUNED, tmp_path / "zoo", **asked, progress=killed)
    if at > 4:
        with pytest.raises(InputError, match="--resume"):
            build(TUNED, tmp_path / "zoo", **asked)
    build(TUNED, tmp_path / "zoo", **asked, resume=True)
    weights = next((tmp_path / "whole").glob("*.safetensors")).name
    for file in (*FILES, weights):
        assert (tmp_path / "zoo" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert not (tmp_path / "zoo.network.partial").exists()


def test_a_damaged_or_another_base_is_refused(toy_set: PixelData, tmp_path: Path) -> None:
    def killed(done: int, total: int) -> None:
        if done == 10:
            raise Stop

    with pytest.raises(Stop):
        build(TUNED, tmp_path / "zoo", heldout_runs=0, checkpoints=3, progress=killed)
    other = replace(TUNED, base=replace(TUNED.base, learning_rate=1e-4))
    with pytest.raises(InputError, match="another base network"):
        build(other, tmp_path / "zoo", heldout_runs=0, checkpoints=3, resume=True)
    (tmp_path / "zoo.network.partial" / "base.pt").write_bytes(b"no state")
    with pytest.raises(InputError, match="cannot be read"):
        build(TUNED, tmp_path / "zoo", heldout_runs=0, checkpoints=3, resume=True)


def test_a_finished_folder_is_refused_before_anything_is_trained(
    toy_set: PixelData, tmp_path: Path
) -> None:
    build(TUNED, tmp_path / "zoo", heldout_runs=0, checkpoints=1)
    with pytest.raises(InputError, match="--overwrite"):
        build(
            TUNED,
            tmp_path / "zoo",
            heldout_runs=0,
            progress=lambda *now: pytest.fail("it was trained"),
        )


def test_counts_that_cannot_be_are_refused(toy_set: PixelData) -> None:
    assert counts_of(TUNED) == {
        "runs": 1,
        "heldout_runs": 8,
        "checkpoints": 300,
        "start_runs": 0,
    }
    with pytest.raises(InputError, match="one base network"):
        counts_of(TUNED, start_runs=3)
    with pytest.raises(InputError, match="at least 1 checkpoint"):
        counts_of(TUNED, checkpoints=0)


def test_a_rate_that_diverges_is_told(toy_set: PixelData) -> None:
    wild = replace(TUNED, recipe=replace(TUNED.recipe, learning_rate=1e30))
    with pytest.raises(InputError, match="diverged"):
        fine_tune(wild, toy_set, NETWORK.initial(rng_for(5)), 7, 5, lambda steps: None)
    with pytest.raises(ValueError, match="normalization 'none'"):
        FineTuningRecipe(normalization="none")
