"""What an audit sees of checkpoints whose origin is known: its controls, in words and drawn."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from novelweights.auditing.judge.criteria import ControlVerdict, Verdict
from novelweights.auditing.measures import ACCUSING
from novelweights.auditing.result import AuditResult
from novelweights.report.run_folder import StoredVerdict
from novelweights.report.style import PANEL, TEAL, VERDICT_COLORS
from novelweights.report.tables import number, percent

ACCUSED = (Verdict.REPLICA, Verdict.INTERPOLATION)
PASS, BLIND, VETO = "pass", "blind spot", "withholds the verdict"


@dataclass(frozen=True)
class Segment:
    """Checkpoints of a control that got one verdict."""

    kind: str
    count: int
    is_expected: bool


class ControlRow(NamedTuple):
    """One line of the table of controls."""

    label: str
    note: str
    state: str
    """"pass", "blind spot" or "withholds the verdict"."""
    n: int
    right: str
    segments: list[Segment]
    """Wanted verdicts first."""
    distance: str


def control_rows(verdict: StoredVerdict) -> list[ControlRow]:
    """All controls, in the order of the audit; a note that the line above has is not repeated."""
    notes = [control.note for control in verdict.controls]
    return [
        ControlRow(
            label=control.label,
            note="" if note == above else note,
            state=PASS if control.passed else VETO if control.can_veto else BLIND,
            n=control.n,
            right=f"{control.right:,} of {control.n:,}",
            segments=_segments(control),
            distance=percent(control.distance),
        )
        for control, note, above in zip(verdict.controls, notes, ["", *notes], strict=False)
    ]


def describe_noise(verdict: StoredVerdict) -> str:
    """The largest noise on copies that this audit still detects; "" if none was planted."""
    rungs = _rungs(verdict)
    if not rungs:
        return ""
    seen, last = verdict.largest_noise_seen, rungs[-1].noise
    if seen is None:
        return (
            "Not even copies with the least noise that was tried, "
            f"{number(rungs[0].noise, 2)} of a held-out run's distance, are found."
        )
    if seen == 0:
        return "Exact copies are found; copies with the least noise that was tried are missed."
    words = (
        f"Copies with noise of up to {number(seen, 2)} of a held-out run's distance to training "
        "are found"
    )
    if seen == last:
        return f"{words}, the most that was tried."
    return f"{words}; with more they are missed, so such copies are not excluded."


def describe_false_alarms(verdict: StoredVerdict, result: AuditResult) -> str:
    """How many held-out runs this audit accuses, and chance would; "" if none was judged."""
    words = []
    for control in verdict.controls:
        others = result.controls[control.key].n_chance
        if others is None or not control.n:
            continue
        accused = _accused(control)
        expected = control.n * len(accusing_tests(result)) / (others + 1)
        words.append(
            f"False alarms: {accused} of {control.n:,} {'is' if accused == 1 else 'are'} wrongly "
            f"called replica or interpolation ({control.label}; about {number(expected, 2)} "
            "expected by chance)."
        )
    return " ".join(words)


def accusing_tests(result: AuditResult) -> list[str]:
    """What may name a checkpoint in this audit: direction, mixture, layers."""
    return [test for test, name in ACCUSING.items() if name in result.p_values]


def has_noise_ladder(verdict: StoredVerdict) -> bool:
    """Whether copies with at least two strengths of noise were planted."""
    return len(_rungs(verdict)) > 1


def draw_controls(verdict: StoredVerdict, result: AuditResult) -> tuple[Figure, str]:
    """Share of copies that are found, by their noise, with the false alarms on held-out runs."""
    rungs = _rungs(verdict)
    noise = [control.noise or 0.0 for control in rungs]
    shares = [100 * control.right / max(control.n, 1) for control in rungs]
    needed = 100 * float(verdict.criteria["control_share"])
    color = VERDICT_COLORS[Verdict.REPLICA]
    figure = Figure(figsize=(PANEL, 2.9))
    ax = figure.add_subplot()
    if verdict.largest_noise_seen is not None:
        ax.axvspan(0, verdict.largest_noise_seen, color=color, alpha=0.08, linewidth=0)
    ax.plot(noise, shares, color=color, linewidth=1.4)
    for x, y, control in zip(noise, shares, rungs, strict=True):
        fill = color if control.passed else "white"
        ax.plot(x, y, "o", color=color, markerfacecolor=fill, clip_on=False, zorder=3)
    ax.axhline(needed, color="#555555", linewidth=0.9, linestyle=(0, (4, 2)))
    right = max(*noise, 1.0) * 1.02
    ax.text(right, needed - 2, "needed to pass", ha="right", va="top", color="#555555", fontsize=8)
    words = []
    for control in verdict.controls:
        if result.controls[control.key].n_chance is None or not control.n:
            continue
        share = 100 * _accused(control) / control.n
        words.append(f"{control.label} accused: {number(share)}%")
        ax.axhline(share, color=TEAL, linewidth=1.4, linestyle=(0, (1, 1.5)))
        text = f"held-out runs accused: {percent(share / 100)}"
        ax.text(0.01 * right, share + 2, text, va="bottom", color=TEAL, fontsize=8)
    ax.set(xlim=(0, right), ylim=(0, 103), ylabel="% judged rightly")
    ax.set_yticks(np.arange(0, 101, 25))
    ax.set_xlabel("noise on a copy, over the distance of a held-out run")
    pairs = ", ".join(f"{number(x)}: {number(y)}%" for x, y in zip(noise, shares, strict=True))
    return figure, f"Share of noisy copies judged rightly, by noise. {pairs}. {'; '.join(words)}"


def _segments(control: ControlVerdict) -> list[Segment]:
    segments = [
        Segment(kind, control.counts[kind], kind in control.expected)
        for kind in map(str, Verdict)
        if control.counts.get(kind)
    ]
    return sorted(segments, key=lambda segment: not segment.is_expected)


def _rungs(verdict: StoredVerdict) -> list[ControlVerdict]:
    """Copies with noise, the least first."""
    noisy = [control for control in verdict.controls if control.noise is not None]
    return sorted(noisy, key=lambda control: control.noise or 0.0)


def _accused(control: ControlVerdict) -> int:
    return sum(control.counts.get(str(kind), 0) for kind in ACCUSED)
