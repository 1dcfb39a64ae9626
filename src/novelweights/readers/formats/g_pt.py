"""The zoo that G.pt was trained on: a folder per run, each an LMDB environment and `runs.json`.

A folder may hold several runs; its name then joins theirs with "_" and `runs.json` is keyed by run.
Runs come in the order of their folders' names, and the last 500 are the test split.

Source: the released checkpoints of G.pt (Peebles et al., 2022) and the code that wrote them.
"""

from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.errors import InputError
from novelweights.readers.formats.g_pt_runs import (
    RUNS_FILE,
    Listed,
    listed_checkpoints,
    records_of,
    unique_names,
)
from novelweights.readers.formats.lmdb_file import FILE_NAME, LmdbFile
from novelweights.readers.given_layout import layout_from
from novelweights.readers.source import Reading, Source
from novelweights.weights.chain import symmetry_of_layout
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import PopulationInfo

PIXELS, CLASSES = 28 * 28, 10
MNIST_WEIGHTS = 7960
ARCHITECTURE = b"_arch"
"""Ends the key of the parameters' sizes."""
LOOKED_AT = 100
"""Entries of a folder that are looked at to recognize a zoo."""


@dataclass(frozen=True)
class GPtZoo:
    """Reads G.pt's zoos."""

    summary: str = "G.pt's zoo: folders with an LMDB environment and runs.json"

    def recognizes(self, path: Path) -> bool:
        """Whether the folder, or one of the first in it, holds `data.mdb` and `runs.json`."""
        try:
            if not path.is_dir():
                return False
            return _is_environment(path) or any(
                map(_is_environment, islice(path.iterdir(), LOOKED_AT))
            )
        except OSError:
            return False

    def open(self, path: Path, reading: Reading) -> Source:
        """The checkpoints of all runs, each run in the order of its training.

        More than 500 runs are split as G.pt splits them; of fewer it is not known whether they
        were trained on, so their split is "unknown". The optimizer step of a checkpoint is told
        by the epoch and iteration in its key.

        Raises:
            InputError: A folder, its `runs.json` or its first checkpoint cannot be read.
        """
        found = [entry for folder in _environments(path) for entry in listed_checkpoints(folder)]
        names = unique_names(path, found)
        first = found[0]
        with LmdbFile(first.folder) as database:
            layout, note = _layout(database, first, reading, path)
        symmetry = symmetry_of_layout(layout)

        def read(start: int, stop: int, faults: list[str]) -> Float[Tensor, "n d"]:
            return _read(found[start:stop], layout.size, faults)

        records, notes, runs_note = records_of(found)
        return Source(
            format="g-pt",
            path=path,
            names=names,
            layout=layout,
            records=records,
            read=read,
            info=PopulationInfo(
                recipe=f"G.pt zoo of {len(set(records.run)):,} runs",
                architecture=_architecture(layout),
                symmetry=None if isinstance(symmetry, str) else symmetry,
            ),
            notes=(*notes, note),
            runs_note=runs_note,
        )


def _is_environment(folder: Path) -> bool:
    return (folder / FILE_NAME).is_file() and (folder / RUNS_FILE).is_file()


def _environments(path: Path) -> list[Path]:
    """The folder itself or those in it that hold an LMDB environment, by name."""
    if (path / FILE_NAME).is_file():
        return [path]
    inside = sorted(path.iterdir()) if path.is_dir() else []
    folders = [p for p in inside if (p / FILE_NAME).is_file() and not p.name.startswith(".")]
    if not folders:
        raise InputError(
            f"{path}: expected folders with {FILE_NAME} and {RUNS_FILE} (G.pt's zoo), found none; "
            "give the folder that holds them"
        )
    return folders


