"""How the exhibits look: panels of the methods side by side, and tables, as the reports do."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from textwrap import wrap
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from novelweights.report.style import BLUE, RED, STYLE, TEAL

WIDTH = 10.4
"""Inches, of a whole page."""
LINE = 0.19
"""Inches, of one line of a table."""
CAPTION = "caption"
LETTERS = 165
"""Of a line of notes below a table."""
COLORS = {"training": BLUE, "generated": RED, "heldout": TEAL}
LABELS = {"training": "training", "generated": "generated", "heldout": "held-out"}
TITLES = {
    "hyper-representations": "Hyper-Representations",
    "g-pt": "G.pt",
    "hyperdiffusion": "HyperDiffusion",
    "p-diff": "P-diff",
}
"""The methods in the paper's order, by the names it gives them."""


DATA_TITLES = {
    "airplanes-field": "airplanes made by a program",
    "cifar-10-jpeg": "CIFAR-10 (JPEG copy)",
    "cifar-100": "CIFAR-100",
    "digits": "scikit-learn's digits",
    "mnist": "MNIST",
    "mnist-5k": "5,000 digits of MNIST",
    "photo-patch-10": "patches of ten photos",
    "shapenet-airplane-field": "ShapeNet's airplanes",
    "svhn": "SVHN",
}
"""Data sets, and zoos of shapes, by what a reader knows them by."""


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


def drawn_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    groups: Sequence[tuple[str, int]] = (),
    notes: Sequence[str] = (),
) -> Figure:
    """A table as a figure: rules above, between and below, the first column on the left.

    Args:
        header: Name of each column; may have several lines.
        rows: Cells as text, each may have several lines; a row of one cell is a heading.
        groups: Headings above the header, each with how many columns it spans, from the left.
        notes: Below, each from a line of its own; wrapped.
    """
    lines = [line for note in notes for line in wrap(note, LETTERS)]
    cells = [header, *(row for row in rows if len(row) > 1)]
    lengths = [max(_size(row[column])[0] for row in cells) + 2 for column in range(len(header))]
    edges = WIDTH * np.cumsum([0, *lengths]) / sum(lengths)
    centers = (edges[:-1] + edges[1:]) / 2
    above, top = (LINE * 1.4 if groups else 0.0), LINE * (_size_of(header) + 0.6)
    heights = [LINE * (_size_of(row) + 0.35) for row in rows]
    height = 0.1 + above + top + sum(heights) + LINE * (len(lines) + 0.5)
    figure = Figure(figsize=(WIDTH, height))
    figure.set_layout_engine("none")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(-0.1, WIDTH + 0.1), ylim=(height, 0))
    ax.set_axis_off()

    def write(row: Sequence[str], y: float, **font: Any) -> None:
        ax.text(0.05, y, row[0], va="center", ha="left", **font)
        for x, text in zip(centers[1:], row[1:], strict=False):
            ax.text(float(x), y, text, va="center", ha="center", **font)

    y, first = 0.1, 0
    ax.hlines([y], 0, WIDTH, color="black", linewidth=1.2)
    for name, n in groups:
        left, right = float(edges[first]), float(edges[first + n])
        ax.text((left + right) / 2, y + above / 2, name, va="center", ha="center", weight="bold")
        ax.hlines([y + above], left + 0.1, right - 0.1, color="#777777", linewidth=0.6 * bool(name))
        first += n
    write(header, y + above + top / 2, weight="normal" if groups else "bold")
    y += above + top
    ax.hlines([y], 0, WIDTH, color="black", linewidth=0.8)
    for row, tall in zip(rows, heights, strict=True):
        write(row, y + tall / 2, style="italic" if len(row) == 1 else "normal")
        y += tall
    ax.hlines([y], 0, WIDTH, color="black", linewidth=1.2)
    for line in lines:
        ax.text(0.05, y + LINE * 0.7, line, va="center", fontsize=7.5, color="#444444")
        y += LINE
    return figure


def captioned(figure: Figure, caption: str) -> Figure:
    """The figure with lines of text below, for which it grows; below those of an earlier call."""
    earlier = [text for text in figure.texts if text.get_gid() == CAPTION]
    lines = [*(text.get_text() for text in earlier), *wrap(caption, LETTERS)]
    for text in earlier:
        text.remove()
    width, height = figure.get_size_inches()
    below = LINE * (len(lines) + 0.3)
    height += below - (LINE * (len(earlier) + 0.3) if earlier else 0.0)
    share = below / height
    figure.set_size_inches(width, height)
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0, share, 1, 1 - share))
    else:
        [ax] = figure.axes
        ax.set_position((0, share, 1, 1 - share))
    for i, line in enumerate(lines):
        y = share - (0.8 + i) * LINE / height
        text = figure.text(0.006, y, line, fontsize=7.5, color="#444444", in_layout=False)
        text.set_gid(CAPTION)
    return figure


def _size(text: str) -> tuple[int, int]:
    """Length of the longest line, and number of lines."""
    lines = text.split("\n")
    return max(map(len, lines)), len(lines)


def _size_of(row: Sequence[str]) -> int:
    """Lines of the tallest cell."""
    return max(_size(cell)[1] for cell in row)
