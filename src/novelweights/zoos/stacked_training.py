"""An epoch of many runs of a network as one computation of stacked tensors, by autograd.

For networks without a compiled loop of their own. A run alone and among others are equal up to
rounding: torch's products depend on where in memory a run lies (those of 64-32-32-10 networks gave
the same bits in any company). Networks with batch normalization keep their running statistics in
the same vector; the optimizer does not touch them.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from novelweights.networks.mlp import DeepMLP
from novelweights.networks.small_resnet import SmallResNet
from novelweights.zoos.sgd_kernel import Runs, Sgd

StackedNetwork = DeepMLP | SmallResNet
"""Those trained here."""


def stacked_epoch(
    network: StackedNetwork,
    x: Float[Tensor, "examples inputs"],
    y: Int[Tensor, " examples"],
    order: Int[Tensor, "runs examples"],
    runs: Runs,
    first_step: int,
    how: Sgd,
) -> None:
    """Train all runs for one epoch of full batches, and keep what is asked for.

    `runs` are changed in place; `first_step` steps were done before.
    """
    weights, velocity, saved, save_steps, loss, accuracy = runs
    size = how.batch_size
    has_statistics = isinstance(network, SmallResNet)
    for k in range(order.shape[1] // size):
        some = order[:, k * size : (k + 1) * size]
        labels = y[some]
        learned = weights.clone().requires_grad_(True)
        if has_statistics:
            logits, running = network.training_step(learned, x[some])
        else:
            logits, running = network.forward(learned, x[some]), {}
        each = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none").mean(dim=1)
        [slope] = torch.autograd.grad(each.sum(), learned)
        slope.add_(
            weights * network.is_learned if has_statistics else weights, alpha=how.weight_decay
        )
        velocity.mul_(how.momentum).add_(slope)
        weights.sub_(slope.add_(velocity, alpha=how.momentum), alpha=how.learning_rate)
        for name, values in running.items():
            weights[:, network.layout.slices[name]] = values
        now = save_steps == first_step + k + 1
        if first_step + k == 0:  # an initialization is told its first minibatch
            now = now | (save_steps == 0)
        run, at = now.nonzero(as_tuple=True)
        if len(run):
            hits = (logits.detach().argmax(dim=2) == labels).double().mean(dim=1)
            loss[run, at] = each.detach().double()[run]
            accuracy[run, at] = 100 * hits[run]
            is_start = save_steps[run, at] == 0
            saved[run[~is_start], at[~is_start]] = weights[run[~is_start]]
