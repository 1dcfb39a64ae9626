"""The figures of an audit of one run: single parameters, rows of weights, a map of weights.

They follow figures 7, 8 (right), 15, 16 and 17 of the paper.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from scipy.stats import gaussian_kde

from novelweights.auditing.result import TSNE_GROUPS, AuditResult
from novelweights.errors import count
from novelweights.report.style import BLUE, PANEL, PURPLE, RED, TEAL, groups_of, window
from novelweights.report.tables import number

N_FEW = 5
"""Entries in the first two figures. Source: paper, figures 7 and 16."""
PER_ROW = 10
BINS, GRID = 20, 200
COLORS = {"training": BLUE, "generated": RED, "from_scratch": PURPLE, "heldout": TEAL}
TITLES = {
    "training": "training",
    "generated": "generated",
    "from_scratch": "from scratch",
    "heldout": "held-out, last steps",
}
LEGEND = [Patch(color=COLORS[kind], alpha=0.55, label=kind) for kind in ("training", "generated")]
ORDER = ("noise", "Gaussian", "average of 16", "training", "heldout", "generated")
"""Of drawing a map, the last on top."""


def draw_one_run(
    result: AuditResult, plot_data: Mapping[str, np.ndarray]
) -> dict[str, Callable[[], tuple[Figure, str]]]:
    """What draws every figure these data allow, by its name."""
    figures: dict[str, Callable[[], tuple[Figure, str]]] = {}
    if "entry_parameters" in plot_data:
        names = ("entry_parameters", "entry_training", "entry_generated")
        entries, training, generated = (plot_data[name] for name in names)
        few = np.sort(np.arange(min(N_FEW, len(entries))))
        few = few[np.argsort(entries[few])]
        some = entries[few], training[:, few], generated[:, few]
        figures["densities"] = partial(draw_entries, *some)
        figures["densities_raw"] = partial(draw_entries, *some, is_smooth=False)
        order = np.argsort(entries)
        every = entries[order], training[:, order], generated[:, order]
        figures["densities_all"] = partial(draw_entries, *every, per_row=PER_ROW)
    rows = {kind: plot_data[f"row_{kind}"] for kind in TITLES if f"row_{kind}" in plot_data}
    if rows:
        figures["narrow"] = partial(draw_rows, rows, n_runs=result.n_runs)
    if "tsne_points" in plot_data:
        points, groups = plot_data["tsne_points"], plot_data["tsne_groups"]
        figures["map"] = partial(draw_map, result, points, groups)
    return figures


def draw_entries(
    entries: Int[np.ndarray, " e"],
    training: Float[np.ndarray, "n e"],
    generated: Float[np.ndarray, "m e"],
    *,
    is_smooth: bool = True,
    per_row: int = N_FEW,
) -> tuple[Figure, str]:
    """How the values of single weights are distributed, training against generated.

    Smooth: kernel densities, each with a bandwidth of its own (Scott's rule), on an axis of its
    own height. Source: paper, figures 7 and 17; 16 for histograms.
    """
    n_rows = -(-len(entries) // per_row)
    is_large = n_rows == 1
    figure = Figure(figsize=(2 * PANEL, 2.3 if is_large else 0.9 * n_rows + 0.6))
    axes = figure.subplots(n_rows, per_row, squeeze=False).ravel()
    nearer = 0
    for i, ax in enumerate(axes):
        if i >= len(entries):
            ax.set_axis_off()
            continue
        low, high = window(np.concatenate([training[:, i], generated[:, i]]), pad=0.15)
        for values, color in ((training[:, i], BLUE), (generated[:, i], RED)):
            if is_smooth:
                _density(ax, values, color, low, high)
            else:
                edges = np.linspace(low, high, BINS + 1)
                share = 100 * np.histogram(values, edges)[0] / len(values)
                ax.stairs(share, edges, fill=True, color=color, alpha=0.55)
        nearer += bool(generated[:, i].std() < training[:, i].std())
        ax.set(xlim=(low, high), ylim=(0, None), yticks=[])
        ax.spines["left"].set_visible(False)
        ax.set_title(f"{entries[i]:,}", fontsize=8, pad=2)
        ax.tick_params(labelsize=7 if is_large else 6, pad=1)
        ax.xaxis.set_major_locator(MaxNLocator(3 if is_large else 2, min_n_ticks=2))
    figure.legend(handles=LEGEND, ncols=2, loc="outside upper left", fontsize=8.5)
    what = "Smoothed distributions" if is_smooth else "Histograms"
    return figure, (
        f"{what} of {len(entries)} weights over {len(training)} training and {len(generated)} "
        f"generated checkpoints. In {nearer} the generated values have the smaller standard "
        "deviation."
    )


def draw_rows(
    rows: Mapping[str, Float[np.ndarray, "_ w"]], *, n_runs: int | None = None
) -> tuple[Figure, str]:
    """The same weights of some checkpoints of each kind, on one scale of colors.

    Source: paper, figure 15.
    """
    low, high = np.quantile(np.concatenate(list(rows.values())), [0.01, 0.99])
    heights = [len(values) for values in rows.values()]
    figure = Figure(figsize=(2 * PANEL, 0.085 * sum(heights) + 0.45 * len(rows) + 0.5))
    axes = figure.subplots(len(rows), 1, height_ratios=heights, squeeze=False)[:, 0]
    words = []
    titles = TITLES | ({"training": f"training, {count(n_runs, 'run')}"} if n_runs else {})
    image = None
    for ax, (kind, values) in zip(axes, rows.items(), strict=True):
        image = ax.imshow(
            values, aspect="auto", cmap="viridis", interpolation="none", vmin=low, vmax=high
        )
        for y in np.arange(len(values) - 1) + 0.5:
            ax.axhline(y, color="white", linewidth=0.7)
        ax.spines[:].set_visible(False)
        ax.set(xticks=[], yticks=[])
        ax.set_title(
            f"{titles[kind]}: {len(values)} checkpoints", color=COLORS[kind], fontsize=9, loc="left"
        )
        spread = float(np.median(values.std(axis=0)))
        words.append(f"{titles[kind]} {number(spread)}")
    axes[-1].set_xlabel(
        f"{next(iter(rows.values())).shape[1]} weights drawn at random, one column each"
    )
    if image is not None:
        bar = figure.colorbar(image, ax=list(axes), pad=0.01, aspect=40, format="%.2g")
        bar.outline.set_visible(False)
    return figure, (
        "Heatmaps of the same weights in checkpoints of each kind, one row per checkpoint. Median "
        f"standard deviation of a weight: {'; '.join(words)}."
    )


def draw_map(
    result: AuditResult, points: Float[np.ndarray, "t 2"], groups: Int[np.ndarray, " t"]
) -> tuple[Figure, str]:
    """t-SNE of weights, at most 100 checkpoints of each kind. Source: paper, figure 8 (right)."""
    looks = {group.key: group for group in groups_of(result)}
    figure = Figure(figsize=(PANEL, 4.4))
    ax = figure.add_subplot()
    handles, words = {}, []
    kinds = [kind for kind in ORDER if kind in looks and TSNE_GROUPS.index(kind) in groups]
    for kind in kinds:
        look = looks[kind]
        some = points[groups == TSNE_GROUPS.index(kind)]
        style: dict[str, Any] = {"marker": look.marker, "color": look.color}
        ax.scatter(some[:, 0], some[:, 1], s=22, alpha=0.7, linewidths=0, **style)
        label = f"{look.label}, n = {len(some)}"
        handles[kind] = Line2D([], [], label=label, markersize=6, linestyle="", **style)
        words.append(label)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(True)
    order = [kind for kind in looks if kind in handles]
    figure.legend(
        handles=[handles[kind] for kind in order], ncols=2, loc="outside upper left", fontsize=8.5
    )
    return figure, f"Map of weights by t-SNE: {'; '.join(words)}."


def _density(
    ax: Axes, values: Float[np.ndarray, " n"], color: str, low: float, high: float
) -> None:
    """A kernel density; a line where all values are equal."""
    values = values.astype(np.float64)
    spread = float(np.ptp(values)) if len(values) else 0.0
    if len(values) < 2 or spread <= 1e-6 * max(1e-300, float(np.abs(values).max())):
        ax.axvline(float(values.mean()), color=color, linewidth=1.5)
        return
    grid = np.linspace(low, high, GRID)
    density = gaussian_kde(values)(grid)
    ax.fill_between(grid, density, color=color, alpha=0.3, linewidth=0)
    ax.plot(grid, density, color=color, linewidth=1.1)
