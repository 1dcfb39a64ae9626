"""Does the codec give networks back, and does it see which are the same? The answer in a sentence.

It rests on training runs alone, as the paper's does. Every threshold is ours.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from novelweights.generators.parts.estimates import six_digit_limits
from novelweights.studies.reconstruction.estimates import Estimate, estimates_of
from novelweights.studies.reconstruction.pairs import HELDOUT, MOVES, TRAINING, Kind, Reconstructed


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


@dataclass(frozen=True)
class Summary:
    """What the pairs show."""

    answers: dict[str, Answer]
    """By the word of the move; a move these networks lack is absent."""
    effect: Effect
    sentence: str
    estimates: tuple[Estimate, ...]
    criteria: Criteria

    def __getitem__(self, key: str) -> Estimate:
        return next(estimate for estimate in self.estimates if estimate.key == key)

    def to_json(self) -> dict[str, Any]:
        """Plain data, numbers with 6 digits."""
        return {
            "answers": {move: str(answer) for move, answer in self.answers.items()},
            "effect": str(self.effect),
            "sentence": self.sentence,
            "quantities": six_digit_limits(one._asdict() for one in self.estimates),
            "criteria": asdict(self.criteria),
        }


def summarize(
    found: Reconstructed, *, rng: np.random.Generator, criteria: Criteria = DEFAULT_CRITERIA
) -> Summary:
    """The numbers with 95% intervals by resampling runs, and the answers of the training runs.

    Args:
        found: The pairs.
        rng: Of the resampling.
        criteria: Thresholds of the answers.
    """
    estimates = tuple(
        estimate for pairs in found.pairs for estimate in estimates_of(pairs, rng=rng)
    )
    by_key = {estimate.key: estimate for estimate in estimates}
    between = by_key[f"error_similarity_{Kind.RECONSTRUCTIONS.word}"]
    similarity = {
        kind: by_key[f"error_similarity_{kind.word}"]
        for kind in MOVES
        if found.get(kind, TRAINING) is not None
    }
    answers = {k: _answer(each, between, criteria) for k, each in similarity.items()}
    change = by_key["accuracy_change"]
    effect = _effect(change, criteria)
    told = _told_moves(answers, similarity, between, criteria)
    return Summary(
        {kind.word: answer for kind, answer in answers.items()},
        effect,
        f"{told} {_told_accuracy(effect, by_key)}",
        estimates,
        criteria,
    )


def _answer(similarity: Estimate, between: Estimate, criteria: Criteria) -> Answer:
    if similarity.lower is None or similarity.upper is None or similarity.n < criteria.min_runs:
        return Answer.OPEN
    if similarity.upper < criteria.same:
        return Answer.VARIES
    if similarity.lower < criteria.same:
        return Answer.OPEN
    is_same_for_all = between.upper is not None and between.upper >= criteria.same
    return Answer.SAME if is_same_for_all else Answer.INVARIANT


def _effect(change: Estimate, criteria: Criteria) -> Effect:
    if change.lower is None or change.upper is None or change.n < criteria.min_runs:
        return Effect.OPEN
    if change.upper < 0:
        return Effect.LOWERS
    return Effect.RAISES if change.lower > 0 else Effect.OPEN


BEGINNINGS = {
    Answer.INVARIANT: "The codec is invariant to the order of neurons",
    Answer.VARIES: "The codec is not invariant to the order of neurons",
    Answer.SAME: "The codec gives different networks back alike, so that invariance means nothing",
    Answer.OPEN: "Whether the codec is invariant to the order of neurons stays open",
}


def _told_moves(
    answers: dict[Kind, Answer],
    similarity: dict[Kind, Estimate],
    between: Estimate,
    criteria: Criteria,
) -> str:
    order = similarity[Kind.PERMUTED]
    told = (
        f"{BEGINNINGS[answers[Kind.PERMUTED]]}: reconstructions of a network and of the same with "
        f"its neurons reordered have an error similarity of {_told(order)} (1 if invariant"
    )
    if between.value is not None:
        told += f"; {_told(between)} between different networks"
    told += ")"
    if Kind.FLIPPED in similarity:
        told += f", with signs flipped {_told(similarity[Kind.FLIPPED])}"
    after = f"{order.n:,} training run{'s' if order.n != 1 else ''}"
    if order.n < criteria.min_runs:
        after += f", of which {criteria.min_runs} are needed"
    return f"{told}, {after}."


def _told_accuracy(effect: Effect, by_key: dict[str, Estimate]) -> str:
    is_open = effect is Effect.OPEN
    told = f"Reconstruction {'takes accuracy' if is_open else effect} {_from_to(by_key)} ("
    told += f"{_told(by_key['accuracy_change'])} points{', no change shown' * is_open})"
    if f"accuracy_change_{HELDOUT}" in by_key:
        told += f", of held-out runs {_from_to(by_key, f'_{HELDOUT}')}"
    return f"{told}."


def _from_to(by_key: dict[str, Estimate], suffix: str = "") -> str:
    before, after = (by_key[f"accuracy_{word}{suffix}"] for word in ("original", "reconstruction"))
    return f"from {before.value:.1f}% to {after.value:.1f}%"


def _told(estimate: Estimate) -> str:
    if estimate.value is None:
        return "not available"
    limits = ""
    if estimate.lower is not None and estimate.upper is not None:
        limits = f" [{estimate.lower:.3g}, {estimate.upper:.3g}]"
    return f"{estimate.value:.3g}{limits}"
