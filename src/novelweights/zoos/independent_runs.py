"""Populations of independent runs, each from its own seed: their last checkpoints, or trajectories.

The first rows are training runs, the rest held-out runs of the same recipe, which no generator
may see, and initializations of yet other runs, from which a conditional generator may begin. A
build is a sequence of blocks of runs and can be stopped and resumed at any.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from novelweights.data.images import ImageData, load_data
from novelweights.errors import InputError
from novelweights.networks.mlp import DeepMLP, OneHiddenMLP
from novelweights.networks.small_cnn import SmallCNN
from novelweights.tasks.classification import loss_and_accuracy
from novelweights.weights.population import PopulationInfo, Records
from novelweights.weights.writer import PopulationWriter
from novelweights.zoos.cnn_training import AdamRecipe, train_epochs
from novelweights.zoos.network_builds import versions
from novelweights.zoos.planned_runs import (
    PlannedRun,
    ends_of_last_epochs,
    kept_steps,
    planned_runs,
    require_epochs,
    require_steps,
)
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

    def require(self, checkpoints: int, last_step: int) -> None:
        """Refuse a number of checkpoints that a run of so many steps does not have.

        Raises:
            InputError: That number is too small or too large.
        """
        if self.keep == "random":
            require_steps(checkpoints, last_step)
        else:
            require_epochs(checkpoints, self.recipe.epochs)

    def steps_of(self, run_seed: int, checkpoints: int, last_step: int) -> Int[Tensor, " saves"]:
        """The steps of a run that are kept, ascending."""
        if self.keep == "random":
            return kept_steps(run_seed, checkpoints, last_step)
        return ends_of_last_epochs(checkpoints, self.recipe.epochs, last_step)


@dataclass(frozen=True, eq=False)
class Plan:
    """What a build will train, and on what."""

    runs: list[PlannedRun]
    data: ImageData
    counts: Mapping[str, int]
    """Of training runs, held-out runs, checkpoints of each run, and start runs, as `build` calls
    them."""


def plan_build(
    zoo: IndependentRuns,
    *,
    runs: int | None = None,
    heldout_runs: int | None = None,
    checkpoints: int | None = None,
    start_runs: int | None = None,
    seed: int = 0,
) -> Plan:
    """All of a build that can be refused before anything is trained or written.

    Args are those of `build`.

    Raises:
        InputError: Numbers of runs or checkpoints that cannot be, or the data have to be fetched
            first.
    """
    runs = zoo.runs if runs is None else runs
    heldout_runs = zoo.heldout_runs if heldout_runs is None else heldout_runs
    checkpoints = zoo.checkpoints if checkpoints is None else checkpoints
    start_runs = zoo.start_runs if start_runs is None else start_runs
    planned = planned_runs(seed, runs=runs, heldout_runs=heldout_runs, start_runs=start_runs)
    data = load_data(zoo.data_name)
    zoo.require(checkpoints, zoo.recipe.steps(len(data.train_y)))
    counts = {
        "runs": runs,
        "heldout_runs": heldout_runs,
        "checkpoints": checkpoints,
        "start_runs": start_runs,
    }
    return Plan(planned, data, counts)


def build(
    zoo: IndependentRuns,
    folder: Path,
    *,
    runs: int | None = None,
    heldout_runs: int | None = None,
    checkpoints: int | None = None,
    start_runs: int | None = None,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Train a zoo's runs into a population folder.

    Rows are run after run, each ascending by step. Scores are test_accuracy (percent) and test_loss
    (nats) of the test set; except where ends of epochs are kept, more of them: where one checkpoint
    is kept of a run, train_loss of the training set; where more are, batch_loss and batch_accuracy
    of the minibatch that led to the checkpoint (see `Trajectories`), NaN for the split "start".

    Args:
        zoo: What to train.
        folder: The population folder to write.
        runs: Training runs; the zoo's own number if None.
        heldout_runs: Held-out runs; the zoo's own number if None.
        checkpoints: Kept of each run, as `keep` says; the zoo's own number if None.
        start_runs: Initializations of yet other runs; the zoo's own number if None.
        seed: Root of all seeds; a run's seed depends on it and on the run's name only.
        resume: Go on with an unfinished build.
        overwrite: Replace a finished folder.
        progress: Called with (work done in runs, runs to train).

    Raises:
        InputError: Numbers of runs or checkpoints that cannot be, the data or the folder do not
            allow it, or a run diverged.
    """
    planned = plan_build(
        zoo,
        runs=runs,
        heldout_runs=heldout_runs,
        checkpoints=checkpoints,
        start_runs=start_runs,
        seed=seed,
    )
    plan, data, counts = planned.runs, planned.data, planned.counts
    checkpoints, start_runs = counts["checkpoints"], counts["start_runs"]
    info = PopulationInfo(
        recipe=zoo.name,
        settings=_settings(zoo, data, {"seed": seed, **counts}),
        architecture=zoo.network.name,
        symmetry=zoo.network.symmetry,
        task=zoo.task_name,
    )
    layout = zoo.network.layout
    n_trained = counts["runs"] + counts["heldout_runs"]
    ends = np.cumsum([checkpoints] * n_trained + [1] * start_runs)  # the row after each run's last
    with PopulationWriter(
        folder,
        layout,
        info,
        int(ends[-1]),
        resume=resume,
        overwrite=overwrite,
        shard_bytes=sys.maxsize,  # one shard: each split of it opens as a memory map
    ) as writer:
        while writer.rows_done < ends[-1]:
            done = int(np.searchsorted(ends, writer.rows_done, side="right"))
            if done >= n_trained:
                writer.append(
                    *_initializations(zoo, data, plan[done : done + BLOCK_RUNS], checkpoints)
                )
                continue
            at_once = min(BLOCK_RUNS, max(1, BLOCK_BYTES // (4 * layout.size * checkpoints)))
            block = plan[done : min(done + at_once, n_trained)]

            def on_epoch(epochs: int, of: int, done: int = done, n: int = len(block)) -> None:
                if progress is not None:
                    progress(done + n * epochs // of, n_trained)

            writer.append(*_trained(zoo, data, block, checkpoints, on_epoch))
        return writer.finish()


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
            f"{', '.join(diverged)}; lower the learning rate {zoo.recipe.learning_rate}"
        )


def _settings(zoo: IndependentRuns, data: ImageData, counts: Mapping[str, int]) -> dict[str, Any]:
    """What `population.json` says about the build: enough to repeat it."""
    return {
        "network": asdict(zoo.network),
        "training": asdict(zoo.recipe),
        "keep": zoo.keep,
        "data": {"name": data.name, "source": data.source, "sha256": data.sha256},
        **counts,
        "versions": versions("numba"),
    }
