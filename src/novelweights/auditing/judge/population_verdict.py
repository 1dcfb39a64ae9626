"""What the numbers say of all samples together, in words: counts beyond chance, then open points.

The rules on single checkpoints are in `verdict.py`. Where reconstructions by a lossy codec stand
in for training checkpoints, the words say so: who copies what a codec gives back has not been
shown to copy the checkpoint itself. Source: DESIGN section 5; ours.
"""

from collections.abc import Sequence
from dataclasses import replace

from novelweights.auditing.judge.criteria import (
    DEFAULT_CRITERIA,
    EQUAL,
    NEARLY_EQUAL,
    NOT_FINITE,
    CheckpointVerdict,
    ControlVerdict,
    Criteria,
    PopulationVerdict,
    Verdict,
)
from novelweights.auditing.judge.planning import limits_beside
from novelweights.auditing.judge.statistics import clopper_pearson, share_beyond
from novelweights.auditing.measures import ACCUSING, SHARES
from novelweights.auditing.result import AuditResult, Quantity
from novelweights.errors import count

AS_GIVEN_BACK = " as the codec gives them back"


def why_withheld(
    result: AuditResult, criteria: Criteria, controls: Sequence[ControlVerdict]
) -> tuple[str, str] | None:
    """Why nothing can be said at all, and what would change that; None if something can."""
    null = result.heldout if result.heldout is not None else result.training
    if result.n_runs is not None and result.n_runs < criteria.min_runs:
        return (
            "not identifiable: the training checkpoints come from "
            f"{count(result.n_runs, 'run')}, so how far apart "
            "independent runs lie cannot be told from them, nor copies from neighbors on one path",
            f"training checkpoints of at least {criteria.min_runs} independent runs",
        )
    kind = "held-out run" if result.heldout is not None else "training run"
    if len(null) < criteria.min_heldout_runs:
        return (
            f"{count(len(null), kind)} {'are' if len(null) != 1 else 'is'} too few to compare with",
            f"at least {criteria.min_heldout_runs} held-out runs, better 100",
        )
    failed = [control for control in controls if control.can_veto and not control.passed]
    if failed:
        words = "; ".join(f"{c.label}: {c.right} of {c.n} judged rightly" for c in failed)
        return (
            f"the verdict is withheld, since this audit misjudges checkpoints of known origin "
            f"({words})",
            "controls that are judged rightly: more held-out runs, more training runs, or the "
            "right symmetry",
        )
    return None


def certain_first(
    population: PopulationVerdict, checkpoints: Sequence[CheckpointVerdict], *, through_codec: bool
) -> PopulationVerdict:
    """The same verdict, led by what needs no statistics: samples that are training checkpoints.

    Even one makes the population one that holds copies, unless something else is shown of it.
    """
    equal, nearly = (sum(c.kind == kind for c in checkpoints) for kind in (EQUAL, NEARLY_EQUAL))
    if not equal + nearly:
        return population
    first, how = (equal, "equal") if equal else (nearly, "nearly equal")
    words = f"{first} of {count(len(checkpoints), 'sample')} {'is' if first == 1 else 'are'} {how}"
    words += f" and {nearly} nearly equal" if equal and nearly else ""
    words += f" to training checkpoints{AS_GIVEN_BACK * through_codec}; "
    is_open = population.origin in (Verdict.UNDECIDED, Verdict.NOVEL)
    sentence = population.sentence[:1].lower() + population.sentence[1:]
    if population.origin is Verdict.REPLICA and sentence[0].isdigit():
        words += "in all "
    return replace(
        population,
        origin=Verdict.REPLICA if is_open else population.origin,
        sentence=f"{words}{'no evidence of more: ' * is_open}{sentence}",
        n_equal=equal,
        n_nearly_equal=nearly,
        is_only_certain=is_open,
    )


def _missing_legs(result: AuditResult) -> list[str]:
    missing = []
    if result.heldout is None:
        missing.append("held-out runs are missing")
    if result.about.get("failed_task"):
        missing.append("training networks do not work as the task, so it judges nothing")
    elif result.quality is None:
        missing.append("a task is missing, so whether it works is unknown")
    return missing


