"""Elements of the symmetry group of a network, as arrays: how all its neurons are moved.

`weights/symmetry.py` moves checkpoints one group after another; here thousands of moves are made,
kept and applied by compiled loops over the weights gathered by neuron. Source: ours.
"""

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float, Int, Int8
from numba import njit
from torch import Tensor

from novelweights.metrics.arrangement import (
    COUNTED,
    LENGTH,
    N_OTHER,
    OTHER,
    OTHER_SIGN,
    SIGN,
    START,
    Arrangement,
)


class Moves(NamedTuple):
    """An element of the symmetry group for each of p pairs, padded to the largest group."""

    order: Int[np.ndarray, "p groups largest"]
    """The old index of each new neuron."""
    signs: Int8[np.ndarray, "p signs largest"]
    """+1 or -1 for each new neuron, by sign variable."""

    def at(self, rows: Int[np.ndarray, " q"]) -> "Moves":
        """Those of some pairs."""
        return Moves(self.order[rows], self.signs[rows])


def no_moves(p: int, arrangement: Arrangement) -> Moves:
    """The identity, p times."""
    largest = int(arrangement.rows[:, 0].max())
    order = np.tile(np.arange(largest), (p, len(arrangement.rows), 1))
    return Moves(order, np.ones((p, len(arrangement.signs), largest), np.int8))


def random_moves(p: int, arrangement: Arrangement, rng: np.random.Generator) -> Moves:
    """p random elements of the group."""
    order, signs = no_moves(p, arrangement)
    for group, n in enumerate(arrangement.rows[:, 0]):
        order[:, group, :n] = rng.random((p, n)).argsort(axis=1)
    signs[:] = 2 * rng.integers(0, 2, signs.shape) - 1
    return Moves(order, signs)


def moved(
    arrangement: Arrangement, weights: Float[Tensor, "p d"], moves: Moves
) -> Float[Tensor, "p d"]:
    """Checkpoints with their neurons reordered and flipped, each by its own moves."""
    out = weights.clone()
    _move_all(
        weights.numpy(),
        arrangement.rows,
        arrangement.segments,
        arrangement.counted,
        arrangement.index.numpy(),
        *moves,
        out.numpy(),
    )
    return out


@njit(cache=True, nogil=True)
@no_type_check
def _move_all(
    weights: np.ndarray,
    rows: np.ndarray,
    segments: np.ndarray,
    counted: np.ndarray,
    index: np.ndarray,
    order: np.ndarray,
    signs: np.ndarray,
    out: np.ndarray,
) -> None:  # pragma: no cover - compiled
    y, there = np.empty(len(index), weights.dtype), np.empty(len(index), weights.dtype)
    for p in range(len(weights)):
        for at in range(len(index)):
            y[at] = weights[p, index[at]]
        _place(y, rows, segments, order[p], signs[p], there)
        for r in range(len(counted)):
            for at in range(counted[r, 0], counted[r, 1]):
                out[p, index[at]] = there[at]


@njit(cache=True, nogil=True)
@no_type_check
def _place(
    y: np.ndarray,
    rows: np.ndarray,
    segments: np.ndarray,
    order: np.ndarray,
    signs: np.ndarray,
    out: np.ndarray,
) -> None:  # pragma: no cover - compiled
    """The entries of y, by neuron, where the moves take them: those that distances count."""
    for group in range(len(rows)):
        n, begin, length, first, last = rows[group]
        for i in range(n):
            mine, yours = begin + i * length, begin + order[group, i] * length
            for s in range(first, last):
                if segments[s, COUNTED] == 0:
                    continue
                start, other = segments[s, START], segments[s, OTHER]
                n_other, size = segments[s, N_OTHER], segments[s, LENGTH]
                own = np.float32(1 if segments[s, SIGN] < 0 else signs[segments[s, SIGN], i])
                for j in range(n_other):
                    sign, source = own, yours + start + j * size
                    if other >= 0:
                        source = yours + start + order[other, j] * size
                        if segments[s, OTHER_SIGN] >= 0:
                            sign = own * np.float32(signs[segments[s, OTHER_SIGN], j])
                    to = mine + start + j * size
                    if size == 1:  # a loop over one weight costs several times as much
                        out[to] = sign * y[source]
                    else:
                        for c in range(size):
                            out[to + c] = sign * y[source + c]
