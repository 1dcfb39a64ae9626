"""Populations of independent runs: one checkpoint per run, each from its own seed.

The first rows are training runs, the rest held-out runs of the same recipe, which no generator
may see. A build is a sequence of fixed blocks of runs and can be stopped and resumed at any.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.data.images import ImageData, load_data
from novelweights.errors import InputError
from novelweights.networks.mlp import OneHiddenMLP
from novelweights.seeding import seed_for
from novelweights.tasks.classification import loss_and_accuracy
from novelweights.weights.population import PopulationInfo, Records
from novelweights.weights.writer import PopulationWriter
from novelweights.zoos.training import RUNS_AT_ONCE, Recipe, train_batched

BLOCK_RUNS = RUNS_AT_ONCE


@dataclass(frozen=True)
class IndependentRuns:
    """A zoo of single-checkpoint runs."""

    name: str
    network: OneHiddenMLP
    data_name: str
    recipe: Recipe
    task_name: str
    """The task that judges the checkpoints."""
    description: str
    runs: int
    """Training runs if not said otherwise."""
    heldout_runs: int
    """Held-out runs if not said otherwise."""


@dataclass(frozen=True)
class _Run:
    name: str
    split: str
    seed: int


def build(
    zoo: IndependentRuns,
    folder: Path,
    *,
    runs: int | None = None,
    heldout_runs: int | None = None,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Train a zoo's runs into a population folder.

    Args:
        zoo: What to train.
        folder: The population folder to write.
        runs: Training runs; the zoo's own number if None.
        heldout_runs: Held-out runs; the zoo's own number if None.
        seed: Root of all seeds; a run's seed depends on it and on the run's name only.
        resume: Go on with an unfinished build.
        overwrite: Replace a finished folder.
        progress: Called with (work done in runs, runs in all).

    Raises:
        InputError: No training run asked for, the data or the folder do not allow it, or a run
            diverged.
    """
    runs = zoo.runs if runs is None else runs
    heldout_runs = zoo.heldout_runs if heldout_runs is None else heldout_runs
    if runs < 1 or heldout_runs < 0:
        raise InputError(
            f"expected at least 1 run and 0 or more held-out runs, got {runs} and {heldout_runs}"
        )
    data = load_data(zoo.data_name)
    plan = [_Run(f"train-{i:05d}", "train", seed_for(seed, "run", i)) for i in range(runs)]
    plan += [
        _Run(f"heldout-{i:05d}", "heldout", seed_for(seed, "heldout", i))
        for i in range(heldout_runs)
    ]
    info = PopulationInfo(
        recipe=zoo.name,
        settings=_settings(zoo, data, seed, runs, heldout_runs),
        architecture=zoo.network.name,
        symmetry=zoo.network.symmetry,
        task=zoo.task_name,
    )
    layout = zoo.network.layout
    with PopulationWriter(
        folder, layout, info, len(plan), resume=resume, overwrite=overwrite
    ) as writer:
        while writer.rows_done < len(plan):
            done = writer.rows_done
            block = plan[done : done + BLOCK_RUNS]

            def on_epoch(epochs: int, of: int, done: int = done, n: int = len(block)) -> None:
                if progress is not None:
                    progress(done + n * epochs // of, len(plan))

            weights = train_batched(
                zoo.network, data, zoo.recipe, [run.seed for run in block], on_epoch=on_epoch
            )
            _require_finite(zoo, block, weights)
            writer.append(weights, _records(zoo, data, block, weights))
        return writer.finish()


def _records(
    zoo: IndependentRuns, data: ImageData, block: list[_Run], weights: Float[Tensor, "n d"]
) -> Records:
    """Records with the scores of a block of runs."""
    test_loss, test_accuracy = loss_and_accuracy(zoo.network, weights, data.test_x, data.test_y)
    train_loss, _ = loss_and_accuracy(zoo.network, weights, data.train_x, data.train_y)
    return Records(
        run=np.array([run.name for run in block], dtype=object),
        split=np.array([run.split for run in block], dtype=object),
        step=np.full(len(block), zoo.recipe.steps(len(data.train_y)), dtype=np.int64),
        scores={
            "test_accuracy": test_accuracy.numpy(),
            "test_loss": test_loss.numpy(),
            "train_loss": train_loss.numpy(),
        },
    )


def _require_finite(zoo: IndependentRuns, block: list[_Run], weights: Tensor) -> None:
    finite = weights.isfinite().all(dim=1).tolist()
    diverged = [run.name for run, good in zip(block, finite, strict=True) if not good]
    if diverged:
        raise InputError(
            f"{zoo.name}: expected finite weights, but training diverged in "
            f"{', '.join(diverged)}; lower the learning rate {zoo.recipe.learning_rate}"
        )


def _settings(
    zoo: IndependentRuns, data: ImageData, seed: int, runs: int, heldout_runs: int
) -> dict[str, Any]:
    """What `population.json` says about the build: enough to repeat it."""
    return {
        "training": asdict(zoo.recipe),
        "data": {"name": data.name, "source": data.source, "sha256": data.sha256},
        "seed": seed,
        "runs": runs,
        "heldout_runs": heldout_runs,
        "versions": {
            "novelweights": metadata.version("novelweights"),
            "torch": torch.__version__,
            "numba": metadata.version("numba"),
        },
    }
