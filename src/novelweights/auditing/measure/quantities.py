"""Population-level numbers of an audit, each with n, interval and definition.

DESIGN section 5. Intervals of medians and means are bootstraps by run (2,000 draws); shares have
exact limits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool

from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA
from novelweights.auditing.judge.statistics import (
    bootstrap,
    clopper_pearson,
    mean,
    median,
    nearer_probability,
    share_beyond,
    smallest_detectable,
)
from novelweights.auditing.measures import SHARES
from novelweights.auditing.one_run.words import of_one_run, without_limits
from novelweights.auditing.result import Measurements, Quantity
from novelweights.metrics.agreement import expected_iou
from novelweights.tasks.task import Measure

SHARE_UNIT = "share"
BEYOND = 1e12
"""A larger ratio had 0 for its denominator."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the numbers are made of."""

    training: Measurements
    generated: Measurements
    null: Measurements
    """Held-out runs; without them the training checkpoints, each against the other runs."""
    scored: Measurements
    """The generated checkpoints as they compare with the yardstick (the same, unless held-out
    runs are missing; then each is scored against the training runs but one)."""
    has_heldout: bool
    n_training: int
    """Training checkpoints in all."""
    p_values: dict[str, np.ndarray]
    counted: np.ndarray
    """False for generated checkpoints that repeat another: no further evidence."""
    quality: Measure | None
    novelty: Measure | None
    baselines: dict[str, Measurements]
    noised: str = "training checkpoints"
    """What the noise baseline added noise to, in words."""
    before_codec: tuple[np.ndarray, np.ndarray] | None = None
    """Distances of held-out runs to training and among training runs before a lossy codec, where
    reconstructions stand in: of the recipe, what the codec gives back tells nothing."""
    is_one_run: bool = False
    """Whether training checkpoints are steps of too few runs: no independent evidence, so none is
    drawn again, and what they tell alone has no interval."""


def quantities(evidence: Evidence, *, rng: np.random.Generator) -> tuple[Quantity, ...]:
    """All population-level numbers, in the order in which a reader wants them."""
    found = _nearness(evidence, rng) + _shares(evidence)
    if evidence.quality is not None and evidence.novelty is not None:
        found += _behavior(evidence, rng)
    found += _coverage(evidence) + _as_in_the_paper(evidence, rng)
    if evidence.is_one_run:
        n_heldout = len(evidence.null) if evidence.has_heldout else 0
        found = of_one_run(found, n_generated=len(evidence.generated), n_heldout=n_heldout)
    return tuple(found)


def _summary(
    key: str,
    label: str,
    statistic: Callable[[np.ndarray], np.ndarray],
    values: np.ndarray,
    rng: np.random.Generator,
    *,
    definition: str,
    unit: str = "",
) -> Quantity:
    """A mean or median with its 95% bootstrap interval."""
    lower, upper = bootstrap(statistic, values, level=0.95, rng=rng)
    value, n = float(statistic(values)), len(values)
    return Quantity(
        key, label, value, n, definition, lower=lower, upper=upper, level=0.95, unit=unit
    )


def _difference(
    key: str,
    label: str,
    one: np.ndarray,
    other: np.ndarray,
    rng: np.random.Generator,
    *,
    level: float,
    n: int,
    definition: str,
    quality: Measure,
    is_fixed: bool = False,
) -> Quantity:
    """A difference of means with its bootstrap interval; the other is drawn again unless fixed."""

    def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(mean(a) - mean(b))

    lower, upper = _limits(difference, one, other, level=level, rng=rng, is_fixed=is_fixed)
    return Quantity(
        key=key,
        label=label,
        value=float(difference(one, other)),
        lower=lower,
        upper=upper,
        level=level,
        n=n,
        unit="points" if quality.unit == "%" else quality.unit,
        definition=definition,
    )


def _limits(
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray],
    one: np.ndarray,
    other: np.ndarray,
    *,
    level: float,
    rng: np.random.Generator,
    is_fixed: bool,
) -> tuple[float, float]:
    """The bootstrap interval of a number made of two populations; the other may be fixed."""
    if is_fixed:
        return bootstrap(lambda a: statistic(a, other), one, level=level, rng=rng)
    return bootstrap(statistic, one, other, level=level, rng=rng)


