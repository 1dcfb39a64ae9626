"""Checkpoints named last or best beside numbered ones of the same run: which of these they are.

Trainers save a step a second time under such a name. One that equals a numbered step is that step,
and counts once; the best of unknown step is left out; both are told. Source: ours.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from novelweights.errors import InputError, first_few
from novelweights.readers.run_names import is_best, unnumbered
from novelweights.readers.units import Unit


def settled(
    units: list[Unit], state_of: Callable[[Unit], Mapping[str, Tensor]]
) -> tuple[list[Unit], list[str]]:
    """The units that are checkpoints of their own, and in words what the others are."""
    again, left, dropped = [], [], set()
    for row, numbered in unnumbered([unit.name for unit in units]).items():
        name = units[row].name
        try:
            state = state_of(units[row])
            equal = next((n for n in numbered if _is_equal(state, state_of(units[n]))), None)
        except InputError:
            continue  # what is wrong with one is said when it is read
        if equal is not None:
            again.append(f"{name} is {units[equal].name}")
        elif is_best(name):
            left.append(name)
        else:
            continue
        dropped.add(row)
    notes = []
    if again:
        notes.append(f"saved twice and counted once: {first_few(again)}")
    if left:
        notes.append(f"left out, as their steps are not known: {first_few(left)}")
    return [unit for row, unit in enumerate(units) if row not in dropped], notes


def _is_equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(value, other[name]) for name, value in one.items()
    )
