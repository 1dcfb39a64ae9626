"""Checkpoints read file by file, so that what is wrong with some of them hides nothing else.

The other readers stop at the first fault, as an audit must; this one collects them, for `lint`.
Pickles that need code are refused here as everywhere.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from novelweights.errors import InputError
from novelweights.files import read_json, sha256_of
from novelweights.readers import (
    PLAIN,
    described_records,
    format_of,
    open_source,
    require_there,
    with_table_beside,
)
from novelweights.readers.formats.adapters import Adapters, symmetry_of_adapters
from novelweights.readers.formats.state_dicts import (
    chain_symmetry,
    expanded,
    files_for,
    layout_of_state,
    learned,
    readable_state,
    units_at,
)
from novelweights.readers.last_and_best import settled
from novelweights.readers.run_names import records_by_name
from novelweights.readers.source import Reading
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, Records, first_difference
from novelweights.weights.store import is_population_folder, open_population
from novelweights.weights.symmetry import NeuronSymmetry

NOT_READ = (".h5", ".npy", ".npz", ".onnx", ".pickle", ".pkl", ".tar")
"""Files of these kinds often hold weights; beside state dicts they are passed over."""


@dataclass(frozen=True, eq=False)
class Examined:
    """What could be read of a folder, and what was wrong with the rest."""

    population: Population | None
    """The readable checkpoints of the most common architecture; None if there are none."""
    names: tuple[str, ...] = ()
    """The file of each row; empty for a population, whose rows have no file of their own."""
    unsafe: Mapping[str, str] = field(default_factory=dict)
    """Files that need code to be read, with the reason."""
    damaged: Mapping[str, str] = field(default_factory=dict)
    """Files that are damaged or hold something else."""
    foreign: Mapping[str, str] = field(default_factory=dict)
    """Checkpoints of another architecture, with the first difference."""
    broken_foreign: tuple[str, ...] = ()
    """Those among them with NaN or infinite weights."""
    dtypes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Which checkpoints hold floats of which kind."""
    passed_over: tuple[str, ...] = ()
    """Files that may hold weights and were not read."""
    told: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What was chosen and left out, in words, and of which files; none: of all."""


def examine(path: Path, reading: Reading = PLAIN) -> Examined:
    """Everything that can be read at a path, with all faults.

    Raises:
        InputError: There are no checkpoints at all.
    """
    require_there(path)
    if path.is_dir() and is_population_folder(path) and reading.is_plain:
        return _examine_population(path)
    if path.is_dir() and format_of(path, reading) == "state-dicts":
        return _examine_state_dicts(path, reading)
    return Examined(open_source(path, reading=reading).load(reading.max_bytes))


def _examine_population(path: Path) -> Examined:
    damaged = {}
    for name, digest in _checksums(read_json(path / "population.json")).items():
        if not (path / name).is_file():
            damaged[name] = "missing"
        elif sha256_of(path / name) != digest:
            damaged[name] = "differs from its checksum: damaged or edited"
    try:
        population = open_population(path, verify=False).load()
    except InputError as error:
        return Examined(None, damaged=damaged or {path.name: str(error)})
    return Examined(population, damaged=damaged)


def _checksums(described: Any) -> dict[str, str]:
    """The files that `population.json` names, as far as it can be understood."""
    if not isinstance(described, dict):
        return {}
    sums, shards = described.get("sha256"), described.get("shards")
    checksums = dict(sums) if isinstance(sums, dict) else {}
    for shard in shards if isinstance(shards, list) else []:
        if isinstance(shard, dict) and {"file", "sha256"} <= shard.keys():
            checksums[Path(str(shard["file"])).name] = shard["sha256"]
    return {str(name): str(digest) for name, digest in checksums.items()}


def _examine_state_dicts(path: Path, reading: Reading) -> Examined:
    files, notes = files_for(path, reading)
    several = expanded(path, units_at(path), files)
    if not with_table_beside(path, reading).names_runs:
        several, found = settled(several, files.state_of)
        notes += found
    units = {unit.place_in(path): unit for unit in several}
    unsafe, damaged = {}, {}
    dtypes: dict[str, tuple[str, ...]] = {}
    told: dict[str, tuple[str, ...]] = {}
    layouts: dict[frozenset, WeightLayout] = {}
    symmetries: dict[frozenset, NeuronSymmetry | None] = {}
    rows: dict[str, tuple[frozenset, Tensor]] = {}
    adapters: Adapters | None = None
    for name, unit in units.items():
        try:
            whole, said = readable_state(files, unit)
            adapters = adapters or Adapters.of(list(units.values()), whole, reading)
            if adapters is not None:
                whole = adapters.products(whole, unit)
        except InputError as error:
            (unsafe if error.code == "unsafe" else damaged)[name] = str(error)
            continue
        state = {key: value for key, value in whole.items() if reading.takes(key)}
        if not learned(state):
            damaged[name] = "no parameter of it is left by --include and --exclude"
            continue
        for text in said:
            told[text] = (*told.get(text, ()), name)
        layout = layout_of_state(state)
        key = frozenset(layout.shapes)
        layout = layouts.setdefault(key, layout)
        known = chain_symmetry if adapters is None else symmetry_of_adapters
        symmetries.setdefault(key, None if reading.chooses else known(whole))
        rows[name] = (key, layout.flatten(state))
        for kind in {str(value.dtype).removeprefix("torch.") for value in state.values()}:
            dtypes[kind] = (*dtypes.get(kind, ()), name)
    taken = {file for unit in units.values() for file in unit.files}
    others = tuple(
        sorted(p.name for p in path.iterdir() if p.suffix in NOT_READ and p not in taken)
    )
    told = {text: () if len(of) == len(rows) else of for text, of in told.items()}
    told |= dict.fromkeys(notes, ())
    examined = Examined(None, (), unsafe, damaged, dtypes=dtypes, passed_over=others, told=told)
    if not rows:
        return examined
    usual, _ = Counter(key for key, _ in rows.values()).most_common(1)[0]
    kept = [name for name, (key, _) in rows.items() if key == usual]
    foreign = {
        name: _difference(layouts[usual], layouts[key])
        for name, (key, _) in rows.items()
        if key != usual
    }
    names = [units[name].name for name in kept]
    records, said = _records(path, names, reading)
    population = Population(
        torch.stack([rows[name][1] for name in kept]),
        layouts[usual],
        records,
        PopulationInfo(recipe=f"folder of {len(units)} state dicts", symmetry=symmetries[usual]),
    )
    broken = tuple(name for name in foreign if not rows[name][1].isfinite().all())
    return replace(
        examined,
        population=population,
        names=tuple(kept),
        foreign=foreign,
        broken_foreign=broken,
        told=told | said,
    )


def _records(
    path: Path, names: Sequence[str], reading: Reading
) -> tuple[Records, dict[str, tuple[str, ...]]]:
    """Runs and steps as far as they can be known, and what is wrong with a table beside the files.

    Raises:
        InputError: A table or a pattern that was asked for does not fit.
    """
    said: dict[str, tuple[str, ...]] = {}
    try:
        described = described_records(names, with_table_beside(path, reading))
    except InputError as error:
        if reading.names_runs:
            raise
        described, said = None, {f"the table beside the files is left out: {error}": ()}
    try:
        return (described or records_by_name(names))[0], said
    except InputError:  # an audit asks for a pattern then; here only files are looked at
        return Records.of(names, split="unknown"), said


def _difference(usual: WeightLayout, other: WeightLayout) -> str:
    """The first difference between two architectures."""
    name, expected, got = first_difference(usual, other)
    if expected == "missing":
        return f"{name} is not in the others"
    return f"{name} is {got}" + (f", in the others {expected}" if got != "missing" else "")
