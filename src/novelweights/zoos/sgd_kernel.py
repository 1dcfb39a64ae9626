"""One epoch of SGD for many one-hidden-layer networks at once, compiled.

Every run has its own data order, so no two runs share a matrix product and a gather would copy
each image before it is used. Here one core takes one run: eight images at a time are brought into
its first-level cache, used forward and backward there, and forgotten. Gradients are exact and
written out by hand; a run's arithmetic is sequential, so it does not depend on the number of
threads or on the runs beside it.
"""

from typing import no_type_check

import numpy as np
from numba import njit, prange

GROUP = 8  # images in the cache together: 8 x 784 floats are half of a 48 KiB cache

# Sums may be reordered (by the compiler, once and for all); NaN and infinity keep their meaning.
FAST = {"reassoc", "contract", "arcp", "nsz"}


@njit(cache=True)
@no_type_check
def loss_and_hits(logits, top, labels):
    """Summed cross-entropy and right predictions of the first images of a group.

    `logits` is (classes, GROUP), `top` their maximum per image, `labels` (n,). Of equal logits the
    first class counts, as in torch.
    """
    loss, hits = 0.0, 0
    for k in range(labels.shape[0]):
        total, best = 0.0, 0
        for c in range(logits.shape[0]):
            total += np.exp(np.float64(logits[c, k] - top[k]))
            if logits[c, k] > logits[best, k]:
                best = c
        loss += np.log(total) + top[k] - logits[labels[k], k]
        hits += best == labels[k]
    return loss, hits


