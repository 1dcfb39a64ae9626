"""What `dataset.pt` of Hyper-Representations says of its rows: runs, epochs, splits and scores."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from novelweights.errors import InputError
from novelweights.readers.pickle.values import Stub, shown
from novelweights.readers.scores import as_percent
from novelweights.weights.population import Records

SPLITS = {"trainset": "train", "valset": "heldout", "testset": "heldout"}
"""Our split of each set."""
ANOTHER_WAY = "save its weights as a .npy matrix and give a records CSV"
LARGEST = 1e300
"""Scores beyond it are not finite."""


@dataclass(frozen=True, eq=False)
class DataSet:
    """One of the sets of a file."""

    name: str
    attributes: Mapping[str, Any]
    rows: Sequence[Any]
    """A vector or a state dict each."""


def kind_of(value: Any) -> str:
    """What a value is, for messages."""
    if isinstance(value, Stub):
        return shown(value.name)
    shape = f" of shape {tuple(value.shape)}" if isinstance(value, Tensor) else ""
    return "nothing" if value is None else f"{type(value).__name__}{shape}"


def records_of(sets: Sequence[DataSet], file: Path) -> tuple[Records, tuple[str, ...]]:
    """Runs, splits, epochs and scores of all rows, and what was chosen for them.

    Raises:
        InputError: Something of a row is missing, or not of its kind.
    """
    paths = [path for one in sets for path in _listed(one, "paths", file)]
    runs = _runs([_path_text(path, file) for path in paths])
    epochs = [epoch for one in sets for epoch in _listed(one, "epochs", file)]
    if not all(type(epoch) is int and 0 <= epoch < 1 << 40 for epoch in epochs):
        raise InputError(f"{file}: expected whole numbers as epochs; {ANOTHER_WAY}")
    loss = [value for one in sets for value in _property(one, "test_loss", file)]
    scores, notes = _accuracies(sets, file)
    if not np.isnan(loss).all():
        scores["test_loss"] = np.array(loss)
    records = Records(
        run=np.array(runs, dtype=object),
        split=np.array([SPLITS[one.name] for one in sets for _ in one.rows], dtype=object),
        step=np.array(epochs, dtype=np.int64),
        scores=scores,
    )
    parts = ", ".join(f"{one.name} {len(one.rows):,} ({SPLITS[one.name]})" for one in sets)
    told = f"{len(set(runs)):,} runs: {parts}"
    return records, (told, *notes)


def _accuracies(sets: Sequence[DataSet], file: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    values = [value for one in sets for value in _property(one, "test_acc", file)]
    if np.isnan(values).all():
        return {}, []
    found = as_percent(values)
    if found is None:
        raise InputError(
            f"{file}: expected test_acc from 0 to 1, or in percent, got "
            f"{np.nanmin(values):g} to {np.nanmax(values):g}; {ANOTHER_WAY}"
        )
    percents, unit = found
    return {"test_accuracy": percents}, [f"test_accuracy is test_acc of the file ({unit})"]


def _listed(one: DataSet, name: str, file: Path) -> list[Any]:
    """An attribute with an entry for each row."""
    values = one.attributes.get(name)
    if not isinstance(values, list) or len(values) != len(one.rows):
        got = f"{len(values):,}" if isinstance(values, list) else kind_of(values)
        raise InputError(
            f"{file}: expected {len(one.rows):,} {name} in {one.name}, one a row, got {got}; "
            f"{ANOTHER_WAY}"
        )
    return values


def _property(one: DataSet, name: str, file: Path) -> list[float]:
    """A score of each row; NaN where it is not known."""
    properties = one.attributes.get("properties")
    if not isinstance(properties, dict) or properties.get(name) is None:
        return [math.nan] * len(one.rows)
    values = _listed(DataSet(f"properties of {one.name}", properties, one.rows), name, file)
    if not all(type(value) in (int, float) for value in values):
        raise InputError(f"{file}: expected numbers as {name} of {one.name}; {ANOTHER_WAY}")
    return [float(value) if abs(value) < LARGEST else math.nan for value in values]


def _path_text(path: Any, file: Path) -> str:
    """A path that was saved as text or as a path."""
    parts = path.arguments if isinstance(path, Stub) else (path,)
    if not parts or not all(isinstance(part, str) for part in parts):
        raise InputError(f"{file}: expected the folder of a run as path, got {kind_of(path)}")
    return "/".join(part.strip("/\\") for part in parts)


def _runs(paths: list[str]) -> list[str]:
    """The last parts of paths, or the paths, where two end alike."""
    last = {path: path.rpartition("/")[2] for path in paths}
    return [last[path] for path in paths] if len(set(last.values())) == len(last) else paths
