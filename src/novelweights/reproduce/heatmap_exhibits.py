"""Heatmaps of samples above their nearest training checkpoints, as several exhibits show them.

Source: paper, figures 2, 11 and 12.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from novelweights.report.style import RED
from novelweights.report.tables import number
from novelweights.reproduce.drawing import TITLES, WIDTH
from novelweights.reproduce.heatmaps import read_heatmaps
from novelweights.reproduce.nodes import Node
from novelweights.reproduce.plan import Plan
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.table import Table

NOTES = (
    "The paper judges these pictures by eye and prints no number; distances are in weight units.",
    "Nearest under plain L2; for G.pt over reorderings of hidden neurons, training checkpoints "
    "shown reordered; for Hyper-Representations among reconstructions of all epochs.",
    "Colors have one scale in all panels of a method, from the 1st to the 99th percentile.",
)
LABEL = 6.5


def heatmap_nodes(plan: Plan) -> list[Node]:
    """The runs that heatmaps stand on."""
    return [runs.heatmaps for runs in plan.methods.values()]


def heatmap_table(
    runs: Runs, plan: Plan, title: str, kind: str, panels: slice, labels: Sequence[str] = ()
) -> Table:
    """One row per checkpoint that is shown: its distance to the sample and 64 of its weights.

    Args:
        kind: random or percentiles, see `read_heatmaps`.
        panels: Which of that kind.
        labels: Of the panels; left out: the numbers of the samples.
    """
    rows, about = list[dict[str, object]](), dict[str, object]()
    for method, of in plan.methods.items():
        about[method], found = read_heatmaps(runs.at(of.heatmaps), kind)
        for place, panel in enumerate(found[panels]):
            name = labels[place] if labels else panel["names"][0].replace("sample-", "sample ")
            for rank, values in enumerate(panel["values"]):
                rows.append(
                    {
                        "method": method,
                        "panel": place,
                        "label": name,
                        "kind": "training" if rank else "generated",
                        "nearest": rank,
                        "checkpoint": panel["names"][rank],
                        "distance": panel["distances"][rank - 1] if rank else None,
                        "norm of the sample": panel["norm"],
                    }
                    | {f"weight {i}": value for i, value in enumerate(values)}
                )
    return Table(title, pd.DataFrame(rows), about, NOTES)


def heatmap_picture(table: Table) -> Figure:
    """A column per method, a heatmap per sample; the sample is its uppermost row, framed."""
    n = int(table.values("panel").max()) + 1
    by_method = [(str(method), of) for method, of in table.rows.groupby("method", sort=False)]
    figure = Figure(figsize=(WIDTH, 0.78 * n + 1.1))
    axes = figure.subplots(n, len(by_method), squeeze=False)
    for column, (method, mine) in enumerate(by_method):
        about, image = table.about[method], None
        low, high = np.nanquantile(_weights(mine), [0.01, 0.99])
        panels = [panel for _, panel in mine.groupby("panel")]
        for ax in axes[len(panels) :, column]:
            ax.set_axis_off()
        for ax, panel in zip(axes[:, column], panels, strict=False):
            values = _weights(panel)
            image = ax.imshow(
                values, aspect="auto", cmap="viridis", interpolation="none", vmin=low, vmax=high
            )
            _frame(ax, *values.shape)
            _labels(ax, panel)
        axes[0, column].annotate(
            f"{TITLES[method]}\n{about['generated']:,} samples, {about['training']:,} training",
            (0.5, 1.0),
            xytext=(0, 12),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
        if image is not None:
            bar = figure.colorbar(
                image, ax=list(axes[:, column]), location="bottom", fraction=0.06 / n, pad=0.01
            )
            bar.outline.set_visible(False)
            bar.ax.tick_params(labelsize=LABEL, length=2)
            bar.set_label(f"weight ({len(about['parameters'])} drawn at random)", fontsize=7.5)
    return figure


def _weights(rows: pd.DataFrame) -> Float[np.ndarray, "n p"]:
    """Their weights; a small network has fewer columns of them than others."""
    values = rows.filter(like="weight ").to_numpy(dtype=np.float64)
    return values[:, ~np.isnan(values).all(axis=0)]


def _frame(ax: Axes, rows: int, columns: int) -> None:
    """White lines between checkpoints, a red frame about the sample."""
    for y in np.arange(rows - 1) + 0.5:
        ax.axhline(y, color="white", linewidth=1.6)
    frame = Rectangle((-0.5, -0.5), columns, 1, fill=False, edgecolor=RED, linewidth=1.6)
    frame.set(zorder=3, clip_on=False)
    ax.add_patch(frame)


def _labels(ax: Axes, panel: pd.DataFrame) -> None:
    """The sample's name above, distances beside its nearest."""
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, pad=2)
    far = [number(distance) for distance in panel["distance"].iloc[1:]]
    ax.set_xticks([])
    ax.set_yticks(range(len(panel)), ["distance", *far], fontsize=LABEL)
    ax.set_title(panel["label"].iloc[0], fontsize=LABEL, color=RED, loc="left", pad=2)
