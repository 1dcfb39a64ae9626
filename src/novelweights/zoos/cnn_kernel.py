"""One epoch of Adam for a small convolutional network, compiled.

One core takes one run, batch after batch: gradients are exact and written out by hand
(`cnn_backward.py`, `cnn_small_backward.py`), and a run's arithmetic is sequential. Runs go on side
by side in threads, as the lock of the interpreter is released.
"""

from typing import no_type_check

import numpy as np
from numba import njit

from novelweights.networks.cnn_forward import (
    CLASSES,
    IMAGES,
    MAP,
    N1,
    N2,
    N4,
    PIXELS,
    PLANES,
    SLACK,
    VALUES2,
    VALUES3,
    conv1_pooled,
    conv2_pooled,
    first_layer_size,
    small_layers,
    split_pair,
    to_image_lanes,
)
from novelweights.zoos.cnn_backward import (
    ACTS,
    PADDED,
    activate_first_layer,
    add_convolution_gradients,
    convolutions_backward,
    pad_second_layer,
)
from novelweights.zoos.cnn_small_backward import loss_slopes, small_layers_backward

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # torch.optim.Adam's defaults


@njit(cache=True, error_model="numpy")
@no_type_check
def adam_step(w, g, mean, square, step, learning_rate, weight_decay):
    """One step of torch.optim.Adam, counted from 1, weight decay added to the gradient."""
    size = np.float32(learning_rate / (1 - BETA1**step))
    root = np.float32(np.sqrt(1 - BETA2**step))
    decay, epsilon = np.float32(weight_decay), np.float32(EPSILON)
    keep1, keep2 = np.float32(BETA1), np.float32(BETA2)
    take1, take2 = np.float32(1 - BETA1), np.float32(1 - BETA2)
    for j in range(w.shape[0]):
        slope = g[j] + decay * w[j]
        mean[j] = keep1 * mean[j] + take1 * slope
        square[j] = keep2 * square[j] + take2 * slope * slope
        w[j] -= size * mean[j] / (np.sqrt(square[j]) / root + epsilon)


@njit(cache=True, nogil=True)
@no_type_check
def train_epoch(
    x,  # (examples, inputs) float32
    y,  # (examples,) int64
    order,  # (examples,) int64: the run's own permutation
    w,  # (d,) float32, changed in place; layout of SmallCNN
    mean,  # (d,) float32, changed in place: of the gradients; zeros before the first step
    square,  # (d,) float32: of their squares
    first_step,  # optimizer steps taken in earlier epochs
    batch_size,
    is_gelu,
    learning_rate,
    weight_decay,
):
    """Take one run through its batches once (an incomplete last batch is dropped)."""
    inputs = x.shape[1]
    channels = inputs // PIXELS
    start = first_layer_size(channels)
    share = np.float32(1 / batch_size)
    g = np.empty(w.shape[0], np.float32)
    images = np.zeros((IMAGES, inputs + SLACK), np.float32)
    labels = np.empty(IMAGES, np.int64)
    planes = np.zeros(channels * PLANES + SLACK, np.float32)
    maps = np.zeros(N1 * MAP + SLACK, np.float32)
    slope_maps = np.empty(N1 * MAP if is_gelu else 0, np.float32)
    pooled = np.empty(4 * N2 * 8, np.float32)
    where1 = np.empty((IMAGES // 2, N1 * MAP), np.int32)
    where2 = np.empty((IMAGES // 2, 4 * N2 * 8), np.int32)
    acts1 = np.empty(IMAGES * ACTS, np.float32)
    slopes1 = np.empty(IMAGES * ACTS if is_gelu else 0, np.float32)
    act2, slopes2 = np.zeros(VALUES2 * IMAGES, np.float32), np.empty(VALUES2 * IMAGES, np.float32)
    act3, slopes3 = np.empty(VALUES3 * IMAGES, np.float32), np.empty(VALUES3 * IMAGES, np.float32)
    act4, slopes4 = np.empty(N4 * IMAGES, np.float32), np.empty(N4 * IMAGES, np.float32)
    logits = np.empty(CLASSES * IMAGES, np.float32)
    d1, d2 = np.empty(ACTS, np.float32), np.empty(VALUES2 * IMAGES, np.float32)
    d3, d4 = np.empty(VALUES3 * IMAGES, np.float32), np.empty(N4 * IMAGES, np.float32)
    padded = np.zeros(N2 * PADDED, np.float32)
    g1 = np.zeros(N1 * channels * 40, np.float32)
    g2 = np.zeros(N2 * 25 * N1, np.float32)
    bias1 = np.zeros(IMAGES, np.float32)
    for batch in range(order.shape[0] // batch_size):
        g[:] = np.float32(0)
        pad_second_layer(w, start, padded)
        for group in range(0, batch_size, IMAGES):
            n = min(IMAGES, batch_size - group)
            for k in range(n + n % 2):  # an odd group repeats its last image
                image = order[batch * batch_size + group + min(k, n - 1)]
                labels[k] = y[image]
                images[k, :inputs] = x[image]
            for pair in range((n + 1) // 2):
                split_pair(images[2 * pair, :inputs], images[2 * pair + 1, :inputs], planes)
                conv1_pooled(w, channels, planes, maps, where1[pair])
                activate_first_layer(maps, slope_maps, is_gelu, pair, acts1, slopes1)
                conv2_pooled(w, start, maps, pooled, where2[pair])
                to_image_lanes(pooled, 2 * pair, act2)
            small_layers(w, start, is_gelu, act2, act3, act4, logits, slopes2, slopes3, slopes4)
            loss_slopes(logits, labels[:n], share)
            small_layers_backward(
                w, start, act2, act3, act4, logits, slopes2, slopes3, slopes4, d4, d3, d2, g
            )
            for k in range(n):
                own = slice(k * ACTS, (k + 1) * ACTS)
                convolutions_backward(
                    images[k],
                    k,
                    padded,
                    acts1[own],
                    slopes1[own],
                    where1[k // 2],
                    where2[k // 2],
                    d2,
                    d1,
                    g1,
                    g2,
                    bias1,
                )
        add_convolution_gradients(g1, g2, bias1, start, g)
        adam_step(w, g, mean, square, first_step + batch + 1, learning_rate, weight_decay)
