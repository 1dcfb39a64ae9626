"""Hundreds of audits of one zoo: each draws a training population, held-out runs and samples.

Every audit ranks and judges as `novelweights audit` does. It draws among measured rows; the
recentred cosine is that of the whole pool a row was measured with, and samples are not compared
with each other. Source: ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, Int

from novelweights.auditing.judge.criteria import CheckpointVerdict, Verdict
from novelweights.auditing.judge.p_values import NullDistribution
from novelweights.auditing.judge.statistics import Share, share_beyond
from novelweights.auditing.judge.verdict import judge, judge_checkpoints
from novelweights.auditing.measure.quantities import Evidence, quantities
from novelweights.auditing.measure.terms import Terms
from novelweights.auditing.result import AuditResult, DistanceInfo, Measurements
from novelweights.seeding import numpy_rng_for
from novelweights.studies.calibrate.measured import Measured
from novelweights.studies.calibrate.plants import COPIES, FRESH, NOISY_COPIES
from novelweights.studies.calibrate.zoos import Sizes
from novelweights.tasks.task import Measure

ACCUSED = (Verdict.REPLICA, Verdict.INTERPOLATION)
LEGS = ("distance", "direction", "mixture", "layers_all", "layers_any")
RANKS_OF_INTEREST = (1, 5)
"""r: beyond the r-th most extreme held-out run. 1 judges, 5 shows how sensitive that is."""
SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.5)
"""Copied shares of mixtures of fresh runs and copies."""
SHARE_LEGS = ("distance", "direction", "replica")
"""By what a copied share is estimated: as the audit's quantities do, and its verdict."""
WHOLE = (COPIES, "copies_noise_0.5", "copies_permuted", "average_2", "mosaic", "shrunk", "early")
"""Planted kinds that are also judged as a population."""


@dataclass(frozen=True, eq=False)
class Audited:
    """One audit: every checkpoint of every kind, ranked and judged."""

    null: NullDistribution
    found: Measurements
    p_values: dict[str, np.ndarray]
    verdicts: tuple[CheckpointVerdict, ...]
    rows: dict[str, slice]
    """By kind."""

    @property
    def n_heldout(self) -> int:
        """Held-out runs."""
        return len(self.null.fresh)

    def counts(self, kind: str) -> Int[np.ndarray, " verdicts"]:
        """Checkpoints of a kind per verdict, in the order of `Verdict`."""
        origins = [verdict.origin for verdict in self.verdicts[self.rows[kind]]]
        return np.array([origins.count(verdict) for verdict in Verdict])

    def beyond(self, leg: str, kind: str, r: int = 1) -> np.ndarray:
        """Which checkpoints of a kind lie beyond the r-th most extreme held-out run."""
        if leg == "replica":
            origins = [verdict.origin for verdict in self.verdicts[self.rows[kind]]]
            return np.array([origin is Verdict.REPLICA for origin in origins])
        p_values = self.p_values[f"{leg}_near"][self.rows[kind]]
        return p_values <= r / (self.n_heldout + 1) + 1e-12

    def accused(self, kind: str) -> np.ndarray:
        """Which checkpoints of a kind are called replicas or interpolations."""
        origins = [verdict.origin for verdict in self.verdicts[self.rows[kind]]]
        return np.array([origin in ACCUSED for origin in origins])


@dataclass(frozen=True)
class Limits:
    """Limits of a copied share that one audit gave."""

    copies: str
    """Kind of the copies."""
    share: float
    """Of the checkpoints that are copies."""
    leg: str
    seen: float
    """Share of the copies that the leg sees."""
    given: Share


@dataclass(frozen=True, eq=False)
class Repetition:
    """What one audit gave."""

    counts: dict[str, Int[np.ndarray, " verdicts"]]
    alarms: Float[np.ndarray, " rates"]
    """Rates on fresh runs, in the order of `alarm_names`."""
    limits: tuple[Limits, ...]
    populations: dict[str, Verdict]
    """Verdicts on populations of one kind, where they were asked for."""


def alarm_names() -> list[tuple[str, int]]:
    """Leg and r of every false-alarm rate; the last is being accused by any leg."""
    return [(leg, r) for r in RANKS_OF_INTEREST for leg in LEGS] + [("accused", 1)]


