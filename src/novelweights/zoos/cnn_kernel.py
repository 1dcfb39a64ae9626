"""One epoch of Adam for a small convolutional network, compiled.

One core takes one run, batch after batch: gradients are exact and written out by hand
(`cnn_backward.py`), and a run's arithmetic is sequential. Runs go on side by side in threads, as
the lock of the interpreter is released.
"""

from typing import Any, NamedTuple, no_type_check

import numpy as np
from numba import njit

from novelweights.networks.activations import activate
from novelweights.networks.cnn_forward import (
    IMAGES,
    MAP,
    N1,
    PIXELS,
    PLANES,
    POOLED2,
    SLACK,
    conv1_pooled,
    conv2_pooled,
    fill_small_layers,
    parameters,
    small_layers,
    split_pair,
    to_small_layers,
)
from novelweights.zoos.cnn_backward import (
    convolutions_backward,
    large_layers,
    loss_slopes,
    move_convolution_gradients,
    pad_second_layer,
    small_layers_backward,
    to_channels_last,
)

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # torch.optim.Adam's defaults


class Run(NamedTuple):
    """One run's state, all (d,) float32 and changed in place."""

    weights: Any  # layout of SmallCNN
    mean: Any  # of the gradients; zeros before the first step
    square: Any  # of their squares


class Steps(NamedTuple):
    """How Adam steps."""

    batch_size: int
    learning_rate: float
    weight_decay: float


@njit(cache=True, nogil=True, error_model="numpy")
@no_type_check
def adam_step(run, g, step, how):
    """One step of torch.optim.Adam, counted from 1, weight decay added to the gradient."""
    w, mean, square = run
    size = np.float32(how.learning_rate / (1 - BETA1**step))
    root = np.float32(np.sqrt(1 - BETA2**step))
    decay, epsilon = np.float32(how.weight_decay), np.float32(EPSILON)
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
    run,  # Run
    first_step,  # optimizer steps taken in earlier epochs
    how,  # Steps
    is_gelu,
):
    """Take one run through its batches once (an incomplete last batch is dropped)."""
    inputs = x.shape[1]
    channels = inputs // PIXELS
    share = np.float32(1 / how.batch_size)
    gradient = np.empty(run.weights.shape[0], np.float32)
    w, g = parameters(run.weights, channels), parameters(gradient, channels)
    images = np.zeros((IMAGES, inputs + SLACK), np.float32)
    labels = np.empty(IMAGES, np.int64)
    planes = np.zeros(channels * PLANES + SLACK, np.float32)
    maps = np.zeros(N1 * MAP + SLACK, np.float32)
    slopes = np.empty(N1 * MAP, np.float32)
    pooled = np.empty(POOLED2, np.float32)
    small, large = small_layers(with_slopes=True), large_layers(channels)
    for batch in range(order.shape[0] // how.batch_size):
        gradient[:] = np.float32(0)
        pad_second_layer(w.conv2, large.padded)
        for group in range(0, how.batch_size, IMAGES):
            n = min(IMAGES, how.batch_size - group)
            for k in range(n + n % 2):  # an odd group repeats its last image
                image = order[batch * how.batch_size + group + min(k, n - 1)]
                labels[k] = y[image]
                images[k, :inputs] = x[image]
            for pair in range((n + 1) // 2):
                both = slice(2 * pair, 2 * pair + 2)
                split_pair(images[2 * pair, :inputs], images[2 * pair + 1, :inputs], planes)
                conv1_pooled(w, planes, maps, large.where1[pair])
                activate(maps[: N1 * MAP], slopes, is_gelu)
                to_channels_last(maps, large.acts[both])
                to_channels_last(slopes, large.slopes[both])
                conv2_pooled(w, maps, pooled, large.where2[pair])
                to_small_layers(pooled, 2 * pair, small.act2)
            fill_small_layers(w, small, is_gelu)
            loss_slopes(small.logits, labels[:n], share)
            d2 = small_layers_backward(w, small, g)
            for k in range(n):
                convolutions_backward(images[k], k, large, d2, g.bias1)
        move_convolution_gradients(large, g)
        adam_step(run, gradient, first_step + batch + 1, how)
