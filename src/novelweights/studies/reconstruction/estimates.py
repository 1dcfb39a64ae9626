"""The numbers of a reconstruction run, each with its interval, its count and its definition.

Intervals resample runs (bootstrap): a run stands in one pair of a kind only. Source: paper, figures
3 and 9; intervals, distances and pairs between reconstructions are ours.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from novelweights.generators.parts.estimates import expanded_tail
from novelweights.studies.reconstruction.pairs import BETWEEN, HELDOUT, MOVES, Kind, Pairs

LEVEL = 0.95
DRAWS = 2000
POINTS = "points"  # percentage points


class Estimate(NamedTuple):
    """One number with its interval; None where it cannot be had."""

    key: str
    """Its name and, for held-out runs, `_heldout` behind it."""
    split: str
    label: str
    definition: str
    unit: str
    n: int
    value: float | None
    lower: float | None
    upper: float | None
    level: float | None


class _Number(NamedTuple):
    """How one number of a kind of pairs comes about."""

    label: str
    definition: str
    unit: str
    columns: Callable[[Pairs], tuple[Float[np.ndarray, " n"] | None, ...]]
    statistic: Callable[..., Float[np.ndarray, "..."]]
    """Of the columns, along their last axis."""


def _mean(values: Float[np.ndarray, "*draws n"]) -> Float[np.ndarray, "..."]:
    return np.asarray(values.mean(axis=-1))


def _median(values: Float[np.ndarray, "*draws n"]) -> Float[np.ndarray, "..."]:
    return np.asarray(np.median(values, axis=-1))


def _unexplained(
    distance: Float[np.ndarray, "*draws n"], from_mean: Float[np.ndarray, "*draws n"]
) -> Float[np.ndarray, "..."]:
    """Summed squares of one over those of the other; NaN where there are none."""
    spread = np.square(from_mean).sum(axis=-1)
    lost = np.square(distance).sum(axis=-1)
    return np.divide(lost, spread, out=np.full_like(lost, np.nan), where=spread > 0)


OF_RECONSTRUCTION: dict[str, _Number] = {
    "accuracy_original": _Number(
        "Accuracy of originals", "Mean over the runs.", "%", lambda p: (p.accuracy,), _mean
    ),
    "accuracy_reconstruction": _Number(
        "Accuracy of reconstructions",
        "Mean over the runs.",
        "%",
        lambda p: (p.other_accuracy,),
        _mean,
    ),
    "accuracy_change": _Number(
        "Change of accuracy",
        "Reconstruction less original, mean over the runs, in percentage points.",
        POINTS,
        lambda p: (p.change,),
        _mean,
    ),
    "error_similarity_reconstruction": _Number(
        "Error similarity with the original",
        "Intersection over union of the test examples that an original and its reconstruction get "
        "wrong, mean over the runs. 1: the same mistakes.",
        "",
        lambda p: (p.error_similarity,),
        _mean,
    ),
    "prediction_overlap_reconstruction": _Number(
        "Prediction overlap with the original",
        "Share of test examples on which an original and its reconstruction predict the same, mean "
        "over the runs.",
        "share",
        lambda p: (p.prediction_overlap,),
        _mean,
    ),
    "distance_reconstruction": _Number(
        "Distance of a reconstruction to its original",
        "Median L2 over the runs; nothing aligned.",
        "",
        lambda p: (p.distance,),
        _median,
    ),
    "relative_squared_error": _Number(
        "Relative squared error",
        "Squared distances of reconstructions to their originals, summed, over those of the "
        "originals to the mean of the training originals. 0: given back exactly; 1: as far off as "
        "that mean would be.",
        "",
        lambda p: (p.distance, p.from_mean),
        _unexplained,
    ),
}
WHO = {
    Kind.PERMUTED: "the reconstructions of a network and of the same network with its neurons in "
    "random order",
    Kind.FLIPPED: "the reconstructions of a network and of the same network with random signs of "
    "its neurons flipped",
    Kind.ORIGINALS: "originals of two different runs",
    Kind.RECONSTRUCTIONS: "the reconstructions of two different runs",
}
"""The two networks of a pair, in words."""


def _of_pairs(kind: Kind) -> dict[str, _Number]:
    """The numbers of one kind of pairs, by name."""
    numbers = {
        "accuracy_difference": _Number(
            f"Accuracy difference, {kind}",
            f"Absolute difference between {WHO[kind]}, mean over the pairs, in percentage points.",
            POINTS,
            lambda p: (np.abs(p.change),),
            _mean,
        ),
        "error_similarity": _Number(
            f"Error similarity, {kind}",
            f"Intersection over union of the errors of {WHO[kind]}, mean over the pairs.",
            "",
            lambda p: (p.error_similarity,),
            _mean,
        ),
        "prediction_overlap": _Number(
            f"Prediction overlap, {kind}",
            f"Share of test examples on which {WHO[kind]} predict the same, mean over the pairs.",
            "share",
            lambda p: (p.prediction_overlap,),
            _mean,
        ),
        "distance": _Number(
            f"Distance {kind}",
            f"Median L2 between {WHO[kind]}; nothing aligned.",
            "",
            lambda p: (p.distance,),
            _median,
        ),
        "kept": _Number(
            f"Predictions kept, {kind}",
            "Share of test examples on which a moved original, not reconstructed, predicts as the "
            "original does: what shows that the move preserves the function.",
            "share",
            lambda p: (p.kept,),
            _mean,
        ),
    }
    del numbers["kept" if kind in BETWEEN else "distance"]
    return {f"{name}_{kind.word}": number for name, number in numbers.items()}


NUMBERS: dict[Kind, dict[str, _Number]] = {
    Kind.RECONSTRUCTION: OF_RECONSTRUCTION,
    **{kind: _of_pairs(kind) for kind in (*MOVES, *BETWEEN)},
}
"""Every number of a summary, by kind of pairs and name."""


def estimates_of(pairs: Pairs, *, rng: np.random.Generator) -> list[Estimate]:
    """Every number of some pairs; intervals where there are two pairs or more."""
    numbers = NUMBERS[pairs.kind].items()
    return [_estimate(name, number, pairs, rng) for name, number in numbers]


def _estimate(name: str, number: _Number, pairs: Pairs, rng: np.random.Generator) -> Estimate:
    columns = [column for column in number.columns(pairs) if column is not None]
    n, value, limits = len(pairs), float("nan"), None
    if n and len(columns) == len(number.columns(pairs)):
        value = float(number.statistic(*columns))
        limits = _interval(number.statistic, columns, rng) if n > 1 else None
    lower, upper = limits or (None, None)
    suffix = f"_{HELDOUT}" if pairs.split == HELDOUT else ""
    return Estimate(
        f"{name}{suffix}",
        pairs.split,
        number.label,
        number.definition,
        number.unit,
        n,
        value if np.isfinite(value) else None,
        lower,
        upper,
        None if limits is None else LEVEL,
    )


def _interval(
    statistic: Callable[..., Float[np.ndarray, "..."]],
    columns: list[Float[np.ndarray, " n"]],
    rng: np.random.Generator,
) -> tuple[float, float] | None:
    """Limits of a statistic of n > 1 runs, each drawn again with all it has; None if undefined."""
    n = len(columns[0])
    rows = rng.integers(0, n, (DRAWS, n))
    drawn = statistic(*(column[rows] for column in columns))
    if not np.isfinite(drawn).all():
        return None
    tail = expanded_tail(n, LEVEL)
    lower, upper = np.quantile(drawn, [tail, 1 - tail]).tolist()
    return lower, upper
