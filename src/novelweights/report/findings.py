"""Whether each finding of the paper holds for the checkpoints of one audit, by its numbers alone.

The claims are the paper's in our words. Where the paper judges by eye, what is measured is ours;
what decides is always ours (`finding.py`). Audits of one run are asked for others, in
`one_run_findings.py`.
"""

from collections.abc import Mapping
from typing import Any

from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA
from novelweights.auditing.result import AuditResult
from novelweights.report.finding import (
    NOT_MEASURED,
    RULES,
    Outcome,
    PaperFinding,
    Rules,
    Told,
    gain_of,
    less,
    margin_of,
    of_enough,
    quality_name,
    ratio_rule,
    without_task,
)


def paper_findings(
    result: AuditResult, criteria: Mapping[str, Any], rules: Rules = RULES
) -> list[PaperFinding]:
    """The paper's findings on these checkpoints, in the paper's order.

    Args:
        result: The numbers of an audit.
        criteria: The thresholds it used, by name.
        rules: What decides.
    """
    told = Told.of(result)
    made = {"generated checkpoint": len(result.generated)}
    trained = {"training checkpoint": len(result.training)}
    fresh = {} if result.heldout is None else {"held-out run": len(result.heldout)}
    noise = result.baselines.get("noise")
    noised = {} if noise is None else {"noised run": len(set(noise.names))}
    compared = [
        (_nearly_identical(result, told, criteria, rules), made | (fresh or trained)),
        (_nearer(result, told, rules), made | trained),
        (nearer_than_fresh(result, told, rules), made | fresh),
        (alike(result, told, rules), made | trained),
        (_no_gain_over_noise(result, told, rules), made | noised),
        (_works(result, told, rules), made | trained),
    ]
    *near, no_gain, works = (of_enough(finding, counts, rules) for finding, counts in compared)
    beside = _works(result, told, rules, is_before_codec=False)
    beside = of_enough(beside, made | trained, rules)
    has_codec = _has_codec(result, told)
    near = [_if_works(finding, beside, has_codec=has_codec) for finding in near]
    return [*near, no_gain, works]


def _if_works(finding: PaperFinding, works: PaperFinding, *, has_codec: bool) -> PaperFinding:
    """A finding on nearness or overlap; samples that do not work cannot refute it.

    Args:
        finding: What they would refute.
        works: Whether they work beside the checkpoints that they are compared with.
        has_codec: Whether these are reconstructions.
    """
    who = "do not work (the last finding)"
    if has_codec:
        who = "work less well than the reconstructions they are compared with"
    finding = finding._replace(rule=f"{finding.rule} Samples that {who} cannot refute it.")
    if finding.outcome is not Outcome.FAILS or works.outcome is not Outcome.FAILS:
        return finding
    reason = "the samples do not work, so this says nothing about copying"
    return finding._replace(measured=f"{finding.measured}; {reason}", outcome=Outcome.OPEN)


def _nearly_identical(
    result: AuditResult, told: Told, criteria: Mapping[str, Any], rules: Rules
) -> PaperFinding:
    radius = float(criteria.get("gross_copy", DEFAULT_CRITERIA.gross_copy))
    whose = "held-out runs" if result.heldout is not None else "training checkpoints"
    limits, measured = told.limits("gross_copy_share"), NOT_MEASURED
    outcome = Outcome.OPEN
    if limits is not None:
        lower, upper = limits
        measured = (
            f"share within {radius:g} of the median distance of {whose}: "
            f"{told.interval('gross_copy_share')} (n = {len(result.generated):,})"
        )
        if lower > rules.nearly_all:
            outcome = Outcome.HOLDS
        elif upper < rules.nearly_all:
            outcome = Outcome.FAILS
    return PaperFinding(
        "For nearly every generated checkpoint some training checkpoint is nearly identical.",
        "figures 2, 11 and 12",
        measured,
        f"The paper judges by eye; nearly identical is here at most {radius:g} of the median "
        f"distance of {whose}, a strict radius. Holds if the share's whole interval lies above "
        f"{100 * rules.nearly_all:g}%, does not if below.",
        outcome,
    )


def _nearer(result: AuditResult, told: Told, rules: Rules) -> PaperFinding:
    measured = NOT_MEASURED
    limits = told.limits("distance_ratio_training")
    if limits is not None:
        measured = (
            f"median distance {told.value('median_distance_generated')} against "
            f"{told.value('median_distance_training')}: ratio "
            f"{told.interval('distance_ratio_training')}; a sample is nearer with chance "
            f"{told.value('nearer_probability_training')} "
            f"(n = {len(result.generated):,} and {len(result.training):,})"
        )
    return PaperFinding(
        "Generated checkpoints are nearer to training checkpoints than these are to one another.",
        "figure 4; not p-diff",
        measured,
        ratio_rule(rules),
        less(limits, rules),
    )


def nearer_than_fresh(result: AuditResult, told: Told, rules: Rules) -> PaperFinding:
    """Whether samples lie nearer to training than held-out runs do."""
    measured, limits = "no held-out runs were given", None
    if result.heldout is not None:
        measured, limits = NOT_MEASURED, told.limits("distance_ratio")
    if result.heldout is not None and limits is not None:
        measured = (
            f"median distance {told.value('median_distance_generated')} against "
            f"{told.value('median_distance_heldout')}: ratio {told.interval('distance_ratio')}; "
            f"a sample is nearer with chance {told.value('nearer_probability')} "
            f"(n = {len(result.generated):,} and {len(result.heldout):,})"
        )
    return PaperFinding(
        "Generated checkpoints are nearer to training checkpoints than new runs of the recipe are.",
        "figure 4, as concluded there; held-out runs are ours",
        measured,
        ratio_rule(rules),
        less(limits, rules),
    )


