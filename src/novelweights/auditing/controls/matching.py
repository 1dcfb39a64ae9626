"""The noise at which noised training checkpoints are as novel as generated ones.

The paper picks amplitudes by hand "so that the maximum similarity roughly matches"; here it is
found by Brent's method on the median novelty, with the same noise directions at every amplitude.
Source: paper, section 3.2; the search is ours.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq

NoveltyAt = Callable[[float], Float[np.ndarray, " n"]]
"""Novelty of the noised checkpoints at a noise of this standard deviation."""

FIRST, FACTOR, LEAST = 2.0**-6, 4.0, 2.0**-30
"""The search begins at this share of the largest noise and goes up or down by the factor until the
target lies between two amplitudes; noise below the least share is none in float32."""
TOLERANCE, CLOSE = 1e-3, 1e-4
"""It ends where the median exceeds the target by at most this share of it, or where the amplitude
is known this closely, as a share of it."""


@dataclass(frozen=True)
class MatchedNoise:
    """The result of the search."""

    std: float | None
    """Noise in raw weight units; None: no amplitude reaches the target."""
    reached: float
    """Median novelty at that noise, or the nearest that was reached."""
    note: str


def match_noise(
    target: float,
    novelty_at: NoveltyAt,
    *,
    largest: float,
    higher_is_novel: bool,
    what: str = "training checkpoints",
) -> MatchedNoise:
    """The noise whose median novelty equals the target.

    Args:
        target: Median novelty of the generated checkpoints.
        novelty_at: Evaluates a noise; must use the same random directions each time.
        largest: Noise that surely destroys the networks (the spread of the weights).
        higher_is_novel: Direction of the novelty measure.
        what: What noise is added to, for the note.
    """

    direction = 1 if higher_is_novel else -1
    tried: dict[float, float] = {}

    def excess(std: float) -> float:
        """How much more novel than needed; 0 or more is enough, and what is no number is not."""
        if std not in tried:
            tried[std] = float(np.median(novelty_at(std)))
        more = direction * (tried[std] - target)
        return -np.inf if np.isnan(more) else more

    def result(std: float, note: str) -> MatchedNoise:
        return MatchedNoise(std, tried[std], note)

    if excess(0.0) >= 0:
        return result(0.0, f"generated checkpoints are no more novel than unchanged {what}")
    low = high = largest * FIRST
    while excess(low) >= 0 and low > largest * LEAST:
        low, high = low / FACTOR, low
    while excess(high) < 0 and high < largest:
        low, high = high, min(FACTOR * high, largest)
    if excess(high) < 0:
        note = f"no noise up to {largest:.3g} is as novel as the generated checkpoints"
        return MatchedNoise(None, tried[high], note)
    slack = TOLERANCE * abs(target) / 2

    def beyond_slack(std: float) -> float:
        beyond = excess(std) - slack
        return 0.0 if abs(beyond) <= slack else beyond

    if excess(low) < 0 and beyond_slack(high) > 0:
        brentq(beyond_slack, low, high, xtol=CLOSE * low)
    chosen = min(std for std in tried if excess(std) >= 0)
    return result(chosen, f"Gaussian noise of standard deviation {chosen:.4g} on {what}")
