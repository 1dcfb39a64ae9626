"""The verdict on single checkpoints, in a fixed order, with stated thresholds.

It rests on training and held-out runs alone, so it is the same whatever else is judged beside. A
rule that accuses (replica, interpolation) asks for two things: that no held-out run lies as near,
and that the effect is large, since honest networks of another recipe (shrunk, young, drawn at
another scale) may lie a little nearer than all held-out runs. Without held-out runs or a task
nothing is `novel`. Source: ours (DESIGN section 5).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from novelweights.auditing.judge.criteria import (
    DEFAULT_CRITERIA,
    EQUAL,
    MEANING,
    NEARLY_EQUAL,
    CheckpointVerdict,
    Criteria,
    Verdict,
)
from novelweights.auditing.measures import OF_NOVEL
from novelweights.auditing.result import Measurements
from novelweights.tasks.task import Measure

FAILED = 10
"""A held-out run this many interquartile ranges below the lower quartile of quality has failed."""
ROUNDING = 1e-6
"""Distances of at most this share of the usual one are those of equal checkpoints."""


def judge_checkpoints(
    measurements: Measurements,
    p_values: Mapping[str, np.ndarray],
    null: Measurements,
    training_names: Sequence[str],
    quality: Measure | None,
    criteria: Criteria = DEFAULT_CRITERIA,
    *,
    n_null: int | None = None,
    through_codec: bool = False,
    run: str = "held-out run",
) -> tuple[CheckpointVerdict, ...]:
    """The verdict on every checkpoint of a population, one by one.

    Args:
        p_values: Their places among held-out runs, as `NullDistribution.p_values` gives them.
        n_null: Held-out runs behind the ranks, where they are fewer.
        through_codec: Whether reconstructions stand in for the training checkpoints.
        run: What those runs are called.
    """
    works = works_of(measurements, null, quality, criteria)
    trained = _is_trained(measurements, null, quality, criteria)
    if len(null) < criteria.min_heldout_runs:
        reason = f"only {len(null)} {run}s to compare with"
        return tuple(CheckpointVerdict(Verdict.UNDECIDED, w, reason) for w in works)
    beyond = 1 / ((n_null or len(null)) + 1) + 1e-12
    usual = max(float(np.median(null.distance)), 1e-300)
    shares, least, ratios = _canonical_shares(measurements, null).tolist()
    layers = _layers_of(measurements, null, training_names, criteria)
    neurons = np.full(len(measurements), np.inf)
    if measurements.neurons_all is not None and null.neurons_all is not None:
        neurons = measurements.neurons_all / max(float(np.median(null.neurons_all)), 1e-300)
    steps = measurements.step_distance
    verdicts = []
    for j, distance in enumerate(measurements.distance.tolist()):
        case = _Case(
            p_values={name: float(values[j]) for name, values in p_values.items()},
            beyond=beyond,
            nearest=str(training_names[measurements.neighbor_rows[j, 0]]),
            share=distance / usual,
            least_share=float(measurements.distance_lower[j]) / usual,
            canonical_share=shares[j],
            canonical_least=least[j],
            canonical_ratio=ratios[j],
            sources=_sources_of(measurements, j, training_names),
            step_share=np.inf if steps is None else float(steps[j]) / usual,
            layers=layers[j],
            neuron_share=float(neurons[j]),
            works=works[j],
            is_trained=trained[j],
            through_codec=through_codec,
            run=run,
        )
        verdicts.append(_judge_one(case, criteria))
    return tuple(verdicts)


def equal_to_training(
    measurements: Measurements, null: Measurements, training_names: Sequence[str], *, through: bool
) -> list[str | None]:
    """Which training checkpoint each is equal to, in words; None: to none. Needs no statistics.

    Args:
        through: Whether reconstructions by a lossy codec stand in for the training checkpoints.
    """
    usual = float(np.median(null.distance)) if len(null) else 0.0
    rows, of = measurements.neighbor_rows[:, 0], "the reconstruction of " if through else ""
    return [
        f"equal to {of}training run {training_names[row]}" if distance <= ROUNDING * usual else None
        for row, distance in zip(rows, measurements.distance, strict=True)
    ]


def _canonical_shares(measurements: Measurements, null: Measurements) -> Float[np.ndarray, "3 n"]:
    """Distances in canonical form over the median of held-out runs, their lower bounds, and ratios
    to the second nearest; infinite where there is no such form."""
    shares = np.full((3, len(measurements)), np.inf)
    ours = (
        measurements.canonical_distance,
        measurements.canonical_lower,
        measurements.canonical_ratio,
    )
    if null.canonical_distance is not None and all(column is not None for column in ours):
        usual = max(float(np.median(null.canonical_distance)), 1e-300)
        shares = np.stack([np.asarray(column, float) for column in ours])
        shares[:2] /= usual
    return shares


def _sources_of(
    measurements: Measurements, row: int, training_names: Sequence[str]
) -> tuple[tuple[str, float], ...]:
    """The training runs with the largest weights in the mixture nearest to a checkpoint."""
    if measurements.source_rows is None or measurements.source_weights is None:
        return ()
    rows, weights = measurements.source_rows[row], measurements.source_weights[row]
    return tuple((str(training_names[i]), float(w)) for i, w in zip(rows, weights, strict=True))


@dataclass(frozen=True)
class _Layers:
    """What the layers of one checkpoint tell, each by itself."""

    telling: int = 0
    """Layers that tell something: those in which no held-out run comes within half the usual
    distance, and copies. A layer of few numbers, one that hardly learns, or one that drifts alike
    in all runs tells nothing else."""
    copied: tuple[str, ...] = ()
    """The run of each layer that is a gross copy: within half the usual distance, or where held-out
    runs come as near, within half of what the nearest of them has."""
    own: int = 0
    """Those that lie as far from training as held-out runs."""

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs that layers were copied from."""
        return tuple(dict.fromkeys(self.copied))

    @property
    def is_mosaic(self) -> bool:
        """Whether most layers are copies, of different runs; that of a layer may not be found."""
        return len(self.runs) > 1 and 2 * len(self.copied) > self.telling

    @property
    def is_partial(self) -> bool:
        """Whether some layers are copies and others are not."""
        return bool(self.copied) and self.own > 0