def alike(result: AuditResult, told: Told, rules: Rules) -> PaperFinding:
    """Whether behavior is more like a training checkpoint's than that of these is."""
    if result.novelty is not None and result.novelty.higher_is_better:
        return _shaped_alike(result, result.novelty.name, told, rules)
    measured, limits = without_task(result), None
    if result.quality is not None:
        limits = told.limits("disagreement_ratio")
    if limits is not None:
        measured = (
            f"overlap {told.value('prediction_overlap_generated')} against "
            f"{told.value('prediction_overlap_training')}: share predicted differently, ratio "
            f"{told.interval('disagreement_ratio')} "
            f"(n = {len(result.generated):,} and {len(result.training):,})"
        )
    return PaperFinding(
        "Predictions overlap more with the nearest training checkpoint than those of training "
        "checkpoints do with their nearest.",
        "figure 5, table 2",
        measured,
        ratio_rule(rules),
        less(limits, rules),
    )


def _shaped_alike(result: AuditResult, novelty: str, told: Told, rules: Rules) -> PaperFinding:
    """The same for behavior that is compared by a distance."""
    measured, limits = NOT_MEASURED, told.limits("novelty_ratio")
    if limits is not None:
        measured = (
            f"median {novelty} {told.value('median_novelty_generated')} against "
            f"{told.value('median_novelty_training')} among training checkpoints: ratio "
            f"{told.interval('novelty_ratio')} "
            f"(n = {len(result.generated):,} and {len(result.training):,})"
        )
    return PaperFinding(
        "Shapes of generated checkpoints are nearer to that of a training checkpoint than those of "
        "training checkpoints are to one another.",
        "figure 5d",
        measured,
        ratio_rule(rules),
        less(limits, rules),
    )


def _no_gain_over_noise(result: AuditResult, told: Told, rules: Rules) -> PaperFinding:
    measured, gain = without_task(result), None
    margin = margin_of(result, rules)
    if result.quality is not None and "noise" not in result.baselines:
        why = result.baseline_notes.get("noise", "no noise baseline was made")
        measured = f"noise could not be matched: {why}"
    elif result.quality is not None:
        gain = gain_of(result, told, "advantage_over_noise")
    outcome = Outcome.OPEN
    if gain is not None:
        n_noise = len(result.baselines["noise"])
        measured = (
            f"mean {quality_name(result)} {told.interval('advantage_over_noise')} over "
            f"{_noised(result)} with noise that are as novel (n = {len(result.generated):,} and "
            f"{n_noise:,}; {result.baseline_notes.get('noise', 'noise unknown')})"
        )
        if gain[0] > 0:
            outcome = Outcome.FAILS
        elif gain[1] <= margin.value:
            outcome = Outcome.HOLDS
    return PaperFinding(
        "The generator does not outperform noise added to training checkpoints, at equal novelty.",
        "figure 6; not p-diff",
        measured,
        "Does not hold if the gain's whole interval lies above 0; holds if it does not and "
        f"excludes a gain above {margin.words}.",
        outcome,
    )


def _noised(result: AuditResult) -> str:
    """What noise was added to."""
    chosen, has_codec = result.about.get("noise_from"), result.about.get("through_codec") is True
    if isinstance(chosen, Mapping):
        of = "reconstructions" if has_codec else "training checkpoints"
        return f"chosen {of}"
    return "reconstructions of training checkpoints" if has_codec else "training checkpoints"


def _works(
    result: AuditResult, told: Told, rules: Rules, *, is_before_codec: bool = True
) -> PaperFinding:
    measured, gain = without_task(result), None
    margin, outcome = margin_of(result, rules), Outcome.OPEN
    key, whose, codec, n = "quality_difference_training", "training", "", len(result.training)
    if is_before_codec and _has_codec(result, told):  # a codec that ruins both proves nothing
        key, whose, codec = "quality_difference_originals", "originals", " before the codec"
        n = told.known["mean_quality_originals"].n
    if result.quality is not None:
        gain = gain_of(result, told, key)
    if gain is not None:
        measured = (
            f"mean {quality_name(result)} {told.value('mean_quality_generated')} against "
            f"{told.value(f'mean_quality_{whose}')}{codec}: difference {told.interval(key)} "
            f"(n = {len(result.generated):,} and {n:,})"
        )
        if gain[0] >= -margin.value:
            outcome = Outcome.HOLDS
        elif gain[1] < -margin.value:
            outcome = Outcome.FAILS
    return PaperFinding(
        "Generated checkpoints work about as well as training checkpoints.",
        "figure 6, table 1 (G.pt)",
        measured,
        f"Holds if the interval excludes a loss of more than {margin.words}, does not if all "
        "of it is such a loss.",
        outcome,
    )


def _has_codec(result: AuditResult, told: Told) -> bool:
    """Whether reconstructions stand in for training checkpoints, whose own quality is known."""
    return result.quality is not None and "quality_difference_originals" in told.known
