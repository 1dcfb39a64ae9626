"""Targets set for the audit before the study ran, and whether they were met.

The lines and their targets were fixed beforehand; nothing here may be tuned to
the results. Source: ours.
"""

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any

import numpy as np
from scipy.stats import binom

from novelweights.auditing.measures import ACCUSING
from novelweights.studies.calibrate.plants import FRESH
from novelweights.studies.calibrate.results import (
    FalseAlarm,
    KindInfo,
    Outcome,
    ShareLimits,
    Target,
    ZooResult,
)

MAX_DECOYS = 0.05
MIN_FOUND = 0.95
MAX_NOISE = 0.6
LOWER_HOLDS, UPPER_HOLDS = 0.96, 0.94
_ENDS = ", called replica or interpolation"
_FOUND = (f"at least {MIN_FOUND:.0%}", lambda one: one.found, lambda rate: rate >= MIN_FOUND)
RATES: tuple[tuple[Any, ...], ...] = (
    (
        ("honest decoys",),
        "Honest decoys (fresh runs shrunk, or stopped early) called replica or interpolation",
        f"at most {MAX_DECOYS:.0%}",
        lambda one: one.found,
        lambda rate: rate <= MAX_DECOYS,
    ),
    (
        ("copies", "permuted copies"),
        f"Copies with noise of up to {MAX_NOISE:g} of the median held-out distance, and permuted "
        f"copies{_ENDS}",
        *_FOUND,
    ),
    (
        ("averages", "aligned averages"),
        f"Plain averages of 2 and 4, raw and aligned{_ENDS}",
        *_FOUND,
    ),
    (("mosaics",), f"Mosaics, raw and aligned{_ENDS}", *_FOUND),
    (
        ("noisy averages",),
        "Noisy averages called novel",
        "never",
        lambda one: one.verdicts["novel"],
        lambda rate: rate == 0,
    ),
    (
        ("mosaics of neurons",),
        "Mosaics of neurons, raw and aligned, called novel",
        "never",
        lambda one: one.verdicts["novel"],
        lambda rate: rate == 0,
    ),
)
"""Groups of kinds, the line and its target in words, the share, and whether it will do."""


def groups_of(kinds: Iterable[KindInfo]) -> dict[str, list[str]]:
    """Kinds that share a target, or a line of the page.

    A kind is in at most one.
    """
    groups: dict[str, list[str]] = {
        "fresh runs": [FRESH],
        "honest decoys": ["shrunk", "early"],
        "copies": [],
        "noisier copies": [],
        "permuted copies": ["copies_permuted"],
        "averages": [f"average_{of}" for of in (2, 4)],
        "aligned averages": [f"average_{of}_aligned" for of in (2, 4)],
        "averages of 16": ["average_16", "average_16_aligned"],
        "noisy averages": [],
        "mosaics": ["mosaic", "mosaic_aligned"],
        "mosaics of neurons": ["mosaic_neurons", "mosaic_neurons_aligned"],
        "partial copies": ["one_layer"],
        "Gaussians": ["gaussian", "gaussian_components", "gaussian_components_aligned"],
        "other epochs": [],
    }
    for kind in kinds:
        if kind.noise is not None:
            groups["copies" if kind.noise <= MAX_NOISE else "noisier copies"].append(kind.key)
        elif kind.key.startswith("average_") and kind.key.endswith("_noise"):
            groups["noisy averages"].append(kind.key)
        elif kind.key.startswith("epoch_"):
            groups["other epochs"].append(kind.key)
    return groups


def targets_of(zoos: Sequence[ZooResult]) -> list[Target]:
    """Every line, in the order in which it was asked for."""
    groups = groups_of(zoos[0].kinds)
    rates = [
        _rates(zoos, [kind for name in names for kind in groups[name]], *line)
        for names, *line in RATES
    ]
    limits = [
        _limits(
            zoos,
            "Lower limit of the copied share at most the true share",
            LOWER_HOLDS,
            lambda limits: limits.lower_holds,
        ),
        _limits(
            zoos,
            "Upper limit of the copied share at least the share of detectable copies",
            UPPER_HOLDS,
            lambda limits: limits.upper_holds,
        ),
    ]
    return [_false_alarms(zoos), *rates, *limits]