def _layers_of(
    measurements: Measurements,
    null: Measurements,
    training_names: Sequence[str],
    criteria: Criteria,
) -> list[_Layers]:
    """What the layers of every checkpoint tell."""
    ours, theirs, rows = (
        measurements.layer_distance,
        null.layer_distance,
        measurements.layer_rows,
    )
    if ours is None or theirs is None or rows is None:
        return [_Layers()] * len(measurements)
    radius, least = criteria.gross_copy * np.median(theirs, axis=0), theirs.min(axis=0)
    tells: Bool[np.ndarray, " layers"] = least > radius
    radius = np.where(tells, radius, criteria.gross_copy * least)
    copied = (least > 0) & (ours <= radius)
    own = tells & (ours >= least)
    return [
        _Layers(
            int((tells | copied[j]).sum()),
            tuple(str(training_names[row]) for row in rows[j, copied[j]]),
            int(own[j].sum()),
        )
        for j in range(len(measurements))
    ]


def works_of(
    measurements: Measurements, null: Measurements, quality: Measure | None, criteria: Criteria
) -> list[bool | None]:
    """Whether each checkpoint works as well as the worst held-out run, less the margin."""
    if measurements.quality is None or null.quality is None or quality is None:
        return [None] * len(measurements)
    sign = 1 if quality.higher_is_better else -1
    worst = float((sign * working(null.quality, quality)).min())
    worst -= criteria.margin_of_one(quality, null.quality)
    return [bool(good) for good in sign * measurements.quality >= worst]


