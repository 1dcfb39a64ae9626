"""Checkpoints that hold one parameter of a network several times, as torch's own state dicts do.

A module that is used under two names, or a layer whose weight is another's, is saved once for each
name. It is one parameter: counted once, under its first name. Source: ours.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from novelweights.errors import count, first_few
from novelweights.networks.tracing.running import state_of
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population


def counted_once(population: Population, module: nn.Module) -> tuple[Population, str]:
    """Checkpoints with every parameter of a network once, under the first of its names.

    Where a checkpoint holds other values under other names of one parameter, the last counts, as
    when torch loads them.

    Returns:
        The population, itself where no parameter has several names; and what is to be said of it,
        "" for nothing.
    """
    first = _first_names(module)
    shapes = dict(population.layout.shapes)
    named: dict[
        str, list[str]
    ] = {}  # by first name: those in the checkpoints, the last loaded last
    for name in (name for name in first if name in shapes):
        named.setdefault(first[name], []).append(name)
    named = {name: names for name, names in named.items() if len({shapes[n] for n in names}) == 1}
    rest = population.shared
    if rest is not None:
        rest = {first.get(n, n): v for n, v in rest.items() if first.get(n, n) not in named}
    if all(names == [name] for name, names in named.items()):
        return (population if rest is None else replace(population, shared=rest)), ""
    slices, columns, layout = population.layout.slices, [], []
    for name, shape in population.layout.shapes:
        own = first.get(name, name)
        names = named.get(own, [name])
        if name == next(n for n in shapes if n in names):  # where the first of them stands
            columns.append(population.weights[:, slices[names[-1]]])
            layout.append((own if own in named else name, shape))
    said = [_described(population, names) for names in named.values() if len(names) > 1]
    found = replace(
        population,
        weights=torch.cat(columns, dim=1),
        layout=WeightLayout(tuple(layout)),
        shared=rest,
        info=replace(population.info, symmetry=None),  # its table has all names
    )
    return found, "; ".join(said)


def _first_names(module: nn.Module) -> Mapping[str, str]:
    """By each name in a state dict, in the order of loading, the first name of the same tensor."""
    saved: dict[str, Tensor] = dict(module.state_dict(keep_vars=True))
    first = {id(value): name for name, value in state_of(module).items()}
    return {name: first.get(id(value), name) for name, value in saved.items()}


def _described(population: Population, names: list[str]) -> str:
    """What is said of several names of one parameter."""
    slices = population.layout.slices
    last = population.weights[:, slices[names[-1]]]
    equal = torch.stack([(population.weights[:, slices[n]] == last).all(dim=1) for n in names[:-1]])
    said = f"{first_few(names)} are one parameter of the network, counted once"
    rows = (~equal.all(dim=0)).nonzero()[:, 0].tolist()
    if rows:
        said += (
            f"; they differ in {count(len(rows), 'checkpoint')} (the first is "
            f"{population.records.run[rows[0]]}), where {names[-1]} counts, as when torch loads it"
        )
    return said
