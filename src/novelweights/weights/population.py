"""A population of checkpoints: weight vectors, the layout that gives them meaning, one record each.

This is what travels between the stages. A population in memory is here; the folder it is stored
in is `weights/store.py`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.errors import InputError, first_few
from novelweights.weights.layout import WeightLayout
from novelweights.weights.provenance import Provenance
from novelweights.weights.symmetry import NeuronSymmetry


@dataclass(frozen=True)
class CheckpointRecord:
    """Where one checkpoint comes from."""

    run: str
    """Checkpoints of one training run share it."""
    split: str
    """train, heldout, start, generated, ..."""
    step: int
    """Optimizer steps taken."""
    scores: Mapping[str, float]
    """Known at saving, e.g. test_accuracy."""


@dataclass(frozen=True, eq=False)
class Records:
    """The records of n checkpoints as columns; `records[i]` is one row's view."""

    run: np.ndarray
    split: np.ndarray
    step: np.ndarray
    scores: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {len(self.run), len(self.split), len(self.step)}
        lengths |= {len(column) for column in self.scores.values()}
        if len(lengths) != 1:
            raise ValueError(f"columns of records have different lengths: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.run)

    def __getitem__(self, row: int) -> CheckpointRecord:
        return CheckpointRecord(
            run=str(self.run[row]),
            split=str(self.split[row]),
            step=int(self.step[row]),
            scores={name: float(column[row]) for name, column in self.scores.items()},
        )

    def select(self, rows: np.ndarray | slice) -> "Records":
        """The records of some rows: indices, a mask or a slice."""
        scores = {name: column[rows] for name, column in self.scores.items()}
        return Records(self.run[rows], self.split[rows], self.step[rows], scores)

    @classmethod
    def of(
        cls,
        runs: Sequence[str],
        *,
        split: str,
        step: int | Sequence[int] = 0,
        scores: Mapping[str, Sequence[float]] | None = None,
    ) -> "Records":
        """Records for checkpoints of one split."""
        n = len(runs)
        return cls(
            run=np.array(runs, dtype=object),
            split=np.array([split] * n, dtype=object),
            step=np.broadcast_to(np.asarray(step, dtype=np.int64), n).copy(),
            scores={k: np.asarray(v, dtype=np.float64) for k, v in (scores or {}).items()},
        )

    @classmethod
    def join(cls, parts: Sequence["Records"]) -> "Records":
        """Rows of all parts in order; a score that a part lacks is NaN there."""
        names = dict.fromkeys(name for part in parts for name in part.scores)
        return cls(
            run=np.concatenate([part.run for part in parts]),
            split=np.concatenate([part.split for part in parts]),
            step=np.concatenate([part.step for part in parts]),
            scores={
                name: np.concatenate(
                    [part.scores.get(name, np.full(len(part), np.nan)) for part in parts]
                )
                for name in names
            },
        )


@dataclass(frozen=True)
class PopulationInfo:
    """What is known about a population as a whole; the content of `population.json`."""

    recipe: str = "unknown"
    """Which zoo or generator made it, or where it was read."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The recipe's settings and seeds."""
    architecture: str | None = None
    """The target network, e.g. mlp-64-10-10-relu."""
    symmetry: NeuronSymmetry | None = None
    """Function-preserving transformations of the target network, None if not known."""
    task: str | None = None
    """Name of the task that judges the checkpoints."""
    provenance: Provenance | None = None
    """What the generator that sampled it says of itself; None: not known, or not sampled."""

    @property
    def stored_settings(self) -> dict[str, Any]:
        """The settings as plain data, with the provenance under "generator"."""
        if self.provenance is None:
            return dict(self.settings)
        return {**self.settings, "generator": self.provenance.to_json()}


@dataclass(frozen=True, eq=False)
class Population:
    """n checkpoints of one target network, with layout and records."""

    weights: Float[Tensor, "n d"]
    layout: WeightLayout
    records: Records
    info: PopulationInfo = PopulationInfo()
    shared: Mapping[str, Tensor] | None = None
    """The rest of the target network, the same for all, where checkpoints hold only parts of it."""

    def __post_init__(self) -> None:
        if self.weights.shape != (len(self.records), self.layout.size):
            raise ValueError(
                f"weights are {tuple(self.weights.shape)}, but there are {len(self.records)} "
                f"records and the layout has {self.layout.size} weights"
            )

    def __len__(self) -> int:
        return len(self.records)

    @cached_property
    def learned(self) -> Float[Tensor, "n e"]:
        """The weights without running statistics, in the order of `layout.learned`.

        Without such statistics these are the weights themselves, not a copy.
        """
        if self.layout.learned is self.layout:
            return self.weights
        return self.weights[:, self.layout.is_learned]

    def select(self, rows: Sequence[int] | np.ndarray | slice) -> "Population":
        """Some rows of the population: indices, a mask or a slice (a slice copies nothing)."""
        if isinstance(rows, slice):
            picked = self.weights[rows]
        else:
            rows = np.asarray(rows)
            rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
            picked = self.weights[torch.from_numpy(rows)]
        return replace(self, weights=picked, records=self.records.select(rows))

    def in_order_of(self, layout: WeightLayout) -> "Population":
        """The same checkpoints with their parameters in the order of a layout that names the same.

        File formats differ in the order they keep (safetensors sorts by name). A population that
        names other parameters is returned as it is.
        """
        if self.layout == layout or dict(self.layout.shapes) != dict(layout.shapes):
            return self
        state = self.layout.unflatten(self.weights)
        parts = [state[name].reshape(len(self), -1) for name, _ in layout.shapes]
        return replace(self, weights=torch.cat(parts, dim=1), layout=layout)

    def with_weights(self, weights: Float[Tensor, "n d"], *, split: str) -> "Population":
        """The same runs with other weights, e.g. noised; scores no longer hold and are dropped."""
        records = Records.of(
            list(self.records.run), split=split, step=list(map(int, self.records.step))
        )
        return replace(self, weights=weights, records=records)


def last_of_each_run(records: Records) -> np.ndarray:
    """Rows that are the last step of their run, in row order.

    Null distributions use one row per run: checkpoints of one run are no independent evidence.
    """
    last: dict[str, int] = {}
    for row, (run, step) in enumerate(zip(records.run, records.step, strict=True)):
        if run not in last or step >= records.step[last[run]]:
            last[run] = row
    return np.array(sorted(last.values()), dtype=np.int64)


def sampled_records(n: int) -> Records:
    """Records of n generated checkpoints: each its own run, as nothing ties them together."""
    return Records.of([f"sample-{i:05d}" for i in range(n)], split="generated")


def weights_digest(population: Population) -> str:
    """SHA-256 of the weights, row by row; reads a memory map block by block."""
    digest = hashlib.sha256()
    for start in range(0, len(population), 4096):
        digest.update(population.weights[start : start + 4096].contiguous().numpy().tobytes())
    return digest.hexdigest()


def require_finite(population: Population, source: str) -> None:
    """Refuse a population with NaN or infinite weights, naming the first rows.

    Raises:
        InputError: Some weights are not finite.
    """
    bad = [
        start + int(row)
        for start in range(0, len(population), 4096)
        for row in (~population.weights[start : start + 4096].isfinite().all(dim=1)).nonzero()
    ]
    if bad:
        names = first_few([f"row {row} (run {population.records.run[row]})" for row in bad])
        raise InputError(
            f"{source}: NaN or infinite weights in {names}; expected finite numbers. Remove these "
            "checkpoints, or find out why their training diverged",
            "not-finite",
        )


def require_same_layout(one: Population, other: Population, names: tuple[str, str]) -> None:
    """Refuse two populations whose weight vectors do not mean the same.

    Raises:
        InputError: The layouts differ; the first difference is named.
    """
    if one.layout == other.layout:
        return
    name, mine, yours = first_difference(one.layout, other.layout)
    raise InputError(
        f"{names[0]} and {names[1]} hold different networks: parameter {name} is {mine} in "
        f"{names[0]} and {yours} in {names[1]}. Expected the same parameters in both; give "
        "checkpoints of one architecture",
        "other-network",
    )


def first_difference(one: WeightLayout, other: WeightLayout) -> tuple[str, str, str]:
    """The first parameter that two networks do not share, and its shape in both, or "missing".

    Raises:
        ValueError: There is none.
    """
    mine, yours = dict(one.shapes), dict(other.shapes)
    for name in {**mine, **yours}:
        if mine.get(name) != yours.get(name):
            return name, _shape_text(mine.get(name)), _shape_text(yours.get(name))
    raise ValueError("the same parameters in another order: use `in_order_of` first")


def _shape_text(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else "x".join(map(str, shape)) or "a scalar"
