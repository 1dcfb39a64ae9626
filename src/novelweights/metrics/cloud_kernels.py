"""The compiled loops of `point_clouds.py`: exact Chamfer distances without all pairs of points.

A cloud is packed once: sorted along a k-d tree, so that sixteen points in a row (a leaf) lie near
each other, coordinate by coordinate, with the box of each leaf. A leaf then searches the other
cloud's leaves, nearest box first, and passes over those whose box is farther than every distance
it has. Sixteen points are compared with one at a time in vector instructions, by direct
differences in float32; sums are float64. Searching scipy's k-d trees point by point takes nine
times as long (`benchmarks/point_clouds.py`).

No margin is needed for rounding: a box's distance goes through the same operations as a point's,
on differences that are no greater, and rounding keeps the order. So what is passed over could
have changed nothing, and the numbers are bit by bit those of all pairs.
"""

from typing import Any, NamedTuple, no_type_check

import numpy as np
from numba import njit

from novelweights.lanes import fma, largest, load, multiply, pick, spread, store, subtract

LEAF = 16
SLACK = 1 - 1e-9
"""Of a sum of bounds that is held against a sum of distances: float64 sums round."""


class Packed(NamedTuple):
    """Clouds in leaves of LEAF points that lie near each other."""

    points: Any  # (n, 3, LEAF * leaves) float32; the last leaf is filled with the last point
    lows: Any  # (n, 3, leaves) float32: the boxes of the leaves
    highs: Any  # (n, 3, leaves) float32
    outermost_first: Any  # (n, leaves) int64
    few: Any  # (n, 3, padded) float32: one point of each leaf, the last again to fill up
    n_points: int  # of a cloud


class _Cloud(NamedTuple):
    """One of them."""

    points: Any
    low: Any
    high: Any
    outermost_first: Any
    n_points: int


class _Scratch(NamedTuple):
    sums: Any  # (2, leaves): of squared distances, by leaf of either cloud
    bounds: Any  # (leaves,) float32
    near: Any  # (leaves + 1,) int64
    best: Any  # (LEAF,) float32


@njit(forceinline=True)
@no_type_check
def _squared_length(x, y, z):  # pragma: no cover - compiled
    """x^2 + y^2 + z^2 of numbers or lanes, in the one order of operations that is used."""
    return fma(z, z, fma(y, y, multiply(x, x)))


@njit(forceinline=True)
@no_type_check
def _improve_leaf(a, i, b, start, stop, best):  # pragma: no cover - compiled
    """Lower best[lane], the least squared distance of point i + lane, by points start..stop of b.

    Returns the greatest of `best` afterwards.
    """
    x, y, z = load(a[0], i, LEAF), load(a[1], i, LEAF), load(a[2], i, LEAF)
    x2, y2, z2 = b[0], b[1], b[2]
    lowest = load(best, 0, LEAF)
    for j in range(start, stop):
        squared = _squared_length(
            subtract(x, spread(x2, j, 0, 1)[0]),
            subtract(y, spread(y2, j, 0, 1)[0]),
            subtract(z, spread(z2, j, 0, 1)[0]),
        )
        lowest = pick(lowest, squared, squared, lowest)
    store(best, 0, lowest)
    return largest(lowest)


@njit(cache=True, nogil=True)
@no_type_check
def _leaf_sum(a, leaf, b, scratch):  # pragma: no cover - compiled
    """Sum over one leaf of cloud a of the squared distance to the nearest point of b."""
    zero = np.float32(0)
    x0, y0, z0 = a.low[0, leaf], a.low[1, leaf], a.low[2, leaf]
    x1, y1, z1 = a.high[0, leaf], a.high[1, leaf], a.high[2, leaf]
    others = b.low.shape[1]
    _, bounds, near, best = scratch
    for other in range(others):
        x = max(max(b.low[0, other] - x1, x0 - b.high[0, other]), zero)
        y = max(max(b.low[1, other] - y1, y0 - b.high[1, other]), zero)
        z = max(max(b.low[2, other] - z1, z0 - b.high[2, other]), zero)
        bounds[other] = _squared_length(x, y, z)
    least = bounds[0]
    for other in range(others):  # in vector instructions, which argmin is not
        least = min(least, bounds[other])
    first = 0
    while bounds[first] != least:
        first += 1
    best[:] = np.inf
    here, there = leaf * LEAF, first * LEAF
    worst = _improve_leaf(a.points, here, b.points, there, there + LEAF, best)
    bounds[first] = np.inf
    candidates = 0
    for other in range(others):  # without a branch that could be foretold wrongly
        near[candidates] = other
        candidates += bounds[other] < worst
    for candidate in range(candidates):
        if bounds[near[candidate]] < worst:
            there = near[candidate] * LEAF
            worst = _improve_leaf(a.points, here, b.points, there, there + LEAF, best)
    total = 0.0
    for lane in range(min(LEAF, a.n_points - here)):
        total += best[lane]
    return total


