"""One epoch of SGD for many one-hidden-layer networks at once, compiled.

Every run has its own data order, so no two runs share a matrix product and a gather would copy
each image before it is used. Here one core takes one run: eight images at a time are brought into
its first-level cache, used forward and backward there, and forgotten. Gradients are exact and
written out by hand; a run's arithmetic is sequential, so it does not depend on the number of
threads or on the runs beside it.
"""

from typing import Any, NamedTuple, no_type_check

import numpy as np
from numba import njit, prange

GROUP = 8  # images in the cache together: 8 x 784 floats are half of a 48 KiB cache

# Sums may be reordered (by the compiler, once and for all); NaN and infinity keep their meaning.
FAST = {"reassoc", "contract", "arcp", "nsz"}


class Runs(NamedTuple):
    """The state of runs, each a row of every array; or of one, without that axis.

    All are changed in place but `save_steps`.
    """

    weights: Any  # (runs, d) float32
    velocity: Any  # (runs, d) float32: momentum; zeros before the first step
    saved: Any  # (runs, saves, d) float32: filled with the weights after the steps in save_steps
    save_steps: Any  # (runs, saves) int64, ascending: counted from 1; 0 is the caller's to fill
    loss: Any  # (runs, saves) float64: mean over the minibatch of that step, before the step
    accuracy: Any  # (runs, saves) float64, percent; of step 0: of the first minibatch


class Sgd(NamedTuple):
    """How an epoch steps."""

    batch_size: int
    learning_rate: Any
    momentum: Any  # Nesterov's
    weight_decay: Any


class _Layers(NamedTuple):
    """Views of a flat vector of weights, or of a gradient, in the layout of OneHiddenMLP."""

    hidden: Any  # (hidden * inputs,)
    hidden_bias: Any  # (hidden,)
    out: Any  # (classes * hidden,)
    out_bias: Any  # (classes,)


class _Group(NamedTuple):
    """Eight images in the cache, the images being the lanes behind the first array."""

    rows: Any  # (GROUP, inputs)
    act: Any  # (hidden, GROUP)
    d_act: Any  # (hidden, GROUP)
    out: Any  # (classes, GROUP): logits, then the loss's slopes
    top: Any  # (GROUP,): the largest logit
    total: Any  # (GROUP,)


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


@njit(forceinline=True)
@no_type_check
def _layers(flat, inputs, hidden, classes):
    at_b1 = hidden * inputs
    at_w2 = at_b1 + hidden
    at_b2 = at_w2 + hidden * classes
    return _Layers(flat[:at_b1], flat[at_b1:at_w2], flat[at_w2:at_b2], flat[at_b2:])


@njit(forceinline=True, fastmath=FAST)
@no_type_check
def _forward(w, group, is_tanh):
    """Activations, logits and the largest of them."""
    rows, act, _, out, top, _ = group
    inputs, hidden, zero = rows.shape[1], act.shape[0], np.float32(0)
    for h in range(hidden):  # one weight row against eight images
        at = h * inputs
        a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = zero
        for i in range(inputs):
            v = w.hidden[at + i]
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
            pre = act[h, k] + w.hidden_bias[h]
            act[h, k] = np.tanh(pre) if is_tanh else max(pre, zero)
    top[:] = np.float32(-np.inf)
    for c in range(out.shape[0]):
        for k in range(GROUP):
            out[c, k] = w.out_bias[c]
        for h in range(hidden):
            v = w.out[c * hidden + h]
            for k in range(GROUP):
                out[c, k] += v * act[h, k]
        for k in range(GROUP):
            top[k] = max(top[k], out[c, k])


@njit(forceinline=True, fastmath=FAST)
@no_type_check
def _loss_slopes(group, labels, share):
    """Softmax minus one-hot in place of the logits, each image's share of the mean."""
    _, _, _, out, top, total = group
    n = labels.shape[0]
    total[:] = np.float32(0)
    for c in range(out.shape[0]):
        for k in range(GROUP):
            out[c, k] = np.exp(out[c, k] - top[k])
            total[k] += out[c, k]
    for k in range(GROUP):
        total[k] = share / total[k] if k < n else np.float32(0)  # repeats weigh nothing
    for c in range(out.shape[0]):
        for k in range(GROUP):
            out[c, k] *= total[k]
    for k in range(n):
        out[labels[k], k] -= share


