"""Whether a claim of the paper holds in our runs, by one rule that knows no exhibit.

A claim is a number on the paper's own scale whose sign is the claim: positive as the paper finds
it. It agrees if our interval excludes 0 and our number is at least half the paper's, disagrees if
our interval lies below half the paper's, and else our runs are too small to tell. Source: ours.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from jaxtyping import Float

from novelweights.auditing.judge.statistics import mean, resampled
from novelweights.auditing.measure.estimates import LEVEL
from novelweights.reproduce.reported import PaperEffect
from novelweights.seeding import numpy_rng_for

HALF = 0.5


class Outcome(StrEnum):
    """What our runs say of a claim."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    TOO_SMALL = "too small to tell"


@dataclass(frozen=True)
class Effect:
    """A number with its interval."""

    value: float
    lower: float
    upper: float
    n: int
    """Checkpoints behind it."""


@dataclass(frozen=True)
class ClaimRow:
    """One claim of the paper, of one method."""

    claim: str
    method: str
    exhibit: str
    """Of the paper."""
    unit: str
    """Of the effect."""
    paper: PaperEffect
    effect: Effect
    also: Sequence[tuple[str, Effect]] = ()
    """Other ways to measure the same; where one does not agree, the claim does not."""
    quality: Mapping[str, Any] = field(default_factory=dict)
    """How well generated and training checkpoints do; it stands beside and decides nothing."""

    @property
    def outcome(self) -> Outcome:
        """By the rule; the ways to measure must all agree."""
        found = [
            outcome_of(one, self.paper.effect) for one in (self.effect, *(e for _, e in self.also))
        ]
        if len(set(found)) == 1:
            return found[0]
        return Outcome.TOO_SMALL if found[0] is Outcome.AGREES else found[0]

    def to_json(self) -> dict[str, Any]:
        """Plain data, one row of `outcomes.json`."""
        return {
            "claim": self.claim,
            "method": self.method,
            "exhibit": self.exhibit,
            "unit": self.unit,
            "paper": self.paper.text,
            "paper_effect": self.paper.effect,
            **asdict(self.effect),
            "also": {how: asdict(effect) for how, effect in self.also},
            "outcome": str(self.outcome),
            "quality": dict(self.quality),
        }


def outcome_of(effect: Effect, paper: float) -> Outcome:
    """The rule: `paper` is the paper's effect, positive or negative as it finds it."""
    sign = 1.0 if paper >= 0 else -1.0
    value, lower, upper = (sign * x for x in (effect.value, effect.lower, effect.upper))
    lower, upper = min(lower, upper), max(lower, upper)
    if lower > 0 and value >= HALF * abs(paper):
        return Outcome.AGREES
    return Outcome.DISAGREES if upper < HALF * abs(paper) else Outcome.TOO_SMALL


def less_than(
    values: Float[np.ndarray, " n"], others: Float[np.ndarray, " m"], *labels: str
) -> Effect:
    """By which share the mean of some values lies below that of others: 1 - mean / mean."""
    return _effect(lambda a, b: 1 - mean(a) / mean(b), (values, others), labels)


def more_than(
    values: Float[np.ndarray, " n"], others: Float[np.ndarray, " m"], *labels: str
) -> Effect:
    """By how much the mean of some values lies above that of others."""
    return _effect(lambda a, b: mean(a) - mean(b), (values, others), labels)


def mean_of(values: Float[np.ndarray, " n"], *labels: str) -> Effect:
    """The mean of some values, such as differences within pairs."""
    return _effect(mean, (values,), labels)


def of_means(
    statistic: Callable[..., np.ndarray], samples: Sequence[np.ndarray], *labels: str
) -> Effect:
    """A function of the means of several independent samples."""
    return _effect(lambda *values: statistic(*map(mean, values)), samples, labels)


def _effect(
    statistic: Callable[..., np.ndarray], samples: Sequence[np.ndarray], labels: Sequence[str]
) -> Effect:
    """A statistic of independent samples, with its percentile interval."""
    draws = resampled(statistic, *samples, rng=numpy_rng_for(0, "outcomes", *labels))
    tail = (1 - LEVEL) / 2
    lower, upper = np.quantile(draws, [tail, 1 - tail])
    return Effect(float(statistic(*samples)), float(lower), float(upper), sum(map(len, samples)))
