"""Whether each claim of the paper holds for the checkpoints of one audit, by its numbers alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA
from novelweights.auditing.result import AuditResult
from novelweights.errors import count
from novelweights.report import claims
from novelweights.report.claims import Claim, Limits, Margins, Outcome
from novelweights.report.run_folder import StoredVerdict
from novelweights.report.tables import number, quantity_rows

BASELINE_RATIOS = {
    "center_ratio_average_16": "averages of 16",
    "center_ratio_gaussian": "Gaussian draws",
}
GAINS = (
    "advantage_over_noise",
    "quality_difference_training",
    "quality_difference_originals",
)
"""Differences of quality that are a gain where quality is better."""


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


def findings_on(result: AuditResult, verdict: StoredVerdict) -> list[PaperFinding]:
    """The paper's findings that apply to these checkpoints, of one run or of many."""
    if verdict.has_few_runs(result):
        return one_run_findings(result)
    return paper_findings(result, verdict.criteria)


def one_run_findings(result: AuditResult) -> list[PaperFinding]:
    """The paper's findings on a generator that learned from steps of one run, in its order."""
    audit = _Audit(result)
    return [audit.asked(claim) for claim in claims.OF_ONE_RUN]


def paper_findings(result: AuditResult, criteria: Mapping[str, Any]) -> list[PaperFinding]:
    """The paper's findings on these checkpoints, in the paper's order."""
    audit = _Audit(result, float(criteria.get("gross_copy", DEFAULT_CRITERIA.gross_copy)))
    has_codec = result.quality is not None and "quality_difference_originals" in audit.words
    works = claims.WORKS_BEFORE_CODEC if has_codec else claims.WORKS
    near = (claims.IDENTICAL, claims.NEARER, claims.NEARER_THAN_HELDOUT, claims.ALIKE)
    return [audit.asked(claim) for claim in (*near, claims.NO_GAIN, works)]


@dataclass(frozen=True)
class _Shown:
    """A quantity in words."""

    value: str = "unknown"
    interval: str = "unknown"
    """The value with its interval."""
    n: str = "0"

    def __str__(self) -> str:
        return self.value


class _Words(dict[str, Any]):
    """What templates name."""

    def __missing__(self, key: str) -> _Shown:
        return _Shown()


