"""A table tried on random weights: outputs must be the same after every move, to rounding."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from novelweights.errors import InputError
from novelweights.networks.tracing.running import run, state_of
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import NeuronSymmetry, random_element, transform

DRAWS = 3
"""Of weights and moves."""
SCALES = (1.0, 0.3, 0.1, 0.03)
"""Of random weights, until outputs are steady: sines of 30 times a value amplify rounding."""
ROUNDING = 1e-14
"""Relative change of the weights whose effect on the outputs is that of rounding; ours."""
LEAST = 1e-9
"""Change of the outputs, relative to the largest, that is allowed in any case."""
MOST = 1e-4
"""What rounding may do to the outputs, that a wrong table is still seen: it changes them by a
hundredth or more."""


def prove(
    module: nn.Module,
    example: object,
    layout: WeightLayout,
    symmetry: NeuronSymmetry,
    *,
    positive: Collection[str],
) -> None:
    """Nothing, if random moves of random weights keep the outputs on the example.

    Args:
        module: A working copy, whose weights are overwritten.
        positive: Parameters that are variances.

    Raises:
        InputError: Outputs change, or are not numbers, or depend on rounding.
    """
    rng = torch.Generator().manual_seed(0)
    trial = Trial(module, example, layout, symmetry)
    for _ in range(DRAWS):
        weights, before, allowed = steady(trial, positive, rng)
        permutations, signs = random_element(1, layout, symmetry, rng=rng)
        for order in permutations.values():
            if torch.equal(order[0], torch.arange(order.shape[1])):  # every group moves
                order.copy_(order.roll(1, dims=1))
        for sign in signs.values():
            sign[:, 0] *= -sign.amin(dim=1)  # at least one is -1
        names = {*permutations, *signs}
        if not change(before, trial.moved(weights, permutations, signs, names)) <= allowed:
            wrong = [
                name
                for name in sorted(names)
                if not change(before, trial.moved(weights, permutations, signs, {name})) <= allowed
            ]
            raise _refutation(symmetry, wrong or sorted(names))


@dataclass(frozen=True)
class Trial:
    """A network and what is tried on it."""

    module: nn.Module
    example: object
    layout: WeightLayout
    symmetry: NeuronSymmetry

    def outputs(self, weights: Float[Tensor, " d"]) -> list[Tensor]:
        """Outputs of the network with these weights."""
        self._put(weights)
        return [output.clone() for output in run(self.module, self.example)]

    def slopes(self, weights: Float[Tensor, " d"], rng: torch.Generator) -> Float[Tensor, " d"]:
        """How a random sum of the outputs changes with each weight; 0 for buffers.

        Raises:
            RuntimeError: The network cannot be differentiated.
        """
        self._put(weights)
        trained = {n: p.requires_grad_() for n, p in self.module.named_parameters()}
        outputs = run(self.module, self.example, gradients=True)
        whole = sum(
            (torch.randn(output.shape, generator=rng).double() * output).sum()
            for output in outputs
            if output.requires_grad
        )
        gradients = {name: torch.zeros_like(value) for name, value in state_of(self.module).items()}
        if isinstance(whole, Tensor):
            slopes = torch.autograd.grad(whole, list(trained.values()), allow_unused=True)
            for name, slope in zip(trained, slopes, strict=True):
                if slope is not None:
                    gradients[name] = slope
        return torch.cat([gradients[name].flatten() for name, _ in self.layout.shapes]).detach()

    def _put(self, weights: Float[Tensor, " d"]) -> None:
        values = self.layout.unflatten(weights)
        with torch.no_grad():
            for name, tensor in state_of(self.module).items():
                tensor.copy_(values[name])

    def moved(
        self,
        weights: Float[Tensor, " d"],
        permutations: Mapping[str, Tensor],
        signs: Mapping[str, Tensor],
        names: Collection[str],
    ) -> list[Tensor]:
        """Outputs after the moves of these groups and flips."""
        chosen = (
            {name: move for name, move in moves.items() if name in names}
            for moves in (permutations, signs)
        )
        return self.outputs(transform(weights[None], self.layout, self.symmetry, *chosen)[0])


def steady(
    trial: Trial, positive: Collection[str], rng: torch.Generator
) -> tuple[Float[Tensor, " d"], list[Tensor], float]:
    """Random weights, the outputs with them, and what rounding may change.

    Raises:
        InputError: Outputs are not numbers, or chaotic, at any of the sizes of weights.
    """
    floor = torch.inf
    for scale in SCALES:
        weights = _random_weights(trial.layout, scale, positive, rng)
        outputs = trial.outputs(weights)
        noise = 1 + ROUNDING * torch.randn(weights.shape, generator=rng).double()
        floor = change(outputs, trial.outputs(weights * noise))
        if floor < MOST / 10:
            return weights, outputs, max(10 * floor, LEAST)
    raise InputError(
        "expected outputs that are finite at random weights and change little by rounding, got a "
        f"relative change of {floor:.1g} when weights change by {ROUNDING}; write the table "
        "(NeuronSymmetry) by hand",
        "not-traceable",
    )


def _random_weights(
    layout: WeightLayout, scale: float, positive: Collection[str], rng: torch.Generator
) -> Float[Tensor, " d"]:
    """Weights far from an initialization: scales and variances between 0.5 and 1.5, so that no
    two neurons are alike; with a scale of 1, matrices and kernels keep the size of values."""
    values = []
    for name, shape in layout.shapes:
        normal = torch.randn(shape, generator=rng).double()
        if len(shape) >= 2:
            value = scale * normal * (shape[0] / max(normal.numel(), 1)) ** 0.5
        elif name.endswith(("bias", "mean")) and name not in positive:
            value = 0.3 * normal
        else:
            value = 0.5 + torch.rand(shape, generator=rng).double()
        values.append(value.flatten())
    return torch.cat(values)


def change(before: list[Tensor], after: list[Tensor]) -> float:
    """Largest difference of two lists of outputs, each relative to its largest value; infinite
    where shapes differ or a value is not a number."""
    changes = [0.0]
    for one, other in zip(before, after, strict=True):
        if one.shape != other.shape or not bool(one.isfinite().all()):
            return torch.inf
        if one.numel():
            difference = (one.double() - other.double()).abs().max()
            changes.append(float(difference / one.double().abs().max().clamp(min=1e-30)))
    return max(changes) if all(map(math.isfinite, changes)) else torch.inf


def _refutation(symmetry: NeuronSymmetry, wrong: list[str]) -> InputError:
    """Names the groups whose moves change the outputs, and their layers."""
    described = []
    for group in wrong:
        layers = [
            name
            for name, axes in symmetry.axes.items()
            if group in axes
            or any(
                part.group == group
                for parts in symmetry.joined.get(name, {}).values()
                for part in parts
            )
        ] or list(symmetry.flips[group].parameters)
        described.append(f"{group} ({', '.join(layers)})")
    return InputError(
        "expected a network whose outputs stay the same when neurons are reordered, got other "
        f"outputs after moving {'; '.join(described)}: its code does something that could not be "
        "followed; write the table (NeuronSymmetry) by hand, or leave alignment off",
        "wrong-symmetry",
    )
