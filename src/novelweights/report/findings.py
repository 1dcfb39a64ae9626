"""Whether each finding of the paper holds for the checkpoints of one audit, by its numbers alone.

The claims are the paper's in our words. Where the paper judges by eye, what is measured is ours;
what decides is always ours: `RULES`, the one place of it. Nothing is computed here: intervals that
the audit reports are compared with limits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from novelweights.audit.criteria import DEFAULT_CRITERIA
from novelweights.audit.result import AuditResult, Quantity
from novelweights.audit.words import count
from novelweights.report.tables import number, quantity_rows


class Outcome(StrEnum):
    """What an audit says of a finding."""

    HOLDS = "holds"
    FAILS = "does not hold"
    OPEN = "not shown"


@dataclass(frozen=True)
class Rules:
    """When a finding holds. Source: ours; the paper states no rule."""

    nearly_all: float = 0.9
    """The paper says "every" of the samples it shows and "almost every" of more (appendix B.1):
    this share."""
    hardly_less: float = 0.9
    """A ratio whose interval lies above this and reaches 1 is no difference worth the name."""
    margin: float = 1.0
    """Differences of mean quality, in percentage points, that do not matter; 0 in other units."""
    min_checkpoints: int = 8
    """Fewer than this of a kind that is compared: not shown; intervals of so few are too narrow."""


RULES = Rules()


class PaperFinding(NamedTuple):
    """One finding of the paper, asked of an audit."""

    claim: str
    source: str
    """Where the paper says it, and of which generators it does not."""
    measured: str
    """Numbers with intervals and n; or why there are none."""
    rule: str
    """What decides."""
    outcome: Outcome


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
        (_nearer_than_fresh(result, told, rules), made | fresh),
        (_alike(result, told, rules), made | trained),
        (_no_gain_over_noise(result, told, rules), made | noised),
        (_works(result, told, rules), made | trained),
    ]
    *near, no_gain, works = (_of_enough(finding, counts, rules) for finding, counts in compared)
    beside = _works(result, told, rules, is_before_codec=False)
    beside = _of_enough(beside, made | trained, rules)
    has_codec = _has_codec(result, told)
    near = [_if_works(finding, beside, has_codec=has_codec) for finding in near]
    return [*near, no_gain, works]


def _of_enough(finding: PaperFinding, counts: Mapping[str, int], rules: Rules) -> PaperFinding:
    """The finding; not shown where too few checkpoints of a kind are compared."""
    few = [count(n, kind) for kind, n in counts.items() if n < rules.min_checkpoints]
    if not few:
        return finding
    reason = f"only {' and '.join(few)}, at least {rules.min_checkpoints} are needed"
    measured = reason if finding.measured == _NOT_MEASURED else f"{finding.measured}; {reason}"
    return finding._replace(measured=measured, outcome=Outcome.OPEN)


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


@dataclass(frozen=True, eq=False)
class Told:
    """The quantities of an audit that have a value, and how they are written."""

    known: Mapping[str, Quantity]

    @classmethod
    def of(cls, result: AuditResult) -> "Told":
        """Those of a result."""
        return cls({q.key: q for q in result.quantities if q.value is not None})

    def limits(self, key: str) -> tuple[float, float] | None:
        """The interval of a quantity; None where it has none."""
        found = self.known.get(key)
        if found is None or found.lower is None or found.upper is None:
            return None
        return found.lower, found.upper

    def value(self, key: str) -> str:
        """The value in words."""
        return quantity_rows([self.known[key]])[0].value if key in self.known else "unknown"

    def interval(self, key: str) -> str:
        """The value with its interval."""
        row = quantity_rows([self.known[key]])[0]
        return f"{row.value} {row.interval}"


def _nearly_identical(
    result: AuditResult, told: Told, criteria: Mapping[str, Any], rules: Rules
) -> PaperFinding:
    radius = float(criteria.get("gross_copy", DEFAULT_CRITERIA.gross_copy))
    whose = "held-out runs" if result.heldout is not None else "training checkpoints"
    limits, measured = told.limits("gross_copy_share"), _NOT_MEASURED
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
    measured = _NOT_MEASURED
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
        _ratio_rule(rules),
        _less(limits, rules),
    )


def _nearer_than_fresh(result: AuditResult, told: Told, rules: Rules) -> PaperFinding:
    measured, limits = "no held-out runs were given", None
    if result.heldout is not None:
        measured, limits = _NOT_MEASURED, told.limits("distance_ratio")
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
        _ratio_rule(rules),
        _less(limits, rules),
    )


def _alike(result: AuditResult, told: Told, rules: Rules) -> PaperFinding:
    measured, limits = _without_task(result), None
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
        _ratio_rule(rules),
        _less(limits, rules),
    )


def _no_gain_over_noise(result: AuditResult, told: Told, rules: Rules) -> PaperFinding:
    measured, gain = _without_task(result), None
    margin = _margin(result, rules)
    if result.quality is not None and "noise" not in result.baselines:
        why = result.baseline_notes.get("noise", "no noise baseline was made")
        measured = f"noise could not be matched: {why}"
    elif result.quality is not None:
        gain = _gain(result, told, "advantage_over_noise")
    outcome = Outcome.OPEN
    if gain is not None:
        n_noise = len(result.baselines["noise"])
        measured = (
            f"mean {_quality(result)} {told.interval('advantage_over_noise')} over "
            f"{_noised(result)} with noise that are as novel (n = {len(result.generated):,} and "
            f"{n_noise:,}; {result.baseline_notes.get('noise', 'noise unknown')})"
        )
        if gain[0] > 0:
            outcome = Outcome.FAILS
        elif gain[1] <= margin:
            outcome = Outcome.HOLDS
    return PaperFinding(
        "The generator does not outperform noise added to training checkpoints, at equal novelty.",
        "figure 6; not p-diff",
        measured,
        "Does not hold if the gain's whole interval lies above 0; holds if it does not and "
        f"excludes a gain above {_points(margin)}.",
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
    measured, gain = _without_task(result), None
    margin, outcome = _margin(result, rules), Outcome.OPEN
    key, whose, codec, n = "quality_difference_training", "training", "", len(result.training)
    if is_before_codec and _has_codec(result, told):  # a codec that ruins both proves nothing
        key, whose, codec = "quality_difference_originals", "originals", " before the codec"
        n = told.known["mean_quality_originals"].n
    if result.quality is not None:
        gain = _gain(result, told, key)
    if gain is not None:
        measured = (
            f"mean {_quality(result)} {told.value('mean_quality_generated')} against "
            f"{told.value(f'mean_quality_{whose}')}{codec}: difference {told.interval(key)} "
            f"(n = {len(result.generated):,} and {n:,})"
        )
        if gain[0] >= -margin:
            outcome = Outcome.HOLDS
        elif gain[1] < -margin:
            outcome = Outcome.FAILS
    return PaperFinding(
        "Generated checkpoints work about as well as training checkpoints.",
        "figure 6, table 1 (G.pt)",
        measured,
        f"Holds if the interval excludes a loss of more than {_points(margin)}, does not if all "
        "of it is such a loss.",
        outcome,
    )


def _has_codec(result: AuditResult, told: Told) -> bool:
    """Whether reconstructions stand in for training checkpoints, whose own quality is known."""
    return result.quality is not None and "quality_difference_originals" in told.known


_NOT_MEASURED = "this audit did not measure it; run the audit again"


def _without_task(result: AuditResult) -> str:
    return "no task was given" if result.quality is None else _NOT_MEASURED


def _less(limits: tuple[float, float] | None, rules: Rules) -> Outcome:
    """Whether a ratio is below 1."""
    if limits is None:
        return Outcome.OPEN
    lower, upper = limits
    if upper < 1:
        return Outcome.HOLDS
    return Outcome.FAILS if lower > rules.hardly_less else Outcome.OPEN


def _ratio_rule(rules: Rules) -> str:
    return (
        "Holds if the ratio's whole interval lies below 1; does not if it reaches 1 and lies "
        f"above {rules.hardly_less:g}."
    )


def _gain(result: AuditResult, told: Told, key: str) -> tuple[float, float] | None:
    """The interval of a difference of quality, up is better."""
    limits = told.limits(key)
    if limits is None or result.quality is None or result.quality.higher_is_better:
        return limits
    return -limits[1], -limits[0]


def _margin(result: AuditResult, rules: Rules) -> float:
    return rules.margin if result.quality is not None and result.quality.unit == "%" else 0.0


def _points(margin: float) -> str:
    return f"{number(margin)} percentage point{'s' * (margin != 1)}" if margin else "0"


def _quality(result: AuditResult) -> str:
    return "quality" if result.quality is None else result.quality.name
