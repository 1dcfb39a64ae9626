"""The symmetry table that follows from what the axes of the parameters count."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import NamedTuple

from novelweights.networks.tracing.axes import (
    Axis,
    Fixed,
    Joined,
    Neurons,
    fix,
    known,
    movable,
    nested,
    size,
    why_fixed,
)
from novelweights.networks.tracing.call import Notes, Value
from novelweights.weights.continuous import Normalization
from novelweights.weights.symmetry import AxisPart, Flip, NeuronSymmetry


class _Part(NamedTuple):
    """Consecutive entries of an axis, `block` of them for each of the neurons."""

    neurons: Neurons | None
    entries: int
    block: int = 1


def table_of(weights: Mapping[str, Value], notes: Notes) -> NeuronSymmetry:
    """The table of a network that has been followed to its end.

    Args:
        weights: Parameters and buffers in the order of the layout.
    """
    for value in weights.values():
        if not value.uses:
            fix(*value.axes)
    while True:
        # reading an axis may fix what a table cannot say, on axes that have been read already
        before = _unknowns(weights)
        parts = {name: [_parts(axis) for axis in value.axes] for name, value in weights.items()}
        if _unknowns(weights) == before:
            break
    names = _names(weights, notes)
    merged = {
        name: tuple(_merged(found, names) for found in by_axis) for name, by_axis in parts.items()
    }
    signs = frozenset(name for neurons, name in names.items() if neurons.may_flip)
    flips = _flips(weights, notes, parts, names)
    unknown = {name: _why(value) for name, value in weights.items() if _why(value)}
    return replace(NeuronSymmetry.from_parts(merged, signs, flips), unknown=unknown)


def _why(value: Value) -> str:
    """What could not be followed of a parameter; "" if all of it was."""
    return next(filter(None, map(why_fixed, value.axes)), "")


def _unknowns(weights: Mapping[str, Value]) -> set[Neurons]:
    """All neurons that may still move."""
    return {n for value in weights.values() for axis in value.axes for n in movable(axis)}


def _parts(axis: Axis) -> list[_Part]:
    """An axis as a table says it: neurons hold whole blocks, so what moves inside is fixed."""
    axis = known(axis)
    if isinstance(axis, Neurons):
        return [_Part(axis, axis.size)]
    if isinstance(axis, Joined):
        return [part for inner in axis.parts for part in _parts(inner)]
    if isinstance(axis, Fixed):
        return [_Part(None, axis.size)]
    outer, inner = axis.factors[0], nested(*axis.factors[1:])
    if isinstance(known(outer), Fixed):
        return _parts(inner) * size(outer)
    fix(inner, why=f"the order inside blocks of {size(inner)}")
    entries = size(inner)
    return [
        _Part(part.neurons, part.entries * entries, part.block * entries) for part in _parts(outer)
    ]


def _names(weights: Mapping[str, Value], notes: Notes) -> dict[Neurons, str]:
    """Groups named after the layer that produces them, or else the first that has them."""
    left, names = _unknowns(weights), {}
    owners = [*notes.producers, *((n, axis) for n, v in weights.items() for axis in v.axes)]
    for parameter, axis in owners:
        for neurons in movable(axis):
            if neurons in left:
                left.remove(neurons)
                names[neurons] = _free(_layer(parameter), names.values())
    return names


def _layer(parameter: str) -> str:
    return parameter.rpartition(".")[0] or parameter


def _free(name: str, taken: Collection[str]) -> str:
    """The name, with a number where it is taken."""
    numbered = (f"{name}#{number}" for number in count(2))
    return name if name not in taken else next(n for n in numbered if n not in taken)


def _merged(parts: list[_Part], names: Mapping[Neurons, str]) -> tuple[AxisPart, ...]:
    """Parts with the names of their groups; neighbors that do not move are one part."""
    merged: list[AxisPart] = []
    for part in parts:
        if part.neurons is not None:
            merged.append(AxisPart(names[part.neurons], part.entries, part.block))
        elif merged and merged[-1].group is None:
            merged[-1] = AxisPart(None, merged[-1].entries + part.entries)
        else:
            merged.append(AxisPart(None, part.entries))
    return tuple(merged)


def _flips(
    weights: Mapping[str, Value],
    notes: Notes,
    parts: Mapping[str, list[list[_Part]]],
    names: Mapping[Neurons, str],
) -> dict[str, Flip]:
    """Signs of the filters just before a batch normalization, which nothing else sees."""
    flips: dict[str, Flip] = {}
    for value, weight, _, mean, *_ in notes.normalized:
        parameters = _of_one_use(weights, value, (weight, mean))
        first = [parts[name][0] for name in parameters]
        neurons = first[0][0].neurons if first else None
        if neurons is not None and all(found == [_Part(neurons, neurons.size)] for found in first):
            name = _free(_layer(parameters[-2]), [*names.values(), *flips])
            flips[name] = Flip(names[neurons], parameters)
    return flips


def _of_one_use(
    weights: Mapping[str, Value], value: Value, parts: Sequence[Value | None]
) -> tuple[str, ...]:
    """The filters that made a normalized value and these parts of the normalization, by name;
    none where anything else sees one of them."""
    made = [*value.made_by, *(None if part is None else part.name for part in parts)]
    named = tuple(name for name in made if name is not None)
    is_alone = value.made_by and value.uses <= 1 and len(named) == len(made)
    return named if is_alone and all(weights[name].uses == 1 for name in named) else ()


def normalizations_of(
    weights: Mapping[str, Value], notes: Notes, table: NeuronSymmetry
) -> dict[str, Normalization]:
    """Batch normalizations by stored statistics, and the filters that nothing else sees.

    Named as their flips are, where they have one.
    """
    flips = {flip.parameters: name for name, flip in table.flips.items()}
    normalizations: dict[str, Normalization] = {}
    for value, *given, epsilon in notes.normalized:
        named = _of_one_use(weights, value, [part for part in given if part is not None])
        if named:
            scale, shift, mean, variance = (None if part is None else part.name for part in given)
            flip = (*value.made_by, *(name for name in (scale, mean) if name is not None))
            name = flips.get(flip) or _free(
                _layer(mean or named[-1]), [*flips.values(), *normalizations]
            )
            normalizations[name] = Normalization(
                tuple(value.made_by), scale, shift, mean, variance, epsilon
            )
    return normalizations
