"""Checkpoints of somebody's, described but not yet read: what every reader of a format returns.

A reader looks at names, headers and the first checkpoint only; the weights come block by block, so
that a population of any size can be copied in little memory. Nothing here or in a reader runs code
that a file brings along.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.errors import InputError, count, first_few
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, Records

MAX_BYTES = 4 << 30
"""What the files of one population may announce, unless more is allowed."""
MAX_LATE = 10
"""Notes of checkpoints that differ from the first."""
BLOCK_BYTES = 64 << 20
"""Weights that are read before they are handed on."""


@dataclass(frozen=True)
class Reading:
    """How somebody's checkpoints are to be read: the options of `import` and `audit`."""

    include: tuple[str, ...] = ()
    """Patterns (layer4.1.bn*) of the parameters that are the checkpoint; none: all."""
    exclude: tuple[str, ...] = ()
    """Patterns of parameters that are not."""
    prefix: str = ""
    """What is left off the beginning of parameter names, e.g. "model."."""
    key: str | None = None
    """Which network of a file is meant, where it holds several: its key, e.g. "ema"."""
    pattern: str | None = None
    """How file names hold runs and steps, e.g. "{run}_step{step}"."""
    records: Path | None = None
    """CSV with a row per file: file, run, step, split and scores."""
    layout: Path | None = None
    """CSV that says which parameters the columns of a matrix are."""
    columns: WeightLayout | None = None
    """The same, where there is no such file: say, those of the training checkpoints."""
    shared: Path | None = None
    """File with the rest of the network, where checkpoints hold parts of it."""
    max_bytes: int = MAX_BYTES
    """Files that announce more are refused."""
    as_factors: bool = False
    """Whether factors of low-rank adapters stay as they are: the network that multiplies them is
    known."""
    scaling: Any = None
    """What products of such factors are multiplied with, where no configuration tells it: a
    `Scaling`, that of the training checkpoints."""
    format: str | None = None
    """Name of a reader, for what is no population folder; None or "auto": whichever knows it."""

    @property
    def is_plain(self) -> bool:
        """Whether nothing is asked for that changes how a population of ours is read."""
        plain = replace(self, columns=None, max_bytes=MAX_BYTES, format=None)
        return replace(plain, as_factors=False, scaling=None) == Reading()

    @property
    def names_runs(self) -> bool:
        """Whether runs and steps are described beside the checkpoints."""
        return self.pattern is not None or self.records is not None

    @property
    def chooses(self) -> bool:
        """Whether only some parameters are taken."""
        return bool(self.include or self.exclude)

    def takes(self, parameter: str) -> bool:
        """Whether a parameter is a part of the checkpoint."""
        is_included = not self.include or any(fnmatchcase(parameter, p) for p in self.include)
        return is_included and not any(fnmatchcase(parameter, p) for p in self.exclude)

    def layout_of(self, size: int) -> tuple[WeightLayout, str] | None:
        """The layout that the user gave for vectors of `size` weights, if any, and a note of it.

        Raises:
            InputError: It cannot be read, or has another number of weights.
        """
        if self.layout is None:
            return None
        layout = WeightLayout.read(self.layout)
        if layout.size != size:
            raise InputError(
                f"{self.layout}: expected a layout of {size:,} weights, as the checkpoints have, "
                f"got one of {layout.size:,}; give the layout of this network",
                "other-network",
            )
        return layout, f"columns by {self.layout.name}"