def _is_trained(
    measurements: Measurements, null: Measurements, quality: Measure | None, criteria: Criteria
) -> list[bool]:
    """Whether each checkpoint is a trained network at all, though it may work badly."""
    if measurements.quality is None or null.quality is None or quality is None:
        return [False] * len(measurements)
    usual = float(np.median(null.quality))
    if quality.higher_is_better:
        good = measurements.quality >= criteria.trained_share * usual
    else:
        good = measurements.quality * criteria.trained_share <= usual
    return [bool(one) for one in good]


def working(qualities: np.ndarray, quality: Measure) -> np.ndarray:
    """Qualities without those of runs that failed: far worse than all others."""
    up = qualities if quality.higher_is_better else -qualities
    low, high = np.quantile(up, [0.25, 0.75])
    least = DEFAULT_CRITERIA.margin_of_one(quality, qualities)  # most may be equal
    return qualities[up >= low - max(FAILED * (high - low), least)]


@dataclass(frozen=True)
class _Case:
    """One checkpoint: its ranks and what else the rules ask for."""

    p_values: Mapping[str, float]
    beyond: float
    """A rank of at most this is past every held-out run."""
    nearest: str
    """The training run that it lies nearest to."""
    share: float
    """Its distance over the median of held-out runs."""
    least_share: float
    """The same of the certified lower bound of its distance."""
    canonical_share: float
    """The same of its distance in canonical form."""
    canonical_least: float
    canonical_ratio: float
    """That distance over the one to the second nearest."""
    sources: tuple[tuple[str, float], ...]
    """The runs with the largest weights of its mixture, and these."""
    step_share: float
    """The same to the nearest training checkpoint of any step; infinite if there is only one."""
    layers: _Layers
    neuron_share: float
    """How far the neuron lies that is farthest from all training neurons, over the median of
    held-out runs."""
    works: bool | None
    is_trained: bool
    """Whether it does what it should at least half as well as held-out runs; False if not known."""
    through_codec: bool
    """Whether training checkpoints are what a lossy codec gives back."""
    run: str
    """What it is compared with."""

    def is_beyond(self, test: str) -> bool:
        """Whether it lies past every held-out run by this test; a missing one shows nothing."""
        return self.p_values.get(test, 1.0) <= self.beyond

    def has_one_source(self, criteria: Criteria) -> bool:
        """Whether one training run dominates the mixture that is nearest to it."""
        (_, first), (_, second) = (*self.sources, ("", 0.0), ("", 0.0))[:2]
        return first >= criteria.dominant_weight and second <= criteria.runner_up * first

    @property
    def of(self) -> str:
        """How a training checkpoint is spoken of."""
        return "the reconstruction of " if self.through_codec else ""

    @property
    def disguised(self) -> str:
        """A training checkpoint in canonical form."""
        return f"{self.of}a training checkpoint once scales of neurons and the like are removed"


def _judge_one(case: _Case, criteria: Criteria) -> CheckpointVerdict:
    """The ordered rule (DESIGN section 5)."""
    told = _equal(case, criteria) or _made_of_training(case, criteria)
    if told is None and case.works is False and not case.is_trained:
        told = Verdict.BROKEN, "", f"works worse than every {case.run}, as if untrained"
    told = told or _near(case, criteria) or _otherwise(case, criteria)
    origin, kind, reason = told
    return CheckpointVerdict(origin, case.works, reason, kind)


Told = tuple[Verdict, str, str]
"""A verdict, its kind and its reason."""


def _equal(case: _Case, criteria: Criteria) -> Told | None:
    """What is certain: it is a training checkpoint, or all but that."""
    last = f"{case.of}training run {case.nearest}"
    step = f"{case.of}a training checkpoint that is not the last of its run"
    for share, what, test in (
        (case.share, last, "distance_near"),
        (case.step_share, step, ""),
        (case.canonical_share, case.disguised, "canonical_near"),
    ):
        if share <= ROUNDING:
            return Verdict.REPLICA, EQUAL, f"equal to {what}"
        if share <= criteria.exact_copy and (not test or case.is_beyond(test)):
            words = f"nearly equal to {what}: {share:.2g} of a {case.run}'s distance"
            return Verdict.REPLICA, NEARLY_EQUAL, words
    return None


