"""Training the small convolutional network by the recipe of its published zoos: Adam.

Many runs by compiled code; `benchmarks/plain_training.py` has the plain PyTorch loop of the same
recipe, the reference that it is tested and timed against. A run has its own initialization and data
order from its own seed, and is the same alone or among thousands.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.data.images import ImageData
from novelweights.networks.small_cnn import SmallCNN
from novelweights.zoos.cnn_kernel import Run, Steps, train_epoch
from novelweights.zoos.training import RUNS_AT_ONCE, full_batches, require_fit, require_sizes


@dataclass(frozen=True)
class AdamRecipe:
    """How a target network is trained: Adam with a constant learning rate.

    Source: the defaults are the SVHN zoo's of Hyper-Representations, up to the last epoch used.
    """

    epochs: int = 25
    batch_size: int = 10
    """An incomplete last batch is dropped."""
    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    """Added to the gradient (not decoupled), on all parameters, biases included."""

    def __post_init__(self) -> None:
        require_sizes(self.epochs, self.batch_size)

    def steps(self, n_examples: int) -> int:
        """Optimizer steps of a whole run.

        Raises:
            InputError: Not even one full batch.
        """
        return self.epochs * full_batches(n_examples, self.batch_size)


def train_epochs(
    network: SmallCNN,
    data: ImageData,
    recipe: AdamRecipe,
    run_seeds: Sequence[int],
    kept: int,
    *,
    initial: Float[Tensor, " d"] | None = None,
    on_epoch: Callable[[int, int], None] | None = None,
) -> Float[Tensor, "n kept d"]:
    """Checkpoints at the ends of every run's last `kept` epochs.

    Args:
        network: Target network.
        data: Its training examples are used.
        recipe: How to train.
        run_seeds: One seed per run, for initialization and data order.
        kept: 1 to the number of epochs.
        initial: Where all runs start; None: each from an initialization of its own. The data order
            of a run is the same either way.
        on_epoch: Called after each epoch of a group of runs with (epochs done, epochs in all),
            counted over all runs.
    """
    require_fit(network, data)
    if not 1 <= kept <= recipe.epochs:
        raise ValueError(f"1 to {recipe.epochs} epochs can be kept, not {kept}")
    saved = torch.empty(len(run_seeds), kept, network.layout.size)
    for start in range(0, len(run_seeds), RUNS_AT_ONCE):
        group = run_seeds[start : start + RUNS_AT_ONCE]
        for epoch, weights in enumerate(_epochs(network, data, recipe, group, initial)):
            if (at := epoch - (recipe.epochs - kept)) >= 0:
                saved[start : start + len(group), at] = weights
            if on_epoch is not None:
                done = start * recipe.epochs + len(group) * (epoch + 1)
                on_epoch(done, len(run_seeds) * recipe.epochs)
    return saved


def _epochs(
    network: SmallCNN,
    data: ImageData,
    recipe: AdamRecipe,
    run_seeds: Sequence[int],
    initial: Float[Tensor, " d"] | None,
) -> Iterator[Float[Tensor, "n d"]]:
    """The weights of some runs after each epoch; they go on changing in place."""
    per_epoch = full_batches(len(data.train_y), recipe.batch_size)
    x, y = np.ascontiguousarray(data.train_x.numpy()), data.train_y.numpy()
    rngs = [torch.Generator().manual_seed(seed) for seed in run_seeds]
    weights = torch.stack([network.initial(rng) for rng in rngs])  # drawn before the data order
    if initial is not None:
        weights = initial.repeat(len(weights), 1)
    mean, square = torch.zeros_like(weights), torch.zeros_like(weights)
    steps = Steps(recipe.batch_size, recipe.learning_rate, recipe.weight_decay)

    def one_epoch(run: int, epoch: int) -> None:
        order = torch.randperm(len(y), generator=rngs[run]).numpy()
        train_epoch(
            x,
            y,
            order,
            Run(weights[run].numpy(), mean[run].numpy(), square[run].numpy()),
            epoch * per_epoch,
            steps,
            network.activation == "gelu",
        )

    with ThreadPoolExecutor(numba.get_num_threads()) as threads:
        for epoch in range(recipe.epochs):
            list(threads.map(one_epoch, range(len(rngs)), [epoch] * len(rngs)))
            yield weights
