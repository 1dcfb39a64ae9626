"""What is said of one finding of the paper: the claim, what is measured, the rule, the outcome.

The rules are ours, in one place: `RULES`. Nothing is computed here: intervals that an audit reports
are compared with limits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from novelweights.auditing.result import AuditResult, Quantity
from novelweights.errors import count
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
    """Differences of mean quality, in percentage points, that do not matter."""
    relative_margin: float = 0.1
    """The same where quality is not in percent: this share of training checkpoints' median."""
    left_open: float = 0.5
    """A baseline explains a gain over training checkpoints if it comes nearer to the samples than
    this share of the gain."""
    min_checkpoints: int = 8
    """Fewer than this of a kind that is compared: not shown; intervals of so few are too narrow."""
    similarity_margin: float = 0.05
    """Differences of the median maximum similarity that do not matter."""
    hardly_visible: float = 0.25
    """Weights that differ by at most this, in standard deviations of a network's weights, are
    nearly identical in a heatmap: a twentieth of the range of its colors."""
    narrow: float = 0.5
    """Distances below this share of those among networks trained from scratch are much smaller."""


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


def of_enough(finding: PaperFinding, counts: Mapping[str, int], rules: Rules) -> PaperFinding:
    """The finding; not shown where too few checkpoints of a kind are compared."""
    few = [count(n, kind) for kind, n in counts.items() if n < rules.min_checkpoints]
    if not few:
        return finding
    reason = f"only {' and '.join(few)}, at least {rules.min_checkpoints} are needed"
    measured = reason if finding.measured == NOT_MEASURED else f"{finding.measured}; {reason}"
    return finding._replace(measured=measured, outcome=Outcome.OPEN)


NOT_MEASURED = "this audit did not measure it; run the audit again"
"""What stands in place of numbers that an older audit lacks."""


def without_task(result: AuditResult) -> str:
    """Why there is no number of behavior."""
    return "no task was given" if result.quality is None else NOT_MEASURED


def less(limits: tuple[float, float] | None, rules: Rules) -> Outcome:
    """Whether a ratio is below 1."""
    if limits is None:
        return Outcome.OPEN
    lower, upper = limits
    if upper < 1:
        return Outcome.HOLDS
    return Outcome.FAILS if lower > rules.hardly_less else Outcome.OPEN


def ratio_rule(rules: Rules) -> str:
    """What `less` says, in words."""
    return (
        "Holds if the ratio's whole interval lies below 1; does not if it reaches 1 and lies "
        f"above {rules.hardly_less:g}."
    )


def gain_of(result: AuditResult, told: Told, key: str) -> tuple[float, float] | None:
    """The interval of a difference of quality, up is better."""
    limits = told.limits(key)
    if limits is None or result.quality is None or result.quality.higher_is_better:
        return limits
    return -limits[1], -limits[0]


class Margin(NamedTuple):
    """A difference of quality that does not matter."""

    value: float
    """In quality's unit."""
    words: str


def margin_of(result: AuditResult, rules: Rules) -> Margin:
    """The difference of quality that does not matter; 0 without a task."""
    qualities = result.training.quality
    if result.quality is None or qualities is None:
        return Margin(0.0, "0")
    if result.quality.unit == "%":
        return in_points(rules.margin)
    value = rules.relative_margin * abs(float(np.median(qualities)))
    what = f"{rules.relative_margin:g} of training checkpoints' median"
    return Margin(value, f"{number(value)} ({what})")


def in_points(value: float) -> Margin:
    """A margin in percentage points."""
    return Margin(value, f"{number(value)} percentage point{'s' * (value != 1)}")


def quality_name(result: AuditResult) -> str:
    """What the task calls quality."""
    return "quality" if result.quality is None else result.quality.name
