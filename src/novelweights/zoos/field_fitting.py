"""Fitting occupancy fields to shapes, many at once.

Every field has its own points, learning rate, and end: it leaves the computation when it has
stopped to improve, and the others go on. A field is the same alone or among hundreds. Source:
HyperDiffusion, released code (facts of its training of airplanes).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from novelweights.networks.neural_field import OccupancyField
from novelweights.seeding import rng_for
from novelweights.zoos.training import require_sizes

BETAS, EPSILON = (0.9, 0.999), 1e-8
TOGETHER = 8
"""Fields that go through the network at once; more leave the caches, fewer wait for calls."""


@dataclass(frozen=True)
class FieldRecipe:
    """How a field is fitted: Adam on the summed cross entropy of points drawn with replacement.

    The learning rate falls when the loss of an epoch has not improved for some epochs, and the fit
    ends when it has not for more, or after the last epoch.
    """

    points_per_step: int = 2048
    """Points of a step."""
    steps_per_epoch: int = 97
    """Steps of an epoch (200,000 points over 2,048)."""
    epochs: int = 5000
    """At most."""
    learning_rate: float = 1e-2
    """At the start."""
    factor: float = 0.8
    """What the learning rate is multiplied by when it falls."""
    patience: int = 10
    """Epochs without improvement that it bears before."""
    least_learning_rate: float = 1e-5
    """It falls no farther."""
    stop_after: int = 50
    """Epochs without improvement that end a fit."""

    def __post_init__(self) -> None:
        require_sizes(self.epochs, self.points_per_step)
        require_sizes(self.stop_after, self.steps_per_epoch)


@dataclass(frozen=True, eq=False)
class FittedFields:
    """Fields after their fit."""

    weights: Float[Tensor, "n d"]
    epochs: list[int]
    """Of each, how many."""
    loss: list[float]
    """Mean cross entropy per point in the last epoch, in nats."""


def fit_fields(
    network: OccupancyField,
    starts: Float[Tensor, "n d"],
    points: Float[Tensor, "n p 3"],
    inside: Bool[Tensor, "n p"],
    seeds: Sequence[int],
    recipe: FieldRecipe,
    *,
    tell: Callable[[int], None] | None = None,
) -> FittedFields:
    """Fit fields to the occupancy of points.

    Args:
        network: The field.
        starts: What each begins from.
        points: Of each, in [-0.5, 0.5]^3.
        inside: Whether a point is inside of the shape.
        seeds: Of each; which points a step draws.
        recipe: How.
        tell: Told after each epoch, how many of them the fields have made together since the last
            call; those of a field that ends early count when it ends.
    """
    n = len(starts)
    weights, epochs, losses = starts.clone(), [recipe.epochs] * n, [math.nan] * n
    live = _Live.begin(starts, recipe.learning_rate)
    for epoch in range(recipe.epochs):
        loss = _epoch(network, live, points, inside, seeds, recipe, epoch)
        has_ended = live.judge(loss, recipe) | (epoch + 1 == recipe.epochs)
        for i in has_ended.nonzero()[:, 0].tolist():
            row = int(live.rows[i])
            weights[row], epochs[row], losses[row] = live.weights[i], epoch + 1, float(loss[i])
        if tell is not None:
            n_ended = int(has_ended.sum())
            tell(len(live.rows) + n_ended * (recipe.epochs - epoch - 1))
        live.keep(~has_ended)
        if not len(live.rows):
            break
    return FittedFields(weights, epochs, losses)


@dataclass(eq=False)
class _Live:
    """What the fields that are still being fitted have come to."""

    rows: Int[Tensor, " n"]
    weights: Float[Tensor, "n d"]
    mean: Float[Tensor, "n d"]
    """Of the gradients, decaying (Adam)."""
    square: Float[Tensor, "n d"]
    """Of their squares."""
    rate: Float[Tensor, "n 1"]
    """Learning rate."""
    best: Float[Tensor, " n"]
    """Smallest loss of an epoch."""
    idle: Int[Tensor, " n"]
    """Epochs since."""
    waited: Int[Tensor, " n"]
    """The same, from 0 again when the learning rate falls."""

    @classmethod
    def begin(cls, starts: Float[Tensor, "n d"], rate: float) -> "_Live":
        """All of them, before the first step."""
        n = len(starts)
        count = torch.zeros(n, dtype=torch.int64)
        return cls(
            rows=torch.arange(n),
            weights=starts.clone(),
            mean=torch.zeros_like(starts),
            square=torch.zeros_like(starts),
            rate=torch.full((n, 1), rate),
            best=torch.full((n,), math.inf),
            idle=count,
            waited=count.clone(),
        )

    def step(self, gradients: Float[Tensor, "n d"], number: int) -> None:
        """One step of Adam; number counts from 1."""
        one, other = BETAS
        self.mean.lerp_(gradients, 1 - one)
        self.square.mul_(other).addcmul_(gradients, gradients, value=1 - other)
        scale = (self.square / (1 - other**number)).sqrt_().add_(EPSILON)
        self.weights -= self.rate / (1 - one**number) * self.mean / scale

    def judge(self, loss: Float[Tensor, " n"], recipe: FieldRecipe) -> Bool[Tensor, " n"]:
        """Let learning rates fall where the loss of an epoch was no better; who has ended."""
        is_better = loss < self.best
        self.best = torch.where(is_better, loss, self.best)
        self.idle = torch.where(is_better, 0, self.idle + 1)
        waited = torch.where(is_better, 0, self.waited + 1)
        falls = waited > recipe.patience
        fallen = (self.rate * recipe.factor).clamp(min=recipe.least_learning_rate)
        self.rate = torch.where(falls[:, None], fallen, self.rate)
        self.waited = torch.where(falls, 0, waited)
        return (self.idle >= recipe.stop_after) | ~loss.isfinite()

    def keep(self, is_kept: Bool[Tensor, " n"]) -> None:
        """Go on with some."""
        if not is_kept.all():
            for name, value in vars(self).items():
                setattr(self, name, value[is_kept])


def _epoch(
    network: OccupancyField,
    live: _Live,
    points: Float[Tensor, "n p 3"],
    inside: Bool[Tensor, "n p"],
    seeds: Sequence[int],
    recipe: FieldRecipe,
    epoch: int,
) -> Float[Tensor, " live"]:
    """One epoch of the fields that are left; their mean loss per point, before each step."""
    steps, size = recipe.steps_per_epoch, recipe.points_per_step
    rows = live.rows.tolist()
    drawn = torch.stack(
        [
            torch.randint(points.shape[1], (steps, size), generator=rng_for(seeds[row], epoch))
            for row in rows
        ]
    )
    total = torch.zeros(len(rows))
    for step in range(steps):
        gradients = torch.empty_like(live.weights)
        for start in range(0, len(rows), TOGETHER):
            part = slice(start, start + TOGETHER)
            of, picked = live.rows[part, None], drawn[part, step]
            weights = live.weights[part].clone().requires_grad_()
            logits = network.forward(weights, points[of, picked])
            target = inside[of, picked].float()
            loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(dim=1)
            gradients[part] = torch.autograd.grad(loss.sum(), weights)[0]
            total[part] += loss.detach()
        live.step(gradients, epoch * steps + step + 1)
    return total / (steps * size)
