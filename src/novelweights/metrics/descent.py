"""The order and signs of all neurons of a network that bring it near another, by descent.

With the other groups held, the best order (and signs) of one group is a linear assignment, solved
exactly; groups take turns until none gains. The result is an upper bound of the aligned distance.
Source: the method is weight matching (Ainsworth et al. 2023, "Git Re-Basin", algorithm 1); signs
and batch normalization's flips, which the assignment takes along, are ours.
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int
from numba import njit, prange

from novelweights.metrics.arrangement import (
    LENGTH,
    N_OTHER,
    OTHER,
    OTHER_SIGN,
    RUN_GROUP,
    RUN_SIGN,
    START,
    Arrangement,
)
from novelweights.metrics.assignment import _solve_from
from novelweights.metrics.symmetries import Moves, _place
from novelweights.metrics.threads import FEW, compiled_loop

MAX_SWEEPS = 100
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
    _, _, _, inner, end, first, last = run
    width = end - inner
    for i in range(n):
        base = begin + i * length
        for s in range(first, last):
            start, other = segments[s, START], segments[s, OTHER]
            n_other, size = segments[s, N_OTHER], segments[s, LENGTH]
            variable = segments[s, OTHER_SIGN]
            to = i * width + start - inner
            for j in range(n_other):
                source = base + start + order[other, j] * size
                sign = np.float32(1 if variable < 0 else signs[variable, j])
                if size == 1:  # a loop over one weight costs several times as much
                    out[to + j] = sign * y[source]
                else:
                    for c in range(size):
                        out[to + j * size + c] = sign * y[source + c]


@njit(cache=True, nogil=True)
@no_type_check
def _inner(
    x: np.ndarray, there: np.ndarray, counted: np.ndarray, squared_difference: bool
) -> float:  # pragma: no cover - compiled
    """Inner product of x with y as it was moved, or their squared distance; float64."""
    total = 0.0
    for r in range(len(counted)):
        for at in range(counted[r, 0], counted[r, 1]):
            a, b = np.float64(x[at]), np.float64(there[at])
            total += (a - b) * (a - b) if squared_difference else a * b
    return total


@njit(cache=True, nogil=True)
@no_type_check
def _fixed_gains(
    x: np.ndarray, y: np.ndarray, rows: np.ndarray, runs: np.ndarray, out: np.ndarray
) -> None:  # pragma: no cover - compiled
    """Of each run: inner products of neurons over the weights that no other group orders."""
    for r in range(len(runs)):
        group, _, first, inner, _, _, _ = runs[r]
        n, begin, length, _, _ = rows[group]
        width = inner - first
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
    n, begin, length, _, _ = rows[group]
    cost = np.zeros((n, n))
    current = 0.0
    for r in range(len(runs)):
        of_group, variable, _, inner, end, _, _ = runs[r]
        if of_group != group:
            continue
        width = end - inner
        part = by_run[r, :n, :n]
        if width > 0:
            _gather(y, begin, n, length, runs[r], segments, order, signs, gathered)
            mine = x[begin : begin + n * length]
            _products(mine, gathered, n, width, length, inner, part)
        else:
            part[:, :] = 0
        for i in range(n):
            for j in range(n):
                gain = part[i, j] + fixed[r, i, j]
                part[i, j] = gain
                cost[i, j] -= gain if variable < 0 else abs(gain)
            held = np.float64(part[i, order[group, i]])
            current += held if variable < 0 else held * signs[variable, i]
    scale = 0.0
    for i in range(n):
        scale += abs(cost[i, order[group, i]])
    columns = np.empty(n, np.int64)
    best = -_solve_from(cost, columns, prices)
    if best <= current + LEAST_GAIN * scale:
        return False
    order[group, :n] = columns
    for r in range(len(runs)):
        variable = runs[r, RUN_SIGN]
        if runs[r, RUN_GROUP] == group and variable >= 0:
            for i in range(n):
                signs[variable, i] = -1 if by_run[r, i, columns[i]] < 0 else 1
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
    counted: np.ndarray,
    order: np.ndarray,
    signs: np.ndarray,
) -> float:  # pragma: no cover - compiled
    """Groups take turns until none gains; `order` and `signs` are start and result.

    Returns the squared distance then.
    """
    n_groups, largest = len(rows), rows[:, 0].max()
    gathered = np.empty((rows[:, 0] * rows[:, 2]).max(), np.float32)
    by_run = np.empty((len(runs), largest, largest), np.float32)
    fixed = np.empty((len(runs), largest, largest), np.float32)
    prices = np.zeros((n_groups, largest + 1))
    there = np.empty(len(y), np.float32)
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
                _place(y, rows, segments, order, signs, there)
                before = _inner(x, there, counted, False)
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
                _place(y, rows, segments, order, signs, there)
                after = _inner(x, there, counted, False)
                if after <= before + LEAST_GAIN * abs(before):
                    has_gained = False
                    order[:, :] = old_order
                    signs[:, :] = old_signs
            if has_gained:
                is_due |= touches[group]
        if not is_due.any():
            break
    _place(y, rows, segments, order, signs, there)
    return _inner(x, there, counted, True)


@compiled_loop
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
    counted: np.ndarray,
    order: np.ndarray,
    signs: np.ndarray,
    squared: np.ndarray,
) -> None:
    for p in prange(len(mine)):
        a, b = x[mine[p]], y[yours[p]]
        squared[p] = _descend(a, b, rows, segments, runs, touches, counted, order[p], signs[p])


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
    _descend_pairs(
        x,
        y,
        *pairs,
        arrangement.rows,
        arrangement.segments,
        arrangement.runs,
        arrangement.touches,
        arrangement.counted,
        order,
        signs,
        squared,
        in_parallel=in_parallel and len(squared) >= FEW,
    )
    return Moves(order, signs), squared