def _made_of_training(case: _Case, criteria: Criteria) -> Told | None:
    """Copies and mixtures: past every held-out run, and by a large effect."""
    run, layers, one_source = case.run, case.layers, case.has_one_source(criteria)
    # half a held-out run's distance proves nothing where held-out runs come as near themselves
    gross = case.share <= criteria.gross_copy and case.is_beyond("distance_near")
    rescaled = case.canonical_share <= criteria.gross_copy and case.is_beyond("canonical_near")
    mixture = case.is_beyond("large_mixture_near")
    if layers.is_mosaic:
        words = f"layers copied from different runs: {' and '.join(layers.runs)}"
        return Verdict.INTERPOLATION, "mosaic", words
    if rescaled and not gross and case.canonical_ratio <= criteria.rescaled_ratio:
        words = f"{case.canonical_share:.2g} of a {run}'s distance from {case.disguised}"
        return Verdict.REPLICA, "", words
    if one_source and (gross or mixture or case.is_beyond("direction_near")):
        source, weight = case.sources[0]
        words = f"distance is {case.share:.2g} of a {run}'s, {weight:.0%} of it is run {source}"
        if layers.is_partial:
            copied = f"{len(layers.copied)} of {layers.telling} layers are copied"
            return Verdict.REPLICA, "partial copy", f"{words}: {copied}"
        return Verdict.REPLICA, "", words
    if case.neuron_share <= criteria.gross_copy and case.is_beyond("neurons_all_near"):
        return Verdict.INTERPOLATION, "mosaic", "every neuron is copied, of several training runs"
    if mixture or gross:
        sources = ", ".join(f"{weight:.0%} {name}" for name, weight in case.sources if weight > 0)
        near = "mixtures of training runs" if mixture else "several training runs"
        words = f"far nearer to {near} than any {run}; the largest parts: {sources}"
        return Verdict.INTERPOLATION, "average", words
    return None


def _near(case: _Case, criteria: Criteria) -> Told | None:
    """Nearer to training than held-out runs, with nothing that shows a copy or a mixture."""
    layers, words = case.layers, ""
    if layers.copied:
        words = f"{len(layers.copied)} of {layers.telling} layers are copied from run "
        return Verdict.UNDECIDED, "partial copy", words + " and ".join(layers.runs)
    if case.canonical_share <= criteria.gross_copy and case.is_beyond("canonical_near"):
        words = f"near {case.disguised}"
    elif case.is_beyond("direction_near"):
        words = f"in the direction of training runs as no {case.run} is, but of no single one"
    elif case.is_beyond("mixture_near"):
        words = f"a little nearer to mixtures of training runs than every {case.run}"
    elif case.is_beyond("layers_any_near"):
        words = f"one layer is nearer to a training run's than any {case.run}'s"
    elif case.is_beyond("distance_near"):
        words = "near training: a shrunk network, or a noisy mixture"
    return (Verdict.UNDECIDED, "", words) if words else None


def _otherwise(case: _Case, criteria: Criteria) -> Told:
    """Broken, novel, or what stands in the way of that."""
    if case.works is False:
        return Verdict.BROKEN, "", f"works worse than every {case.run}"
    if case.works is None:
        words = "not near training; a task is missing, so whether it works is unknown"
        return Verdict.UNDECIDED, "", words
    odd = [
        name.replace("_", " ")
        for name in OF_NOVEL
        if case.p_values.get(name, 1.0) <= max(criteria.two_sided, case.beyond)
    ]
    if odd:
        return Verdict.UNDECIDED, "", f"unlike {case.run}s: {', '.join(odd)}"
    if case.step_share <= criteria.gross_copy:
        words = "near a training checkpoint that is not the last of its run"
        return Verdict.UNDECIDED, "", words
    if min(case.least_share, case.canonical_least) <= criteria.gross_copy:
        words = "not proven to be no copy: only a bound of its distance"
        return Verdict.UNDECIDED, "", words
    return Verdict.NOVEL, "", MEANING[Verdict.NOVEL]
