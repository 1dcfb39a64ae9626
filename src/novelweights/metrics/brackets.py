"""Nearest training checkpoints of networks with several groups of neurons: achieved and certified.

How to permute such a network best towards another is not found for certain. So a distance is
reported that some symmetry achieves, and a lower bound that none can undercut: a training
checkpoint that was not tried is proven not to be among the nearest, or not to be a copy. Source:
ours (DESIGN 5).
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from novelweights.metrics.alignment import RESTARTS, SEED, Alignment, aligned_to
from novelweights.metrics.arrangement import Symmetries, identities, random_symmetries
from novelweights.metrics.bounds import sorted_by_neuron, squared_bounds
from novelweights.metrics.descent import descend
from novelweights.metrics.threads import map_small

ROUNDS = 3
"""Times the training checkpoints are aligned to their mean."""
CANDIDATES = 32
"""So many of the nearest in the common frame are aligned to each query, and all that may be copies:
whose bound is below `COPY` of the nearest found."""
COPY = 0.5
"""DESIGN 5: the radius of a replica is half of the usual distance."""
REFINED = 6
"""So many of the nearest are aligned again, from the symmetries that suited the others and from
random ones."""


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
        known, made_of = _framed.get(reference), (reference._version, alignment)
        if known is not None and (known.version, known.alignment) == made_of:
            return known
        weights, center = in_one_frame(reference, alignment)
        _framed[reference] = cls._of(weights, center, alignment, reference._version)
        return _framed[reference]

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
        """Checkpoints aligned to this frame."""
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
    """By the best symmetry found; infinite where none was tried."""
    lower: Float[np.ndarray, " m"]
    """What no symmetry can undercut; infinite where a reference checkpoint does not count."""


def brackets(
    queries: Float[Tensor, "n d"],
    reference: Float[Tensor, "m d"],
    k: int,
    exclude: Bool[np.ndarray, "n m"] | None,
    alignment: Alignment,
) -> list[Bracket]:
    """Achieved distances of the k nearest and of all that may be copies, bounds of all others.

    Args:
        queries: Checkpoints whose neighbors are sought.
        reference: Checkpoints searched.
        k: Neighbors sought.
        exclude: True where a reference checkpoint does not count for a query.
        alignment: With more than one group of neurons.
    """
    rows = np.arange(len(reference))
    are_many = len(queries) >= torch.get_num_threads()
    search = _Search.of(queries, Framed.of(reference, alignment), in_parallel=not are_many)

    def bracket(i: int) -> Bracket:
        return search.bracket(i, rows if exclude is None else rows[~exclude[i]], k)

    each = map_small if are_many else map
    return list(each(bracket, range(len(queries))))


@dataclass(frozen=True, eq=False)
class _Search:
    """Queries in the frame of the reference, by neuron."""

    framed: Framed
    placed: Float[Tensor, "n d"]
    by_neuron: Float[np.ndarray, "n entries"]
    sorted_rows: Float[np.ndarray, "n entries"]
    outside: Float[np.ndarray, "n rest"]
    in_parallel: bool
    """Whether the pairs of one query are spread over all threads, not the queries."""

    @classmethod
    def of(cls, queries: Float[Tensor, "n d"], framed: Framed, *, in_parallel: bool) -> "_Search":
        arrangement, placed = framed.alignment.arrangement, framed.place(queries)
        by_neuron = arrangement.by_neuron(placed)
        rows = sorted_by_neuron(arrangement, by_neuron)
        return cls(framed, placed, by_neuron, rows, arrangement.outside(placed), in_parallel)

    def bracket(self, i: int, rows: Int[np.ndarray, " k"], k: int) -> Bracket:
        """What is known of the distances of query i to some reference checkpoints."""
        framed, m = self.framed, len(self.framed.weights)
        arrangement = framed.alignment.arrangement
        apart = (framed.weights[torch.from_numpy(rows)] - self.placed[i]).square().sum(dim=1)
        rows = rows[np.argsort(apart.numpy(), kind="stable")]
        rest = np.square(framed.outside[rows] - self.outside[i]).sum(axis=1)
        lower, achieved = np.full(m, np.inf), np.full(m, np.inf)
        pairs = np.full(len(rows), i), rows
        theirs = framed.sorted_rows
        bounds = squared_bounds(
            arrangement, self.sorted_rows, theirs, pairs, in_parallel=self.in_parallel
        )
        lower[rows] = bounds + rest
        best = identities(m, arrangement)
        n_first = max(CANDIDATES, k)
        self._try(i, rows[:n_first], best, achieved)
        radius = COPY**2 * (achieved[rows] + rest).min()
        others = rows[n_first:]
        self._try(i, others[lower[others] <= radius], best, achieved)
        nearest = np.argsort(achieved, kind="stable")[: max(REFINED, k)]
        self._refine(i, nearest[np.isfinite(achieved[nearest])], best, achieved)
        achieved[rows] += rest  # whatever the symmetry
        return Bracket(achieved, np.minimum(lower, achieved))

    def _descend(
        self, i: int, rows: Int[np.ndarray, " p"], start: Symmetries
    ) -> tuple[Symmetries, Float[np.ndarray, " p"]]:
        """Reference checkpoints brought near query i, each from a start."""
        pairs = np.full(len(rows), i), rows
        arrangement = self.framed.alignment.arrangement
        theirs, in_parallel = self.framed.by_neuron, self.in_parallel
        return descend(arrangement, self.by_neuron, theirs, pairs, start, in_parallel=in_parallel)

    def _try(
        self, i: int, rows: Int[np.ndarray, " k"], best: Symmetries, achieved: np.ndarray
    ) -> None:
        """Descend from the common frame."""
        found, achieved[rows] = self._descend(i, rows, best.at(rows))
        best.order[rows], best.signs[rows] = found

    def _refine(
        self, i: int, rows: Int[np.ndarray, " k"], best: Symmetries, achieved: np.ndarray
    ) -> None:
        """Descend again from what suited the other rows and from random symmetries."""
        arrangement = self.framed.alignment.arrangement
        others = random_symmetries(RESTARTS, arrangement, np.random.default_rng(SEED))
        start = Symmetries(*map(np.concatenate, zip(best.at(rows), others, strict=True)))
        n_starts = len(rows) + RESTARTS
        theirs, which = np.repeat(rows, n_starts), np.tile(np.arange(n_starts), len(rows))
        new = which != np.repeat(np.arange(len(rows)), n_starts)
        theirs, which = theirs[new], which[new]
        _, squared = self._descend(i, theirs, start.at(which))
        np.minimum.at(achieved, theirs, squared)
