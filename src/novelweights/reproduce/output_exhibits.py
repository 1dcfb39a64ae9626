"""What samples and their nearest training checkpoints do, side by side, as several exhibits show.

Source: paper, figures 5, 13 and 14.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from novelweights.report.style import BLUE, RED, RUN_COLORS
from novelweights.report.tables import number
from novelweights.reproduce.drawing import TITLES, WIDTH
from novelweights.reproduce.nodes import Node
from novelweights.reproduce.outputs import read_outputs, unpacked
from novelweights.reproduce.picturing import N_CLASSES
from novelweights.reproduce.plan import Plan
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.table import Table

NOTES = (
    "The paper judges these pictures by eye and prints no number; distances are in weight units.",
    "Classifiers: the class predicted on the plane of the test images' two principal components; "
    "with more than ten classes, ten compete (about.METHOD.classes), numbered in their order.",
    "Fields: the surface, both of a pair from one direction and at one scale; Chamfer distances "
    "are squared, of normalized clouds.",
    "Nearest under plain L2; for G.pt over reorderings of hidden neurons; for "
    "Hyper-Representations among reconstructions of all epochs.",
)
COLORS = ListedColormap([*RUN_COLORS, "#DDDDDD"])
"""Of ten classes. Source: Paul Tol's muted scheme, safe for the color-blind."""
ALPHA = 0.7
HEADINGS = (("generated", RED), ("nearest training", BLUE))
LABEL = 6.5


def output_nodes(plan: Plan) -> list[Node]:
    """The runs that these exhibits stand on."""
    return [runs.outputs for runs in plan.methods.values()]


def output_table(
    runs: Runs, plan: Plan, title: str, kind: str, pairs: slice, labels: Sequence[str] = ()
) -> Table:
    """One row per checkpoint that is shown, the picture packed as text.

    Args:
        kind: random or percentiles, see `read_outputs`.
        pairs: Which of that kind.
        labels: Of the pairs; left out: the numbers of the samples.
    """
    rows, about = list[dict[str, object]](), dict[str, object]()
    for method, of in plan.methods.items():
        about[method], found = read_outputs(runs.at(of.outputs), kind)
        for place, pair in enumerate(found[pairs]):
            own = pair["names"][0].replace("sample-", "sample ")
            for side, which in enumerate(("generated", "training")):
                rows.append(
                    {
                        "method": method,
                        "pair": place,
                        "label": labels[place] if labels else own,
                        "kind": which,
                        "checkpoint": pair["names"][side],
                        "distance": pair["distance"],
                        "alike": pair["alike"],
                        "side": pair["side"],
                        "picture": pair["pictures"][side],
                    }
                )
    return Table(title, pd.DataFrame(rows), about, NOTES)


def output_picture(table: Table) -> Figure:
    """Two columns per method, generated and nearest training, a row per pair."""
    methods = list(table.about)
    n = int(table.values("pair").max()) + 1
    figure = Figure(figsize=(WIDTH, 1.45 * n + 1.0))
    for block, method in zip(
        figure.subfigures(1, len(methods), squeeze=False)[0], methods, strict=True
    ):
        about = table.about[method]
        told = f"{about['generated']:,} samples, {about['training']:,} training"
        block.suptitle(f"{TITLES[method]}\n{told}", fontsize=9)
        axes = block.subplots(n, 2, squeeze=False)
        for ax in axes.ravel():
            ax.set_axis_off()
        for row in _records(table, method):
            place = row["pair"], int(row["kind"] == "training")
            _draw(axes[place], row, has_classes="classes" in about)
        for ax, (text, color) in zip(axes[0], HEADINGS, strict=True):
            ax.set_title(text, color=color, fontsize=7.5, pad=3)
    if any("classes" in table.about[method] for method in methods):
        patches = [Patch(color=COLORS(i), alpha=ALPHA, label=str(i)) for i in range(N_CLASSES)]
        figure.legend(
            handles=patches, title="class", ncols=N_CLASSES, loc="outside upper center", fontsize=8
        )
    return figure


def _records(table: Table, method: str) -> list[dict[str, Any]]:
    """The rows of a method."""
    names = [str(column) for column in table.rows.columns]
    rows = [dict(zip(names, row, strict=True)) for row in table.rows.itertuples(index=False)]
    return [row for row in rows if row["method"] == method]


def _draw(ax: Axes, row: Mapping[str, Any], *, has_classes: bool) -> None:
    """One picture with a frame of its kind's color."""
    picture = unpacked(row["picture"], row["side"])
    is_sample = row["kind"] == "generated"
    color = RED if is_sample else BLUE
    ax.set_axis_on()
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=True, color=color, linewidth=1.2)
    if has_classes:
        look: Any = {"cmap": COLORS, "vmin": -0.5, "vmax": N_CLASSES - 0.5, "alpha": ALPHA}
        ax.imshow(picture, interpolation="none", origin="lower", **look)
    else:
        ax.imshow(picture, interpolation="none", cmap="gray", vmin=0, vmax=255)
        if (picture == 255).all():
            ax.text(0.5, 0.5, "no surface", ha="center", transform=ax.transAxes, fontsize=LABEL)
    alike = row["alike"]
    if is_sample:
        ax.set_ylabel(row["label"], fontsize=LABEL, labelpad=2)
        ax.set_xlabel(f"distance {number(row['distance'])}", fontsize=LABEL, labelpad=2)
    elif alike is not None and not np.isnan(alike):
        text = f"same on {100 * alike:.0f}%" if has_classes else f"Chamfer {number(alike)}"
        ax.set_xlabel(text, fontsize=LABEL, labelpad=2)
