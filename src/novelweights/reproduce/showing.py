"""Which samples pictures show, and the training checkpoints nearest to them as the paper takes it.

Samples drawn at random and some along the order of distance. Nearest is under plain L2, for G.pt
over reorderings of hidden neurons, for Hyper-Representations among the reconstructions of all
epochs. Source: paper, section 3.1 and appendices A, B.1 and B.2.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from novelweights.auditing.prepare import Prepared
from novelweights.metrics.alignment import Alignment
from novelweights.metrics.neighbors import Neighbors, nearest
from novelweights.reproduce.comparing import AS_IN_THE_PAPER
from novelweights.weights.population import Population

PERCENTILES = (0, 25, 50, 75, 100)
"""Of samples by distance. Source: paper, figures 12 and 14."""
EVERY_STEP = ("hyper-representations",)
"""Whose neighbors are sought among all epochs; of others the last step of each run counts."""


@dataclass(frozen=True, eq=False)
class Shown:
    """The samples that are shown, and all that lies near to every sample."""

    training: Population
    """What is searched."""
    generated: Population
    alignment: Alignment | None
    near: Neighbors
    """Of every sample."""
    random: Int[np.ndarray, " r"]
    """Rows of samples drawn at random."""
    percentiles: Int[np.ndarray, " p"]
    """Rows of samples along the order of distance."""

    @classmethod
    def of(
        cls, method: str, given: Prepared, n_random: int, *, k: int = 1, rng: np.random.Generator
    ) -> "Shown":
        """Those of a method, with the k nearest of each sample, or as many as there are."""
        training, generated = given.train, given.generated
        if method in EVERY_STEP:
            training = given.all_training or training
        alignment = given.alignment if AS_IN_THE_PAPER.get(method) == "aligned" else None
        k = min(k, len(training))
        near = nearest(generated.learned, training.learned, k=k, alignment=alignment)
        order = np.argsort(near.distances[:, 0], kind="stable")
        along = np.array([order[round(p / 100 * (len(order) - 1))] for p in PERCENTILES])
        drawn = rng.permutation(len(generated))[:n_random]
        return cls(training, generated, alignment, near, drawn, along)

    def name_of(self, row: int) -> str:
        """Run and step of a training checkpoint."""
        record = self.training.records[row]
        return f"{record.run}, step {record.step}"

    @property
    def counts(self) -> dict[str, int]:
        """Of both kinds, for a caption."""
        return {"training": len(self.training), "generated": len(self.generated)}