def judge_population(
    result: AuditResult, criteria: Criteria, checkpoints: Sequence[CheckpointVerdict]
) -> PopulationVerdict:
    null = result.heldout or result.training
    if result.counted is not None:  # the same sample again is no further evidence
        checkpoints = [c for c, counts in zip(checkpoints, result.counted, strict=True) if counts]
    broken = [CheckpointVerdict(Verdict.BROKEN, False, NOT_FINITE)] * len(result.not_finite)
    checkpoints = [*checkpoints, *broken]
    n = len(checkpoints)
    counts = {kind: sum(c.origin is kind for c in checkpoints) for kind in Verdict}
    exploratory = "" if result.heldout is not None else "exploratory, without held-out runs: "
    # so many tests accuse a held-out run of mixing at most; for replicas one needs a source, too,
    # which hardly any has, so there the first decides
    ranks = {Verdict.REPLICA: 1, Verdict.INTERPOLATION: len(ACCUSING)}
    shares = {kind: share_beyond(counts[kind], n, len(null), r=r) for kind, r in ranks.items()}
    shown = sorted(
        (kind for kind, share in shares.items() if share.lower > 0),
        key=lambda kind: -counts[kind],
    )
    reasons = tuple(reasons_of(result))
    if shown:
        kind = shown[0]
        share = shares[kind]
        given_back = AS_GIVEN_BACK * result.through_codec
        what = {
            Verdict.REPLICA: f"copies of single training checkpoints{given_back}",
            Verdict.INTERPOLATION: f"mixtures of training checkpoints{given_back}",
        }
        sentence = (
            f"{exploratory}{counts[kind]} of {n} generated checkpoints are {what[kind]} "
            f"(share beyond chance {share.estimate:.0%}, 95% interval {share.lower:.0%} to "
            f"{share.upper:.0%})"
        )
        if counts[Verdict.BROKEN] > counts[kind]:
            sentence += f"; {counts[Verdict.BROKEN]} work worse than every held-out run"
        if len(shown) > 1:
            sentence += f"; {counts[shown[1]]} more are {what[shown[1]]}"
        return PopulationVerdict(kind, sentence + ".", reasons, ())
    if recentred := _shown_recentred(result):
        return PopulationVerdict(Verdict.REPLICA, f"{exploratory}{recentred}.", reasons, ())
    broken_lower, broken_upper = clopper_pearson(counts[Verdict.BROKEN], n)
    if broken_lower > criteria.broken_share:
        return PopulationVerdict(
            Verdict.BROKEN,
            f"{exploratory}{counts[Verdict.BROKEN]} of {n} generated checkpoints work worse than "
            f"every held-out run (share {counts[Verdict.BROKEN] / n:.0%}, 95% interval "
            f"{broken_lower:.0%} to {broken_upper:.0%}); none is shown to be a copy.",
            reasons,
            (),
        )
    kind = "held-out run" if result.heldout is not None else "training run"
    beside = limits_beside(len(null), n, whose=kind)
    certain = sum(c.kind in (EQUAL, NEARLY_EQUAL) for c in checkpoints)
    those = f"the other {count(n - certain, 'sample')}" if certain else count(n, "sample")
    samples = f"{those} ({beside})"
    broken = ""
    if counts[Verdict.BROKEN]:
        broken = f"; {counts[Verdict.BROKEN]} of them work worse than every held-out run"
    open_points = _open_points(result, criteria, counts[Verdict.NOVEL], n)
    if not open_points:
        upper = max(quantity.upper or 1.0 for quantity in _share_quantities(result))
        return PopulationVerdict(
            Verdict.NOVEL,
            "Indistinguishable from held-out runs by these measures: no evidence of copying or "
            f"mixing in {those}; a detectable share of up to {upper:.1%} is not "
            f"excluded ({beside}).",
            reasons,
            (),
        )
    return PopulationVerdict(
        Verdict.UNDECIDED,
        f"{exploratory}{_nothing_shown(result, criteria, samples)}{broken}.",
        reasons,
        tuple(open_points),
    )


