"""Checkpoints of the same runs as pairs, an earlier and a later one: what G.pt learns from.

Source: G.pt's released code (how pairs are drawn).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from novelweights.errors import InputError
from novelweights.generators.parts.fitted import require_network
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Which checkpoints of a population are of one run, in the order of their steps."""

    rows: Int[Tensor, " checkpoints"]
    """Rows of the population, run by run, each by step."""
    first: Int[Tensor, " runs"]
    """Where each run begins in `rows`."""
    lengths: Int[Tensor, " runs"]
    losses: Float[Tensor, " checkpoints"]
    """By row of the population."""

    @classmethod
    def of(cls, population: Population, metric: str, role: str) -> "Trajectories":
        """The runs of a population; `role` says in messages whose they are.

        Raises:
            InputError: A run has one checkpoint only, or a checkpoint has no finite `metric`.
        """
        losses = checkpoint_scores(population, metric, role)
        records = population.records
        names, run = np.unique(records.run.astype(str), return_inverse=True)
        rows = np.lexsort((np.arange(len(records)), records.step, run))
        lengths = np.bincount(run, minlength=len(names))
        short = names[lengths < 2]
        if len(short):
            raise InputError(
                f"{role}: g-pt takes pairs of checkpoints of one run, but {len(short)} of "
                f"{len(names)} runs have one only (first: {short[0]}); expected 2 or more of "
                "each. Build a zoo that keeps steps (`novelweights ls zoos`), or name the run "
                "of each checkpoint in records.csv",
                "too-few",
            )
        first = np.concatenate([[0], lengths.cumsum()[:-1]])
        return cls(
            torch.from_numpy(rows), torch.from_numpy(first), torch.from_numpy(lengths), losses
        )

    def draw_pairs(
        self, n: int, rng: torch.Generator
    ) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
        """Rows of n earlier and n later checkpoints: a run, how far apart (uniform from 1 to all
        the way), then where, each uniform. Source: G.pt's released code. Departure: the runs are
        drawn with replacement."""
        run = torch.randint(len(self.first), (n,), generator=rng)
        u = torch.rand(2, n, generator=rng, dtype=torch.float64)
        spacing = 1 + (u[0] * (self.lengths[run] - 1)).long()
        at = self.first[run] + (u[1] * (self.lengths[run] - spacing)).long()
        return self.rows[at], self.rows[at + spacing]

    def ends(self) -> tuple[Int[Tensor, " runs"], Int[Tensor, " runs"]]:
        """Rows of the first and of the last checkpoint of each run."""
        return self.rows[self.first], self.rows[self.first + self.lengths - 1]


def checkpoint_scores(population: Population, metric: str, role: str) -> Float[Tensor, " n"]:
    """A score that a generator learns from, of every checkpoint.

    Raises:
        InputError: It is missing, or not finite, in some checkpoint.
    """
    scores = population.records.scores
    if metric not in scores:
        raise InputError(
            f"{role}: expected the score {metric} of each checkpoint (a column of records.csv), "
            f"got {', '.join(scores) or 'no scores'}; measure it, or name another with --metric",
            "wrong-records",
        )
    losses = np.asarray(scores[metric], dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(losses))
    if len(bad):
        raise InputError(
            f"{role}: {metric} is missing or infinite in {len(bad)} of {len(losses)} checkpoints "
            f"(first: row {bad[0]}, run {population.records.run[bad[0]]}); expected a finite "
            "number for each. Leave these checkpoints out or measure them",
            "wrong-records",
        )
    return torch.from_numpy(losses).float()


def starts_for(
    layout: WeightLayout, start: Population, metric: str
) -> tuple[Population, Float[Tensor, " n"]]:
    """Checkpoints to begin from, parameters in the order of a generator's layout, and their losses.

    Raises:
        InputError: They are of another network, not finite, or without a loss.
    """
    start = require_network(start, layout, "start")
    return start, checkpoint_scores(start, metric, "start")
