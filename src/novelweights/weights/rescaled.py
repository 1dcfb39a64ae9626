"""Random scales, shifts and products: disguises that a canonical form sees through. Ours."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.weights.canonical import along, scale_neurons
from novelweights.weights.continuous import Factor, Normalization, Product
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import NeuronSymmetry

LARGEST = 4.0
"""Scales lie between this and one over it, uniform in their logarithm."""
STRETCH = 2.0
"""The same of what matrices inside heads stretch: more would amplify rounding."""
SHIFT = 1.0
"""Standard deviation of shifts, over the length of the entries they are added to."""


def random_rescaling(
    weights: Float[Tensor, "n d"],
    layout: WeightLayout,
    symmetry: NeuronSymmetry,
    *,
    rng: torch.Generator,
    largest: float = LARGEST,
    extreme: bool = False,
) -> Float[Tensor, "n d"]:
    """Every checkpoint under random scales, shifts and matrices inside heads.

    Outputs stay the same; where they are shifted, they are up to a number of each example.

    Args:
        largest: Scales lie between this and one over it.
        extreme: Scales are one of the two; matrices inside heads are as large.
    """
    state = {name: value.clone() for name, value in layout.unflatten(weights).items()}
    continuous, sizes = symmetry.continuous, symmetry.sizes(layout)
    shapes, n = dict(layout.shapes), len(weights)

    def draw(
        *shape: int, extreme: bool = False, largest: float = largest
    ) -> Float[Tensor, "n ..."]:
        uniform = 2 * torch.rand(n, *shape, generator=rng) - 1
        uniform = uniform.sign() if extreme else uniform
        return (math.log(largest) * uniform).exp().to(weights)

    for scale in continuous.scales.values():
        factor = draw(sizes[scale.group], extreme=extreme)
        for parameter, axis, power in scale.members:
            parts = symmetry.places_of(scale.group, parameter, axis, shapes[parameter])
            scale_neurons(state[parameter], axis, parts, factor**power)
    for entry in continuous.normalizations.values():
        _lengthen(state, entry, draw(shapes[entry.filters[0]][0], extreme=extreme))
    for parameter, axis in continuous.shifts:
        value = state[parameter]
        shape = [1 if i == axis + 1 else size for i, size in enumerate(value.shape)]
        noise = torch.randn(shape, generator=rng).to(weights)
        state[parameter] = value + SHIFT * value.square().mean().sqrt() * noise
    for product in continuous.products.values():
        if product.left:
            size = draw(product.heads, 1, extreme=True) if extreme else 1.0
            stretch = size * draw(product.heads, product.block, largest=STRETCH)
            turn = torch.randn((*stretch.shape, product.block), generator=rng).to(stretch)
            turn, _ = torch.linalg.qr(turn)
            for factor in product.left:
                _multiply(state, factor, product, turn * stretch[..., None, :])
            for factor in product.right:
                _multiply(state, factor, product, turn / stretch[..., None, :])
        for factor in product.idle:
            entries = product.entries_of(factor)
            idle = state[factor.parameter].narrow(factor.axis + 1, factor.start, len(entries))
            idle.add_(torch.randn(idle.shape, generator=rng).to(idle))
    return torch.cat([state[name].reshape(n, -1) for name, _ in layout.shapes], dim=1)


def _lengthen(state: dict[str, Tensor], entry: Normalization, factor: Tensor) -> None:
    """Filters of other lengths, with statistics to match."""
    for name in entry.filters:
        state[name] = state[name] * along(factor, state[name])
    if entry.mean is not None:
        state[entry.mean] = state[entry.mean] * factor
    if entry.variance is not None:
        whole = factor.square() * (state[entry.variance] + entry.epsilon)
        state[entry.variance] = whole - entry.epsilon


def _multiply(
    state: dict[str, Tensor],
    factor: Factor,
    product: Product,
    matrix: Float[Tensor, "n heads block block"],
) -> None:
    """An invertible matrix times what one side holds for each head."""
    value = state[factor.parameter].movedim(factor.axis + 1, 1).clone()
    entries = product.entries_of(factor)
    part = value[:, entries.start : entries.stop]
    inner = part.reshape(len(value), product.heads, factor.repeat, product.block, -1)
    part.copy_((matrix[:, :, None] @ inner).reshape(part.shape))
    state[factor.parameter] = value.movedim(1, factor.axis + 1)
