"""Gradients of the two large convolutions of a `SmallCNN`, compiled.

Only the largest of each two by two values hands its slope on. So the gradients of the large
convolutions are sums over the pooled values alone, a quarter of all: a patch of the image, or of
the first layer's activations, times one number. Those activations are kept channels last, so that
a row of a patch is consecutive in memory. Shapes of arrays with one axis are in the comments.
"""

from typing import no_type_check

import numpy as np
from numba import njit

from novelweights.networks.cnn_forward import (
    CONV2,
    IMAGES,
    MAP,
    N1,
    N2,
    PIXELS,
    SIDE,
    activate,
)
from novelweights.networks.lane_tuples import (
    add_patch5,
    add_patch6,
    fma_patch5,
    fma_patch6,
    repeat5,
    repeat18,
    repeat25,
)
from novelweights.networks.lanes import (
    add,
    first_half,
    fma,
    load16,
    multiply,
    second_half,
    splat8,
    splat16,
    store,
    subtract,
    zip_high,
    zip_low,
)

ACTS = 12 * 14 * N1  # of the first layer, channels last, per image
ACTS_ROW = 14 * N1
PADDED = 7 * 14 * N1  # of one channel of `pad_second_layer`, rows as long as those of ACTS


@njit(forceinline=True)
@no_type_check
def _zip8(a, b, c, d, e, f, g, h):
    """Eight lanes as one sequence, its halves in turn."""
    return (
        *(zip_low(a, e), zip_high(a, e), zip_low(b, f), zip_high(b, f)),
        *(zip_low(c, g), zip_high(c, g), zip_low(d, h), zip_high(d, h)),
    )


@njit(forceinline=True)
@no_type_check
def _store_channels_last(at, other, parts, values):
    """Eight channels of eight pixels of two images, to the two images' own maps."""
    v = _zip8(*values)
    v = _zip8(*v)
    v = _zip8(*v)
    store(parts, at, first_half(v[0]))
    store(parts, other, second_half(v[0]))
    store(parts, at + 8, first_half(v[1]))
    store(parts, other + 8, second_half(v[1]))
    store(parts, at + 16, first_half(v[2]))
    store(parts, other + 16, second_half(v[2]))
    store(parts, at + 24, first_half(v[3]))
    store(parts, other + 24, second_half(v[3]))
    store(parts, at + 32, first_half(v[4]))
    store(parts, other + 32, second_half(v[4]))
    store(parts, at + 40, first_half(v[5]))
    store(parts, other + 40, second_half(v[5]))
    store(parts, at + 48, first_half(v[6]))
    store(parts, other + 48, second_half(v[6]))
    store(parts, at + 56, first_half(v[7]))
    store(parts, other + 56, second_half(v[7]))


@njit(forceinline=True)
@no_type_check
def _load_channels(maps, at):
    return (
        load16(maps, at),
        load16(maps, at + MAP),
        load16(maps, at + 2 * MAP),
        load16(maps, at + 3 * MAP),
        load16(maps, at + 4 * MAP),
        load16(maps, at + 5 * MAP),
        load16(maps, at + 6 * MAP),
        load16(maps, at + 7 * MAP),
    )


@njit(cache=True)
@no_type_check
def activate_first_layer(
    maps,  # (8, 12, 14, 2): sums, which become activations
    slope_maps,  # the same; scratch with gelu, empty with tanh
    is_gelu,
    pair,  # which pair of images it is
    acts1,  # (16 images, 12, 14, 8): two of them are filled
    slopes1,  # the same, of the activation's slopes; empty with tanh
):
    """Activations of the first layer, kept channels last for the backward pass."""
    activate(maps, slope_maps, N1 * MAP, is_gelu)
    for at in range(0, MAP, 16):
        to = 2 * pair * ACTS + at // 2 * N1
        _store_channels_last(to, to + ACTS, acts1, _load_channels(maps, at))
        if is_gelu:
            _store_channels_last(to, to + ACTS, slopes1, _load_channels(slope_maps, at))


