"""Gradients of a `SmallCNN`, compiled.

Behind the second convolution they are matrix products over sixteen images. Before it, only the
largest of each two by two values hands its slope on. So the gradients of the large convolutions are
sums over the pooled values alone, a quarter of all: a patch of the image, or of the first layer's
activations, times one number. Those activations are kept channels last, so that a row of a patch is
consecutive in memory. Shapes of arrays with one axis are in the comments.
"""

from typing import Any, NamedTuple, no_type_check

import numpy as np
from numba import njit

from novelweights.lanes import add_patch, fma_patch, repeat, splat
from novelweights.networks.cnn_forward import (
    IMAGES,
    MAP,
    N1,
    N2,
    PIXELS,
    SIDE,
    TAPS3,
)

ACTS_ROW = 14 * N1
ACTS = 12 * ACTS_ROW  # of the first layer, channels last, per image
PADDED = 7 * ACTS_ROW  # of one channel of the second layer's padded weights
ROW = 8  # of the sums for a row of five of the first layer's weights


class LargeLayers(NamedTuple):
    """What the large convolutions leave for their gradients, and the sums of these."""

    acts: Any  # (16 images, 12 * 14 * 8): the first layer's activations, channels last
    slopes: Any  # the same, of the activation's slopes
    where1: Any  # (8 pairs, 8 * MAP) int32: of `conv1_pooled`
    where2: Any  # (8 pairs, POOLED2) int32: of `conv2_pooled`
    padded: Any  # (6, 7, 14, 8) flat: the second layer's weights, a border of zeros around
    d1: Any  # (12 * 14 * 8,): the loss's slopes at the first layer's sums, of one image
    g1: Any  # (8, channels, 5, 8) flat: gradient of the first layer, with 3 columns to ignore
    g2: Any  # (6, 5, 5, 8) flat: of the second, channels last


@njit(cache=True, nogil=True)
@no_type_check
def loss_slopes(
    logits,  # (10, 16 images): become the loss's slopes
    labels,  # (n,) of the first n images; the others weigh nothing
    share,  # of one image in the mean
):
    """Slopes of the mean cross-entropy: softmax minus one at the label."""
    n, classes = labels.shape[0], logits.shape[0]
    for k in range(logits.shape[1]):
        top = logits[0, k]
        for c in range(classes):
            top = max(top, logits[c, k])
        total = np.float32(0)
        for c in range(classes):
            logits[c, k] = np.exp(logits[c, k] - top)
            total += logits[c, k]
        weight = share / total if k < n else np.float32(0)
        for c in range(classes):
            logits[c, k] *= weight
        if k < n:
            logits[labels[k], k] -= share


@njit(cache=True, nogil=True)
@no_type_check
def _product_backward(matrix, inputs, given, g_matrix, g_bias):
    """Add the gradients of a product, and return the loss's slopes at its inputs."""
    products, sums = np.dot(given, inputs.T), _row_sums(given)
    for row in range(products.shape[0]):
        g_bias[row] += sums[row]
        for column in range(products.shape[1]):
            g_matrix[row, column] += products[row, column]
    return np.dot(matrix.T, given)


@njit(cache=True, nogil=True)
@no_type_check
def _row_sums(matrix):
    """As a product, which sums several numbers at a time."""
    return np.dot(matrix, np.ones(matrix.shape[1], np.float32))


@njit(cache=True, nogil=True)
@no_type_check
def _multiply(values, slopes):
    """In place; values may have any shape."""
    flat = values.reshape(-1)
    for i in range(flat.shape[0]):
        flat[i] *= slopes[i]


@njit(cache=True, nogil=True)
@no_type_check
def small_layers_backward(w, s, g):
    """From the loss's slopes in s.logits to those at the second convolution's sums (6, 4, 4, 16).

    w and g are Parameters, of the weights and of the gradient, to which is added.
    """
    d4 = _product_backward(w.dense2, s.act4, s.logits, g.dense2, g.bias5)
    _multiply(d4, s.slopes4)
    act3 = s.act3.reshape(-1, IMAGES)
    d3 = _product_backward(w.dense1, act3, d4, g.dense1, g.bias4).reshape(s.act3.shape)
    _multiply(d3, s.slopes3)
    d_columns = _product_backward(w.conv3, s.columns, d3, g.conv3, g.bias3)
    d2 = np.zeros(s.act2.shape, np.float32)
    for tap in range(TAPS3):
        channel, dy, dx = tap // 4, tap // 2 % 2, tap % 2
        for y in range(3):
            for x in range(3):
                for k in range(IMAGES):
                    d2[channel, y + dy, x + dx, k] += d_columns[tap, (y * 3 + x) * IMAGES + k]
    _multiply(d2, s.slopes2)
    sums = _row_sums(d2.reshape(N2, -1))
    for channel in range(N2):
        g.bias2[channel] += sums[channel]
    return d2


