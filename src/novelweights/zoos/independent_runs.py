"""Populations of independent runs, each from its own seed: their last checkpoints, or trajectories.

The first rows are training runs, the rest held-out runs of the same recipe, which no generator
may see, and initializations of yet other runs, from which a conditional generator may begin. A
build is a sequence of blocks of runs and can be stopped and resumed at any.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from novelweights.data.images import ImageData, load_data
from novelweights.errors import InputError
from novelweights.networks.mlp import DeepMLP, OneHiddenMLP
from novelweights.networks.small_cnn import SmallCNN
from novelweights.seeding import rng_for
from novelweights.tasks.classification import loss_and_accuracy
from novelweights.weights.population import Records
from novelweights.zoos.builds import Build, PlannedRun, data_settings
from novelweights.zoos.cnn_training import AdamRecipe, train_epochs
from novelweights.zoos.training import RUNS_AT_ONCE, Recipe, train_trajectories

BLOCK_RUNS = RUNS_AT_ONCE
BLOCK_BYTES = 256 << 20  # of checkpoints in memory, unless one run alone has more
KEEP = ("random", "last-epochs")


@dataclass(frozen=True)
class IndependentRuns:
    """A zoo of runs of which one or more checkpoints are kept.

    Multilayer perceptrons are trained by `Recipe`, convolutional ones by `AdamRecipe`, of
    which the ends of epochs are kept.
    """

    name: str
    network: OneHiddenMLP | DeepMLP | SmallCNN
    data_name: str
    recipe: Recipe | AdamRecipe
    task_name: str
    """The task that judges the checkpoints."""
    description: str
    runs: int
    """Training runs if not said otherwise."""
    heldout_runs: int
    """Held-out runs if not said otherwise."""
    checkpoints: int = 1
    """Kept of each run if not said otherwise; see `keep`."""
    start_runs: int = 0
    """Initializations of yet other runs if not said otherwise."""
    keep: str = "random"
    """random: of one checkpoint the last, of more the initialization, random steps and the last.
    last-epochs: the ends of the last epochs."""

    def __post_init__(self) -> None:
        is_cnn = isinstance(self.network, SmallCNN)
        if self.keep not in KEEP or is_cnn != isinstance(self.recipe, AdamRecipe):
            raise ValueError(f"{self.name}: network, recipe and what is kept do not fit")
        if is_cnn and self.keep != "last-epochs":
            raise ValueError(f"{self.name}: of {self.network.name} the ends of epochs are kept")

    def data_for(self, counts: Mapping[str, int]) -> ImageData:
        """What to train on, if these counts can be.

        Raises:
            InputError: A run does not have as many checkpoints, or the data have to be fetched
                first.
        """
        data, n = load_data(self.data_name), counts["checkpoints"]
        last = self.recipe.steps(len(data.train_y))
        most, which = last + 1, f"it has {last} steps and an initialization"
        if self.keep == "last-epochs":
            most, which = self.recipe.epochs, "the ends of its last epochs"
        if not 1 <= n <= most:
            raise InputError(
                f"expected 1 to {most} checkpoints of each run ({which}), got {n}; 1 keeps the "
                "last only",
                "wrong-option",
            )
        return data

    def steps_of(self, run_seed: int, checkpoints: int, last_step: int) -> Int[Tensor, " saves"]:
        """The steps of a run that are kept, ascending."""
        if self.keep == "random":
            return kept_steps(run_seed, checkpoints, last_step)
        epochs = self.recipe.epochs  # Source: Hyper-Representations trains on epochs 21 to 25
        return torch.arange(epochs - checkpoints + 1, epochs + 1) * (last_step // epochs)

    def build(self, how: Build) -> Path:
        """Train the runs into a population folder.

        Rows are run after run, each ascending by step. Scores are test_accuracy (percent) and
        test_loss (nats) of the test set; except where ends of epochs are kept, more of them: where
        one checkpoint is kept of a run, train_loss of the training set; where more are, batch_loss
        and batch_accuracy of the minibatch that led to the checkpoint (see `Trajectories`), NaN for
        the split "start". Progress is in runs.

        Raises:
            InputError: As `zoos.building.build`.
        """
        data, runs, checkpoints = self.data_for(how.counts), how.runs, how.counts["checkpoints"]
        settings = {
            "training": asdict(self.recipe),
            "keep": self.keep,
            "data": data_settings(data),
        }
        n_rows = np.array([1 if run.split == "start" else checkpoints for run in runs])
        ends, n_trained = n_rows.cumsum(), how.counts["runs"] + how.counts["heldout_runs"]
        at_once = BLOCK_BYTES // (4 * self.network.layout.size * checkpoints)
        at_once = min(BLOCK_RUNS, max(1, at_once))
        with how.writer(
            self,
            self.network,
            settings,
            int(ends[-1]),
            packages=("numba",),
            shard_bytes=sys.maxsize,  # one shard: each split of it opens as a memory map
        ) as writer:
            while writer.rows_done < ends[-1]:
                done = int(np.searchsorted(ends, writer.rows_done, side="right"))
                if done >= n_trained:
                    block = runs[done : done + BLOCK_RUNS]
                    writer.append(*_initializations(self, data, block, checkpoints))
                    continue
                block = runs[done : min(done + at_once, n_trained)]

                def on_epoch(epochs: int, of: int, done: int = done, n: int = len(block)) -> None:
                    if how.progress is not None:
                        how.progress(done + n * epochs // of, n_trained)

                writer.append(*_trained(self, data, block, checkpoints, on_epoch))
            return writer.finish()


def kept_steps(run_seed: int, checkpoints: int, last_step: int) -> Int[Tensor, " saves"]:
    """The steps of a run that are kept, ascending.

    One: the last. More: the initialization (0), random steps between, each at most once, and the
    last.

    Source: G.pt's released checkpoints, 200 of each run.
    """
    if checkpoints == 1:
        return torch.tensor([last_step])
    between = torch.randperm(last_step - 1, generator=rng_for(run_seed, "steps")) + 1
    some = between[: checkpoints - 2].sort().values
    return torch.cat([torch.tensor([0]), some, torch.tensor([last_step])])


def _trained(
    zoo: IndependentRuns,
    data: ImageData,
    block: list[PlannedRun],
    checkpoints: int,
    on_epoch: Callable[[int, int], None],
) -> tuple[Float[Tensor, "rows d"], Records]:
    """The checkpoints of a block of runs and their records."""
    last = zoo.recipe.steps(len(data.train_y))
    steps = torch.stack([zoo.steps_of(run.seed, checkpoints, last) for run in block])
    seeds = [run.seed for run in block]
    batch_scores: dict[str, Tensor] = {}
    if isinstance(zoo.recipe, AdamRecipe):
        cnn = cast(SmallCNN, zoo.network)  # checked when the zoo was made
        weights = train_epochs(cnn, data, zoo.recipe, seeds, checkpoints, on_epoch=on_epoch)
    else:
        mlp = cast(OneHiddenMLP | DeepMLP, zoo.network)
        made = train_trajectories(mlp, data, zoo.recipe, seeds, steps, on_epoch=on_epoch)
        weights = made.weights
        batch_scores = {"batch_loss": made.batch_loss, "batch_accuracy": made.batch_accuracy}
    _require_finite(zoo, block, weights)
    records = _records(zoo, data, block, steps, weights, batch_scores, checkpoints)
    return weights.flatten(0, 1), records


def _initializations(
    zoo: IndependentRuns, data: ImageData, block: list[PlannedRun], checkpoints: int
) -> tuple[Float[Tensor, "rows d"], Records]:
    """Where the runs of a block would begin, and the records."""
    rngs = [torch.Generator().manual_seed(run.seed) for run in block]
    weights = torch.stack([zoo.network.initial(rng) for rng in rngs])
    unseen = torch.full((len(block), 1), torch.nan)  # no run, no minibatch
    batch_scores = {"batch_loss": unseen, "batch_accuracy": unseen}
    steps = torch.zeros(len(block), 1, dtype=torch.int64)
    records = _records(zoo, data, block, steps, weights[:, None], batch_scores, checkpoints)
    return weights, records


def _records(
    zoo: IndependentRuns,
    data: ImageData,
    block: list[PlannedRun],
    steps: Int[Tensor, "runs saves"],
    weights: Float[Tensor, "runs saves d"],
    batch_scores: Mapping[str, Float[Tensor, "runs saves"]],
    checkpoints: int,
) -> Records:
    """Records with the scores of a block of runs."""
    saves = steps.shape[1]
    # a trajectory is scored by itself, so that its scores do not depend on the runs beside it
    parts = list(weights) if saves > 1 else [weights[:, 0]]
    test = [loss_and_accuracy(zoo.network, part, data.test_x, data.test_y) for part in parts]
    test_loss, test_accuracy = (torch.cat(column) for column in zip(*test, strict=True))
    scores = {"test_accuracy": test_accuracy, "test_loss": test_loss}
    if zoo.keep == "random" and checkpoints > 1:
        scores |= batch_scores
    elif zoo.keep == "random":
        [part] = parts
        scores["train_loss"], _ = loss_and_accuracy(zoo.network, part, data.train_x, data.train_y)
    return Records(
        run=np.repeat(np.array([run.name for run in block], dtype=object), saves),
        split=np.repeat(np.array([run.split for run in block], dtype=object), saves),
        step=steps.flatten().numpy(),
        scores={name: column.flatten().numpy() for name, column in scores.items()},
    )


def _require_finite(
    zoo: IndependentRuns, block: list[PlannedRun], weights: Float[Tensor, "runs saves d"]
) -> None:
    finite = weights.isfinite().all(dim=2).all(dim=1).tolist()
    diverged = [run.name for run, good in zip(block, finite, strict=True) if not good]
    if diverged:
        raise InputError(
            f"{zoo.name}: expected finite weights, but training diverged in "
            f"{', '.join(diverged)}; lower the learning rate {zoo.recipe.learning_rate}",
            "not-finite",
        )
