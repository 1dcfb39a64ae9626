"""Targets set for the audit before the study ran, and whether they were met.

The lines and their targets were fixed beforehand; nothing here may be tuned to
the results. Source: ours.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from scipy.stats import binom

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


def groups_of(kinds: Iterable[KindInfo]) -> dict[str, list[str]]:
    """Kinds that share a target, or a line of the page.

    Args:
        kinds: All kinds of a zoo; a kind is in at most one group.
    """
    groups: dict[str, list[str]] = {
        "fresh runs": [FRESH],
        "honest decoys": ["shrunk", "early"],
        "copies": [],
        "noisier copies": [],
        "moved copies": ["copies_permuted"],
        "averages": [f"average_{of}" for of in (2, 4)],
        "aligned averages": [f"average_{of}_aligned" for of in (2, 4)],
        "averages of 16": ["average_16", "average_16_aligned"],
        "noisy averages": [],
        "mosaics": ["mosaic", "mosaic_aligned"],
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

    def found(names: Sequence[str], text: str) -> Target:
        kinds = [kind for name in names for kind in groups[name]]
        return _rates(
            zoos,
            kinds,
            f"{text}, called replica or interpolation",
            f"at least {MIN_FOUND:.0%}",
            lambda outcome: outcome.found,
            lambda rate: rate >= MIN_FOUND,
        )

    return [
        _false_alarms(zoos),
        _rates(
            zoos,
            groups["honest decoys"],
            "Honest decoys (fresh runs shrunk, or stopped early) called replica or interpolation",
            f"at most {MAX_DECOYS:.0%}",
            lambda outcome: outcome.found,
            lambda rate: rate <= MAX_DECOYS,
        ),
        found(
            ("copies", "moved copies"),
            f"Copies with noise of up to {MAX_NOISE:g} of the median held-out distance, and copies "
            "moved by the symmetry",
        ),
        found(("averages", "aligned averages"), "Plain averages of 2 and 4, raw and aligned"),
        found(("mosaics",), "Mosaics, raw and aligned"),
        _rates(
            zoos,
            groups["noisy averages"],
            "Noisy averages called novel",
            "never",
            lambda outcome: outcome.verdicts["novel"],
            lambda rate: rate == 0,
        ),
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


def _false_alarms(zoos: Sequence[ZooResult]) -> Target:
    """One interval in forty lies above the nominal rate by chance."""
    rows = [(zoo, row) for zoo in zoos for row in zoo.false_alarms if row.r == 1]
    above = [(zoo, row) for zoo, row in rows if row.lower > row.nominal]
    allowed = int(binom.ppf(0.975, len(rows), 0.025))
    accused = [(zoo, row) for zoo, row in rows if row.leg == "accused"]
    told = []
    for n in dict.fromkeys(row.n_heldout for _, row in accused):
        some = [row for _, row in accused if row.n_heldout == n]
        told.append(
            f"{spread([row.rate for row in some])} with {n} held-out runs (nominal at most "
            f"{percent(some[0].nominal)})"
        )
    return Target(
        text="Fresh runs beyond all held-out runs, on each leg and on any",
        target="the nominal rate: 1 in n + 1 per leg, 3 in n + 1 together; of 40 intervals 1 lies "
        f"above by chance, up to {allowed} of these {len(rows)} are allowed",
        reached=f"{len(above)} of {len(rows)} intervals above; accused are {'; '.join(told)}",
        is_met=len(above) <= allowed,
        misses=[f"{zoo.name}, {_alarm(row)}" for zoo, row in above],
    )


def _alarm(row: FalseAlarm) -> str:
    return (
        f"{row.leg.replace('_', ' ')} with {row.n_heldout} held-out runs: {percent(row.rate)} "
        f"({percent(row.lower)} to {percent(row.upper)}), nominal {percent(row.nominal)}"
    )


def _rates(
    zoos: Sequence[ZooResult],
    kinds: Iterable[str],
    text: str,
    target: str,
    of: Callable[[Outcome], float],
    is_good: Callable[[float], bool],
) -> Target:
    """A share that must hold for each of some kinds, in each zoo."""
    rows = list(_named(zoos, set(kinds)))
    shares = [of(outcome) for _, _, outcome in rows]
    bad = [
        f"{zoo.name}, {label}, {outcome.n_heldout} held-out runs: {percent(of(outcome))}"
        for zoo, label, outcome in rows
        if not is_good(of(outcome))
    ]
    return Target(
        text=text,
        target=target,
        reached=f"{spread(shares)}; {len(rows) - len(bad)} of {len(rows)} met",
        is_met=not bad,
        misses=bad,
    )


def _named(zoos: Sequence[ZooResult], kinds: set[str]) -> Iterator[tuple[ZooResult, str, Outcome]]:
    for zoo in zoos:
        labels = {kind.key: kind.label for kind in zoo.kinds}
        for outcome in zoo.outcomes:
            if outcome.kind in kinds:
                yield zoo, labels[outcome.kind], outcome


def _limits(
    zoos: Sequence[ZooResult], text: str, target: float, of: Callable[[ShareLimits], float]
) -> Target:
    """Coverage per zoo, leg and number of held-out runs, over all mixtures with copies."""
    found: dict[tuple[str, str, int], list[float]] = {}
    for zoo in zoos:
        for row in zoo.shares:
            found.setdefault((zoo.name, row.leg, row.n_heldout), []).append(of(row))
    means = {key: float(np.mean(values)) for key, values in found.items()}
    single = min(min(values) for values in found.values())
    most = max(row.share for zoo in zoos for row in zoo.shares)
    return Target(
        text=f"{text} (copied shares of 0 to {100 * most:.3g}%, mean over them)",
        target=f"in at least {target:.0%} of repetitions",
        reached=f"{spread(list(means.values()))} over zoos, legs and numbers of held-out runs; "
        f"{percent(single)} for the worst single mixture",
        is_met=min(means.values()) >= target,
        misses=[
            f"{zoo}, by {leg}, {n} held-out runs: {percent(mean)}"
            for (zoo, leg, n), mean in means.items()
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
