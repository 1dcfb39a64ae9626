"""Exhibit A: Hyper-Representations' samples by shared and by independent draws of its density.

The released code gives every latent dimension the same random state, so that a sample is one
training latent plus one number; as described, dimensions are drawn independently and mix many.
Every draw of two seeds, of every fit. Source: ours; the two readings, facts of the released code.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from novelweights.report.style import BASELINE_STYLES
from novelweights.reproduce.drawing import COLORS, panels
from novelweights.reproduce.nodes import Node
from novelweights.reproduce.outcomes import ClaimRow
from novelweights.reproduce.overlapping import MEASURES, read_overlaps
from novelweights.reproduce.plan import Plan
from novelweights.reproduce.reading import about, audit_at
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.table import Table

TITLE = "Hyper-Representations: shared and independent draws"
ORANGE, _ = BASELINE_STYLES[0]
METHOD = "hyper-representations"
MEASURED = {
    "accuracy": "accuracy, %",
    "distance": "plain L2 to the nearest",
    "overlap": "predicts as the nearest, %",
}
"""Numbers of each checkpoint; nearest: the training checkpoint, as reconstructed."""
DISTINCT = "different nearest, % of n"
"""How many training checkpoints are nearest to some checkpoint of a group."""


def needs(plan: Plan) -> list[Node]:
    """The runs it stands on."""
    runs = plan.of(METHOD)
    return [*(draws.overlaps for draws in runs.draws), runs.audit]


def numbers(runs: Runs, plan: Plan) -> Table:
    """One row per checkpoint: accuracy, its nearest training checkpoint, distance and overlap."""
    of, parts = plan.of(METHOD), []
    for draws in of.draws:
        found: Any = read_overlaps(runs.at(draws.overlaps))
        found = found[found["measure"] == MEASURES[0]].drop(columns="measure")
        is_sample = found["kind"] == "generated"
        if draws.seed == 0 and draws.sampler == of.draws[0].sampler:
            parts.append(found[~is_sample].assign(sampler="", fit=draws.fit, seed=0))
        own = {"sampler": draws.sampler, "fit": draws.fit, "seed": draws.seed}
        parts.append(found[is_sample].assign(**own))
    rows = pd.concat(parts, ignore_index=True)
    rows["overlap"] *= 100
    return Table(TITLE, rows, {METHOD: about(audit_at(runs, of.audit))})


def picture(table: Table) -> Figure:
    """A column of boxes for each number, a row for each group of checkpoints."""
    groups = _groups(table)
    figure, [axes] = panels(["", "", "", ""], height=0.3 * len(groups) + 0.6)
    for ax, (column, label) in zip(axes, MEASURED.items(), strict=False):
        for place, group in enumerate(groups):
            _box(ax, group["rows"][column].to_numpy(), place, group["color"])
        ax.set_xlabel(label)
    for place, group in enumerate(groups):
        rows = group["rows"]["row"]
        axes[-1].barh(place, 100 * rows.nunique() / len(rows), 0.55, color=group["color"])
    axes[-1].set(xlabel=DISTINCT, xlim=(0, 102))
    for ax in axes:
        ax.set(yticks=range(len(groups)), yticklabels=[], ylim=(len(groups) - 0.4, -0.6))
    axes[0].set_yticklabels([group["label"] for group in groups])
    return figure


def claims(table: Table) -> Sequence[ClaimRow]:
    """The paper compares no ways to draw."""
    return []


def _groups(table: Table) -> list[dict[str, Any]]:
    """Rows of each group with how it is drawn: training and held-out runs, then every draw."""
    colors = {"shared": COLORS["generated"], "independent": ORANGE}
    groups = []
    found: Any = table.rows.groupby(["kind", "sampler", "fit", "seed"], sort=False)
    for (kind, sampler, fit, seed), rows in found:
        label = {"training": "training", "heldout": "held-out"}.get(kind, f"{sampler}, draw {seed}")
        color = COLORS[kind] if kind != "generated" else colors[sampler]
        told = f"{label}, fit {fit} (n = {len(rows)})"
        groups.append({"fit": fit, "label": told, "color": color, "rows": rows})
    return sorted(groups, key=lambda group: group["fit"])


def _box(ax: Axes, values: Any, place: int, color: str) -> None:
    """Median, quartiles, and a line from the 5th to the 95th percentile."""
    low, first, middle, third, high = pd.Series(values).quantile([0.05, 0.25, 0.5, 0.75, 0.95])
    ax.hlines([place], low, high, color=color, linewidth=1.2)
    ax.barh(place, max(third - first, 0), 0.55, left=first, color=color, alpha=0.45)
    ax.vlines([middle], place - 0.3, place + 0.3, color=color, linewidth=2.2)