@njit(cache=True, nogil=True)
@no_type_check
def large_layers(channels):
    """Room for sixteen images."""
    return LargeLayers(
        np.zeros((IMAGES, ACTS), np.float32),
        np.zeros((IMAGES, ACTS), np.float32),
        np.empty((IMAGES // 2, N1 * MAP), np.int32),
        np.empty((IMAGES // 2, 4 * N2 * 4 * 2), np.int32),
        np.zeros(N2 * PADDED, np.float32),
        np.empty(ACTS, np.float32),
        np.zeros(N1 * channels * 5 * ROW, np.float32),
        np.zeros(N2 * 25 * N1, np.float32),
    )


@njit(cache=True, nogil=True)
@no_type_check
def to_channels_last(
    maps,  # (8, 12, 14, 2)
    pair,  # (2 images, 12 * 14 * 8): filled
):
    """One map of all channels for each image in place of one of both for each channel."""
    for side in range(2):
        out = pair[side]
        for value in range(MAP // 2):
            for c in range(N1):
                out[value * N1 + c] = maps[c * MAP + 2 * value + side]


@njit(cache=True, nogil=True)
@no_type_check
def pad_second_layer(conv2, padded):
    """Copy the second layer's weights into the middle of `padded`."""
    for o in range(N2):
        for channel in range(N1):
            for tap in range(25):
                to = o * PADDED + (tap // 5 + 1) * ACTS_ROW + (tap % 5 + 1) * N1 + channel
                padded[to] = conv2[(o * N1 + channel) * 25 + tap]


@njit(cache=True, nogil=True)
@no_type_check
def convolutions_backward(
    image,  # (channels * 784,) and slack
    k,  # which of sixteen it is
    v,  # LargeLayers
    d2,  # of `small_layers_backward`
    bias1,  # (8,): of the gradient, to which is added
):
    """Add the gradients of both large convolutions, one image at a time."""
    side, acts, d1 = k % 2, v.acts[k], v.d1
    where1, where2 = v.where1[k // 2], v.where2[k // 2]
    for o in range(N2):
        sums = repeat(splat(np.float32(0), 8), 25)
        for y in range(4):
            for x in range(4):
                place = 28 * y + 2 * x + where2[((y * N2 + o) * 4 + x) * 2 + side]
                slope = splat(d2[o, y, x, k], 8)
                sums = fma_patch(slope, acts, place * N1, ACTS_ROW, 5, sums)
        add_patch(v.g2, o * 25 * N1, 5 * N1, 5, sums)
    d1[:] = np.float32(0)
    for y in range(4):
        for x in range(4):
            patch = repeat(splat(np.float32(0), 16), 18)
            for o in range(N2):
                place = where2[((y * N2 + o) * 4 + x) * 2 + side]
                at = o * PADDED + ACTS_ROW + N1 - place * N1  # the more to the right, the less
                slope = splat(d2[o, y, x, k], 16)
                patch = fma_patch(slope, v.padded, at, ACTS_ROW, 6, patch)
            add_patch(d1, (28 * y + 2 * x) * N1, ACTS_ROW, 6, patch)
    _multiply(d1, v.slopes[k])
    for value in range(MAP // 2):
        for c in range(N1):
            bias1[c] += d1[value * N1 + c]
    channels = v.g1.shape[0] // (N1 * 5 * ROW)
    for channel in range(channels):
        for c in range(0, N1, 2):
            sums = repeat(splat(np.float32(0), 8), 5)
            others = sums
            for y in range(12):
                for x in range(12):
                    value = y * 14 + x
                    pixel = channel * PIXELS + 2 * y * SIDE + 2 * x
                    place = pixel + where1[c * MAP + 2 * value + side]
                    other = pixel + where1[(c + 1) * MAP + 2 * value + side]
                    slope = splat(d1[value * N1 + c], 8)
                    other_slope = splat(d1[value * N1 + c + 1], 8)
                    sums = fma_patch(slope, image, place, SIDE, 5, sums)
                    others = fma_patch(other_slope, image, other, SIDE, 5, others)
            add_patch(v.g1, (c * channels + channel) * 5 * ROW, ROW, 5, sums)
            add_patch(v.g1, ((c + 1) * channels + channel) * 5 * ROW, ROW, 5, others)


@njit(cache=True, nogil=True)
@no_type_check
def move_convolution_gradients(v, g):
    """Put the sums of `convolutions_backward` into the gradient, and empty them."""
    for kernel in range(g.conv1.shape[0] // 25):
        for tap in range(25):
            g.conv1[kernel * 25 + tap] = v.g1[(kernel * 5 + tap // 5) * ROW + tap % 5]
    for o in range(N2):
        for channel in range(N1):
            for tap in range(25):
                g.conv2[(o * N1 + channel) * 25 + tap] = v.g2[(o * 25 + tap) * N1 + channel]
    v.g1[:] = np.float32(0)
    v.g2[:] = np.float32(0)
