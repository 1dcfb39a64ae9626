"""Audits of one run: what can be said where the training checkpoints are steps of one training.

Consecutive steps are no independent evidence, so they identify neither copying nor novelty, and
intervals come from independent units alone: generated checkpoints, held-out runs, networks trained
from scratch. What is measured follows the paper's account of p-diff (section 3.3, appendix D).
"""

from collections.abc import Callable

import numpy as np

from novelweights.auditing.controls.baselines import (
    GAUSSIAN,
    Baselines,
    average_of,
    mixtures,
    n_baseline,
)
from novelweights.auditing.judge.statistics import mean, median
from novelweights.auditing.measure.estimates import AS_IT_IS, Estimate, of_rows
from novelweights.auditing.measure.measured import Measured
from novelweights.auditing.one_run.center import center_quantities, likeness_quantities
from novelweights.auditing.one_run.distances import DISTANCES, distances
from novelweights.auditing.prepare import Prepared
from novelweights.auditing.result import AllSteps, Measurements, Quantity
from novelweights.metrics.neighbors import nearest
from novelweights.metrics.sources import Alignable, find_directions
from novelweights.seeding import numpy_rng_for

GROUP = "one run"
"""Of these quantities."""
COMPARED = {average_of(16): "average_16", GAUSSIAN: "gaussian"}
"""The baselines of the paper's figure 8, and their part of a quantity's key."""

Statistic = Callable[..., np.ndarray]


def all_steps(prepared: Prepared) -> AllSteps | None:
    """Every checkpoint of the held-out runs against the training checkpoints; None without them.

    A distribution to look at: steps of a held-out run are no more independent than others.
    """
    every = prepared.every_step
    if every is None:
        return None
    near = nearest(every.learned, prepared.train.learned, alignment=prepared.alignment)
    directions = find_directions(
        every.learned, Alignable.of(prepared.train.learned, prepared.alignment)
    )
    runs = len(set(every.records.run))
    return AllSteps(n_runs=runs, distance=near.distances[:, 0], cosine=directions.cosine)


def one_run_quantities(measured: Measured) -> list[Quantity]:
    """Distances, nearness to the mean, and likeness of weights."""
    prepared, generated, seed = measured.given, measured.generated, measured.given.seed
    train, heldout = prepared.train.learned, prepared.heldout
    layout = prepared.train.layout.learned
    apart = distances(measured)
    numbers = [apart[key].quantity(key, *words, group=GROUP) for key, words in DISTANCES.items()]
    mixed = mixtures(train, layout, n_baseline(len(generated)), seed=seed)
    rows = {"generated": prepared.generated.learned}
    rows |= {key: mixed[name] for name, key in COMPARED.items() if name in mixed}
    last = None if heldout is None else heldout.learned
    numbers += center_quantities(train, rows, last, group=GROUP, seed=seed)
    return numbers + likeness_quantities(
        train, generated, measured.from_scratch, group=GROUP, seed=seed
    )


def beside_baselines(measured: Measured, baselines: Baselines) -> list[Quantity]:
    """How far generated checkpoints behave as averages and Gaussian draws do.

    Source: paper, figure 8 (left).
    """
    quality, novelty, made = measured.quality, measured.novelty, measured.generated
    if quality is None or novelty is None:
        raise ValueError("baselines are compared by behavior")
    rng = numpy_rng_for(measured.given.seed, "bootstrap", "one run", "behavior")
    behavior = (
        ("quality", quality, mean, "mean", quality.unit_of_difference),
        ("novelty", novelty, median, "the median", novelty.unit),
    )

    def estimated(measurements: Measurements | None, column: str, statistic: Statistic) -> Estimate:
        return of_rows(
            None if measurements is None else getattr(measurements, column), rng, statistic
        )

    numbers = []
    for name, key in {**COMPARED, "noise": "noise"}.items():
        who = "noise addition" if name == "noise" else name
        for column, measure, statistic, *_ in behavior if name in baselines.found else ():
            how = statistic.__name__
            numbers.append(
                estimated(baselines.found[name], column, statistic).quantity(
                    f"{how}_{column}_{key}",
                    f"{how.capitalize()} {measure.name}, {who}",
                    f"{how.capitalize()} {measure.name} of the baseline {who}. Bootstrap over its "
                    f"checkpoints; {AS_IT_IS}.",
                    unit=measure.unit,
                    group=GROUP,
                )
            )
    for name, key in COMPARED.items():
        for column, measure, statistic, how, unit in behavior:
            ours = estimated(made, column, statistic)
            theirs = estimated(baselines.found.get(name), column, statistic)
            numbers.append(
                ours.less(theirs).quantity(
                    f"{column}_difference_{key}",
                    f"{measure.name.capitalize()}, generated less {name}",
                    f"Difference of {how} {measure.name}, generated less {name} of training "
                    "checkpoints (paper, figure 8). Bootstrap over samples and the baseline's "
                    f"checkpoints; {AS_IT_IS}.",
                    "This baseline could not be made.",
                    unit=unit,
                    group=GROUP,
                )
            )
    noise = Estimate(baselines.noise_std, len(made)).quantity(
        "noise_std",
        "Noise that matches novelty",
        "Standard deviation of the noise baseline, in weight units (paper: 0.06 and 0.12).",
        "No noise is as novel as the generated checkpoints.",
        group=GROUP,
    )
    return [*numbers, noise]
