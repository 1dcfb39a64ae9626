"""Population-level numbers of an audit, each with n, interval and definition.

DESIGN section 5. Intervals of medians and means are bootstraps by run; shares have exact limits.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from jaxtyping import Bool

from novelweights.auditing.controls.baselines import Baselines, noise_parents
from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA
from novelweights.auditing.judge.statistics import (
    mean,
    median,
    nearer_probability,
    share_beyond,
    smallest_detectable,
)
from novelweights.auditing.measure.estimates import TINY, Estimate, estimate, share_of
from novelweights.auditing.measure.measured import Measured
from novelweights.auditing.measure.terms import Terms
from novelweights.auditing.measures import SHARES
from novelweights.auditing.result import SHARE, Measurements, Quantity
from novelweights.metrics.agreement import expected_iou
from novelweights.tasks.task import Measure

BEYOND = 1e12
"""A larger ratio had 0 for its denominator."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the numbers are made of."""

    measured: Measured
    p_values: Mapping[str, np.ndarray]
    """Of the generated checkpoints among held-out runs."""
    first: Bool[np.ndarray, " n"]
    """False for generated checkpoints that repeat another."""
    counted: Bool[np.ndarray, " n"]
    """False for those that are no further evidence: they repeat another and copy nothing."""
    baselines: Baselines

    @cached_property
    def terms(self) -> Terms:
        """What populations are called."""
        return Terms(self.measured.given.is_one_run, self.measured.heldout is not None)

    @property
    def training(self) -> Measurements:
        """Training checkpoints, each against the others."""
        return self.measured.training

    @property
    def generated(self) -> Measurements:
        """The generated checkpoints."""
        return self.measured.generated

    @property
    def null(self) -> Measurements:
        """Held-out runs; without them the training checkpoints."""
        return self.measured.null.fresh

    @property
    def n_training(self) -> int:
        """Training checkpoints in all."""
        return len(self.measured.given.train)

    @property
    def quality(self) -> Measure | None:
        """The task's."""
        return self.measured.quality

    @property
    def novelty(self) -> Measure | None:
        """The task's."""
        return self.measured.novelty

    @property
    def groups(self) -> dict[str, tuple[str, Measurements]]:
        """The populations of runs, by their part of a key: name and measurements."""
        found = {
            "generated": ("generated", self.generated),
            "training": ("training", self.training),
        }
        return found | ({"heldout": ("held-out", self.null)} if self.terms.has_heldout else {})

    @property
    def beside(self) -> str:
        """What is drawn again where samples are compared with others."""
        return "beside heldout" if self.terms.has_heldout else "generated"

    @property
    def n_beside(self) -> int | None:
        """Independent units behind such a number, of one run; None: of many, said by itself."""
        if not self.terms.is_one_run:
            return None
        n = len(self.generated)
        return min(n, len(self.null)) if self.terms.has_heldout else n


def quantities(evidence: Evidence, *, rng: np.random.Generator) -> list[Quantity]:
    """All population-level numbers, in the order in which a reader wants them."""
    found = [*_nearness(evidence, rng), *_shares(evidence)]
    if evidence.quality is not None and evidence.novelty is not None:
        found += _behavior(evidence, evidence.quality, evidence.novelty, rng)
        if "noise" in evidence.baselines.found:
            found.append(_over_noise(evidence, evidence.quality, evidence.novelty, rng))
    return [*found, _never_nearest(evidence), *_as_in_the_paper(evidence, rng)]


def _difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(mean(one) - mean(other))


