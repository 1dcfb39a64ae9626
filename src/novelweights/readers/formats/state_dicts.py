"""Folders of state dicts as checkpoints, read without running anybody's code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from novelweights.errors import InputError, count, first_few, naming
from novelweights.readers.formats.adapters import (
    Adapters,
    shapes_of_products,
    symmetry_of_adapters,
)
from novelweights.readers.formats.checkpoint_files import CheckpointFiles
from novelweights.readers.formats.columns import columns_of
from novelweights.readers.last_and_best import settled
from novelweights.readers.run_names import records_by_name
from novelweights.readers.source import Fault, Reading, Source, refusal_of, row_by_row
from novelweights.readers.trial_scores import with_trial_scores
from novelweights.readers.units import (
    Unit,
    arrays_left_out,
    checkpoint_units,
    folders_left_out,
    is_checkpoint_file,
    stem,
)
from novelweights.weights.chain import known_symmetry
from novelweights.weights.layout import WeightLayout, is_statistic, without_counts
from novelweights.weights.population import PopulationInfo, Records
from novelweights.weights.symmetry import NeuronSymmetry


@dataclass(frozen=True)
class StateDicts:
    """State dicts in a folder, a file (or several shards, or a folder) for each checkpoint."""

    summary: str = (
        "a file of torch, safetensors or numpy per checkpoint, whatever its ending; a folder per "
        "model; or many checkpoints in a file"
    )

    def recognizes(self, path: Path) -> bool:
        """Whether there are files that may be checkpoints."""
        if path.is_file():
            return is_checkpoint_file(path)
        return path.is_dir() and bool(checkpoint_units(path))

    def open(self, path: Path, reading: Reading) -> Source:
        """The checkpoints of a folder, or those in a file.

        The first readable one says which parameters there are; the others must agree. Running
        statistics are kept with them, counts of batches and integer buffers are not. The symmetry
        is known where names and shapes are those of a plain chain of layers (`weights/chain.py`).

        Raises:
            InputError: There are none, or none of them can be read.
        """
        units = units_at(path)
        if not units:
            raise InputError(
                f"{path}: expected .safetensors, .pt or .pth files, found none; name the folder "
                "that holds them",
                "not-found",
            )
        files, layout_notes = files_for(path, reading)
        units = expanded(path, units, files)
        found: list[str] = []
        if reading.names_runs:
            records, note = Records.of([unit.name for unit in units], split="unknown"), ""
        else:
            units, found = settled(units, files.state_of)
            with naming(path):
                records, note = records_by_name([unit.name for unit in units])
            records, scored = with_trial_scores(path, records, reading.max_bytes)
            found += scored
        source = source_of_units(
            path, units, reading, records, note, format_name="state-dicts", files=files
        )
        notes = (*source.notes, *layout_notes, *found, *_left_out(path, units))
        return replace(source, notes=notes)


def units_at(path: Path) -> list[Unit]:
    """The checkpoint files of a folder, or the one file."""
    return [Unit(stem(path.name), (path,))] if path.is_file() else checkpoint_units(path)


def files_for(path: Path, reading: Reading) -> tuple[CheckpointFiles, list[str]]:
    """What reads the files of a path; and notes, of which some come while it reads."""
    notes: list[str] = []
    if reading.layout is not None:
        notes.append(f"--layout {reading.layout} is not used: the parameters have names")
    known: dict[int, WeightLayout] = {}

    def columns(n: int) -> WeightLayout:
        if n not in known:
            folder = path if path.is_dir() else path.parent
            known[n], note = columns_of(folder, reading, n)
            notes[:] = [note]
        return known[n]

    return CheckpointFiles(reading.max_bytes, reading.prefix, reading.key, columns), notes


def expanded(path: Path, units: list[Unit], files: CheckpointFiles) -> list[Unit]:
    """A unit for each checkpoint, where files hold many; by the first file that can be read."""
    for unit in units:
        try:
            is_several = unit.index is None and files.held(unit.file).is_several
        except InputError:
            continue
        if not is_several:
            return units
        break
    made = []
    for unit in units:
        try:
            keys = list(files.held(unit.file).networks)
        except InputError:
            keys = [""]  # what is wrong with it is said when it is read
        before = f"{unit.name}/" if len(units) > 1 else ""
        made += [replace(unit, name=f"{before}{key}", key=key) if key else unit for key in keys]
    return made


def _left_out(path: Path, units: Sequence[Unit]) -> list[str]:
    """Notes of what lies beside the checkpoints and is not read."""
    if not path.is_dir():
        return []
    notes = []
    if left := folders_left_out(path, units):
        notes.append(f"checkpoints in folders beside them are left out: {first_few(left)}")
    if left := arrays_left_out(path, units):
        notes.append(f"files of arrays beside them are left out: {first_few(left)}")
    return notes


def source_of_units(
    path: Path,
    units: Sequence[Unit],
    reading: Reading,
    records: Records,
    runs_note: str,
    *,
    format_name: str,
    files: CheckpointFiles | None = None,
) -> Source:
    """Checkpoints in files, as a source, with what is known of their runs.

    Args:
        files: What reads them; None: as `reading` says.

    Raises:
        InputError: None of them can be read.
    """
    files = files or CheckpointFiles(reading.max_bytes, reading.prefix, reading.key)
    whole, told = _first_readable(path, units, files)
    with naming(path):
        adapters = Adapters.of(units, whole, reading)
    if adapters is not None:
        whole = shapes_of_products(whole)
    layout = layout_of_state(whole)

    late: dict[str, int] = {}

    def fill(row: int, weights: Float[Tensor, " d"]) -> None:
        state, said = files.state_and_told(units[row])
        for note in said if said != told else ():
            if note not in told:
                late[note] = late.get(note, 0) + 1
        if adapters is not None:
            state = adapters.products(state, units[row])
        layout.flatten_into(weights, without_counts(state))

    return Source(
        format=format_name,
        path=path,
        names=tuple(unit.name for unit in units),
        layout=layout,
        records=records,
        read=row_by_row([unit.place_in(path) for unit in units], layout.size, fill),
        info=PopulationInfo(
            recipe=f"folder of {len(units)} state dicts",
            symmetry=chain_symmetry(whole) if adapters is None else symmetry_of_adapters(whole),
        ),
        places=tuple((unit.file, unit.key) for unit in units),
        notes=(
            count(len(units), "state dict"),
            *told,
            *(() if adapters is None else adapters.notes),
        ),
        runs_note=runs_note,
        late_notes=late,
        scaling=None if adapters is None else adapters.common,
    )


def _first_readable(
    path: Path, units: Sequence[Unit], files: CheckpointFiles
) -> tuple[dict[str, Tensor], list[str]]:
    """The state of the first unit that can be read and holds weights; see `readable_state`."""
    faults: list[str] = []
    for unit in units:
        try:
            return readable_state(files, unit)
        except InputError as error:
            faults.append(Fault(unit.place_in(path), error))
    raise refusal_of(faults, len(units), path)


def readable_state(files: CheckpointFiles, unit: Unit) -> tuple[dict[str, Tensor], list[str]]:
    """The floating-point tensors of a checkpoint but counts, some of which were learned, and what
    is told.

    Raises:
        InputError: There are none, or a file cannot be read.
    """
    state, told = files.state_and_told(unit)
    state = without_counts(state)
    if not learned(state):
        raise InputError(
            "expected weights, got running statistics alone; save the state dict", "wrong-content"
        )
    return state, told


def layout_of_state(state: Mapping[str, Tensor]) -> WeightLayout:
    """The parameters of a state dict in its order."""
    return WeightLayout(tuple((name, tuple(value.shape)) for name, value in state.items()))


def learned(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict without the statistics of normalizations."""
    return {name: value for name, value in state.items() if not is_statistic(name)}


def chain_symmetry(state: Mapping[str, Tensor]) -> NeuronSymmetry | None:
    """The permutations of a state dict whose names and shapes are those of a plain chain."""
    return known_symmetry(layout_of_state(state))
