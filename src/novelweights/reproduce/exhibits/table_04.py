"""Table 4: distances among P-diff's checkpoints and among networks trained from scratch.

All under plain L2 of the parameters that P-diff generates. Held-out runs, which begin from the same
base network, are ours. Source: paper, appendix D.1 and table 4.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from novelweights.report.tables import MISSING, number
from novelweights.reproduce.drawing import drawn_table
from novelweights.reproduce.nodes import Node
from novelweights.reproduce.outcomes import ClaimRow, Effect
from novelweights.reproduce.plan import Plan
from novelweights.reproduce.reading import about, audit_at
from novelweights.reproduce.reported import APART, NARROWER, REPORTED, PaperEffect
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.table import Table

TITLE = "Distances among P-diff's checkpoints and among networks trained from scratch"
METHOD = "p-diff"
CASES = {
    "pairs_training": "all pairs of training checkpoints",
    "pairs_training_generated": "all pairs of training and generated checkpoints",
    "pairs_from_scratch": "all pairs of networks from scratch",
    "nearest_training": "training checkpoints to nearest training checkpoints",
    "nearest_generated": "generated checkpoints to nearest training checkpoints",
    "nearest_from_scratch": "networks from scratch to nearest networks from scratch",
}
"""By the keys of an audit. Source: paper, table 4."""
OURS = {
    "pairs_generated": "all pairs of generated checkpoints",
    "pairs_heldout": "all pairs of held-out runs' ends",
    "nearest_heldout": "held-out runs' ends to nearest training checkpoints",
}
ACCURACIES = {
    "mean_quality_training": "training checkpoints",
    "mean_quality_generated": "generated checkpoints",
    "mean_quality_heldout": "held-out runs' ends",
    "mean_quality_from_scratch": "networks from scratch",
}
FEW = 3
"""Of fewer networks from scratch the distances have no interval that means anything."""


def needs(plan: Plan) -> list[Node]:
    """The run it stands on."""
    return [plan.of(METHOD).audit]


def numbers(runs: Runs, plan: Plan) -> Table:
    """One row per number: its interval, n, and the paper's."""
    audit = audit_at(runs, plan.of(METHOD).audit)
    printed, known = REPORTED[METHOD].numbers, {q.key: q for q in audit.result.quantities}
    rows = list[dict[str, Any]]()
    for key, label in (CASES | OURS | ACCURACIES).items():
        paper = printed[key].text if key in printed else None
        row = {"key": key, "case": label, "unit": "%" if key in ACCURACIES else "L2"}
        if (found := known.get(key)) is not None:
            is_few = key.endswith("from_scratch") and found.n < FEW
            lower, upper = (None, None) if is_few else (found.lower, found.upper)
            row |= {"value": found.value, "lower": lower, "upper": upper, "n": found.n}
        rows.append(row | {"paper": paper})
    notes = (
        "Mean and 95% interval: over samples, held-out runs or networks from scratch; steps of one "
        "training run are no independent evidence and have none.",
        f"Of fewer than {FEW} networks from scratch there is no outcome. The paper tuned their "
        "recipe so that accuracies match about (table 3), which is no finding.",
    )
    return Table(TITLE, pd.DataFrame(rows), about(audit), notes)


def picture(table: Table) -> Figure:
    """The table."""
    rows = list[list[str]]()
    for heading, keys in (
        ("mean L2 distance, of the paper's table", CASES),
        ("mean L2 distance, ours", OURS),
        ("mean accuracy, % (paper: appendix D.1)", ACCURACIES),
    ):
        rows.append([heading])
        rows += [_cells(table, key, label) for key, label in keys.items()]
    data = str(table.about["data"]).partition(" (")[0]
    return drawn_table(["case", "paper", f"ours: {data}", "n"], rows, notes=table.notes)


def claims(table: Table) -> Sequence[ClaimRow]:
    """P-diff's checkpoints lie in a narrow range; generated ones are apart from training."""
    rows = list[ClaimRow | None]()
    for key, paper in NARROWER.items():
        other = f"{key.partition('_')[0]}_from_scratch"
        claim = f"nearer than networks from scratch to one another: {CASES[key]}"
        rows.append(_claim(table, claim, key, other, paper))
    apart = "training checkpoints are nearer to one another than generated ones to them"
    rows.append(_claim(table, apart, "nearest_training", "nearest_generated", APART))
    return [row for row in rows if row is not None]


def _cells(table: Table, key: str, label: str) -> list[str]:
    """One line of the table."""
    value, lower, upper, n, paper = (
        table.values(column, key=key) for column in ("value", "lower", "upper", "n", "paper")
    )
    ours = number(float(value[0])) if len(value) else MISSING
    if len(lower) and len(upper):
        ours += f"  [{number(float(lower[0]))}, {number(float(upper[0]))}]"
    return [label, paper[0] if len(paper) else "", ours, f"{int(n[0]):,}" if len(n) else ""]


def _claim(table: Table, claim: str, key: str, other: str, paper: PaperEffect) -> ClaimRow | None:
    """That one distance is smaller than another; None: the latter has no interval.

    Where both have one, the effect goes from one's upper over the other's lower limit to the
    reverse, which is wider than needed.
    """
    (value, lower, upper), (others, low, high) = _interval(table, key), _interval(table, other)
    if value is None or others is None or low is None or high is None or low <= 0:
        return None
    lower, upper = (value if bound is None else bound for bound in (lower, upper))
    n = int(table.values("n", key=other)[0])
    return ClaimRow(
        claim=claim,
        quality=table.about.get("quality", {}),
        method=METHOD,
        exhibit="table 4",
        unit=f"1 - mean distance / that of {CASES[other]}",
        paper=paper,
        effect=Effect(1 - value / others, 1 - upper / low, 1 - lower / high, n),
    )


def _interval(table: Table, key: str) -> list[float | None]:
    """Value and limits of a number, None where there are none."""
    found = (table.values(column, key=key) for column in ("value", "lower", "upper"))
    return [float(values[0]) if len(values) else None for values in found]