def repeat(
    zoo: str,
    measured: Sequence[Measured],
    sizes: Sizes,
    n_heldout: int,
    i: int,
    seed: int,
    quality: Measure,
    novelty: Measure,
) -> Repetition:
    """The i-th audit of a zoo with so many held-out runs.

    Args:
        zoo: Its name, for the seed.
        measured: All its training populations; the i-th of them in turn is taken.
        sizes: How many rows are drawn.
        n_heldout: Held-out runs drawn.
        i: Which repetition; with the seed it fixes every draw.
        seed: Root of all randomness.
        quality: The task's measure of quality.
        novelty: The task's measure of novelty.
    """
    rng = numpy_rng_for(seed, zoo, "repetition", n_heldout, i)
    one = measured[i % len(measured)]
    rows = rng.choice(len(one.null.fresh), n_heldout, replace=False)
    drawn = {
        kind.key: draw(
            rng, kind.rows, sizes.fresh_drawn if kind.key == FRESH else sizes.planted_drawn
        )
        for kind in one.kinds
    }
    audited = audit_rows(one, rows, drawn, quality)
    whole = [FRESH] * (i < sizes.fresh_verdicts)
    whole += [kind for kind in WHOLE if kind in drawn] * (i < sizes.planted_verdicts)
    return Repetition(
        counts={kind: audited.counts(kind) for kind in drawn},
        alarms=alarms(audited),
        limits=tuple(_limits(audited)),
        populations={
            kind: _judge_population(one, audited, kind, quality, novelty, rng) for kind in whole
        },
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
    found = measured.planted.select(np.concatenate(list(drawn.values())))
    null = measured.null.select(heldout)
    p_values = null.p_values(found)
    names = measured.training.names
    verdicts = judge_checkpoints(found, p_values, null.fresh, names, quality)
    ends = np.cumsum([len(rows) for rows in drawn.values()]).tolist()
    starts = [0, *ends[:-1]]
    places = {kind: slice(*ends) for kind, *ends in zip(drawn, starts, ends, strict=True)}
    return Audited(null, found, p_values, verdicts, places)


def alarms(audited: Audited) -> Float[np.ndarray, " rates"]:
    """Share of fresh runs beyond held-out runs, by leg and r, and accused."""
    return np.array(
        [
            (audited.accused(FRESH) if leg == "accused" else audited.beyond(leg, FRESH, r)).mean()
            for leg, r in alarm_names()
        ]
    )


def _limits(audited: Audited) -> list[Limits]:
    """Limits of the copied share for mixtures of fresh runs and copies."""
    found = []
    for leg in SHARE_LEGS:
        fresh = audited.beyond(leg, FRESH)
        m = len(fresh)
        for copies in (COPIES, NOISY_COPIES):
            seen = audited.beyond(leg, copies)
            for n_copies in dict.fromkeys(round(share * m) for share in SHARES):
                if n_copies > len(seen) or (n_copies == 0 and copies != COPIES):
                    continue
                count = int(seen[:n_copies].sum() + fresh[n_copies:].sum())
                given = _share_beyond(count, m, audited.n_heldout)
                found.append(Limits(copies, n_copies / m, leg, float(seen.mean()), given))
    return found


@cache
def _share_beyond(count: int, m: int, n_heldout: int) -> Share:
    return share_beyond(count, m, n_heldout)


def _judge_population(
    measured: Measured,
    audited: Audited,
    kind: str,
    quality: Measure,
    novelty: Measure,
    rng: np.random.Generator,
) -> Verdict:
    """The verdict on checkpoints of one kind together."""
    rows = audited.rows[kind]
    generated = audited.found.select(np.arange(rows.start, rows.stop))
    p_values = {name: values[rows] for name, values in audited.p_values.items()}
    heldout = audited.null.fresh
    evidence = Evidence(
        training=measured.training,
        generated=generated,
        null=heldout,
        scored=generated,
        terms=Terms(is_one_run=False, has_heldout=True),
        n_training=len(measured.training),
        p_values=p_values,
        counted=np.ones(len(generated), dtype=bool),
        quality=quality,
        novelty=novelty,
        baselines={},
    )
    result = AuditResult(
        training=measured.training,
        generated=generated,
        heldout=heldout,
        baselines={},
        baseline_notes={},
        p_values=p_values,
        quantities=tuple(quantities(evidence, rng=rng)),
        distance=DistanceInfo("aligned L2", is_exact=measured.is_exact, symmetry="of the zoo"),
        quality=quality,
        novelty=novelty,
        layers=measured.layers,
    )
    return judge(result).population.origin
