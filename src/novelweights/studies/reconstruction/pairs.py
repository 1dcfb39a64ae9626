"""What a lossy codec was seen to do: pairs of networks, each compared on the same test examples."""

from dataclasses import dataclass
from enum import StrEnum

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


MOVES = (Kind.PERMUTED, Kind.FLIPPED)
BETWEEN = (Kind.ORIGINALS, Kind.RECONSTRUCTIONS)
TRAINING, HELDOUT = "training", "heldout"
SPLITS = (TRAINING, HELDOUT)


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
    """Of moves: share of test examples on which the moved original predicts as the original."""

    def __post_init__(self) -> None:
        columns = (self.others, self.accuracy, self.other_accuracy, self.error_similarity)
        columns += (self.prediction_overlap, self.distance)
        if any(len(column) != len(self.runs) for column in columns):
            raise ValueError("columns of different lengths")

    def __len__(self) -> int:
        return len(self.runs)

    @property
    def change(self) -> Float[np.ndarray, " n"]:
        """Accuracy of the second network less that of the first, in percentage points."""
        return self.other_accuracy - self.accuracy

    def table(self) -> pd.DataFrame:
        """One row per pair."""
        return pd.DataFrame(
            {
                "split": self.split,
                "kind": str(self.kind),
                "run": self.runs,
                "other": self.others,
                "accuracy": self.accuracy,
                "other_accuracy": self.other_accuracy,
                "error_similarity": self.error_similarity,
                "prediction_overlap": self.prediction_overlap,
                "distance": self.distance,
            }
        )


@dataclass(frozen=True, eq=False)
class Reconstructed:
    """All pairs of one codec; a kind that does not apply to these networks is absent."""

    pairs: tuple[Pairs, ...]

    def get(self, kind: Kind, split: str) -> Pairs | None:
        """The pairs of a kind and a split; None where there are none."""
        for pairs in self.pairs:
            if (pairs.kind, pairs.split) == (kind, split):
                return pairs
        return None

    def of(self, kind: Kind, split: str) -> Pairs:
        """The same where they must be there.

        Raises:
            KeyError: They are not.
        """
        pairs = self.get(kind, split)
        if pairs is None:
            raise KeyError(f"{kind}, {split}")
        return pairs

    def table(self) -> pd.DataFrame:
        """All pairs, one row each."""
        return pd.concat([pairs.table() for pairs in self.pairs], ignore_index=True)
