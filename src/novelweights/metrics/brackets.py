"""Nearest training checkpoints of networks with several groups of neurons: achieved and certified.

The best move of such a network onto another is not found for certain. So a distance is reported
that some move achieves, and a lower bound that none can undercut: a training checkpoint that was
not tried is proven not to be among the nearest, or not to be a copy. Source: ours (DESIGN 5).
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from novelweights.metrics.alignment import RESTARTS, SEED, Alignment, aligned_to
from novelweights.metrics.bounds import sorted_by_neuron, squared_bounds
from novelweights.metrics.descent import descend
from novelweights.metrics.symmetries import Moves, no_moves, random_moves

ROUNDS = 3
"""Times the training checkpoints are aligned to their mean."""
CANDIDATES = 32
"""So many of the nearest in the common frame are aligned to each query, and all that may be copies:
whose bound is below `COPY` of the nearest found."""
COPY = 0.5
"""DESIGN 5: the radius of a replica is half of the usual distance."""
REFINED = 6
"""So many of the nearest are aligned again, from the moves that suited the others and from random
ones."""


@dataclass(frozen=True, eq=False)
class Framed:
    """Reference checkpoints in one common frame, by neuron."""

    alignment: Alignment
    center: Float[Tensor, " d"]
    weights: Float[Tensor, "m d"]
    """The checkpoints there."""
    by_neuron: Float[np.ndarray, "m entries"]
    sorted_rows: Float[np.ndarray, "m entries"]
    outside: Float[np.ndarray, "m rest"]
    version: int
    """Of the tensor it was made of: changes with its values."""
    is_given: bool = False
    """Whether queries come in this frame already."""

    @classmethod
    def of(cls, reference: Float[Tensor, "m d"], alignment: Alignment) -> "Framed":
        """Made once for each reference tensor, as long as it lives unchanged."""
        found = _framed.get(reference)
        if (
            found is not None
            and found.version == reference._version
            and found.alignment == alignment
        ):
            return found
        weights, center = in_one_frame(reference, alignment)
        made = cls._of(weights, center, alignment, reference._version)
        _framed[reference] = made
        return made

    @classmethod
    def given(cls, weights: Float[Tensor, "m d"], alignment: Alignment) -> "Framed":
        """Checkpoints that share a frame by what else is known, as queries will too."""
        center = weights.mean(dim=0, dtype=torch.float64).to(weights.dtype)
        return replace(cls._of(weights, center, alignment, weights._version), is_given=True)

    @classmethod
    def _of(
        cls,
        weights: Float[Tensor, "m d"],
        center: Float[Tensor, " d"],
        alignment: Alignment,
        version: int,
    ) -> "Framed":
        arrangement = alignment.arrangement
        by_neuron = arrangement.by_neuron(weights)
        rows = sorted_by_neuron(arrangement, by_neuron)
        outside = arrangement.outside(weights)
        return cls(alignment, center, weights, by_neuron, rows, outside, version)

    def place(self, queries: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Checkpoints moved into this frame."""
        if self.is_given:
            return queries
        return aligned_to(self.center, queries, self.alignment)


