"""Audits of one run: what can be said where the training checkpoints are steps of one training.

Consecutive steps are no independent evidence, so they identify neither copying nor novelty, and
intervals come from independent units alone: generated checkpoints, held-out runs, networks trained
from scratch. What is measured follows the paper's account of p-diff (section 3.3, appendix D).
"""

from collections.abc import Mapping

import numpy as np

from novelweights.auditing.controls.baselines import GAUSSIAN, average_of, mixtures, n_baseline
from novelweights.auditing.judge.statistics import mean, median
from novelweights.auditing.measure.estimates import AS_IT_IS, Estimate, of_rows
from novelweights.auditing.measure.measured import Measured
from novelweights.auditing.measure.quantities import Evidence
from novelweights.auditing.one_run.center import center_quantities, likeness_quantities
from novelweights.auditing.one_run.distances import DISTANCES, distances
from novelweights.auditing.prepare import Prepared
from novelweights.auditing.result import AllSteps, Measurements, Quantity
from novelweights.metrics.neighbors import nearest
from novelweights.metrics.sources import Alignable, find_directions
from novelweights.seeding import numpy_rng_for
from novelweights.tasks.task import Measure

GROUP = "one run"
"""Of these quantities."""
COMPARED = {average_of(16): "average_16", GAUSSIAN: "gaussian"}
"""The baselines of the paper's figure 8, and their part of a quantity's key."""


def all_steps(given: Prepared) -> AllSteps | None:
    """Every checkpoint of the held-out runs against the training checkpoints; None without them.

    A distribution to look at: steps of a held-out run are no more independent than others.
    """
    every = given.every_step
    if every is None:
        return None
    near = nearest(every.learned, given.train.learned, alignment=given.alignment)
    directions = find_directions(every.learned, Alignable.of(given.train.learned, given.alignment))
    runs = len(set(every.records.run))
    return AllSteps(n_runs=runs, distance=near.distances[:, 0], cosine=directions.cosine)


def one_run_quantities(measured: Measured) -> list[Quantity]:
    """Distances, nearness to the mean, and likeness of weights."""
    given, generated, seed = measured.given, measured.generated, measured.given.seed
    train, fresh = given.train.learned, given.heldout
    layout = given.train.layout.learned
    apart = distances(measured)
    found = [apart[key].quantity(key, *words, group=GROUP) for key, words in DISTANCES.items()]
    mixed = mixtures(train, layout, n_baseline(len(generated)), seed=seed)
    rows = {"generated": given.generated.learned}
    rows |= {key: mixed[name] for name, key in COMPARED.items() if name in mixed}
    last = None if fresh is None else fresh.learned
    found += center_quantities(train, rows, last, group=GROUP, seed=seed)
    return found + likeness_quantities(
        train, generated, measured.from_scratch, group=GROUP, seed=seed
    )


def beside_baselines(evidence: Evidence) -> list[Quantity]:
    """How far generated checkpoints behave as averages and Gaussian draws do.

    Source: paper, figure 8 (left).
    """
    generated, baselines = evidence.generated, evidence.baselines.found
    quality, novelty = evidence.quality, evidence.novelty
    if quality is None or novelty is None:
        raise ValueError("baselines are compared by behavior")
    rng = numpy_rng_for(evidence.measured.given.seed, "bootstrap", "one run", "behavior")
    found = _of_baselines(baselines, quality, novelty, rng)
    again = f"Bootstrap over samples and the baseline's checkpoints; {AS_IT_IS}."
    for name, key in COMPARED.items():
        other, missing = baselines.get(name), "This baseline could not be made."
        means = of_rows(generated.quality, rng).less(
            of_rows(None if other is None else other.quality, rng)
        )
        found.append(
            means.quantity(
                f"quality_difference_{key}",
                f"{quality.name.capitalize()}, generated less {name}",
                f"Difference of mean {quality.name}, generated less {name} of training checkpoints "
                f"(paper, figure 8). {again}",
                missing,
                unit=quality.unit_of_difference,
                group=GROUP,
            )
        )
        medians = of_rows(generated.novelty, rng, median).less(
            of_rows(None if other is None else other.novelty, rng, median)
        )
        found.append(
            medians.quantity(
                f"novelty_difference_{key}",
                f"{novelty.name.capitalize()}, generated less {name}",
                f"Difference of the median {novelty.name}, generated less {name} of training "
                f"checkpoints (paper, figure 8). {again}",
                missing,
                unit=novelty.unit,
                group=GROUP,
            )
        )
    noise = Estimate(evidence.baselines.noise_std, len(generated)).quantity(
        "noise_std",
        "Noise that matches novelty",
        "Standard deviation of the noise baseline, in weight units (paper: 0.06 and 0.12).",
        "No noise is as novel as the generated checkpoints.",
        group=GROUP,
    )
    return [*found, noise]


def _of_baselines(
    baselines: Mapping[str, Measurements],
    quality: Measure,
    novelty: Measure,
    rng: np.random.Generator,
) -> list[Quantity]:
    """What the baselines do by themselves."""
    found = []
    for name, key in {**COMPARED, "noise": "noise"}.items():
        other = baselines.get(name)
        if other is None:
            continue
        who = "noise addition" if name == "noise" else name
        again = f"Bootstrap over its checkpoints; {AS_IT_IS}."
        for measure, values, what, statistic in (
            (quality, other.quality, "quality", mean),
            (novelty, other.novelty, "novelty", median),
        ):
            name = statistic.__name__
            found.append(
                of_rows(values, rng, statistic).quantity(
                    f"{name}_{what}_{key}",
                    f"{name.capitalize()} {measure.name}, {who}",
                    f"{name.capitalize()} {measure.name} of the baseline {who}. {again}",
                    unit=measure.unit,
                    group=GROUP,
                )
            )
    return found
