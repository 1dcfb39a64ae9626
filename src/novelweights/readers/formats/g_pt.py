"""The zoo that G.pt was trained on: a folder per run, each an LMDB environment and `runs.json`.

A folder may hold several runs; its name then joins theirs with "_" and `runs.json` is keyed by run.
Runs come in the order of their folders' names, and the last 500 are the test split.

Source: the released checkpoints of G.pt (Peebles et al., 2022) and the code that wrote them.
"""

from dataclasses import dataclass
from itertools import islice
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
from novelweights.readers.source import Reading, Source, row_by_row
from novelweights.weights.chain import known_symmetry
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import PopulationInfo

PIXELS, CLASSES = 28 * 28, 10
MNIST_SIZES = (7840, 10, 100, 10)
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
            return path.is_dir() and any(
                (folder / FILE_NAME).is_file() and (folder / RUNS_FILE).is_file()
                for folder in (path, *islice(path.iterdir(), LOOKED_AT))
            )
        except OSError:
            return False

    def open(self, path: Path, reading: Reading) -> Source:
        """The checkpoints of all runs, each run in the order of its training.

        More than 500 runs are split as G.pt splits them; of fewer it is not known whether they
        were trained on, so their split is "unknown". The epoch and iteration in the key of a
        checkpoint make its optimizer step.

        Raises:
            InputError: A folder, its `runs.json` or its first checkpoint cannot be read.
        """
        listed = [entry for folder in _environments(path) for entry in listed_checkpoints(folder)]
        names = unique_names(path, listed)
        with LmdbFile(listed[0].folder) as database:
            layout, note = _layout(database, listed[0], reading)
        records, notes, runs_note = records_of(listed)

        def fill(row: int, weights: Float[Tensor, " d"]) -> None:
            with LmdbFile(listed[row].folder) as database:
                value = database.get(listed[row].key) or b""
            if len(value) != 4 * layout.size:
                raise InputError(
                    f"expected {4 * layout.size:,} bytes in {listed[row].folder}, as the first "
                    f"checkpoint has, got {len(value):,}; give checkpoints of one architecture",
                    "other-network" if value else "not-found",
                )
            weights.copy_(torch.from_numpy(np.frombuffer(value, dtype="<f4").astype(np.float32)))

        return Source(
            format="g-pt",
            path=path,
            names=names,
            layout=layout,
            records=records,
            read=row_by_row(names, layout.size, fill),
            info=PopulationInfo(
                recipe=f"G.pt zoo of {len(set(records.run)):,} runs",
                architecture=_architecture(layout),
                symmetry=known_symmetry(layout),
            ),
            notes=(*notes, note),
            runs_note=runs_note,
        )


def _environments(path: Path) -> list[Path]:
    """The folder itself or those in it that hold an LMDB environment, by name."""
    if (path / FILE_NAME).is_file():
        return [path]
    inside = sorted(path.iterdir()) if path.is_dir() else []
    folders = [p for p in inside if (p / FILE_NAME).is_file() and not p.name.startswith(".")]
    if not folders:
        raise InputError(
            f"{path}: expected folders with {FILE_NAME} and {RUNS_FILE} (G.pt's zoo), found none; "
            "give the folder that holds them",
            "not-found",
        )
    return folders


def _layout(database: LmdbFile, first: Listed, reading: Reading) -> tuple[WeightLayout, str]:
    """The parameters of the first checkpoint, and how they are known."""
    value = database.get(first.key) or b""
    if not value or len(value) % 4:
        raise InputError(
            f"{database.path}: expected float32 numbers for key {first.key.decode()!r}, got "
            f"{len(value):,} bytes; copy it again",
            "damaged",
        )
    size = len(value) // 4
    if layout := reading.layout_of(size):
        return layout
    sizes = _sizes(database, first, size) or (MNIST_SIZES if size == sum(MNIST_SIZES) else (size,))
    hidden = sizes[1] if len(sizes) == 4 else 0
    if sizes == (PIXELS * hidden, hidden, CLASSES * hidden, CLASSES):
        shapes = {
            "fc1.weight": (hidden, PIXELS),
            "fc1.bias": (hidden,),
            "fc2.weight": (CLASSES, hidden),
            "fc2.bias": (CLASSES,),
        }
        return WeightLayout(tuple(shapes.items())), "parameters of G.pt's MLP for MNIST (fc1, fc2)"
    return WeightLayout(tuple((f"param{i}", (n,)) for i, n in enumerate(sizes))), (
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
            "the parameters with --layout",
            "damaged",
        )
    return tuple(int(number) for number in numbers)


def _architecture(layout: WeightLayout) -> str | None:
    """G.pt's MLP for MNIST has rectified linear units."""
    is_mnist = dict(layout.shapes).get("fc1.weight") == (CLASSES, PIXELS)
    if layout.size != sum(MNIST_SIZES) or not is_mnist:
        return None
    return f"mlp-{PIXELS}-{CLASSES}-{CLASSES}-relu"
