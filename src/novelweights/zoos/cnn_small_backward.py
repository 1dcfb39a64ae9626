"""Gradients of all layers of a `SmallCNN` behind its second convolution, compiled.

Sixteen images at once, one in each lane, as `small_layers` in `networks/cnn_forward.py`. Shapes of
arrays with one axis are in the comments.
"""

from typing import no_type_check

import numpy as np
from numba import njit

from novelweights.networks.cnn_forward import (
    BIAS2,
    BIAS3,
    BIAS4,
    BIAS5,
    CLASSES,
    CONV3,
    DENSE1,
    DENSE2,
    IMAGES,
    N2,
    N3,
    N4,
    VALUES2,
    VALUES3,
)
from novelweights.networks.lane_functions import (
    exp16,
)
from novelweights.networks.lane_tuples import (
    fma_all,
    repeat4,
    spread4,
)
from novelweights.networks.lanes import (
    add,
    divide,
    fma,
    load16,
    multiply,
    pick,
    splat16,
    store,
    subtract,
    sum_of_lanes,
)


@njit(cache=True)
@no_type_check
def loss_slopes(
    logits,  # (10, 16 images): become the loss's slopes
    labels,  # (n,) of the first n images; the others weigh nothing
    share,  # of one image in the mean
):
    """Slopes of the mean cross-entropy: softmax minus one at the label."""
    n = labels.shape[0]
    top = load16(logits, 0)
    for c in range(1, CLASSES):
        one = load16(logits, c * IMAGES)
        top = pick(one, top, one, top)
    total = splat16(np.float32(0))
    for c in range(CLASSES):
        one = exp16(subtract(load16(logits, c * IMAGES), top))
        total = add(total, one)
        store(logits, c * IMAGES, one)
    shares = np.zeros(IMAGES, np.float32)
    shares[:n] = share
    weight = divide(load16(shares, 0), total)
    for c in range(CLASSES):
        store(logits, c * IMAGES, multiply(load16(logits, c * IMAGES), weight))
    for k in range(n):
        logits[labels[k] * IMAGES + k] -= share


@njit(forceinline=True)
@no_type_check
def _dense_backward(weights, matrix, bias, inputs, n_inputs, slopes, given, n_given, g, out):
    """Gradients of a dense layer; `out` is filled with the slopes at the sums of its inputs."""
    zero = splat16(np.float32(0))
    for o in range(n_given):
        one = load16(given, o * IMAGES)
        g[bias + o] += sum_of_lanes(one)
        for i in range(n_inputs):
            product = multiply(one, load16(inputs, i * IMAGES))
            g[matrix + o * n_inputs + i] += sum_of_lanes(product)
    for i in range(0, n_inputs, 4):
        sums = repeat4(zero)
        for o in range(n_given):
            factors = spread4(weights, matrix + o * n_inputs + i, 1)
            sums = fma_all(load16(given, o * IMAGES), factors, sums)
        at = i * IMAGES
        store(out, at, multiply(sums[0], load16(slopes, at)))
        at += IMAGES
        store(out, at, multiply(sums[1], load16(slopes, at)))
        at += IMAGES
        store(out, at, multiply(sums[2], load16(slopes, at)))
        at += IMAGES
        store(out, at, multiply(sums[3], load16(slopes, at)))


@njit(cache=True)
@no_type_check
def small_layers_backward(
    weights,  # (d,)
    start,  # of the second layer's weights
    act2,  # of `small_layers`
    act3,
    act4,
    d_logits,  # of `loss_slopes`
    slopes2,  # of `small_layers`
    slopes3,
    slopes4,
    d4,  # (20, 16): filled with the loss's slopes at the fourth layer's sums
    d3,  # (4, 9, 16): filled, third layer
    d2,  # (6, 4, 4, 16): filled, second layer
    g,  # (d,): the gradient is added
):
    """From the logits back to the sums of the second convolution, one image in each lane."""
    _dense_backward(
        weights, start + DENSE2, start + BIAS5, act4, N4, slopes4, d_logits, CLASSES, g, d4
    )
    _dense_backward(weights, start + DENSE1, start + BIAS4, act3, VALUES3, slopes3, d4, N4, g, d3)
    zero = splat16(np.float32(0))
    for o in range(N3):
        total = zero
        for position in range(9):
            total = add(total, load16(d3, (o * 9 + position) * IMAGES))
        g[start + BIAS3 + o] += sum_of_lanes(total)
    for at in range(0, VALUES2 * IMAGES, 16):
        store(d2, at, zero)
    for channel in range(N2):
        for dy in range(2):
            for dx in range(2):
                weight = start + CONV3 + channel * 4 + dy * 2 + dx
                factors = spread4(weights, weight, 24)
                sums = repeat4(zero)
                for y in range(3):
                    for x in range(3):
                        at = ((channel * 4 + y + dy) * 4 + x + dx) * IMAGES
                        to = (y * 3 + x) * IMAGES
                        given = (
                            load16(d3, to),
                            load16(d3, to + 9 * IMAGES),
                            load16(d3, to + 18 * IMAGES),
                            load16(d3, to + 27 * IMAGES),
                        )
                        sums = fma_all(load16(act2, at), given, sums)
                        total = fma(given[0], factors[0], load16(d2, at))
                        total = fma(given[1], factors[1], total)
                        total = fma(given[2], factors[2], total)
                        store(d2, at, fma(given[3], factors[3], total))
                g[weight] += sum_of_lanes(sums[0])
                g[weight + 24] += sum_of_lanes(sums[1])
                g[weight + 48] += sum_of_lanes(sums[2])
                g[weight + 72] += sum_of_lanes(sums[3])
    for channel in range(N2):
        bias = zero
        for at in range(channel * 16 * IMAGES, (channel + 1) * 16 * IMAGES, 16):
            one = multiply(load16(d2, at), load16(slopes2, at))
            store(d2, at, one)
            bias = add(bias, one)
        g[start + BIAS2 + channel] += sum_of_lanes(bias)
