"""Numbers with bootstrap draws, so that a ratio or difference of two has its own interval.

What is drawn again are independent units: generated checkpoints, held-out runs, networks trained
from scratch. A number over the steps of one run is fixed: it has no draws.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.stats import norm, t

from novelweights.auditing.judge import statistics
from novelweights.auditing.judge.statistics import clopper_pearson, mean, resampled
from novelweights.auditing.result import SHARE, Quantity

LEVEL = 0.95
TINY = 1e-300
FIXED = "Steps of one run are no independent evidence, so there is no interval."
"""Said of numbers over training checkpoints alone."""
AS_IT_IS = "the training checkpoints are taken as they are"
"""Said where only others are drawn again."""


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

    def quantity(
        self,
        key: str,
        label: str,
        definition: str,
        missing: str = "It could not be had from these checkpoints.",
        *,
        unit: str = "",
        group: str = "",
        level: float = LEVEL,
        units: int | None = None,
    ) -> Quantity:
        """The number as it is reported.

        Args:
            missing: The definition where there is no value: why, and what to give.
            units: That were drawn again, two or more, if the interval is to be expanded for so few:
                they vary too little then, less than half of what the level leaves lies beyond each
                limit. Source: Hesterberg 2015, the expanded percentile interval.
        """
        text = missing if self.value is None else definition
        number = Quantity(key, label, self.value, self.n, text, unit=unit, group=group)
        if self.value is None or self.draws is None:
            return number
        tail = (1 - level) / 2
        if units is not None:
            tail = float(norm.cdf(-np.sqrt(units / (units - 1)) * t.ppf(1 - tail, units - 1)))
        lower, upper = map(float, np.quantile(self.draws, [tail, 1 - tail]))
        return replace(number, lower=lower, upper=upper, level=level)


def estimate(
    statistic: Callable[..., np.ndarray],
    *samples: Float[np.ndarray, " _"],
    rng: np.random.Generator,
    fixed: tuple[Float[np.ndarray, " _"], ...] = (),
    n: int | None = None,
    least: int = 1,
) -> Estimate:
    """A statistic of independent samples, each drawn again by row.

    Args:
        statistic: Takes as many arrays as there are samples, of shape (*draws, rows).
        fixed: Further samples of the statistic that are not drawn again.
        n: The count behind it; None: all rows.
        least: Of fewer rows there is no interval: one drawn again is the same.
    """
    value = float(statistic(*samples, *fixed))
    draws = resampled(lambda *drawn: statistic(*drawn, *fixed), *samples, rng=rng)
    n = sum(map(len, (*samples, *fixed))) if n is None else n
    return Estimate(value, n, draws if min(map(len, samples)) >= least else None)


def of_rows(
    values: Float[np.ndarray, " n"] | None,
    rng: np.random.Generator,
    statistic: Callable[..., np.ndarray] = mean,
) -> Estimate:
    """A mean or median over independent units, as far as there are any."""
    if values is None or not len(values):
        return Estimate(None, 0)
    return estimate(statistic, values, rng=rng, least=2)


def of_pairs(distances: Float[np.ndarray, "n n"], rng: np.random.Generator) -> Estimate:
    """The mean over all pairs of different units; a unit drawn twice makes no pair with itself."""
    fixed = of_fixed_pairs(distances)
    n = fixed.n
    if n < 3:  # two units drawn again are the same pair or none
        return fixed
    counts = rng.multinomial(n, np.full(n, 1 / n), size=statistics.DRAWS).astype(float)
    while (alike := counts.max(axis=1) == n).any():  # one unit n times over has no pairs
        counts[alike] = rng.multinomial(n, np.full(n, 1 / n), size=int(alike.sum()))
    total = ((counts @ distances) * counts).sum(axis=1)
    return Estimate(fixed.value, n, total / (n * n - (counts**2).sum(axis=1)))


def of_fixed_pairs(distances: Float[np.ndarray, "n n"]) -> Estimate:
    """The mean over all pairs of different checkpoints, without an interval."""
    n = len(distances)
    return Estimate(None if n < 2 else float(distances.sum() / (n * (n - 1))), n)


def share_of(
    key: str, label: str, count: int, n: int, definition: str, group: str = ""
) -> Quantity:
    """A share of n checkpoints with exact limits."""
    lower, upper = clopper_pearson(count, n, level=LEVEL)
    return Quantity(key, label, count / n, n, definition, lower, upper, LEVEL, SHARE, group)
