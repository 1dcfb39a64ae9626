"""Does the codec give networks back, and does it see which are the same? Numbers and the answer.

Intervals resample runs (bootstrap): a run stands in one pair of a kind only. The answer rests on
training runs alone, as the paper's does. Source: paper, figures 3 and 9; intervals, distances,
pairs between reconstructions and every threshold are ours.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from novelweights.auditing.judge.statistics import mean, median, resampled
from novelweights.auditing.result import Quantity
from novelweights.errors import count
from novelweights.studies.reconstruction.pairs import (
    BETWEEN,
    HELDOUT,
    TRAINING,
    TRANSFORMED,
    Kind,
    Reconstructed,
    change,
)
from novelweights.studies.study import Summary, in_words, quantity

POINTS = "points"  # percentage points
Values = Float[np.ndarray, "*columns n"]


class Answer(StrEnum):
    """Whether a codec treats two forms of one network alike."""

    INVARIANT = "invariant"
    VARIES = "not invariant"
    SAME = "tells nothing apart"
    """Alike, but different networks come back alike too."""
    OPEN = "not shown"


class Effect(StrEnum):
    """What reconstruction does to accuracy."""

    LOWERS = "lowers accuracy"
    RAISES = "raises accuracy"
    OPEN = "no change shown"


@dataclass(frozen=True)
class Criteria:
    """Thresholds of the answer. Source: ours; the paper asks for a similarity of 1."""

    min_runs: int = 8
    """Fewer training runs than this: not shown; their intervals would be too narrow."""
    same: float = 0.99
    """Error similarity whose lower limit is at least this: alike; whose upper limit is below: not.
    Less than 1, as rounding may turn a near tie."""


DEFAULT_CRITERIA = Criteria()


def _unexplained(columns: Values) -> Float[np.ndarray, "..."]:
    """Summed squares of the first column over those of the second; NaN where there are none."""
    lost, spread = np.square(columns).sum(axis=-1)
    return np.divide(lost, spread, out=np.full_like(lost, np.nan), where=spread > 0)


class Number(NamedTuple):
    """How one number of a kind of pairs comes about."""

    label: str
    definition: str
    values: Callable[[pd.DataFrame], Any]
    """One of each pair, or columns of them."""
    unit: str = ""
    statistic: Callable[..., np.ndarray] = mean
    """Of the values, along their last axis."""


def _column(name: str) -> Callable[[pd.DataFrame], Any]:
    return lambda pairs: pairs[name]


OF_RECONSTRUCTION: dict[str, Number] = {
    "accuracy_original": Number(
        "Accuracy of originals", "Mean over the runs.", _column("accuracy"), "%"
    ),
    "accuracy_reconstruction": Number(
        "Accuracy of reconstructions", "Mean over the runs.", _column("other_accuracy"), "%"
    ),
    "accuracy_change": Number(
        "Change of accuracy",
        "Reconstruction less original, mean over the runs, in percentage points.",
        change,
        POINTS,
    ),
    "error_similarity_reconstruction": Number(
        "Error similarity with the original",
        "Intersection over union of the test examples that an original and its reconstruction "
        "get wrong, mean over the runs. 1: the same mistakes.",
        _column("error_similarity"),
    ),
    "prediction_overlap_reconstruction": Number(
        "Prediction overlap with the original",
        "Share of test examples on which an original and its reconstruction predict the same, "
        "mean over the runs.",
        _column("prediction_overlap"),
        "share",
    ),
    "distance_reconstruction": Number(
        "Distance of a reconstruction to its original",
        "Median L2 over the runs; nothing aligned.",
        _column("distance"),
        statistic=median,
    ),
    "relative_squared_error": Number(
        "Relative squared error",
        "Squared distances of reconstructions to their originals, summed, over those of the "
        "originals to the mean of the training originals. 0: given back exactly; 1: as far off "
        "as that mean would be.",
        lambda pairs: pairs[["distance", "from_mean"]].T,
        statistic=_unexplained,
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


def _of_pairs(kind: Kind) -> dict[str, Number]:
    """The numbers of one kind of pairs, by name."""
    numbers = {
        "accuracy_difference": Number(
            f"Accuracy difference, {kind}",
            f"Absolute difference between {WHO[kind]}, mean over the pairs, in percentage points.",
            lambda pairs: np.abs(change(pairs)),
            POINTS,
        ),
        "error_similarity": Number(
            f"Error similarity, {kind}",
            f"Intersection over union of the errors of {WHO[kind]}, mean over the pairs.",
            _column("error_similarity"),
        ),
        "prediction_overlap": Number(
            f"Prediction overlap, {kind}",
            f"Share of test examples on which {WHO[kind]} predict the same, mean over the pairs.",
            _column("prediction_overlap"),
            "share",
        ),
    }
    if kind in BETWEEN:
        numbers["distance"] = Number(
            f"Distance {kind}",
            f"Median L2 between {WHO[kind]}; nothing aligned.",
            _column("distance"),
            statistic=median,
        )
    else:
        numbers["kept"] = Number(
            f"Predictions kept, {kind}",
            "Share of test examples on which a transformed original, not reconstructed, predicts "
            "as the original does: what shows that the transformation preserves the function.",
            _column("kept"),
            "share",
        )
    return {f"{name}_{kind.word}": number for name, number in numbers.items()}


NUMBERS: dict[Kind, dict[str, Number]] = {
    Kind.RECONSTRUCTION: OF_RECONSTRUCTION,
    **{kind: _of_pairs(kind) for kind in (*TRANSFORMED, *BETWEEN)},
}
"""Every number of a summary, by kind of pairs and name; of held-out runs with `_heldout` behind."""


def _of_rows(
    statistic: Callable[[np.ndarray], np.ndarray], values: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """A statistic of some of the pairs, which lie along the last axis."""
    return statistic(values[..., rows])


def quantities_of(
    kind: Kind, split: str, pairs: pd.DataFrame, *, rng: np.random.Generator
) -> list[Quantity]:
    """Every number of some pairs; intervals where there are two pairs or more."""
    n, suffix, numbers = len(pairs), f"_{HELDOUT}" * (split == HELDOUT), []
    for name, (label, definition, columns, unit, statistic) in NUMBERS[kind].items():
        values, value, draws = np.asarray(columns(pairs)), np.nan, None
        if n:
            value = float(statistic(values))
        if n > 1:
            draws = resampled(partial(_of_rows, statistic, values), np.arange(n), rng=rng)
        words = (f"{name}{suffix}", label, definition)
        numbers.append(quantity(words, value, draws, unit=unit, n=n, units=n))
    return numbers


def summarize(
    pairs: Reconstructed, *, rng: np.random.Generator, criteria: Criteria = DEFAULT_CRITERIA
) -> Summary:
    """The numbers with 95% intervals by resampling runs, and the answers of the training runs.

    Returns:
        Its answers are an `Answer` for each kind of transformed copies that there are, by the word
        of the kind, and an `Effect`.
    """
    numbers = {q.key: q for key, some in pairs.items() for q in quantities_of(*key, some, rng=rng)}
    between = numbers[f"error_similarity_{Kind.RECONSTRUCTIONS.word}"]
    similarity = {
        kind: numbers[f"error_similarity_{kind.word}"]
        for kind in TRANSFORMED
        if (kind, TRAINING) in pairs
    }
    answers = {kind: _answer(each, between, criteria) for kind, each in similarity.items()}
    effect = _effect(numbers["accuracy_change"], criteria)
    invariance = _invariance_in_words(answers, similarity, between, criteria)
    return Summary(
        {"answers": {kind.word: answer for kind, answer in answers.items()}, "effect": effect},
        f"{invariance} {_accuracy_in_words(effect, numbers)}",
        numbers,
        criteria,
    )


def _answer(similarity: Quantity, between: Quantity, criteria: Criteria) -> Answer:
    if similarity.lower is None or similarity.upper is None or similarity.n < criteria.min_runs:
        return Answer.OPEN
    if similarity.upper < criteria.same:
        return Answer.VARIES
    if similarity.lower < criteria.same:
        return Answer.OPEN
    is_same_for_all = between.upper is not None and between.upper >= criteria.same
    return Answer.SAME if is_same_for_all else Answer.INVARIANT


def _effect(quantity: Quantity, criteria: Criteria) -> Effect:
    if quantity.lower is None or quantity.upper is None or quantity.n < criteria.min_runs:
        return Effect.OPEN
    if quantity.upper < 0:
        return Effect.LOWERS
    return Effect.RAISES if quantity.lower > 0 else Effect.OPEN


BEGINNINGS = {
    Answer.INVARIANT: "The codec is invariant to the order of neurons",
    Answer.VARIES: "The codec is not invariant to the order of neurons",
    Answer.SAME: "The codec gives different networks back alike, so that invariance means nothing",
    Answer.OPEN: "Whether the codec is invariant to the order of neurons stays open",
}


def _invariance_in_words(
    answers: Mapping[Kind, Answer],
    similarity: Mapping[Kind, Quantity],
    between: Quantity,
    criteria: Criteria,
) -> str:
    order = similarity[Kind.PERMUTED]
    text = (
        f"{BEGINNINGS[answers[Kind.PERMUTED]]}: reconstructions of a network and of the same with "
        f"its neurons reordered have an error similarity of {in_words(order)} (1 if invariant"
    )
    if between.value is not None:
        text += f"; {in_words(between)} between different networks"
    text += ")"
    if Kind.FLIPPED in similarity:
        text += f", with signs flipped {in_words(similarity[Kind.FLIPPED])}"
    after = count(order.n, "training run")
    if order.n < criteria.min_runs:
        after += f", of which {criteria.min_runs} are needed"
    return f"{text}, {after}."


def _accuracy_in_words(effect: Effect, numbers: Mapping[str, Quantity]) -> str:
    def from_to(suffix: str = "") -> str:
        names = (f"accuracy_{which}{suffix}" for which in ("original", "reconstruction"))
        before, after = (numbers[name].value for name in names)
        return f"from {before:.1f}% to {after:.1f}%"

    is_open = effect is Effect.OPEN
    text = f"Reconstruction {'takes accuracy' if is_open else effect} {from_to()} ("
    text += f"{in_words(numbers['accuracy_change'])} points{', no change shown' * is_open})"
    if f"accuracy_change_{HELDOUT}" in numbers:
        text += f", of held-out runs {from_to(f'_{HELDOUT}')}"
    return f"{text}."
