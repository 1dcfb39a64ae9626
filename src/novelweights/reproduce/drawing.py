"""How the exhibits look: panels of the methods side by side, in the style of the reports."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from novelweights.report.style import BLUE, RED, STYLE, TEAL

WIDTH = 10.4
"""Inches, of a whole page."""
COLORS = {"training": BLUE, "generated": RED, "heldout": TEAL}
LABELS = {"training": "training", "generated": "generated", "heldout": "held-out"}
TITLES = {
    "hyper-representations": "Hyper-Representations",
    "g-pt": "G.pt",
    "hyperdiffusion": "HyperDiffusion",
    "p-diff": "P-diff",
}
"""The methods in the paper's order, by the names it gives them."""


@contextmanager
def styled() -> Iterator[None]:
    """The style of all figures."""
    with mpl.rc_context(STYLE):
        yield


def panels(
    columns: Sequence[str], rows: int = 1, *, height: float = 2.4
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of a row of panels (or several) with the titles of the columns above."""
    figure = Figure(figsize=(WIDTH, height * rows + 0.5))
    axes = figure.subplots(rows, len(columns), squeeze=False)
    for ax, title in zip(axes[0], columns, strict=True):
        ax.set_title(title, fontsize=10)
    return figure, axes.tolist()
