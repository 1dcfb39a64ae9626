import numpy as np
import pytest
from scipy.special import ndtr

from novelweights.networks.activations import activate

X = np.concatenate(
    [np.linspace(-14, 14, 4000), np.geomspace(1e-20, 80, 1008), -np.geomspace(1e-20, 80, 1008)]
).astype(np.float32)


def values(x, is_gelu):
    out, slopes = np.array(x, np.float32), np.full(len(x), 7, np.float32)
    activate(out, slopes, is_gelu)
    alone = np.array(x, np.float32)
    activate(alone, slopes[:0], is_gelu)
    np.testing.assert_array_equal(alone, out)  # slopes or not
    return out.astype(np.float64), slopes.astype(np.float64)


def test_tanh_is_right_to_a_few_units_in_the_last_place():
    found, slopes = values(X, is_gelu=False)
    expected = np.tanh(X.astype(np.float64))
    np.testing.assert_allclose(found, expected, rtol=4e-7)
    np.testing.assert_allclose(slopes, 1 - expected**2, rtol=0, atol=1e-6)


def test_gelu_and_its_slope_are_right():
    (found, slopes), x = values(X, is_gelu=True), X.astype(np.float64)
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    np.testing.assert_array_less(np.abs(found - x * ndtr(x)), 5e-7 * np.maximum(np.abs(x), 1e-6))
    np.testing.assert_allclose(slopes, ndtr(x) + x * density, rtol=0, atol=5e-7)
    middle = np.abs(x) < 4
    np.testing.assert_allclose(found[middle], (x * ndtr(x))[middle], rtol=2e-6)


def test_ends_of_the_range_and_nan():
    x = np.array([np.nan, np.inf, -np.inf, 0, 1e30, -1e30, 100, -100], np.float32)
    tanh, _ = values(x, is_gelu=False)
    gelu, slopes = values(x, is_gelu=True)
    assert np.isnan([tanh[0], gelu[0], slopes[0]]).all()
    assert tanh[1:].tolist() == [1, -1, 0, 1, -1, 1, -1]
    assert gelu[3] == 0
    assert gelu[[4, 6, 7]].tolist() == [np.float32(1e30), 100, pytest.approx(0, abs=1e-30)]
