"""From measured rows to the results of one zoo: hundreds of audits, and their averages.

The audits of a zoo draw from one pool of held-out and one of fresh runs, so they are not
independent. Both pools are resampled with replacement; how much the rates of the resamples differ,
beyond what the few audits inside each do, is the error due to the pools. Source: ours.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import numpy as np
from jaxtyping import Float

from novelweights.auditing.judge.criteria import Verdict
from novelweights.auditing.measures import ACCUSING
from novelweights.metrics.alignment import Alignment
from novelweights.seeding import numpy_rng_for
from novelweights.studies.calibrate.measured import Kind, Measured
from novelweights.studies.calibrate.plants import FRESH
from novelweights.studies.calibrate.pool import Pool, Tell
from novelweights.studies.calibrate.repetitions import (
    ALARMS,
    CALLED,
    Repetition,
    alarms,
    audit_rows,
    repeat,
)
from novelweights.studies.calibrate.results import (
    OTHERS,
    FalseAlarm,
    KindInfo,
    Outcome,
    PopulationOutcome,
    ShareLimits,
    ZooResult,
)
from novelweights.studies.calibrate.zoos import Sizes

Z95 = 1.96


def judge_zoo(
    pool: Pool, measured: Sequence[Measured], sizes: Sizes, seed: int, tell: Tell
) -> ZooResult:
    """Audit a zoo again and again."""
    zoo, data = pool.zoo, pool.task.data
    outcomes, false_alarms, shares, populations = [], [], [], []
    for n_heldout in sizes.n_heldout:
        stage = f"{zoo.name}: audits with {n_heldout} held-out runs"
        repetitions, resampled = [], []
        for i in range(sizes.repetitions):
            tell(stage, i, sizes.repetitions)
            repetitions.append(repeat(pool, measured, sizes, n_heldout, i, seed))
        for b in range(sizes.bootstraps):
            tell(f"{stage}, pools resampled", b, sizes.bootstraps)
            resampled.append(pool_errors(pool, measured, sizes, n_heldout, b, seed))
        outcomes += _outcomes(repetitions, measured[0].kinds, n_heldout)
        false_alarms += _false_alarms(repetitions, np.stack(resampled), n_heldout)
        shares += _shares(repetitions, n_heldout)
        populations += _populations(repetitions, n_heldout)
    tell(f"{zoo.name}: done", 1, 1)
    alignment = Alignment.of(zoo.network.layout, zoo.network.symmetry)
    quality = {
        "training": _mean([_mean(_known(one.training.quality)) for one in measured]),
        "heldout": _mean(_known(measured[0].null.runs.quality)),
        "fresh": _mean(_known(measured[0].planted.quality)[_rows(measured[0].kinds, FRESH)]),
    }
    return ZooResult(
        name=zoo.name,
        description=zoo.description,
        architecture=zoo.network.name,
        weights=zoo.network.layout.size,
        symmetry=alignment.describe() if alignment is not None else "none",
        is_shared=zoo.is_shared,
        data=f"{data.name} ({data.source}): {len(data.train_y):,} training and "
        f"{len(data.test_y):,} test images",
        training=asdict(zoo.recipe),
        quality={name: round(value, 3) for name, value in quality.items()},
        spacing=[round(one.spacing, 4) for one in measured],
        kinds=[_kind(i, measured) for i in range(len(measured[0].kinds))],
        outcomes=outcomes,
        false_alarms=false_alarms,
        shares=shares,
        populations=populations,
        is_exact=all(one.is_exact for one in measured),
        certified=_mean([one.certified for one in measured]),
    )


def _outcomes(
    repetitions: Sequence[Repetition], kinds: Iterable[Kind], n_heldout: int
) -> list[Outcome]:
    accused = np.isin([*Verdict], CALLED["accused"])
    outcomes = []
    for kind in kinds:
        counts = np.stack([one.counts[kind.key] for one in repetitions])
        m = int(counts[0].sum())
        shares = counts / m  # (repetitions, verdicts)
        seen = shares[:, accused].sum(axis=1)
        right = shares[:, np.isin([*Verdict], kind.expected)].sum(axis=1)
        outcomes.append(
            Outcome(
                kind=kind.key,
                n_heldout=n_heldout,
                m=m,
                verdicts={str(v): _mean(s) for v, s in zip(Verdict, shares.T, strict=True)},
                found=_mean(seen),
                found_range=[round(float(q), 4) for q in np.quantile(seen, [0.025, 0.975])],
                right=_mean(right),
            )
        )
    return outcomes


def _false_alarms(
    repetitions: Sequence[Repetition], resampled: np.ndarray, n_heldout: int
) -> list[FalseAlarm]:
    rates = np.stack([one.alarms for one in repetitions])
    rows = []
    for (test, r), *values in zip(
        ALARMS, rates.mean(axis=0), *intervals(rates, resampled), strict=True
    ):
        nominal = (len(ACCUSING) if test == "accused" else r) / (n_heldout + 1)
        numbers = (round(float(value), 5) for value in (nominal, *values))
        rows.append(FalseAlarm(test, r, n_heldout, *numbers))
    return rows


def _shares(repetitions: Sequence[Repetition], n_heldout: int) -> list[ShareLimits]:
    rows = []
    for copies, share, test in repetitions[0].limits:
        seen_each, given = zip(
            *(one.limits[copies, share, test] for one in repetitions), strict=True
        )
        seen = float(np.mean(seen_each))
        rows.append(
            ShareLimits(
                copies=copies,
                test=test,
                share=share,
                n_heldout=n_heldout,
                m=given[0].m,
                seen=round(seen, 4),
                estimate=_mean([one.estimate for one in given]),
                lower=_mean([one.lower for one in given]),
                upper=_mean([one.upper for one in given]),
                lower_holds=_mean([one.lower <= share for one in given]),
                upper_holds=_mean([one.upper >= share * seen for one in given]),
            )
        )
    return rows


def _populations(repetitions: Sequence[Repetition], n_heldout: int) -> list[PopulationOutcome]:
    rows = []
    for kind in dict.fromkeys(kind for one in repetitions for kind in one.populations):
        origins = [one.populations[kind] for one in repetitions if kind in one.populations]
        verdicts = {str(verdict): origins.count(verdict) for verdict in Verdict}
        m = int(repetitions[0].counts[kind].sum())
        rows.append(PopulationOutcome(kind=kind, n_heldout=n_heldout, m=m, verdicts=verdicts))
    return rows


def _kind(i: int, measured: Sequence[Measured]) -> KindInfo:
    """One kind, averaged over the training populations."""
    kind = measured[0].kinds[i]
    parts = [(one, one.kinds[i].rows) for one in measured]
    copying = [one.kinds[i].data_copying for one in measured]
    flags = np.concatenate([one.kinds[i].flags for one in measured]).mean(axis=0)
    return KindInfo(
        key=kind.key,
        label=kind.label,
        expected=list(kind.expected),
        noise=kind.noise,
        distance=_mean([np.median(o.planted.distance[rows]) / o.spacing for o, rows in parts]),
        quality=round(_mean([_mean(_known(o.planted.quality)[rows]) for o, rows in parts]), 3),
        others={name: round(float(flag), 4) for name, flag in zip(OTHERS, flags, strict=True)},
        data_copying=None if np.isnan(copying).all() else round(float(np.nanmean(copying)), 2),
    )


def _rows(kinds: Iterable[Kind], key: str) -> slice:
    [rows] = [kind.rows for kind in kinds if kind.key == key]
    return rows


def _known(values: np.ndarray | None) -> np.ndarray:
    if values is None:
        raise ValueError("the study needs a task")
    return values


def _mean(values: Sequence[float | bool] | np.ndarray) -> float:
    return round(float(np.mean(values)), 6)


def pool_errors(
    pool: Pool, measured: Sequence[Measured], sizes: Sizes, n_heldout: int, b: int, seed: int
) -> Float[np.ndarray, "inner rates"]:
    """Rates of false alarms in the b-th resample of the pools, one row per audit inside it."""
    rng = numpy_rng_for(seed, pool.zoo.name, "pool", n_heldout, b)
    n_pool = len(measured[0].null.runs)
    heldout = rng.integers(0, n_pool, n_pool)
    fresh = _rows(measured[0].kinds, FRESH)
    rows = {FRESH: fresh.start + rng.integers(0, fresh.stop - fresh.start, sizes.fresh_drawn)}
    rates = []
    for i in range(sizes.inner):
        some = rng.choice(heldout, n_heldout, replace=False)
        one = measured[(b * sizes.inner + i) % len(measured)]
        rates.append(alarms(audit_rows(one, some, rows, pool.task.quality)))
    return np.stack(rates)


def intervals(
    rates: Float[np.ndarray, "repetitions rates"],
    resampled: Float[np.ndarray, "bootstraps inner rates"],
) -> tuple[Float[np.ndarray, " rates"], Float[np.ndarray, " rates"]]:
    """95% intervals of the mean rates, not below 0.

    The variance is that between resamples of the pools, less what the audits inside them add, plus
    that of the mean over the repetitions themselves.
    """
    n_inner = resampled.shape[1]
    between = resampled.mean(axis=1).var(axis=0, ddof=1)
    within = resampled.var(axis=1, ddof=1).mean(axis=0) / n_inner
    own = rates.var(axis=0, ddof=1) / len(rates)
    half = Z95 * np.sqrt(np.maximum(between - within, 0.0) + own)
    middle = rates.mean(axis=0)
    return np.maximum(middle - half, 0.0), middle + half
