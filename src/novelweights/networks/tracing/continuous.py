"""Scales, shifts and products of a network, found by trying them on random weights.

Scales: how a random sum of the outputs changes when a neuron grows at one place of the network, to
first order; places whose changes add up to nothing for all neurons scale together. Shifts and
products are tried one by one. What is found is then tried by finite random moves of other random
weights, and dropped where the outputs change: a table may say less than holds, never more. Ours.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from novelweights.errors import InputError
from novelweights.networks.tracing.products import products_of
from novelweights.networks.tracing.proof import Trial, change
from novelweights.networks.tracing.tried import Tried
from novelweights.weights.continuous import (
    Continuous,
    Normalization,
    Rescaling,
    Scaled,
    Shift,
)
from novelweights.weights.layout import WeightLayout
from novelweights.weights.rescaled import random_rescaling
from novelweights.weights.symmetry import NeuronSymmetry

ENOUGH = 3
"""Equations for each place at which a scale may act."""
NOTHING = 1e-9
"""A slope of the outputs below this share of the largest is rounding."""
WHOLE = 1e-3
"""How near a power must be to -1, 0 or 1."""
Move = TypeVar("Move")


def continuous_symmetries(
    module: nn.Module,
    example: object,
    layout: WeightLayout,
    table: NeuronSymmetry,
    normalizations: Mapping[str, Normalization],
    *,
    positive: Collection[str],
    logits: bool,
) -> Continuous:
    """The continuous moves of a network, as far as they are found.

    Args:
        module: A working copy, whose weights are overwritten.
        positive: Parameters that are variances.
        logits: Whether outputs are logits of a softmax over their last axis.
    """
    parameters = frozenset(name for name, _ in module.named_parameters())
    rng = torch.Generator().manual_seed(1)
    tried = Tried(Trial(module, _stirred(example, rng), layout, table), positive, parameters, rng)
    try:
        tried.weights()
    except (InputError, RuntimeError, ValueError):  # chaotic, or it takes no such numbers
        return Continuous()
    kept = _kept(tried, dict(normalizations), lambda some: Continuous(normalizations=some))
    products = dict(products_of(tried))
    for name in Continuous(normalizations=kept, products=products).overlapping():
        del products[name]
    derived = Continuous(
        _kept(tried, dict(_scales(tried)), lambda some: Continuous(scales=some)),
        _shifts(tried) if logits else (),
        kept,
        products,
    )
    half = set(derived.half_covered(dict(layout.shapes)))
    whole = {
        name: product
        for name, product in derived.products.items()
        if not half & {factor.parameter for factor in product.factors}
    }
    return replace(derived, products=whole)


def prove_continuous(
    module: nn.Module,
    example: object,
    layout: WeightLayout,
    table: NeuronSymmetry,
    *,
    positive: Collection[str],
) -> None:
    """Nothing, if random moves of a declared table's continuous kinds leave the outputs.

    Args:
        module: A working copy, whose weights are overwritten.
        positive: Parameters that are variances.

    Raises:
        InputError: Outputs change; the moves are named, and the parameters that they move.
    """
    continuous, rng = table.continuous, torch.Generator().manual_seed(1)
    trial = Trial(module, _stirred(example, rng), layout, table)
    tried = Tried(trial, positive, frozenset(), rng)
    together = replace(continuous, shifts=()), Continuous(shifts=continuous.shifts)
    if all(tried.holds(some) for some in together if some):
        return
    alone: list[tuple[str, Continuous, list[str]]] = [
        (f"scale {name}", Continuous(scales={name: scale}), [m.parameter for m in scale.members])
        for name, scale in continuous.scales.items()
    ]
    alone += [
        (f"shift of {shift.parameter}", Continuous(shifts=(shift,)), [shift.parameter])
        for shift in continuous.shifts
    ]
    alone += [
        (f"normalization {name}", Continuous(normalizations={name: entry}), list(entry.filters))
        for name, entry in continuous.normalizations.items()
    ]
    alone += [
        (f"product {name}", Continuous(products={name: pair}), [f.parameter for f in pair.factors])
        for name, pair in continuous.products.items()
    ]
    wrong = [
        f"{name} ({', '.join(dict.fromkeys(parameters))})"
        for name, move, parameters in alone
        if not tried.holds(move)
    ]
    raise InputError(
        "expected a network whose outputs stay the same under the table's moves, got other outputs "
        f"after {'; '.join(wrong) or 'all of them together'}; leave these out of the table",
        "wrong-symmetry",
    )


def _stirred(example: object, rng: torch.Generator) -> object:
    """Inputs with noise on their floating-point numbers: zeros would hide that weights matter."""
    if isinstance(example, Tensor) and example.is_floating_point() and example.numel():
        noise = torch.randn(example.shape, generator=rng).to(example)
        spread = example.std(correction=0)
        return example + noise * torch.where(spread > 0, spread, 1.0)
    if isinstance(example, Mapping):
        return {name: _stirred(inner, rng) for name, inner in example.items()}
    if isinstance(example, tuple):
        return tuple(_stirred(inner, rng) for inner in example)
    return [_stirred(inner, rng) for inner in example] if isinstance(example, list) else example


def _kept(
    tried: Tried, moves: dict[str, Move], as_table: Callable[[dict[str, Move]], Continuous]
) -> dict[str, Move]:
    """Those that leave the outputs: tried together, and one by one where that fails."""
    if not moves or tried.holds(as_table(moves)):
        return moves
    return {name: move for name, move in moves.items() if tried.holds(as_table({name: move}))}


def _scales(tried: Tried) -> Iterator[tuple[str, Rescaling]]:
    """Groups whose neurons have a free positive scale, and where it acts."""
    layout, table = tried.layout, tried.trial.symmetry
    shapes = dict(layout.shapes)
    for group in table.sizes(layout):
        places = [
            Scaled(name, axis, 1)
            for name in table.axes
            if name in tried.parameters
            for axis in range(len(shapes[name]))
            if table.places_of(group, name, axis, shapes[name])
        ]
        try:
            exponents = _powers(tried, group, places)
        except RuntimeError:  # it cannot be differentiated
            return
        for number, powers in enumerate(exponents, start=1):
            if not {-1, 1} <= {*powers}:  # one side only: a length that the network normalizes
                continue
            members = tuple(
                place._replace(power=power)
                for place, power in zip(places, powers, strict=True)
                if power
            )
            yield group if number == 1 else f"{group}#{number}", Rescaling(group, members)


def _powers(tried: Tried, group: str, places: list[Scaled]) -> list[list[int]]:
    """Powers of one scale at all places, for each scale that changes nothing to first order."""
    changes: list[Tensor] = []
    rows = 0
    while places and rows < ENOUGH * len(places):
        growth = tried.growth(len(changes))
        columns = [
            _by_neuron(tried.trial.symmetry, growth[place.parameter], place, group)
            for place in places
        ]
        changes.append(torch.stack(columns, dim=1))
        rows += len(changes[-1])
    if not places:
        return []
    stacked = torch.cat(changes)
    lengths = stacked.norm(dim=0)
    is_seen = lengths > NOTHING * lengths.max()
    lengths = torch.where(is_seen, lengths, 1.0)
    stacked = torch.where(is_seen, stacked / lengths, 0.0)
    if not bool(stacked.isfinite().all()):
        return []
    _, values, right = torch.linalg.svd(stacked, full_matrices=True)
    rank = int((values > NOTHING * values.max()).sum())
    return _whole(_reduced(right[rank:] / lengths))


def _by_neuron(
    table: NeuronSymmetry, value: Tensor, place: Scaled, group: str
) -> Float[Tensor, " neurons"]:
    """Sums over all entries of each neuron of a group along one axis."""
    axis = place.axis
    by_entry = value.movedim(axis, 0).reshape(value.shape[axis], -1).sum(dim=1)
    parts = table.places_of(group, place.parameter, axis, tuple(value.shape))
    sums = [
        by_entry[start : start + part.entries].view(part.neurons, part.block).sum(dim=1)
        for start, part in parts
    ]
    return torch.stack(sums).sum(dim=0)


def _reduced(rows: Float[Tensor, "r k"]) -> Float[Tensor, "r k"]:
    """The same space, each row with a 1 where all others have 0 (Gauss-Jordan)."""
    rows, done = rows.clone(), 0
    for column in range(rows.shape[1]):
        if done == len(rows):
            break
        best = done + int(rows[done:, column].abs().argmax())
        if abs(float(rows[best, column])) < WHOLE:
            continue
        rows[[done, best]] = rows[[best, done]]
        rows[done] /= rows[done, column].clone()
        others = [i for i in range(len(rows)) if i != done]
        rows[others] -= rows[others, column, None] * rows[done]
        done += 1
    return rows[:done]


def _whole(rows: Float[Tensor, "r k"]) -> list[list[int]]:
    """Rows of -1, 0 and 1, rounded; others are left out."""
    near = rows.round()
    is_whole = ((rows - near).abs() < WHOLE).all(dim=1) & (near.abs() <= 1).all(dim=1)
    return [[int(power) for power in row] for row in near[is_whole].tolist()]


def _shifts(tried: Tried) -> tuple[Shift, ...]:
    """Parameters to which a number may be added along an axis, that all outputs grow alike."""
    weights, before, allowed = tried.weights()
    outputs = {output.shape[-1] for output in before if output.ndim > 1} - {1}
    shifts = []
    for name, shape in tried.layout.shapes:
        for axis, size in enumerate(shape if name in tried.parameters else ()):
            shift, parts = Shift(name, axis), tried.trial.symmetry.parts_of(name, shape)[axis]
            if size not in outputs or any(part.group is not None for part in parts):
                continue
            table = replace(tried.trial.symmetry, continuous=Continuous(shifts=(shift,)))
            moved = random_rescaling(weights[None], tried.layout, table, rng=tried.rng)
            reaches = change(before, tried.trial.outputs(moved[0])) > allowed
            if reaches and tried.holds(Continuous(shifts=(shift,))):
                shifts.append(shift)
    return tuple(shifts)