@njit(forceinline=True, fastmath=FAST)
@no_type_check
def _backward(w, g, group, is_tanh):
    """Add the gradients of the output layer, then of the hidden layer."""
    rows, act, d_act, out, _, _ = group
    inputs, hidden, zero, one = rows.shape[1], act.shape[0], np.float32(0), np.float32(1)
    d_act[:] = zero
    for c in range(out.shape[0]):
        bias = zero
        for k in range(GROUP):
            bias += out[c, k]
        g.out_bias[c] += bias
        for h in range(hidden):
            v = w.out[c * hidden + h]
            s = zero
            for k in range(GROUP):
                d_act[h, k] += v * out[c, k]
                s += out[c, k] * act[h, k]
            g.out[c * hidden + h] += s
    for h in range(hidden):
        bias = zero
        for k in range(GROUP):
            a = act[h, k]
            d_act[h, k] *= one - a * a if is_tanh else (one if a > zero else zero)
            bias += d_act[h, k]
        g.hidden_bias[h] += bias
        at = h * inputs
        d0, d1, d2, d3 = d_act[h, 0], d_act[h, 1], d_act[h, 2], d_act[h, 3]
        d4, d5, d6, d7 = d_act[h, 4], d_act[h, 5], d_act[h, 6], d_act[h, 7]
        for i in range(inputs):
            g.hidden[at + i] += (
                d0 * rows[0, i]
                + d1 * rows[1, i]
                + d2 * rows[2, i]
                + d3 * rows[3, i]
                + d4 * rows[4, i]
                + d5 * rows[5, i]
                + d6 * rows[6, i]
                + d7 * rows[7, i]
            )


@njit(forceinline=True, fastmath=FAST)
@no_type_check
def _step(w, velocity, g, how):
    """torch.optim.SGD with nesterov; from a zero velocity its first step is the same."""
    for j in range(w.shape[0]):
        slope = g[j] + how.weight_decay * w[j]
        velocity[j] = how.momentum * velocity[j] + slope
        w[j] -= how.learning_rate * (slope + how.momentum * velocity[j])


@njit(cache=True, fastmath=FAST)
@no_type_check
def _train_run(x, y, order, run, first_step, how, shape):
    """`train_epoch` of one run."""
    (hidden, classes, is_tanh), inputs, size = shape, x.shape[1], how.batch_size
    gradient = np.empty(run.weights.shape[0], np.float32)
    w = _layers(run.weights, inputs, hidden, classes)
    g = _layers(gradient, inputs, hidden, classes)
    group = _Group(
        np.empty((GROUP, inputs), np.float32),
        np.empty((hidden, GROUP), np.float32),
        np.empty((hidden, GROUP), np.float32),
        np.empty((classes, GROUP), np.float32),
        np.empty(GROUP, np.float32),
        np.empty(GROUP, np.float32),
    )
    save_steps = run.save_steps
    next_save = np.searchsorted(save_steps, first_step, side="right")
    for batch in range(order.shape[0] // size):
        step = first_step + batch + 1
        is_saved = next_save < save_steps.shape[0] and save_steps[next_save] == step
        is_scored = is_saved or (step == 1 and next_save > 0)
        loss, hits = 0.0, 0
        gradient[:] = np.float32(0)
        for start in range(batch * size, (batch + 1) * size, GROUP):
            n = min(GROUP, (batch + 1) * size - start)
            for k in range(GROUP):  # a short group repeats its last image
                image = order[start + min(k, n - 1)]
                for i in range(inputs):
                    group.rows[k, i] = x[image, i]
            labels = y[order[start : start + n]]
            _forward(w, group, is_tanh)
            if is_scored:
                group_loss, group_hits = loss_and_hits(group.out, group.top, labels)
                loss += group_loss
                hits += group_hits
            _loss_slopes(group, labels, np.float32(1 / size))
            _backward(w, g, group, is_tanh)
        _step(run.weights, run.velocity, gradient, how)
        if is_scored:
            first = 0 if step == 1 else next_save
            while next_save < save_steps.shape[0] and save_steps[next_save] == step:
                run.saved[next_save] = run.weights
                next_save += 1
            run.loss[first:next_save] = loss / size
            run.accuracy[first:next_save] = 100 * hits / size


@njit(parallel=True, cache=True)
@no_type_check
def train_epoch(
    x,  # (examples, inputs) float32
    y,  # (examples,) int64
    order,  # (runs, examples) int64: each run's own permutation
    runs,  # Runs
    first_step,  # optimizer steps taken in earlier epochs
    how,  # Sgd, of float32
    shape,  # hidden neurons, classes, whether the activation is tanh (else ReLU)
):
    """Take every run through its batches once (an incomplete last batch is dropped)."""
    weights, velocity, saved, save_steps, loss, accuracy = runs
    for row in prange(weights.shape[0]):
        run = Runs(
            weights[row], velocity[row], saved[row], save_steps[row], loss[row], accuracy[row]
        )
        _train_run(x, y, order[row], run, first_step, how, shape)
