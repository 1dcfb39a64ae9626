"""Hundreds of audits of one zoo: each draws a training population, held-out runs and samples.

Every audit ranks and judges as `novelweights audit` does. It draws among measured rows; the
recentred cosine is that of the whole pool a row was measured with, and samples are not compared
with each other. Source: ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from jaxtyping import Bool, Float, Int

from novelweights.auditing.judge.checkpoint_verdict import judge_checkpoints
from novelweights.auditing.judge.criteria import Verdict
from novelweights.auditing.judge.p_values import NullDistribution
from novelweights.auditing.judge.statistics import Share, share_beyond
from novelweights.auditing.judge.verdict import judge
from novelweights.auditing.measure.evidence import Evidence
from novelweights.auditing.measure.quantities import quantities
from novelweights.auditing.result import AuditResult, Measurements
from novelweights.seeding import numpy_rng_for
from novelweights.studies.calibrate.measured import Measured
from novelweights.studies.calibrate.plants import COPIES, FRESH, NOISY_COPIES
from novelweights.studies.calibrate.pool import Pool
from novelweights.studies.calibrate.zoos import Sizes
from novelweights.tasks.task import Measure

CALLED = {"replica": (Verdict.REPLICA,), "accused": (Verdict.REPLICA, Verdict.INTERPOLATION)}
"""Verdicts that are counted like a test."""
TESTS = (
    *("distance", "direction", "mixture", "layers_all", "layers_any"),
    *("neurons_all", "neurons_mean", "neurons_any"),
)
RANKS_OF_INTEREST = (1, 5)
"""r: beyond the r-th most extreme held-out run. 1 judges, 5 shows how sensitive that is."""
ALARMS = [(test, r) for r in RANKS_OF_INTEREST for test in TESTS] + [("accused", 1)]
"""Test and r of every false-alarm rate."""
SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.5)
"""Copied shares of mixtures of fresh runs and copies."""
SHARE_TESTS = ("distance", "direction", "replica")
"""By what a copied share is estimated: as the audit's quantities do, and its verdict."""
WHOLE = (COPIES, "copies_noise_0.5", "copies_permuted", "average_2", "mosaic", "shrunk", "early")
"""Planted kinds that are also judged as a population."""


@dataclass(frozen=True, eq=False)
class Audited:
    """One audit: every checkpoint of every kind, ranked and judged."""

    null: NullDistribution
    measured: Measurements
    p_values: dict[str, np.ndarray]
    origins: np.ndarray
    """(n,) the verdict on each checkpoint."""
    rows: dict[str, slice]
    """By kind."""

    @property
    def n_heldout(self) -> int:
        """Held-out runs."""
        return len(self.null.runs)

    def counts(self, kind: str) -> Int[np.ndarray, " verdicts"]:
        """Checkpoints of a kind per verdict, in the order of `Verdict`."""
        return np.array([(self.origins[self.rows[kind]] == one).sum() for one in Verdict])

    def beyond(self, test: str, kind: str, r: int = 1) -> Bool[np.ndarray, " n"]:
        """Which checkpoints of a kind lie beyond the r-th most extreme held-out run.

        Of the test "replica" those that are called so, of "accused" replicas and interpolations.
        """
        rows = self.rows[kind]
        if test in CALLED:
            return np.isin(self.origins[rows], CALLED[test])
        return self.p_values[f"{test}_near"][rows] <= r / (self.n_heldout + 1) + 1e-12


@dataclass(frozen=True, eq=False)
class Repetition:
    """What one audit gave."""

    counts: dict[str, Int[np.ndarray, " verdicts"]]
    alarms: Float[np.ndarray, " rates"]
    """Rates on fresh runs, in the order of `ALARMS`."""
    limits: dict[tuple[str, float, str], tuple[float, Share]]
    """Of a copied share: by kind of the copies, share of the checkpoints that are copies, and test,
    the share of the copies that the test sees, and the limits."""
    populations: dict[str, Verdict]
    """Verdicts on populations of one kind, where they were asked for."""


