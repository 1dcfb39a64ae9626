"""Eight or sixteen numbers as one value inside compiled numba code.

numba leaves it to the compiler whether a loop becomes vector instructions. The innermost loops of
small convolutions and of point clouds are worth saying it: plain numba loops took four times as
long. Every function here is one instruction per value where the processor has vectors of that
length, and several where its vectors are shorter.

"Lanes" is a value of this kind, of float32 or int32; functions of several sums take tuples of them,
which stay in registers. Arrays are contiguous and of one axis. numba's cache (`cache=True`) notices
a change of the file that a function is in, not of the files it calls: after a change here, delete
the `__pycache__` folders.
"""

from collections.abc import Callable
from typing import Any, no_type_check

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, register_model

_SCALARS = {types.float32: ir.FloatType(), types.int32: ir.IntType(32)}
_INDEX = ir.IntType(32)


class Lanes(types.Type):
    """The numba type of n numbers that are computed with together."""

    def __init__(self, n: int, scalar: types.Type) -> None:
        self.n, self.scalar = n, scalar
        super().__init__(name=f"{n} lanes of {scalar}")

    @property
    def vector(self) -> ir.VectorType:
        """The same in LLVM."""
        return ir.VectorType(_SCALARS[self.scalar], self.n)


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, lanes.vector)


@intrinsic(prefer_literal=True)
@no_type_check
def splat(typing, scalar, n):
    """The same number in all n lanes."""
    lanes = Lanes(n.literal_value, scalar)

    def emit(context, builder, signature, args):
        return _splat(builder, args[0], lanes)

    return lanes(scalar, n), emit


@intrinsic(prefer_literal=True)
@no_type_check
def load(typing, array, at, n):
    """n consecutive elements of an array."""
    lanes = Lanes(n.literal_value, _element(array))

    def emit(context, builder, signature, args):
        pointer = _address(context, builder, array, args[0], args[1], lanes)
        return builder.load(pointer, align=4)

    return lanes(array, types.intp, n), emit


@intrinsic
@no_type_check
def store(typing, array, at, value):
    """Put lanes into consecutive elements of an array."""
    _element(array)

    def emit(context, builder, signature, args):
        pointer = _address(context, builder, array, args[0], args[1], value)
        builder.store(args[2], pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), emit


@intrinsic
@no_type_check
def fma(typing, a, b, c):
    """a * b + c of numbers or lanes; rounded once where the processor can, else twice."""

    def emit(context, builder, signature, args):
        return _fma(builder, *args)

    return a(a, a, a), emit


def _elementwise(instruction: str, doc: str) -> Callable:
    @intrinsic
    def operation(typing, a, b):
        def emit(context, builder, signature, args):
            return getattr(builder, instruction)(*args)

        return a(a, a), emit

    operation.__doc__ = doc
    return operation


subtract = _elementwise("fsub", "a - b of numbers or lanes.")
multiply = _elementwise("fmul", "a * b of numbers or lanes.")


@intrinsic
@no_type_check
def pick(typing, a, b, where_greater, elsewhere):
    """Lanes of `where_greater` where a > b, of `elsewhere` in the others (NaN too)."""

    def emit(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[2], args[3])

    return where_greater(a, a, where_greater, where_greater), emit


@intrinsic
@no_type_check
def largest(typing, a):
    """The largest of all lanes."""

    def emit(context, builder, signature, args):
        top, n = args[0], a.n
        while n > 1:
            n //= 2
            halves = [_shuffle(builder, top, top, range(i * n, i * n + n)) for i in (0, 1)]
            top = builder.select(builder.fcmp_ordered(">", *halves), *halves)
        return builder.extract_element(top, _INDEX(0))

    return a.scalar(a), emit


