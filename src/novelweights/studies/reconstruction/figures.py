"""The figures of a reconstruction run, after figures 3 and 9 of the paper."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from novelweights.auditing.result import Quantity
from novelweights.report.style import BLUE, PANEL, RED, TEAL, window
from novelweights.report.tables import number
from novelweights.studies.reconstruction.run import OWN, SPLIT_NAMES, ReconstructionRun, word

SPLIT_COLORS = {"training": BLUE, "heldout": TEAL}
BINS = 25
GOLDEN = (5**0.5 - 1) / 2  # its multiples spread evenly


def draw_accuracy(run: ReconstructionRun) -> tuple[Figure, str]:
    """Accuracies of originals and of their reconstructions. Source: paper, figure 3.

    Returns:
        The figure, a panel for each split, and its text alternative.
    """
    figure = Figure(figsize=(PANEL * len(run.splits), 3.6))
    axes = figure.subplots(1, len(run.splits), squeeze=False, sharey=True)[0]
    columns = ("accuracy", "other_accuracy")
    every = [run.values(split, OWN)[name] for split in run.splits for name in columns]
    edges = np.linspace(*window(np.concatenate(every), pad=0.02), BINS + 1)
    told = []
    for ax, split in zip(axes, run.splits, strict=True):
        for column, color, name in (
            ("accuracy", SPLIT_COLORS[split], f"{SPLIT_NAMES[split]} runs"),
            ("other_accuracy", RED, "their reconstructions"),
        ):
            values = run.values(split, OWN)[column]
            share = 100 * np.histogram(values, edges)[0] / len(values)
            mean = float(values.mean())
            label = f"{name}, n = {len(values):,}, mean {mean:.1f}%"
            ax.stairs(share, edges, fill=True, color=color, alpha=0.6, label=label)
            ax.axvline(mean, color=color, linewidth=1.1, linestyle=(0, (4, 2)))
            told.append(label)
        ax.set_xlabel("accuracy (%)")
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1.02), borderaxespad=0)
    axes[0].set(ylabel="% of networks", ylim=(0, None))  # of both panels
    return figure, f"Histograms of accuracy: {'; '.join(told)}."


def draw_invariance(run: ReconstructionRun) -> tuple[Figure, str]:
    """How much pairs differ that an invariant codec would give back alike. Source: paper, figure 9.

    Returns:
        The figure, a panel for accuracy and one for errors, and its text alternative.
    """
    figure = Figure(figsize=(2 * PANEL, 4.0))
    left, right = figure.subplots(1, 2)
    kinds, told = run.kinds, []
    apart = 0.19 if len(run.splits) > 1 else 0.0
    for ax, measure, ideal in ((left, "accuracy_difference", 0), (right, "error_similarity", 1)):
        for shift, split in zip((-apart, apart), run.splits, strict=False):
            for x, kind in enumerate(kinds):
                values = _measured(run.values(split, kind), measure)
                _strip(ax, x + shift, values, SPLIT_COLORS[split], width=0.26)
                quantity = run.quantity(f"{measure}_{word(kind)}", split)
                if quantity is not None and quantity.value is not None:
                    _mean_bar(ax, x + shift, quantity.value, quantity)
                    if split == "training":
                        told.append(f"{kind} {measure.replace('_', ' ')} {number(quantity.value)}")
        ax.axhline(ideal, color="#222222", linewidth=1, linestyle=(0, (4, 2)), zorder=1)
        ax.set_xticks(range(len(kinds)), [kind.replace(" ", "\n") for kind in kinds])
        ax.set_xlim(-0.6, len(kinds) - 0.4)
        ax.tick_params(axis="x", length=0)
        ax.grid(axis="y", color="#E6E6E6", linewidth=0.6)
        ax.set_axisbelow(True)
    left.set_ylabel("accuracy difference (percentage points)")
    right.set_ylabel("error similarity")
    right.set_ylim(-0.02, 1.04)
    handles = [
        Line2D([], [], color=SPLIT_COLORS[s], marker=".", linestyle="", label=f"pair, {name} runs")
        for s, name in SPLIT_NAMES.items()
        if s in run.splits
    ]
    handles += [
        Line2D([], [], color="#222222", marker="_", markersize=9, label="mean with interval"),
        Line2D([], [], color="#222222", linestyle=(0, (4, 2)), label="an invariant codec"),
    ]
    figure.legend(handles=handles, ncols=len(handles), loc="outside upper left")
    return figure, f"Pairs of networks, training runs, means: {'; '.join(told)}."


def _measured(
    values: Mapping[str, Float[np.ndarray, " n"]], measure: str
) -> Float[np.ndarray, " n"]:
    """What a panel shows of each pair."""
    if measure == "accuracy_difference":
        return np.abs(values["other_accuracy"] - values["accuracy"])
    return values[measure]


def _strip(
    ax: Axes, x: float, values: Float[np.ndarray, " n"], color: str, *, width: float
) -> None:
    """One dot per pair, spread evenly to the sides."""
    aside = ((np.arange(len(values)) * GOLDEN) % 1 - 0.5) * width
    ax.scatter(x + aside, values, s=10, color=color, alpha=0.5, linewidths=0, zorder=2)


def _mean_bar(ax: Axes, x: float, value: float, quantity: Quantity) -> None:
    """The mean as a dash, its interval as a line."""
    ax.plot([x - 0.13, x + 0.13], [value, value], color="#222222", linewidth=2, zorder=4)
    if quantity.lower is not None and quantity.upper is not None:
        ax.vlines(x, quantity.lower, quantity.upper, color="#222222", linewidth=1.2, zorder=4)
