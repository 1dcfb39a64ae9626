"""What an audit of so many runs and samples can and cannot show, before compute is spent.

Everything here follows from three counts: training runs, held-out runs, samples. It is the exact
arithmetic of `calibration.py` at the size the verdict uses. Left out: the power of the two-sided
legs of `novel` (ratio of median distances, difference of quality), which depends on how widely
the zoo's own runs scatter and so on data that are not there yet. Source: ours (DESIGN section 5).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import beta, betabinom, binom

from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA, Criteria
from novelweights.auditing.judge.statistics import clopper_pearson, smallest_detectable
from novelweights.errors import count
from novelweights.metrics.alignment import alignment_of_learned
from novelweights.metrics.relatives import related_groups, run_spacing
from novelweights.weights.population import Population, last_of_each_run, require_finite

SIZE = 0.025
"""A share is shown if its lower 2.5% limit is above 0; as in `quantities.py`."""
FALSE_DISCOVERY = 0.05
"""Rate at which Benjamini-Hochberg names single checkpoints."""
SHARES = (0.01, 0.02, 0.05, 0.10, 0.20, 0.50)
"""Copied shares for which the power is told."""
ENOUGH_POWER = 0.8
"""A share counts as seen at this probability: the convention of sample size planning."""
NAMING_RUNS = 100
"""Held-out runs needed to name single checkpoints: the smallest p-value is then below .01."""
MOST = 1000
"""Counts beyond this are not searched: where one alone does not do, both together do with less."""

_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(200)


@dataclass(frozen=True)
class Goal:
    """One thing an audit may show, and what it would take."""

    what: str
    reached: bool
    now: str
    """The number behind it."""
    heldout_runs: int | None = None
    """So many held-out runs, with these samples, would reach it; None: none would, or reached."""
    samples: int | None = None
    """So many samples, with these held-out runs, would reach it."""
    both: int | None = None
    """So many of each, where neither alone would do."""
    training_runs: int | None = None
    """So many training runs would reach it."""

    def remedy(self) -> str:
        """What would reach it, in words; empty if it is reached or no counts would."""
        ways = {
            "held-out runs": self.heldout_runs,
            "samples": self.samples,
            "training runs": self.training_runs,
            "held-out runs and as many samples": self.both,
        }
        return " or ".join(f"{n} {what}" for what, n in ways.items() if n is not None)


@dataclass(frozen=True)
class Plan:
    """What an audit of these counts can and cannot show."""

    n_train: int
    """Independent training runs."""
    n_heldout: int
    """Held-out runs; with 0 the training runs stand in for them."""
    m: int
    """Samples."""
    smallest_p_value: float
    """Of one checkpoint: 1 / (held-out runs + 1)."""
    expected_by_chance: float
    """Samples nearer than every held-out run that held-out runs themselves would give."""
    smallest_count: int | None
    """Samples beyond all held-out runs that show copying; None: no count does."""
    power: Mapping[float, float]
    """Probability that a copied share is shown, by share."""
    upper_if_none: float
    """Upper 97.5% limit of the copied share if no sample is beyond."""
    upper_if_chance: float
    """The same if as many are beyond as chance gives."""
    named_from: int
    """Samples at the smallest p-value before Benjamini-Hochberg names any."""
    goals: tuple[Goal, ...]
    notes: tuple[str, ...] = ()
    """About the training checkpoints."""

    def lines(self) -> list[str]:
        """The plan as text for a terminal."""
        whose = count(self.n_heldout, "held-out run")
        if not self.n_heldout:
            whose = f"{count(self.n_train, 'training run')}, for want of held-out runs: exploratory"
        shares = "  ".join(f"{_percent(share)}: {_chance(p)}" for share, p in self.power.items())
        numbers = [
            ("training runs", str(self.n_train)),
            ("held-out runs to compare with", whose),
            ("samples", str(self.m)),
            ("smallest p-value of a checkpoint", f"{self.smallest_p_value:.2g}"),
            ("beyond all held-out runs by chance", f"about {self.expected_by_chance:.2g} of them"),
            ("beyond all held-out runs to show copying", self._smallest()),
            ("chance to show a copied share", shares),
            ("copied share not excluded, none beyond", f"up to {_percent(self.upper_if_none)}"),
            ("... and with as many as by chance", f"up to {_percent(self.upper_if_chance)}"),
            ("named by Benjamini-Hochberg", self._named()),
        ]
        width = max(len(name) for name, _ in numbers)
        lines = [*self.notes, "", *(f"{name:{width}}  {text}" for name, text in numbers), ""]
        width = max(len(goal.what) for goal in self.goals)
        for goal in self.goals:
            line = f"{'yes' if goal.reached else 'NO':3}  {goal.what:{width}}  {goal.now}"
            remedy = goal.remedy()
            lines.append(f"{line}; needs {remedy}" if remedy else line)
        return lines if self.notes else lines[1:]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self) | {"power": {str(share): p for share, p in self.power.items()}}

    def _smallest(self) -> str:
        if self.smallest_count is None:
            return "no number would"
        share = _percent(self.smallest_count / self.m)
        return f"{count(self.smallest_count, 'sample')} ({share})"

    def _named(self) -> str:
        if self.named_from > self.m:
            return f"never (would take {self.named_from} of {self.m} samples)"
        return f"if {self.named_from} or more samples are at the smallest p-value"


def power_of(share: float, m: int, n_heldout: int) -> float:
    """Probability that an audit shows copying if each sample is a copy with this probability.

    For copies that the distance can see: they are nearer than every held-out run. The others are
    beyond by chance, with a probability u ~ Beta(1, n_heldout) common to all of them, so the count
    is a mixture of binomials, integrated over u. Exact.

    Raises:
        ValueError: Not a share, or counts below 1.
    """
    if not 0 <= share <= 1 or m < 1 or n_heldout < 1:
        raise ValueError(f"share {share} of {m} samples with {n_heldout} held-out runs")
    smallest = smallest_detectable(m, n_heldout, size=SIZE)
    return 0.0 if smallest is None else _at_least(smallest, share, m, n_heldout)


def share_seen_with(probability: float, m: int, n_heldout: int) -> float | None:
    """The copied share that an audit shows with this probability; None if it never can."""
    smallest = smallest_detectable(m, n_heldout, size=SIZE)
    if smallest is None:
        return None
    root = brentq(
        lambda share: _at_least(smallest, share, m, n_heldout) - probability, 0, 1, xtol=1e-6
    )
    return float(np.asarray(root))


def limits_beside(n_heldout: int, m: int, *, whose: str = "held-out run") -> str:
    """One sentence to stand beside every "no evidence": what would have been seen.

    `whose` says what samples are compared with, in the singular: held-out or training runs.
    """
    with_these = f"with {count(n_heldout, whose)} and {count(m, 'sample')}"
    half, nearly = (share_seen_with(p, m, n_heldout) for p in (0.5, 0.95))
    if half is None or nearly is None:
        return f"{with_these} no number of copies could be told from chance"
    return (
        f"{with_these}, copies of {_percent(half)} of them would be seen with probability 50%, "
        f"of {_percent(nearly)} with 95%"
    )


def plan_audit(
    n_train: int,
    n_heldout: int,
    m: int,
    *,
    criteria: Criteria = DEFAULT_CRITERIA,
    notes: tuple[str, ...] = (),
) -> Plan:
    """What an audit can and cannot show with these counts.

    Args:
        n_heldout: Held-out runs; 0 means that the training runs stand in for them.
        notes: About the training checkpoints, for the plan's first lines.

    Raises:
        ValueError: Counts out of range.
    """
    if n_train < 1 or n_heldout < 0 or m < 1:
        raise ValueError(f"{n_train} training runs, {n_heldout} held-out runs, {m} samples")
    n = n_heldout or n_train
    return Plan(
        n_train=n_train,
        n_heldout=n_heldout,
        m=m,
        smallest_p_value=1 / (n + 1),
        expected_by_chance=m / (n + 1),
        smallest_count=smallest_detectable(m, n, size=SIZE),
        power={share: power_of(share, m, n) for share in SHARES},
        upper_if_none=clopper_pearson(0, m)[1],
        upper_if_chance=_upper_by_chance(n, m),
        named_from=_named_from(n, m),
        goals=_goals(n_train, n_heldout, m, criteria),
        notes=notes,
    )


def plan_for(train: Population, n_heldout: int, m: int) -> Plan:
    """The plan of an audit of generators fitted to these checkpoints.

    Counts runs by the records; runs that lie as near as steps of one run count as one.

    Raises:
        InputError: NaN or infinite weights.
    """
    require_finite(train, "training checkpoints")
    last = train.select(last_of_each_run(train.records))
    recorded, runs = len(last), 1
    if recorded > 1:
        weights = last.learned
        runs = int(related_groups(weights, scale=run_spacing(weights)).max()) + 1
    alignment = alignment_of_learned(train.layout, train.info.symmetry)
    distance = "L2" if alignment is None else f"L2, minimized over {alignment.describe()}"
    steps = "" if len(train) == recorded else "; the last step of each is used"
    notes = [f"{count(len(train), 'training checkpoint')} of {count(recorded, 'run')}{steps}"]
    if runs < recorded:
        notes.append(
            f"they look like {count(runs, 'independent run')}: the others are near-duplicates or "
            "steps of one run (see novelweights lint)"
        )
    notes.append(f"distance: {distance}")
    if alignment is None:
        notes.append("copies whose neurons were reordered will look new: no symmetry is declared")
    elif not alignment.is_exact:
        notes.append("several groups of neurons: distances are upper bounds with lower bounds")
    return plan_audit(runs, n_heldout, m, notes=tuple(notes))


def _goals(n_train: int, n_heldout: int, m: int, criteria: Criteria) -> tuple[Goal, ...]:
    n, limit = n_heldout or n_train, criteria.max_share
    identifiable = n_train >= criteria.min_runs
    runs = Goal(
        "copies differ from independent runs",
        identifiable,
        f"{count(n_train, 'training run')}" + ("" if identifiable else ": not identifiable"),
        training_runs=None if identifiable else criteria.min_runs,
    )
    smallest = smallest_detectable(m, n, size=SIZE)
    seen = (
        "no count is beyond chance" if smallest is None else f"from {count(smallest, 'sample')} on"
    )
    possible = f"{count(n_heldout, 'held-out run')}, fewer than {criteria.min_heldout_runs}"
    likely = possible
    if n_heldout >= criteria.min_heldout_runs:
        excluded = _percent(clopper_pearson(0, m)[1])
        possible = f"copied share up to {excluded} not excluded with none beyond"
        within = _chance(_within(n_heldout, m, limit))
        likely = f"at most {_percent(limit)} with probability {within}"
    goals: list[tuple[str, Callable[[int, int], bool], int, str]] = [
        (
            "copying can be shown at all",
            lambda h, s: smallest_detectable(s, h, size=SIZE) is not None,
            n,
            seen,
        ),
        (
            f"copies of {_percent(limit)} are shown with {_percent(ENOUGH_POWER)}",
            lambda h, s: power_of(limit, s, h) >= ENOUGH_POWER,
            n,
            f"probability {_chance(power_of(limit, m, n))}",
        ),
        (
            "single checkpoints can be named",
            lambda h, s: h >= NAMING_RUNS,
            n,
            f"smallest p-value {1 / (n + 1):.2g}",
        ),
        (
            "novel is possible",
            lambda h, s: h >= criteria.min_heldout_runs and clopper_pearson(0, s)[1] <= limit,
            n_heldout,
            possible,
        ),
        (
            "novel is to be expected of held-out runs",
            lambda h, s: h >= criteria.min_heldout_runs and _upper_by_chance(h, s) <= limit,
            n_heldout,
            likely,
        ),
    ]
    return (runs, *(_goal(what, holds, h, m, now) for what, holds, h, now in goals))


def _goal(what: str, holds: Callable[[int, int], bool], n: int, m: int, now: str) -> Goal:
    """A goal and the counts that would reach it."""
    if holds(n, m):
        return Goal(what, True, now)
    runs = _first(lambda h: holds(h, m), n)
    samples = _first(lambda s: holds(n, s), m)
    both = None
    if runs is None and samples is None:
        both = _first(lambda c: holds(c, c), max(n, m))
    return Goal(what, False, now, runs, samples, both)


def _first(holds: Callable[[int], bool], above: int) -> int | None:
    """A count above this where a condition holds, by doubling and bisection; None up to `MOST`.

    The smallest, where the condition holds from there on; whole counts make some waver a little.
    """
    low, high = above, max(2 * above, 1)
    while not holds(high):
        if high >= MOST:
            return None
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _at_least(count: int, share: float, m: int, n_heldout: int) -> float:
    """P(count or more samples beyond n held-out runs) if this share of them are visible copies."""
    u = beta.ppf((_NODES + 1) / 2, 1, n_heldout)
    return float((_NODE_WEIGHTS / 2) @ binom.sf(count - 1, m, share + (1 - share) * u))


def _upper_by_chance(n_heldout: int, m: int) -> float:
    """Upper limit of the copied share if as many samples are beyond as chance gives."""
    return clopper_pearson(round(m / (n_heldout + 1)), m)[1]


def _within(n_heldout: int, m: int, limit: float) -> float:
    """Probability that held-out runs as samples leave an upper limit of at most `limit`."""
    count = -1
    while count < m and clopper_pearson(count + 1, m)[1] <= limit:
        count += 1
    return float(betabinom.cdf(count, m, 1, n_heldout)) if count >= 0 else 0.0


def _named_from(n_heldout: int, m: int) -> int:
    """Samples at the smallest p-value before Benjamini-Hochberg rejects any of them."""
    return max(1, math.ceil(m / (FALSE_DISCOVERY * (n_heldout + 1)) - 1e-9))


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%" if share < 0.995 else "100%"


def _chance(probability: float) -> str:
    """A probability that is not rounded to certainty."""
    if 0 < probability < 0.01:
        return "<1%"
    return ">99%" if 0.99 < probability < 1 else f"{probability:.0%}"
