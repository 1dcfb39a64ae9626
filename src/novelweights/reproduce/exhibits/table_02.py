"""Table 2: on how many test examples checkpoints predict as their nearest training checkpoint.

Held-out runs are ours, and so is the overlap that two networks have at least by their accuracies a
and b, max(a + b - 1, 0), of which the paper has max(2x - 1, 0). Nearest under plain L2 as in the
paper, beside it under the aligned distance. Source: paper, appendix C.3 and table 2.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from novelweights.reproduce.comparing import AS_IN_THE_PAPER
from novelweights.reproduce.drawing import LABELS, TITLES, drawn_table
from novelweights.reproduce.nodes import Node
from novelweights.reproduce.outcomes import ClaimRow, Effect, more_than
from novelweights.reproduce.overlapping import MEASURES, overlaps_in, read_overlaps
from novelweights.reproduce.plan import MethodRuns, Plan
from novelweights.reproduce.reading import about, audit_at
from novelweights.reproduce.reported import (
    OVERLAPPING,
    OVERLAPPING_ACCURACY,
    REPORTED,
    PaperEffect,
)
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.table import Table

TITLE = "Prediction overlap with the nearest training checkpoint"
ALREADY_PLAIN = ("p-diff",)
"""Methods whose audit aligns nothing, so that it holds these overlaps."""


def needs(plan: Plan) -> list[Node]:
    """The runs it stands on."""
    runs = [plan.of(method) for method in _methods(plan)]
    return [node for of in runs for node in dict.fromkeys((_source(of), of.audit))]


def numbers(runs: Runs, plan: Plan) -> Table:
    """One row per checkpoint and measure: overlap and accuracies, in percent."""
    parts, told = [], {}
    for method in _methods(plan):
        of = plan.of(method)
        audit = audit_at(runs, of.audit)
        told[method] = about(audit)
        is_audit = _source(of) is of.audit
        found = overlaps_in(audit.result) if is_audit else read_overlaps(runs.at(_source(of)))
        found["overlap"] *= 100
        least = found["accuracy"] + found["partner_accuracy"] - 100
        parts.append(found.assign(method=method, least=np.maximum(least, 0)))
    return Table(TITLE, pd.concat(parts, ignore_index=True), told)


def picture(table: Table) -> Figure:
    """The table, with the paper's numbers in brackets."""
    methods = list(table.about)
    rows = [
        ["mean accuracy of training models, %", *(_accuracy(table, method) for method in methods)]
    ]
    for measure in MEASURES:
        rows.append([f"prediction overlap with the nearest by {measure} L2, %"])
        for kind, label in LABELS.items():
            cells = [_overlap(table, method, kind, measure) for method in methods]
            rows.append([f"{label} & nearest training", *cells])
    notes = [
        "Mean \u00b1 standard deviation over n checkpoints; least: what two networks of these "
        "accuracies must agree on, max(a + b - 1, 0).",
        "(paper: ...): as it prints; for G.pt it takes the nearest over reordered neurons. "
        "Hyper-Representations: against reconstructions, by plain L2 of every epoch, by aligned L2 "
        "of the last of each run. P-diff: nothing to align.",
    ]
    return drawn_table(["", *(TITLES[method] for method in methods)], rows, notes=notes)


def claims(table: Table) -> Sequence[ClaimRow]:
    """Samples predict as their nearest more than training checkpoints do as theirs."""
    return [_claim(table, method, OVERLAPPING[method]) for method in table.about]


def _methods(plan: Plan) -> list[str]:
    """Those of the paper that are run."""
    return [method for method in OVERLAPPING if method in plan.methods]


def _source(of: MethodRuns) -> Node:
    """What holds the overlaps."""
    return of.audit if of.method in ALREADY_PLAIN else of.overlaps


def _accuracy(table: Table, method: str) -> str:
    values = table.values("accuracy", method=method, kind="training", measure=MEASURES[0])
    return f"{values.mean():.1f}, n = {len(values)}\n(paper: {OVERLAPPING_ACCURACY[method]})"


def _overlap(table: Table, method: str, kind: str, measure: str) -> str:
    """One cell."""
    where = {"method": method, "kind": kind, "measure": measure}
    values, least = table.values("overlap", **where), table.values("least", **where)
    if not len(values):
        return "\u2013"
    text = f"{values.mean():.1f} \u00b1 {values.std():.1f}, n = {len(values)}"
    text += f"\nleast {least.mean():.1f}"
    printed = REPORTED[method].numbers.get(f"prediction_overlap_{kind}")
    is_the_papers = measure == AS_IN_THE_PAPER.get(method, "plain")
    return f"{text} (paper: {printed.text})" if printed and is_the_papers else text


def _claim(table: Table, method: str, paper: PaperEffect) -> ClaimRow:
    """The claim for one method; where distances may be aligned, by both."""

    def more(measure: str) -> Effect:
        samples, training = (
            table.values("overlap", method=method, kind=kind, measure=measure)
            for kind in ("generated", "training")
        )
        return more_than(samples, training, method, measure)

    first = AS_IN_THE_PAPER.get(method, "plain")
    others = () if method in ALREADY_PLAIN else tuple(m for m in MEASURES if m != first)
    return ClaimRow(
        claim="samples predict as their nearest training checkpoint more often than training "
        "checkpoints do",
        method=method,
        exhibit="table 2",
        unit="percentage points",
        paper=paper,
        effect=more(first),
        quality=table.about[method].get("quality", {}),
        also=tuple((f"nearest by {measure} L2", more(measure)) for measure in others),
    )