def _false_alarms(zoos: Sequence[ZooResult]) -> Target:
    """One interval in forty lies above the nominal rate by chance."""
    rows = [(zoo, row) for zoo in zoos for row in zoo.false_alarms if row.r == 1]
    above = [(zoo, row) for zoo, row in rows if row.lower > row.nominal]
    allowed = int(binom.ppf(0.975, len(rows), 0.025))
    accused: dict[int, list[FalseAlarm]] = {}
    for _, row in rows:
        if row.test == "accused":
            accused.setdefault(row.n_heldout, []).append(row)
    rates = [
        f"{spread([row.rate for row in some])} with {n} held-out runs (nominal at most "
        f"{percent(some[0].nominal)})"
        for n, some in accused.items()
    ]
    return Target(
        text="Fresh runs beyond all held-out runs, by each test and by any",
        target="the nominal rate: 1 in n + 1 per test, "
        f"{len(ACCUSING)} in n + 1 together; of 40 intervals 1 lies "
        f"above by chance, up to {allowed} of these {len(rows)} are allowed",
        reached=f"{len(above)} of {len(rows)} intervals above; accused are {'; '.join(rates)}",
        is_met=len(above) <= allowed,
        misses=[
            f"{zoo.name}, {row.test.replace('_', ' ')} with {row.n_heldout} held-out runs: "
            f"{percent(row.rate)} ({percent(row.lower)} to {percent(row.upper)}), nominal "
            f"{percent(row.nominal)}"
            for zoo, row in above
        ],
    )


def _rates(
    zoos: Sequence[ZooResult],
    kinds: Container[str],
    text: str,
    target: str,
    of: Callable[[Outcome], float],
    is_good: Callable[[float], bool],
) -> Target:
    """A share that must hold for each of some kinds, in each zoo."""
    rows = [(zoo, one) for zoo in zoos for one in zoo.outcomes if one.kind in kinds]
    bad = [
        f"{zoo.name}, {zoo.labels[one.kind]}, {one.n_heldout} held-out runs: {percent(of(one))}"
        for zoo, one in rows
        if not is_good(of(one))
    ]
    return Target(
        text=text,
        target=target,
        reached=f"{spread([of(one) for _, one in rows])}; {len(rows) - len(bad)} of {len(rows)} "
        "met",
        is_met=not bad,
        misses=bad,
    )


def _limits(
    zoos: Sequence[ZooResult], text: str, target: float, of: Callable[[ShareLimits], float]
) -> Target:
    """Coverage per zoo, test and number of held-out runs, over all mixtures with copies."""
    limits: dict[tuple[str, str, int], list[float]] = {}
    for zoo in zoos:
        for row in zoo.shares:
            limits.setdefault((zoo.name, row.test, row.n_heldout), []).append(of(row))
    means = {key: float(np.mean(values)) for key, values in limits.items()}
    single = min(min(values) for values in limits.values())
    most = max(row.share for zoo in zoos for row in zoo.shares)
    return Target(
        text=f"{text} (copied shares of 0 to {100 * most:.3g}%, mean over them)",
        target=f"in at least {target:.0%} of repetitions",
        reached=f"{spread([*means.values()])} over zoos, tests and numbers of held-out runs; "
        f"{percent(single)} for the worst single mixture",
        is_met=min(means.values()) >= target,
        misses=[
            f"{zoo}, by {test}, {n} held-out runs: {percent(mean)}"
            for (zoo, test, n), mean in means.items()
            if mean < target
        ],
    )


def spread(shares: Sequence[float]) -> str:
    """The smallest and the largest of some shares, in words."""
    low, high = percent(min(shares)), percent(max(shares))
    return low if low == high else f"{low} to {high}"


def percent(share: float) -> str:
    """A share in [0, 1] with one decimal; more where it is small."""
    digits = 1 if share == 0 or share >= 0.01 else 2
    return f"{100 * share:.{digits}f}%"
