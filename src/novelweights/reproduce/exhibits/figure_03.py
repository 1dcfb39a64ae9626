"""Figure 3: what the autoencoder of Hyper-Representations costs classifiers in accuracy.

Held-out runs are ours. Source: paper, section 3.1, figure 3; the means, tables 1 and 2.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from novelweights.reproduce.drawing import COLORS, LABELS, panels
from novelweights.reproduce.nodes import Node
from novelweights.reproduce.outcomes import ClaimRow, mean_of
from novelweights.reproduce.plan import Plan
from novelweights.reproduce.reading import about, audit_at
from novelweights.reproduce.reconstructing import read_reconstructions
from novelweights.reproduce.reported import RECONSTRUCTED, REPORTED
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.table import Table
from novelweights.studies.reconstruction.pairs import Kind

TITLE = "Accuracy of networks and of their reconstructions"
METHOD = "hyper-representations"
SPLITS = ("training", "heldout")
FORMS = {"accuracy": "original", "other_accuracy": "reconstruction"}
BINS = 30


def needs(plan: Plan) -> list[Node]:
    """The runs it stands on."""
    return [plan.of(METHOD).reconstructions, plan.of(METHOD).audit]


def numbers(runs: Runs, plan: Plan) -> Table:
    """One row per run: accuracy of the original and of the reconstruction, in percent."""
    of = plan.of(METHOD)
    pairs = pd.DataFrame(read_reconstructions(runs.at(of.reconstructions))["pairs"])
    kept = pairs.loc[pairs["kind"] == Kind.RECONSTRUCTION, ["split", "run", *FORMS]]
    return Table(TITLE, kept.reset_index(drop=True), {METHOD: about(audit_at(runs, of.audit))})


def picture(table: Table) -> Figure:
    """Histograms of both forms, training and held-out; and each run before and after."""
    titles = [
        f"{LABELS[split]}, n = {len(table.values('accuracy', split=split))} runs"
        for split in SPLITS
    ]
    figure, [axes] = panels([*titles, "each run"], height=2.6)
    values = np.concatenate([table.values(form) for form in FORMS])
    low, high = values.min() - 1, values.max() + 1
    edges = np.linspace(low, high, BINS + 1)
    for ax, split in zip(axes, SPLITS, strict=False):
        for form, name in FORMS.items():
            of = table.values(form, split=split)
            shares = 100 * np.histogram(of, edges)[0] / max(1, len(of))
            is_filled = form != "accuracy"
            told = f"{name}, mean {of.mean():.1f}%" if len(of) else name
            if split == "training":
                told += f"\n(paper: {REPORTED[METHOD].numbers[f'accuracy_{name}'].text})"
            drawn = ax.stairs(shares, edges, color=COLORS[split], fill=is_filled, label=told)
            drawn.set(alpha=0.6 if is_filled else 1.0, linewidth=1.4)
        ax.set(xlabel="test accuracy, %", ylabel="% of runs")
        ax.margins(y=0.55)
        ax.legend(fontsize=7, loc="upper left")
    ax = axes[-1]
    ax.plot([low, high], [low, high], color="#777777", linewidth=0.8, linestyle="--")
    for split, marker in zip(SPLITS, "oP", strict=True):
        before, after = (table.values(form, split=split) for form in FORMS)
        ax.scatter(
            before, after, s=14, alpha=0.6, color=COLORS[split], marker=marker, label=LABELS[split]
        )
    ax.set(xlabel="accuracy of the original, %", ylabel="of the reconstruction, %")
    ax.legend(fontsize=7, loc="upper left")
    return figure


def claims(table: Table) -> Sequence[ClaimRow]:
    """Reconstruction lowers the accuracy of training networks."""
    before, after = (table.values(form, split="training") for form in FORMS)
    return [
        ClaimRow(
            claim="reconstruction by the autoencoder lowers accuracy",
            method=METHOD,
            exhibit="figure 3",
            unit="percentage points",
            paper=RECONSTRUCTED,
            effect=mean_of(before - after, METHOD, "reconstruction"),
        )
    ]
