"""Ends of chosen epochs of every kind of network, by the training code of its kind."""

import pytest
import torch

from novelweights.data.images import ImageData
from novelweights.networks.mlp import DeepMLP, OneHiddenMLP
from novelweights.networks.small_cnn import SmallCNN
from novelweights.networks.small_resnet import SmallResNet
from novelweights.zoos.cnn_training import AdamRecipe, train_epochs
from novelweights.zoos.epoch_ends import train_to_epochs
from novelweights.zoos.training import Recipe, train_batched

CNN = SmallCNN(initialization="kaiming")
CASES = [
    (OneHiddenMLP(36, 5, 10), Recipe(4, 8)),
    (DeepMLP(36, (5, 4), 10), Recipe(4, 8)),
    (SmallResNet(2, 1), Recipe(4, 8)),
    (CNN, AdamRecipe(4, 8)),
]


def images(network):
    rng = torch.Generator().manual_seed(0)
    x, side = torch.randn(20, network.inputs, generator=rng), round(network.inputs**0.5)
    y = torch.arange(20) % 10
    return ImageData("tiny", "random", "", x, y, x, y, (side, side))


@pytest.mark.parametrize(("network", "recipe"), CASES, ids=lambda case: getattr(case, "name", ""))
def test_ends_of_epochs_are_the_same_whatever_else_is_kept(network, recipe):
    data, told = images(network), []
    every = train_to_epochs(
        network, data, recipe, [3, 1], [1, 2, 3, 4], on_epoch=lambda *now: told.append(now)
    )
    assert every.shape == (2, 4, network.layout.size)
    assert told == [(2, 8), (4, 8), (6, 8), (8, 8)]
    assert (every.diff(dim=1).norm(dim=2) > 1e-3).all()
    some = train_to_epochs(network, data, recipe, [3, 1], [1, 3])
    assert torch.equal(some, every[:, [0, 2]])
    last = (
        train_epochs(network, data, recipe, [3, 1], 1)[:, 0]
        if isinstance(recipe, AdamRecipe)
        else train_batched(network, data, recipe, [3, 1])
    )
    assert torch.equal(every[:, -1], last)


@pytest.mark.parametrize(("network", "recipe"), CASES, ids=lambda case: getattr(case, "name", ""))
def test_runs_can_start_together_with_data_orders_of_their_own(network, recipe):
    data, kept = images(network), [1, 4]
    own = network.initial(torch.Generator().manual_seed(3))
    before = own.clone()
    together = train_to_epochs(network, data, recipe, [3, 1], kept, initial=own)
    assert torch.equal(own, before)
    alone = train_to_epochs(network, data, recipe, [3], kept)
    assert torch.allclose(together[:1], alone, atol=1e-5)  # the start that run 3 would draw
    apart = train_to_epochs(network, data, recipe, [3, 1], kept)
    assert (together[0] - together[1]).norm(dim=1).min() > 1e-3
    assert not torch.allclose(together[1], apart[1], atol=1e-2)


def test_a_network_and_a_recipe_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="is not trained by Recipe"):
        train_to_epochs(CNN, images(CNN), Recipe(4, 8), [0], [4])
    with pytest.raises(ValueError, match="is not trained by AdamRecipe"):
        train_to_epochs(CASES[0][0], images(CASES[0][0]), AdamRecipe(4, 8), [0], [4])
