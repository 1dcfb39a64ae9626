"""From numbers to words: one pure function, in a fixed order, with stated thresholds.

The order follows the trials on real zoos (DESIGN section 5): replica, interpolation, near but
unexplained, broken, novel. Any leg that is missing leads to `undecided`, never to `novel`.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from novelweights.audit.calibration import clopper_pearson, share_beyond
from novelweights.audit.criteria import (
    DEFAULT_CRITERIA,
    MEANING,
    CheckpointVerdict,
    Criteria,
    PopulationVerdict,
    Verdict,
    Verdicts,
)
from novelweights.audit.result import AuditResult, Quantity


def judge(result: AuditResult, criteria: Criteria = DEFAULT_CRITERIA) -> Verdicts:
    """The verdict on every generated checkpoint and on all of them together.

    Pure: depends on the numbers and the thresholds alone. Source: ours.
    """
    checkpoints = tuple(_judge_one(result, criteria, j) for j in range(len(result.generated)))
    population = _judge_all(result, criteria, checkpoints)
    sentence = population.sentence[:1].upper() + population.sentence[1:]
    return Verdicts(replace(population, sentence=sentence), checkpoints, criteria)


def _judge_one(result: AuditResult, criteria: Criteria, j: int) -> CheckpointVerdict:
    found, fresh = result.generated, result.heldout
    yardstick = fresh if fresh is not None else result.training
    beyond = 1 / (len(yardstick) + 1) + 1e-12
    ranks = {name: float(values[j]) for name, values in result.ranks.items()}
    works = None
    if found.quality is not None and yardstick.quality is not None and result.quality is not None:
        sign = 1 if result.quality.higher_is_better else -1
        worst = float((sign * yardstick.quality).min()) - criteria.quality_margin
        works = bool(sign * found.quality[j] >= worst)
    if len(yardstick) < criteria.min_heldout_runs:
        return CheckpointVerdict(
            Verdict.UNDECIDED, works, f"only {len(yardstick)} fresh runs to compare with"
        )
    share = found.distance[j] / max(float(np.median(yardstick.distance)), 1e-300)
    copied = share <= criteria.gross_copy or ranks["cosine_near"] <= beyond
    first, second = found.source_weights[j, :2] if found.source_weights is not None else (0.0, 0.0)
    one_source = first >= criteria.dominant_weight and second <= criteria.runner_up * first
    if copied and one_source:
        return CheckpointVerdict(
            Verdict.REPLICA,
            works,
            f"distance is {share:.2g} of a fresh run's, {first:.0%} of it is one training run",
        )
    if ranks.get("raw_hull_near", 1.0) <= beyond:
        return CheckpointVerdict(
            Verdict.INTERPOLATION,
            works,
            "nearer to mixtures of training runs, nothing aligned, than fresh runs are",
        )
    # aligned to an untrained or broken network, training runs surround it: no proof of mixing
    if ranks["hull_near"] <= beyond and works is not False:
        return CheckpointVerdict(
            Verdict.INTERPOLATION, works, "nearer to mixtures of training runs than fresh runs are"
        )
    if copied:
        return CheckpointVerdict(
            Verdict.INTERPOLATION, works, "near several training runs, beyond fresh runs"
        )
    if ranks["distance_near"] <= beyond:
        return CheckpointVerdict(
            Verdict.UNDECIDED, works, "near training: a shrunk network, or a noisy mixture"
        )
    if works is False:
        return CheckpointVerdict(Verdict.BROKEN, works, "works worse than every fresh run")
    missing = _missing_legs(result)
    if missing:
        return CheckpointVerdict(Verdict.UNDECIDED, works, f"not near training; {missing[0]}")
    odd = [
        name.replace("_", " ")
        for name, rank in ranks.items()
        if name != "quality_low" and rank <= max(criteria.two_sided, beyond)
    ]
    if odd:
        return CheckpointVerdict(Verdict.UNDECIDED, works, f"unlike fresh runs: {', '.join(odd)}")
    return CheckpointVerdict(Verdict.NOVEL, works, MEANING[Verdict.NOVEL])


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
    n, yardstick = len(checkpoints), result.heldout or result.training
    counts = {kind: sum(c.origin is kind for c in checkpoints) for kind in Verdict}
    exploratory = "" if result.heldout is not None else "exploratory, without held-out runs: "
    if len(yardstick) < criteria.min_heldout_runs:
        return PopulationVerdict(
            Verdict.UNDECIDED,
            f"{len(yardstick)} fresh runs are too few to compare with.",
            (),
            (f"at least {criteria.min_heldout_runs} held-out runs, better 100",),
        )
    # a fresh run has more than one chance to be named interpolation (the aligned hull, the plain
    # hull, and, rarely, the cosine with several sources), so the second most extreme held-out
    # run is the yardstick: real fresh runs then get a lower limit above 0 in .03 of trials at most
    legs = {Verdict.REPLICA: 1, Verdict.INTERPOLATION: 2}
    shares = {kind: share_beyond(counts[kind], n, len(yardstick), r=r) for kind, r in legs.items()}
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
    open_points = _open_points(result, criteria)
    if not open_points:
        upper = max(quantity.upper or 1.0 for quantity in _share_quantities(result))
        return PopulationVerdict(
            Verdict.NOVEL,
            "Indistinguishable from fresh runs by these measures: no evidence of copying or "
            f"mixing in {n} samples; a detectable share of up to {upper:.1%} is not excluded.",
            reasons,
            (),
        )
    return PopulationVerdict(
        Verdict.UNDECIDED,
        f"{exploratory}no copying, mixing or breakage is shown in {n} samples, and they are not "
        "shown to be like fresh runs either.",
        reasons,
        tuple(open_points),
    )


def _open_points(result: AuditResult, criteria: Criteria) -> list[str]:
    """What stands between these numbers and `novel`."""
    points = _missing_legs(result)
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
        difference = result.quantity("quality_difference")
        if not _inside(difference, -margin, margin):
            points.append(
                f"{difference.label.lower()}: interval [{difference.lower:.3g}, "
                f"{difference.upper:.3g}] is not inside [-{margin:g}, {margin:g}]"
            )
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
        reasons.append(
            f"Mean {result.quality.name}: {made.value:.4g}{made.unit} generated, "
            f"{trained.value:.4g}{trained.unit} training."
        )
    return reasons


def _share_quantities(result: AuditResult) -> list[Quantity]:
    keys = ("copied_share", "aligned_share", "mixed_share", "mixed_share_raw")
    return [quantity for quantity in result.quantities if quantity.key in keys]


def _inside(quantity: Quantity, low: float, high: float) -> bool:
    if quantity.lower is None or quantity.upper is None:
        return False
    return low <= quantity.lower and quantity.upper <= high


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.3g}%"
