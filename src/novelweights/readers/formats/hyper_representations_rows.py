"""What `dataset.pt` of Hyper-Representations says of its rows: runs, epochs, splits and scores."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from novelweights.errors import InputError, naming
from novelweights.readers.pickle.values import Stub, shown
from novelweights.readers.source import as_percent
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

    def listed(self, values: Any, name: str) -> list[Any]:
        """Values of which every row has one.

        Raises:
            InputError: There are not as many.
        """
        if not isinstance(values, list) or len(values) != len(self.rows):
            got = f"{len(values):,}" if isinstance(values, list) else kind_of(values)
            raise InputError(
                f"expected {len(self.rows):,} {name} in {self.name}, one a row, got {got}; "
                f"{ANOTHER_WAY}",
                "other-rows",
            )
        return values

    def scores(self, name: str) -> list[float]:
        """A score of each row; NaN where it is not known."""
        properties = self.attributes.get("properties")
        if not isinstance(properties, dict) or properties.get(name) is None:
            return [math.nan] * len(self.rows)
        values = self.listed(properties[name], name)
        if not all(type(value) in (int, float) for value in values):
            raise InputError(
                f"expected numbers as {name} of {self.name}; {ANOTHER_WAY}", "wrong-records"
            )
        return [float(value) if abs(value) < LARGEST else math.nan for value in values]


def kind_of(value: Any) -> str:
    """What a value is, for messages."""
    if isinstance(value, Stub):
        return shown(value.name)
    shape = f" of shape {tuple(value.shape)}" if isinstance(value, Tensor) else ""
    return "nothing" if value is None else f"{type(value).__name__}{shape}"


def records_of(sets: Sequence[DataSet]) -> tuple[Records, tuple[str, ...]]:
    """Runs, splits, epochs and scores of all rows, and what was chosen for them.

    Raises:
        InputError: Something of a row is missing, or not of its kind.
    """
    paths, epochs = (
        [value for one in sets for value in one.listed(one.attributes.get(name), name)]
        for name in ("paths", "epochs")
    )
    runs = _runs([_path_text(path) for path in paths])
    if not all(type(epoch) is int and 0 <= epoch < 1 << 40 for epoch in epochs):
        raise InputError(f"expected whole numbers as epochs; {ANOTHER_WAY}", "wrong-records")
    accuracy, loss = (
        [score for one in sets for score in one.scores(name)] for name in ("test_acc", "test_loss")
    )
    parts = ", ".join(f"{one.name} {len(one.rows):,} ({SPLITS[one.name]})" for one in sets)
    notes, scores = [f"{len(set(runs)):,} runs: {parts}"], {}
    if not np.isnan(accuracy).all():
        with naming("test_acc"):
            scores["test_accuracy"], unit = as_percent(accuracy)
        notes.append(f"test_accuracy is test_acc of the file ({unit})")
    if not np.isnan(loss).all():
        scores["test_loss"] = np.array(loss)
    records = Records(
        run=np.array(runs, dtype=object),
        split=np.array([SPLITS[one.name] for one in sets for _ in one.rows], dtype=object),
        step=np.array(epochs, dtype=np.int64),
        scores=scores,
    )
    return records, tuple(notes)


def _path_text(path: Any) -> str:
    """A path that was saved as text or as a path."""
    parts = path.arguments if isinstance(path, Stub) else (path,)
    if not parts or not all(isinstance(part, str) for part in parts):
        raise InputError(
            f"expected the folder of a run as path, got {kind_of(path)}; {ANOTHER_WAY}",
            "wrong-records",
        )
    return "/".join(part.strip("/\\") for part in parts)


def _runs(paths: list[str]) -> list[str]:
    """The last parts of paths, or the paths, where two end alike."""
    last = {path: path.rpartition("/")[2] for path in paths}
    return [last[path] for path in paths] if len(set(last.values())) == len(last) else paths
