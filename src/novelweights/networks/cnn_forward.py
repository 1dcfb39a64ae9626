"""The forward pass of a `SmallCNN` on sixteen images at once, compiled.

The two large convolutions take two images side by side, their pixels in turn, so that sixteen
lanes are eight neighboring pixels of both. Columns and rows are split into even and odd ones
first: the four values that a maximum is taken of are then the same lane of four sums. The small
layers behind are matrix products over sixteen images.

Images and maps have one axis; their shapes are in the comments. Rows of the pooled first layer are
14 long of which 12 count.
"""

from typing import Any, NamedTuple, no_type_check

import numpy as np
from numba import njit

from novelweights.lanes import even_pairs, fma_all, load, odd_pairs, pick, splat, spread, store
from novelweights.networks.activations import activate

IMAGES = 16
"""Of one matrix product."""
SIDE, PIXELS = 28, 784
HALF_PLANE = 14 * 14 * 2  # every other pixel of every other row, of two images
PLANES = 4 * HALF_PLANE
MAP = 12 * 14 * 2  # one channel of the pooled first layer, of two images
N1, N2, N3, N4, CLASSES = 8, 6, 4, 20, 10  # channels, then neurons
POOLED2 = 4 * N2 * 4 * 2  # values of the pooled second layer, of two images
TAPS3 = N2 * 2 * 2
SLACK = 16  # a last load may reach over the end


class Parameters(NamedTuple):
    """Views of a flat vector of weights, or of a gradient."""

    conv1: Any  # (8 * channels * 25,)
    bias1: Any  # (8,)
    conv2: Any  # (6 * 8 * 25,)
    bias2: Any  # (6,)
    conv3: Any  # (4, 6 * 2 * 2)
    bias3: Any  # (4,)
    dense1: Any  # (20, 36)
    bias4: Any  # (20,)
    dense2: Any  # (10, 20)
    bias5: Any  # (10,)


class SmallLayers(NamedTuple):
    """What the layers behind the second convolution compute, sixteen images last."""

    act2: Any  # (6, 4, 4, 16): the second layer's sums, which become activations
    columns: Any  # (6 * 2 * 2, 9 * 16): of act2, what the third layer's weights are multiplied by
    act3: Any  # (4, 9 * 16): the third layer's activations
    act4: Any  # (20, 16)
    logits: Any  # (10, 16)
    slopes2: Any  # of act2, act3 and act4, flat: the activation's slopes; or empty
    slopes3: Any
    slopes4: Any


@njit(cache=True, nogil=True)
@no_type_check
def parameters(flat, channels):
    """The parameters in flat order."""
    at1 = N1 * 25 * channels
    at2 = at1 + N1
    at3 = at2 + N2 * N1 * 25 + N2
    at4 = at3 + N3 * TAPS3 + N3
    at5 = at4 + N4 * N3 * 9 + N4
    return Parameters(
        flat[:at1],
        flat[at1:at2],
        flat[at2 : at3 - N2],
        flat[at3 - N2 : at3],
        flat[at3 : at4 - N3].reshape(N3, TAPS3),
        flat[at4 - N3 : at4],
        flat[at4 : at5 - N4].reshape(N4, N3 * 9),
        flat[at5 - N4 : at5],
        flat[at5 : at5 + CLASSES * N4].reshape(CLASSES, N4),
        flat[at5 + CLASSES * N4 :],
    )


@njit(cache=True, nogil=True)
@no_type_check
def small_layers(with_slopes):
    """Room for sixteen images."""
    n2, n3, n4 = (N2 * 16 * IMAGES, N3 * 9 * IMAGES, N4 * IMAGES) if with_slopes else (0, 0, 0)
    return SmallLayers(
        np.zeros((N2, 4, 4, IMAGES), np.float32),
        np.empty((TAPS3, 9 * IMAGES), np.float32),
        np.empty((N3, 9 * IMAGES), np.float32),
        np.empty((N4, IMAGES), np.float32),
        np.empty((CLASSES, IMAGES), np.float32),
        np.empty(n2, np.float32),
        np.empty(n3, np.float32),
        np.empty(n4, np.float32),
    )