def _nearness(evidence: Evidence, rng: np.random.Generator) -> list[Quantity]:
    generated, training, null = evidence.generated, evidence.training, evidence.null
    whose = "held-out runs" if evidence.has_heldout else "training runs, own run excluded"
    groups = [("generated", "generated", generated, "generated checkpoints")]
    if evidence.has_heldout:
        groups.append(("heldout", "held-out", null, "held-out runs"))
    whom = "training runs"
    if len(training) < evidence.n_training:
        whom = f"{len(training):,} of the training runs, drawn at random"
    groups.append(("training", "training", training, f"{whom}, each against the other runs,"))
    found = [
        _summary(
            f"median_distance_{key}",
            f"Median distance, {name} to training",
            median,
            findings.distance,
            rng,
            definition=f"Median over {of} of the declared distance to the nearest training "
            "checkpoint. Weight units; bootstrap by run.",
        )
        for key, name, findings, of in groups
    ]
    if evidence.has_heldout and not evidence.is_one_run:  # distances of steps are not of runs
        compared, before = (null.distance, training.distance), ""
        if evidence.before_codec is not None:
            compared, before = evidence.before_codec, ", all before the codec"
        found.append(
            Quantity(
                key="recipe_p_value",
                label="Held-out against training runs, p-value",
                value=nearer_probability(*compared)[1],
                n=sum(map(len, compared)),
                definition="Two-sided rank test of the held-out runs' distances to training "
                f"against those of training runs to the other runs{before}. Small: the held-out "
                "runs are of another recipe.",
            )
        )
    scored = evidence.scored.distance
    is_fixed = evidence.is_one_run and not evidence.has_heldout
    lower, upper = _limits(_ratio, scored, null.distance, level=0.90, rng=rng, is_fixed=is_fixed)
    nearer, p_value = nearer_probability(scored, null.distance)
    gross = int((scored <= DEFAULT_CRITERIA.gross_copy * median(null.distance)).sum())
    gross_lower, gross_upper = clopper_pearson(gross, len(scored))
    return [
        *found,
        Quantity(
            key="distance_ratio",
            label="Median distance, generated over fresh",
            value=float(_ratio(scored, null.distance)),
            lower=lower,
            upper=upper,
            level=0.90,
            n=len(scored),
            definition="Median distance of generated checkpoints to the nearest training "
            f"checkpoint over the same for {whose}. 1: as far as fresh runs. Bootstrap by run.",
        ),
        Quantity(
            key="nearer_probability",
            label="Chance that a sample is nearer than a fresh run",
            value=nearer,
            n=len(scored) + len(null),
            definition="Probability that a random generated checkpoint lies nearer to training "
            f"than a random one of the {whose} (Mann-Whitney U / mn; 0.5: no difference).",
            unit=SHARE_UNIT,
        ),
        Quantity(
            key="nearer_p_value",
            label="p-value of the rank test",
            value=p_value,
            n=len(scored) + len(null),
            definition="Two-sided Mann-Whitney test of those two sets of distances, one row per "
            "run; exact without ties up to 100,000 pairs.",
        ),
        Quantity(
            key="gross_copy_share",
            label="Gross copies",
            value=gross / len(scored),
            lower=gross_lower,
            upper=gross_upper,
            level=0.95,
            n=len(scored),
            definition="Share of generated checkpoints whose distance is at most "
            f"{DEFAULT_CRITERIA.gross_copy:g} of the median for {whose}. Clopper-Pearson limits.",
            unit=SHARE_UNIT,
        ),
    ]


