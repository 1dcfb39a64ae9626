"""Checkpoints in whatever form somebody holds them, as one population.

Populations, paths, state dicts, networks, and matrices with a weight vector in each row. Messages
name the role (train, generated, heldout), as those of the command line do.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from novelweights.errors import InputError, first_few
from novelweights.networks.symmetry_of import layout_of
from novelweights.readers import (
    PLAIN,
    OpenedCheckpoints,
    open_checkpoints,
    read_starts,
    rows_of_role,
)
from novelweights.readers.formats.adapters import Adapters, symmetry_of_adapters
from novelweights.readers.formats.state_dicts import chain_symmetry, layout_of_state, learned
from novelweights.readers.source import Reading
from novelweights.weights.layout import WeightLayout, without_counts
from novelweights.weights.population import Population, PopulationInfo, Records

Checkpoints = (
    Population
    | OpenedCheckpoints
    | str
    | Path
    | Tensor
    | np.ndarray
    | Mapping[str, Any]
    | Iterable[Any]
)
"""A population; a path; a matrix (n, d); state dicts or networks, as a sequence or by run name."""
Layout = WeightLayout | nn.Module | Mapping[str, Any]
"""What the columns of a matrix mean: a layout, or a network or state dict that has it."""
SPLITS = {
    "train": "train",
    "generated": "generated",
    "heldout": "heldout",
    "reconstructions": "train",
    "heldout_reconstructions": "heldout",
    "noise_from": "train",
    "from_scratch": "train",
}
"""The roles of an audit, and which rows of a population play each."""
FORMS = (
    "a Population, a path, a matrix with a checkpoint in each row, a sequence of state dicts or "
    "networks, or a mapping from run names to them"
)


def load(
    checkpoints: Checkpoints,
    *,
    role: str | None = None,
    layout: Layout | None = None,
    runs: Sequence[str] | None = None,
    reading: Reading = PLAIN,
) -> Population:
    """Checkpoints as a population.

    Args:
        checkpoints: See `Checkpoints`. Of a population or folder that holds several splits, the
            rows of this role. Weights are kept as float32, running statistics among them; counts
            of batches and integer buffers of state dicts and networks are no weights.
        role: train, heldout, generated, start (or another of `audit`): what messages call the
            checkpoints, and their split. None: all rows; checkpoints in memory are train.
        layout: Parameters of a matrix (none: one parameter, "weights"), or which of those of state
            dicts are meant, in which order.
        runs: Names of the training runs, one for each checkpoint, where one run has several: these
            come in the order of their steps. Sequences and matrices otherwise take each for a run.
        reading: How the files at a path are to be read.

    Raises:
        InputError: Something else was given, the checkpoints do not fit the layout or each other,
            or `runs` has another length.
    """
    meant = None if layout is None else meant_layout(layout)
    split, role = None if role is None else SPLITS.get(role, role), role or "train"
    if isinstance(checkpoints, OpenedCheckpoints):
        population = checkpoints.of_split(split)
    elif isinstance(checkpoints, str | Path):
        path = Path(checkpoints)
        if role == "start":
            population = read_starts(path, reading=reading)
        else:
            population = open_checkpoints(path, reading=reading).of_split(split)
    elif isinstance(checkpoints, Population):
        population = _of_role(checkpoints, split, role)
    elif isinstance(checkpoints, Tensor | np.ndarray):
        population = _of_matrix(checkpoints, meant, role)
    else:
        population = _of_states(*_named(checkpoints, role), meant, role, reading)
    if meant is not None:
        population = population.in_order_of(meant)
    return (
        population
        if runs is None
        else replace(population, records=_records(runs, role, len(population)))
    )


def meant_layout(layout: Layout) -> WeightLayout:
    """The layout that a network or a state dict has; a network's with running statistics.

    Raises:
        InputError: It is of none of these kinds.
    """
    if isinstance(layout, WeightLayout):
        return layout
    if isinstance(layout, nn.Module):
        return layout_of(layout)
    if isinstance(layout, Mapping) and all(hasattr(value, "shape") for value in layout.values()):
        return WeightLayout(tuple((str(k), tuple(v.shape)) for k, v in layout.items()))
    raise InputError(
        f"layout: expected a WeightLayout, a network or a state dict, got {type(layout).__name__}; "
        "give the network whose checkpoints these are",
        "wrong-type",
    )


def _of_role(population: Population, split: str | None, role: str) -> Population:
    """The rows of a split, where a population tells splits apart."""
    rows = rows_of_role(population.records.split, split, role)
    return population if rows is None or rows.all() else population.select(rows)


def _records(runs: Sequence[str], role: str, n: int) -> Records:
    """Records of checkpoints whose runs are known; steps count on within a run."""
    if len(runs) != n:
        raise InputError(
            f"{role}: expected the run of each of {n} checkpoints, got {len(runs)} names; give as "
            "many",
            "other-rows",
        )
    seen: dict[str, int] = {}
    steps = []
    for run in runs:
        seen[run] = seen.get(run, -1) + 1
        steps.append(seen[run])
    return Records.of(list(runs), split=role, step=steps)


def _of_matrix(matrix: Tensor | np.ndarray, layout: WeightLayout | None, role: str) -> Population:
    """A weight vector in each row."""
    weights = torch.as_tensor(matrix).detach().cpu()
    if weights.ndim != 2 or not weights.is_floating_point():
        raise InputError(
            f"{role}: expected a matrix of real numbers with a checkpoint in each row, got "
            f"{weights.dtype} of shape {'x'.join(map(str, weights.shape)) or 'no axes'}; stack "
            "weight vectors, or give state dicts",
            "wrong-shape",
        )
    layout = layout or WeightLayout((("weights", (weights.shape[1],)),))
    if weights.shape[1] != layout.size:
        raise InputError(
            f"{role}: expected {layout.size} weights in each row, as the layout has, got "
            f"{weights.shape[1]}; give the layout of these checkpoints",
            "wrong-shape",
        )
    info = PopulationInfo(recipe=f"matrix of {len(weights)} checkpoints")
    records = _records(_numbered(len(weights), role), role, len(weights))
    return Population(weights.float(), layout, records, info)


def _named(
    checkpoints: Mapping[str, Any] | Iterable[Any], role: str
) -> tuple[list[str], list[Any]]:
    """Names and members of a collection of checkpoints."""
    if isinstance(checkpoints, nn.Module):
        raise InputError(
            f"{role}: expected several checkpoints, got one network; give a sequence", "wrong-type"
        )
    if isinstance(checkpoints, Mapping):
        names, members = [*map(str, checkpoints)], [*checkpoints.values()]
        if any(isinstance(member, Tensor | np.ndarray) for member in members):
            raise InputError(
                f"{role}: expected several checkpoints, got one state dict; give a sequence, or a "
                "mapping from run names to state dicts",
                "wrong-type",
            )
        return names, members
    if not isinstance(checkpoints, Iterable):
        raise InputError(
            f"{role}: expected {FORMS}, got {type(checkpoints).__name__}", "wrong-type"
        )
    members = list(checkpoints)
    return _numbered(len(members), role), members


def _numbered(n: int, role: str) -> list[str]:
    """Names of checkpoints that have none."""
    stem = "sample" if role == "generated" else role
    return [f"{stem}-{i:05d}" for i in range(n)]


def _of_states(
    names: list[str],
    members: list[Any],
    layout: WeightLayout | None,
    role: str,
    reading: Reading,
) -> Population:
    """State dicts or networks; the first says which parameters there are."""
    if not members:
        raise InputError(f"{role}: expected {FORMS}, got nothing", "too-few")
    states = [_state(member, name, role) for name, member in zip(names, members, strict=True)]
    adapters = Adapters.in_memory(states[0], reading) if layout is None else None
    if adapters is not None:
        states = [adapters.products(state) for state in states]
    first = states[0]
    kept = layout or layout_of_state(first)
    weights, faults = torch.empty(len(states), kept.size), []
    listed = dict(kept.shapes)
    for row, state in enumerate(states):
        chosen = state if layout is None else {k: state[k] for k in listed if k in state}
        try:
            weights[row] = kept.flatten(chosen)
        except InputError as error:
            faults.append(f"{names[row]}: {error}")
    if faults:
        raise InputError(
            f"{role}: {len(faults)} of {len(states)} checkpoints: {first_few(faults, '; ')}",
            "other-network",
        )
    # of parts of a network nothing is known: the rest would have to move along
    known = chain_symmetry if adapters is None else symmetry_of_adapters
    symmetry = known(states[0]) if set(listed) == set(first) else None
    info = PopulationInfo(recipe=f"{len(states)} state dicts", symmetry=symmetry)
    return Population(weights, kept, _records(names, role, len(names)), info)


def _state(member: Any, name: str, role: str) -> dict[str, Tensor]:
    """The real floating-point tensors of a network or a state dict."""
    state = member.state_dict() if isinstance(member, nn.Module) else member
    kinds = Tensor | np.ndarray
    if not isinstance(state, Mapping) or not all(isinstance(v, kinds) for v in state.values()):
        raise InputError(
            f"{role}: {name}: expected a state dict (names to tensors) or a network, got "
            f"{type(member).__name__}; give {FORMS}",
            "wrong-type",
        )
    tensors = {str(key): torch.as_tensor(value).detach().cpu() for key, value in state.items()}
    floats = without_counts({k: v for k, v in tensors.items() if v.is_floating_point()})
    if not learned(floats) or any(value.is_complex() for value in tensors.values()):
        raise InputError(
            f"{role}: {name}: expected real floating-point weights, got none or others; give the "
            "state dict of a network",
            "wrong-type",
        )
    return floats
