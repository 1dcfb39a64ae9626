"""The generator's loss on training and held-out checkpoints while it was trained.

One panel per noise level, so that a reader sees when the two part: from there on it memorizes.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from novelweights.auditing.measure.generalization_gap import gap_in
from novelweights.report.style import BLUE, PANEL, TEAL
from novelweights.report.tables import number

MAX_LEVELS = 4


def has_noise_levels(about: Mapping[str, Any]) -> bool:
    """Whether the generalization gap of samples, if any, is by noise level: no autoencoder's."""
    made = about.get("generated")
    settings = made.get("settings") if isinstance(made, Mapping) else None
    gap = gap_in(settings) if isinstance(settings, Mapping) else None
    return gap is None or not gap.is_of_reconstruction


def draw_gap(settings: Mapping[str, Any]) -> tuple[Figure, str] | None:
    """Training and held-out loss against the step of training; None if the samples tell of none.

    Args:
        settings: `info.settings` of the generated population, as in
            `result.about["generated"]["settings"]`.

    Returns:
        The figure, two panels wide, and its text alternative.
    """
    gap = gap_in(settings)
    if gap is None:
        return None
    curves = []
    for level in gap.levels:
        points = [point for point in gap.history if point.timestep == level.timestep]
        if points:
            curves.append((level.timestep / gap.timesteps, points))
    if not curves:
        return None
    shown = np.linspace(0, len(curves) - 1, min(len(curves), MAX_LEVELS)).round().astype(int)
    curves = [curves[i] for i in shown]
    figure = Figure(figsize=(2 * PANEL, 2.9))
    axes = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    losses = [x for _, points in curves for p in points for x in (p.loss_train, p.loss_heldout)]
    is_wide = max(losses) > 10 * min(losses)  # else a logarithmic axis has no labels
    words = []
    for ax, (share, points) in zip(axes, curves, strict=True):
        steps = [point.step for point in points]
        train = [point.loss_train for point in points]
        heldout = [point.loss_heldout for point in points]
        ax.fill_between(steps, train, heldout, color="#EEEEEE", linewidth=0)
        style = {"linewidth": 1.6, "markersize": 3.5}
        ax.plot(steps, heldout, color=TEAL, marker="P", **style)
        ax.plot(steps, train, color=BLUE, marker="o", **style)
        ratio = number(heldout[-1] / train[-1])
        level = [] if gap.is_of_reconstruction else [f"noise level {100 * share:.3g}%"]
        ax.set_title(", ".join([*level, f"ratio {ratio}"]), fontsize=9)
        ax.set_xlim(0, None)
        if is_wide:
            ax.set_yscale("log")
            ax.yaxis.set_minor_formatter(NullFormatter())
        else:
            ax.set_ylim(0, 1.1 * max(losses))
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        ax.grid(axis="y", color="#E6E6E6", linewidth=0.6)
        ax.set_axisbelow(True)
        ends = f"training {number(train[-1])}, held-out {number(heldout[-1])}, ratio {ratio}"
        words.append(": ".join([*level, ends]))
    axis, what, panels = "loss of the generator", "loss", ", one panel per noise level"
    if gap.is_of_reconstruction:
        axis, what, panels = "reconstruction loss", "reconstruction loss", ""
    axes[0].set_ylabel(axis)
    figure.supxlabel("step of training", fontsize=9)
    handles = [
        Line2D([], [], color=BLUE, marker="o", markersize=4, label=f"training, n = {gap.n_train}"),
        Line2D(
            [], [], color=TEAL, marker="P", markersize=4, label=f"held-out, n = {gap.n_heldout}"
        ),
    ]
    figure.legend(handles=handles, ncols=2, loc="outside upper left")
    last = max(points[-1].step for _, points in curves)
    return figure, (
        f"The generator's own {what} on training and held-out checkpoints over {last:,} steps of "
        f"its training{panels}. At the end: {'; '.join(words)}."
    )
