"""Exhibit D: what measures in common use say of the samples that we judge, beside our verdict.

All are under plain L2 and of the same samples; shapes have their own. None of them is part of the
verdict. Source: ours; the measures as `metrics/established.py` and the shape numbers cite them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from novelweights.auditing.judge.criteria import Verdict
from novelweights.auditing.result import SHARE, AuditResult, Quantity
from novelweights.reproduce.drawing import TITLES, drawn_table
from novelweights.reproduce.nodes import Node
from novelweights.reproduce.outcomes import ClaimRow
from novelweights.reproduce.plan import Plan
from novelweights.reproduce.reading import about, audit_at
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.table import Table

TITLE = "What measures in common use say of the same samples"
COPYING, VERDICT = "measures of copying", "our verdict"
GROUPS = {
    COPYING: {
        "ratio_rule": "copies by d1/d2 < 1/3",
        "calibrated_l2": "copies by calibrated L2",
        "not_authentic": "not authentic\n(17% of honest draws are)",
        "data_copying_published": "C_T as published\n(below -3: copying)",
        "data_copying_corrected": "C_T of unit variance",
        "closer_share": "nearer to training than to held-out",
        "closer_share_equal": "the same at equal sizes\n(half without copying)",
    },
    "measures of variety": {
        "never_nearest_share": "training checkpoints that are\nnearest to no sample",
        "minimum_matching_distance_generated": "minimum matching distance,\nsamples",
        "minimum_matching_distance_training": "minimum matching distance,\ntraining",
        "shape_coverage_generated": "coverage of test shapes, samples",
        "shape_coverage_training": "coverage of test shapes, training",
        "one_nn_accuracy_generated": "1-nearest-neighbor accuracy,\nsamples (half: as test shapes)",
        "one_nn_accuracy_training": "1-nearest-neighbor accuracy,\ntraining",
    },
    VERDICT: {str(verdict): str(verdict) for verdict in Verdict},
}
"""Keys of the audit's quantities, and verdicts, with their names here."""
ORIGIN = "population"


def needs(plan: Plan) -> list[Node]:
    """The runs it stands on."""
    return plan.audits


def numbers(runs: Runs, plan: Plan) -> Table:
    """One row per method and measure: value, interval and what it rests on."""
    rows, told = [], {}
    for method, of in plan.methods.items():
        audit = audit_at(runs, of.audit)
        rows += [{"method": method, **row} for row in _rows(audit.result, audit.verdict.counts)]
        verdict = audit.verdict
        told[method] = {
            **about(audit),
            ORIGIN: str(verdict.origin),
            "sentence": verdict.sentence,
            "withheld_by": [control.label for control in verdict.withheld_by],
        }
    return Table(TITLE, pd.DataFrame(rows), told)


def picture(table: Table) -> Figure:
    """The table, a column for each method."""
    methods, rows = list(dict.fromkeys(table.rows["method"])), list[list[str]]()
    for group, names in GROUPS.items():
        rows.append([group])
        if group == VERDICT:
            rows.append(["population", *(table.about[method][ORIGIN] for method in methods)])
        for key, label in names.items():
            cells = [_cell(table, method, key) for method in methods]
            if any(cells) or group == COPYING:
                rows.append([label, *(cell or "\u2013" for cell in cells)])
    titles = [
        f"{TITLES[method]}\nn = {table.about[method]['generated']} samples" for method in methods
    ]
    notes = [
        "Shares in percent with 95% intervals; measures of copying: plain L2, nothing aligned. "
        "\u2013: not to be had (no shapes, one run, or too few checkpoints)."
    ]
    return drawn_table(["", *titles], rows, notes=notes)


def claims(table: Table) -> Sequence[ClaimRow]:
    """The paper uses none of these."""
    return []


def _rows(result: AuditResult, counts: Mapping[Verdict, int]) -> Iterator[dict[str, Any]]:
    """The measures of one audit, those that it has, and the share of each verdict."""
    quantities = {quantity.key: quantity for quantity in result.quantities}
    for group, names in GROUPS.items():
        for key in names:
            if key in quantities:
                yield {"group": group, "key": key, **_of(quantities[key])}
    n = sum(counts.values())
    for verdict in Verdict:
        counted = counts.get(verdict, 0)
        yield {
            "group": VERDICT,
            "key": str(verdict),
            **_of(Quantity(str(verdict), str(verdict), counted / n, n, "", unit=SHARE)),
        }


def _of(quantity: Quantity) -> dict[str, Any]:
    """A number as a part of a row."""
    names = ("value", "lower", "upper", "n", "unit")
    return {name: getattr(quantity, name) for name in names}


def _cell(table: Table, method: str, key: str) -> str:
    """A number with its interval; empty where there is none."""
    rows = table.rows
    found: Any = rows[(rows["method"] == method) & (rows["key"] == key)]
    if found.empty or pd.isna(found["value"].iloc[0]):
        return ""
    one = found.iloc[0]
    if one["unit"] != SHARE:
        return f"{one['value']:.3g}"
    text = f"{100 * one['value']:.3g}%"
    if pd.notna(one["lower"]):
        text += f" ({100 * one['lower']:.3g} to {100 * one['upper']:.3g})"
    return text
