"""Sixteen (or eight) float32 as one value inside compiled numba code.

numba leaves it to the compiler whether a loop becomes vector instructions. The convolutions here
are worth saying it. Every function below is one instruction per value where the processor has
vectors of that length, and several where its vectors are shorter; all are for compiled code only.

"Lanes" is a value of this kind. numba's cache (`cache=True`) notices a change of the file that a
function is in, not of the files it calls: after a change here, delete the `__pycache__` folders.
"""

from collections.abc import Callable
from typing import Any, no_type_check

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, register_model


class Lanes(types.Type):
    """The numba type of n float32, or int32, that are computed with together."""

    def __init__(self, n: int, scalar: types.Type) -> None:
        self.n, self.scalar = n, scalar
        super().__init__(name=f"{n} lanes of {scalar}")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, vector_of(lanes))


_SCALARS = {types.float32: ir.FloatType(), types.int32: ir.IntType(32)}
LANES = {(n, scalar): Lanes(n, scalar) for n in (8, 16) for scalar in _SCALARS}


def vector_of(lanes: Lanes) -> ir.VectorType:
    return ir.VectorType(_SCALARS[lanes.scalar], lanes.n)


def _splatter(n: int) -> Callable:
    @intrinsic
    def splat(typing, scalar):
        """The same number in all lanes."""
        lanes = LANES[n, scalar]

        def emit(context, builder, signature, args):
            return emit_splat(builder, args[0], vector_of(lanes))

        return lanes(scalar), emit

    return splat


splat8, splat16 = _splatter(8), _splatter(16)


@intrinsic
@no_type_check
def load16(typing, array, at):
    """Sixteen consecutive elements of a contiguous array of one axis."""
    lanes = LANES[16, element_of(array)]

    def emit(context, builder, signature, args):
        return builder.load(address(context, builder, array, args[0], args[1], lanes), align=4)

    return lanes(array, types.intp), emit


@intrinsic
@no_type_check
def store(typing, array, at, value):
    """Put lanes into consecutive elements of an array."""

    def emit(context, builder, signature, args):
        to = address(context, builder, array, args[0], args[1], value)
        builder.store(args[2], to, align=4)
        return context.get_dummy_value()

    element_of(array)
    return types.void(array, types.intp, value), emit


@intrinsic
@no_type_check
def fma(typing, a, b, c):
    """a * b + c."""

    def emit(context, builder, signature, args):
        return emit_fma(builder, *args)

    return a(a, a, a), emit


def _elementwise(name: str, doc: str) -> Callable:
    @intrinsic
    def operation(typing, a, b):
        def emit(context, builder, signature, args):
            return getattr(builder, name)(*args)

        return a(a, a), emit

    operation.__doc__ = doc
    return operation


add = _elementwise("fadd", "a + b.")
subtract = _elementwise("fsub", "a - b.")
multiply = _elementwise("fmul", "a * b.")
divide = _elementwise("fdiv", "a / b.")


@intrinsic
@no_type_check
def pick(typing, a, b, where_greater, elsewhere):
    """Lanes of `where_greater` where a > b, of `elsewhere` in the others (NaN too)."""

    def emit(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[2], args[3])

    return where_greater(a, a, where_greater, where_greater), emit


@intrinsic
@no_type_check
def sum_of_lanes(typing, a):
    """The sum of all lanes, in an order of the compiler's choice."""

    def emit(context, builder, signature, args):
        total, n = args[0], a.n
        while n > 1:
            n //= 2
            low, high = (_shuffle(builder, total, total, range(i * n, i * n + n)) for i in (0, 1))
            total = builder.fadd(low, high)
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return a.scalar(a), emit


def _shuffler(chosen: Callable[[int], list[int]], doc: str) -> Callable:
    @intrinsic
    def shuffle(typing, a, b):
        def emit(context, builder, signature, args):
            return _shuffle(builder, args[0], args[1], chosen(a.n))

        return a(a, a), emit

    shuffle.__doc__ = doc
    return shuffle


zip_low = _shuffler(
    lambda n: [lane // 2 + n * (lane % 2) for lane in range(n)],
    "a0 b0 a1 b1 ...: the first halves of two lanes, in turn.",
)
zip_high = _shuffler(
    lambda n: [n // 2 + lane // 2 + n * (lane % 2) for lane in range(n)],
    "The second halves of two lanes, in turn.",
)
even_pairs = _shuffler(
    lambda n: [lane for lane in range(2 * n) if lane % 4 < 2], "a0 a1 a4 a5 ... b0 b1 b4 b5 ..."
)
odd_pairs = _shuffler(
    lambda n: [lane for lane in range(2 * n) if lane % 4 >= 2], "a2 a3 a6 a7 ... b2 b3 b6 b7 ..."
)


def _half(first: int) -> Callable:
    @intrinsic
    def half(typing, a):
        """The first, or the last, eight of sixteen lanes."""

        def emit(context, builder, signature, args):
            return _shuffle(builder, args[0], args[0], range(first, first + 8))

        return LANES[8, a.scalar](a), emit

    return half


first_half, second_half = _half(0), _half(8)


@intrinsic
@no_type_check
def power_of_two(typing, shifted):
    """2^k from float32(k + 1.5 * 2^23), whose last bits are k, for k in -126..127."""

    def emit(context, builder, signature, args):
        bits = ir.VectorType(ir.IntType(32), shifted.n)
        k = builder.bitcast(args[0], bits)
        exponent = builder.add(
            builder.shl(k, bits([23] * shifted.n)), bits([127 << 23] * shifted.n)
        )
        return builder.bitcast(exponent, args[0].type)

    return shifted(shifted), emit


def element_of(array: Any) -> types.Type:
    """The element type of an array that lanes can be loaded from."""
    if not isinstance(array, types.Array) or array.ndim != 1 or array.layout != "C":
        raise TypingError("lanes are loaded from, and put into, contiguous arrays of one axis")
    return array.dtype


def address(context: Any, builder: Any, kind: Any, array: Any, at: Any, lanes: Any) -> Any:
    """Address of element `at`, as one of lanes where they are given."""
    address = builder.gep(context.make_array(kind)(context, builder, array).data, [at])
    return address if lanes is None else builder.bitcast(address, vector_of(lanes).as_pointer())


def emit_splat(builder: Any, scalar: Any, vector: ir.VectorType) -> Any:
    first = builder.insert_element(vector(ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    return _shuffle(builder, first, first, [0] * vector.count)


def _shuffle(builder: Any, a: Any, b: Any, chosen: Any) -> Any:
    chosen = list(chosen)
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(chosen)), chosen)
    return builder.shuffle_vector(a, b, mask)


def emit_fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Rounded once where the processor can, else twice."""
    kind, name = ir.FunctionType(a.type, [a.type] * 3), f"llvm.fmuladd.v{a.type.count}f32"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [a, b, c])
