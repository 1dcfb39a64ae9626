"""From numbers to words: one pure function, in a fixed order, with stated thresholds.

The order follows the trials on real zoos (DESIGN section 5): replica, interpolation, near but
unexplained, broken, novel. Without held-out runs or a task nothing is `novel`; a measure that
cannot be had (other samples, for a single one) is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from novelweights.audit.calibration import clopper_pearson, share_beyond
from novelweights.audit.criteria import (
    DEFAULT_CRITERIA,
    MEANING,
    CheckpointVerdict,
    ControlVerdict,
    Criteria,
    PopulationVerdict,
    Verdict,
    Verdicts,
)
from novelweights.audit.planning import limits_beside
from novelweights.audit.result import AuditResult, Findings, Planted, Quantity
from novelweights.audit.words import count
from novelweights.tasks.task import Measure

FAILED = 10
"""A fresh run this many interquartile ranges below the lower quartile of quality has failed."""
N_LEGS = 3
"""Ways in which a fresh run can be accused by chance: direction, mixture, layers."""
NOVEL_LEGS = (
    "distance_near",
    "distance_far",
    "direction_near",
    "cosine_far",
    "mixture_near",
    "unmatched_mixture_near",
    "hull_far",
    "pca_far",
    "layers_any_near",
    "twin_near",
    "similarity_high",
    "similarity_low",
)
"""Ranks that must be those of a fresh run before a checkpoint is called novel."""


def judge(result: AuditResult, criteria: Criteria = DEFAULT_CRITERIA) -> Verdicts:
    """The verdict on every generated checkpoint, on every control and on all samples together.

    Pure: depends on the numbers and the thresholds alone. Source: ours.
    """
    fresh = result.heldout if result.heldout is not None else result.training
    names, quality = result.training_names, result.quality
    controls = tuple(
        _judge_control(key, planted, fresh, names, quality, criteria)
        for key, planted in result.controls.items()
    )
    withheld = _withheld(result, criteria, controls)
    if withheld:
        works = works_of(result.generated, fresh, quality, criteria)
        checkpoints = tuple(CheckpointVerdict(Verdict.UNDECIDED, w, withheld[0]) for w in works)
        population = PopulationVerdict(
            Verdict.UNDECIDED, f"{withheld[0]}.", tuple(_reasons(result)), (withheld[1],)
        )
    else:
        checkpoints = judge_checkpoints(
            result.generated, result.ranks, fresh, names, quality, criteria
        )
        reason = None
        if result.heldout is None:
            reason = "not near training; held-out runs are missing"
        elif _is_worse_than_originals(result, criteria):
            reason = "like fresh runs through the codec, but samples work worse than before it"
        if reason is not None:
            checkpoints = tuple(
                replace(c, origin=Verdict.UNDECIDED, reason=reason)
                if c.origin is Verdict.NOVEL
                else c
                for c in checkpoints
            )
        population = _judge_all(result, criteria, checkpoints)
    sentence = population.sentence[:1].upper() + population.sentence[1:]
    return Verdicts(replace(population, sentence=sentence), checkpoints, criteria, controls)


def _is_worse_than_originals(result: AuditResult, criteria: Criteria) -> bool:
    """Whether samples surely work worse than training checkpoints did before a lossy codec."""
    for q in result.quantities:
        if q.key == "quality_difference_originals" and result.quality is not None:
            limit = q.upper if result.quality.higher_is_better else q.lower
            sign = 1 if result.quality.higher_is_better else -1
            margin = criteria.mean_quality_margin if result.quality.unit == "%" else 0.0
            return limit is not None and sign * limit < -margin
    return False


def judge_checkpoints(
    found: Findings,
    ranks: Mapping[str, np.ndarray],
    fresh: Findings,
    training_names: Sequence[str],
    quality: Measure | None,
    criteria: Criteria = DEFAULT_CRITERIA,
    *,
    n_fresh: int | None = None,
) -> tuple[CheckpointVerdict, ...]:
    """The verdict on every checkpoint of a population, one by one.

    Args:
        found: The checkpoints, measured.
        ranks: Their places among fresh runs, as `Yardstick.ranks` gives them.
        fresh: Those fresh runs, measured.
        training_names: Run of each training checkpoint.
        quality: The task's measure, None without a task.
        criteria: Thresholds.
        n_fresh: Fresh runs behind the ranks, where they are fewer.
    """
    works = works_of(found, fresh, quality, criteria)
    trained = _is_trained(found, fresh, quality, criteria)
    if len(fresh) < criteria.min_heldout_runs:
        reason = f"only {len(fresh)} fresh runs to compare with"
        return tuple(CheckpointVerdict(Verdict.UNDECIDED, w, reason) for w in works)
    beyond = 1 / ((n_fresh or len(fresh)) + 1) + 1e-12
    usual = max(float(np.median(fresh.distance)), 1e-300)
    columns = {name: values.tolist() for name, values in ranks.items()}
    copied_layers = np.zeros(len(found), dtype=bool)
    if found.layer_distance is not None and fresh.layer_distance is not None:
        radius = criteria.gross_copy * np.median(fresh.layer_distance, axis=0)
        copied_layers = np.all(found.layer_distance <= radius, axis=1)
    steps = found.step_distance
    layer_rows = [()] * len(found) if found.layer_rows is None else found.layer_rows.tolist()
    verdicts = []
    for j, distance in enumerate(found.distance.tolist()):
        case = _Case(
            ranks={name: values[j] for name, values in columns.items()},
            beyond=beyond,
            share=distance / usual,
            least_share=float(found.distance_lower[j]) / usual,
            sources=(0.0, 0.0)
            if found.source_weights is None
            else tuple(found.source_weights[j, :2].tolist()),
            step_share=np.inf if steps is None else float(steps[j]) / usual,
            layer_runs=tuple(str(training_names[row]) for row in layer_rows[j]),
            layers_copied=bool(copied_layers[j]),
            works=works[j],
            is_trained=trained[j],
        )
        verdicts.append(_judge_one(case, criteria))
    return tuple(verdicts)


def works_of(
    found: Findings, fresh: Findings, quality: Measure | None, criteria: Criteria
) -> list[bool | None]:
    """Whether each checkpoint works as well as the worst fresh run, less the margin."""
    if found.quality is None or fresh.quality is None or quality is None:
        return [None] * len(found)
    sign = 1 if quality.higher_is_better else -1
    worst = float(working(sign * fresh.quality).min()) - criteria.quality_margin
    return [bool(good) for good in sign * found.quality >= worst]


def _is_trained(
    found: Findings, fresh: Findings, quality: Measure | None, criteria: Criteria
) -> list[bool]:
    """Whether each checkpoint is a trained network at all, though it may work badly."""
    if found.quality is None or fresh.quality is None or quality is None:
        return [False] * len(found)
    usual = float(np.median(fresh.quality))
    if quality.higher_is_better:
        good = found.quality >= criteria.trained_share * usual
    else:
        good = found.quality * criteria.trained_share <= usual
    return [bool(one) for one in good]


def working(qualities: np.ndarray) -> np.ndarray:
    """Qualities (larger is better) without those of runs that failed: far below all others."""
    low, high = np.quantile(qualities, [0.25, 0.75])
    margin = max(FAILED * (high - low), DEFAULT_CRITERIA.quality_margin)  # most may be equal
    return qualities[qualities >= low - margin]


@dataclass(frozen=True)
class _Case:
    """One checkpoint: its ranks and what else the rules ask for."""

    ranks: Mapping[str, float]
    beyond: float
    """A rank of at most this is past every fresh run."""
    share: float
    """Its distance over the median of fresh runs."""
    least_share: float
    """The same of the certified lower bound of its distance."""
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
    """Whether it does what it should at least half as well as fresh runs; False if not known."""

    def is_beyond(self, leg: str) -> bool:
        """Whether it lies past every fresh run on this leg; a leg that is missing shows nothing."""
        return self.ranks.get(leg, 1.0) <= self.beyond


def _judge_one(case: _Case, criteria: Criteria) -> CheckpointVerdict:
    """The ordered rule (DESIGN section 5)."""

    def says(origin: Verdict, reason: str, kind: str = "") -> CheckpointVerdict:
        return CheckpointVerdict(origin, case.works, reason, kind)

    first, second = case.sources
    one_source = first >= criteria.dominant_weight and second <= criteria.runner_up * first
    # half a fresh run's distance proves nothing where fresh runs come as near themselves
    gross = case.share <= criteria.gross_copy and case.is_beyond("distance_near")
    copied = gross or case.is_beyond("direction_near")
    mosaic = case.is_beyond("layers_all_near") and len(set(case.layer_runs)) > 1
    # aligned to an untrained network, training runs surround it: no proof of mixing
    mixture = case.is_beyond("mixture_near" if case.is_trained else "raw_mixture_near")
    runs = " and ".join(dict.fromkeys(case.layer_runs))
    if min(case.share, case.step_share) <= criteria.exact_copy:
        last = case.share <= case.step_share
        what = "a training checkpoint" if last else "a training checkpoint, not the last of its run"
        return says(Verdict.REPLICA, f"equal to {what}")
    if one_source and not mosaic and (copied or mixture):
        return says(
            Verdict.REPLICA,
            f"distance is {case.share:.2g} of a fresh run's, {first:.0%} of it is one training run",
        )
    if mosaic and (case.layers_copied or not mixture):
        return says(Verdict.INTERPOLATION, f"layers copied from different runs: {runs}", "mosaic")
    if mixture:
        return says(
            Verdict.INTERPOLATION, "nearer to mixtures of training runs than fresh runs", "average"
        )
    if copied:
        return says(
            Verdict.INTERPOLATION, "near several training runs, beyond fresh runs", "average"
        )
    if case.is_beyond("layers_any_near"):
        return says(Verdict.UNDECIDED, "one layer is near a training run's", "partial copy")
    if case.is_beyond("distance_near"):
        return says(Verdict.UNDECIDED, "near training: a shrunk network, or a noisy mixture")
    if case.works is False:
        return says(Verdict.BROKEN, "works worse than every fresh run")
    if case.works is None:
        return says(
            Verdict.UNDECIDED,
            "not near training; a task is missing, so whether it works is unknown",
        )
    odd = [
        name.replace("_", " ")
        for name in NOVEL_LEGS
        if case.ranks.get(name, 1.0) <= max(criteria.two_sided, case.beyond)
    ]
    if odd:
        return says(Verdict.UNDECIDED, f"unlike fresh runs: {', '.join(odd)}")
    if case.step_share <= criteria.gross_copy:
        return says(Verdict.UNDECIDED, "near a training checkpoint that is not the last of its run")
    if case.least_share <= criteria.gross_copy:
        return says(Verdict.UNDECIDED, "not proven to be no copy: only a bound of its distance")
    return says(Verdict.NOVEL, MEANING[Verdict.NOVEL])


def _judge_control(
    key: str,
    planted: Planted,
    fresh: Findings,
    names: Sequence[str],
    quality: Measure | None,
    criteria: Criteria,
) -> ControlVerdict:
    """What the rules say of checkpoints of known origin, and whether they are right."""
    judged = judge_checkpoints(
        planted.found, planted.ranks, fresh, names, quality, criteria, n_fresh=planted.n_chance
    )
    origins = [str(verdict.origin) for verdict in judged]
    n, right = len(origins), sum(origin in planted.wanted for origin in origins)
    if planted.n_chance is None:
        passed = right >= criteria.control_share * n
    else:  # the most extreme of fresh runs are beyond the others by chance
        chance = share_beyond(n - right, n, planted.n_chance, r=N_LEGS)
        passed = chance.p_value >= criteria.control_p_value
    return ControlVerdict(
        key=key,
        label=planted.label,
        n=n,
        right=right,
        wanted=planted.wanted,
        counts={str(kind): origins.count(str(kind)) for kind in Verdict},
        passed=passed,
        can_veto=planted.can_veto,
        noise=planted.noise,
        distance=float(np.median(planted.found.distance) / max(np.median(fresh.distance), 1e-300)),
        note=planted.note,
    )


def _withheld(
    result: AuditResult, criteria: Criteria, controls: Sequence[ControlVerdict]
) -> tuple[str, str] | None:
    """Why nothing can be said at all, and what would change that; None if something can."""
    fresh = result.heldout if result.heldout is not None else result.training
    if result.n_runs is not None and result.n_runs < criteria.min_runs:
        return (
            "not identifiable: the training checkpoints come from "
            f"{count(result.n_runs, 'run')}, so how far apart "
            "independent runs lie cannot be told from them, nor copies from neighbors on one path",
            f"training checkpoints of at least {criteria.min_runs} independent runs",
        )
    if len(fresh) < criteria.min_heldout_runs:
        return (
            f"{count(len(fresh), 'fresh run')} {'are' if len(fresh) != 1 else 'is'} too few to "
            "compare with",
            f"at least {criteria.min_heldout_runs} held-out runs, better 100",
        )
    failed = [control for control in controls if control.can_veto and not control.passed]
    if failed:
        told = "; ".join(f"{c.label}: {c.right} of {c.n} judged rightly" for c in failed)
        return (
            f"the verdict is withheld, since this audit misjudges checkpoints of known origin "
            f"({told})",
            "controls that are judged rightly: more held-out runs, more training runs, or the "
            "right symmetry",
        )
    return None


def _missing_legs(result: AuditResult) -> list[str]:
    missing = []
    if result.heldout is None:
        missing.append("held-out runs are missing")
    if result.quality is None:
        missing.append("a task is missing, so whether it works is unknown")
    return missing


def _judge_all(
    result: AuditResult, criteria: Criteria, checkpoints: Sequence[CheckpointVerdict]
) -> PopulationVerdict:
    fresh = result.heldout or result.training
    if result.counted is not None:  # the same sample again is no further evidence
        checkpoints = [c for c, counts in zip(checkpoints, result.counted, strict=True) if counts]
    n = len(checkpoints)
    counts = {kind: sum(c.origin is kind for c in checkpoints) for kind in Verdict}
    exploratory = "" if result.heldout is not None else "exploratory, without held-out runs: "
    # a fresh run has three chances to be named interpolation (mixture, layers, direction with
    # several sources), so there the third most extreme fresh run is the yardstick; hardly any has
    # one source, so for replicas the first is
    legs = {Verdict.REPLICA: 1, Verdict.INTERPOLATION: N_LEGS}
    shares = {kind: share_beyond(counts[kind], n, len(fresh), r=r) for kind, r in legs.items()}
    shown = sorted(
        (kind for kind, share in shares.items() if share.lower > 0),
        key=lambda kind: -counts[kind],
    )
    reasons = tuple(_reasons(result))
    if shown:
        kind = shown[0]
        share = shares[kind]
        what = {
            Verdict.REPLICA: "copies of single training checkpoints",
            Verdict.INTERPOLATION: "mixtures of training checkpoints",
        }
        sentence = (
            f"{exploratory}{counts[kind]} of {n} generated checkpoints are {what[kind]} "
            f"(share beyond chance {share.estimate:.0%}, 95% interval {share.lower:.0%} to "
            f"{share.upper:.0%})"
        )
        if counts[Verdict.BROKEN] > counts[kind]:
            sentence += f"; {counts[Verdict.BROKEN]} work worse than every fresh run"
        if len(shown) > 1:
            sentence += f"; {counts[shown[1]]} more are {what[shown[1]]}"
        return PopulationVerdict(kind, sentence + ".", reasons, ())
    broken_lower, broken_upper = clopper_pearson(counts[Verdict.BROKEN], n)
    if broken_lower > criteria.broken_share:
        return PopulationVerdict(
            Verdict.BROKEN,
            f"{exploratory}{counts[Verdict.BROKEN]} of {n} generated checkpoints work worse than "
            f"every fresh run (share {counts[Verdict.BROKEN] / n:.0%}, 95% interval "
            f"{broken_lower:.0%} to {broken_upper:.0%}); none is shown to be a copy.",
            reasons,
            (),
        )
    kind = "held-out run" if result.heldout is not None else "training run"
    beside = limits_beside(len(fresh), n, fresh=kind)
    broken = ""
    if counts[Verdict.BROKEN]:
        broken = f"; {counts[Verdict.BROKEN]} of them work worse than every fresh run"
    open_points = _open_points(result, criteria, counts[Verdict.NOVEL], n)
    if not open_points:
        upper = max(quantity.upper or 1.0 for quantity in _share_quantities(result))
        return PopulationVerdict(
            Verdict.NOVEL,
            "Indistinguishable from fresh runs by these measures: no evidence of copying or "
            f"mixing in {count(n, 'sample')}; a detectable share of up to {upper:.1%} is not "
            f"excluded ({beside}).",
            reasons,
            (),
        )
    return PopulationVerdict(
        Verdict.UNDECIDED,
        f"{exploratory}no copying, mixing or breakage is shown in {count(n, 'sample')} "
        f"({beside}), and they are not shown to be like fresh runs either{broken}.",
        reasons,
        tuple(open_points),
    )


def _open_points(result: AuditResult, criteria: Criteria, n_novel: int, n: int) -> list[str]:
    """What stands between these numbers and `novel`."""
    points = _missing_legs(result)
    if not points and clopper_pearson(n_novel, n)[0] <= criteria.novel_share:
        points.append(
            f"only {n_novel} of {n} checkpoints are novel one by one; expected surely more than "
            f"{criteria.novel_share:.0%}"
        )
    for quantity in _share_quantities(result):
        if quantity.upper is None or quantity.upper > criteria.max_share:
            points.append(
                f"{quantity.label.lower()}: upper limit {_percent(quantity.upper)} is above "
                f"{criteria.max_share:.0%}; more samples would lower it if there are no copies"
            )
    low, high = criteria.distance_ratio
    ratio = result.quantity("distance_ratio")
    if not _inside(ratio, low, high):
        points.append(
            f"{ratio.label.lower()}: interval [{ratio.lower:.3g}, {ratio.upper:.3g}] is not "
            f"inside [{low:g}, {high:g}]"
        )
    if result.quality is not None:
        margin = criteria.mean_quality_margin
        points += [
            f"{q.label.lower()}: interval [{q.lower:.3g}, {q.upper:.3g}] is not inside "
            f"[-{margin:g}, {margin:g}]"
            for q in result.quantities
            if q.key in ("quality_difference", "quality_difference_originals")
            and not _inside(q, -margin, margin)
        ]
    if result.heldout is not None:
        points += _unlike_held_out(result, criteria)
    if result.heldout is not None and result.novelty is not None:
        made, fresh = (result.quantity(f"median_novelty_{k}") for k in ("generated", "heldout"))
        if made.lower is not None and fresh.upper is not None and made.lower > fresh.upper:
            points.append(f"{made.label.lower()} is above that of held-out runs")
    return points


def _unlike_held_out(result: AuditResult, criteria: Criteria) -> list[str]:
    """Held-out runs of another recipe, and samples that repeat each other."""
    points = []
    for quantity in result.quantities:
        if quantity.key == "recipe_p_value" and (quantity.value or 0.0) < criteria.recipe_p_value:
            points.append(
                "held-out runs lie at other distances from training than training runs do; are "
                "they of the same recipe?"
            )
        if quantity.key == "repeated_share" and (quantity.lower or 0.0) > 0:
            points.append(
                f"samples repeat each other: {_percent(quantity.value)} lie nearer to another "
                "sample than any held-out run to another held-out run"
            )
    return points


def _reasons(result: AuditResult) -> list[str]:
    """The numbers behind the verdict, in words."""
    fresh = "held-out runs" if result.heldout is not None else "other training runs"
    ratio = result.quantity("distance_ratio")
    reasons = [
        f"The median sample is {_percent(ratio.value)} as far from its nearest training "
        f"checkpoint as {fresh} are (90% interval {_percent(ratio.lower)} to "
        f"{_percent(ratio.upper)})."
    ]
    for quantity in _share_quantities(result):
        reasons.append(
            f"{quantity.label}: {_percent(quantity.value)} "
            f"({_percent(quantity.lower)} to {_percent(quantity.upper)})."
        )
    if result.quality is not None:
        made = result.quantity("mean_quality_generated")
        trained = result.quantity("mean_quality_training")
        codec = [
            f" through the codec, {q.value:.4g}{q.unit} before"
            for q in result.quantities
            if q.key == "mean_quality_originals"
        ]
        reasons.append(
            f"Mean {result.quality.name}: {made.value:.4g}{made.unit} generated, "
            f"{trained.value:.4g}{trained.unit} training{''.join(codec)}."
        )
    return reasons


def _share_quantities(result: AuditResult) -> list[Quantity]:
    keys = ("copied_share", "aligned_share", "mixed_share", "mosaic_share")
    return [quantity for quantity in result.quantities if quantity.key in keys]


def _inside(quantity: Quantity, low: float, high: float) -> bool:
    if quantity.lower is None or quantity.upper is None:
        return False
    return low <= quantity.lower and quantity.upper <= high


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.3g}%"
