"""ResNet-18 from scratch: the recipe, a training that was killed, the zoo."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_pixels import NETWORK, WHOLE

from novelweights.data.image_data import PixelData
from novelweights.tasks.classification import Classification
from novelweights.tasks.evaluation_images import evaluation_images
from novelweights.weights.store import open_population
from novelweights.zoos import ZOOS
from novelweights.zoos.building import build
from novelweights.zoos.fine_tuning import FineTuning
from novelweights.zoos.resnet_training import AdamWRecipe
from novelweights.zoos.whole_networks import WholeNetworks


def test_the_published_control_is_table_3() -> None:
    zoo = ZOOS["cifar-100-resnet18"]
    assert isinstance(zoo, WholeNetworks)
    recipe = AdamWRecipe(300, 128, 5e-4, 5e-4, "crop and RandAugment")
    assert (zoo.recipe, zoo.runs, zoo.network.image_size) == (recipe, 20, 224)
    tuned = ZOOS["cifar-100-resnet18-bn"]
    assert isinstance(tuned, FineTuning)
    assert (tuned.base.epochs, tuned.base.augmentation, tuned.checkpoints) == (10, "crop", 300)
    assert (tuned.recipe.learning_rate, tuned.recipe.normalization) == (0.03, "released")


def test_scores_are_those_of_the_networks_that_are_kept(toy_set: PixelData, tmp_path: Path) -> None:
    stored = open_population(build(WHOLE, tmp_path / "zoo", runs=2))
    population = stored.load()
    task = Classification("toy", NETWORK, evaluation_images(NETWORK, toy_set))
    accuracy = task.score(task.behave(population)).numpy()
    np.testing.assert_allclose(accuracy, stored.records.scores["test_accuracy"])
    assert not population.weights[0].equal(population.weights[1])


def test_a_network_of_other_images_is_refused(toy_set: PixelData) -> None:
    with pytest.raises(ValueError, match="does not fit the images of toy"):
        evaluation_images(replace(NETWORK, classes=3), toy_set)
