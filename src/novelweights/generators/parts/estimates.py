"""What the experiments on a fitted generator share: limits of intervals, numbers as plain data."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy.stats import norm, t

from novelweights.generators.parts.gap import six_digits


def expanded_tail(n: int, level: float) -> float:
    """Share of bootstrap draws beyond each limit of an interval, for n > 1 units drawn again.

    Less than half of what the level leaves, as few units vary too little when drawn again.
    Source: Hesterberg 2015, the expanded percentile interval.
    """
    return float(norm.cdf(-np.sqrt(n / (n - 1)) * t.ppf((1 + level) / 2, n - 1)))


def six_digit_limits(estimates: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same entries with `value`, `lower` and `upper` to 6 digits; None stays None."""
    return [
        estimate
        | {
            name: None if estimate[name] is None else six_digits(estimate[name])
            for name in ("value", "lower", "upper")
        }
        for estimate in estimates
    ]