class _Audit:
    """The numbers of an audit as findings ask for them."""

    def __init__(self, result: AuditResult, radius: float = DEFAULT_CRITERIA.gross_copy) -> None:
        self.result = result
        self.known = {q.key: q for q in result.quantities if q.value is not None}
        noise = result.baselines.get("noise")
        counts = {
            "generated checkpoint": len(result.generated),
            claims.TRAINING: len(result.training),
            claims.HELDOUT: None if result.heldout is None else len(result.heldout),
            claims.NOISED: None if noise is None else len(noise),
            claims.NOISED_RUN: None if noise is None else len(set(noise.names)),
            claims.SCRATCH: None if result.from_scratch is None else len(result.from_scratch),
        }
        self.counts = {kind: n for kind, n in counts.items() if n is not None}
        self.margins, margin, left_open = self._margins()
        self.words = _Words(
            radius=f"{radius:g}",
            null="held-out runs" if claims.HELDOUT in self.counts else "training checkpoints",
            n_generated=f"{len(result.generated):,}",
            n_training=f"{len(result.training):,}",
            n_heldout=f"{self.counts.get(claims.HELDOUT, 0):,}",
            n_noise=f"{self.counts.get(claims.NOISED, 0):,}",
            quality="quality" if result.quality is None else result.quality.name,
            novelty="novelty" if result.novelty is None else result.novelty.name,
            noised=_noised(result),
            noise_note=result.baseline_notes.get("noise", "noise unknown"),
            margin=margin,
            left_open=left_open,
        )
        for row in quantity_rows(self.known.values()):
            self.words[row.key] = _Shown(row.value, f"{row.value} {row.interval}", row.n)
        self.words["baseline_ratios"] = ", ".join(
            f"{who} {self.words[key]}" for key, who in BASELINE_RATIOS.items() if key in self.words
        )

    def asked(self, claim: Claim) -> PaperFinding:
        """A finding; where nothing is shown, why."""
        novelty = self.result.novelty
        if claim.of_distance is not None and novelty is not None and novelty.higher_is_better:
            claim = replace(claim.of_distance, rule=claim.rule, beside=claim.beside)
        beside = claim.beside
        if beside == claims.NULL:
            beside = claims.HELDOUT if claims.HELDOUT in self.counts else claims.TRAINING
        limits = [self._limits(key) for key in claim.keys]
        measured, outcome = self._missing(beside, is_of_behavior=claim.is_of_behavior), Outcome.OPEN
        if not measured and None in limits:
            measured = claim.unmeasured
        elif not measured:
            key, text = claim.also
            measured = f"{claim.measured}{text * (key in self.known)}".format_map(self.words)
            outcome = claim.decide([one for one in limits if one is not None], self.margins)
        kinds = ("generated checkpoint", beside)
        few = [
            count(n, kind)
            for kind, n in self.counts.items()
            if kind in kinds and n < claims.MIN_CHECKPOINTS
        ]
        if few:
            reason = f"only {' and '.join(few)}, at least {claims.MIN_CHECKPOINTS} are needed"
            measured = reason if measured == claims.NOT_MEASURED else f"{measured}; {reason}"
            outcome = Outcome.OPEN
        rule = claim.rule.format_map(self.words)
        return PaperFinding(claim.claim, claim.source, measured, rule, outcome)

    def _limits(self, key: str) -> Limits | None:
        """The interval of a quantity, None where it has none; of gains in quality, up is better."""
        one, quality = self.known.get(key), self.result.quality
        if one is None or one.lower is None or one.upper is None:
            return None
        if key in GAINS and quality is not None and not quality.higher_is_better:
            return Limits(-one.upper, -one.lower)
        return Limits(one.lower, one.upper)

    def _missing(self, beside: str, *, is_of_behavior: bool) -> str:
        """What was not given, of what a finding needs; "" if all was."""
        if is_of_behavior and self.result.quality is None:
            failed = self.result.about.get("failed_task")
            return f"training networks do not work as {failed}" if failed else "no task was given"
        if not beside or beside in self.counts:
            return ""
        why = self.result.baseline_notes.get("noise", "no noise baseline was made")
        return {
            claims.HELDOUT: "no held-out runs were given",
            claims.SCRATCH: "no networks trained from scratch were given",
        }.get(beside, f"noise could not be matched: {why}")

    def _margins(self) -> tuple[Margins, str, str]:
        """Differences that do not matter, and in words those of quality; 0 without a task."""
        quality, novelty = self.result.quality, self.result.novelty
        qualities = self.result.training.quality
        value, words = 0.0, "0"
        if quality is not None and qualities is not None:
            value = claims.RELATIVE_MARGIN * abs(float(np.median(qualities)))
            words = f"{number(value)} ({claims.RELATIVE_MARGIN:g} of training checkpoints' median)"
            if quality.unit == "%":
                value, words = claims.MARGIN, _points(claims.MARGIN)
        open_value, open_words = value, words
        gain = self._limits("quality_difference_training")
        if gain is not None and not gain.lower <= 0 <= gain.upper:  # else nothing to explain
            whole = abs(self.known["quality_difference_training"].value or 0.0)
            if claims.LEFT_OPEN * whole < value:
                open_value, open_words = claims.LEFT_OPEN * whole, _points(claims.LEFT_OPEN * whole)
        units = ("" if novelty is None else novelty.unit, "" if quality is None else quality.unit)
        if units != ("", "%"):
            open_value = math.nan
        return Margins(value, open_value, claims.SIMILARITY_MARGIN), words, open_words


def _points(value: float) -> str:
    """A margin in percentage points."""
    return f"{number(value)} percentage point{'s' * (value != 1)}"


def _noised(result: AuditResult) -> str:
    """What noise was added to."""
    chosen = isinstance(result.about.get("noise_from"), Mapping)
    if not result.through_codec:
        return "chosen training checkpoints" if chosen else "training checkpoints"
    return "chosen reconstructions" if chosen else "reconstructions of training checkpoints"