@njit(parallel=True, cache=True, fastmath=FAST)
@no_type_check
def train_epoch(
    x,  # (examples, inputs) float32
    y,  # (examples,) int64
    order,  # (runs, examples) int64: each run's own permutation
    weights,  # (runs, d) float32, changed in place; layout of OneHiddenMLP
    momentum_buffer,  # (runs, d) float32, changed in place; zeros before the first step
    saved,  # (runs, saves, d) float32: filled with the weights after the steps in save_steps
    save_steps,  # (runs, saves) int64, ascending: steps counted from 1; 0 is the caller's to fill
    batch_loss,  # (runs, saves) float64: mean over the minibatch of that step, before the step
    batch_accuracy,  # (runs, saves) float64, percent; of step 0: of the first minibatch
    first_step,  # optimizer steps taken in earlier epochs
    batch_size,
    hidden,
    classes,
    is_tanh,
    learning_rate,
    momentum,
    weight_decay,
):
    """Take every run through its batches once (an incomplete last batch is dropped)."""
    inputs = x.shape[1]
    zero, one, share = np.float32(0), np.float32(1), np.float32(1 / batch_size)
    at_b1 = hidden * inputs  # offsets of hidden.bias, out.weight, out.bias
    at_w2 = at_b1 + hidden
    at_b2 = at_w2 + hidden * classes
    for run in prange(weights.shape[0]):
        w, velocity = weights[run], momentum_buffer[run]
        g = np.empty(w.shape[0], np.float32)
        rows = np.empty((GROUP, inputs), np.float32)
        act = np.empty((hidden, GROUP), np.float32)  # the images of a group are the lanes
        d_act = np.empty((hidden, GROUP), np.float32)
        out = np.empty((classes, GROUP), np.float32)
        top = np.empty(GROUP, np.float32)
        total = np.empty(GROUP, np.float32)
        next_save = np.searchsorted(save_steps[run], first_step, side="right")
        for batch in range(order.shape[1] // batch_size):
            step = first_step + batch + 1
            is_saved = next_save < save_steps.shape[1] and save_steps[run, next_save] == step
            is_scored = is_saved or (step == 1 and next_save > 0)
            loss, hits = 0.0, 0
            g[:] = zero
            for group in range(0, batch_size, GROUP):
                start = batch * batch_size + group
                n = min(GROUP, batch_size - group)  # a short group repeats its last image
                for k in range(GROUP):
                    image = order[run, start + min(k, n - 1)]
                    for i in range(inputs):
                        rows[k, i] = x[image, i]

                # hidden layer: one weight row against eight images
                for h in range(hidden):
                    at = h * inputs
                    a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = zero
                    for i in range(inputs):
                        v = w[at + i]
                        a0 += v * rows[0, i]
                        a1 += v * rows[1, i]
                        a2 += v * rows[2, i]
                        a3 += v * rows[3, i]
                        a4 += v * rows[4, i]
                        a5 += v * rows[5, i]
                        a6 += v * rows[6, i]
                        a7 += v * rows[7, i]
                    act[h, 0], act[h, 1], act[h, 2], act[h, 3] = a0, a1, a2, a3
                    act[h, 4], act[h, 5], act[h, 6], act[h, 7] = a4, a5, a6, a7
                    for k in range(GROUP):
                        pre = act[h, k] + w[at_b1 + h]
                        act[h, k] = np.tanh(pre) if is_tanh else max(pre, zero)

                # logits, then softmax minus one-hot, each image's share of the mean
                top[:] = np.float32(-np.inf)
                total[:] = zero
                for c in range(classes):
                    for k in range(GROUP):
                        out[c, k] = w[at_b2 + c]
                    for h in range(hidden):
                        v = w[at_w2 + c * hidden + h]
                        for k in range(GROUP):
                            out[c, k] += v * act[h, k]
                    for k in range(GROUP):
                        top[k] = max(top[k], out[c, k])
                if is_scored:
                    labels = y[order[run, start : start + n]]
                    group_loss, group_hits = loss_and_hits(out, top, labels)
                    loss += group_loss
                    hits += group_hits
                for c in range(classes):
                    for k in range(GROUP):
                        out[c, k] = np.exp(out[c, k] - top[k])
                        total[k] += out[c, k]
                for k in range(GROUP):
                    total[k] = share / total[k] if k < n else zero  # repeats weigh nothing
                for c in range(classes):
                    for k in range(GROUP):
                        out[c, k] *= total[k]
                for k in range(n):
                    out[y[order[run, start + k]], k] -= share

                # backward: output layer, then hidden layer
                d_act[:] = zero
                for c in range(classes):
                    bias = zero
                    for k in range(GROUP):
                        bias += out[c, k]
                    g[at_b2 + c] += bias
                    for h in range(hidden):
                        v = w[at_w2 + c * hidden + h]
                        s = zero
                        for k in range(GROUP):
                            d_act[h, k] += v * out[c, k]
                            s += out[c, k] * act[h, k]
                        g[at_w2 + c * hidden + h] += s
                for h in range(hidden):
                    bias = zero
                    for k in range(GROUP):
                        a = act[h, k]
                        slope = one - a * a if is_tanh else (one if a > zero else zero)
                        d_act[h, k] *= slope
                        bias += d_act[h, k]
                    g[at_b1 + h] += bias
                    at = h * inputs
                    d0, d1, d2, d3 = d_act[h, 0], d_act[h, 1], d_act[h, 2], d_act[h, 3]
                    d4, d5, d6, d7 = d_act[h, 4], d_act[h, 5], d_act[h, 6], d_act[h, 7]
                    for i in range(inputs):
                        g[at + i] += (
                            d0 * rows[0, i]
                            + d1 * rows[1, i]
                            + d2 * rows[2, i]
                            + d3 * rows[3, i]
                            + d4 * rows[4, i]
                            + d5 * rows[5, i]
                            + d6 * rows[6, i]
                            + d7 * rows[7, i]
                        )

            # torch.optim.SGD with nesterov; from a zero buffer its first step is the same
            for j in range(w.shape[0]):
                slope = g[j] + weight_decay * w[j]
                velocity[j] = momentum * velocity[j] + slope
                w[j] -= learning_rate * (slope + momentum * velocity[j])
            if is_scored:
                first = 0 if step == 1 else next_save
                while next_save < save_steps.shape[1] and save_steps[run, next_save] == step:
                    saved[run, next_save] = w
                    next_save += 1
                batch_loss[run, first:next_save] = loss / batch_size
                batch_accuracy[run, first:next_save] = 100 * hits / batch_size
