"""Population-level numbers of an audit, each with n, interval and definition.

DESIGN section 5. Intervals of medians and means are bootstraps by run; shares have exact limits.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial, reduce

import numpy as np
import torch

from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA
from novelweights.auditing.judge.statistics import (
    mean,
    median,
    nearer_probability,
    share_beyond,
    smallest_detectable,
)
from novelweights.auditing.measure.estimates import TINY, Estimate, estimate, of_rows, share_of
from novelweights.auditing.measure.evidence import Evidence
from novelweights.auditing.measures import SHARES
from novelweights.auditing.result import SHARE, Measurements, Quantity
from novelweights.metrics.agreement import expected_iou
from novelweights.tasks.task import Measure

BEYOND = 1e12
"""A larger ratio had 0 for its denominator."""
ONE_RUN_LABELS = {
    "copied_share": "Nearer to the training run than held-out runs",
    "aligned_share": "More aligned with the training run than held-out runs",
}
"""What identifies no copies is not called so."""


def quantities(evidence: Evidence, *, rng: np.random.Generator) -> list[Quantity]:
    """All population-level numbers, in the order in which a reader wants them."""
    numbers = [*_nearness(evidence, rng), *_shares(evidence)]
    if evidence.quality is not None and evidence.novelty is not None:
        numbers += _behavior(evidence, evidence.quality, evidence.novelty, rng)
        if evidence.noise is not None:
            numbers.append(_over_noise(evidence, evidence.noise, rng))
    return [*numbers, _never_nearest(evidence), *_as_in_the_paper(evidence, rng)]


def _difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(mean(one) - mean(other))


def _ratio_of_means(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(mean(one) / np.maximum(mean(other), TINY))


def _ratio(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(median(one) / np.maximum(median(other), TINY))


def _of_each(
    evidence: Evidence,
    rng: np.random.Generator,
    statistic: Callable[[np.ndarray], np.ndarray],
    column: str,
    *words: str,
    unit: str = "",
    least: int = 1,
    kinds: Sequence[str] = ("generated", "training", "heldout"),
) -> Iterator[Quantity]:
    """A mean or median over the checkpoints of each kind that has this column.

    Words are key, label and definition; {kind} in them is the part of a key, {name} the name of the
    population, {another} says which training checkpoints count for one, {units} those of distances.
    """
    terms, groups = evidence.terms, evidence.groups
    for kind in (kind for kind in kinds if kind in groups):
        name, measurements = groups[kind]
        values = getattr(measurements, column)
        if values is not None:
            marks = {"{kind}": kind, "{name}": name, "{another}": terms.another(kind)}
            marks["{units}"] = terms.in_weight_units(kind)
            said = [reduce(lambda text, pair: text.replace(*pair), marks.items(), w) for w in words]
            one = estimate(statistic, values, rng=rng, least=least)
            yield terms.of(kind, one.quantity(*said, unit=unit))


def _compared(
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray],
    one: np.ndarray,
    other: np.ndarray,
    rng: np.random.Generator,
    *,
    is_fixed: bool = False,
    n: int | None = None,
    least: int = 1,
) -> Estimate:
    """A number made of two populations, of which the other may be fixed."""
    drawn, fixed = ((one,), (other,)) if is_fixed else ((one, other), ())
    return estimate(statistic, *drawn, rng=rng, fixed=fixed, n=n, least=least)


def _nearness(evidence: Evidence, rng: np.random.Generator) -> Iterator[Quantity]:
    terms, training = evidence.terms, evidence.training
    whom = terms.training
    if len(training) < evidence.n_training:
        whom = f"{len(training):,} of the {terms.training}, drawn at random"
    for kind, whose in (
        ("generated", "generated checkpoints"),
        ("heldout", "held-out runs"),
        ("training", f"{whom}, {terms.each},"),
    ):
        yield from _of_each(
            evidence,
            rng,
            median,
            "distance",
            "median_distance_{kind}",
            "Median distance, {name} to training",
            f"Median over {whose} of the declared distance to the nearest training checkpoint. "
            "{units}",
            kinds=(kind,),
        )
    if terms.has_heldout and not terms.is_one_run:  # distances of steps are not of runs
        compared = evidence.before_codec or (evidence.null.distance, training.distance)
        before = "" if evidence.before_codec is None else ", all before the codec"
        yield Quantity(
            key="recipe_p_value",
            label="Held-out against training runs, p-value",
            value=nearer_probability(*compared)[1],
            n=sum(map(len, compared)),
            definition="Two-sided rank test of the held-out runs' distances to training "
            f"against those of training runs to the other runs{before}. Small: the held-out "
            "runs are of another recipe.",
        )
    yield from _beside_null(evidence, rng)


def _beside_null(evidence: Evidence, rng: np.random.Generator) -> Iterator[Quantity]:
    """Distances of samples beside those of held-out runs, or of what stands in for them."""
    terms = evidence.terms
    scored, null = evidence.scored.distance, evidence.null.distance
    ratio, chance = (
        "Median distance, generated over held-out",
        "a sample is nearer than a held-out run",
    )
    unit, how = "1: as far as these.", ""
    if not terms.has_heldout:
        ratio = "Median distance, generated over training, one left out"
        chance = "a sample is nearer than a training checkpoint, one left out"
        how = "each sample against all training checkpoints but one, drawn at random"
        unit = f"1: as far as these; how far held-out runs lie is not known ({how})."
        how += "; "
    n = evidence.n_beside
    yield _compared(_ratio, scored, null, rng, is_fixed=terms.is_fixed, n=n).quantity(
        "distance_ratio",
        ratio,
        "Median distance of generated checkpoints to the nearest training checkpoint over the same "
        f"for {terms.null}. {unit} {terms.bootstrapped(evidence.beside)}",
        level=0.90,
    )
    at_norm = scored / np.maximum(evidence.null_at_norm, TINY)
    yield of_rows(at_norm, rng.spawn(1)[0], median).quantity(
        "distance_ratio_equal_norm",
        f"{ratio}, at equal norm",
        "Median over generated checkpoints of the distance to the nearest training checkpoint over "
        f"the median distance of {terms.null}, shrunk from the mean of the training checkpoints to "
        "the same norm: shrinking alone brings a network nearer. 1: as far as these. "
        f"{terms.bootstrapped('generated')}",
        level=0.90,
    )
    nearer, p_value = nearer_probability(scored, null)
    n = len(scored) + len(null)
    yield Quantity(
        key="nearer_probability",
        label=f"Chance that {chance}",
        value=nearer,
        n=len(scored) if terms.is_fixed else n,
        definition="Probability that a random generated checkpoint lies nearer to training than a "
        f"random one of the {terms.null} ({how}Mann-Whitney U / mn; 0.5: no difference).",
        unit=SHARE,
    )
    if not terms.has_null:
        return
    yield Quantity(
        key="nearer_p_value",
        label="p-value of the rank test",
        value=p_value,
        n=n,
        definition="Two-sided Mann-Whitney test of those two sets of distances, one row per "
        "run; exact without ties up to 100,000 pairs.",
    )
    limit = DEFAULT_CRITERIA.gross_copy
    yield share_of(
        "gross_copy_share",
        "Within half the median distance of held-out runs" if terms.is_one_run else "Gross copies",
        int((scored <= limit * median(null)).sum()),
        len(scored),
        f"Share of generated checkpoints whose distance is at most {limit:g} of the median for "
        f"{terms.null}. Clopper-Pearson limits.",
    )


def _shares(evidence: Evidence) -> Iterator[Quantity]:
    """Shares beyond all held-out runs, and the least that could be seen."""
    if not evidence.terms.has_null:
        return
    n_h, m, runs = len(evidence.null), int(evidence.counted.sum()), evidence.terms.runs
    beyond = 1 / (n_h + 1) + 1e-12
    for test, (key, label, text) in SHARES.items():
        if test not in evidence.p_values:
            continue
        near = int((evidence.p_values[test] <= beyond)[evidence.counted].sum())
        yield _beyond_chance(
            key,
            (ONE_RUN_LABELS.get(key, label) if evidence.terms.is_one_run else label).format(
                runs=runs
            ),
            (near, m, n_h),
            f"Share of generated checkpoints that are {text.format(runs=runs)}, less those "
            f"expected by chance: {near} of {m} beyond {n_h} {runs}, p = {{p_value:.2g}} "
            "(beta-binomial, exact). The lower limit allows for the chance level's own "
            "uncertainty; the upper holds for copies that this measure can see.",
        )
    if "twin_near" in evidence.p_values:
        others = evidence.p_values["twin_near"]
        others = others[np.isfinite(others)]
        yield _beyond_chance(
            "repeated_share",
            "Samples that repeat each other",
            (int((others <= beyond).sum()), len(others), n_h),
            "Of the generated checkpoints that are no copies or mixtures: the share nearer to "
            "another one, at equal norm, than any held-out run is to another held-out run, among "
            "equally many others, less those expected by chance.",
        )
    if evidence.terms.is_one_run:
        return
    smallest = smallest_detectable(m, n_h, size=0.025)
    yield Quantity(
        key="smallest_detectable_share",
        label="Smallest copied share this audit could detect",
        value=None if smallest is None else smallest / m,
        n=m,
        definition=f"With {n_h} {runs} and {m} samples "
        + (
            "no count can have a lower limit above 0."
            if smallest is None
            else f"at least {smallest} checkpoints beyond all of these are needed for a lower "
            "limit above 0."
        ),
        unit=SHARE,
    )


def _beyond_chance(key: str, label: str, counts: tuple[int, int, int], definition: str) -> Quantity:
    """A share of m checkpoints beyond n held-out runs, less what chance gives."""
    share = share_beyond(*counts)
    return Quantity(
        key=key,
        label=label,
        value=share.estimate,
        n=share.m,
        definition=definition.format(p_value=share.p_value),
        lower=share.lower,
        upper=share.upper,
        level=0.95,
        unit=SHARE,
    )


def _behavior(
    evidence: Evidence, quality: Measure, novelty: Measure, rng: np.random.Generator
) -> Iterator[Quantity]:
    """What checkpoints do: how well, how newly, and how like the nearest training checkpoint."""
    terms, generated = evidence.terms, evidence.generated
    of_each = partial(_of_each, evidence, rng)
    yield from of_each(
        mean,
        "quality",
        "mean_quality_{kind}",
        f"Mean {quality.name}, {{name}}",
        f"Mean {quality.name} of {{name}} checkpoints. {quality.definition}".strip(),
        unit=quality.unit,
    )
    g, h = _of(generated.quality), _of(evidence.null.quality)
    other = "held-out" if terms.has_heldout else "training, 90%"
    yield _compared(_difference, g, h, rng, is_fixed=terms.is_fixed, n=evidence.n_beside).quantity(
        "quality_difference",
        f"{quality.name.capitalize()}, generated less {other}",
        f"Difference of mean {quality.name}, generated less {terms.runs}.",
        unit=quality.unit_of_difference,
        level=0.90,
    )
    yield from of_each(
        median,
        "novelty",
        "median_novelty_{kind}",
        f"Median {novelty.name}, {{name}}",
        f"Median over {{name}} checkpoints of the {novelty.name}, that to a training "
        f"checkpoint{{another}}. {novelty.definition}".strip(),
        unit=novelty.unit,
    )
    if quality.unit == "%":
        yield _expected_similarity(evidence)
    yield from of_each(
        mean,
        "overlap",
        "prediction_overlap_{kind}",
        "Prediction overlap with the nearest, {name}",
        "Mean share of test examples that a {name} checkpoint and its nearest training "
        "checkpoint{another} predict alike (paper, Appendix C.3).",
        unit=SHARE,
    )
    for kind, (name, found) in evidence.groups.items():
        if found.expected_novelty is not None and kind != "training":
            above = _of(found.novelty) - found.expected_novelty
            yield estimate(median, above, rng=rng).quantity(
                f"similarity_above_chance_{kind}",
                f"Similarity above chance, {name}",
                f"Median over {name} checkpoints of the {novelty.name} less the error overlap that "
                "independent mistakes would give at their error rates.",
            )
    for kind, (name, found) in evidence.groups.items():
        if found.has_surface is not None:
            n, missing = len(found), int((~found.has_surface).sum())
            yield share_of(
                f"without_surface_{kind}",
                f"Fields without a surface, {name}",
                missing,
                n,
                f"Share of {name} checkpoints whose field reaches the level of the surface "
                f"nowhere: {missing} of {n}. They count as points that all lie in the middle. "
                "Clopper-Pearson limits.",
            )


def _expected_similarity(evidence: Evidence) -> Quantity:
    rates = [
        torch.tensor([1 - float(mean(_of(findings.quality))) / 100], dtype=torch.float64)
        for findings in (evidence.generated, evidence.training)
    ]
    return Quantity(
        key="expected_similarity",
        label="Error overlap expected by chance",
        value=float(expected_iou(*rates)[0]),
        n=len(evidence.generated),
        definition="Error IoU of two classifiers with these mean error rates whose mistakes are "
        "independent: e1 e2 / (e1 + e2 - e1 e2), for one pair. Held-out runs lie above it: their "
        f"maximum is over all {evidence.terms.training}, and some examples are hard for all.",
    )


def _over_noise(evidence: Evidence, noise: Measurements, rng: np.random.Generator) -> Quantity:
    """By how much samples work better than checkpoints with noise that are as novel."""
    quality, novelty = evidence.quality, evidence.novelty
    if quality is None or novelty is None:
        raise ValueError("noise is compared by behavior")
    per_run, drawn = _by_run(_of(noise.quality), noise.names), "training run"
    if evidence.terms.is_one_run:  # of this run, the draws of noise are what is independent
        per_run, drawn = _of(noise.quality), "sample and by draw of noise"
    g = _of(evidence.generated.quality)
    return _compared(_difference, g, per_run, rng, n=len(per_run), least=2).quantity(
        "advantage_over_noise",
        f"{quality.name.capitalize()} over noise addition at matched novelty",
        f"Mean {quality.name} of generated checkpoints less that of {evidence.noised} with noise "
        f"chosen so that the median {novelty.name} is equal (paper, figure 6); bootstrap by "
        f"{drawn}, of which n stand behind the noise. 0: the generator offers nothing beyond noise "
        "addition.",
        unit=quality.unit_of_difference,
    )


def _never_nearest(evidence: Evidence) -> Quantity:
    n, hit = evidence.n_training, len(np.unique(evidence.generated.neighbor_rows[:, 0]))
    return Quantity(
        key="never_nearest_share",
        label="Training checkpoints that are never nearest",
        value=1 - hit / n,
        n=n,
        unit=SHARE,
        definition=f"Share of the {n} training checkpoints that are the nearest of none of "
        f"the {len(evidence.generated)} generated checkpoints (paper, appendix H).",
    )


def _as_in_the_paper(evidence: Evidence, rng: np.random.Generator) -> Iterator[Quantity]:
    """Generated against training checkpoints, as the paper compares them.

    The last to draw, so that the other numbers do not depend on these.
    """
    generated, training, terms = evidence.generated, evidence.training, evidence.terms
    yield from _of_each(
        evidence,
        rng,
        mean,
        "distance",
        "mean_distance_{kind}",
        "Mean distance, {name} to training",
        "Mean over {name} checkpoints of the declared distance to the nearest training "
        "checkpoint{another} (paper, table 1). {units}",
        least=2,
        kinds=("generated", "training"),
    )
    n, another = len(generated) + (not terms.is_one_run) * len(training), terms.another()
    compared = partial(_compared, rng=rng, is_fixed=terms.is_one_run, least=2)
    bootstrapped = terms.bootstrapped("generated")
    yield _bounded(
        compared(_ratio, generated.distance, training.distance, n=n).quantity(
            "distance_ratio_training",
            "Median distance, generated over training",
            "Median distance of generated checkpoints to the nearest training checkpoint over that "
            f"of training checkpoints to the nearest{another} (paper, figure 4). Below 1: nearer "
            f"to training checkpoints than these are to one another. {bootstrapped}",
        )
    )
    yield Quantity(
        key="nearer_probability_training",
        label="Chance that a sample is nearer than a training checkpoint",
        value=nearer_probability(generated.distance, training.distance)[0],
        n=n,
        definition="Probability that a random generated checkpoint lies nearer to its nearest "
        f"training checkpoint than a random training checkpoint to its nearest{another} "
        "(Mann-Whitney U / mn; 0.5: no difference).",
        unit=SHARE,
    )
    if generated.overlap is not None and training.overlap is not None:
        ours, theirs = 1 - generated.overlap, 1 - training.overlap
        yield _bounded(
            compared(_ratio_of_means, ours, theirs, n=n).quantity(
                "disagreement_ratio",
                "Disagreement with the nearest, generated over training",
                "Mean share of test examples that generated checkpoints and their nearest training "
                "checkpoints predict differently, over the same for training checkpoints and their "
                f"nearest{another} (paper, table 2). Below 1: predictions overlap more than those "
                f"of training checkpoints do. {bootstrapped}",
            )
        )
    novelty, quality = evidence.novelty, evidence.quality
    if novelty is not None and novelty.higher_is_better:  # a distance
        ours, theirs = _of(generated.novelty), _of(training.novelty)
        yield _bounded(
            compared(_ratio, ours, theirs).quantity(
                "novelty_ratio",
                f"Median {novelty.name}, generated over training",
                f"Median {novelty.name} of generated checkpoints over that of training checkpoints "
                "among those of other runs (paper, figure 5d). Below 1: more like a training "
                f"checkpoint than these are like one another. {bootstrapped}",
            )
        )
    if quality is not None:
        ours, theirs = _of(generated.quality), _of(training.quality)
        yield compared(_difference, ours, theirs, n=n).quantity(
            "quality_difference_training",
            f"{quality.name.capitalize()}, generated less training",
            f"Difference of mean {quality.name}, generated less training checkpoints (paper, "
            "table 1).",
            unit=quality.unit_of_difference,
        )


def _bounded(ratio: Quantity) -> Quantity:
    """A ratio whose denominator was not 0: what would be divided by 0 is left out."""
    known = {name: getattr(ratio, name) for name in ("value", "lower", "upper")}
    return replace(ratio, **{name: None for name, x in known.items() if (x or 0.0) > BEYOND})


def _by_run(values: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """The mean of each run: rows made from one run are one piece of evidence."""
    runs = np.unique(np.asarray(names, dtype=str), return_inverse=True)[1]
    return np.bincount(runs, values) / np.bincount(runs)


def _of(values: np.ndarray | None) -> np.ndarray:
    if values is None:
        raise ValueError("the measurements lack behavior")
    return values
