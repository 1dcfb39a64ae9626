"""What is wrong inside single checkpoints, and which of them differ from all others.

The parts of `lint` that need no distances between checkpoints. Source: ours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import numpy as np
import torch
from torch import Tensor

from novelweights.errors import count
from novelweights.weights.population import Population, Records, last_of_each_run

SHOWN = 5
"""Names per finding."""
OUTLIER = 6.0
"""Robust z beyond which a norm or score is of another recipe: 2e-9 of a normal distribution."""
MIN_FOR_OUTLIERS = 8
LEAST_SPREAD = 1e-3
"""Values that agree more closely than to this share are taken to spread so much."""


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    """An audit would refuse these checkpoints, or be wrong about them."""
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, where, and what to do."""

    code: str
    """One of `WARNINGS`."""
    severity: Severity
    what: str
    remedy: str = ""
    count: int = 0
    """Checkpoints (or files, pairs, groups) concerned."""
    examples: tuple[str, ...] = ()
    """The first of them."""


@dataclass(frozen=True, eq=False)
class Named:
    """A population with a name for every row: its file, or its row and run."""

    population: Population
    names: tuple[str, ...]

    @classmethod
    def rows_of(cls, population: Population) -> "Named":
        """Rows named by number and run."""
        runs = population.records.run
        return cls(population, tuple(f"row {row} (run {run})" for row, run in enumerate(runs)))

    def __len__(self) -> int:
        return len(self.names)

    def select(self, rows: np.ndarray) -> "Named":
        """Some rows."""
        return Named(self.population.select(rows), tuple(self.of(rows)))

    def of(self, rows: np.ndarray) -> list[str]:
        """The names of some rows."""
        return [self.names[row] for row in rows.tolist()]


def finding(
    severity: Severity, code: str, what: str, names: Sequence[str] = (), remedy: str = ""
) -> Finding:
    """A finding with its first few names."""
    return Finding(code, severity, what, remedy, len(names), tuple(names[:SHOWN]))


error, warning, note = (partial(finding, severity) for severity in Severity)


def check_rows(named: Named) -> Iterator[Finding]:
    """Weights that are not finite, constant or dead, and outliers in norm and scores."""
    population = named.population
    finite, low, high, norms = scan(population.weights)
    bad = np.flatnonzero(~finite)
    if len(bad):
        yield error(
            "not-finite-weights",
            f"{count(len(bad), 'checkpoint')} with NaN or infinite weights",
            named.of(bad),
            "remove them, or find out why their training diverged",
        )
    constant = finite & (low == high) & (population.layout.size > 1)
    for value, mask in (("zeros", constant & (low == 0)), ("one value", constant & (low != 0))):
        rows = np.flatnonzero(mask)
        if len(rows):
            yield error(
                "constant-weights",
                f"{count(len(rows), 'checkpoint')} with nothing but {value}",
                named.of(rows),
                "remove them: never trained, or saved before the weights were loaded",
            )
    good = np.flatnonzero(finite & ~constant)
    yield from _flat_parameters(named, good)
    yield from _dead_units(named, good)
    last = trained_rows(population.records)
    last = last[np.isin(last, good)]
    yield from _outliers("norm", norms, named, last, "outlying-norm")
    for score, values in population.records.scores.items():
        known = last[np.isfinite(values[last])]
        yield from _outliers(score, values, named, known, "outlying-score")


def trained_rows(records: Records) -> np.ndarray:
    """The last checkpoint of each run; initializations to begin sampling from have no run.

    Where there are only such, all of them.
    """
    last = last_of_each_run(records)
    trained = last[records.split[last] != "start"]
    return trained if len(trained) else last


def scan(weights: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Per checkpoint: finite, smallest and largest weight, norm. In blocks of a memory map."""
    parts = []
    for block in weights.split(4096):
        finite = block.isfinite().all(dim=1)
        safe = block.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        parts.append((finite, safe.amin(1), safe.amax(1), safe.double().norm(dim=1)))
    finite, low, high, norms = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
    return finite, low, high, norms


def _flat_parameters(named: Named, rows: np.ndarray) -> Iterator[Finding]:
    """Weight matrices and kernels that are constant; biases may well be zero."""
    layout = named.population.layout
    state = layout.unflatten(named.population.weights[torch.from_numpy(rows)])
    for name, shape in layout.shapes:
        if len(shape) < 2 or int(np.prod(shape)) < 2 or not len(rows):
            continue
        flat = state[name].reshape(len(rows), -1)
        constant = rows[(flat.amin(1) == flat.amax(1)).numpy()]
        if len(constant):
            yield warning(
                "constant-parameter",
                f"{name} is constant in {count(len(constant), 'checkpoint')}",
                named.of(constant),
                "was this layer trained? One that is the same everywhere adds nothing to a "
                "distance",
            )


def _dead_units(named: Named, rows: np.ndarray) -> Iterator[Finding]:
    """Hidden units whose incoming or outgoing weights are all zero."""
    population = named.population
    symmetry = population.info.symmetry
    if symmetry is None:
        text = "dead units were not looked for: which weights belong to one neuron is not known"
        yield note("unknown-dead-units", text)
        return
    state = population.layout.unflatten(population.weights[torch.from_numpy(rows)])
    for group, neurons in sorted(symmetry.sizes(population.layout).items()):
        silent = []
        for incoming in (True, False):  # rows of a matrix come in, columns go out
            zero = [
                (state[name].narrow(axis + 1, start, part.entries) == 0)
                .movedim(axis + 1, 1)
                .reshape(len(rows), neurons, -1)
                .all(dim=2)  # (n, neurons)
                for name, shape in population.layout.shapes
                for axis in range(len(shape) if len(shape) > 1 else 0)
                if (axis == 0) == incoming
                for start, part in symmetry.places_of(group, name, axis, shape)
            ]
            if zero:
                silent.append(torch.stack(zero).all(dim=0))
        if not silent:
            continue
        dead = torch.stack(silent).any(dim=0).sum(dim=1).numpy()
        units = np.flatnonzero(dead)
        if len(units):
            yield warning(
                "dead-units",
                f"{count(int(dead.sum()), 'dead unit')} of {group} (no incoming or no outgoing "
                f"weights) in {count(len(units), 'checkpoint')}",
                [f"{named.names[rows[i]]}: {dead[i]}" for i in units],
                "their other weights mean nothing, yet count in every distance (units that never "
                "fire on real inputs are not looked for)",
            )


def _outliers(
    what: str, values: np.ndarray, named: Named, rows: np.ndarray, code: str
) -> Iterator[Finding]:
    """Values far outside the others', by median and median deviation.

    Of logarithms where all are positive: norms and losses of honest runs are skewed. Scores still
    have such tails in honest zoos, so they are worth a note only.
    """
    if len(rows) < MIN_FOR_OUTLIERS:
        return
    seen = values[rows].astype(np.float64)
    scaled = np.log(seen) if seen.min() > 0 else seen
    middle = float(np.median(scaled))
    off = np.abs(scaled - middle)
    floor = LEAST_SPREAD if seen.min() > 0 else LEAST_SPREAD * abs(middle)
    far = off > OUTLIER * max(1.4826 * float(np.median(off)), floor)
    if far.any():
        yield (warning if code == "outlying-norm" else note)(
            code,
            f"{count(int(far.sum()), 'checkpoint')} far outside the others in {what} "
            f"(median {np.median(seen):.4g})",
            [f"{named.names[row]}: {values[row]:.4g}" for row in rows[far]],
            "another recipe, or training that failed? All runs of an audit must share one recipe",
        )