def _shown_recentred(result: AuditResult) -> str:
    """That samples are copies once what all have in common is removed; "" if it is not shown.

    So copies of training runs at other epochs are seen, where runs share an initialization and
    all samples drifted together: no sample by itself shows it.
    """
    for q in result.quantities:
        if q.key == SHARES["recentred_near"].key and q.lower:
            return (
                f"samples lie in the direction of single training checkpoints once what all "
                f"samples have in common is removed (share beyond chance {_percent(q.value)}, 95% "
                f"interval {_percent(q.lower)} to {_percent(q.upper)}); none shows it by itself"
            )
    return ""


def _nothing_shown(result: AuditResult, criteria: Criteria, samples: str) -> str:
    """That nothing is shown of the samples, unless they work worse than before a lossy codec."""
    if not is_worse_than_originals(result, criteria):
        return (
            f"no copying, mixing or breakage is shown in {samples}, and they are not shown to be "
            "like held-out runs either"
        )
    made, before = (result.quantity(f"mean_quality_{key}") for key in ("generated", "originals"))
    words = f"{made.value:.3g}{made.unit} against {before.value:.3g}{before.unit}"
    return (
        f"no copying or mixing is shown in {samples}; they surely work worse than training "
        f"checkpoints before the codec ({words})"
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
        margin = _margin_of_mean(result, criteria)
        points += [
            f"{q.label.lower()}: interval [{q.lower:.3g}, {q.upper:.3g}] is not inside "
            f"[-{margin:.3g}, {margin:.3g}]"
            for q in result.quantities
            if q.key in ("quality_difference", "quality_difference_originals")
            and not _inside(q, -margin, margin)
        ]
    if result.heldout is not None:
        points += _unlike_held_out(result, criteria)
    if result.heldout is not None and result.novelty is not None:
        made, other = (result.quantity(f"median_novelty_{k}") for k in ("generated", "heldout"))
        is_distance = result.novelty.higher_is_better
        near, far = (other, made) if is_distance else (made, other)
        if near.lower is not None and far.upper is not None and near.lower > far.upper:
            side = "below" if is_distance else "above"
            points.append(f"{made.label.lower()} is {side} that of held-out runs")
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


def reasons_of(result: AuditResult) -> list[str]:
    """The numbers behind the verdict, in words."""
    null = "held-out runs"
    if result.heldout is None:
        few = result.n_runs is not None and result.n_runs < DEFAULT_CRITERIA.min_runs
        null = "training checkpoints from the others" if few else "other training runs"
    ratio = result.quantity("distance_ratio")
    reasons = [
        f"The median sample is {_percent(ratio.value)} as far from its nearest training "
        f"checkpoint as {null} are (90% interval {_percent(ratio.lower)} to "
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
    keys = {share.key for share in SHARES.values()}
    return [quantity for quantity in result.quantities if quantity.key in keys]


def _inside(quantity: Quantity, low: float, high: float) -> bool:
    if quantity.lower is None or quantity.upper is None:
        return False
    return low <= quantity.lower and quantity.upper <= high


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.3g}%"


def is_worse_than_originals(result: AuditResult, criteria: Criteria) -> bool:
    """Whether samples surely work worse than training checkpoints did before a lossy codec."""
    for q in result.quantities:
        if q.key == "quality_difference_originals" and result.quality is not None:
            limit = q.upper if result.quality.higher_is_better else q.lower
            sign = 1 if result.quality.higher_is_better else -1
            return limit is not None and sign * limit < -_margin_of_mean(result, criteria)
    return False


def _margin_of_mean(result: AuditResult, criteria: Criteria) -> float:
    """By how much means of quality may differ that count as equal."""
    return criteria.margin_of_mean(result.quality, (result.heldout or result.training).quality)
