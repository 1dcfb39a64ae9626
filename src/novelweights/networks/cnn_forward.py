"""The forward pass of a `SmallCNN` on sixteen images at once, compiled.

The two large convolutions take two images side by side, their pixels in turn, so that sixteen
lanes are eight neighboring pixels of both. Columns and rows are split into even and odd ones
first: the four values that a maximum is taken of are then the same lane of four sums. The small
layers behind take sixteen images, one in each lane.

Arrays have one axis; their shapes are in the comments. Rows of the pooled first layer are 14 long
of which 12 count.
"""

from typing import no_type_check

import numpy as np
from numba import njit

from novelweights.networks.lane_functions import gelu_of_two, tanh_of_two
from novelweights.networks.lane_tuples import fma_all, spread4, spread5, spread6
from novelweights.networks.lanes import (
    even_pairs,
    fma,
    load16,
    odd_pairs,
    pick,
    splat16,
    store,
    subtract,
)

IMAGES = 16
"""In the lanes of the small layers."""
SIDE, PIXELS = 28, 784
HALF_PLANE = 14 * 14 * 2  # every other pixel of every other row, of two images
PLANES = 4 * HALF_PLANE
MAP = 12 * 14 * 2  # one channel of the pooled first layer, of two images
N1, N2, N3, N4, CLASSES = 8, 6, 4, 20, 10  # channels, then neurons
VALUES2 = N2 * 16  # of the pooled second layer, per image
VALUES3 = N3 * 9
SLACK = 16  # a last load may reach over the end
# where weights begin, without those of the first layer
CONV2 = 0
BIAS2 = CONV2 + N2 * N1 * 25
CONV3 = BIAS2 + N2
BIAS3 = CONV3 + N3 * N2 * 4
DENSE1 = BIAS3 + N3
BIAS4 = DENSE1 + N4 * VALUES3
DENSE2 = BIAS4 + N4
BIAS5 = DENSE2 + CLASSES * N4


@njit(forceinline=True)
@no_type_check
def first_layer_size(channels):
    """Weights and biases of the first layer."""
    return N1 * (25 * channels + 1)


@njit(cache=True)
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
def _largest(at, a, b, c, d, pooled, where, right, below):
    """Store the maximum of four and, if `where` has room, which it is; of equal ones the first."""
    top, bottom = pick(b, a, b, a), pick(d, c, d, c)
    store(pooled, at, pick(bottom, top, bottom, top))
    if where.shape[0]:
        zero, one = splat16(np.int32(0)), splat16(np.int32(right))
        down, both = splat16(np.int32(below)), splat16(np.int32(below + right))
        store(where, at, pick(bottom, top, pick(d, c, both, down), pick(b, a, one, zero)))


