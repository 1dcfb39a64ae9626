"""Tuples of lanes: the several sums that a convolution keeps in registers at a time.

For compiled code only, as `lanes.py`. The number at the end of a name is that of lanes in the
tuple, or of rows in a patch.
"""

from collections.abc import Callable
from typing import no_type_check

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from novelweights.networks.lanes import (
    LANES,
    address,
    element_of,
    emit_fma,
    emit_splat,
    vector_of,
)


def _repeater(k: int) -> Callable:
    @intrinsic
    def repeat(typing, a):
        """A tuple of the same lanes k times."""

        def emit(context, builder, signature, args):
            return context.make_tuple(builder, signature.return_type, args * k)

        return types.UniTuple(a, k)(a), emit

    return repeat


def _spreader(k: int) -> Callable:
    @intrinsic
    def spread(typing, array, at, step):
        """k elements of an array, `step` apart, each in all sixteen lanes of its own."""
        lanes = LANES[16, element_of(array)]

        def emit(context, builder, signature, args):
            values, at = [], args[1]
            for _ in range(k):
                pointer = address(context, builder, signature.args[0], args[0], at, None)
                values.append(emit_splat(builder, builder.load(pointer, align=4), vector_of(lanes)))
                at = builder.add(at, args[2])
            return context.make_tuple(builder, signature.return_type, values)

        return types.UniTuple(lanes, k)(array, types.intp, types.intp), emit

    return spread


repeat4, repeat5, repeat18, repeat25 = map(_repeater, (4, 5, 18, 25))
spread4, spread5, spread6 = map(_spreader, (4, 5, 6))


@intrinsic
@no_type_check
def fma_all(typing, factor, factors, sums):
    """factor * factors[i] + sums[i] of every i: one lanes times a tuple, added to a tuple."""

    def emit(context, builder, signature, args):
        pairs = zip(
            cgutils.unpack_tuple(builder, args[1]),
            cgutils.unpack_tuple(builder, args[2]),
            strict=True,
        )
        made = [emit_fma(builder, args[0], one, total) for one, total in pairs]
        return context.make_tuple(builder, signature.return_type, made)

    return sums(factor, factors, sums), emit


def _patch_adder(rows: int) -> Callable:
    @intrinsic
    def fma_patch(typing, factor, array, at, step, sums):
        """A patch of an array times a factor, added to sums.

        The patch has `rows` rows, each `step` after the last, of as many consecutive lanes as
        share the sums among the rows evenly.
        """
        lanes = sums.dtype

        def emit(context, builder, signature, args):
            made, row = [], args[2]
            totals = cgutils.unpack_tuple(builder, args[4])
            across = len(totals) // rows
            for i, total in enumerate(totals):
                if i and i % across == 0:
                    row = builder.add(row, args[3])
                at = builder.add(row, ir.Constant(row.type, i % across * lanes.n))
                pointer = address(context, builder, signature.args[1], args[1], at, lanes)
                made.append(emit_fma(builder, args[0], builder.load(pointer, align=4), total))
            return context.make_tuple(builder, signature.return_type, made)

        return sums(lanes, array, types.intp, types.intp, sums), emit

    return fma_patch


def _patch_storer(rows: int) -> Callable:
    @intrinsic
    def add_patch(typing, array, at, step, values):
        """Add values to a patch of an array, of rows as in `fma_patch`."""
        lanes = values.dtype

        def emit(context, builder, signature, args):
            row = args[1]
            values = cgutils.unpack_tuple(builder, args[3])
            across = len(values) // rows
            for i, value in enumerate(values):
                if i and i % across == 0:
                    row = builder.add(row, args[2])
                at = builder.add(row, ir.Constant(row.type, i % across * lanes.n))
                pointer = address(context, builder, signature.args[0], args[0], at, lanes)
                total = builder.fadd(builder.load(pointer, align=4), value)
                builder.store(total, pointer, align=4)
            return context.get_dummy_value()

        return types.void(array, types.intp, types.intp, values), emit

    return add_patch


fma_patch5, fma_patch6 = _patch_adder(5), _patch_adder(6)
add_patch5, add_patch6 = _patch_storer(5), _patch_storer(6)