def _pairs_picker(offset: int, doc: str) -> Callable:
    @intrinsic
    def pairs(typing, a, b):
        def emit(context, builder, signature, args):
            chosen = [lane for lane in range(2 * a.n) if lane % 4 // 2 == offset]
            return _shuffle(builder, args[0], args[1], chosen)

        return a(a, a), emit

    pairs.__doc__ = doc
    return pairs


even_pairs = _pairs_picker(0, "a0 a1 a4 a5 ... b0 b1 b4 b5 ...")
odd_pairs = _pairs_picker(1, "a2 a3 a6 a7 ... b2 b3 b6 b7 ...")


@intrinsic(prefer_literal=True)
@no_type_check
def repeat(typing, a, k):
    """A tuple of the same lanes k times."""
    n = k.literal_value

    def emit(context, builder, signature, args):
        return context.make_tuple(builder, signature.return_type, args[:1] * n)

    return types.UniTuple(a, n)(a, k), emit


@intrinsic(prefer_literal=True)
@no_type_check
def spread(typing, array, at, step, k):
    """A tuple of k elements of an array, `step` apart, each in all sixteen lanes of its own."""
    lanes = Lanes(16, _element(array))

    def emit(context, builder, signature, args):
        values, at = [], args[1]
        for _ in range(k.literal_value):
            pointer = _address(context, builder, array, args[0], at)
            values.append(_splat(builder, builder.load(pointer, align=4), lanes))
            at = builder.add(at, args[2])
        return context.make_tuple(builder, signature.return_type, values)

    return types.UniTuple(lanes, k.literal_value)(array, types.intp, types.intp, k), emit


@intrinsic
@no_type_check
def fma_all(typing, factor, factors, sums):
    """factor * factors[i] + sums[i] of every i: one lanes times a tuple, added to a tuple."""

    def emit(context, builder, signature, args):
        pairs = zip(*(cgutils.unpack_tuple(builder, arg) for arg in args[1:]), strict=True)
        made = [_fma(builder, args[0], one, total) for one, total in pairs]
        return context.make_tuple(builder, signature.return_type, made)

    return sums(factor, factors, sums), emit


@intrinsic(prefer_literal=True)
@no_type_check
def fma_patch(typing, factor, array, at, step, rows, sums):
    """A patch of an array times a factor, added to sums.

    The patch has `rows` rows, each `step` after the last, of as many consecutive lanes as share
    the sums among the rows evenly.
    """

    def emit(context, builder, signature, args):
        totals = cgutils.unpack_tuple(builder, args[5])
        places = _patch(context, builder, array, args[1:4], rows, sums)
        made = [
            _fma(builder, args[0], builder.load(place, align=4), total)
            for place, total in zip(places, totals, strict=True)
        ]
        return context.make_tuple(builder, signature.return_type, made)

    return sums(sums.dtype, array, types.intp, types.intp, rows, sums), emit


@intrinsic(prefer_literal=True)
@no_type_check
def add_patch(typing, array, at, step, rows, values):
    """Add values to a patch of an array, of rows as in `fma_patch`."""

    def emit(context, builder, signature, args):
        places = _patch(context, builder, array, args[:3], rows, values)
        for place, value in zip(places, cgutils.unpack_tuple(builder, args[4]), strict=True):
            builder.store(builder.fadd(builder.load(place, align=4), value), place, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, rows, values), emit


def _element(array: Any) -> types.Type:
    """The element type of an array that lanes can be loaded from."""
    if not isinstance(array, types.Array) or array.ndim != 1 or array.layout != "C":
        raise TypingError("lanes are loaded from, and put into, contiguous arrays of one axis")
    return array.dtype


def _address(
    context: Any, builder: Any, kind: Any, array: Any, at: Any, lanes: Lanes | None = None
) -> Any:
    """Address of element `at`, as one of lanes where they are given."""
    address = builder.gep(context.make_array(kind)(context, builder, array).data, [at])
    return builder.bitcast(address, lanes.vector.as_pointer()) if lanes else address


def _patch(context: Any, builder: Any, kind: Any, where: Any, rows: Any, lanes: Any) -> list[Any]:
    """Addresses of the lanes of a patch; `where` is array, first element and step."""
    array, row, step = where
    across, places = lanes.count // rows.literal_value, []
    for _ in range(rows.literal_value):
        for i in range(across):
            at = builder.add(row, row.type(i * lanes.dtype.n))
            places.append(_address(context, builder, kind, array, at, lanes.dtype))
        row = builder.add(row, step)
    return places


def _splat(builder: Any, scalar: Any, lanes: Lanes) -> Any:
    first = builder.insert_element(lanes.vector(ir.Undefined), scalar, _INDEX(0))
    return _shuffle(builder, first, first, [0] * lanes.n)


def _shuffle(builder: Any, a: Any, b: Any, chosen: Any) -> Any:
    chosen = list(chosen)
    mask = ir.Constant(ir.VectorType(_INDEX, len(chosen)), chosen)
    return builder.shuffle_vector(a, b, mask)


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    suffix = f"v{a.type.count}f32" if isinstance(a.type, ir.VectorType) else "f32"
    kind = ir.FunctionType(a.type, [a.type] * 3)
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.{suffix}")
    return builder.call(function, [a, b, c])
