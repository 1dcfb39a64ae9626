"""What a lossy codec was seen to do: pairs of networks, each compared on the same test examples."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float


class Kind(StrEnum):
    """Which two networks make a pair."""

    RECONSTRUCTION = "reconstruction"
    """An original and its reconstruction."""
    PERMUTED = "permuted"
    """Reconstructions of an original and of the same network with its neurons reordered."""
    FLIPPED = "sign-flipped"
    """The same with signs of neurons flipped."""
    ORIGINALS = "between originals"
    """Two originals of different runs."""
    RECONSTRUCTIONS = "between reconstructions"
    """Reconstructions of the same two."""

    @property
    def word(self) -> str:
        """As part of a key."""
        return self.replace(" ", "_").replace("-", "_")


TRANSFORMED = (Kind.PERMUTED, Kind.FLIPPED)
BETWEEN = (Kind.ORIGINALS, Kind.RECONSTRUCTIONS)
TRAINING, HELDOUT = "training", "heldout"
NUMBERS = ("accuracy", "other_accuracy", "error_similarity", "prediction_overlap", "distance")


@dataclass(frozen=True, eq=False)
class Pairs:
    """n pairs of one kind; every run stands in one pair only, so they are independent."""

    kind: Kind
    split: str
    """training or heldout: where the originals come from."""
    runs: list[str]
    others: list[str]
    """The run of the second network; the same but for pairs of different originals."""
    accuracy: Float[np.ndarray, " n"]
    """Of the first network, in percent."""
    other_accuracy: Float[np.ndarray, " n"]
    error_similarity: Float[np.ndarray, " n"]
    """Intersection over union of the two error sets; 1 where neither has errors."""
    prediction_overlap: Float[np.ndarray, " n"]
    """Share of test examples with the same prediction."""
    distance: Float[np.ndarray, " n"]
    """Plain L2 between the two weight vectors."""
    from_mean: Float[np.ndarray, " n"] | None = None
    """Of originals with their reconstructions: L2 of the original to the training mean."""
    kept: Float[np.ndarray, " n"] | None = None
    """Of transformed originals: share of test examples on which they predict as the original."""

    def __post_init__(self) -> None:
        columns = [getattr(self, name) for name in NUMBERS]
        if any(len(column) != len(self.runs) for column in (self.others, *columns)):
            raise ValueError("columns of different lengths")
        if not np.isfinite(columns).all():
            raise ValueError("rows without finite numbers")

    def __len__(self) -> int:
        return len(self.runs)

    @property
    def change(self) -> Float[np.ndarray, " n"]:
        """Accuracy of the second network less that of the first, in percentage points."""
        return self.other_accuracy - self.accuracy


Reconstructed = Mapping[tuple[Kind, str], Pairs]
"""All pairs of one codec, by kind and split; a kind that does not apply to these networks is
absent."""


def by_kind(pairs: Iterable[Pairs]) -> Reconstructed:
    """The pairs by kind and split, in this order."""
    return {(some.kind, some.split): some for some in pairs}


def table_of(pairs: Reconstructed) -> pd.DataFrame:
    """All pairs, one row each."""
    parts = [
        pd.DataFrame({"split": split, "kind": str(kind), "run": some.runs, "other": some.others})
        .assign(**{name: getattr(some, name) for name in NUMBERS})
        for (kind, split), some in pairs.items()
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def pairs_of(rows: list[Mapping[str, Any]]) -> Reconstructed:
    """The pairs in the rows of `table_of`.

    Raises:
        KeyError, TypeError, ValueError: An entry is missing, of another kind or not finite.
    """
    parts: dict[tuple[Kind, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        parts.setdefault((Kind(row["kind"]), str(row["split"])), []).append(row)
    return by_kind(
        Pairs(
            *key,
            [row["run"] for row in some],
            [row["other"] for row in some],
            **{name: np.array([float(row[name]) for row in some]) for name in NUMBERS},
        )
        for key, some in parts.items()
    )
