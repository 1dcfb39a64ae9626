"""What `reconstruction.json` tells, read for its page."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from novelweights.auditing.result import Quantity
from novelweights.errors import InputError
from novelweights.files import read_json
from novelweights.report.tables import read_quantity

SCHEMA_VERSION = 1
FILE = "reconstruction.json"
REMEDY = "run `novelweights reconstruct` again, or restore the file"
ANSWERS: tuple[str, ...] = ("invariant", "not invariant", "tells nothing apart", "not shown")
EFFECTS: tuple[str, ...] = ("lowers accuracy", "raises accuracy", "no change shown")
SPLIT_NAMES = {"training": "training", "heldout": "held-out"}
SPLIT_SUFFIXES = {"training": "", "heldout": "_heldout"}
OWN = "reconstruction"
KINDS = ("permuted", "sign-flipped", "between originals", "between reconstructions")
"""Kinds of pairs in the order of the figure; the first two are moves."""
CRITERIA = ("min_runs", "same")
NUMBERS = ("accuracy", "other_accuracy", "error_similarity")


@dataclass(frozen=True, eq=False)
class ReconstructionRun:
    """What `reconstruction.json` tells."""

    answers: Mapping[str, str]
    """By move: permuted, and sign_flipped where signs may flip."""
    effect: str
    sentence: str
    quantities: Mapping[str, Quantity]
    """By key."""
    criteria: Mapping[str, Any]
    about: Mapping[str, Any]
    groups: Mapping[str, list[str]]
    """Groups of neurons that were reordered, and flipped."""
    paper: Mapping[str, tuple[str, str]]
    """What the paper prints, by key of the quantity: the number as text, and its place."""
    paper_setting: str
    rows: Mapping[tuple[str, str], Mapping[str, Float[np.ndarray, " n"]]]
    """Columns of numbers of each split and kind of pairs."""

    @property
    def splits(self) -> list[str]:
        """training, and heldout if there are any."""
        return [split for split in SPLIT_NAMES if (split, OWN) in self.rows]

    @property
    def kinds(self) -> list[str]:
        """Kinds of pairs that there are of training runs."""
        return [kind for kind in KINDS if len(self.values("training", kind)["accuracy"])]

    def values(self, split: str, kind: str) -> Mapping[str, Float[np.ndarray, " n"]]:
        """Columns of a split and kind; empty where there are none."""
        return self.rows.get((split, kind), dict.fromkeys(NUMBERS, np.zeros(0)))

    def quantity(self, name: str, split: str) -> Quantity | None:
        """The number of that name of a split."""
        return self.quantities.get(f"{name}{SPLIT_SUFFIXES[split]}")


def read_reconstruction(folder: Path) -> ReconstructionRun:
    """The contents of `reconstruction.json`.

    Raises:
        InputError: It is missing or damaged.
    """
    path = folder / FILE
    data = read_json(path)
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{path}: has schema version {version}, this program reads {SCHEMA_VERSION}; {REMEDY}"
        )
    try:
        summary, paper = data["summary"], data["paper"] or {"setting": "", "numbers": {}}
        quantities = [read_quantity(entry) for entry in summary["quantities"]]
        run = ReconstructionRun(
            answers={str(move): str(answer) for move, answer in summary["answers"].items()},
            effect=str(summary["effect"]),
            sentence=str(summary["sentence"]),
            quantities={quantity.key: quantity for quantity in quantities},
            criteria={name: float(summary["criteria"][name]) for name in CRITERIA},
            about=dict(data["about"]),
            groups={
                what: [str(group) for group in data["about"].get(f"{what}_groups", [])]
                for what in ("reordered", "flipped")
            },
            paper={
                str(key): (str(one["text"]), str(one["source"]))
                for key, one in paper["numbers"].items()
            },
            paper_setting=str(paper["setting"]),
            rows=_columns(data["rows"]),
        )
        wrong = [answer for answer in run.answers.values() if answer not in ANSWERS]
        if wrong or "permuted" not in run.answers or run.effect not in EFFECTS:
            raise ValueError(f"answers {run.answers}, {run.effect}")
        if not {("training", OWN), ("training", "permuted")} <= set(run.rows):
            raise ValueError("no rows of reconstructed training runs")
    except KeyError as error:
        raise InputError(f"{path}: expected an entry {error}, it has none; {REMEDY}") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: expected what `reconstruct` leaves, got something else ({error}); {REMEDY}"
        ) from error
    return run


def word(kind: str) -> str:
    """A kind of pairs as part of a key."""
    return kind.replace(" ", "_").replace("-", "_")


def _columns(rows: Any) -> dict[tuple[str, str], dict[str, Float[np.ndarray, " n"]]]:
    """The numbers of the rows, by split and kind.

    Raises:
        ValueError: Some are not finite.
    """
    parts: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        parts.setdefault((row["split"], row["kind"]), []).append(row)
    columns = {
        key: {name: np.array([float(row[name]) for row in some]) for name in NUMBERS}
        for key, some in parts.items()
    }
    if not all(np.isfinite(x).all() for part in columns.values() for x in part.values()):
        raise ValueError("rows without finite numbers")
    return columns
