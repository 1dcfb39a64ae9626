"""Folders of state dicts as checkpoints, read without running anybody's code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.errors import InputError
from novelweights.readers.formats.checkpoint_files import CheckpointFiles
from novelweights.readers.run_names import records_by_name
from novelweights.readers.source import SHOWN_FAULTS, Reading, Source, told_faults
from novelweights.readers.units import SUFFIXES, Unit, checkpoint_units, folders_left_out
from novelweights.weights.chain import symmetry_of_layout
from novelweights.weights.layout import WeightLayout, is_statistic
from novelweights.weights.population import PopulationInfo, Records
from novelweights.weights.symmetry import NeuronSymmetry


@dataclass(frozen=True)
class StateDicts:
    """State dicts in a folder, a file (or several shards, or a folder) for each checkpoint."""

    summary: str = (
        "a .safetensors, .pt, .pth, .bin or .ckpt file per checkpoint, or a folder per model"
    )

    def recognizes(self, path: Path) -> bool:
        """Whether there are files that may be checkpoints."""
        if path.is_file():
            return path.suffix in SUFFIXES
        return path.is_dir() and bool(checkpoint_units(path))

    def open(self, path: Path, reading: Reading) -> Source:
        """The checkpoints of a folder, or the one in a file.

        The first readable one says which parameters there are; the others must agree. Integer
        buffers (such as num_batches_tracked) and statistics are left out. The symmetry is known
        where names and shapes are those of a plain chain of layers (`weights/chain.py`).

        Raises:
            InputError: There are none, or none of them can be read.
        """
        units = [Unit(path.stem, (path,))] if path.is_file() else checkpoint_units(path)
        if not units:
            raise InputError(f"{path}: expected .safetensors, .pt or .pth files, found none")
        names = [unit.name for unit in units]
        if reading.tells_runs:
            records, note = Records.of(names, split="unknown"), ""
        else:
            records, note = records_by_name(names)
        source = source_of_units(path, units, reading, records, note, format_name="state-dicts")
        left = folders_left_out(path, units) if path.is_dir() else []
        if not left:
            return source
        told = f"checkpoints in folders beside them are left out: {', '.join(left[:SHOWN_FAULTS])}"
        return replace(source, notes=(*source.notes, told))


def source_of_units(
    path: Path,
    units: Sequence[Unit],
    reading: Reading,
    records: Records,
    runs_note: str,
    *,
    format_name: str,
) -> Source:
    """Checkpoints in files, as a source, with what is known of their runs.

    Raises:
        InputError: None of them can be read.
    """
    files = CheckpointFiles(reading.max_bytes, reading.prefix)
    whole = _first_readable(path, units, files)
    layout = layout_of_state(learned(whole))
    buffers = {name: value for name, value in whole.items() if is_statistic(name)}

    def read(start: int, stop: int, faults: list[str]) -> Float[Tensor, "n d"]:
        block = torch.empty(stop - start, layout.size)
        for row, unit in enumerate(units[start:stop]):
            try:
                state = files.state_of(unit)
                layout.flatten_into(block[row], learned(state))
                if reading.chooses and reading.shared is None:
                    _require_same_buffers(buffers, state)
            except InputError as error:
                faults.append(told_fault(path, unit, error))
        return block

    n = len(units)
    return Source(
        format=format_name,
        path=path,
        names=tuple(unit.name for unit in units),
        layout=layout,
        records=records,
        read=read,
        info=PopulationInfo(recipe=f"folder of {n} state dicts", symmetry=chain_symmetry(whole)),
        buffers=buffers,
        notes=(f"{n} state dict{'s' if n > 1 else ''}",),
        runs_note=runs_note,
    )


def _first_readable(path: Path, units: Sequence[Unit], files: CheckpointFiles) -> dict[str, Tensor]:
    """The state of the first unit that can be read and holds weights."""
    faults: list[str] = []
    for unit in units:
        try:
            state = files.state_of(unit)
            if learned(state):
                return state
            raise InputError("expected weights, got running statistics alone; save the state dict")
        except InputError as error:
            faults.append(told_fault(path, unit, error))
    raise InputError(told_faults(path, faults, len(units)))


def layout_of_state(state: Mapping[str, Tensor]) -> WeightLayout:
    """The parameters of a state dict in its order."""
    return WeightLayout(tuple((name, tuple(value.shape)) for name, value in state.items()))


def learned(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict without the statistics of normalizations."""
    return {name: value for name, value in state.items() if not is_statistic(name)}


def chain_symmetry(state: Mapping[str, Tensor]) -> NeuronSymmetry | None:
    """The permutations of a state dict whose names and shapes are those of a plain chain."""
    found = symmetry_of_layout(layout_of_state(state))
    return None if isinstance(found, str) else found.only(learned(state))


def told_fault(path: Path, unit: Unit, error: InputError) -> str:
    """What is wrong with a checkpoint, beginning with its path below the folder."""
    name = unit.file.relative_to(path).as_posix() if path.is_dir() else unit.file.name
    return f"{name}: {str(error).removeprefix(f'{unit.file.name}: ')}"


def _require_same_buffers(first: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Refuse parts of networks whose rest is not one: their running statistics differ."""
    for name, value in first.items():
        if name in state and not torch.equal(value, state[name]):
            raise InputError(
                f"{name} differs from that of the first checkpoint; expected networks that differ "
                "in the chosen parameters alone: name the rest that they share with --shared"
            )
