"""The convolution of the latent denoiser against torch's own and against sums written out."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from novelweights.generators.parts.tiled_convolution import convolve


def drawn(length: int, n: int, a: int, b: int, k: int, dtype=torch.float64) -> list[Tensor]:
    rng = torch.Generator().manual_seed(length + k)
    sizes = ((length, n, a), (b, a, k), (b,))
    return [torch.randn(size, generator=rng, dtype=dtype) for size in sizes]


def direct(signal: Tensor, kernels: Tensor, bias: Tensor) -> Tensor:
    lengthwise = F.conv1d(signal.permute(1, 2, 0), kernels, bias, padding=kernels.shape[2] // 2)
    return lengthwise.permute(2, 0, 1)


@pytest.mark.parametrize("length", [1, 5, 16, 17, 47, 128])
@pytest.mark.parametrize("k", [1, 3, 7, 15])
def test_it_is_the_convolution_at_every_length_and_size_of_kernel(length: int, k: int):
    given = drawn(length, 3, 4, 5, k)
    torch.testing.assert_close(convolve(*given), direct(*given), rtol=1e-11, atol=1e-11)


def test_the_sums_written_out():
    signal, kernels, bias = drawn(20, 2, 2, 3, 7)
    found = convolve(signal, kernels, bias)
    for at in (0, 2, 15, 16, 19):
        for row in range(2):
            for out in range(3):
                terms = [
                    float(kernels[out, channel, tap] * signal[at + tap - 3, row, channel])
                    for channel in range(2)
                    for tap in range(7)
                    if 0 <= at + tap - 3 < 20
                ]
                assert float(found[at, row, out]) == pytest.approx(sum(terms) + float(bias[out]))


def test_no_signals_give_no_outputs():
    signal, kernels, bias = drawn(20, 2, 2, 3, 7)
    assert convolve(signal[:, :0], kernels, bias).shape == (20, 0, 3)


@pytest.mark.parametrize("length", [10, 19])
def test_gradients_are_those_of_the_sums(length: int):
    given = [tensor.requires_grad_() for tensor in drawn(length, 2, 3, 2, 7)]
    assert torch.autograd.gradcheck(convolve, given)


@pytest.mark.parametrize(("channels", "times"), [(256, 1.0), (1, 4.0)])
def test_rounding_is_that_of_float32(channels: int, times: float):
    given = drawn(128, 8, channels, 64, 7, dtype=torch.float32)
    exact = direct(*(tensor.double() for tensor in given))
    errors = [float((found - exact).norm()) for found in (convolve(*given), direct(*given))]
    assert 0 < errors[0] < times * errors[1]


def test_in_reduced_precision_torch_convolves():
    given = drawn(32, 2, 4, 4, 7, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        automatic = convolve(*given), direct(*given)
    reduced = [tensor.bfloat16() for tensor in given]
    for found, wanted in (automatic, (convolve(*reduced), direct(*reduced))):
        assert found.dtype == torch.bfloat16
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)
