"""Figure 4: how far samples, training checkpoints and held-out runs are from the nearest of them.

Held-out runs are ours. The upper row is as in the paper (for G.pt over reordered hidden neurons);
in the lower all checkpoints have one norm, since shrinking alone brings a network nearer. Source:
paper, section 3.1, figure 4 and table 1.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from novelweights.reproduce.comparing import AS_IN_THE_PAPER, read_distances
from novelweights.reproduce.drawing import COLORS, LABELS, TITLES, panels
from novelweights.reproduce.nodes import Node
from novelweights.reproduce.outcomes import ClaimRow, Effect, less_than
from novelweights.reproduce.plan import Plan
from novelweights.reproduce.reading import about, audit_at
from novelweights.reproduce.reported import NEARER, PaperEffect
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.table import Table

TITLE = "Distance to the nearest training checkpoint"
BINS = 40


def needs(plan: Plan) -> list[Node]:
    """The runs it stands on."""
    return [node for runs in plan.methods.values() for node in (runs.distances, runs.audit)]


def numbers(runs: Runs, plan: Plan) -> Table:
    """One row per checkpoint: its distances, in weight units."""
    rows = [
        pd.DataFrame({"method": method, "kind": kind, **by_measure})
        for method, of in plan.methods.items()
        for kind, by_measure in read_distances(runs.at(of.distances)).items()
    ]
    told = {method: about(audit_at(runs, of.audit)) for method, of in plan.methods.items()}
    return Table(TITLE, pd.concat(rows, ignore_index=True), told)


def picture(table: Table) -> Figure:
    """Histograms, one column per method."""
    methods = list(dict.fromkeys(table.rows["method"]))
    figure, axes = panels([TITLES[method] for method in methods], 2)
    for column, method in enumerate(methods):
        for row, measure in enumerate((AS_IN_THE_PAPER.get(method, "plain"), "equal norm")):
            ax, right = axes[row][column], table.values(measure, method=method).max()
            edges = np.linspace(0, 1.02 * right + 1e-12, BINS + 1)
            for kind, label in LABELS.items():
                values = table.values(measure, method=method, kind=kind)
                shares = 100 * np.histogram(values, edges)[0] / max(1, len(values))
                is_filled, told = kind != "heldout", f"{label}, n = {len(values)}"
                drawn = ax.stairs(shares, edges, color=COLORS[kind], label=told, fill=is_filled)
                drawn.set(alpha=0.6 if is_filled else 1.0, linewidth=1.4)
            ax.set_xlabel(f"distance, {measure}")
            if column == 0:
                ax.set_ylabel("% of checkpoints")
            if row == 0:
                ax.legend(fontsize=7)
    return figure


def claims(table: Table) -> Sequence[ClaimRow]:
    """Samples lie nearer to training checkpoints than these to one another; not of P-diff."""
    shown = set(table.rows["method"])
    return [_claim(table, method, paper) for method, paper in NEARER.items() if method in shown]


def _claim(table: Table, method: str, paper: PaperEffect) -> ClaimRow:
    """The claim for one method."""

    def nearer(measure: str) -> Effect:
        samples, training = (
            table.values(measure, method=method, kind=kind) for kind in ("generated", "training")
        )
        return less_than(samples, training, method, measure)

    return ClaimRow(
        claim="samples are nearer to training checkpoints than these are to one another",
        method=method,
        exhibit="figure 4, table 1",
        unit="1 - mean distance of samples / of training checkpoints",
        paper=paper,
        effect=nearer(AS_IN_THE_PAPER.get(method, "plain")),
        also=(("at equal norm", nearer("equal norm")),),
        quality=table.about.get(method, {}).get("quality", {}),
    )
