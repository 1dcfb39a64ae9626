"""The one loop that trains target networks: many runs of a recipe as one computation.

Every run has its own initialization and its own data order, drawn from its own seed, so a run is
the same alone or among thousands; where runs share an initialization, only the data order is their
own. `benchmarks/plain_training.py` has the plain PyTorch loop of the same recipe, the reference
that the fast one is tested and timed against.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from novelweights.data.images import ImageData
from novelweights.errors import InputError
from novelweights.networks.mlp import OneHiddenMLP
from novelweights.networks.network import TargetNetwork
from novelweights.zoos.sgd_kernel import Runs, Sgd, train_epoch
from novelweights.zoos.stacked_training import StackedNetwork, stacked_epoch

RUNS_AT_ONCE = 32  # bounds memory (data orders, saved steps); results do not depend on it


@dataclass(frozen=True)
class Recipe:
    """How a target network is trained: SGD with Nesterov momentum and a cosine schedule.

    Source: the defaults are G.pt's MNIST recipe (released code).
    """

    epochs: int = 25
    batch_size: int = 128
    """An incomplete last batch is dropped."""
    learning_rate: float = 0.1
    """At the start; falls to 0 along a cosine, constant inside an epoch."""
    momentum: float = 0.9
    weight_decay: float = 5e-4
    """On all parameters, biases included."""

    def __post_init__(self) -> None:
        require_sizes(self.epochs, self.batch_size)

    def learning_rate_in(self, epoch: int) -> float:
        """The learning rate inside an epoch, counted from 0."""
        return self.learning_rate / 2 * (1 + math.cos(math.pi * epoch / self.epochs))

    def sgd_in(self, epoch: int) -> Sgd:
        """The steps of an epoch, counted from 0."""
        rate = self.learning_rate_in(epoch)
        return Sgd(self.batch_size, rate, self.momentum, self.weight_decay)

    def steps(self, n_examples: int) -> int:
        """Optimizer steps of a whole run.

        Raises:
            InputError: Not even one full batch.
        """
        return self.epochs * full_batches(n_examples, self.batch_size)


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Checkpoints along n runs, and the minibatch that led to each as the training loop saw it.

    The minibatch of a checkpoint is that of its step, scored by the weights before the step; of an
    initialization (step 0) the first minibatch, scored by the initialization.
    """

    weights: Float[Tensor, "n saves d"]
    batch_loss: Float[Tensor, "n saves"]
    """Mean cross-entropy in nats."""
    batch_accuracy: Float[Tensor, "n saves"]
    """Percent."""


def train_batched(
    network: OneHiddenMLP | StackedNetwork,
    data: ImageData,
    recipe: Recipe,
    run_seeds: Sequence[int],
    *,
    initial: Float[Tensor, " d"] | None = None,
    on_epoch: Callable[[int, int], None] | None = None,
) -> Float[Tensor, "n d"]:
    """The last checkpoint of every run, n runs trained together; see `train_trajectories`."""
    last = torch.full((len(run_seeds), 1), recipe.steps(len(data.train_y)))
    return train_trajectories(
        network, data, recipe, run_seeds, last, initial=initial, on_epoch=on_epoch
    ).weights[:, 0]