@njit(cache=True, nogil=True)
@no_type_check
def _pair_distance(a, b, limit, scratch):  # pragma: no cover - compiled
    """Chamfer distance of two clouds, infinity once it exceeds `limit`.

    Leaves are taken outermost first; what they sum up to is a lower bound all along.
    """
    so_far = 0.0
    for step in range(max(a.low.shape[1], b.low.shape[1])):
        if step < a.low.shape[1]:
            leaf = a.outermost_first[step]
            scratch.sums[0, leaf] = _leaf_sum(a, leaf, b, scratch)
            so_far += scratch.sums[0, leaf] / a.n_points
        if step < b.low.shape[1]:
            leaf = b.outermost_first[step]
            scratch.sums[1, leaf] = _leaf_sum(b, leaf, a, scratch)
            so_far += scratch.sums[1, leaf] / b.n_points
        if so_far * SLACK > limit:
            return np.inf
    total, total2 = 0.0, 0.0
    for leaf in range(a.low.shape[1]):
        total += scratch.sums[0, leaf]
    for leaf in range(b.low.shape[1]):
        total2 += scratch.sums[1, leaf]
    return total / a.n_points + total2 / b.n_points


@njit(forceinline=True)
@no_type_check
def _cloud(packed, row):  # pragma: no cover - compiled
    order = packed.outermost_first[row]
    return _Cloud(packed.points[row], packed.lows[row], packed.highs[row], order, packed.n_points)


@njit(cache=True, nogil=True)
@no_type_check
def distances_from(a, row, b, start, out):  # pragma: no cover - compiled
    """out[m] for m from `start` on: distance of cloud `row` of a to cloud m of b."""
    one, scratch = _cloud(a, row), _scratch(a, b)
    for m in range(start, len(b.points)):
        out[m] = _pair_distance(one, _cloud(b, m), np.inf, scratch)


@njit(cache=True, nogil=True)
@no_type_check
def nearest_from(a, row, b, excluded, rows, distances):  # pragma: no cover - compiled
    """Fill rows and distances (k,) with the clouds of b nearest to cloud `row` of a, ties by row.

    Those whose few points (one of each leaf) are nearest come first, and give the limit that the
    others have to stay within. `excluded` (m,) is True for those that do not count.
    """
    one, scratch = _cloud(a, row), _scratch(a, b)
    estimates = np.empty(len(b.points))
    for m in range(len(b.points)):
        estimates[m] = np.inf if excluded[m] else _estimate(a.few[row], b.few[m], scratch.best)
    rows[:], distances[:] = -1, np.inf
    last = len(rows) - 1
    for m in np.argsort(estimates):
        if excluded[m]:
            continue
        found = _pair_distance(one, _cloud(b, m), distances[last], scratch)
        place = last + 1
        while place > 0 and (
            found < distances[place - 1]
            or (found == distances[place - 1] and (m < rows[place - 1] or rows[place - 1] < 0))
        ):
            place -= 1
        for later in range(last, place, -1):
            rows[later], distances[later] = rows[later - 1], distances[later - 1]
        if place <= last:
            rows[place], distances[place] = m, found


@njit(cache=True, nogil=True)
@no_type_check
def _scratch(a, b):  # pragma: no cover - compiled
    most = max(a.lows.shape[2], b.lows.shape[2])
    return _Scratch(
        np.empty((2, most)),
        np.empty(most, np.float32),
        np.empty(most + 1, np.int64),
        np.empty(LEAF, np.float32),
    )


@njit(cache=True, nogil=True)
@no_type_check
def _estimate(a, b, best):  # pragma: no cover - compiled
    """Chamfer distance of two small clouds (3, points), points a multiple of LEAF; all pairs."""
    total = 0.0
    for one, other in ((a, b), (b, a)):
        for start in range(0, one.shape[1], LEAF):
            best[:] = np.inf
            _improve_leaf(one, start, other, 0, other.shape[1], best)
            for lane in range(LEAF):
                total += best[lane] / one.shape[1]
    return total
