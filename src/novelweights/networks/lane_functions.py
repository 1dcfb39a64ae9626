"""exp, tanh and gelu of sixteen float32 at once, for compiled code.

The scalar functions of the C library would take longer than the convolutions around them. Ranges
are reduced to where a short polynomial is enough; the coefficients are our own weighted
least-squares fits. exp and tanh are right to a relative 4e-7, gelu and its slope to 5e-7 of the
argument's size and of 1 (tests/networks/test_lane_functions.py). NaN stays NaN.
"""

from typing import no_type_check

import numpy as np
from numba import njit

from novelweights.networks.lanes import (
    add,
    divide,
    fma,
    multiply,
    pick,
    power_of_two,
    splat16,
    subtract,
)

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
_EXP_END = np.float32(87)


@njit(forceinline=True)
@no_type_check
def _exp_parts(x):
    """2^k and exp(x - k ln 2) - 1, k such that |x - k ln 2| <= ln(2) / 2."""
    shifted = fma(x, splat16(_LOG2_E), splat16(_SHIFT))
    k = subtract(shifted, splat16(_SHIFT))
    r = fma(k, splat16(-_LN2), x)
    r = fma(k, splat16(-_LN2_REST), r)
    p = fma(r, splat16(_E5), splat16(_E4))
    p = fma(r, p, splat16(_E3))
    p = fma(r, p, splat16(_E2))
    p = fma(r, p, splat16(_E1))
    p = fma(r, p, splat16(_E0))
    return power_of_two(shifted), multiply(r, p)


@njit(forceinline=True)
@no_type_check
def exp16(x):
    """exp, of arguments below -87 as of -87 and above 87 as of 87."""
    end = splat16(_EXP_END)
    x = pick(x, end, end, x)
    x = pick(splat16(-_EXP_END), x, splat16(-_EXP_END), x)
    power, rest = _exp_parts(x)
    return fma(power, rest, power)


@njit(forceinline=True)
@no_type_check
def _size(x, end):
    """|x|, but at most `end`."""
    negative = subtract(splat16(_ZERO), x)
    size = pick(negative, x, negative, x)
    return pick(size, splat16(end), splat16(end), size)


@njit(forceinline=True)
@no_type_check
def _reciprocals(a, b):
    """1 / a and 1 / b by one division, which takes as long as all else of a function here."""
    both = divide(splat16(_ONE), multiply(a, b))
    return multiply(both, b), multiply(both, a)


@njit(forceinline=True)
@no_type_check
def _exp_twice_less_one(size):
    """exp(2 x) - 1 without cancellation."""
    power, rest = _exp_parts(add(size, size))
    return fma(power, rest, subtract(power, splat16(_ONE)))


@njit(forceinline=True)
@no_type_check
def _with_sign_of(x, size):
    return pick(splat16(_ZERO), x, subtract(splat16(_ZERO), size), size)


@njit(forceinline=True)
@no_type_check
def tanh_of_two(x, y):
    """tanh of two lanes: u / (u + 2) with u = exp(2 |x|) - 1."""
    two = splat16(_TWO)
    u, v = _exp_twice_less_one(_size(x, _TANH_END)), _exp_twice_less_one(_size(y, _TANH_END))
    p, q = _reciprocals(add(u, two), add(v, two))
    return _with_sign_of(x, multiply(u, p)), _with_sign_of(y, multiply(v, q))


@njit(forceinline=True)
@no_type_check
def _gelu_with(x, size, t):
    """gelu and its slope from |x| and t = 1 / (1 + 0.3 |x|): Phi(-a) is phi(a) times the ratio."""
    density = multiply(exp16(multiply(multiply(size, size), splat16(-_HALF))), splat16(_PEAK))
    ratio = fma(t, splat16(_M8), splat16(_M7))
    ratio = fma(t, ratio, splat16(_M6))
    ratio = fma(t, ratio, splat16(_M5))
    ratio = fma(t, ratio, splat16(_M4))
    ratio = fma(t, ratio, splat16(_M3))
    ratio = fma(t, ratio, splat16(_M2))
    ratio = fma(t, ratio, splat16(_M1))
    ratio = fma(t, ratio, splat16(_M0))
    tail = multiply(density, ratio)
    below = pick(splat16(_ZERO), x, tail, subtract(splat16(_ONE), tail))
    return multiply(x, below), fma(x, density, below)


@njit(forceinline=True)
@no_type_check
def gelu_of_two(x, y):
    """gelu of two lanes, x Phi(x), and the slopes Phi(x) + x phi(x), standard normal."""
    one, scale = splat16(_ONE), splat16(_MILLS_SCALE)
    size, other = _size(x, _MILLS_END), _size(y, _MILLS_END)
    t, s = _reciprocals(fma(size, scale, one), fma(other, scale, one))
    value, slope = _gelu_with(x, size, t)
    other_value, other_slope = _gelu_with(y, other, s)
    return value, other_value, slope, other_slope
