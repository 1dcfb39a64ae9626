"""From numbers to words: one pure function, in a fixed order, with stated thresholds.

Here are the rules on single checkpoints; `population_verdict.py` has what is said of all together.

The order follows the trials on real zoos (DESIGN section 5): replica, interpolation, near but
unexplained, broken, novel. Without held-out runs or a task nothing is `novel`; a measure that
cannot be had (other samples, for a single one) is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from novelweights.auditing.judge.criteria import (
    DEFAULT_CRITERIA,
    MEANING,
    CheckpointVerdict,
    ControlVerdict,
    Criteria,
    PopulationVerdict,
    Verdict,
    Verdicts,
)
from novelweights.auditing.judge.population_verdict import (
    is_worse_than_originals,
    judge_population,
    reasons_of,
    why_withheld,
)
from novelweights.auditing.judge.statistics import share_beyond
from novelweights.auditing.measures import ACCUSING, OF_NOVEL
from novelweights.auditing.result import AuditResult, Measurements, Planted
from novelweights.tasks.task import Measure

FAILED = 10
"""A held-out run this many interquartile ranges below the lower quartile of quality has failed."""


def judge(result: AuditResult, criteria: Criteria = DEFAULT_CRITERIA) -> Verdicts:
    """The verdict on every generated checkpoint, on every control and on all samples together.

    Pure: depends on the numbers and the thresholds alone. Source: ours.
    """
    null = result.heldout if result.heldout is not None else result.training
    names, quality = result.training_names, result.quality
    controls = tuple(
        _judge_control(key, planted, null, names, quality, criteria)
        for key, planted in result.controls.items()
    )
    withheld = why_withheld(result, criteria, controls)
    if withheld:
        works = works_of(result.generated, null, quality, criteria)
        checkpoints = tuple(CheckpointVerdict(Verdict.UNDECIDED, w, withheld[0]) for w in works)
        population = PopulationVerdict(
            Verdict.UNDECIDED, f"{withheld[0]}.", tuple(reasons_of(result)), (withheld[1],)
        )
    else:
        checkpoints = judge_checkpoints(
            result.generated,
            result.p_values,
            null,
            names,
            quality,
            criteria,
            through_codec=result.through_codec,
            run="held-out run" if result.heldout is not None else "training run",
        )
        reason = None
        if result.heldout is None:
            reason = "not near training; held-out runs are missing"
        elif is_worse_than_originals(result, criteria):
            reason = "like held-out runs through the codec, but samples work worse than before it"
        if reason is not None:
            checkpoints = tuple(
                replace(c, origin=Verdict.UNDECIDED, reason=reason)
                if c.origin is Verdict.NOVEL
                else c
                for c in checkpoints
            )
        population = judge_population(result, criteria, checkpoints)
    sentence = population.sentence[:1].upper() + population.sentence[1:]
    return Verdicts(replace(population, sentence=sentence), checkpoints, criteria, controls)


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
    columns = {name: values.tolist() for name, values in p_values.items()}
    copied_layers = np.zeros(len(measurements), dtype=bool)
    if measurements.layer_distance is not None and null.layer_distance is not None:
        radius = criteria.gross_copy * np.median(null.layer_distance, axis=0)
        copied_layers = np.all(measurements.layer_distance <= radius, axis=1)
    steps = measurements.step_distance
    layer_rows = (
        [()] * len(measurements)
        if measurements.layer_rows is None
        else measurements.layer_rows.tolist()
    )
    verdicts = []
    for j, distance in enumerate(measurements.distance.tolist()):
        case = _Case(
            p_values={name: values[j] for name, values in columns.items()},
            beyond=beyond,
            share=distance / usual,
            least_share=float(measurements.distance_lower[j]) / usual,
            canonical_share=shares[j],
            canonical_least=least[j],
            canonical_ratio=ratios[j],
            sources=(0.0, 0.0)
            if measurements.source_weights is None
            else tuple(measurements.source_weights[j, :2].tolist()),
            step_share=np.inf if steps is None else float(steps[j]) / usual,
            layer_runs=tuple(str(training_names[row]) for row in layer_rows[j]),
            layers_copied=bool(copied_layers[j]),
            works=works[j],
            is_trained=trained[j],
            through_codec=through_codec,
            run=run,
        )
        verdicts.append(_judge_one(case, criteria))
    return tuple(verdicts)


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
    share: float
    """Its distance over the median of held-out runs."""
    least_share: float
    """The same of the certified lower bound of its distance."""
    canonical_share: float
    """The same of its distance in canonical form."""
    canonical_least: float
    canonical_ratio: float
    """That distance over the one to the second nearest."""
    sources: tuple[float, ...]
    """The two largest weights of its mixture."""
    step_share: float
    """The same to the nearest training checkpoint of any step; infinite if there is only one."""
    layer_runs: tuple[str, ...]
    """The nearest run of each layer."""
    layers_copied: bool
    """Whether every layer by itself is a gross copy."""
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


def _judge_one(case: _Case, criteria: Criteria) -> CheckpointVerdict:
    """The ordered rule (DESIGN section 5)."""

    def says(origin: Verdict, reason: str, kind: str = "") -> CheckpointVerdict:
        return CheckpointVerdict(origin, case.works, reason, kind)

    (first, second), run = case.sources, case.run
    one_source = first >= criteria.dominant_weight and second <= criteria.runner_up * first
    # half a held-out run's distance proves nothing where held-out runs come as near themselves
    gross = case.share <= criteria.gross_copy and case.is_beyond("distance_near")
    copied = gross or case.is_beyond("direction_near")
    mosaic = case.is_beyond("layers_all_near") and len(set(case.layer_runs)) > 1
    # aligned to an untrained network, training runs surround it: no proof of mixing
    mixture = case.is_beyond("mixture_near" if case.is_trained else "raw_mixture_near")
    runs = " and ".join(dict.fromkeys(case.layer_runs))
    of = "the reconstruction of " if case.through_codec else ""
    if min(case.share, case.step_share) <= criteria.exact_copy:
        last = case.share <= case.step_share
        what = "a training checkpoint" if last else "a training checkpoint, not the last of its run"
        return says(Verdict.REPLICA, f"equal to {of}{what}")
    disguised = f"{of}a training checkpoint once scales of neurons and the like are removed"
    if case.canonical_share <= criteria.exact_copy:
        return says(Verdict.REPLICA, f"equal to {disguised}")
    rescaled = case.canonical_share <= criteria.gross_copy and case.is_beyond("canonical_near")
    if rescaled and not gross and case.canonical_ratio <= criteria.rescaled_ratio:
        return says(
            Verdict.REPLICA,
            f"{case.canonical_share:.2g} of a {run}'s distance from {disguised}",
        )
    if one_source and not mosaic and (copied or mixture):
        return says(
            Verdict.REPLICA,
            f"distance is {case.share:.2g} of a {run}'s, {first:.0%} of it is one training run",
        )
    if mosaic and (case.layers_copied or not mixture):
        return says(Verdict.INTERPOLATION, f"layers copied from different runs: {runs}", "mosaic")
    if mixture:
        return says(
            Verdict.INTERPOLATION,
            f"nearer to mixtures of training runs than any {run}",
            "average",
        )
    if copied:
        return says(Verdict.INTERPOLATION, f"near several training runs, beyond {run}s", "average")
    if rescaled:
        return says(Verdict.UNDECIDED, f"near {disguised}")
    if case.is_beyond("layers_any_near"):
        return says(Verdict.UNDECIDED, "one layer is near a training run's", "partial copy")
    if case.is_beyond("distance_near"):
        return says(Verdict.UNDECIDED, "near training: a shrunk network, or a noisy mixture")
    if case.works is False:
        return says(Verdict.BROKEN, f"works worse than every {run}")
    if case.works is None:
        return says(
            Verdict.UNDECIDED,
            "not near training; a task is missing, so whether it works is unknown",
        )
    odd = [
        name.replace("_", " ")
        for name in OF_NOVEL
        if case.p_values.get(name, 1.0) <= max(criteria.two_sided, case.beyond)
    ]
    if odd:
        return says(Verdict.UNDECIDED, f"unlike {run}s: {', '.join(odd)}")
    if case.step_share <= criteria.gross_copy:
        return says(Verdict.UNDECIDED, "near a training checkpoint that is not the last of its run")
    if min(case.least_share, case.canonical_least) <= criteria.gross_copy:
        return says(Verdict.UNDECIDED, "not proven to be no copy: only a bound of its distance")
    return says(Verdict.NOVEL, MEANING[Verdict.NOVEL])


def _judge_control(
    key: str,
    planted: Planted,
    null: Measurements,
    names: Sequence[str],
    quality: Measure | None,
    criteria: Criteria,
) -> ControlVerdict:
    """What the rules say of checkpoints of known origin, and whether they are right."""
    judged = judge_checkpoints(
        planted.measured,
        planted.p_values,
        null,
        names,
        quality,
        criteria,
        n_null=planted.n_chance,
    )
    origins = [str(verdict.origin) for verdict in judged]
    n, right = len(origins), sum(origin in planted.expected for origin in origins)
    if planted.n_chance is None:
        passed = right >= criteria.control_share * n
    else:  # the most extreme of held-out runs are beyond the others by chance
        chance = share_beyond(n - right, n, planted.n_chance, r=len(ACCUSING))
        passed = chance.p_value >= criteria.control_p_value
    return ControlVerdict(
        key=key,
        label=planted.label,
        n=n,
        right=right,
        expected=planted.expected,
        counts={str(kind): origins.count(str(kind)) for kind in Verdict},
        passed=passed,
        can_veto=planted.can_veto,
        noise=planted.noise,
        distance=float(
            np.median(planted.measured.distance) / max(np.median(null.distance), 1e-300)
        ),
        note=planted.note,
    )