def train_trajectories(
    network: OneHiddenMLP | StackedNetwork,
    data: ImageData,
    recipe: Recipe,
    run_seeds: Sequence[int],
    save_steps: Int[Tensor, "n saves"],
    *,
    initial: Float[Tensor, " d"] | None = None,
    on_epoch: Callable[[int, int], None] | None = None,
) -> Trajectories:
    """Checkpoints along every run, at steps chosen for each run; step 0 is the initialization.

    Args:
        network: Target network.
        data: Its training examples are used.
        recipe: How to train.
        run_seeds: One seed per run, for initialization and data order.
        save_steps: Optimizer steps after which the weights are kept, ascending in each row.
        initial: Where all runs start; None: each from an initialization of its own. The data order
            of a run is the same either way.
        on_epoch: Called after each epoch of a group of runs with (epochs done, epochs in all),
            counted over all runs.

    Raises:
        ValueError: Network and data do not fit, or a step is out of order or beyond the last.
    """
    require_fit(network, data)
    n_steps = recipe.steps(len(data.train_y))
    if save_steps.numel() and (save_steps.min() < 0 or save_steps.max() > n_steps):
        raise ValueError(f"steps to save must be in 0..{n_steps}")
    if (save_steps.diff(dim=1) < 0).any():
        raise ValueError("steps to save must ascend in each row")
    d, n_saves = network.layout.size, save_steps.shape[1]
    saved = torch.empty(len(run_seeds), n_saves, d)
    loss, accuracy = torch.empty(2, len(run_seeds), n_saves, dtype=torch.float64)
    for start in range(0, len(run_seeds), RUNS_AT_ONCE):
        group = slice(start, start + RUNS_AT_ONCE)
        rngs = [torch.Generator().manual_seed(seed) for seed in run_seeds[group]]
        starts = torch.stack([network.initial(rng) for rng in rngs])  # drawn before the data order
        if initial is not None:
            starts = initial.repeat(len(rngs), 1)
        saved[group] = starts[:, None]  # what is kept of step 0
        steps = save_steps[group].to(torch.int64).contiguous()
        runs = Runs(
            starts, torch.zeros_like(starts), saved[group], steps, loss[group], accuracy[group]
        )
        for epoch in range(recipe.epochs):
            order = torch.stack([torch.randperm(len(data.train_y), generator=rng) for rng in rngs])
            first_step = n_steps // recipe.epochs * epoch
            _epoch(network, data, order, runs, first_step, recipe.sgd_in(epoch))
            if on_epoch is not None:
                done = start * recipe.epochs + len(rngs) * (epoch + 1)
                on_epoch(done, len(run_seeds) * recipe.epochs)
    return Trajectories(saved, loss, accuracy)


def _epoch(
    network: OneHiddenMLP | StackedNetwork,
    data: ImageData,
    order: Int[Tensor, "runs examples"],
    runs: Runs,
    first_step: int,
    how: Sgd,
) -> None:
    """One epoch of all runs, by the loop that their network has."""
    if not isinstance(network, OneHiddenMLP):
        stacked_epoch(network, data.train_x, data.train_y, order, runs, first_step, how)
        return
    x, y = np.ascontiguousarray(data.train_x.numpy()), data.train_y.numpy()
    arrays = Runs(*(value.numpy() for value in runs))
    how = Sgd(how.batch_size, *map(np.float32, how[1:]))
    shape = (network.hidden, network.classes, network.activation == "tanh")
    train_epoch(x, y, order.numpy(), arrays, first_step, how, shape)


def require_sizes(epochs: int, batch_size: int) -> None:
    """Refuse a recipe without steps.

    Raises:
        InputError: Epochs or batch size are below 1.
    """
    if epochs < 1 or batch_size < 1:
        raise InputError(
            f"expected at least 1 epoch and a batch of at least 1, got {epochs} and {batch_size}; "
            "give positive numbers",
            "wrong-option",
        )


def full_batches(n_examples: int, batch_size: int) -> int:
    """Full batches in an epoch.

    Raises:
        InputError: Not even one.
    """
    if n_examples < batch_size:
        raise InputError(
            f"a batch of {batch_size} does not fit into {n_examples} training examples; "
            "choose a smaller batch",
            "wrong-option",
        )
    return n_examples // batch_size


def require_fit(network: TargetNetwork, data: ImageData) -> None:
    """Refuse images or labels that a network does not take.

    Raises:
        ValueError: Other inputs, or more classes than it has.
    """
    inputs, classes = data.train_x.shape[1], int(data.train_y.max()) + 1
    if network.inputs != inputs or network.classes < classes or data.train_y.min() < 0:
        raise ValueError(
            f"{network.name} takes {network.inputs} inputs and has {network.classes} classes; "
            f"{data.name} has {inputs} and {classes}"
        )
