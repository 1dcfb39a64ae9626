"""Figure 8: P-diff's samples beside averages of 16 training checkpoints and a Gaussian.

Left what networks do, right a map of their weights. Averages whose running statistics are
recomputed, held-out runs and noise are ours. Source: paper, section 3.3 and figure 8.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from novelweights.auditing.result import TSNE_GROUPS, AuditResult, Measurements
from novelweights.report.style import BLUE, RED, TEAL, window
from novelweights.reproduce.averaging import AVERAGES, N_POINTS, read_recomputed
from novelweights.reproduce.drawing import panels
from novelweights.reproduce.nodes import Node
from novelweights.reproduce.outcomes import ClaimRow, more_than
from novelweights.reproduce.plan import Plan
from novelweights.reproduce.reading import about, audit_at
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.table import Table

TITLE = "P-diff's samples beside averages of 16 and a Gaussian of training checkpoints"
METHOD = "p-diff"
RECOMPUTED = f"{AVERAGES}, statistics recomputed"
LOOKS: Mapping[str, tuple[str, str, str]] = {
    "noise": ("noise, as new as the samples", "#8C8C8C", "D"),
    "heldout": ("held-out", TEAL, "P"),
    "training": ("training", BLUE, "o"),
    "Gaussian": ("Gaussian", "#444444", "s"),
    AVERAGES: (AVERAGES, "#EE7733", "^"),
    RECOMPUTED: (RECOMPUTED, "#882255", "v"),
    "generated": ("generated (P-diff)", RED, "X"),
}
"""Label, color and marker of each kind, the last drawn on top."""
NOTES = (
    "The paper prints no number of this figure, so no outcome is told by the rule; "
    "about.differences holds means of each kind less those of the samples, with 95% intervals.",
    "Statistics are recomputed on training images, for the normalizations that checkpoints change; "
    "novelty is against training checkpoints with the statistics of the base network.",
)


def needs(plan: Plan) -> list[Node]:
    """The runs it stands on."""
    runs = plan.of(METHOD)
    return [runs.audit] if runs.recomputed is None else [runs.audit, runs.recomputed]


def numbers(runs: Runs, plan: Plan) -> Table:
    """One row per checkpoint: quality and novelty, or its place on the map."""
    audit = audit_at(runs, plan.of(METHOD).audit)
    behavior = {kind: _points(found) for kind, found in _found(audit.result).items()}
    node, images = plan.of(METHOD).recomputed, 0
    if node is not None:
        again = read_recomputed(runs.at(node))
        images = again["images"]
        for kind, columns in again["points"].items():
            behavior[f"{kind}, statistics recomputed"] = pd.DataFrame(columns)
    rows = [frame.assign(panel="behavior", kind=kind) for kind, frame in behavior.items()]
    if "tsne_points" in audit.plot_data:
        places = pd.DataFrame(audit.plot_data["tsne_points"], columns=["x", "y"])
        kinds = [TSNE_GROUPS[group] for group in audit.plot_data["tsne_groups"]]
        rows.append(places.assign(panel="map", kind=kinds))
    told = {**about(audit), "images_for_statistics": images, "differences": _differences(behavior)}
    return Table(TITLE, pd.concat(rows, ignore_index=True), told, NOTES)


def picture(table: Table) -> Figure:
    """What networks do, and where their weights are."""
    figure, [[left, right]] = panels(("behavior", "weights, t-SNE"), height=4.0)
    handles = []
    for panel, ax, columns in (
        ("behavior", left, ("novelty", "quality")),
        ("map", right, ("x", "y")),
    ):
        everything = []
        for kind, (label, color, marker) in LOOKS.items():
            values = [table.values(c, panel=panel, kind=kind) for c in columns]
            points = np.stack(values, axis=1)
            if not len(points):
                continue
            everything.append(points)
            style: dict[str, Any] = {"color": color, "marker": marker}
            ax.scatter(*points.T, s=20, alpha=0.65, linewidths=0, **style)
            if ax is left:
                text = f"{label}, n = {len(points)}"
                handles.append(Line2D([], [], label=text, linestyle="", **style))
        across, up = np.concatenate(everything or [np.zeros((1, 2))]).T
        ax.set(xlim=window(across), ylim=window(up))
    left.set_xlabel("maximum similarity\n\u2190 newer")
    left.set_ylabel("accuracy (%)\nbetter \u2192")
    right.set(xticks=[], yticks=[])
    right.spines[:].set_visible(True)
    right.set_xlabel("at most 100 of each kind")
    figure.legend(handles=handles, ncols=3, loc="outside upper center", fontsize=8)
    return figure


def claims(table: Table) -> Sequence[ClaimRow]:
    """None: the paper prints no number to hold ours against."""
    return []


def _found(result: AuditResult) -> dict[str, Measurements]:
    """The measured checkpoints of each kind."""
    found = {"training": result.training, "generated": result.generated}
    if result.heldout is not None:
        found["heldout"] = result.heldout
    return found | {kind: of for kind, of in result.baselines.items() if kind in LOOKS}


def _points(found: Measurements) -> pd.DataFrame:
    """At most 100 checkpoints, evenly spaced in their order."""
    if found.quality is None or found.novelty is None:
        raise ValueError("an audit without a task says nothing of behavior")
    n = len(found.quality)
    keep = np.linspace(0, n - 1, min(n, N_POINTS)).round().astype(int)
    return pd.DataFrame({"quality": found.quality[keep], "novelty": found.novelty[keep]})


def _differences(behavior: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, Any]]:
    """Of means, each kind less the samples, in points of accuracy and in maximum similarity."""
    samples = behavior["generated"]
    return {
        kind: {
            column: asdict(
                more_than(frame[column].to_numpy(), samples[column].to_numpy(), kind, column)
            )
            for column in ("quality", "novelty")
        }
        for kind, frame in behavior.items()
        if kind != "generated"
    }
