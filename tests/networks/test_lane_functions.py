import numpy as np
import pytest
from numba import njit
from scipy.special import ndtr

from novelweights.networks.lane_functions import exp16, gelu_of_two, tanh_of_two
from novelweights.networks.lanes import load16, store

X = np.concatenate(
    [np.linspace(-14, 14, 4000), np.geomspace(1e-20, 80, 1008), -np.geomspace(1e-20, 80, 1008)]
).astype(np.float32)
SPECIAL = np.array([np.nan, np.inf, -np.inf, 0, 1e30, -1e30, 100, -100] * 4, np.float32)


@njit
def compiled(x, out):
    for at in range(0, x.shape[0], 32):
        a, b = load16(x, at), load16(x, at + 16)
        store(out[0], at, exp16(a))
        store(out[0], at + 16, exp16(b))
        c, d = tanh_of_two(a, b)
        store(out[1], at, c)
        store(out[1], at + 16, d)
        c, d, e, f = gelu_of_two(a, b)
        store(out[2], at, c)
        store(out[2], at + 16, d)
        store(out[3], at, e)
        store(out[3], at + 16, f)


def values(x):
    out = np.full((4, len(x)), 7, np.float32)
    compiled(x, out)
    return out.astype(np.float64)


def test_exp_and_tanh_are_right_to_a_few_units_in_the_last_place():
    found, x = values(X), X.astype(np.float64)
    np.testing.assert_allclose(found[0], np.exp(x), rtol=2e-7)
    np.testing.assert_allclose(found[1], np.tanh(x), rtol=4e-7)


def test_gelu_and_its_slope_are_right():
    found, x = values(X), X.astype(np.float64)
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    np.testing.assert_array_less(np.abs(found[2] - x * ndtr(x)), 5e-7 * np.maximum(np.abs(x), 1e-6))
    np.testing.assert_allclose(found[3], ndtr(x) + x * density, rtol=0, atol=5e-7)
    middle = np.abs(x) < 4
    np.testing.assert_allclose(found[2][middle], (x * ndtr(x))[middle], rtol=2e-6)


def test_ends_of_the_range_and_nan():
    found = values(SPECIAL)[:, :8]
    assert np.isnan(found[:, 0]).all()
    alone = values(np.where(np.isnan(SPECIAL), np.float32(0), SPECIAL))[:, :8]
    assert found[1, 1:].tolist() == [1, -1, 0, 1, -1, 1, -1]
    np.testing.assert_array_equal(found[:, 1:], alone[:, 1:])
    assert found[0, 3] == 1
    assert found[0, 6] == pytest.approx(np.exp(87), rel=1e-6)
    assert 0 < found[0, 7] < 1e-37
    assert found[2, 3] == 0
    assert found[2, [6, 7]].tolist() == [100, pytest.approx(0, abs=1e-30)]
