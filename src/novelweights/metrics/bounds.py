"""How near two networks can come at most, over all orders and signs of their neurons: certified.

A weight between several groups of neurons is bounded from the side of each: two rows, the entries
of each in any order, are no nearer than the sorted rows are. Shares of its square are given to the
sides, each group gets its own best assignment, and whatever the shares are, the sum of the
assignments is at most the squared distance under any symmetry. Source: ours (the assignment of rows
by their best inner orders is the bound of Gilmore 1962 and Lawler 1963 for quadratic assignment).
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int
from numba import njit, prange

from novelweights.metrics.arrangement import Arrangement, Segment, Tables
from novelweights.metrics.assignment import solve
from novelweights.metrics.threads import FEW, compiled_loop

UNIT = 2.0**-24
"""Rounding of float32."""


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
@no_type_check
def _apart(
    x: np.ndarray, y: np.ndarray, n: int, length: int, start: int, width: int, out: np.ndarray
) -> None:  # pragma: no cover - compiled
    """Squared distances of all sorted rows, over some columns, in float32."""
    for i in range(n):
        a = x[i * length + start : i * length + start + width]
        for j in range(n):
            b = y[j * length + start : j * length + start + width]
            total = np.float32(0)
            for c in range(width):
                total += (a[c] - b[c]) * (a[c] - b[c])
            out[i, j] = total


@njit(cache=True, nogil=True)
@no_type_check
def _other_sign(
    y: np.ndarray, n: int, length: int, part: Segment, out: np.ndarray
) -> None:  # pragma: no cover - compiled
    """Sorted rows of the neurons with the other sign: turned round."""
    for i in range(n):
        at = i * length + part.start
        for j in range(part.n_other):
            for c in range(part.length):
                source = at + (part.n_other - 1 - j) * part.length + c
                out[at + j * part.length + c] = -y[source]


@njit(cache=True, nogil=True)
@no_type_check
def _bound(
    x: np.ndarray, y: np.ndarray, tables: Tables, shares: np.ndarray
) -> float:  # pragma: no cover - compiled
    """The best bound of a squared distance, over the shares (options x segments)."""
    totals = np.zeros(len(shares))
    for group in tables.groups:
        n, length = group.neurons, group.length
        end = group.begin + n * length
        mine, theirs = x[group.begin : end], y[group.begin : end]
        turned = np.empty(0, np.float32)
        part, minus = np.empty((n, n), np.float32), np.empty((n, n), np.float32)
        costs = np.zeros((len(shares), n, n))
        s = group.first
        while s < group.last:  # segments of one sign variable are neighbors
            stop = s
            while stop < group.last and tables.segments[stop].sign == tables.segments[s].sign:
                stop += 1
            kept = np.zeros((len(shares), n, n))
            flipped = np.zeros((len(shares), n, n))
            for m in range(s, stop):
                segment = tables.segments[m]
                start, width = segment.start, segment.n_other * segment.length
                _apart(mine, theirs, n, length, start, width, part)
                has_sign = segment.sign >= 0 and not segment.is_signed
                if has_sign:
                    if len(turned) == 0:
                        turned = np.empty(n * length, np.float32)
                    _other_sign(theirs, n, length, segment, turned)
                    _apart(mine, turned, n, length, start, width, minus)
                for option in range(len(shares)):
                    share = shares[option, m]
                    for i in range(n):
                        for j in range(n):
                            kept[option, i, j] += share * part[i, j]
                            flipped[option, i, j] += share * (
                                minus[i, j] if has_sign else part[i, j]
                            )
            costs += np.minimum(kept, flipped)
            s = stop
        columns, prices = np.empty(n, np.int64), np.zeros(n + 1)
        for option in range(len(shares)):
            totals[option] += solve(costs[option], columns, prices)
    return totals.max()


@compiled_loop
@no_type_check
def _bound_pairs(
    x: np.ndarray,
    y: np.ndarray,
    pairs: tuple[np.ndarray, np.ndarray],
    tables: Tables,
    shares: np.ndarray,
    squared: np.ndarray,
) -> None:
    mine, yours = pairs
    for p in prange(len(mine)):
        squared[p] = _bound(x[mine[p]], y[yours[p]], tables, shares)


def _shares(tables: Tables) -> Float[np.ndarray, "options segments"]:
    """Of each weight's square for each of the sides that hold it: the same for all, or all of it
    for one; the best of these bounds is taken."""
    segments = tables.segments
    sides, place = segments["last"] - segments["first"] + 1, segments["place"]
    alone = [place == np.minimum(side, sides - 1) for side in range(int(sides.max()))]
    return np.stack([1 / sides, *alone]).astype(float)


def sorted_by_neuron(
    arrangement: Arrangement, by_neuron: Float[np.ndarray, "n entries"]
) -> Float[np.ndarray, "n entries"]:
    """What `squared_bounds` compares: rows whose entries no longer tell the order of neurons.

    Args:
        arrangement: Of the checkpoints.
        by_neuron: Checkpoints as `Arrangement.by_neuron` gives them.
    """
    out = by_neuron.copy()
    for segment, entries in arrangement.parts(out):
        if segment.first < segment.last:
            signed = np.abs(entries) if segment.is_signed else entries
            entries[:] = np.sort(signed, axis=2)
    return out


def squared_bounds(
    arrangement: Arrangement,
    x: Float[np.ndarray, "a entries"],
    y: Float[np.ndarray, "b entries"],
    pairs: tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"]],
    *,
    in_parallel: bool = True,
) -> Float[np.ndarray, " p"]:
    """At most the squared distance of x[pairs[0]] and y[pairs[1]], under all symmetries of y.

    Args:
        arrangement: Of both.
        x: Checkpoints as `sorted_by_neuron` gives them.
        y: The same.
        pairs: Rows of x and of y.
        in_parallel: On all threads; False where the caller runs several of these at once.

    Returns:
        Lower bounds in float64, without weights outside all neurons, >= 0.
    """
    squared, tables = np.empty(len(pairs[0])), arrangement.tables
    in_parallel = in_parallel and len(squared) >= FEW
    _bound_pairs(x, y, pairs, tables, _shares(tables), squared, in_parallel=in_parallel)
    # a sum of k squared differences of float32 numbers errs by at most (k + 3) units, relative
    longest = int(tables.groups["length"].max()) + 3
    return np.maximum(squared * (1 - 2 * longest * UNIT), 0)