@njit(cache=True, nogil=True)
@no_type_check
def split_pair(
    image,  # (channels * 784,)
    other,  # (channels * 784,)
    planes,  # (channels, row parity, column parity, 14, 14, 2) and slack
):
    """Put two images side by side, even and odd rows and columns apart."""
    for channel in range(image.shape[0] // PIXELS):
        for y in range(SIDE):
            at = channel * PLANES + (y % 2) * 2 * HALF_PLANE + (y // 2) * SIDE
            pixel = channel * PIXELS + y * SIDE
            for x in range(14):
                planes[at + 2 * x] = image[pixel + 2 * x]
                planes[at + 2 * x + 1] = other[pixel + 2 * x]
                planes[at + HALF_PLANE + 2 * x] = image[pixel + 2 * x + 1]
                planes[at + HALF_PLANE + 2 * x + 1] = other[pixel + 2 * x + 1]


@njit(forceinline=True)
@no_type_check
def _largest(at, four, pooled, where, below):
    """Store the maximum of two by two and, if `where` has room, which it is; of equal ones the
    first. To the right is 1 from the first, down is `below`."""
    a, b, c, d = four
    top, bottom = pick(b, a, b, a), pick(d, c, d, c)
    store(pooled, at, pick(bottom, top, bottom, top))
    if where.shape[0]:
        zero, one = splat(np.int32(0), 16), splat(np.int32(1), 16)
        down, both = splat(np.int32(below), 16), splat(np.int32(below + 1), 16)
        store(where, at, pick(bottom, top, pick(d, c, both, down), pick(b, a, one, zero)))


@njit(cache=True, nogil=True)
@no_type_check
def conv1_pooled(
    w,  # Parameters
    planes,  # of `split_pair`
    pooled,  # (8, 12, 14, 2): filled with the pooled sums
    where,  # the same of int32: filled with the largest pixel's distance in an image; or empty
):
    """The first convolution of two images and its maxima over two by two pixels."""
    step = w.conv1.shape[0] // N1
    for first in range(0, N1, 4):
        bias = spread(w.bias1, first, 1, 4)
        for at in range(0, MAP, 16):
            a = b = c = d = bias
            for channel in range(step // 25):
                for dy in range(5):
                    rows = at + channel * PLANES
                    top = rows + (dy % 2) * 2 * HALF_PLANE + (dy // 2) * SIDE
                    bottom = rows + ((dy + 1) % 2) * 2 * HALF_PLANE + ((dy + 1) // 2) * SIDE
                    for dx in range(5):
                        tap = channel * 25 + dy * 5 + dx
                        factors = spread(w.conv1, first * step + tap, step, 4)
                        left = (dx % 2) * HALF_PLANE + (dx // 2) * 2
                        right = ((dx + 1) % 2) * HALF_PLANE + ((dx + 1) // 2) * 2
                        a = fma_all(load(planes, top + left, 16), factors, a)
                        b = fma_all(load(planes, top + right, 16), factors, b)
                        c = fma_all(load(planes, bottom + left, 16), factors, c)
                        d = fma_all(load(planes, bottom + right, 16), factors, d)
            to = first * MAP + at
            _largest(to, (a[0], b[0], c[0], d[0]), pooled, where, SIDE)
            _largest(to + MAP, (a[1], b[1], c[1], d[1]), pooled, where, SIDE)
            _largest(to + 2 * MAP, (a[2], b[2], c[2], d[2]), pooled, where, SIDE)
            _largest(to + 3 * MAP, (a[3], b[3], c[3], d[3]), pooled, where, SIDE)


@njit(forceinline=True)
@no_type_check
def _by_columns(upper, other_upper, lower, other_lower):
    """Two by two of rows of two channels, eight pixels of two images each."""
    return (
        even_pairs(upper, other_upper),
        odd_pairs(upper, other_upper),
        even_pairs(lower, other_lower),
        odd_pairs(lower, other_lower),
    )


@njit(cache=True, nogil=True)
@no_type_check
def conv2_pooled(
    w,  # Parameters
    maps,  # (8, 12, 14, 2): the first layer, and slack
    pooled,  # (4 rows, 6 channels, 4 columns, 2 images): filled with the pooled sums
    where,  # the same of int32: filled with the largest value's distance in a map; or empty
):
    """The second convolution of two images and its maxima over two by two values."""
    for y in range(0, 8, 4):
        a = b = c = d = spread(w.bias2, 0, 1, 6)  # four rows
        for channel in range(N1):
            for dy in range(5):
                for dx in range(5):
                    factors = spread(w.conv2, channel * 25 + dy * 5 + dx, N1 * 25, 6)
                    at = channel * MAP + (y + dy) * SIDE + 2 * dx
                    a = fma_all(load(maps, at, 16), factors, a)
                    b = fma_all(load(maps, at + SIDE, 16), factors, b)
                    c = fma_all(load(maps, at + 2 * SIDE, 16), factors, c)
                    d = fma_all(load(maps, at + 3 * SIDE, 16), factors, d)
        to = y // 2 * N2 * 8
        _largest(to, _by_columns(a[0], a[1], b[0], b[1]), pooled, where, 14)
        _largest(to + 16, _by_columns(a[2], a[3], b[2], b[3]), pooled, where, 14)
        _largest(to + 32, _by_columns(a[4], a[5], b[4], b[5]), pooled, where, 14)
        _largest(to + 48, _by_columns(c[0], c[1], d[0], d[1]), pooled, where, 14)
        _largest(to + 64, _by_columns(c[2], c[3], d[2], d[3]), pooled, where, 14)
        _largest(to + 80, _by_columns(c[4], c[5], d[4], d[5]), pooled, where, 14)


@njit(cache=True, nogil=True)
@no_type_check
def to_small_layers(
    pooled,  # of `conv2_pooled`
    first,  # of the two images
    act2,  # of SmallLayers
):
    """The pooled second layer of two images beside those of the others."""
    for y in range(4):
        for channel in range(N2):
            for x in range(4):
                at = ((y * N2 + channel) * 4 + x) * 2
                act2[channel, y, x, first] = pooled[at]
                act2[channel, y, x, first + 1] = pooled[at + 1]


@njit(forceinline=True)
@no_type_check
def _product(matrix, inputs, bias, out):
    np.dot(matrix, inputs, out)
    for row in range(out.shape[0]):  # loops are compiled several times as fast as array sums
        for k in range(out.shape[1]):
            out[row, k] += bias[row]


@njit(cache=True, nogil=True)
@no_type_check
def fill_small_layers(w, s, is_gelu):
    """All behind the second convolution, from its sums to the logits."""
    activate(s.act2.reshape(-1), s.slopes2, is_gelu)
    for tap in range(TAPS3):
        channel, dy, dx = tap // 4, tap // 2 % 2, tap % 2
        for y in range(3):
            for x in range(3):
                for k in range(IMAGES):
                    s.columns[tap, (y * 3 + x) * IMAGES + k] = s.act2[channel, y + dy, x + dx, k]
    _product(w.conv3, s.columns, w.bias3, s.act3)
    activate(s.act3.reshape(-1), s.slopes3, is_gelu)
    _product(w.dense1, s.act3.reshape(-1, IMAGES), w.bias4, s.act4)
    activate(s.act4.reshape(-1), s.slopes4, is_gelu)
    _product(w.dense2, s.act4, w.bias5, s.logits)


@njit(cache=True, nogil=True)
@no_type_check
def population_logits(
    weights,  # (n, d)
    is_gelu,
    x,  # (examples, channels * 784)
    first,  # of the images to take, and the one behind the last
    end,
    logits,  # (n, classes, examples): filled for these images
):
    """Logits of all networks on some images, which stay in the cache while networks change."""
    channels = x.shape[1] // PIXELS
    planes = np.zeros((IMAGES // 2, channels * PLANES + SLACK), np.float32)
    maps = np.zeros(N1 * MAP + SLACK, np.float32)
    pooled = np.empty(POOLED2, np.float32)
    small = small_layers(with_slopes=False)
    unused, unused_index = np.empty(0, np.float32), np.empty(0, np.int32)
    for group in range(first, end, IMAGES):
        n = min(IMAGES, end - group)
        for pair in range((n + 1) // 2):
            other = group + min(2 * pair + 1, n - 1)  # an odd group repeats its last image
            split_pair(x[group + 2 * pair], x[other], planes[pair])
        for network in range(weights.shape[0]):
            w = parameters(weights[network], channels)
            for pair in range((n + 1) // 2):
                conv1_pooled(w, planes[pair], maps, unused_index)
                activate(maps[: N1 * MAP], unused, is_gelu)
                conv2_pooled(w, maps, pooled, unused_index)
                to_small_layers(pooled, 2 * pair, small.act2)
            fill_small_layers(w, small, is_gelu)
            for c in range(CLASSES):
                for k in range(n):
                    logits[network, c, group + k] = small.logits[c, k]
