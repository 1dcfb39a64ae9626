"""Whether samples concentrate around the mean of the training run, as averages of its steps do.

Source: paper, section 3.3 (figures 7, 16 and 17, by eye); the numbers are ours. Baselines are
measured by the same code: what averages of 16 and Gaussian draws give is what to compare with.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.auditing.judge import statistics
from novelweights.auditing.judge.statistics import median
from novelweights.auditing.measure.estimates import AS_IT_IS, FIXED, Estimate, of_rows, share_of
from novelweights.auditing.one_run.distances import NO_HELDOUT, NO_SCRATCH
from novelweights.auditing.result import Measurements, Quantity
from novelweights.seeding import numpy_rng_for

N_PARAMETERS = 4096
"""Parameters of which spread and shift are taken; of more, so many drawn at random."""
COLUMNS, BLOCK = 1 << 16, 250
"""Weights of a row that are in float64 at a time, and bootstrap draws at a time."""
MADE = {"generated": "generated", "average_16": "averages of 16", "gaussian": "Gaussian draws"}
"""Kinds that are made from training checkpoints, by their part of a key."""
DRAWN = {
    "generated": "samples",
    "average_16": "these averages",
    "gaussian": "these draws",
    "heldout": "held-out runs",
    "from_scratch": "these networks",
}
"""What is drawn again for an interval, by kind."""
_NO_BASELINE = "There are too few training checkpoints to average 16."


def center_quantities(
    train: Float[Tensor, "n d"],
    rows: Mapping[str, Tensor],
    heldout: Float[Tensor, "h d"] | None,
    *,
    group: str,
    seed: int,
) -> list[Quantity]:
    """Distances to the mean of the run, and spread and shift of single parameters.

    Args:
        rows: Weights of the kinds in `MADE`, as far as there are any.
        heldout: The last checkpoint of each held-out run.
    """
    rng = numpy_rng_for(seed, "bootstrap", "one run", "center")
    middle = mean_of(train)
    usual = distances_to(middle, train)
    typical = Estimate(float(np.median(usual)), len(usual))
    to_mean = {key: distances_to(middle, weights) for key, weights in rows.items()}
    heldout_to_mean = None if heldout is None else distances_to(middle, heldout)
    medians = {key: of_rows(to_mean.get(key), rng, median) for key in MADE}
    medians["heldout"] = of_rows(heldout_to_mean, rng, median)
    numbers = [
        typical.quantity(
            "center_training",
            "Median distance to the mean of training, training",
            "Median plain L2 distance of training checkpoints to their mean (each is 1/n of it). "
            f"{FIXED}",
            group=group,
        )
    ]
    for key, one in medians.items():
        who = MADE.get(key, "held-out")
        missing = NO_HELDOUT if key == "heldout" else _NO_BASELINE
        words = (
            f"Median distance to the mean of training, {who}",
            f"Median plain L2 distance to the mean of the training checkpoints: {who}. "
            f"{_again(key)}",
            missing,
        )
        numbers.append(one.quantity(f"center_{key}", *words, group=group))
        words = (
            f"Distance to the mean, {who} over training",
            "That median over the one of training checkpoints. Below 1: nearer to the mean than "
            "these are; a draw from their own distribution gives about 1, an average of 16 "
            f"independent ones 1/4. {_again(key)}",
            missing,
        )
        numbers.append(one.over(typical).quantity(f"center_ratio_{key}", *words, group=group))
    for key, values in to_mean.items():
        numbers.append(
            share_of(
                f"nearer_center_{key}",
                f"Nearer to the mean than the median training checkpoint, {MADE[key]}",
                int((values < np.median(usual)).sum()),
                len(values),
                f"Share of checkpoints ({MADE[key]}) whose plain L2 distance to the mean of the "
                "training checkpoints is below the median of training checkpoints. Clopper-Pearson "
                f"limits; {AS_IT_IS}.",
                group,
            )
        )
    return numbers + _by_parameter(train, rows, rng, group)


def likeness_quantities(
    train: Float[Tensor, "n d"],
    generated: Measurements,
    scratch: Measurements | None,
    *,
    group: str,
    seed: int,
) -> list[Quantity]:
    """How far weights are from those of the nearest training checkpoint, as a heatmap shows it.

    Source: ours; the paper looks at figures 2 and 11.
    """
    rng = numpy_rng_for(seed, "bootstrap", "one run", "likeness")
    spread = float(mean_of(train).std())
    length = Estimate(spread * np.sqrt(train.shape[1]), 1)
    numbers = []
    for key, of, who in (
        ("generated", generated, "generated"),
        ("from_scratch", scratch, "from scratch"),
    ):
        words = (
            f"Difference from the nearest training checkpoint per weight, {who}",
            "Root mean square difference of a weight from the nearest training checkpoint's, over "
            "the standard deviation of the weights of one network (how far their colors in a "
            f"heatmap differ); mean over checkpoints: {who}. {_again(key)}",
            NO_SCRATCH,
        )
        one = of_rows(None if of is None else of.raw_distance, rng).over(length)
        numbers.append(one.quantity(f"weight_difference_{key}", *words, group=group))
    return numbers


def mean_of(weights: Float[Tensor, "n d"]) -> Float[np.ndarray, " d"]:
    """The mean of checkpoints, in float64."""
    return np.concatenate(
        [weights[:, part].double().mean(dim=0).numpy() for part in _parts(weights)]
    )


def distances_to(
    center: Float[np.ndarray, " d"], weights: Float[Tensor, "n d"]
) -> Float[np.ndarray, " n"]:
    """Plain L2 distance of every checkpoint to one point, by direct differences in float64."""
    total = np.zeros(len(weights))
    for part in _parts(weights):
        total += np.square(weights[:, part].double().numpy() - center[part]).sum(axis=1)
    return np.sqrt(total)


def _parts(weights: Tensor) -> Iterator[slice]:
    """Columns, some at a time: whole rows of large networks need not be there in float64."""
    for start in range(0, weights.shape[1], COLUMNS):
        yield slice(start, start + COLUMNS)


def _again(key: str) -> str:
    """What an interval allows for, of a kind in `DRAWN`."""
    return f"Bootstrap over {DRAWN[key]}; {AS_IT_IS}."


def _by_parameter(
    train: Float[Tensor, "n d"], rows: Mapping[str, Tensor], rng: np.random.Generator, group: str
) -> list[Quantity]:
    """Spread and shift of single parameters, beside those of the training run."""
    picked = torch.from_numpy(np.sort(rng.permutation(train.shape[1])[:N_PARAMETERS]))
    steps = train[:, picked].double().numpy()
    center, spread = steps.mean(axis=0), steps.std(axis=0, ddof=1)
    varies = spread > 0
    of = "parameters" if len(picked) == train.shape[1] else f"{len(picked):,} random parameters"
    spreads, shifts = [], []
    for key, weights in rows.items():
        values = weights[:, picked].double().numpy()
        scaled = (values[:, varies] - center[varies]) / spread[varies]
        one, other = _spread_and_shift(scaled, rng)
        words = (
            f"Standard deviation per parameter, {MADE[key]} over training",
            f"Median over {of} of the standard deviation of {MADE[key]} over that of training "
            f"checkpoints. {_again(key)}",
            "Fewer than two checkpoints, or training checkpoints that do not vary.",
        )
        spreads.append(one.quantity(f"spread_{key}", *words, group=group))
        words = (
            f"Shift of the mean per parameter, {MADE[key]}",
            f"Median over {of} of the distance between the mean of {MADE[key]} and that of "
            "training checkpoints, in standard deviations of the training checkpoints; of n "
            f"independent draws from a Gaussian about 0.67/sqrt(n) is due to chance. {_again(key)}",
            words[2],
        )
        shifts.append(other.quantity(f"shift_{key}", *words, group=group))
    return spreads + shifts


def _spread_and_shift(
    scaled: Float[np.ndarray, "n p"], rng: np.random.Generator
) -> tuple[Estimate, Estimate]:
    """Medians over parameters of the standard deviation, and of the size of the mean."""
    n, p = scaled.shape
    if n < 2 or p == 0:
        return Estimate(None, n), Estimate(None, n)
    squares = np.square(scaled)

    def medians(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        means = counts @ scaled / n
        variances = np.maximum(counts @ squares / n - np.square(means), 0) * n / (n - 1)
        return np.median(np.sqrt(variances), axis=1), np.median(np.abs(means), axis=1)

    counts = rng.multinomial(n, np.full(n, 1 / n), size=statistics.DRAWS).astype(float)
    blocks = [medians(counts[start : start + BLOCK]) for start in range(0, statistics.DRAWS, BLOCK)]
    spread, shift = (np.concatenate(part) for part in zip(*blocks, strict=True))
    value_spread = float(np.median(scaled.std(axis=0, ddof=1)))
    value_shift = float(np.median(np.abs(scaled.mean(axis=0))))
    return _centered(value_spread, n, spread), _centered(value_shift, n, shift)


def _centered(value: float, n: int, draws: Float[np.ndarray, " draws"]) -> Estimate:
    """An estimate >= 0 whose draws lie around it: drawn again, equal rows shrink a standard
    deviation, and the noise of a mean comes twice."""
    return Estimate(value, n, np.maximum(draws - draws.mean() + value, 0))