@dataclass(frozen=True, eq=False)
class Source:
    """n checkpoints at a path: what is known of them before their weights are read."""

    format: str
    """Key in `READERS`."""
    path: Path
    names: tuple[str, ...]
    """File, key or row number of each checkpoint, for messages; unique."""
    layout: WeightLayout
    """Parameters of a checkpoint, by the first one."""
    records: Records
    read: Callable[[int, int, list[str]], Float[Tensor, "n d"]]
    """Rows [start, stop) as float32. What is wrong with one is added to the list, beginning with
    its name, and its row is left as it is: whoever asks must not use the block then."""
    info: PopulationInfo = field(default_factory=PopulationInfo)
    shared: Mapping[str, Tensor] | None = None
    """The rest of the network, where the format keeps it."""
    places: tuple[tuple[Path, str], ...] = ()
    """The file of each checkpoint, and which it is in there; empty where they have no files of
    their own."""
    notes: tuple[str, ...] = ()
    """What was recognized and chosen, a few words each, for people."""
    runs_note: str = ""
    """How runs and steps are known, likewise."""
    late_notes: dict[str, int] = field(default_factory=dict)
    """What was chosen in checkpoints that were read and not in the first, and in how many."""
    scaling: Any = None
    """What products of low-rank factors were multiplied with, if that is the same for all."""

    def __len__(self) -> int:
        return len(self.names)

    def blocks(self, start: int = 0) -> Iterator[tuple[int, Float[Tensor, "n d"]]]:
        """The first row and the weights of each block, in order.

        After a fault no more blocks come, but all rows are looked at.

        Raises:
            InputError: At the end, if there were faults; the first few are named.
        """
        n_rows = max(1, BLOCK_BYTES // (4 * self.layout.size))
        faults: list[str] = []
        for row in range(start, len(self), n_rows):
            block = self.read(row, min(row + n_rows, len(self)), faults)
            if not faults:
                yield row, block
        if faults:
            raise refusal_of(faults, len(self), self.path)

    def load(self, max_bytes: int = MAX_BYTES) -> Population:
        """All checkpoints in memory.

        Raises:
            InputError: As `blocks`; or they would take more than `max_bytes`.
        """
        size = 4 * len(self) * self.layout.size
        if size > max_bytes:
            raise InputError(
                f"{self.path}: expected at most {max_bytes:,} bytes of weights in memory, "
                f"{len(self):,} checkpoints of {self.layout.size:,} weights take {size:,}; "
                "`novelweights import` makes a population folder of them, which is not read into "
                "memory, or allow it with --max-bytes",
                "too-large",
            )
        weights = torch.empty(len(self), self.layout.size)
        for row, block in self.blocks():
            weights[row : row + len(block)] = block
        return Population(weights, self.layout, self.records, self.info, self.shared)

    def late_description(self) -> list[str]:
        """What is told of checkpoints only once they are read: where they differ from the first."""
        lines = [f"{note} (in {count(n, 'other file')})" for note, n in self.late_notes.items()]
        return [first_few(lines, "; ", shown=MAX_LATE)] if lines else []

    def identities(self) -> list[tuple[int, int, str]]:
        """What tells each checkpoint from every other on disk, by whatever path it was reached."""
        places = self.places or [(self.path, name) for name in self.names]
        known: dict[Path, tuple[int, int]] = {}
        for file, _ in places:
            if file not in known:
                found = file.stat()
                known[file] = found.st_dev, found.st_ino
        return [(*known[file], key) for file, key in places]

    def description(self) -> list[str]:
        """How they were read: all notes."""
        return [note for note in (*self.notes, self.runs_note) if note]


@runtime_checkable
class Reader(Protocol):
    """Reads checkpoints of one format; an entry point of `novelweights.readers` names one."""

    @property
    def summary(self) -> str:
        """What it reads, for `novelweights ls readers`."""
        ...

    def recognizes(self, path: Path) -> bool:
        """Whether a path holds this format, by its content; never raises for a path that exists."""
        ...

    def open(self, path: Path, reading: Reading) -> Source:
        """The checkpoints there.

        Raises:
            InputError: They cannot be read so; nothing of them was run.
        """
        ...


class Fault(str):
    """What is wrong with a checkpoint, beginning with its name, and the code of the refusal."""

    code: str

    def __new__(cls, name: str, error: InputError) -> "Fault":
        made = super().__new__(cls, f"{name}: {error}")
        made.code = error.code
        return made


def row_by_row(
    names: Sequence[str], size: int, fill: Callable[[int, Float[Tensor, " d"]], None]
) -> Callable[[int, int, list[str]], Float[Tensor, "n d"]]:
    """What reads rows [start, stop), given what writes one into a vector or raises InputError."""

    def read(start: int, stop: int, faults: list[str]) -> Float[Tensor, "n d"]:
        block = torch.zeros(stop - start, size)
        for row in range(start, stop):
            try:
                fill(row, block[row - start])
            except InputError as error:
                faults.append(Fault(names[row], error))
        return block

    return read


def refusal_of(faults: Sequence[str], n: int, path: Path) -> InputError:
    """What is wrong with some of n checkpoints: how many, and the first few; the first's code."""
    code = faults[0].code if isinstance(faults[0], Fault) else "damaged"
    return InputError(f"{path}: {len(faults)} of {n} checkpoints: {first_few(faults, '; ')}", code)


def as_percent(accuracies: Sequence[float]) -> tuple[np.ndarray, str]:
    """Accuracies of a population in percent, and the unit they came in, for people.

    They are shares where none is above 1.

    Raises:
        InputError: They can be neither.
    """
    values = np.asarray(accuracies, dtype=np.float64)
    known = values[~np.isnan(values)]
    if len(known) and not (known.min() >= 0 and known.max() <= 100):
        raise InputError(
            f"expected accuracies from 0 to 1, or in percent, got {known.min():g} to "
            f"{known.max():g}; correct or leave them out",
            "wrong-records",
        )
    if len(known) and known.max() > 1:
        return values, "in percent"
    return 100 * values, "from 0 to 1"
