"""The paper's findings on p-diff, asked of an audit whose training checkpoints are of one run.

Of such a run the paper reports the opposite of what it finds elsewhere: samples farther than the
steps are from each other, and better than these. It explains both by averaging within a narrow
range; here each part of that is measured. Source: paper, section 3.3 and appendix D.
"""

from collections.abc import Mapping

from novelweights.auditing.measure.estimates import AS_IT_IS
from novelweights.auditing.result import AuditResult
from novelweights.report.finding import (
    NOT_MEASURED,
    RULES,
    Outcome,
    PaperFinding,
    Rules,
    Told,
    gain_of,
    in_points,
    less,
    margin_of,
    of_enough,
    quality_name,
    ratio_rule,
    without_task,
)
from novelweights.report.findings import alike, nearer_than_fresh, paper_findings
from novelweights.report.run_folder import StoredVerdict
from novelweights.report.tables import percent

BASELINES = {"average_16": "averages of 16", "gaussian": "Gaussian draws"}
"""Of figure 8, by their part of a quantity's key."""


def findings_on(
    result: AuditResult, verdict: StoredVerdict, rules: Rules = RULES
) -> list[PaperFinding]:
    """The paper's findings that apply to these checkpoints, of one run or of many.

    Args:
        result: The numbers of an audit.
        verdict: What it said, with the thresholds it used.
        rules: What decides.
    """
    if verdict.has_few_runs(result):
        return one_run_findings(result, rules)
    return paper_findings(result, verdict.criteria, rules)


def one_run_findings(result: AuditResult, rules: Rules = RULES) -> list[PaperFinding]:
    """The paper's findings on a generator that learned from steps of one run, in its order.

    Args:
        result: The numbers of an audit.
        rules: What decides.
    """
    told = Told.of(result)
    made = {"generated checkpoint": len(result.generated)}
    fresh = {} if result.heldout is None else {"held-out run": len(result.heldout)}
    scratch = result.from_scratch
    apart = {} if scratch is None else {"network from scratch": len(scratch)}
    noise = result.baselines.get("noise")
    noised = {} if noise is None else {"noised checkpoint": len(noise)}
    compared: list[tuple[PaperFinding, Mapping[str, int]]] = [
        (_look_alike(told, rules), made),
        (_farther(result, told), made),
        (nearer_than_fresh(result, told, rules), made | fresh),
        (_predict_alike(result, told, rules), made),
        (alike(result, told, rules), made),
        (_better_than_noise(result, told), made | noised),
        (_better_than_training(result, told), made),
        (_around_the_mean(told, rules), made),
        *((_as_baseline(result, told, key, rules), made) for key in BASELINES),
        (_narrow(result, told, rules), made | apart),
    ]
    return [of_enough(finding, counts, rules) for finding, counts in compared]


def _look_alike(told: Told, rules: Rules) -> PaperFinding:
    key, measured = "weight_difference_generated", NOT_MEASURED
    limits, outcome = told.limits(key), Outcome.OPEN
    if limits is not None:
        measured = (
            f"difference per weight {told.interval(key)} standard deviations of a network's "
            f"weights (n = {told.known[key].n:,})"
        )
        if "weight_difference_from_scratch" in told.known:
            measured += f"; of networks from scratch {told.value('weight_difference_from_scratch')}"
        outcome = _below(limits, rules.hardly_visible)
    return PaperFinding(
        "Weights of generated checkpoints are nearly identical to those of training checkpoints.",
        "figures 2 and 11",
        measured,
        "The paper judges heatmaps by eye; nearly identical is here a root mean square difference "
        f"from the nearest of at most {rules.hardly_visible:g} standard deviations. Holds if the "
        "whole interval lies below, does not if above.",
        outcome,
    )


