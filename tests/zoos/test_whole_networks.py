"""ResNet-18 from scratch: the recipe, a training that was killed, the zoo."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from refused import refused
from toy_pixels import BASE, NETWORK, WHOLE

from novelweights.data.image_data import PixelData
from novelweights.seeding import rng_for
from novelweights.tasks import RESNETS, TASKS
from novelweights.tasks.classification import Classification
from novelweights.tasks.evaluation_images import evaluation_images
from novelweights.weights.population import Records
from novelweights.weights.store import open_population
from novelweights.weights.writer import PopulationWriter
from novelweights.zoos import ZOOS
from novelweights.zoos.building import build, counts_of
from novelweights.zoos.fine_tuning import FineTuning
from novelweights.zoos.resnet_training import AdamWRecipe, Trained, augmented, train_network
from novelweights.zoos.whole_networks import WholeNetworks


class Stop(Exception):
    """Stands for a kill."""


def test_the_published_control_is_table_3() -> None:
    zoo = ZOOS["cifar-100-resnet18"]
    assert isinstance(zoo, WholeNetworks)
    recipe = AdamWRecipe(300, 128, 5e-4, 5e-4, "crop and RandAugment")
    assert (zoo.recipe, zoo.runs, zoo.network.image_size) == (recipe, 20, 224)
    tuned = ZOOS["cifar-100-resnet18-bn"]
    assert isinstance(tuned, FineTuning)
    assert (tuned.base.epochs, tuned.base.augmentation, tuned.checkpoints) == (10, "crop", 300)
    assert (tuned.recipe.learning_rate, tuned.recipe.normalization) == (0.03, "released")


def test_every_zoo_of_residual_networks_has_its_task() -> None:
    for zoo in ZOOS.values():
        if isinstance(zoo, FineTuning | WholeNetworks):
            assert zoo.task_name in TASKS
            assert zoo.network == RESNETS[zoo.data_name]


def test_the_rate_falls_along_a_cosine_by_epoch() -> None:
    recipe = AdamWRecipe(epochs=4, learning_rate=1.0)
    rates = [recipe.learning_rate_in(epoch) for epoch in range(4)]
    np.testing.assert_allclose(rates, [1, 0.853553, 0.5, 0.146447], rtol=1e-5)
    assert recipe.steps(200) == 8  # the second batch of each epoch is small


@pytest.mark.parametrize("augmentation", ["crop", "crop and RandAugment"])
def test_images_are_changed_anew_in_each_batch(toy_set: PixelData, augmentation: str) -> None:
    rows, rng = torch.arange(8), rng_for(0)
    first, second = (augmented(toy_set, rows, augmentation, 32, rng) for _ in range(2))
    assert first.shape == (8, 3, 32, 32)
    assert (first != second).flatten(1).any(dim=1).all()


def test_a_network_learns_and_a_killed_training_ends_the_same(
    toy_set: PixelData, tmp_path: Path
) -> None:
    test, state = evaluation_images(NETWORK, toy_set), tmp_path / "state.pt"
    recipe = replace(BASE, epochs=4)

    def trained(file: Path, stop_at: int = -1, recipe: AdamWRecipe = recipe) -> Trained:
        done = [0]

        def tell(steps: int) -> None:
            done[0] += steps
            if done[0] == stop_at:
                raise Stop

        return train_network(
            NETWORK, toy_set, test, recipe, 3, keep_best=True, state_file=file, tell=tell
        )

    whole = trained(tmp_path / "whole.pt")
    assert whole.accuracy > 50  # chance is 25
    with pytest.raises(Stop):
        trained(state, stop_at=10)  # inside the third epoch of four batches
    with refused("other-settings"):
        trained(state, recipe=replace(recipe, learning_rate=1e-4))
    again = trained(state)
    assert whole.weights.equal(again.weights)
    assert (whole.epoch, whole.accuracy) == (again.epoch, again.accuracy)
    state.write_bytes(b"no state")
    with refused("damaged"):
        trained(state)


def test_a_zoo_of_whole_networks_is_built_and_goes_on(toy_set: PixelData, tmp_path: Path) -> None:
    build(WHOLE, tmp_path / "whole", runs=2)

    def killed(done: int, total: int) -> None:
        assert total == 16
        if done == 13:
            raise Stop

    with pytest.raises(Stop):
        build(WHOLE, tmp_path / "zoo", runs=2, progress=killed)
    with refused("unfinished", "--resume"):
        build(WHOLE, tmp_path / "zoo", runs=2)
    build(WHOLE, tmp_path / "zoo", runs=2, resume=True)
    for path in sorted((tmp_path / "whole").iterdir()):
        assert path.read_bytes() == (tmp_path / "zoo" / path.name).read_bytes()
    stored = open_population(tmp_path / "zoo")
    population = stored.load()
    task = Classification("toy", NETWORK, evaluation_images(NETWORK, toy_set))
    accuracy = task.score(task.behave(population)).numpy()
    np.testing.assert_allclose(accuracy, stored.records.scores["test_accuracy"])
    assert not population.weights[0].equal(population.weights[1])


def test_a_kill_between_two_networks_costs_nothing(
    toy_set: PixelData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = replace(WHOLE, recipe=replace(BASE, epochs=1, batch_size=160))
    build(short, tmp_path / "whole", runs=2)
    append = PopulationWriter.append

    def killed_after(writer: PopulationWriter, weights: torch.Tensor, records: Records) -> None:
        append(writer, weights, records)
        raise Stop

    with monkeypatch.context() as patched:
        patched.setattr(PopulationWriter, "append", killed_after)
        for _ in range(2):
            with pytest.raises(Stop):
                build(short, tmp_path / "zoo", runs=2, resume=True)
    told: list[tuple[int, int]] = []
    build(short, tmp_path / "zoo", runs=2, resume=True, progress=lambda *now: told.append(now))
    assert told == []  # nothing was left to train
    for path in sorted((tmp_path / "whole").iterdir()):
        assert path.read_bytes() == (tmp_path / "zoo" / path.name).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["whole", "zoo"]


def test_what_whole_networks_do_not_keep_is_refused(toy_set: PixelData) -> None:
    with refused("unsuited", "--checkpoints"):
        counts_of(WHOLE, checkpoints=3)
    assert counts_of(WHOLE)["runs"] == 10


def test_a_network_of_other_images_is_refused(toy_set: PixelData) -> None:
    with pytest.raises(ValueError, match="does not fit the images of toy"):
        evaluation_images(replace(NETWORK, classes=3), toy_set)