def repeat(
    pool: Pool, measured: Sequence[Measured], sizes: Sizes, n_heldout: int, i: int, seed: int
) -> Repetition:
    """The i-th audit of a zoo with so many held-out runs.

    It takes the i-th training population in turn; `i` and the seed fix every draw.
    """
    rng = numpy_rng_for(seed, pool.zoo.name, "repetition", n_heldout, i)
    one = measured[i % len(measured)]
    rows = rng.choice(len(one.null.runs), n_heldout, replace=False)
    drawn = {
        kind.key: draw(
            rng, kind.rows, sizes.fresh_drawn if kind.key == FRESH else sizes.planted_drawn
        )
        for kind in one.kinds
    }
    audited = audit_rows(one, rows, drawn, pool.task.quality)
    whole = [FRESH] * (i < sizes.fresh_verdicts)
    whole += [kind for kind in WHOLE if kind in drawn] * (i < sizes.planted_verdicts)
    return Repetition(
        counts={kind: audited.counts(kind) for kind in drawn},
        alarms=alarms(audited),
        limits=_limits(audited),
        populations={kind: _judge_population(one, audited, kind, rng) for kind in whole},
    )


def draw(rng: np.random.Generator, rows: slice, n: int) -> Int[np.ndarray, " n"]:
    """So many of these rows, or all, each once."""
    size = rows.stop - rows.start
    return rows.start + rng.choice(size, min(n, size), replace=False)


def audit_rows(
    measured: Measured,
    heldout: Int[np.ndarray, " n"],
    drawn: dict[str, np.ndarray],
    quality: Measure,
) -> Audited:
    """Rank and judge rows of every kind among some of the held-out runs."""
    scored = measured.planted.select(np.concatenate(list(drawn.values())))
    null = measured.null.select(heldout)
    p_values = null.p_values(scored)
    verdicts = judge_checkpoints(scored, p_values, null.runs, measured.training.names, quality)
    ends = np.cumsum([len(rows) for rows in drawn.values()]).tolist()
    places = map(slice, [0, *ends], ends)
    origins = np.array([verdict.origin for verdict in verdicts])
    return Audited(null, scored, p_values, origins, dict(zip(drawn, places, strict=True)))


def alarms(audited: Audited) -> Float[np.ndarray, " rates"]:
    """Share of fresh runs beyond held-out runs, in the order of `ALARMS`."""
    return np.array([audited.beyond(test, FRESH, r).mean() for test, r in ALARMS])


def _limits(audited: Audited) -> dict[tuple[str, float, str], tuple[float, Share]]:
    """Limits of the copied share for mixtures of fresh runs and copies."""
    by_key = {}
    for test in SHARE_TESTS:
        fresh = audited.beyond(test, FRESH)
        m = len(fresh)
        for copies in (COPIES, NOISY_COPIES):
            seen = audited.beyond(test, copies)
            for n_copies in dict.fromkeys(round(share * m) for share in SHARES):
                if n_copies > len(seen) or (n_copies == 0 and copies != COPIES):
                    continue
                count = int(seen[:n_copies].sum() + fresh[n_copies:].sum())
                limits = _share_beyond(count, m, audited.n_heldout)
                by_key[copies, n_copies / m, test] = float(seen.mean()), limits
    return by_key


@cache
def _share_beyond(count: int, m: int, n_heldout: int) -> Share:
    return share_beyond(count, m, n_heldout)


def _judge_population(
    measured: Measured, audited: Audited, kind: str, rng: np.random.Generator
) -> Verdict:
    """The verdict on checkpoints of one kind together."""
    rows = audited.rows[kind]
    generated = audited.measured.select(np.arange(rows.start, rows.stop))
    p_values = {name: values[rows] for name, values in audited.p_values.items()}
    heldout = audited.null.runs
    audit = replace(
        measured.audit, generated=generated, scored=generated, heldout=heldout, null=audited.null
    )
    evidence = Evidence.of(audit, p_values, np.ones(len(generated), dtype=bool))
    layers = audit.reference.layers
    result = AuditResult(
        training=audit.training,
        generated=generated,
        heldout=heldout,
        baselines={},
        baseline_notes={},
        p_values=p_values,
        quantities=tuple(quantities(evidence, rng=rng)),
        distance=audit.given.distance,
        quality=audit.quality,
        novelty=audit.novelty,
        layers=layers.names if layers is not None else (),
    )
    return judge(result).population.origin
