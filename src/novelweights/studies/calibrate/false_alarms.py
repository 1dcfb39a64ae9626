"""How surely the false-alarm rates are known: the pools of runs are finite.

The 200 audits of a zoo draw from one pool of held-out and one of fresh runs, so they are not
independent. Both pools are resampled with replacement; how much the rates of the resamples differ,
beyond what the few audits inside each do, is the error due to the pools. Source: ours.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from novelweights.seeding import numpy_rng_for
from novelweights.studies.calibrate.measured import Measured
from novelweights.studies.calibrate.plants import FRESH
from novelweights.studies.calibrate.repetitions import alarms, audit_rows
from novelweights.studies.calibrate.zoos import Sizes
from novelweights.tasks.task import Measure

Z95 = 1.96


def pool_errors(
    zoo: str,
    measured: Sequence[Measured],
    sizes: Sizes,
    n_heldout: int,
    b: int,
    seed: int,
    quality: Measure,
) -> Float[np.ndarray, "inner rates"]:
    """Rates of false alarms in the b-th resample of the pools, one row per audit inside it.

    Args:
        zoo: Its name, for the seed.
        measured: All its training populations, taken in turn.
        sizes: How many audits per resample.
        n_heldout: Held-out runs of each.
        b: Which resample.
        seed: Root of all randomness.
        quality: The task's measure of quality.
    """
    rng = numpy_rng_for(seed, zoo, "pool", n_heldout, b)
    pool = len(measured[0].null.fresh)
    heldout = rng.integers(0, pool, pool)
    [fresh] = [kind.rows for kind in measured[0].kinds if kind.key == FRESH]
    rows = {FRESH: fresh.start + rng.integers(0, fresh.stop - fresh.start, sizes.fresh_drawn)}
    rates = []
    for i in range(sizes.inner):
        some = rng.choice(heldout, n_heldout, replace=False)
        one = measured[(b * sizes.inner + i) % len(measured)]
        rates.append(alarms(audit_rows(one, some, rows, quality)))
    return np.stack(rates)


def intervals(
    rates: Float[np.ndarray, "repetitions rates"],
    resampled: Float[np.ndarray, "bootstraps inner rates"],
) -> tuple[Float[np.ndarray, " rates"], Float[np.ndarray, " rates"]]:
    """95% intervals of the mean rates, not below 0.

    The variance is that between resamples of the pools, less what the audits inside them add, plus
    that of the mean over the repetitions themselves.

    Args:
        rates: One row per repetition.
        resampled: The rates inside each resample.
    """
    n_inner = resampled.shape[1]
    between = resampled.mean(axis=1).var(axis=0, ddof=1)
    within = resampled.var(axis=1, ddof=1).mean(axis=0) / n_inner
    own = rates.var(axis=0, ddof=1) / len(rates)
    half = Z95 * np.sqrt(np.maximum(between - within, 0.0) + own)
    middle = rates.mean(axis=0)
    return np.maximum(middle - half, 0.0), middle + half