def _layout(
    database: LmdbFile, first: Listed, reading: Reading, path: Path
) -> tuple[WeightLayout, str]:
    """The parameters of the first checkpoint, and how they are known."""
    value = database.get(first.key)
    if value is None or not value or len(value) % 4:
        got = "nothing" if not value else f"{len(value):,} bytes"
        raise InputError(
            f"{database.path}: expected float32 numbers for key {first.key.decode()!r}, got "
            f"{got}; copy it again"
        )
    size = len(value) // 4
    if reading.layout is not None:
        return layout_from(reading.layout, size, path), f"columns by {reading.layout.name}"
    sizes = _sizes(database, first, size)
    mnist = _mnist(sizes or ((7840, 10, 100, 10) if size == MNIST_WEIGHTS else ()))
    if mnist is not None:
        return mnist, "parameters of G.pt's MLP for MNIST (fc1, fc2)"
    if not sizes:
        sizes = (size,)
    flat = WeightLayout(tuple((f"param{i}", (count,)) for i, count in enumerate(sizes)))
    return flat, (
        f"names and shapes of {len(sizes)} parameters are not in the files, so no symmetry is "
        "known: give them with --layout"
    )


def _sizes(database: LmdbFile, first: Listed, size: int) -> tuple[int, ...]:
    """Sizes of the parameters by the companion entry; empty if there is none."""
    value = database.get(first.key + ARCHITECTURE)
    if value is None:
        return ()
    numbers = np.frombuffer(value[: len(value) // 4 * 4], dtype="<f4").astype(np.float64)
    fits = len(value) % 4 == 0 and bool((numbers >= 1).all()) and float(numbers.sum()) == size
    if not fits or (numbers != np.floor(numbers)).any():
        raise InputError(
            f"{database.path}: expected sizes of parameters that sum to {size:,} for key "
            f"{(first.key + ARCHITECTURE).decode()!r}, got {len(value):,} bytes that do not; give "
            "the parameters with --layout"
        )
    return tuple(int(number) for number in numbers)


def _mnist(sizes: tuple[int, ...]) -> WeightLayout | None:
    """The layout of an MLP for MNIST with one hidden layer, where sizes are those of one."""
    hidden = sizes[1] if len(sizes) == 4 else 0
    if sizes != (PIXELS * hidden, hidden, CLASSES * hidden, CLASSES):
        return None
    return WeightLayout(
        (
            ("fc1.weight", (hidden, PIXELS)),
            ("fc1.bias", (hidden,)),
            ("fc2.weight", (CLASSES, hidden)),
            ("fc2.bias", (CLASSES,)),
        )
    )


def _architecture(layout: WeightLayout) -> str | None:
    """G.pt's MLP for MNIST has rectified linear units."""
    shapes = dict(layout.shapes)
    if layout.size != MNIST_WEIGHTS or shapes.get("fc1.weight") != (CLASSES, PIXELS):
        return None
    return f"mlp-{PIXELS}-{CLASSES}-{CLASSES}-relu"


def _read(entries: list[Listed], size: int, faults: list[str]) -> Float[Tensor, "n d"]:
    """The weights of some checkpoints; each environment is opened once."""
    weights = torch.zeros(len(entries), size)
    for folder, group in groupby(range(len(entries)), key=lambda row: entries[row].folder):
        rows = list(group)
        try:
            with LmdbFile(folder) as database:
                for row in rows:
                    _read_row(database, entries[row], weights[row], faults)
        except InputError as error:
            faults.append(f"{entries[rows[0]].name}: {error}")
    return weights


def _read_row(
    database: LmdbFile, entry: Listed, row: Float[Tensor, " d"], faults: list[str]
) -> None:
    try:
        value = database.get(entry.key)
    except InputError as error:
        faults.append(f"{entry.name}: {error}")
        return
    if value is None:
        faults.append(
            f"{entry.name}: expected in {database.path}, it is not there; copy the folder again"
        )
    elif len(value) != 4 * len(row):
        faults.append(
            f"{entry.name}: expected {4 * len(row):,} bytes, as the first checkpoint has, got "
            f"{len(value):,}; give checkpoints of one architecture"
        )
    else:
        row.copy_(torch.from_numpy(np.frombuffer(value, dtype="<f4").astype(np.float32)))
