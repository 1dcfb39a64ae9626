"""An epoch of many runs of a network as one computation of stacked tensors, by autograd.

For networks without a compiled loop of their own; `train_one` is the reference. A run alone and
among others are equal up to rounding: torch's products depend on where in memory a run lies (those
of 64-32-32-10 networks gave the same bits in any company). Networks with batch normalization keep
their running statistics in the same vector; the optimizer does not touch them.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from novelweights.networks.mlp import DeepMLP
from novelweights.networks.small_resnet import SmallResNet

StackedNetwork = DeepMLP | SmallResNet
"""Those trained here."""


def stacked_epoch(
    network: StackedNetwork,
    x: Float[Tensor, "examples inputs"],
    y: Int[Tensor, " examples"],
    order: Int[Tensor, "runs examples"],
    weights: Float[Tensor, "runs d"],
    velocity: Float[Tensor, "runs d"],
    saved: Float[Tensor, "runs saves d"],
    save_steps: Int[Tensor, "runs saves"],
    loss: Float[Tensor, "runs saves"],
    accuracy: Float[Tensor, "runs saves"],
    first_step: int,
    batch_size: int,
    settings: tuple[float, float, float],
) -> None:
    """Train all runs for one epoch of full batches, and keep what is asked for.

    Weights, velocity, saved, loss and accuracy are changed in place.

    Args:
        network: Target network.
        x: Training examples.
        y: Their labels.
        order: Each run's order of the examples.
        weights: Each run's weights.
        velocity: Each run's momentum.
        saved: Where checkpoints go.
        save_steps: After which step each goes there.
        loss: Mean cross-entropy of the minibatch that led to each.
        accuracy: Percent, of the same.
        first_step: Steps done before this epoch.
        batch_size: Examples per step.
        settings: Learning rate, momentum (Nesterov), weight decay.
    """
    learning_rate, momentum, decay = settings
    has_statistics = isinstance(network, SmallResNet)
    for k in range(order.shape[1] // batch_size):
        some = order[:, k * batch_size : (k + 1) * batch_size]
        labels = y[some]
        learned = weights.clone().requires_grad_(True)
        if has_statistics:
            logits, running = network.training_step(learned, x[some])
        else:
            logits, running = network.forward(learned, x[some]), {}
        each = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none").mean(dim=1)
        [slope] = torch.autograd.grad(each.sum(), learned)
        slope.add_(weights * network.is_learned if has_statistics else weights, alpha=decay)
        velocity.mul_(momentum).add_(slope)
        weights.sub_(slope.add_(velocity, alpha=momentum), alpha=learning_rate)
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