def _shares(evidence: Evidence) -> list[Quantity]:
    n_h, m = len(evidence.null), int(evidence.counted.sum())
    beyond = 1 / (n_h + 1) + 1e-12
    found = []
    for test, (key, label, text) in SHARES.items():
        if test not in evidence.p_values:
            continue
        share = share_beyond(
            int((evidence.p_values[test] <= beyond)[evidence.counted].sum()), m, n_h
        )
        found.append(
            Quantity(
                key=key,
                label=label,
                value=share.estimate,
                lower=share.lower,
                upper=share.upper,
                level=0.95,
                n=m,
                definition=f"Share of generated checkpoints that are {text}, less those expected "
                f"by chance: {share.count} of {m} beyond {n_h} fresh runs, p = {share.p_value:.2g} "
                "(beta-binomial, exact). The lower limit allows for the chance level's own "
                "uncertainty; the upper holds for copies that this measure can see.",
                unit=SHARE_UNIT,
            )
        )
    if "twin_near" in evidence.p_values:
        near = int((evidence.p_values["twin_near"] <= beyond).sum())
        twins = share_beyond(near, len(evidence.generated), n_h)
        found.append(
            Quantity(
                key="repeated_share",
                label="Samples that repeat each other",
                value=twins.estimate,
                lower=twins.lower,
                upper=twins.upper,
                level=0.95,
                n=len(evidence.generated),
                unit=SHARE_UNIT,
                definition="Share of generated checkpoints nearer to another sample than any "
                "held-out run is to another held-out run, among equally many others, less those "
                "expected by chance.",
            )
        )
    smallest = smallest_detectable(m, n_h, size=0.025)
    found.append(
        Quantity(
            key="smallest_detectable_share",
            label="Smallest copied share this audit could detect",
            value=None if smallest is None else smallest / m,
            n=m,
            definition=f"With {n_h} fresh runs and {m} samples at least {smallest} checkpoints "
            "beyond all fresh runs are needed for a lower limit above 0."
            if smallest is not None
            else f"With {n_h} fresh runs and {m} samples no count can have a lower limit above 0.",
            unit=SHARE_UNIT,
        )
    )
    return found


def _behavior(evidence: Evidence, rng: np.random.Generator) -> list[Quantity]:
    quality, novelty = evidence.quality, evidence.novelty
    generated, training, null = evidence.generated, evidence.training, evidence.null
    if quality is None or novelty is None:
        raise ValueError("behavior needs a task")
    groups = [("generated", "generated", generated), ("training", "training", training)]
    if evidence.has_heldout:
        groups.append(("heldout", "held-out", null))
    g, h = _of(generated.quality), _of(null.quality)
    found = [
        _summary(
            f"mean_quality_{key}",
            f"Mean {quality.name}, {name}",
            mean,
            _of(findings.quality),
            rng,
            unit=quality.unit,
            definition=f"Mean {quality.name} of {name} checkpoints. {quality.definition}".strip(),
        )
        for key, name, findings in groups
    ]
    found.append(
        _difference(
            "quality_difference",
            f"{quality.name.capitalize()}, generated less fresh",
            g,
            h,
            rng,
            level=0.90,
            n=len(g),
            quality=quality,
            is_fixed=evidence.is_one_run and not evidence.has_heldout,
            definition=f"Difference of mean {quality.name}, generated less "
            f"{'held-out' if evidence.has_heldout else 'training'} runs.",
        )
    )
    found += [
        _summary(
            f"median_novelty_{key}",
            f"Median {novelty.name}, {name}",
            median,
            _of(findings.novelty),
            rng,
            unit=novelty.unit,
            definition=f"Median over {name} checkpoints of the {novelty.name}, that to a training "
            f"checkpoint{_other(key)}. {novelty.definition}".strip(),
        )
        for key, name, findings in groups
    ]
    if quality.unit == "%":
        rates = [1 - float(mean(values)) / 100 for values in (g, _of(training.quality))]
        chance = expected_iou(*(torch.tensor([rate], dtype=torch.float64) for rate in rates))
        found.append(
            Quantity(
                key="expected_similarity",
                label="Error overlap expected by chance",
                value=float(chance[0]),
                n=len(g),
                definition="Error IoU of two classifiers with these mean error rates whose "
                "mistakes are independent: e1 e2 / (e1 + e2 - e1 e2), for one pair. Fresh runs "
                "lie above it: their maximum is over all training runs, and some examples are "
                "hard for all.",
            )
        )
    found += [
        _summary(
            f"prediction_overlap_{key}",
            f"Prediction overlap with the nearest, {name}",
            mean,
            findings.overlap,
            rng,
            unit=SHARE_UNIT,
            definition=f"Mean share of test examples that a {name} checkpoint and its nearest "
            f"training checkpoint{_other(key)} predict alike (paper, Appendix C.3).",
        )
        for key, name, findings in groups
        if findings.overlap is not None
    ]
    for key, name, findings in groups:
        if findings.expected_novelty is None or key == "training":
            continue
        found.append(
            _summary(
                f"similarity_above_chance_{key}",
                f"Similarity above chance, {name}",
                median,
                _of(findings.novelty) - findings.expected_novelty,
                rng,
                definition=f"Median over {name} checkpoints of the {novelty.name} less the error "
                "overlap that independent mistakes would give at their error rates.",
            )
        )
    found += [
        _without_surface(key, name, findings.has_surface)
        for key, name, findings in groups
        if findings.has_surface is not None
    ]
    if "noise" in evidence.baselines:
        noise = evidence.baselines["noise"]
        per_run, drawn = _by_run(_of(noise.quality), noise.names), "training run"
        if evidence.is_one_run:  # of this run, the draws of noise are what is independent
            per_run, drawn = _of(noise.quality), "sample and by draw of noise"
        advantage = _difference(
            "advantage_over_noise",
            f"{quality.name.capitalize()} over noise addition at matched novelty",
            g,
            per_run,
            rng,
            level=0.95,
            n=len(per_run),
            quality=quality,
            definition=f"Mean {quality.name} of generated checkpoints less that of "
            f"{evidence.noised} with noise chosen so that the median {novelty.name} is equal "
            f"(paper, figure 6); bootstrap by {drawn}, of which n stand behind the noise. 0: "
            "the generator offers nothing beyond noise addition.",
        )
        few = min(len(g), len(per_run)) < 2
        found.append(without_limits(advantage) if few else advantage)
    return found


