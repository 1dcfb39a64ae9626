"""Runs of any kind of network, each by the training code of its kind: the ends of chosen epochs."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.data.images import ImageData
from novelweights.networks.mlp import OneHiddenMLP
from novelweights.networks.network import TargetNetwork
from novelweights.networks.small_cnn import SmallCNN
from novelweights.zoos.cnn_training import AdamRecipe, train_epochs
from novelweights.zoos.stacked_training import StackedNetwork
from novelweights.zoos.training import Recipe, train_trajectories


def train_to_epochs(
    network: TargetNetwork,
    data: ImageData,
    recipe: Recipe | AdamRecipe,
    run_seeds: Sequence[int],
    epochs: Sequence[int],
    *,
    initial: Float[Tensor, " d"] | None = None,
    on_epoch: Callable[[int, int], None] | None = None,
) -> Float[Tensor, "n saves d"]:
    """Checkpoints of runs, each with its own data order from its own seed, at the ends of epochs.

    Args:
        network: Multilayer perceptrons and residual networks are trained by `Recipe`, small
            convolutional networks by `AdamRecipe`.
        data: Its training examples are used.
        recipe: How to train.
        run_seeds: One seed per run.
        epochs: After so many of them, ascending, 1 to the recipe's.
        initial: Where all runs start; None: each from an initialization of its own.
        on_epoch: Called with (epochs done, epochs in all).

    Raises:
        ValueError: Network and recipe do not fit.
    """
    if isinstance(network, SmallCNN) and isinstance(recipe, AdamRecipe):
        first = min(epochs)
        kept = recipe.epochs - first + 1
        saved = train_epochs(
            network, data, recipe, run_seeds, kept, initial=initial, on_epoch=on_epoch
        )
        return saved[:, [epoch - first for epoch in epochs]]
    if isinstance(network, OneHiddenMLP | StackedNetwork) and isinstance(recipe, Recipe):
        per_epoch = recipe.steps(len(data.train_y)) // recipe.epochs
        steps = torch.tensor([[per_epoch * epoch for epoch in epochs]] * len(run_seeds))
        return train_trajectories(
            network, data, recipe, run_seeds, steps, initial=initial, on_epoch=on_epoch
        ).weights
    raise ValueError(f"{network.name} is not trained by {type(recipe).__name__}")
