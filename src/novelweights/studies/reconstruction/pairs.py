"""What a lossy codec was seen to do: pairs of networks, each compared on the same test examples."""

from collections.abc import Mapping, Sequence
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
"""Of each pair: accuracy of both networks in percent, intersection over union of the two error sets
(1 where neither has errors), share of test examples with the same prediction, plain L2 between the
weight vectors."""
COLUMNS = ("split", "kind", "run", "other", *NUMBERS)

Reconstructed = Mapping[tuple[Kind, str], pd.DataFrame]
"""All pairs of one codec, by kind and split, one row each.

The split, training or heldout, is where the originals come from; a kind that does not apply to
these networks is absent. Every run stands in one pair of a kind only, so they are independent: run
and other are the runs of both networks, the same but for pairs of different originals. Beside
`NUMBERS`, while it is measured, from_mean (of originals with their reconstructions: L2 of the
original to the training mean) and kept (of transformed originals: share of test examples on which
they predict as the original)."""


def change(pairs: pd.DataFrame) -> Float[np.ndarray, " n"]:
    """Accuracy of the second network less that of the first, in percentage points."""
    return (pairs["other_accuracy"] - pairs["accuracy"]).to_numpy()


def table_of(pairs: Reconstructed) -> pd.DataFrame:
    """All pairs, one row each.

    Raises:
        ValueError: A number is not finite.
    """
    parts = [one.assign(split=split, kind=str(kind)) for (kind, split), one in pairs.items()]
    return _checked(pd.concat(parts, ignore_index=True))


def pairs_of(rows: Sequence[Mapping[str, Any]]) -> Reconstructed:
    """The pairs in the rows of `table_of`.

    Raises:
        KeyError, TypeError, ValueError: An entry is missing, of another kind or not finite.
    """
    groups: Any = _checked(pd.DataFrame(rows)).groupby(["kind", "split"], sort=False)
    return {(Kind(kind), str(split)): some for (kind, split), some in groups}


def _checked(table: Any) -> pd.DataFrame:
    """Its `COLUMNS`, all numbers finite."""
    table = table[[*COLUMNS]].astype(dict.fromkeys(NUMBERS, float))
    if not np.isfinite(table[[*NUMBERS]]).all(axis=None):
        raise ValueError("rows without finite numbers")
    return table