def _without_surface(key: str, name: str, has_surface: Bool[np.ndarray, " n"]) -> Quantity:
    """The share of fields that describe no shape, with exact limits."""
    n, missing = len(has_surface), int((~has_surface).sum())
    lower, upper = clopper_pearson(missing, n)
    return Quantity(
        key=f"without_surface_{key}",
        label=f"Fields without a surface, {name}",
        value=missing / n,
        lower=lower,
        upper=upper,
        level=0.95,
        n=n,
        unit=SHARE_UNIT,
        definition=f"Share of {name} checkpoints whose field reaches the level of the surface "
        f"nowhere: {missing} of {n}. They count as points that all lie in the middle. "
        "Clopper-Pearson limits.",
    )


def _coverage(evidence: Evidence) -> list[Quantity]:
    n, hit = evidence.n_training, len(np.unique(evidence.generated.neighbor_rows[:, 0]))
    return [
        Quantity(
            key="never_nearest_share",
            label="Training checkpoints that are never nearest",
            value=1 - hit / n,
            n=n,
            unit=SHARE_UNIT,
            definition=f"Share of the {n} training checkpoints that are the nearest of none of "
            f"the {len(evidence.generated)} generated checkpoints (paper, appendix H).",
        )
    ]


def _as_in_the_paper(evidence: Evidence, rng: np.random.Generator) -> list[Quantity]:
    """Generated against training checkpoints, as the paper compares them.

    The last to draw, so that the other numbers do not depend on these.
    """
    generated, training, quality = evidence.generated, evidence.training, evidence.quality
    found = [
        _summary(
            f"mean_distance_{key}",
            f"Mean distance, {key} to training",
            mean,
            findings.distance,
            rng,
            definition=f"Mean over {key} checkpoints of the declared distance to the nearest "
            f"training checkpoint{_other(key)} (paper, table 1). Weight units; bootstrap by run.",
        )
        for key, findings in (("generated", generated), ("training", training))
    ]
    found += [
        _against_training(
            "distance_ratio_training",
            "Median distance, generated over training",
            _ratio,
            generated.distance,
            training.distance,
            rng,
            is_fixed=evidence.is_one_run,
            definition="Median distance of generated checkpoints to the nearest training "
            "checkpoint over that of training checkpoints to the nearest of another run (paper, "
            "figure 4). Below 1: nearer to training checkpoints than these are to one another.",
        ),
        Quantity(
            key="nearer_probability_training",
            label="Chance that a sample is nearer than a training checkpoint",
            value=nearer_probability(generated.distance, training.distance)[0],
            n=len(generated) + len(training),
            definition="Probability that a random generated checkpoint lies nearer to its nearest "
            "training checkpoint than a random training checkpoint to its nearest of another run "
            "(Mann-Whitney U / mn; 0.5: no difference).",
            unit=SHARE_UNIT,
        ),
    ]
    if generated.overlap is not None and training.overlap is not None:
        found.append(
            _against_training(
                "disagreement_ratio",
                "Disagreement with the nearest, generated over training",
                lambda one, other: mean(one) / np.maximum(mean(other), 1e-300),
                1 - generated.overlap,
                1 - training.overlap,
                rng,
                is_fixed=evidence.is_one_run,
                definition="Mean share of test examples that generated checkpoints and their "
                "nearest training checkpoints predict differently, over the same for training "
                "checkpoints and their nearest of another run (paper, table 2). Below 1: "
                "predictions overlap more than those of training checkpoints do.",
            )
        )
    if evidence.novelty is not None and evidence.novelty.higher_is_better:  # a distance
        found.append(
            _against_training(
                "novelty_ratio",
                f"Median {evidence.novelty.name}, generated over training",
                _ratio,
                _of(generated.novelty),
                _of(training.novelty),
                rng,
                is_fixed=evidence.is_one_run,
                definition=f"Median {evidence.novelty.name} of generated checkpoints over that of "
                "training checkpoints among those of other runs (paper, figure 5d). Below 1: more "
                "like a training checkpoint than these are like one another.",
            )
        )
    if quality is not None:
        found.append(
            _difference(
                "quality_difference_training",
                f"{quality.name.capitalize()}, generated less training",
                _of(generated.quality),
                _of(training.quality),
                rng,
                level=0.95,
                n=len(generated) + len(training),
                quality=quality,
                is_fixed=evidence.is_one_run,
                definition=f"Difference of mean {quality.name}, generated less training "
                "checkpoints (paper, table 1).",
            )
        )
    if len(generated) < 2:  # drawn again it is the same: its interval would have no width
        found = [q if q.key == "mean_distance_training" else without_limits(q) for q in found]
    return found


