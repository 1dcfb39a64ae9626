"""Checkpoints in whatever form they lie on disk, recognized by content, as one population.

Nothing that a file holds is run: `docs/reading.md` says what is read, and how.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from novelweights import plugins
from novelweights.errors import InputError, unknown_name
from novelweights.readers.formats.g_pt import GPtZoo
from novelweights.readers.formats.hyper_representations import HyperRepresentationsDataset
from novelweights.readers.formats.hyperdiffusion_folder import HyperDiffusionFolder
from novelweights.readers.formats.matrix import Matrix
from novelweights.readers.formats.other_kinds import first_of_other_kind
from novelweights.readers.formats.p_diff_data import PDiffData
from novelweights.readers.formats.p_diff_folder import PDiffFolder
from novelweights.readers.formats.state_dicts import StateDicts
from novelweights.readers.parts import part_of
from novelweights.readers.run_names import records_by_pattern, records_by_table
from novelweights.readers.source import Reader, Reading, Source
from novelweights.weights.population import Population, Records
from novelweights.weights.store import StoredPopulation, is_population_folder, open_population


@dataclass(frozen=True)
class PopulationFolder:
    """The format of our own."""

    summary: str = "a population folder, as `novelweights import` and `zoo build` write it"

    def recognizes(self, path: Path) -> bool:
        """Whether it is one, finished or not."""
        return path.is_dir() and (is_population_folder(path) or (path / "progress.json").exists())

    def open(self, path: Path, reading: Reading) -> Source:
        """Its checkpoints, with all that it says of them.

        Raises:
            InputError: Unfinished, damaged, or of another version.
        """
        stored = open_population(path)
        return Source(
            format="population",
            path=path,
            names=tuple(f"{row:05d}" for row in range(len(stored))),
            layout=stored.layout,
            records=stored.records,
            read=lambda start, stop, faults: stored.load(np.arange(start, stop)).weights,
            info=stored.info,
            shared=stored.shared,
        )


READERS: dict[str, Reader] = {
    "population": PopulationFolder(),
    "g-pt": GPtZoo(),
    "hyper-representations": HyperRepresentationsDataset(),
    "hyperdiffusion": HyperDiffusionFolder(),
    "p-diff": PDiffFolder(),
    "p-diff-data": PDiffData(),
    "matrix": Matrix(),
    "state-dicts": StateDicts(),
}
"""By name, in the order in which they are asked whether they know a path."""
OF_FILES = ("state-dicts", "p-diff", "hyperdiffusion")
USED_BY = {
    "layout": ("matrix", "state-dicts", "hyper-representations"),
    "prefix": OF_FILES,
    "key": OF_FILES,
}
"""Options of reading that some formats of ours have no use for, and those that have."""
AUTO = "auto"
RECORDS = "records.csv"
"""A table of runs and steps, where it lies beside the files that it names."""
UNKNOWN = "unknown"
"""The split of checkpoints of which none is known."""
PLAIN = Reading()
Say = Callable[[str], None]


def read_checkpoints(
    path: Path | str,
    *,
    split: str | None = None,
    reading: Reading = PLAIN,
    say: Say | None = None,
) -> Population:
    """The checkpoints at a path.

    Args:
        split: Of a population that holds this split among others, only its rows.
        say: Gets a line of what was recognized.

    Raises:
        InputError: Nothing is there, nothing is recognized, or a file is damaged.
    """
    return open_checkpoints(Path(path), reading=reading, say=say).of_split(split)


@dataclass(frozen=True, eq=False)
class OpenedCheckpoints:
    """Checkpoints at a path, described; their weights are read when they are asked for."""

    path: Path
    source: Source | StoredPopulation
    max_bytes: int
    say: Say | None = None
    """Gets a line of what is seen of them only then."""

    @property
    def n_heldout(self) -> int:
        """Held-out checkpoints that lie beside training ones; 0 if there are none."""
        split = self.source.records.split
        return int((split == "heldout").sum()) if (split == "train").any() else 0

    def of_split(self, split: str | None) -> Population:
        """Rows of this split, of checkpoints that hold it among others; else all.

        Raises:
            InputError: There are others only, or a file is damaged.
        """
        rows = rows_of_role(self.source.records.split, split, str(self.path))
        if isinstance(self.source, StoredPopulation):
            return self.source.load(rows)
        chosen = self.source if rows is None else selected(self.source, rows)
        loaded = chosen.load(self.max_bytes)
        if self.say is not None:
            for line in chosen.late_description():
                self.say(f"{self.path}: {line}")
        return loaded

    def identities(self, split: str | None) -> dict[tuple[int, int, str], str]:
        """What tells these checkpoints from all others on disk, and the name of each.

        Raises:
            InputError: There are others only.
        """
        rows = rows_of_role(self.source.records.split, split, str(self.path))
        picked = np.arange(len(self.source))[slice(None) if rows is None else rows]
        if isinstance(self.source, StoredPopulation):
            found = self.path.stat()
            return {(found.st_dev, found.st_ino, str(row)): f"row {row}" for row in picked}
        every = self.source.identities()
        return {every[row]: self.source.names[row] for row in picked}


def open_checkpoints(
    path: Path, *, reading: Reading = PLAIN, say: Say | None = None
) -> OpenedCheckpoints:
    """The checkpoints at a path, described; see `read_checkpoints`."""
    require_there(path)
    if path.is_dir() and is_population_folder(path) and reading.is_plain:
        # stays a memory map
        return OpenedCheckpoints(path, open_population(path), reading.max_bytes)
    source = open_source(path, reading=reading)
    if say is not None and source.description():
        say(f"{path}: {'; '.join(source.description())}")
    return OpenedCheckpoints(path, source, reading.max_bytes, say)


def open_source(path: Path, *, reading: Reading = PLAIN) -> Source:
    """The checkpoints at a path, described.

    Raises:
        InputError: Nothing is there, nothing is recognized, or they cannot be read so.
    """
    require_there(path)
    name = format_of(path, reading)
    if name == "state-dicts":
        reading = with_table_beside(path, reading)
    source = reader_named(name).open(path, reading)
    unused = [
        f"--{option} is not used for this format"
        for option, formats in USED_BY.items()
        if getattr(reading, option) and source.format in READERS and source.format not in formats
    ]
    source = replace(source, notes=(*source.notes, *unused))
    return part_of(_with_records(source, reading), reading)


def with_table_beside(path: Path, reading: Reading) -> Reading:
    """The same with the table of runs and steps beside the files, where nothing else names them."""
    if reading.names_runs or not (path / RECORDS).is_file():
        return reading
    return replace(reading, records=path / RECORDS)


def described_records(names: Sequence[str], reading: Reading) -> tuple[Records, str] | None:
    """Runs and steps by a table or a pattern, and a note of them; None where there is neither.

    Raises:
        InputError: There are both, or they do not fit the names.
    """
    if reading.pattern is not None and reading.records is not None:
        raise InputError("expected --pattern or --records, got both; leave one out", "wrong-option")
    if reading.records is not None:
        return records_by_table(reading.records, names)
    return None if reading.pattern is None else records_by_pattern(names, reading.pattern)


def format_of(path: Path, reading: Reading) -> str:
    """The format that is asked for, else the one that is recognized."""
    return recognized(path) if reading.format in (None, AUTO) else str(reading.format)


def require_there(path: Path) -> None:
    """Refuse a path that is neither a folder nor a file.

    Raises:
        InputError: Nothing is there, or a pipe or a device, or it cannot be a path at all.
    """
    try:
        if path.is_file() or path.is_dir():
            return
        what = "it is a pipe or a device" if path.exists() else "there is nothing of that name"
    except (OSError, ValueError) as error:  # links in a circle, a name that is too long
        what = f"it cannot be looked at ({error})"
    raise InputError(
        f"{path}: expected checkpoints, {what}; name the folder or file of them", "not-found"
    )


def reader_named(name: str) -> Reader:
    """The reader of a format, of ours or of an installed package.

    Raises:
        InputError: There is none, or it cannot be loaded.
    """
    if name in READERS:
        return READERS[name]
    added = plugins.installed(plugins.READERS, READERS)
    if name not in added:
        raise unknown_name("format", name, [AUTO, *READERS, *added])
    return added[name].made(Reader)


def recognized(path: Path) -> str:
    """The format of what is at a path; ours are asked first, then those of installed packages.

    Raises:
        InputError: No reader knows it.
    """
    for name, reader in READERS.items():
        if reader.recognizes(path):
            return name
    added = plugins.load_all(plugins.READERS, Reader, builtin=READERS)
    for name, reader in added.found.items():
        if reader.recognizes(path):
            return name
    inside = [path] if path.is_file() else sorted(path.iterdir())
    got = first_of_other_kind(inside)
    if got is None and path.is_file():
        got = "another file; name the folder that holds them"
    elif got is None:
        got = "other ones" if inside else "an empty folder"
        got += "; `novelweights ls readers` lists what is read"
    raise InputError(
        f"{path}: expected checkpoints (a population folder, a folder of files of torch, "
        "safetensors or numpy, or one such file), got " + "; ".join([got, *added.faults.values()]),
        "not-recognized",
    )


def selected(source: Source, rows: np.ndarray) -> Source:
    """Some checkpoints of a source: a mask or indices in rising order."""
    picked = np.arange(len(source))[rows]

    def read(start: int, stop: int, faults: list[str]) -> Float[Tensor, "n d"]:
        """Runs of rows that follow each other are read together."""
        rows = picked[start:stop]
        runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
        parts = [source.read(int(run[0]), int(run[-1]) + 1, faults) for run in runs]
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    return replace(
        source,
        names=tuple(source.names[row] for row in picked),
        records=source.records.select(picked),
        read=read,
        places=tuple(source.places[row] for row in picked) if source.places else (),
    )


def read_starts(path: Path, *, reading: Reading = PLAIN) -> Population:
    """Checkpoints for a conditional generator to begin from: the split start of a population.

    Raises:
        InputError: As `read_checkpoints`; or they are training checkpoints, of which any generator
            that changes little would make seeming copies.
    """
    starts = read_checkpoints(path, split="start", reading=reading)
    if "train" in starts.records.split:
        raise InputError(
            f"{path}: expected checkpoints to begin from that no generator was fitted to (split "
            "start), got training checkpoints; build a zoo with --start-runs",
            "wrong-records",
        )
    return starts


def rows_of_role(splits: np.ndarray, split: str | None, where: str) -> np.ndarray | None:
    """Rows of one role; None for all, where the checkpoints are of one role.

    Raises:
        InputError: They are of several, and none of this one.
    """
    if split is None:
        return None
    rows = splits == split
    if rows.any():
        return rows
    there = sorted(set(map(str, splits)))
    if len(there) > 1 or (split == "train" and there == ["heldout"]):
        raise InputError(
            f"{where}: expected {split} checkpoints, it holds {' and '.join(there)}; give what "
            "holds them",
            "not-found",
        )
    return None


def _with_records(source: Source, reading: Reading) -> Source:
    """The same with runs and steps by a table or a pattern, where there is one.

    Where these say no split, that of the format stays: held-out rows must not become others.
    """
    described = described_records(source.names, reading)
    if described is None:
        return source
    records, note = described
    split = np.where(records.split == UNKNOWN, source.records.split, records.split)
    return replace(source, records=replace(records, split=split), runs_note=note)