def _ratio_of_means(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(mean(one) / np.maximum(mean(other), TINY))


def _ratio(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(median(one) / np.maximum(median(other), TINY))


def _summary(
    terms: Terms,
    kind: str,
    statistic: Callable[[np.ndarray], np.ndarray],
    values: np.ndarray,
    rng: np.random.Generator,
    *words: str,
    unit: str = "",
    least: int = 1,
) -> Quantity:
    """A mean or median over checkpoints of one kind; words are key, label and definition."""
    found = estimate(statistic, values, rng=rng, least=least)
    return terms.of(kind, found.quantity(*words, unit=unit))


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
    terms, training, null = evidence.terms, evidence.training, evidence.null
    whom = terms.training
    if len(training) < evidence.n_training:
        whom = f"{len(training):,} of the {terms.training}, drawn at random"
    whose = {
        "generated": "generated checkpoints",
        "heldout": "held-out runs",
        "training": f"{whom}, {terms.each},",
    }
    for kind in (kind for kind in whose if kind in evidence.groups):
        name, findings = evidence.groups[kind]
        yield _summary(
            terms,
            kind,
            median,
            findings.distance,
            rng,
            f"median_distance_{kind}",
            f"Median distance, {name} to training",
            f"Median over {whose[kind]} of the declared distance to the nearest training "
            f"checkpoint. {terms.in_weight_units(kind)}",
        )
    if terms.has_heldout and not terms.is_one_run:  # distances of steps are not of runs
        compared, before = (null.distance, training.distance), ""
        originals = evidence.measured.originals
        if originals is not None and originals.distances is not None:
            compared, before = originals.distances, ", all before the codec"
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
    scored, null = evidence.measured.scored.distance, evidence.null.distance
    ratio, chance = "Median distance, generated over fresh", "a sample is nearer than a fresh run"
    unit, how = "1: as far as fresh runs.", ""
    if terms.is_fixed:
        ratio = "Median distance, generated over training, one left out"
        chance = "a sample is nearer than a training checkpoint, one left out"
        all_but_one = "all training checkpoints but one, drawn at random"
        unit = "1: as far as these; how far fresh runs lie is not known. Each sample is compared "
        unit += f"with {all_but_one}."
        how = f"each sample against {all_but_one}; "
    n = evidence.n_beside or len(scored)
    yield _compared(_ratio, scored, null, rng, is_fixed=terms.is_fixed, n=n).quantity(
        "distance_ratio",
        ratio,
        "Median distance of generated checkpoints to the nearest training checkpoint over the same "
        f"for {terms.fresh}. {unit} {terms.bootstrapped(evidence.beside)}",
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
        f"random one of the {terms.fresh} ({how}Mann-Whitney U / mn; 0.5: no difference).",
        unit=SHARE,
    )
    if not terms.counts_fresh:
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
        "Within half the median distance of fresh runs" if terms.is_one_run else "Gross copies",
        int((scored <= limit * median(null)).sum()),
        len(scored),
        f"Share of generated checkpoints whose distance is at most {limit:g} of the median for "
        f"{terms.fresh}. Clopper-Pearson limits.",
    )


ONE_RUN_LABELS = {
    "copied_share": "Nearer to the training run than fresh runs",
    "aligned_share": "More aligned with the training run than fresh runs",
}
"""What identifies no copies is not called so."""


def _shares(evidence: Evidence) -> Iterator[Quantity]:
    """Shares beyond all held-out runs, and the least that could be seen."""
    if not evidence.terms.counts_fresh:
        return
    n_h, m = len(evidence.null), int(evidence.counted.sum())
    beyond = 1 / (n_h + 1) + 1e-12
    for test, (key, label, text) in SHARES.items():
        if test not in evidence.p_values:
            continue
        near = int((evidence.p_values[test] <= beyond)[evidence.counted].sum())
        yield _beyond_chance(
            key,
            ONE_RUN_LABELS.get(key, label) if evidence.terms.is_one_run else label,
            (near, m, n_h),
            f"Share of generated checkpoints that are {text}, less those expected by chance: "
            f"{near} of {m} beyond {n_h} fresh runs, p = {{p_value:.2g}} (beta-binomial, exact). "
            "The lower limit allows for the chance level's own uncertainty; the upper holds for "
            "copies that this measure can see.",
        )
    if "twin_near" in evidence.p_values:
        near = int((evidence.p_values["twin_near"] <= beyond).sum())
        yield _beyond_chance(
            "repeated_share",
            "Samples that repeat each other",
            (near, len(evidence.generated), n_h),
            "Share of generated checkpoints nearer to another sample than any held-out run is to "
            "another held-out run, among equally many others, less those expected by chance.",
        )
    if evidence.terms.is_one_run:
        return
    smallest = smallest_detectable(m, n_h, size=0.025)
    yield Quantity(
        key="smallest_detectable_share",
        label="Smallest copied share this audit could detect",
        value=None if smallest is None else smallest / m,
        n=m,
        definition=f"With {n_h} fresh runs and {m} samples "
        + (
            "no count can have a lower limit above 0."
            if smallest is None
            else f"at least {smallest} checkpoints beyond all fresh runs are needed for a lower "
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
    terms, generated, null = evidence.terms, evidence.generated, evidence.null
    name = {kind: name for kind, (name, _) in evidence.groups.items()}
    measured = {kind: findings for kind, (_, findings) in evidence.groups.items()}
    for kind, findings in measured.items():
        yield _summary(
            terms,
            kind,
            mean,
            _of(findings.quality),
            rng,
            f"mean_quality_{kind}",
            f"Mean {quality.name}, {name[kind]}",
            f"Mean {quality.name} of {name[kind]} checkpoints. {quality.definition}".strip(),
            unit=quality.unit,
        )
    g, h = _of(generated.quality), _of(null.quality)
    others = "held-out runs" if terms.has_heldout else terms.training
    n = evidence.n_beside or len(g)
    yield _compared(_difference, g, h, rng, is_fixed=terms.is_fixed, n=n).quantity(
        "quality_difference",
        f"{quality.name.capitalize()}, generated less "
        + ("training, 90%" if terms.is_fixed else "fresh"),
        f"Difference of mean {quality.name}, generated less {others}.",
        unit=quality.unit_of_difference,
        level=0.90,
    )
    for kind, findings in measured.items():
        yield _summary(
            terms,
            kind,
            median,
            _of(findings.novelty),
            rng,
            f"median_novelty_{kind}",
            f"Median {novelty.name}, {name[kind]}",
            f"Median over {name[kind]} checkpoints of the {novelty.name}, that to a training "
            f"checkpoint{terms.another(kind)}. {novelty.definition}".strip(),
            unit=novelty.unit,
        )
    if quality.unit == "%":
        yield _expected_similarity(evidence)
    for kind, findings in measured.items():
        if findings.overlap is not None:
            yield _summary(
                terms,
                kind,
                mean,
                findings.overlap,
                rng,
                f"prediction_overlap_{kind}",
                f"Prediction overlap with the nearest, {name[kind]}",
                f"Mean share of test examples that a {name[kind]} checkpoint and its nearest "
                f"training checkpoint{terms.another(kind)} predict alike (paper, Appendix C.3).",
                unit=SHARE,
            )
    for kind, findings in measured.items():
        if findings.expected_novelty is not None and kind != "training":
            above = _of(findings.novelty) - findings.expected_novelty
            yield estimate(median, above, rng=rng).quantity(
                f"similarity_above_chance_{kind}",
                f"Similarity above chance, {name[kind]}",
                f"Median over {name[kind]} checkpoints of the {novelty.name} less the error "
                "overlap that independent mistakes would give at their error rates.",
            )
    for kind, findings in measured.items():
        if findings.has_surface is not None:
            yield _without_surface(kind, name[kind], findings.has_surface)


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
        "independent: e1 e2 / (e1 + e2 - e1 e2), for one pair. Fresh runs lie above it: their "
        f"maximum is over all {evidence.terms.training}, and some examples are hard for all.",
    )


def _without_surface(kind: str, name: str, has_surface: Bool[np.ndarray, " n"]) -> Quantity:
    """The share of fields that describe no shape, with exact limits."""
    n, missing = len(has_surface), int((~has_surface).sum())
    return share_of(
        f"without_surface_{kind}",
        f"Fields without a surface, {name}",
        missing,
        n,
        f"Share of {name} checkpoints whose field reaches the level of the surface nowhere: "
        f"{missing} of {n}. They count as points that all lie in the middle. Clopper-Pearson "
        "limits.",
    )


def _over_noise(
    evidence: Evidence, quality: Measure, novelty: Measure, rng: np.random.Generator
) -> Quantity:
    """By how much samples work better than checkpoints with noise that are as novel."""
    noise, g = evidence.baselines.found["noise"], _of(evidence.generated.quality)
    noised = noise_parents(evidence.measured.given)
    per_run, drawn = _by_run(_of(noise.quality), noise.names), "training run"
    if evidence.terms.is_one_run:  # of this run, the draws of noise are what is independent
        per_run, drawn = _of(noise.quality), "sample and by draw of noise"
    return _compared(_difference, g, per_run, rng, n=len(per_run), least=2).quantity(
        "advantage_over_noise",
        f"{quality.name.capitalize()} over noise addition at matched novelty",
        f"Mean {quality.name} of generated checkpoints less that of {noised} with noise "
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
    for kind, findings in (("generated", generated), ("training", training)):
        yield _summary(
            terms,
            kind,
            mean,
            findings.distance,
            rng,
            f"mean_distance_{kind}",
            f"Mean distance, {kind} to training",
            f"Mean over {kind} checkpoints of the declared distance to the nearest training "
            f"checkpoint{terms.another(kind)} (paper, table 1). {terms.in_weight_units(kind)}",
            least=2,
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
