"""The order and signs of all neurons of a network that bring it near another, by descent.

With the other groups held, the best order (and signs) of one group is a linear assignment, solved
exactly; groups take turns until none gains. The result is an upper bound of the aligned distance.
Source: the method is weight matching (Ainsworth et al. 2023, "Git Re-Basin", algorithm 1); signs
and batch normalization's flips, which the assignment takes along, are ours.
"""

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float, Int, Int8
from numba import njit, prange
from torch import Tensor

from novelweights.metrics.arrangement import Arrangement
from novelweights.metrics.assignment import _solve_from

MAX_SWEEPS = 100
FEW = 4
"""Pairs that are not worth a second thread."""
LEAST_GAIN = 1e-6
"""Of the inner product of two networks: smaller gains are rounding, and end the descent."""


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
@no_type_check
def _products(
    x: np.ndarray, y: np.ndarray, n: int, width: int, row: int, first: int, out: np.ndarray
) -> None:  # pragma: no cover - compiled
    """Inner products of `width` columns from `first` of n rows of x with all n x width of y."""
    for i in range(n):
        a = x[i * row + first : i * row + first + width]
        for j in range(n):
            b = y[j * width : (j + 1) * width]
            total = np.float32(0)
            for c in range(width):
                total += a[c] * b[c]
            out[i, j] = total


@njit(cache=True, nogil=True)
@no_type_check
def _gather(
    y: np.ndarray,
    begin: int,
    n: int,
    length: int,
    run: np.ndarray,
    segments: np.ndarray,
    order: np.ndarray,
    signs: np.ndarray,
    out: np.ndarray,
) -> None:  # pragma: no cover - compiled
    """The weights of a run that other groups order, in these orders and with their signs."""
    inner, width = run[3], run[4] - run[3]
    for i in range(n):
        base = begin + i * length
        for s in range(run[5], run[6]):
            start, other, n_other, size = segments[s, :4]
            variable = segments[s, 5]
            to = i * width + start - inner
            for j in range(n_other):
                source = base + start + order[other, j] * size
                if variable < 0:
                    for c in range(size):
                        out[to + j * size + c] = y[source + c]
                else:
                    sign = np.float32(signs[variable, j])
                    for c in range(size):
                        out[to + j * size + c] = sign * y[source + c]


@njit(cache=True, nogil=True)
@no_type_check
def _inner(
    x: np.ndarray,
    y: np.ndarray,
    rows: np.ndarray,
    segments: np.ndarray,
    order: np.ndarray,
    signs: np.ndarray,
    squared_difference: bool,
) -> float:  # pragma: no cover - compiled
    """Inner product of x with y moved, or their squared distance, each weight once; float64."""
    total = 0.0
    for group in range(len(rows)):
        n, begin, length, first, last = rows[group]
        for i in range(n):
            mine, yours = begin + i * length, begin + order[group, i] * length
            for s in range(first, last):
                if segments[s, 6] == 0:
                    continue
                start, other, n_other, size = segments[s, :4]
                own = 1 if segments[s, 4] < 0 else signs[segments[s, 4], i]
                for j in range(n_other):
                    sign = own
                    source = yours + start + j * size
                    if other >= 0:
                        source = yours + start + order[other, j] * size
                        if segments[s, 5] >= 0:
                            sign = own * signs[segments[s, 5], j]
                    for c in range(size):
                        a = np.float64(x[mine + start + j * size + c])
                        b = sign * np.float64(y[source + c])
                        if squared_difference:
                            total += (a - b) * (a - b)
                        else:
                            total += a * b
    return total


@njit(cache=True, nogil=True)
@no_type_check
def _fixed_gains(
    x: np.ndarray, y: np.ndarray, rows: np.ndarray, runs: np.ndarray, out: np.ndarray
) -> None:  # pragma: no cover - compiled
    """Of each run: inner products of neurons over the weights that no other group orders."""
    for r in range(len(runs)):
        n, begin, length = rows[runs[r, 0], :3]
        first, width = runs[r, 2], runs[r, 3] - runs[r, 2]
        theirs = np.empty(n * width, np.float32)
        for i in range(n):
            at = begin + i * length + first
            theirs[i * width : (i + 1) * width] = y[at : at + width]
        mine = x[begin : begin + n * length]
        _products(mine, theirs, n, width, length, first, out[r, :n, :n])


@njit(cache=True, nogil=True)
@no_type_check
def _best_order(
    group: int,
    x: np.ndarray,
    y: np.ndarray,
    rows: np.ndarray,
    segments: np.ndarray,
    runs: np.ndarray,
    fixed: np.ndarray,
    order: np.ndarray,
    signs: np.ndarray,
    gathered: np.ndarray,
    by_run: np.ndarray,
    prices: np.ndarray,
) -> bool:  # pragma: no cover - compiled
    """Give one group its best order and signs, the others held; whether that gained anything."""
    n, begin, length = rows[group, :3]
    cost = np.zeros((n, n))
    current = 0.0
    for r in range(len(runs)):
        if runs[r, 0] != group:
            continue
        variable, width = runs[r, 1], runs[r, 4] - runs[r, 3]
        part = by_run[r, :n, :n]
        if width > 0:
            _gather(y, begin, n, length, runs[r], segments, order, signs, gathered)
            mine = x[begin : begin + n * length]
            _products(mine, gathered, n, width, length, runs[r, 3], part)
            part += fixed[r, :n, :n]
        else:
            part[:, :] = fixed[r, :n, :n]
        for i in range(n):
            held = np.float64(part[i, order[group, i]])
            current += held if variable < 0 else held * signs[variable, i]
            for j in range(n):
                cost[i, j] -= part[i, j] if variable < 0 else abs(part[i, j])
    scale = 0.0
    for i in range(n):
        scale += abs(cost[i, order[group, i]])
    columns = np.empty(n, np.int64)
    best = -_solve_from(cost, columns, prices)
    if best <= current + LEAST_GAIN * scale:
        return False
    order[group, :n] = columns
    for r in range(len(runs)):
        if runs[r, 0] == group and runs[r, 1] >= 0:
            for i in range(n):
                signs[runs[r, 1], i] = -1 if by_run[r, i, columns[i]] < 0 else 1
    return True


