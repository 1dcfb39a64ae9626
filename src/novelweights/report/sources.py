"""Whom generated checkpoints are made of: the nearest training runs, and the closest mixtures."""

import itertools

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from novelweights.auditing.result import AuditResult
from novelweights.report.style import BLUE, PANEL, RED, groups_of, nearest_first
from novelweights.report.tables import short

MAX_BARS = 20
MAX_SAMPLES = 25  # named one by one
SHADES = (("#FFFFFF", 1.0), ("#1B1F24", 0.5), ("#1B1F24", 0.25))
"""Color of the letters and depth of the segment, largest source first."""
REST = {"facecolor": "#F1F1F1", "edgecolor": "#BBBBBB", "linewidth": 0.6}
LETTER = 0.0075  # width of one, as a share of the bar


def draw_nearest(result: AuditResult) -> tuple[Figure, str]:
    """How often each training checkpoint is the nearest one of a generated checkpoint."""
    nearest = result.generated.neighbor_rows[:, 0]
    hits = np.bincount(nearest, minlength=len(result.training_names))
    order = np.argsort(-hits, kind="stable")[:MAX_BARS]
    order = order[hits[order] > 0]
    figure = Figure(figsize=(PANEL, 4.4))
    ax = figure.add_subplot()
    ax.barh(range(len(order)), hits[order], color=BLUE, height=0.7)
    ax.set_yticks(range(len(order)), [short(result.training_names[row]) for row in order])
    ax.tick_params(axis="y", length=0, labelsize=8)
    ax.set_ylim(max(len(order), 8) - 0.4, -0.6)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel(f"generated checkpoints nearest to it (of {len(nearest)})")
    return figure, (
        f"The {len(order)} training checkpoints that are nearest most often; "
        f"most: {hits.max()} of {len(nearest)}. {(hits == 0).sum()} of {len(hits)} never are."
    )


def draw_sources(result: AuditResult) -> tuple[Figure, str]:
    """Mean weights of the closest mixture of training checkpoints, population by population."""
    rows = [
        (group, group.found.source_weights.mean(axis=0))
        for group in groups_of(result)
        if group.found.source_weights is not None and len(group.found)
    ]
    figure = Figure(figsize=(PANEL, 4.4))
    ax = figure.add_subplot()
    for y, (group, weights) in enumerate(rows):
        edges = np.concatenate([[0], np.cumsum(weights), [1]])
        for j, (left, right) in enumerate(itertools.pairwise(edges)):
            look = (
                REST
                if j == len(weights)
                else {"facecolor": group.color, "alpha": (1.0, 0.6, 0.35)[j], "linewidth": 0}
            )
            ax.barh(y, max(right - left, 0), left=left, height=0.55, **look)
        ax.text(0, y - 0.34, f"{group.label}: largest {weights[0]:.2f}", va="bottom")
    ax.set(ylim=(max(len(rows), 4) - 0.5, -0.8), xlim=(0, 1), yticks=[])
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("mean weight of 1st, 2nd, 3rd source (dark to light), rest in white")
    words = "; ".join(f"{g.label} {', '.join(f'{w:.2f}' for w in weights)}" for g, weights in rows)
    return figure, f"Mean weights of the three largest sources: {words}."


def draw_made_of(result: AuditResult) -> tuple[Figure, str]:
    """Sample by sample, the sources of its closest mixture with their names in the bar."""
    generated = result.generated
    rows, weights = generated.source_rows, generated.source_weights
    if rows is None or weights is None:
        raise ValueError("whom samples are made of needs the weights of their closest mixtures")
    shown = nearest_first(result)[:MAX_SAMPLES]
    figure = Figure(figsize=(2 * PANEL, 0.24 * len(shown) + 0.7))
    ax = figure.add_subplot()
    for y, sample in enumerate(shown):
        left = 0.0
        for row, weight, (ink, depth) in zip(rows[sample], weights[sample], SHADES, strict=False):
            weight = max(float(weight), 0.0)
            ax.barh(y, weight, left=left, height=0.8, color=RED, alpha=depth, linewidth=0)
            _name(ax, result.training_names[row], weight, left, y, ink)
            left += weight
        ax.barh(y, max(1 - left, 0), left=left, height=0.8, **REST)
    ax.set_yticks(range(len(shown)), [short(generated.names[sample]) for sample in shown])
    ax.tick_params(axis="y", length=0, labelsize=8)
    ax.set(ylim=(len(shown) - 0.4, -0.6), xlim=(0, 1))
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("weight of 1st, 2nd, 3rd source (dark to light), all others in white")
    names, sources = generated.names, result.training_names
    words = "; ".join(
        f"{names[sample]}: {sources[rows[sample, 0]]} {weights[sample, 0]:.2f}" for sample in shown
    )
    return figure, f"Largest source of the {len(shown)} samples nearest to training. {words}."


def _name(ax: Axes, name: str, weight: float, left: float, y: int, ink: str) -> None:
    """Write run and weight into a segment, as much of it as fits."""
    room = int(weight / LETTER) - 1
    text = f"{name}  {weight:.2f}"
    if len(text) > room:
        text = name
    if len(text) > room and room >= 10:
        text = short(name, room)
    if len(text) <= room:
        ax.text(left + weight / 2, y, text, ha="center", va="center", fontsize=7.5, color=ink)
