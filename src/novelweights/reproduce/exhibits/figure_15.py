"""Figure 15: the same 64 weights of P-diff's checkpoints and of networks trained from scratch.

Up to twenty checkpoints of each kind, a row each; the ends of held-out runs are ours. What P-diff's
audit keeps of them is enough. Source: paper, appendix D.1 and figure 15.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from novelweights.report.one_run_figures import TITLES, draw_rows
from novelweights.report.tables import number
from novelweights.reproduce.nodes import Node
from novelweights.reproduce.outcomes import ClaimRow
from novelweights.reproduce.plan import Plan
from novelweights.reproduce.reading import about, audit_at
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.table import Table

TITLE = "The same weights of P-diff's checkpoints and of networks trained from scratch"
METHOD = "p-diff"
NAME = "weight "
"""What the name of a weight's column begins with."""


def needs(plan: Plan) -> list[Node]:
    """The run it stands on."""
    return [plan.of(METHOD).audit]


def numbers(runs: Runs, plan: Plan) -> Table:
    """One row per checkpoint: its kind and its weights."""
    audit = audit_at(runs, plan.of(METHOD).audit)
    columns = [f"{NAME}{index}" for index in audit.plot_data["row_parameters"]]
    rows = {kind: audit.plot_data.get(f"row_{kind}") for kind in TITLES}
    there = {kind: values for kind, values in rows.items() if values is not None}
    parts = [pd.DataFrame(of, columns=columns).assign(kind=kind) for kind, of in there.items()]
    spread = {kind: float(np.median(values.std(axis=0))) for kind, values in there.items()}
    notes = (
        "The paper judges by eye and prints no number. The same weights in all panels; colors run "
        "from the 1st to the 99th percentile of all values shown.",
        "Of networks trained from scratch, the parameters that P-diff generates.",
    )
    told = about(audit) | {"spread": spread}
    return Table(TITLE, pd.concat(parts, ignore_index=True), told, notes)


def picture(table: Table) -> Figure:
    """A panel per kind of checkpoint, a row per checkpoint."""
    names = [column for column in table.rows.columns if column.startswith(NAME)]
    rows = {
        kind: np.stack([table.values(name, kind=kind) for name in names], axis=1)
        for kind in table.about["spread"]
    }
    figure, _ = draw_rows(rows, n_runs=table.about["training_runs"])
    spread = (f"{TITLES[kind]} {number(of)}" for kind, of in table.about["spread"].items())
    figure.axes[len(rows) - 1].set_xlabel(
        f"{len(names)} weights drawn at random, one column each; colors: value\n"
        f"median standard deviation of a weight: {', '.join(spread)}"
    )
    return figure


def claims(table: Table) -> Sequence[ClaimRow]:
    """None: the paper prints no number; table 4 has those."""
    return []
