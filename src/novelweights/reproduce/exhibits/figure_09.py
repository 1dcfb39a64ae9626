"""Figure 9: whether the autoencoder of Hyper-Representations sees that moved networks are the same.

Networks with their neurons permuted, or with signs flipped around odd activations, compute the
same; their reconstructions should behave alike. Held-out runs and pairs of reconstructions of
different networks are ours. Source: paper, section 4.2, figure 9.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from novelweights.reproduce.drawing import COLORS, LABELS, captioned, panels
from novelweights.reproduce.exhibits.figure_03 import METHOD, SPLITS
from novelweights.reproduce.nodes import Node
from novelweights.reproduce.outcomes import ClaimRow, Effect, mean_of
from novelweights.reproduce.plan import Plan
from novelweights.reproduce.reading import about, audit_at
from novelweights.reproduce.reconstructing import read_reconstructions
from novelweights.reproduce.reported import (
    BETWEEN_ORIGINALS,
    MOVED_ACCURACY,
    MOVED_SIMILARITY,
    PaperEffect,
)
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.table import Table
from novelweights.studies.reconstruction.pairs import Kind

TITLE = "Reconstructions of networks and of the same networks moved"
KINDS = {
    Kind.PERMUTED: "permuted",
    Kind.FLIPPED: "signs flipped",
    Kind.ORIGINALS: "different originals",
    Kind.RECONSTRUCTIONS: "different\nreconstructions",
}
MEASURES = {
    "accuracy_difference": "difference of accuracy, points",
    "error_similarity": "error similarity",
}
PRINTED = {
    "accuracy_difference": {
        **{kind: paper.effect for kind, paper in MOVED_ACCURACY.items()},
        Kind.ORIGINALS: BETWEEN_ORIGINALS,
    },
    "error_similarity": {kind: 1 - paper.effect for kind, paper in MOVED_SIMILARITY.items()},
}
"""Of the paper, by measure and kind."""
WIDE = 0.36


def needs(plan: Plan) -> list[Node]:
    """The runs it stands on."""
    return [plan.of(METHOD).reconstructions, plan.of(METHOD).audit]


def numbers(runs: Runs, plan: Plan) -> Table:
    """One row per pair: difference of accuracy in points, and error similarity."""
    of = plan.of(METHOD)
    found = read_reconstructions(runs.at(of.reconstructions))
    pairs = pd.DataFrame(found["pairs"])
    pairs["accuracy_difference"] = (pairs["other_accuracy"] - pairs["accuracy"]).abs()
    kept = pairs.loc[pairs["kind"].isin([*KINDS]), ["split", "kind", "run", "other", *MEASURES]]
    told = about(audit_at(runs, of.audit))
    told |= {what: found[what] for what in ("reordered", "flipped")}
    return Table(TITLE, kept.reset_index(drop=True), {METHOD: told})


def picture(table: Table) -> Figure:
    """Means with intervals beside the paper's, for accuracy and for errors."""
    figure, [axes] = panels(["", ""], height=3.0)
    for ax, (measure, label) in zip(axes, MEASURES.items(), strict=True):
        for side, split in enumerate(SPLITS):
            _bars(ax, table, measure, split, (side - 0.5) * WIDE)
        known = PRINTED[measure]
        places = [place for place, kind in enumerate(KINDS) if kind in known]
        printed = [known[kind] for kind in KINDS if kind in known]
        ax.scatter(places, printed, color="black", marker="D", s=26, zorder=3, label="paper")
        ax.set(ylabel=label, ylim=(0, None if measure == "accuracy_difference" else 1.05))
        ax.set_xticks(range(len(KINDS)), [*KINDS.values()], fontsize=8)
    axes[0].legend(fontsize=8)
    axes[0].margins(y=0.3)
    told = table.about[METHOD]
    moved = [", ".join(told[what]) or "none" for what in ("reordered", "flipped")]
    axes[1].axhline(1, color="#777777", linewidth=0.8, linestyle="--")
    return captioned(
        figure,
        f"Neurons permuted in {moved[0]}; signs flipped in {moved[1]}. Bars: means over pairs, "
        "95% intervals.",
    )


def claims(table: Table) -> Sequence[ClaimRow]:
    """Reconstructions of moved networks differ in accuracy and in errors."""
    found = []
    for kind in (Kind.PERMUTED, Kind.FLIPPED):
        away, similar = (table.values(one, split="training", kind=str(kind)) for one in MEASURES)
        if not len(away):
            continue
        found += [
            _claim(
                f"reconstructions of {kind} networks differ in accuracy",
                "percentage points",
                MOVED_ACCURACY[kind],
                mean_of(away, str(kind), "accuracy"),
            ),
            _claim(
                f"reconstructions of {kind} networks make other errors",
                "1 - error similarity",
                MOVED_SIMILARITY[kind],
                mean_of(1 - similar, str(kind), "errors"),
            ),
        ]
    return found


def _claim(claim: str, unit: str, paper: PaperEffect, effect: Effect) -> ClaimRow:
    return ClaimRow(claim, METHOD, "figure 9", unit, paper, effect)


def _bars(ax: Axes, table: Table, measure: str, split: str, shift: float) -> None:
    """Means of one split with intervals."""
    n = 0
    for place, kind in enumerate(KINDS):
        values = table.values(measure, split=split, kind=str(kind))
        if not len(values):
            continue
        n, mean = max(n, len(values)), mean_of(values, split, str(kind), measure)
        around = np.array([[mean.value - mean.lower], [mean.upper - mean.value]])
        ax.bar(
            place + shift,
            mean.value,
            WIDE * 0.94,
            yerr=np.maximum(around, 0),
            color=COLORS[split],
            alpha=0.75,
            ecolor="#333333",
            capsize=2,
        )
    ax.bar([0], [0], color=COLORS[split], alpha=0.75, label=f"{LABELS[split]}, n = {n} networks")
