"""tanh and gelu of float32 in compiled loops, as arithmetic that the compiler makes vectors of.

The functions of the C library would take longer than the convolutions around them. Ranges are
reduced to where a short polynomial is enough; the coefficients are our own weighted least-squares
fits. tanh is right to a relative 4e-7, gelu and its slope to 5e-7 of the argument's size and of 1
(tests/networks/test_activations.py). NaN stays NaN.
"""

from typing import no_type_check

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

_LN2 = np.float32(np.log(2))
_LN2_REST = np.float32(np.log(2) - np.float64(_LN2))
_LOG2_E = np.float32(1 / np.log(2))
_SHIFT = np.float32(1.5 * 2**23)  # a float32 of this size has no digits after the point

# (exp(r) - 1) / r for |r| <= ln(2) / 2, to 1e-8
_E0, _E1, _E2, _E3, _E4, _E5 = (
    np.float32(c) for c in (1, 0.49999998, 0.166664997, 0.0416671555, 0.00836978654, 0.00138888562)
)
# Mills' ratio (1 - Phi(a)) / phi(a) for 0 <= a <= 13 in t = 1 / (1 + 0.3 a), to 6e-8
_MILLS_SCALE, _MILLS_END = np.float32(0.3), np.float32(13)
_M0, _M1, _M2, _M3, _M4, _M5, _M6, _M7, _M8 = (
    np.float32(c)
    for c in (
        *(1.60064662e-05, 0.299544462, 0.305373098, 0.238254103, 0.355137604),
        *(-0.188676919, 0.570466527, -0.422733266, 0.0959325926),
    )
)
_PEAK = np.float32(1 / np.sqrt(2 * np.pi))  # phi(0)
_ZERO, _ONE, _TWO, _HALF = np.float32(0), np.float32(1), np.float32(2), np.float32(0.5)
_TANH_END = np.float32(10)  # from 9.02 on tanh is 1 in float32


@intrinsic
@no_type_check
def _power_of_two(typing, shifted):
    """2^k from float32(k + 1.5 * 2^23), whose last bits are k, for k in -126..127."""

    def emit(context, builder, signature, args):
        bits = ir.IntType(32)
        exponent = builder.shl(builder.bitcast(args[0], bits), bits(23))
        return builder.bitcast(builder.add(exponent, bits(127 << 23)), args[0].type)

    return types.float32(types.float32), emit


@njit(forceinline=True)
@no_type_check
def _exp_parts(x):
    """2^k and exp(x - k ln 2) - 1, k such that |x - k ln 2| <= ln(2) / 2; |x| up to 87."""
    shifted = x * _LOG2_E + _SHIFT
    k = shifted - _SHIFT
    r = x - k * _LN2 - k * _LN2_REST
    p = ((((_E5 * r + _E4) * r + _E3) * r + _E2) * r + _E1) * r + _E0
    return _power_of_two(shifted), r * p


@njit(forceinline=True)
@no_type_check
def _tanh(x):
    """tanh and its slope: u / (u + 2) with u = exp(2 |x|) - 1, without cancellation."""
    size = abs(x)
    size = _TANH_END if size > _TANH_END else size
    power, rest = _exp_parts(size + size)
    u = power * rest + (power - _ONE)
    value = u / (u + _TWO)
    value = value if x > _ZERO else -value
    return value, _ONE - value * value


@njit(forceinline=True)
@no_type_check
def _gelu(x):
    """x Phi(x) and its slope Phi(x) + x phi(x), standard normal: Phi(-a) is phi(a) times Mills'."""
    size = abs(x)
    size = _MILLS_END if size > _MILLS_END else size
    power, rest = _exp_parts(-_HALF * size * size)
    density = _PEAK * (power * rest + power)
    t = _ONE / (_ONE + _MILLS_SCALE * size)
    ratio = (((_M8 * t + _M7) * t + _M6) * t + _M5) * t + _M4
    ratio = (((ratio * t + _M3) * t + _M2) * t + _M1) * t + _M0
    tail = density * ratio
    below = _ONE - tail if x > _ZERO else tail
    return x * below, x * density + below


@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
@no_type_check
def activate(
    values,  # (n,): become activations
    slopes,  # (n,): filled with the activation's slopes; or empty
    is_gelu,
):
    """Apply the activation to values in place."""
    if is_gelu and slopes.shape[0]:
        for i in range(values.shape[0]):
            values[i], slopes[i] = _gelu(values[i])
    elif is_gelu:
        for i in range(values.shape[0]):
            values[i] = _gelu(values[i])[0]
    elif slopes.shape[0]:
        for i in range(values.shape[0]):
            values[i], slopes[i] = _tanh(values[i])
    else:
        for i in range(values.shape[0]):
            values[i] = _tanh(values[i])[0]
