"""Linear assignment of small cost matrices, many at a time, exact and compiled.

Matching the ten neurons of two networks takes microseconds, so the call overhead of a general
solver would dominate; here millions of pairs run in one compiled loop over all cores. SciPy's
solver is the reference in the tests. Source of the method: the Hungarian algorithm with potentials
(shortest augmenting paths), O(neurons^3) per pair.
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int
from numba import njit, prange

from novelweights.metrics.threads import compiled_loop


@njit(cache=True, nogil=True)
@no_type_check
def solve(
    cost: np.ndarray, columns: np.ndarray, prices: np.ndarray
) -> float:  # pragma: no cover - compiled
    """Assign row i to columns[i] at least total cost; returns the total.

    `prices` are the columns' potentials, n + 1 of which the first is not used: any numbers are a
    right start, those of a like problem a good one; changed to those of this one.
    """
    n = cost.shape[0]
    row_potential = np.zeros(n + 1)
    row_of = np.zeros(n + 1, np.int64)  # row_of[j]: row matched to column j, both from 1; 0 = none
    previous = np.zeros(n + 1, np.int64)
    slack = np.empty(n + 1)
    used = np.empty(n + 1, np.bool_)
    waiting = np.empty(n, np.int64)
    n_waiting = 0
    prices[0] = 0.0
    for row in range(1, n + 1):  # every row takes its best column where that is free
        best, at = np.inf, 0
        for j in range(1, n + 1):
            reduced = cost[row - 1, j - 1] - prices[j]
            if reduced < best:
                best, at = reduced, j
        row_potential[row] = best
        if row_of[at] == 0:
            row_of[at] = row
        else:
            waiting[n_waiting] = row
            n_waiting += 1
    for k in range(n_waiting):
        row_of[0] = waiting[k]
        column = 0
        slack[:] = np.inf
        used[:] = False
        while True:
            used[column] = True
            current = row_of[column]
            delta = np.inf
            nearest = 0
            for j in range(1, n + 1):
                if not used[j]:
                    reduced = cost[current - 1, j - 1] - row_potential[current] - prices[j]
                    if reduced < slack[j]:
                        slack[j] = reduced
                        previous[j] = column
                    if slack[j] < delta:
                        delta = slack[j]
                        nearest = j
            for j in range(n + 1):
                if used[j]:
                    row_potential[row_of[j]] += delta
                    prices[j] -= delta
                else:
                    slack[j] -= delta
            column = nearest
            if row_of[column] == 0:
                break
        while column != 0:
            row_of[column] = row_of[previous[column]]
            column = previous[column]
    total = 0.0
    for j in range(1, n + 1):
        columns[row_of[j] - 1] = j - 1
        total += cost[row_of[j] - 1, j - 1]
    return total


@compiled_loop
@no_type_check
def _solve_all(costs: np.ndarray, columns: np.ndarray, totals: np.ndarray) -> None:
    for pair in prange(costs.shape[0]):
        totals[pair] = solve(costs[pair], columns[pair], np.zeros(costs.shape[1] + 1))


@compiled_loop
@no_type_check
def _solve_promising(
    costs: np.ndarray, offset: np.ndarray, error: np.ndarray, k: int, totals: np.ndarray
) -> None:
    """totals[q, m] for all pairs that can be among the k least of row q, infinity elsewhere.

    A sum of row minima never exceeds an assignment, so pairs are visited in order of that bound
    and the rest is skipped once it cannot beat the k-th best, errors of the costs included.
    """
    n_queries, n_reference, n = costs.shape[0], costs.shape[1], costs.shape[2]
    for q in prange(n_queries):
        bound = np.empty(n_reference)
        for m in range(n_reference):
            lowest = offset[q, m]
            for i in range(n):
                smallest = np.inf
                for j in range(n):
                    smallest = min(smallest, costs[q, m, i, j])
                lowest += smallest
            bound[m] = lowest - error[q, m]
        best = np.full(k, np.inf)  # upper bounds of the k best so far, ascending
        columns = np.empty(n, np.int64)
        work = np.empty((n, n))
        for m in np.argsort(bound):
            if bound[m] > best[k - 1] or not np.isfinite(bound[m]):
                break
            work[:, :] = costs[q, m]
            total = solve(work, columns, np.zeros(n + 1)) + offset[q, m]
            totals[q, m] = total
            upper = total + error[q, m]
            if upper < best[k - 1]:
                best[k - 1] = upper
                best.sort()


SMALL = 1 << 22
"""Below this many operations a second thread costs more than it brings."""


def assign(
    costs: Float[np.ndarray, "pairs n n"],
) -> tuple[Int[np.ndarray, "pairs n"], Float[np.ndarray, " pairs"]]:
    """The least-cost assignment of every square cost matrix.

    Args:
        costs: Finite costs; any real numbers.

    Returns:
        For each pair the column of every row, and the total cost.

    Raises:
        ValueError: A cost is NaN or infinite.
    """
    costs = np.ascontiguousarray(costs, dtype=np.float64)
    if not np.isfinite(costs).all():
        raise ValueError("assignment costs must be finite")
    columns = np.empty(costs.shape[:2], np.int64)
    totals = np.empty(len(costs))
    is_large = costs.size * costs.shape[-1] >= SMALL
    _solve_all(costs, columns, totals, in_parallel=is_large)
    return columns, totals


def promising_totals(
    costs: Float[np.ndarray, "q m n n"],
    offset: Float[np.ndarray, "q m"],
    error: Float[np.ndarray, "q m"],
    k: int,
) -> Float[np.ndarray, "q m"]:
    """Assignment totals plus offset wherever a pair may be among the k least of its row.

    Args:
        costs: Approximate costs.
        offset: Added to each total; infinity excludes a pair.
        error: Bound on the error of any assignment's total plus offset.
        k: How many least totals per row are needed.

    Returns:
        Totals, infinity for pairs that are proven not to be among the k least.
    """
    totals = np.full(offset.shape, np.inf)
    offset, error = offset.astype(np.float64), error.astype(np.float64)
    _solve_promising(costs, offset, error, k, totals, in_parallel=costs.size >= SMALL)
    return totals