def _farther(result: AuditResult, told: Told) -> PaperFinding:
    measured, outcome = NOT_MEASURED, Outcome.OPEN
    limits = told.limits("distance_ratio_training")
    if limits is not None:
        measured = (
            f"median distance {told.value('median_distance_generated')} generated, "
            f"{told.value('median_distance_training')} training: ratio "
            f"{told.interval('distance_ratio_training')} "
            f"(n = {len(result.generated):,} samples)"
        )
        outcome = _above(limits, 1.0)
    return PaperFinding(
        "Training checkpoints are nearer to one another than generated ones are to them.",
        "figure 4: p-diff only",
        measured,
        "Holds if the ratio's whole interval lies above 1, does not if below. Expected of "
        "consecutive steps; it is no sign of novelty.",
        outcome,
    )


def _predict_alike(result: AuditResult, told: Told, rules: Rules) -> PaperFinding:
    measured, outcome = without_task(result), Outcome.OPEN
    key = "prediction_overlap_generated"
    limits = told.limits(key)
    if result.quality is not None and limits is not None:
        measured = (
            f"overlap {told.interval(key)} (n = {len(result.generated):,}); training "
            f"{told.value('prediction_overlap_training')}"
        )
        if "prediction_overlap_heldout" in told.known:
            measured += f", held-out {told.value('prediction_overlap_heldout')}"
        outcome = _above(limits, rules.nearly_all)
    return PaperFinding(
        "Generated checkpoints and their nearest training checkpoints predict nearly alike.",
        "figure 5, table 2 (p-diff: 93.5%)",
        measured,
        f"Holds if the whole interval lies above {percent(rules.nearly_all)}, does not if below.",
        outcome,
    )


def _better_than_noise(result: AuditResult, told: Told) -> PaperFinding:
    key, measured, outcome = "advantage_over_noise", without_task(result), Outcome.OPEN
    if result.quality is not None and "noise" not in result.baselines:
        why = result.baseline_notes.get("noise", "no noise baseline was made")
        measured = f"noise could not be matched: {why}"
    elif result.quality is not None and (gain := gain_of(result, told, key)) is not None:
        measured = (
            f"mean {quality_name(result)} {told.interval(key)} over training checkpoints with "
            f"noise that are as novel (n = {len(result.generated):,} and "
            f"{len(result.baselines['noise']):,}; "
            f"{result.baseline_notes.get('noise', 'noise unknown')})"
        )
        outcome = _above(gain, 0.0)
    return PaperFinding(
        "The generator outperforms noise added to training checkpoints, at equal novelty.",
        "figure 6d: p-diff only",
        measured,
        "Holds if the gain's whole interval lies above 0, does not if below.",
        outcome,
    )


def _better_than_training(result: AuditResult, told: Told) -> PaperFinding:
    key, measured, outcome = "quality_difference_training", without_task(result), Outcome.OPEN
    if result.quality is not None and (gain := gain_of(result, told, key)) is not None:
        measured = (
            f"mean {quality_name(result)} {told.value('mean_quality_generated')} generated, "
            f"{told.value('mean_quality_training')} training: difference {told.interval(key)} "
            f"(n = {len(result.generated):,} samples)"
        )
        outcome = _above(gain, 0.0)
    return PaperFinding(
        "Generated checkpoints work better than training checkpoints.",
        "figure 6d: p-diff only",
        measured,
        f"Holds if the difference's whole interval lies above 0, does not if below; {AS_IT_IS}.",
        outcome,
    )


def _around_the_mean(told: Told, rules: Rules) -> PaperFinding:
    measured, limits = NOT_MEASURED, told.limits("center_ratio_generated")
    if limits is not None:
        beside = [
            f"{who} {told.value(f'center_ratio_{key}')}"
            for key, who in BASELINES.items()
            if f"center_ratio_{key}" in told.known
        ]
        measured = (
            f"median distance to the mean {told.value('center_generated')} generated, "
            f"{told.value('center_training')} training: ratio "
            f"{told.interval('center_ratio_generated')} "
            f"(n = {told.known['center_ratio_generated'].n:,} samples; {', '.join(beside)}); "
            f"standard deviation per parameter over training {told.value('spread_generated')}"
        )
    return PaperFinding(
        "Generated weights concentrate around the mean of the training weights.",
        "figures 7, 16 and 17",
        measured,
        f"By distance to the mean of the training checkpoints. {ratio_rule(rules)}",
        less(limits, rules),
    )