def _against_training(
    key: str,
    label: str,
    ratio: Callable[[np.ndarray, np.ndarray], np.ndarray],
    generated: np.ndarray,
    training: np.ndarray,
    rng: np.random.Generator,
    *,
    definition: str,
    is_fixed: bool,
) -> Quantity:
    """A ratio with its 95% bootstrap interval; what would be divided by 0 is not had."""
    value = float(ratio(generated, training))
    limits = _limits(ratio, generated, training, level=0.95, rng=rng, is_fixed=is_fixed)
    known = [None if x > BEYOND else x for x in (value, *limits)]
    return Quantity(
        key=key,
        label=label,
        value=known[0],
        n=len(generated) + len(training),
        definition=f"{definition} Bootstrap by run.",
        lower=known[1],
        upper=known[2],
        level=0.95,
    )


def _by_run(values: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """The mean of each run: rows made from one run are one piece of evidence."""
    runs = np.unique(np.asarray(names, dtype=str), return_inverse=True)[1]
    return np.bincount(runs, values) / np.bincount(runs)


def _other(key: str) -> str:
    return " of another run" if key == "training" else ""


def _of(values: np.ndarray | None) -> np.ndarray:
    if values is None:
        raise ValueError("the findings lack behavior")
    return values


def _ratio(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(median(one) / np.maximum(median(other), 1e-300))
