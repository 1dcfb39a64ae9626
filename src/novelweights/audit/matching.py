"""The noise at which noised training checkpoints are as novel as generated ones.

The paper picks amplitudes by hand "so that the maximum similarity roughly matches"; here it is
found by bisection on the median novelty, with the same noise directions at every amplitude.
Source: paper, section 3.2; the search is ours.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

NoveltyAt = Callable[[float], Float[np.ndarray, " n"]]
"""Novelty of the noised checkpoints at a noise of this standard deviation."""

DOUBLINGS, BISECTIONS, TOLERANCE = 12, 20, 1e-3


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

    def median_at(std: float) -> float:
        return float(np.median(novelty_at(std)))

    def enough(value: float) -> bool:
        return value >= target if higher_is_novel else value <= target

    low, high = 0.0, largest / 2**DOUBLINGS
    value = median_at(0.0)
    if enough(value):
        return MatchedNoise(
            0.0,
            value,
            f"generated checkpoints are no more novel than unchanged {what}",
        )
    for _ in range(DOUBLINGS + 1):
        value = median_at(high)
        if enough(value):
            break
        low, high = high, 2 * high
    else:
        return MatchedNoise(
            None, value, f"no noise up to {largest:.3g} is as novel as the generated checkpoints"
        )
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        at_middle = median_at(middle)
        if enough(at_middle):
            high, value = middle, at_middle
        else:
            low = middle
        if abs(value - target) < TOLERANCE * abs(target) or high - low < 1e-4 * high:
            break
    return MatchedNoise(high, value, f"Gaussian noise of standard deviation {high:.4g} on {what}")