@njit(cache=True)
@no_type_check
def convolutions_backward(
    image,  # (channels * 784,) and slack
    k,  # which lane it has in d2
    padded,  # of `pad_second_layer`
    acts,  # (12, 14, 8): the image's, of `activate_first_layer`
    slopes,  # the same, of the activation's slopes; empty with tanh
    where1,  # of `conv1_pooled`, of the image's pair
    where2,  # of `conv2_pooled`
    d2,  # of `small_layers_backward`
    d1,  # (12, 14, 8): scratch
    g1,  # (8, channels, 5, 8): the first layer's gradient is added, with 3 columns to ignore
    g2,  # (6, 5, 5, 8): the second layer's, channels last
    bias1,  # (16,): the first biases', to be summed over both halves
):
    """Gradients of both large convolutions, one image at a time."""
    side = k % 2
    for at in range(0, ACTS, 16):
        store(d1, at, splat16(np.float32(0)))
    for o in range(N2):
        sums = repeat25(splat8(np.float32(0)))
        for y in range(4):
            for x in range(4):
                slope = d2[((o * 4 + y) * 4 + x) * IMAGES + k]
                place = 28 * y + 2 * x + where2[((y * N2 + o) * 4 + x) * 2 + side]
                sums = fma_patch5(splat8(slope), acts, place * N1, ACTS_ROW, sums)
        add_patch5(g2, o * 25 * N1, 5 * N1, sums)
    for y in range(4):
        for x in range(4):
            patch = repeat18(splat16(np.float32(0)))
            for o in range(N2):
                slope = d2[((o * 4 + y) * 4 + x) * IMAGES + k]
                place = where2[((y * N2 + o) * 4 + x) * 2 + side]
                at = o * PADDED + ACTS_ROW + N1 - place * N1  # the more to the right, the less
                patch = fma_patch6(splat16(slope), padded, at, ACTS_ROW, patch)
            add_patch6(d1, (28 * y + 2 * x) * N1, ACTS_ROW, patch)
    total = load16(bias1, 0)
    for at in range(0, ACTS, 16):
        if slopes.shape[0]:
            slope = load16(slopes, at)
        else:
            value = load16(acts, at)
            slope = fma(subtract(splat16(np.float32(0)), value), value, splat16(np.float32(1)))
        one = multiply(load16(d1, at), slope)
        store(d1, at, one)
        total = add(total, one)
    store(bias1, 0, total)
    channels = g1.shape[0] // (N1 * 40)
    for channel in range(channels):
        for c in range(0, N1, 2):
            sums = repeat5(splat8(np.float32(0)))
            others = sums
            for y in range(12):
                for x in range(12):
                    value = y * 14 + x
                    pixel = channel * PIXELS + 2 * y * SIDE + 2 * x
                    place = pixel + where1[c * MAP + 2 * value + side]
                    other = pixel + where1[(c + 1) * MAP + 2 * value + side]
                    slope = splat8(d1[value * N1 + c])
                    other_slope = splat8(d1[value * N1 + c + 1])
                    sums = fma_patch5(slope, image, place, SIDE, sums)
                    others = fma_patch5(other_slope, image, other, SIDE, others)
            add_patch5(g1, (c * channels + channel) * 40, 8, sums)
            add_patch5(g1, ((c + 1) * channels + channel) * 40, 8, others)


@njit(cache=True)
@no_type_check
def pad_second_layer(weights, start, padded):
    """Copy the second layer's weights to (6, 7, 14, 8), channels last, a border of zeros around."""
    for o in range(N2):
        for channel in range(N1):
            for dy in range(5):
                for dx in range(5):
                    to = o * PADDED + (dy + 1) * ACTS_ROW + (dx + 1) * N1 + channel
                    padded[to] = weights[start + CONV2 + (o * N1 + channel) * 25 + dy * 5 + dx]


@njit(cache=True)
@no_type_check
def add_convolution_gradients(g1, g2, bias1, start, g):
    """Add the gradients of `convolutions_backward` to the flat gradient, and empty them."""
    channels = g1.shape[0] // (N1 * 40)
    for c in range(N1):
        g[N1 * 25 * channels + c] += bias1[c] + bias1[c + N1]
        for channel in range(channels):
            for dy in range(5):
                for dx in range(5):
                    to = (c * channels + channel) * 25 + dy * 5 + dx
                    g[to] += g1[(c * channels + channel) * 40 + dy * 8 + dx]
    for o in range(N2):
        for channel in range(N1):
            for tap in range(25):
                to = start + CONV2 + (o * N1 + channel) * 25 + tap
                g[to] += g2[(o * 25 + tap) * N1 + channel]
    g1[:] = np.float32(0)
    g2[:] = np.float32(0)
    bias1[:] = np.float32(0)