@njit(cache=True, nogil=True)
@no_type_check
def _descend(
    x: np.ndarray,
    y: np.ndarray,
    rows: np.ndarray,
    segments: np.ndarray,
    runs: np.ndarray,
    touches: np.ndarray,
    order: np.ndarray,
    signs: np.ndarray,
) -> None:  # pragma: no cover - compiled
    """Groups take turns until none gains; `order` and `signs` are start and result."""
    n_groups, largest = len(rows), rows[:, 0].max()
    gathered = np.empty((rows[:, 0] * rows[:, 2]).max(), np.float32)
    by_run = np.empty((len(runs), largest, largest), np.float32)
    fixed = np.empty((len(runs), largest, largest), np.float32)
    prices = np.zeros((n_groups, largest + 1))
    _fixed_gains(x, y, rows, runs, fixed)
    is_due = np.ones(n_groups, np.bool_)
    for _ in range(MAX_SWEEPS):
        for group in range(n_groups):
            if not is_due[group]:
                continue
            is_due[group] = False
            is_tied = touches[group, group]
            if is_tied:  # a weight between neurons of one group moves twice: its gain is a guess
                old_order, old_signs = order.copy(), signs.copy()
                before = _inner(x, y, rows, segments, order, signs, False)
            has_gained = _best_order(
                group,
                x,
                y,
                rows,
                segments,
                runs,
                fixed,
                order,
                signs,
                gathered,
                by_run,
                prices[group],
            )
            if is_tied and has_gained:
                after = _inner(x, y, rows, segments, order, signs, False)
                if after <= before + LEAST_GAIN * abs(before):
                    has_gained = False
                    order[:, :] = old_order
                    signs[:, :] = old_signs
            if has_gained:
                is_due |= touches[group]
        if not is_due.any():
            break


@no_type_check
def _descend_pairs(
    x: np.ndarray,
    y: np.ndarray,
    mine: np.ndarray,
    yours: np.ndarray,
    rows: np.ndarray,
    segments: np.ndarray,
    runs: np.ndarray,
    touches: np.ndarray,
    order: np.ndarray,
    signs: np.ndarray,
    squared: np.ndarray,
) -> None:
    for p in prange(len(mine)):
        a, b = x[mine[p]], y[yours[p]]
        _descend(a, b, rows, segments, runs, touches, order[p], signs[p])
        squared[p] = _inner(a, b, rows, segments, order[p], signs[p], True)


_pairs_serial = njit(cache=True, nogil=True)(_descend_pairs)
_pairs_parallel = njit(cache=True, parallel=True)(_descend_pairs)


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


def descend(
    arrangement: Arrangement,
    x: Float[np.ndarray, "a entries"],
    y: Float[np.ndarray, "b entries"],
    pairs: tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"]],
    start: Moves,
    *,
    in_parallel: bool = True,
) -> tuple[Moves, Float[np.ndarray, " p"]]:
    """Move y[pairs[1]] towards x[pairs[0]], from a start, until no group of neurons gains.

    Args:
        arrangement: Of both.
        x: Checkpoints by neuron.
        y: Checkpoints by neuron.
        pairs: Rows of x and of y.
        start: Where each descent begins.
        in_parallel: On all threads; False where the caller runs several of these at once.

    Returns:
        The moves of y, and the squared distances in float64 without weights outside all neurons.
    """
    order, signs = start.order.copy(), start.signs.copy()
    squared = np.empty(len(pairs[0]))
    run = _pairs_parallel if in_parallel and len(squared) >= FEW else _pairs_serial
    run(
        x,
        y,
        *pairs,
        arrangement.rows,
        arrangement.segments,
        arrangement.runs,
        arrangement.touches,
        order,
        signs,
        squared,
    )
    return Moves(order, signs), squared


@no_type_check
def _move_all(
    weights: np.ndarray,
    rows: np.ndarray,
    segments: np.ndarray,
    index: np.ndarray,
    order: np.ndarray,
    signs: np.ndarray,
    out: np.ndarray,
) -> None:
    for p in prange(len(weights)):
        for group in range(len(rows)):
            n, begin, length, first, last = rows[group]
            for i in range(n):
                mine, yours = begin + i * length, begin + order[p, group, i] * length
                for s in range(first, last):
                    if segments[s, 6] == 0:
                        continue
                    start, other, n_other, size = segments[s, :4]
                    own = 1 if segments[s, 4] < 0 else signs[p, segments[s, 4], i]
                    for j in range(n_other):
                        sign, source = own, yours + start + j * size
                        if other >= 0:
                            source = yours + start + order[p, other, j] * size
                            if segments[s, 5] >= 0:
                                sign = own * signs[p, segments[s, 5], j]
                        for c in range(size):
                            value = weights[p, index[source + c]]
                            out[p, index[mine + start + j * size + c]] = sign * value


_move_serial = njit(cache=True, nogil=True)(_move_all)


def moved(
    arrangement: Arrangement, weights: Float[Tensor, "p d"], moves: Moves
) -> Float[Tensor, "p d"]:
    """Checkpoints with their neurons reordered and flipped, each by its own moves."""
    out = weights.clone()
    _move_serial(
        weights.numpy(),
        arrangement.rows,
        arrangement.segments,
        arrangement.index.numpy(),
        *moves,
        out.numpy(),
    )
    return out
