"""Checkpoints read file by file, so that what is wrong with some of them hides nothing else.

The other readers stop at the first fault, as an audit must; this one collects them, for `lint`.
Pickles that need code are refused here as everywhere.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from novelweights.errors import InputError
from novelweights.files import read_json, sha256_of
from novelweights.readers import PLAIN, open_source, recognized, require_there
from novelweights.readers.formats.checkpoint_files import CheckpointFiles
from novelweights.readers.formats.state_dicts import (
    chain_symmetry,
    layout_of_state,
    learned,
    told_fault,
)
from novelweights.readers.run_names import records_by_name
from novelweights.readers.source import Reading
from novelweights.readers.units import checkpoint_units
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, Records
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


def examine(path: Path, reading: Reading = PLAIN) -> Examined:
    """Everything that can be read at a path, with all faults.

    Raises:
        InputError: There are no checkpoints at all.
    """
    require_there(path)
    if path.is_dir() and is_population_folder(path):
        return _examine_population(path)
    if path.is_dir() and recognized(path) == "state-dicts":
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
    found = {}
    if isinstance(described.get("sha256"), dict):
        found |= described["sha256"]
    if isinstance(described.get("shards"), list):
        for shard in described["shards"]:
            if isinstance(shard, dict) and "file" in shard and "sha256" in shard:
                found[Path(str(shard["file"])).name] = shard["sha256"]
    return {str(name): str(digest) for name, digest in found.items()}


def _examine_state_dicts(path: Path, reading: Reading) -> Examined:
    units = checkpoint_units(path)
    files = CheckpointFiles(reading.max_bytes, reading.prefix)
    unsafe, damaged, dtypes = {}, {}, {}
    layouts: dict[frozenset, WeightLayout] = {}
    symmetries: dict[frozenset, NeuronSymmetry | None] = {}
    rows: dict[str, tuple[frozenset, Tensor]] = {}
    file_of = {unit.name: unit.file.relative_to(path).as_posix() for unit in units}
    for unit in units:
        name = file_of[unit.name]
        try:
            whole = files.state_of(unit)
            state = learned(whole)
            if not state:
                raise InputError("expected weights, got running statistics alone")
        except InputError as error:
            reason = told_fault(path, unit, error).removeprefix(f"{name}: ")
            (unsafe if "refused" in reason else damaged)[name] = reason
            continue
        layout = layout_of_state(state)
        key = frozenset(layout.shapes)
        layout = layouts.setdefault(key, layout)
        symmetries.setdefault(key, chain_symmetry(whole))
        rows[name] = (key, layout.flatten(state))
        for kind in {str(value.dtype).removeprefix("torch.") for value in state.values()}:
            dtypes[kind] = (*dtypes.get(kind, ()), name)
    others = tuple(sorted(p.name for p in path.iterdir() if p.suffix in NOT_READ))
    found = Examined(None, (), unsafe, damaged, dtypes=dtypes, passed_over=others)
    if not rows:
        return found
    usual = Counter(shapes for shapes, _ in rows.values()).most_common(1)[0][0]
    layout = layouts[usual]
    kept = [unit.name for unit in units if rows.get(file_of[unit.name], (None,))[0] == usual]
    foreign = {
        name: _difference(layout, layouts[shapes])
        for name, (shapes, _) in rows.items()
        if shapes != usual
    }
    try:
        records, _ = records_by_name(kept)
    except InputError:  # an audit asks for a pattern then; what is wrong with files is told here
        records = Records.of(kept, split="unknown")
    population = Population(
        torch.stack([rows[file_of[name]][1] for name in kept]),
        layout,
        records,
        PopulationInfo(recipe=f"folder of {len(units)} state dicts", symmetry=symmetries[usual]),
    )
    return Examined(
        population,
        tuple(file_of[name] for name in kept),
        unsafe,
        damaged,
        foreign,
        tuple(name for name in foreign if not rows[name][1].isfinite().all()),
        dtypes,
        others,
    )


def _difference(usual: WeightLayout, other: WeightLayout) -> str:
    """The first difference between two architectures."""
    mine, yours = dict(usual.shapes), dict(other.shapes)
    for name in {**mine, **yours}:
        if name not in yours:
            return f"{name} is missing"
        if name not in mine:
            return f"{name} is not in the others"
        if mine[name] != yours[name]:
            sizes = ["x".join(map(str, shape)) or "a scalar" for shape in (yours[name], mine[name])]
            return f"{name} is {sizes[0]}, in the others {sizes[1]}"
    raise ValueError("the two layouts name the same parameters")
