"""One-dimensional convolution with less than half of the products, for processors.

The signal is cut into tiles; in each, as many sums of products are formed as the discrete Fourier
transform of the tile and its surroundings has real numbers, times 3/2, in place of one for every
pair of an output and a weight: with kernels of 7 and tiles of 16, 2 products per output, not 7. All
three transforms are real matrices, and so everything is matrix products. Rounding errors are those
of float32: with many channels smaller than in torch's direct sum, with one about three times as
large; they spread over a tile.

Source: Winograd, "Arithmetic Complexity of Computations" (1980): fast filtering as a bilinear form;
the points here are roots of unity, and complex products are done in three real ones (Gauss).
"""

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

TILE = 16


def convolve(
    signal: Float[Tensor, "length n a"],
    kernels: Float[Tensor, "b a k"],
    bias: Float[Tensor, " b"],
) -> Float[Tensor, "length n b"]:
    """`torch.nn.functional.conv1d` without stride that keeps the length, zeros around the signal.

    The length comes first and channels last, so that every step is a product of matrices as they
    lie. On an accelerator, and in reduced precision, where the transforms would lose too much,
    torch's own convolution is taken.

    Args:
        signal: n signals of a channels.
        kernels: As torch has them; k is odd and no larger than a tile.
        bias: Added to every output.
    """
    k = kernels.shape[2]
    is_reduced = signal.dtype.itemsize < 4 or torch.is_autocast_enabled("cpu")
    if signal.device.type != "cpu" or is_reduced:
        direct = F.conv1d(signal.permute(1, 2, 0), kernels, bias, padding=k // 2)
        return direct.permute(2, 0, 1)
    to_points, of_kernel, back = (m.to(signal.dtype) for m in _transforms(k))
    (length, n, a), b = signal.shape, len(kernels)
    count, points, reach = -(-length // TILE), len(to_points), k // 2
    whole = F.pad(signal, (0, 0, 0, 0, 0, count * TILE - length)) if length % TILE else signal
    own = whole.view(count, TILE, n, a).transpose(0, 1)
    before = F.pad(own[TILE - reach :, :-1], (0, 0, 0, 0, 1, 0))
    after = F.pad(own[:reach, 1:], (0, 0, 0, 0, 0, 1))
    tiles = torch.cat([before, own, after]).view(TILE + k - 1, count * n * a)
    at_points = (to_points @ tiles).view(points, count * n, a)
    kernel_at_points = (of_kernel @ kernels.permute(2, 1, 0).reshape(k, -1)).view(points, a, b)
    products = torch.bmm(at_points, kernel_at_points).view(points, count * n * b)
    outputs = (back @ products).view(TILE, count, n, b)
    return outputs.transpose(0, 1).flatten(0, 1)[:length].add_(bias)


@lru_cache
@torch.inference_mode(mode=False)  # else what is kept could not be used in training
def _transforms(
    k: int,
) -> tuple[Float[Tensor, "points size"], Float[Tensor, "points k"], Float[Tensor, "tile points"]]:
    """Matrices P, Q and R with R @ (P @ x * Q @ w) the outputs of a tile x for a kernel w.

    They are the transforms of x and of w reversed in time, and back. A coefficient of index f and
    that of index -f are conjugate, so one of them is enough; where it is real, one product does.
    """
    size = TILE + k - 1
    dft = torch.fft.fft(torch.eye(size, dtype=torch.float64, device="cpu"))
    to_points, of_kernel, back = [], [], []
    for f in range(size // 2 + 1):
        x, w, y = dft[f], dft[f, :k].conj(), dft[f, :TILE].conj() / size
        if 2 * f in (0, size):
            to_points += [x.real]
            of_kernel += [w.real]
            back += [y.real]
        else:
            # (x' + i x'')(w' + i w'') = p - r + i (p + q), p, q and r being the three products
            to_points += [x.real + x.imag, x.real, x.imag]
            of_kernel += [w.real, w.imag - w.real, w.real + w.imag]
            back += [2 * (y.real - y.imag), -2 * y.imag, -2 * y.real]
    return torch.stack(to_points), torch.stack(of_kernel), torch.stack(back, dim=1)