_framed: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def in_one_frame(
    reference: Float[Tensor, "m d"], alignment: Alignment
) -> tuple[Float[Tensor, "m d"], Float[Tensor, " d"]]:
    """Checkpoints aligned to their common mean, a few rounds long, and that mean.

    The first target is the one of median norm, whatever their order.
    """
    by_norm = reference.double().norm(dim=1).argsort(stable=True)
    target, placed = reference[by_norm[len(by_norm) // 2]], reference
    for _ in range(ROUNDS):
        placed = aligned_to(target, placed, alignment)
        target = placed.mean(dim=0, dtype=torch.float64).to(reference.dtype)
    return placed, target


@dataclass(frozen=True, eq=False)
class Bracket:
    """What is known of one query's distance to every reference checkpoint, squared."""

    achieved: Float[np.ndarray, " m"]
    """By the best move found; infinite where none was tried."""
    lower: Float[np.ndarray, " m"]
    """What no move can undercut; infinite where a reference checkpoint does not count."""


def brackets(
    queries: Float[Tensor, "n d"],
    reference: Float[Tensor, "m d"],
    k: int,
    exclude: Bool[np.ndarray, "n m"] | None,
    alignment: Alignment,
) -> list[Bracket]:
    """Achieved distances of the k nearest and of all that may be copies, bounds of all others.

    Args:
        queries: Checkpoints whose neighbors are wanted.
        reference: Checkpoints searched.
        k: Neighbors wanted.
        exclude: True where a reference checkpoint does not count for a query.
        alignment: With more than one group of neurons.
    """
    framed = Framed.of(reference, alignment)
    placed = framed.place(queries)
    search = _Search.of(placed, framed)
    found = []
    for i in range(len(queries)):
        rows = np.arange(len(reference)) if exclude is None else np.flatnonzero(~exclude[i])
        found.append(search.bracket(i, rows, k))
    return found


@dataclass(frozen=True, eq=False)
class _Search:
    """Queries in the frame of the reference, by neuron."""

    framed: Framed
    placed: Float[Tensor, "n d"]
    by_neuron: Float[np.ndarray, "n entries"]
    sorted_rows: Float[np.ndarray, "n entries"]
    outside: Float[np.ndarray, "n rest"]

    @classmethod
    def of(cls, placed: Float[Tensor, "n d"], framed: Framed) -> "_Search":
        arrangement = framed.alignment.arrangement
        by_neuron = arrangement.by_neuron(placed)
        rows = sorted_by_neuron(arrangement, by_neuron)
        return cls(framed, placed, by_neuron, rows, arrangement.outside(placed))

    def bracket(self, i: int, rows: Int[np.ndarray, " k"], k: int) -> Bracket:
        framed, m = self.framed, len(self.framed.weights)
        arrangement = framed.alignment.arrangement
        apart = (framed.weights[torch.from_numpy(rows)] - self.placed[i]).square().sum(dim=1)
        rows = rows[np.argsort(apart.numpy(), kind="stable")]
        rest = np.square(framed.outside[rows] - self.outside[i]).sum(axis=1)
        lower, achieved = np.full(m, np.inf), np.full(m, np.inf)
        pairs = np.full(len(rows), i), rows
        bounds = squared_bounds(arrangement, self.sorted_rows, framed.sorted_rows, pairs)
        lower[rows] = bounds + rest
        moves = no_moves(m, arrangement)
        n_first = max(CANDIDATES, k)
        self._try(i, rows[:n_first], moves, achieved)
        radius = COPY**2 * (achieved[rows] + rest).min()
        others = rows[n_first:]
        self._try(i, others[lower[others] <= radius], moves, achieved)
        nearest = np.argsort(achieved, kind="stable")[: max(REFINED, k)]
        self._refine(i, nearest[np.isfinite(achieved[nearest])], moves, achieved)
        achieved[rows] += rest  # every move has it
        return Bracket(achieved, np.minimum(lower, achieved))

    def _try(self, i: int, rows: Int[np.ndarray, " k"], moves: Moves, achieved: np.ndarray) -> None:
        """Descend from the common frame."""
        if len(rows) == 0:
            return
        pairs = np.full(len(rows), i), rows
        arrangement = self.framed.alignment.arrangement
        found, squared = descend(
            arrangement, self.by_neuron, self.framed.by_neuron, pairs, moves.at(rows)
        )
        moves.order[rows], moves.signs[rows] = found
        achieved[rows] = squared

    def _refine(
        self, i: int, rows: Int[np.ndarray, " k"], moves: Moves, achieved: np.ndarray
    ) -> None:
        """Descend again from the moves of the other rows and from random ones; keep the best."""
        arrangement = self.framed.alignment.arrangement
        others = random_moves(RESTARTS, arrangement, np.random.default_rng(SEED))
        start = Moves(
            np.concatenate([moves.order[rows], others.order]),
            np.concatenate([moves.signs[rows], others.signs]),
        )
        n_starts = len(rows) + RESTARTS
        theirs, which = np.repeat(rows, n_starts), np.tile(np.arange(n_starts), len(rows))
        new = which != np.repeat(np.arange(len(rows)), n_starts)
        theirs, which = theirs[new], which[new]
        pairs = np.full(len(theirs), i), theirs
        _, squared = descend(
            arrangement, self.by_neuron, self.framed.by_neuron, pairs, start.at(which)
        )
        np.minimum.at(achieved, theirs, squared)
