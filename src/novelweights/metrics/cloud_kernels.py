"""The compiled loops of `point_clouds.py`: exact Chamfer distances without all pairs of points.

A cloud is packed once: sorted along a k-d tree, so that sixteen points in a row (a leaf) lie near
each other, coordinate by coordinate, with the box of each leaf. A leaf then searches the other
cloud's leaves, nearest box first, and passes over those whose box is farther than every distance
it has. Sixteen points are compared with one at a time in vector instructions, by direct
differences in float32; sums are float64.

No margin is needed for rounding: a box's distance goes through the same operations as a point's,
on differences that are no greater, and rounding keeps the order. So what is passed over could
have changed nothing, and the numbers are bit by bit those of all pairs.
"""

from typing import Any, no_type_check

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.extending import intrinsic

LEAF = 16
SLACK = 1 - 1e-9
"""Of a sum of bounds that is held against a sum of distances: float64 sums round."""


def _multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once where the processor can, for numbers and vectors alike."""
    name = f"v{a.type.count}f32" if isinstance(a.type, ir.VectorType) else "f32"
    kind = ir.FunctionType(a.type, [a.type] * 3)
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.{name}")
    return builder.call(function, [a, b, c])


def _squared(builder: Any, x: Any, y: Any, z: Any) -> Any:
    """The one order of operations in which every squared length is computed."""
    of_two = _multiply_add(builder, y, y, builder.fmul(x, x))
    return _multiply_add(builder, z, z, of_two)


@intrinsic
@no_type_check
def squared_length(typing, x, y, z):
    """x^2 + y^2 + z^2 of three float32."""

    def emit(context, builder, signature, args):
        return _squared(builder, *args)

    return types.float32(types.float32, types.float32, types.float32), emit


@intrinsic
@no_type_check
def improve_leaf(typing, a, i, b, start, stop, best):
    """Lower best[lane], the least squared distance of point i + lane, by points start..stop of b.

    Args (compiled): a and b are (3, points) float32 C-contiguous; best is (LEAF,) float32.

    Returns: The greatest of `best` afterwards.
    """
    single, index = ir.FloatType(), ir.IntType(64)
    lanes, lane = ir.VectorType(single, LEAF), ir.IntType(32)

    def emit(context, builder, signature, args):
        def data(number):
            made = context.make_array(signature.args[number])(context, builder, args[number])
            return made.data, cgutils.unpack_tuple(builder, made.shape)[-1]

        def load_lanes(pointer, at):
            address = builder.bitcast(builder.gep(pointer, [at]), lanes.as_pointer())
            return address, builder.load(address, align=4)

        def spread(number):
            one = builder.insert_element(lanes(ir.Undefined), number, lane(0))
            mask = ir.Constant(ir.VectorType(lane, LEAF), [0] * LEAF)
            return builder.shuffle_vector(one, lanes(ir.Undefined), mask)

        (mine, length), (theirs, pitch), (least, _) = data(0), data(2), data(5)
        axes = [index(axis) for axis in range(3)]
        own = [load_lanes(mine, builder.add(builder.mul(k, length), args[1]))[1] for k in axes]
        home, so_far = load_lanes(least, index(0))
        before = builder.block
        loop, after = builder.append_basic_block("loop"), builder.append_basic_block("after")
        builder.branch(loop)
        builder.position_at_end(loop)
        j, lowest = builder.phi(index), builder.phi(lanes)
        others = [
            spread(builder.load(builder.gep(theirs, [builder.add(builder.mul(k, pitch), j)])))
            for k in axes
        ]
        squared = _squared(builder, *(builder.fsub(x, y) for x, y in zip(own, others, strict=True)))
        lower = builder.select(builder.fcmp_ordered("<", squared, lowest), squared, lowest)
        following = builder.add(j, index(1))
        for phi, first, later in ((j, args[3], following), (lowest, so_far, lower)):
            phi.add_incoming(first, before)
            phi.add_incoming(later, builder.block)
        builder.cbranch(builder.icmp_signed("<", following, args[4]), loop, after)
        builder.position_at_end(after)
        builder.store(lower, home, align=4)
        greatest, n = lower, LEAF
        while n > 1:
            n //= 2
            halves = [
                builder.shuffle_vector(
                    greatest,
                    greatest,
                    ir.Constant(ir.VectorType(lane, n), list(range(k * n, k * n + n))),
                )
                for k in (0, 1)
            ]
            greatest = builder.select(builder.fcmp_ordered(">", *halves), *halves)
        return builder.extract_element(greatest, lane(0))

    return types.float32(a, types.intp, b, types.intp, types.intp, best), emit


@njit(cache=True, nogil=True)
@no_type_check
def _divide(keys, order, start, middle, stop):  # pragma: no cover - compiled
    """Reorder both from start to stop so that no key before `middle` exceeds one after it.

    Source: C. A. R. Hoare, Algorithm 65: Find, 1961.
    """
    first, last = start, stop - 1
    while first < last:
        pivot = keys[middle]
        i, j = first, last
        while i <= j:
            while keys[i] < pivot:
                i += 1
            while pivot < keys[j]:
                j -= 1
            if i <= j:
                keys[i], keys[j] = keys[j], keys[i]
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if j < middle:
            first = i
        if middle < i:
            last = j


@njit(cache=True, nogil=True)
@no_type_check
def _sort_along_tree(cloud, order):  # pragma: no cover - compiled
    """Put into `order` the points of a cloud (p, 3) so that LEAF in a row lie near each other."""
    for i in range(len(order)):
        order[i] = i
    keys = np.empty(len(order), np.float32)
    starts, stops = np.empty(64, np.int64), np.empty(64, np.int64)
    starts[0], stops[0] = 0, len(order)
    waiting = 1
    while waiting > 0:
        waiting -= 1
        start, stop = starts[waiting], stops[waiting]
        leaves = (stop - start + LEAF - 1) // LEAF
        if leaves < 2:
            continue
        widest, width = 0, np.float32(-1)
        for axis in range(3):
            low = high = cloud[order[start], axis]
            for i in range(start, stop):
                low = min(low, cloud[order[i], axis])
                high = max(high, cloud[order[i], axis])
            if high - low > width:
                widest, width = axis, high - low
        middle = start + LEAF * (leaves // 2)
        for i in range(start, stop):
            keys[i] = cloud[order[i], widest]
        _divide(keys, order, start, middle, stop)
        starts[waiting], stops[waiting] = start, middle
        starts[waiting + 1], stops[waiting + 1] = middle, stop
        waiting += 2


@njit(cache=True, nogil=True)
@no_type_check
def pack(clouds, points, lows, highs):  # pragma: no cover - compiled
    """Sort each cloud (n, p, 3) into points (n, 3, LEAF * leaves); boxes are (n, 3, leaves)."""
    count = clouds.shape[1]
    order = np.empty(count, np.int64)
    for c in range(clouds.shape[0]):
        _sort_along_tree(clouds[c], order)
        for axis in range(3):
            for leaf in range(lows.shape[2]):
                low, high = np.float32(np.inf), np.float32(-np.inf)
                for i in range(leaf * LEAF, leaf * LEAF + LEAF):
                    value = clouds[c, order[min(i, count - 1)], axis]
                    points[c, axis, i] = value  # the last leaf is filled with the last point
                    low, high = min(low, value), max(high, value)
                lows[c, axis, leaf], highs[c, axis, leaf] = low, high


@njit(cache=True, nogil=True)
@no_type_check
def _leaf_sum(a, low, high, leaf, count, b, low2, high2, bounds, near, best):  # pragma: no cover
    """Sum over one leaf of a (its first `count` points) of the squared distance to b's nearest.

    Scratch: bounds (leaves of b,) float32, near (leaves of b,) int64, best (LEAF,) float32.
    """
    zero = np.float32(0)
    x0, y0, z0 = low[0, leaf], low[1, leaf], low[2, leaf]
    x1, y1, z1 = high[0, leaf], high[1, leaf], high[2, leaf]
    for other in range(len(bounds)):
        x = max(max(low2[0, other] - x1, x0 - high2[0, other]), zero)
        y = max(max(low2[1, other] - y1, y0 - high2[1, other]), zero)
        z = max(max(low2[2, other] - z1, z0 - high2[2, other]), zero)
        bounds[other] = squared_length(x, y, z)
    least = bounds[0]
    for other in range(len(bounds)):
        least = min(least, bounds[other])
    first = 0
    while bounds[first] != least:
        first += 1
    best[:] = np.inf
    here, there = leaf * LEAF, first * LEAF
    worst = improve_leaf(a, here, b, there, there + LEAF, best)
    bounds[first] = np.inf
    candidates = 0
    for other in range(len(bounds)):  # without a branch that could be foretold wrongly
        near[candidates] = other
        candidates += bounds[other] < worst
    for candidate in range(candidates):
        if bounds[near[candidate]] < worst:
            there = near[candidate] * LEAF
            worst = improve_leaf(a, here, b, there, there + LEAF, best)
    total = 0.0
    for lane in range(count):
        total += best[lane]
    return total


@njit(cache=True, nogil=True)
@no_type_check
def pair_distance(
    a, low, high, count, first_leaves, b, low2, high2, count2, first_leaves2, limit, work
):  # pragma: no cover - compiled
    """Chamfer distance of two packed clouds of `count` points, infinity once it exceeds `limit`.

    Leaves are taken in the order given; what they sum up to is a lower bound all along.
    """
    sums, sums2, bounds, near, best = work
    leaves, leaves2 = low.shape[1], low2.shape[1]
    so_far = 0.0
    for step in range(max(leaves, leaves2)):
        if step < leaves:
            leaf = first_leaves[step]
            n = min(LEAF, count - leaf * LEAF)
            sums[leaf] = _leaf_sum(
                a, low, high, leaf, n, b, low2, high2, bounds[:leaves2], near, best
            )
            so_far += sums[leaf] / count
        if step < leaves2:
            leaf = first_leaves2[step]
            n = min(LEAF, count2 - leaf * LEAF)
            sums2[leaf] = _leaf_sum(
                b, low2, high2, leaf, n, a, low, high, bounds[:leaves], near, best
            )
            so_far += sums2[leaf] / count2
        if so_far * SLACK > limit:
            return np.inf
    total, total2 = 0.0, 0.0
    for leaf in range(leaves):
        total += sums[leaf]
    for leaf in range(leaves2):
        total2 += sums2[leaf]
    return total / count + total2 / count2


@njit(cache=True, nogil=True)
@no_type_check
def distances_from(
    row, points, lows, highs, order, count, points2, lows2, highs2, order2, count2, start, out
):  # pragma: no cover - compiled
    """out[m] for m from `start` on: distance of packed cloud `row` to cloud m of the others."""
    work = _scratch(lows.shape[2], lows2.shape[2])
    for m in range(start, len(points2)):
        out[m] = pair_distance(
            points[row],
            lows[row],
            highs[row],
            count,
            order[row],
            points2[m],
            lows2[m],
            highs2[m],
            count2,
            order2[m],
            np.inf,
            work,
        )


@njit(cache=True, nogil=True)
@no_type_check
def nearest_from(
    row,
    points,
    lows,
    highs,
    order,
    count,
    few,
    points2,
    lows2,
    highs2,
    order2,
    count2,
    few2,
    excluded,
    rows,
    distances,
):  # pragma: no cover - compiled
    """Fill rows and distances (k,) with the nearest of the packed clouds, ties by row.

    Those whose few points (one of each leaf) are nearest come first, and give the limit that the
    others have to stay within.
    """
    work = _scratch(lows.shape[2], lows2.shape[2])
    estimates = np.empty(len(points2))
    for m in range(len(points2)):
        estimates[m] = np.inf if excluded[m] else _estimate(few[row], few2[m], work[4])
    rows[:], distances[:] = -1, np.inf
    last = len(rows) - 1
    for m in np.argsort(estimates):
        if excluded[m]:
            continue
        found = pair_distance(
            points[row],
            lows[row],
            highs[row],
            count,
            order[row],
            points2[m],
            lows2[m],
            highs2[m],
            count2,
            order2[m],
            distances[last],
            work,
        )
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
def _scratch(leaves, leaves2):  # pragma: no cover - compiled
    most = max(leaves, leaves2)
    return (
        np.empty(leaves),
        np.empty(leaves2),
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
            improve_leaf(one, start, other, 0, other.shape[1], best)
            for lane in range(LEAF):
                total += best[lane] / one.shape[1]
    return total
