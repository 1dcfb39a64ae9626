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
    Arrangement,
    Run,
    Symmetries,
    Tables,
    combined,
    place,
)
from novelweights.metrics.assignment import solve
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
    y: np.ndarray, tables: Tables, run: Run, order: np.ndarray, signs: np.ndarray, out: np.ndarray
) -> None:  # pragma: no cover - compiled
    """The weights of a run that other groups order, in these orders and with their signs."""
    group = tables.groups[run.group]
    width = run.end - run.inner
    for part in tables.segments[run.first : run.last]:
        sources, factors = combined(tables, part, order, signs)
        for i in range(group.neurons):
            base = group.begin + i * group.length + part.start
            to = i * width + part.start - run.inner
            for j in range(part.n_other):
                source, sign = base + sources[j], factors[j]
                if part.length == 1:  # a loop over one weight costs several times as much
                    out[to + j] = sign * y[source]
                else:
                    for c in range(part.length):
                        out[to + j * part.length + c] = sign * y[source + c]


@njit(cache=True, nogil=True)
@no_type_check
def _inner(
    x: np.ndarray, there: np.ndarray, counted: np.ndarray, squared_difference: bool
) -> float:  # pragma: no cover - compiled
    """Inner product of x with y in its new place, or their squared distance; float64."""
    total = 0.0
    for begin, end in counted:
        for at in range(begin, end):
            a, b = np.float64(x[at]), np.float64(there[at])
            total += (a - b) * (a - b) if squared_difference else a * b
    return total


@njit(cache=True, nogil=True)
@no_type_check
def _fixed_gains(
    x: np.ndarray, y: np.ndarray, tables: Tables, out: np.ndarray
) -> None:  # pragma: no cover - compiled
    """Of each run: inner products of neurons over the weights that no other group orders."""
    for r in range(len(tables.runs)):
        run = tables.runs[r]
        group = tables.groups[run.group]
        n, width = group.neurons, run.inner - run.start
        theirs = np.empty(n * width, np.float32)
        for i in range(n):
            at = group.begin + i * group.length + run.start
            theirs[i * width : (i + 1) * width] = y[at : at + width]
        mine = x[group.begin : group.begin + n * group.length]
        _products(mine, theirs, n, width, group.length, run.start, out[r, :n, :n])


@njit(cache=True, nogil=True)
@no_type_check
def _best_order(
    number: int,
    x: np.ndarray,
    y: np.ndarray,
    tables: Tables,
    fixed: np.ndarray,
    order: np.ndarray,
    signs: np.ndarray,
    work: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> bool:  # pragma: no cover - compiled
    """Give one group its best order and signs, the others held; whether that gained anything."""
    gathered, by_run, prices = work
    group = tables.groups[number]
    n = group.neurons
    cost = np.zeros((n, n))
    current = 0.0
    for r in range(len(tables.runs)):
        run = tables.runs[r]
        if run.group != number:
            continue
        width = run.end - run.inner
        part = by_run[r, :n, :n]
        if width > 0:
            _gather(y, tables, run, order, signs, gathered)
            mine = x[group.begin : group.begin + n * group.length]
            _products(mine, gathered, n, width, group.length, run.inner, part)
        else:
            part[:, :] = 0
        for i in range(n):
            for j in range(n):
                gain = part[i, j] + fixed[r, i, j]
                part[i, j] = gain
                cost[i, j] -= gain if run.sign < 0 else abs(gain)
            held = np.float64(part[i, order[number, i]])
            current += held if run.sign < 0 else held * signs[run.sign, i]
    scale = 0.0
    for i in range(n):
        scale += abs(cost[i, order[number, i]])
    columns = np.empty(n, np.int64)
    best = -solve(cost, columns, prices[number])
    if best <= current + LEAST_GAIN * scale:
        return False
    order[number, :n] = columns
    for r in range(len(tables.runs)):
        run = tables.runs[r]
        if run.group == number and run.sign >= 0:
            for i in range(n):
                signs[run.sign, i] = -1 if by_run[r, i, columns[i]] < 0 else 1
    return True


@njit(cache=True, nogil=True)
@no_type_check
def _descend(
    x: np.ndarray, y: np.ndarray, tables: Tables, order: np.ndarray, signs: np.ndarray
) -> float:  # pragma: no cover - compiled
    """Groups take turns until none gains; `order` and `signs` are start and result.

    Returns the squared distance then.
    """
    n_groups, largest, longest = len(tables.groups), 0, 0
    for group in tables.groups:
        largest = max(largest, group.neurons)
        longest = max(longest, group.neurons * group.length)
    fixed = np.empty((len(tables.runs), largest, largest), np.float32)
    work = np.empty(longest, np.float32), np.empty_like(fixed), np.zeros((n_groups, largest + 1))
    there = np.empty(len(y), np.float32)
    _fixed_gains(x, y, tables, fixed)
    is_due = np.ones(n_groups, np.bool_)
    for _ in range(MAX_SWEEPS):
        for group in range(n_groups):
            if not is_due[group]:
                continue
            is_due[group] = False
            is_tied = tables.touches[group, group]
            if is_tied:  # a weight between neurons of one group moves twice: its gain is a guess
                old_order, old_signs = order.copy(), signs.copy()
                place(y, tables, order, signs, there)
                before = _inner(x, there, tables.counted, False)
            has_gained = _best_order(group, x, y, tables, fixed, order, signs, work)
            if is_tied and has_gained:
                place(y, tables, order, signs, there)
                after = _inner(x, there, tables.counted, False)
                if after <= before + LEAST_GAIN * abs(before):
                    has_gained = False
                    order[:, :] = old_order
                    signs[:, :] = old_signs
            if has_gained:
                is_due |= tables.touches[group]
        if not is_due.any():
            break
    place(y, tables, order, signs, there)
    return _inner(x, there, tables.counted, True)


@compiled_loop
@no_type_check
def _descend_pairs(
    x: np.ndarray,
    y: np.ndarray,
    pairs: tuple[np.ndarray, np.ndarray],
    tables: Tables,
    order: np.ndarray,
    signs: np.ndarray,
    squared: np.ndarray,
) -> None:
    mine, yours = pairs
    for p in prange(len(mine)):
        squared[p] = _descend(x[mine[p]], y[yours[p]], tables, order[p], signs[p])


def descend(
    arrangement: Arrangement,
    x: Float[np.ndarray, "a entries"],
    y: Float[np.ndarray, "b entries"],
    pairs: tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"]],
    start: Symmetries,
    *,
    in_parallel: bool = True,
) -> tuple[Symmetries, Float[np.ndarray, " p"]]:
    """Bring y[pairs[1]] near x[pairs[0]], from a start, until no group of neurons gains.

    Args:
        arrangement: Of both.
        x: Checkpoints by neuron.
        y: Checkpoints by neuron.
        pairs: Rows of x and of y.
        start: Where each descent begins.
        in_parallel: On all threads; False where the caller runs several of these at once.

    Returns:
        The symmetries for y, and the squared distances in float64 without weights outside all
        neurons.
    """
    order, signs = start.order.copy(), start.signs.copy()
    squared = np.empty(len(pairs[0]))
    in_parallel = in_parallel and len(squared) >= FEW
    _descend_pairs(x, y, pairs, arrangement.tables, order, signs, squared, in_parallel=in_parallel)
    return Symmetries(order, signs), squared