def _as_baseline(result: AuditResult, told: Told, key: str, rules: Rules) -> PaperFinding:
    keys = (f"quality_difference_{key}", f"novelty_difference_{key}")
    margin, gain = margin_of(result, rules), told.limits("quality_difference_training")
    if gain is not None and not gain[0] <= 0 <= gain[1]:  # else there is nothing to explain
        whole = abs(told.known["quality_difference_training"].value or 0.0)
        margin = min(margin, in_points(rules.left_open * whole))
    margins = margin.value, rules.similarity_margin
    measured, outcome = without_task(result), Outcome.OPEN
    limits = [told.limits(one) for one in keys]
    known = [one for one in limits if one is not None]
    if result.quality is not None and result.novelty is not None and len(known) == len(keys):
        measured = (
            f"mean {result.quality.name} differs by {told.interval(keys[0])}, median "
            f"{result.novelty.name} by {told.interval(keys[1])} (n = {len(result.generated):,} "
            f"samples)"
        )
        has_margins = (result.novelty.unit, result.quality.unit) == ("", "%")
        if has_margins:
            outcome = _within(known, margins)
    return PaperFinding(
        f"Accuracy and maximum similarity match those of {BASELINES[key]}"
        f"{' training checkpoints' if key == 'average_16' else ', fitted per parameter'}.",
        "figure 8",
        measured,
        f"The paper judges by eye. Holds if both whole intervals lie within {margin.words} (at "
        f"most {rules.left_open:g} of the gain over training checkpoints) and {margins[1]:g}; does "
        "not if one lies outside.",
        outcome,
    )


def _narrow(result: AuditResult, told: Told, rules: Rules) -> PaperFinding:
    keys = ("narrow_training", "narrow_generated")
    measured, outcome = "no networks trained from scratch were given", Outcome.OPEN
    limits = [told.limits(key) for key in keys]
    known = [one for one in limits if one is not None]
    if result.from_scratch is not None and len(known) < len(keys):
        measured = "too few networks trained from scratch were given"
    if len(known) == len(keys):
        measured = (
            f"mean distance {told.value('pairs_training')} among training checkpoints, "
            f"{told.value('pairs_training_generated')} of generated to training, "
            f"{told.value('pairs_from_scratch')} among networks from scratch: shares "
            f"{told.interval(keys[0])} and {told.interval(keys[1])}"
        )
        lower, upper = (max(pair[i] for pair in known) for i in (0, 1))
        outcome = _below((lower, upper), rules.narrow)
    return PaperFinding(
        "Training and generated checkpoints occupy a narrow range beside networks trained from "
        "scratch.",
        "table 4, figure 15",
        measured,
        f"Holds if both shares' whole intervals lie below {rules.narrow:g}, does not if one "
        "lies above.",
        outcome,
    )


def _below(limits: tuple[float, float], limit: float) -> Outcome:
    """Whether a whole interval lies below a limit; not, if it lies above."""
    lower, upper = limits
    if upper < limit:
        return Outcome.HOLDS
    return Outcome.FAILS if lower > limit else Outcome.OPEN


def _above(limits: tuple[float, float], limit: float) -> Outcome:
    """Whether a whole interval lies above a limit; not, if it lies below."""
    return _below((-limits[1], -limits[0]), -limit)


def _within(intervals: list[tuple[float, float]], margins: tuple[float, float]) -> Outcome:
    """Whether all differences lie within their margins; not, if one lies outside."""
    pairs = list(zip(intervals, margins, strict=True))
    if any(lower > margin or upper < -margin for (lower, upper), margin in pairs):
        return Outcome.FAILS
    is_inside = all(-margin <= lower and upper <= margin for (lower, upper), margin in pairs)
    return Outcome.HOLDS if is_inside else Outcome.OPEN
