"""Statistics of an audit: ranks among held-out runs, shares with limits, bootstrap intervals.

Held-out runs are new runs of the training recipe that no generator saw, so an honest new network
is exchangeable with them: ranks among them are valid in any dimension, for any measure. Sources:
DESIGN section 5 (copied share, ours); Clopper and Pearson; Mann and Whitney.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped
from scipy.optimize import brentq
from scipy.stats import beta, betabinom, binom, mannwhitneyu
from threadpoolctl import threadpool_limits

EXACT_PAIRS = 100_000
"""Up to this many pairs the rank test is exact; beyond, its normal approximation is as good."""
DRAWS = 2000
"""Of a bootstrap."""
BLOCK = 2**22
"""So many numbers are drawn at once in a bootstrap."""

_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(200)


def rank_low(
    values: Float[np.ndarray, " m"], heldout: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " m"]:
    """(1 + number of held-out values at most as large) / (n + 1): small = beyond on the low side.

    A p-value for every value, exact under exchangeability.
    """
    at_most = np.searchsorted(np.sort(heldout), values, side="right")
    return (1 + at_most) / (len(heldout) + 1)


def rank_high(
    values: Float[np.ndarray, " m"], heldout: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " m"]:
    """(1 + number of held-out values at least as large) / (n + 1)."""
    return rank_low(-values, -heldout)


@dataclass(frozen=True)
class Share:
    """A share of m checkpoints that are beyond held-out runs, corrected for those expected."""

    count: int
    """K, checkpoints beyond the r-th most extreme held-out run."""
    m: int
    n_heldout: int
    estimate: float
    lower: float
    """2.5% limit."""
    upper: float
    """97.5% limit; holds for checkpoints that the measure can tell from held-out runs."""
    p_value: float
    """That held-out runs alone would give K or more; exact."""


def share_beyond(count: int, m: int, n_heldout: int, *, r: int = 1) -> Share:
    """Share of checkpoints beyond the r-th most extreme of n held-out runs, with limits.

    Held-out runs fall beyond with a probability u ~ Beta(r, n + 1 - r), so their count is
    beta-binomial. Estimate (K/m - f)/(1 - f) with f = r/(n + 1); the lower limit is the share pi
    at which K or more has probability 0.025; the upper is Clopper-Pearson's of K/m.

    Raises:
        ValueError: Counts out of range.
    """
    if not 0 <= count <= m or m < 1 or n_heldout < r:
        raise ValueError(f"{count} of {m} with {n_heldout} held-out runs, r = {r}")
    f = r / (n_heldout + 1)
    p_value = float(_tails(m, n_heldout, r)[count])
    u = beta.ppf((_NODES + 1) / 2, r, n_heldout + 1 - r)

    def excess(pi: float) -> float:
        tail = binom.sf(count - 1, m, pi + (1 - pi) * u)
        return float((_NODE_WEIGHTS / 2) @ tail) - 0.025

    lower = 0.0
    if count and excess(0.0) < 0:
        lower = 1.0
        if excess(1.0) > 0:
            root = brentq(excess, 0.0, 1.0, xtol=1e-6)
            lower = float(np.asarray(root))
    return Share(
        count=count,
        m=m,
        n_heldout=n_heldout,
        estimate=max(0.0, (count / m - f) / (1 - f)),
        lower=lower,
        upper=clopper_pearson(count, m)[1],
        p_value=p_value,
    )


def smallest_detectable(m: int, n_heldout: int, *, r: int = 1, size: float = 0.05) -> int | None:
    """The smallest count K that the share test calls more than chance; None if even m is not."""
    rejected = np.flatnonzero(_tails(m, n_heldout, r) <= size)
    return int(rejected[0]) if len(rejected) else None


def _tails(m: int, n_heldout: int, r: int) -> Float[np.ndarray, " counts"]:
    """P(K >= 0), ..., P(K >= m) for held-out runs, summed from the small end to keep digits."""
    mass = betabinom.pmf(np.arange(m + 1), m, r, n_heldout + 1 - r)
    return np.minimum(np.cumsum(mass[::-1])[::-1], 1.0)


def clopper_pearson(count: int, m: int, *, level: float = 0.95) -> tuple[float, float]:
    """Exact limits of a binomial probability."""
    tail = (1 - level) / 2
    lower = float(beta.ppf(tail, count, m - count + 1)) if count else 0.0
    upper = float(beta.ppf(1 - tail, count + 1, m - count)) if count < m else 1.0
    return lower, upper


def mean(values: Float[np.ndarray, "*draws n"]) -> Float[np.ndarray, "*draws"]:
    """The mean of each draw, for `resampled`."""
    return np.asarray(np.mean(values, axis=-1))


def median(values: Float[np.ndarray, "*draws n"]) -> Float[np.ndarray, "*draws"]:
    """The median of each draw, for `resampled`."""
    return np.asarray(np.median(values, axis=-1))


def resampled(
    statistic: Callable[..., np.ndarray],
    *samples: Shaped[np.ndarray, " _"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "draws ..."]:
    """A statistic of independent samples, each drawn again by row `DRAWS` times (bootstrap).

    Rows must be independent runs (or samples); rows of one run are no independent evidence.

    Args:
        statistic: Takes as many arrays as there are samples, of shape (some draws, rows), and
            gives one number per draw, or a row of them.
        samples: Of one or several populations.
        rng: Source of the draws.

    Raises:
        ValueError: There is nothing to draw.
    """
    if not all(map(len, samples)):
        raise ValueError(f"nothing to draw: samples of {[*map(len, samples)]} rows")
    block = max(1, BLOCK // sum(map(len, samples)))
    values = []
    for first in range(0, DRAWS, block):
        n = min(block, DRAWS - first)
        drawn = [np.empty((n, len(sample)), sample.dtype) for sample in samples]
        for i in range(n):
            for again, sample in zip(drawn, samples, strict=True):
                again[i] = sample[rng.integers(0, len(sample), len(sample))]
        values.append(statistic(*drawn))
    return np.concatenate(values)


def nearer_probability(
    values: Float[np.ndarray, " m"], heldout: Float[np.ndarray, " n"]
) -> tuple[float, float]:
    """P(a value is below a held-out value), ties counted half, and the two-sided p-value.

    Exact Mann-Whitney up to `EXACT_PAIRS` pairs without ties, else the normal approximation.
    """
    joint = np.concatenate([values, heldout])
    exact = len(np.unique(joint)) == len(joint) and len(values) * len(heldout) <= EXACT_PAIRS
    with threadpool_limits(1, "blas"):  # hundreds of tiny products: a second thread only waits
        test = mannwhitneyu(
            heldout, values, alternative="two-sided", method="exact" if exact else "asymptotic"
        )
    return float(test.statistic / (len(values) * len(heldout))), float(test.pvalue)
