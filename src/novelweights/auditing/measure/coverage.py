"""How much of the training set a generator reproduces, beyond the rows its samples happened to hit.

Replicas are counted by the training row they copy. How often rows were hit once or twice tells how
many were not hit yet, as in counting species. It holds for replicas drawn independently, and for
the copies that the audit can see. Sources: Good 1953 and Esty 1983 (share of what is unseen), Chao
1984 and 1987 (number of kinds); paper, appendix H, for the question.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from scipy.stats import norm

from novelweights.auditing.judge.statistics import clopper_pearson
from novelweights.auditing.result import SHARE, Quantity

LEVEL = 0.95
_Z = float(norm.ppf((1 + LEVEL) / 2))


@dataclass(frozen=True)
class Coverage:
    """What k replicas tell about the training rows a generator reproduces; limits at 95%."""

    replicas: int
    """k."""
    n_train: int
    reproduced: int
    """Distinct training rows among the k."""
    unseen: float | None
    """Share of all replicas to come that copy a row not reproduced yet; None without replicas."""
    unseen_lower: float | None
    unseen_upper: float | None
    reproducible: float | None
    """Estimated training rows that the generator can reproduce; None without replicas."""
    reproducible_lower: float | None
    reproducible_upper: float | None

    @property
    def reproducible_share(self) -> tuple[float, float, float] | None:
        """Estimate and limits of the reproducible rows as shares of n_train."""
        counts = (self.reproducible, self.reproducible_lower, self.reproducible_upper)
        shares = [x / self.n_train for x in counts if x is not None]
        return (shares[0], shares[1], shares[2]) if len(shares) == 3 else None


def coverage(hits: Int[np.ndarray, " k"], n_train: int) -> Coverage:
    """How many training rows the replicas reproduce, and how many they could.

    Args:
        hits: The training row that each replica copies, in [0, n_train).
        n_train: Training rows in all.

    Returns:
        Shares in [0, 1], counts in training rows. The unseen share is Good and Turing's f1 / k,
        with the wider of Esty's normal limits and Clopper and Pearson's for f1 of k. The number of
        reproducible rows is the bias-corrected Chao1 with its log-normal limits, rounded outwards
        to whole rows and capped at n_train. Where no row was hit twice nothing bounds the number
        from above, and the upper limit is n_train.

    Raises:
        ValueError: A row out of range.

    Chao1 estimates a lower bound: rows that are copied far more rarely than others are missed. In
    1,000 simulations each with 5 to 1,000 replicas the limits of the unseen share held the truth
    in 90% or more everywhere. The lower limit of the number held in 98% or more everywhere; both
    limits together, where 50 of 100 rows are copied equally often, in 82% (5 replicas), 86% (20),
    96% (50) and more; 1,000 rows copied equally often in 66% (50) to 99%; with unequal chances
    (linear, 1/rank, log-normal) in 43 to 83% below 50 replicas, 80 to 92% at 50 to 100, 88% and
    more from 200 on. Nearly all misses were upper limits too low: read the number as "at least".
    """
    if n_train < 1 or (len(hits) and not 0 <= hits.min() <= hits.max() < n_train):
        raise ValueError(f"hits must be rows of the {n_train} training checkpoints")
    k, counts = len(hits), np.unique(hits, return_counts=True)[1]
    if k == 0:
        return Coverage(0, n_train, 0, None, None, None, None, None, None)
    unseen = (0.0, 0.0, 0.0) if len(counts) == n_train else _unseen(counts)
    return Coverage(k, n_train, len(counts), *unseen, *_reproducible(counts, n_train))


def coverage_quantities(coverage: Coverage) -> list[Quantity]:
    """The numbers of a coverage for a report."""
    k, n = coverage.replicas, coverage.n_train
    share = coverage.reproducible_share or (None, None, None)
    limits = LEVEL if k else None
    none = "" if k else " No sample is a replica, so it cannot be had."
    return [
        Quantity(
            key="reproduced_share",
            label="Training checkpoints reproduced",
            value=coverage.reproduced / n,
            n=n,
            unit=SHARE,
            definition=f"Share of the {n} training checkpoints of which at least one of the {k} "
            "replicas among the samples is a copy.",
        ),
        Quantity(
            key="unseen_replica_share",
            label="Further replicas that would copy yet another checkpoint",
            value=coverage.unseen,
            lower=coverage.unseen_lower,
            upper=coverage.unseen_upper,
            level=limits,
            n=k,
            unit=SHARE,
            definition="Estimated share of further replicas that would copy a training checkpoint "
            f"not reproduced so far: those copied exactly once, over {k} replicas (Good-Turing). "
            f"0: more samples would show nothing new.{none}",
        ),
        Quantity(
            key="reproducible_share",
            label="Training checkpoints it could reproduce, at least",
            value=share[0],
            lower=share[1],
            upper=share[2],
            level=limits,
            n=k,
            unit=SHARE,
            definition=f"Estimated share of the {n} training checkpoints that more samples would "
            "reproduce, from how many were copied once and twice (Chao1, bias-corrected; "
            f"log-normal limits). Too low where some are copied far more rarely than others.{none}",
        ),
    ]


def _unseen(counts: Int[np.ndarray, " rows"]) -> tuple[float, float, float]:
    """Good-Turing share of the mass of rows that were not hit, with limits."""
    k, once, twice = int(counts.sum()), int((counts == 1).sum()), int((counts == 2).sum())
    share = once / k
    spread = _Z * math.sqrt(once * (1 - share) + 2 * twice) / k
    lower, upper = clopper_pearson(once, k, level=LEVEL)
    return share, max(0.0, min(lower, share - spread)), min(1.0, max(upper, share + spread))


def _reproducible(counts: Int[np.ndarray, " rows"], n_train: int) -> tuple[float, float, float]:
    """Chao1 and its limits, in rows.

    The variance is that of the bias-corrected form; the limits are those of Chao 1987, and where
    nothing is added to the seen rows those for a complete count.
    """
    k, seen = int(counts.sum()), len(counts)
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    a = (k - 1) / k
    added = a * once * (once - 1) / (2 * (twice + 1))
    estimate = seen + added
    if added > 0:
        variance = added + a**2 * once * (2 * once - 1) ** 2 / (4 * (twice + 1) ** 2)
        if twice:
            variance += a**2 * once**2 * twice * (once - 1) ** 2 / (4 * (twice + 1) ** 4)
        else:
            variance -= a**2 * once**4 / (4 * estimate)
        factor = math.exp(_Z * math.sqrt(math.log1p(max(variance, 0.0) / added**2)))
        lower, upper = seen + added / factor, seen + added * factor
    else:
        missed = float(np.exp(-counts.astype(float)).mean())
        center, spread = seen / (1 - missed), _Z * math.sqrt(seen * missed) / (1 - missed)
        lower, upper = max(float(seen), center - spread), center + spread
    most = float(n_train)
    if once == k:
        upper = most
    lower, upper = float(math.floor(lower)), float(math.ceil(upper))
    return min(estimate, most), min(lower, most), min(upper, most)