@njit(cache=True)
@no_type_check
def conv1_pooled(
    weights,  # (d,)
    channels,
    planes,  # of `split_pair`
    pooled,  # (8, 12, 14, 2): filled with the pooled sums
    where,  # the same of int32: filled with the largest pixel's distance in an image; or empty
):
    """The first convolution of two images and its maxima over two by two pixels."""
    step = 25 * channels
    for first in range(0, N1, 4):
        bias = spread4(weights, N1 * step + first, 1)
        for at in range(0, MAP, 16):
            a = b = c = d = bias
            for channel in range(channels):
                for dy in range(5):
                    rows = at + channel * PLANES
                    top = rows + (dy % 2) * 2 * HALF_PLANE + (dy // 2) * SIDE
                    bottom = rows + ((dy + 1) % 2) * 2 * HALF_PLANE + ((dy + 1) // 2) * SIDE
                    for dx in range(5):
                        tap = channel * 25 + dy * 5 + dx
                        factors = spread4(weights, first * step + tap, step)
                        left = (dx % 2) * HALF_PLANE + (dx // 2) * 2
                        right = ((dx + 1) % 2) * HALF_PLANE + ((dx + 1) // 2) * 2
                        a = fma_all(load16(planes, top + left), factors, a)
                        b = fma_all(load16(planes, top + right), factors, b)
                        c = fma_all(load16(planes, bottom + left), factors, c)
                        d = fma_all(load16(planes, bottom + right), factors, d)
            to = first * MAP + at
            _largest(to, a[0], b[0], c[0], d[0], pooled, where, 1, SIDE)
            _largest(to + MAP, a[1], b[1], c[1], d[1], pooled, where, 1, SIDE)
            _largest(to + 2 * MAP, a[2], b[2], c[2], d[2], pooled, where, 1, SIDE)
            _largest(to + 3 * MAP, a[3], b[3], c[3], d[3], pooled, where, 1, SIDE)


@njit(forceinline=True)
@no_type_check
def _largest_columns(at, upper, other_upper, lower, other_lower, pooled, where):
    """As `_largest`, of rows of two channels, eight pixels of two images each."""
    _largest(
        at,
        even_pairs(upper, other_upper),
        odd_pairs(upper, other_upper),
        even_pairs(lower, other_lower),
        odd_pairs(lower, other_lower),
        pooled,
        where,
        1,
        14,
    )


@njit(cache=True)
@no_type_check
def conv2_pooled(
    weights,  # (d,)
    start,  # of the second layer's weights
    maps,  # (8, 12, 14, 2): the first layer, and slack
    pooled,  # (4 rows, 6 channels, 4 columns, 2 images): filled with the pooled sums
    where,  # the same of int32: filled with the largest value's distance in a map; or empty
):
    """The second convolution of two images and its maxima over two by two values."""
    for y in range(0, 8, 4):
        rows0 = rows1 = rows2 = rows3 = spread6(weights, start + BIAS2, 1)
        for channel in range(N1):
            for dy in range(5):
                for dx in range(5):
                    factors = spread6(weights, start + channel * 25 + dy * 5 + dx, N1 * 25)
                    at = channel * MAP + (y + dy) * SIDE + 2 * dx
                    rows0 = fma_all(load16(maps, at), factors, rows0)
                    rows1 = fma_all(load16(maps, at + SIDE), factors, rows1)
                    rows2 = fma_all(load16(maps, at + 2 * SIDE), factors, rows2)
                    rows3 = fma_all(load16(maps, at + 3 * SIDE), factors, rows3)
        to = y // 2 * N2 * 8
        _largest_columns(to, rows0[0], rows0[1], rows1[0], rows1[1], pooled, where)
        _largest_columns(to + 16, rows0[2], rows0[3], rows1[2], rows1[3], pooled, where)
        _largest_columns(to + 32, rows0[4], rows0[5], rows1[4], rows1[5], pooled, where)
        _largest_columns(to + 48, rows2[0], rows2[1], rows3[0], rows3[1], pooled, where)
        _largest_columns(to + 64, rows2[2], rows2[3], rows3[2], rows3[3], pooled, where)
        _largest_columns(to + 80, rows2[4], rows2[5], rows3[4], rows3[5], pooled, where)


@njit(forceinline=True)
@no_type_check
def activate(values, slopes, n, is_gelu):
    """Apply the activation to n values in place; `slopes`, if it has room, gets its slopes."""
    for at in range(0, n, 32):
        x, y = load16(values, at), load16(values, at + 16)
        if is_gelu:
            x, y, slope, other = gelu_of_two(x, y)
        else:
            x, y = tanh_of_two(x, y)
            zero, one = splat16(np.float32(0)), splat16(np.float32(1))
            slope, other = fma(subtract(zero, x), x, one), fma(subtract(zero, y), y, one)
        store(values, at, x)
        store(values, at + 16, y)
        if slopes.shape[0]:
            store(slopes, at, slope)
            store(slopes, at + 16, other)


@njit(cache=True)
@no_type_check
def small_layers(
    weights,  # (d,)
    start,  # of the second layer's weights
    is_gelu,
    act2,  # (6, 4, 4, 16 images): the second layer's sums, which become activations
    act3,  # (4, 9, 16): filled with the third layer's activations
    act4,  # (20, 16): filled with the fourth layer's
    logits,  # (10, 16): filled
    slopes2,  # as act2, act3 and act4: filled with the activation's slopes; or empty
    slopes3,
    slopes4,
):
    """All behind the second convolution, one image in each lane."""
    activate(act2, slopes2, VALUES2 * IMAGES, is_gelu)
    for y in range(3):
        for x in range(3):
            sums = spread4(weights, start + BIAS3, 1)
            for channel in range(N2):
                for dy in range(2):
                    for dx in range(2):
                        factors = spread4(weights, start + CONV3 + channel * 4 + dy * 2 + dx, 24)
                        at = ((channel * 4 + y + dy) * 4 + x + dx) * IMAGES
                        sums = fma_all(load16(act2, at), factors, sums)
            at = (y * 3 + x) * IMAGES
            store(act3, at, sums[0])
            store(act3, at + 9 * IMAGES, sums[1])
            store(act3, at + 18 * IMAGES, sums[2])
            store(act3, at + 27 * IMAGES, sums[3])
    activate(act3, slopes3, VALUES3 * IMAGES, is_gelu)
    dense(weights, start + DENSE1, start + BIAS4, act3, VALUES3, act4, N4)
    activate(act4, slopes4, N4 * IMAGES, is_gelu)
    dense(weights, start + DENSE2, start + BIAS5, act4, N4, logits, CLASSES)


@njit(forceinline=True)
@no_type_check
def dense(weights, matrix, bias, inputs, n_inputs, outputs, n_outputs):
    """A dense layer, sixteen images at once; `n_outputs` is a multiple of five."""
    for first in range(0, n_outputs, 5):
        sums = spread5(weights, bias + first, 1)
        for i in range(n_inputs):
            factors = spread5(weights, matrix + first * n_inputs + i, n_inputs)
            sums = fma_all(load16(inputs, i * IMAGES), factors, sums)
        at = first * IMAGES
        store(outputs, at, sums[0])
        store(outputs, at + IMAGES, sums[1])
        store(outputs, at + 2 * IMAGES, sums[2])
        store(outputs, at + 3 * IMAGES, sums[3])
        store(outputs, at + 4 * IMAGES, sums[4])


@njit(forceinline=True)
@no_type_check
def to_image_lanes(pooled, first, act2):
    """The pooled second layer of two images, (4, 6, 4, 2), into lanes `first` and the next."""
    for y in range(4):
        for channel in range(N2):
            for x in range(4):
                at = ((y * N2 + channel) * 4 + x) * 2
                to = ((channel * 4 + y) * 4 + x) * IMAGES + first
                act2[to] = pooled[at]
                act2[to + 1] = pooled[at + 1]


@njit(cache=True, nogil=True)
@no_type_check
def population_logits(
    weights,  # (n, d)
    channels,
    is_gelu,
    x,  # (examples, channels * 784)
    first,  # of the images to take, and the one behind the last
    end,
    logits,  # (n, classes, examples): filled for these images
):
    """Logits of all networks on some images, which stay in the cache while networks change."""
    start = first_layer_size(channels)
    planes = np.zeros((IMAGES // 2, channels * PLANES + SLACK), np.float32)
    maps = np.zeros(N1 * MAP + SLACK, np.float32)
    pooled = np.empty(4 * N2 * 8, np.float32)
    act2 = np.zeros(VALUES2 * IMAGES, np.float32)
    act3 = np.empty(VALUES3 * IMAGES, np.float32)
    act4 = np.empty(N4 * IMAGES, np.float32)
    out = np.empty(CLASSES * IMAGES, np.float32)
    unused, unused_index = np.empty(0, np.float32), np.empty(0, np.int32)
    for group in range(first, end, IMAGES):
        n = min(IMAGES, end - group)
        for pair in range((n + 1) // 2):
            other = group + min(2 * pair + 1, n - 1)  # an odd group repeats its last image
            split_pair(x[group + 2 * pair], x[other], planes[pair])
        for network in range(weights.shape[0]):
            w = weights[network]
            for pair in range((n + 1) // 2):
                conv1_pooled(w, channels, planes[pair], maps, unused_index)
                activate(maps, unused, N1 * MAP, is_gelu)
                conv2_pooled(w, start, maps, pooled, unused_index)
                to_image_lanes(pooled, 2 * pair, act2)
            small_layers(w, start, is_gelu, act2, act3, act4, out, unused, unused, unused)
            for c in range(CLASSES):
                for k in range(n):
                    logits[network, c, group + k] = out[c * IMAGES + k]
