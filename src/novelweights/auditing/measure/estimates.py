"""Numbers with bootstrap draws, so that a ratio or difference of two has its own interval.

What is drawn again are independent units: generated checkpoints, held-out runs, networks trained
from scratch. A number over the steps of one run is fixed: it has no draws.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from novelweights.auditing.result import Quantity

LEVEL = 0.95
DRAWS = 2000
TINY = 1e-300
FIXED = "Steps of one run are no independent evidence, so there is no interval."
"""Said of numbers over training checkpoints alone."""
AS_IT_IS = "the training checkpoints are taken as they are"
"""Said where only others are drawn again."""


class Words(NamedTuple):
    """What is said of a number."""

    label: str
    """For people."""
    definition: str
    missing: str = ""
    """The definition where there is no value: why, and what to give."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """One number, the count behind it, and what it is when its units are drawn again."""

    value: float | None
    """None: there is nothing to have it of."""
    n: int
    draws: Float[np.ndarray, " draws"] | None = None
    """None: no interval (fixed, or fewer than two units)."""

    def over(self, other: "Estimate") -> "Estimate":
        """The ratio; without a value where the other is 0."""
        if other.value is not None and other.value <= TINY:
            return Estimate(None, 0)
        return self._with(other, lambda one, two: one / np.maximum(two, TINY))

    def less(self, other: "Estimate") -> "Estimate":
        """The difference."""
        return self._with(other, np.subtract)

    def _with(self, other: "Estimate", combine: Callable[..., np.ndarray]) -> "Estimate":
        """A number made of two, whose units are drawn apart from each other."""
        if self.value is None or other.value is None:
            return Estimate(None, 0)
        drawn_again = [e for e in (self, other) if e.draws is not None]
        value = float(combine(self.value, other.value))
        if not drawn_again:
            return Estimate(value, min(self.n, other.n))
        draws = combine(*(e.value if e.draws is None else e.draws for e in (self, other)))
        return Estimate(value, min(e.n for e in drawn_again), draws)

    def quantity(self, key: str, words: "Words", *, unit: str = "", group: str = "") -> Quantity:
        """The number as it is reported, in these words."""
        if self.value is None:
            missing = words.missing or "It could not be had from these checkpoints."
            return Quantity(key, words.label, None, self.n, missing, unit=unit, group=group)
        lower = upper = level = None
        if self.draws is not None:
            tail = (1 - LEVEL) / 2
            lower, upper = map(float, np.quantile(self.draws, [tail, 1 - tail]))
            level = LEVEL
        return Quantity(
            key=key,
            label=words.label,
            value=self.value,
            n=self.n,
            definition=words.definition,
            lower=lower,
            upper=upper,
            level=level,
            unit=unit,
            group=group,
        )


def of_rows(
    values: Float[np.ndarray, " n"] | None,
    rng: np.random.Generator,
    statistic: Callable[..., np.ndarray] = np.mean,
) -> Estimate:
    """A mean or median over independent units.

    Args:
        values: One of each unit; None or none: no value.
        rng: Draws the units again.
        statistic: Of an array along an axis.
    """
    if values is None or not len(values):
        return Estimate(None, 0)
    value = float(statistic(values, axis=0))
    if len(values) < 2:
        return Estimate(value, len(values))
    again = rng.integers(0, len(values), size=(DRAWS, len(values)))
    return Estimate(value, len(values), statistic(values[again], axis=1))


def of_pairs(distances: Float[np.ndarray, "n n"], rng: np.random.Generator) -> Estimate:
    """The mean over all pairs of different units; a unit drawn twice makes no pair with itself."""
    fixed = of_fixed_pairs(distances)
    n = fixed.n
    if n < 3:  # two units drawn again are the same pair or none
        return fixed
    counts = rng.multinomial(n, np.full(n, 1 / n), size=DRAWS).astype(float)
    while (alike := counts.max(axis=1) == n).any():  # one unit n times over has no pairs
        counts[alike] = rng.multinomial(n, np.full(n, 1 / n), size=int(alike.sum()))
    total = ((counts @ distances) * counts).sum(axis=1)
    return Estimate(fixed.value, n, total / (n * n - (counts**2).sum(axis=1)))


def of_fixed_pairs(distances: Float[np.ndarray, "n n"]) -> Estimate:
    """The mean over all pairs of different checkpoints, without an interval."""
    n = len(distances)
    return Estimate(None if n < 2 else float(distances.sum() / (n * (n - 1))), n)
