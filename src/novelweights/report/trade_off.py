"""Quality against novelty: does a generator offer more than noise or averaging does?

The paper's figures 6 and 8 in one, with a close-up where poor baselines squash the rest, and
copies with more and more noise as a line.
"""

from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from novelweights.auditing.result import AuditResult, Measurements
from novelweights.report.style import PANEL, Group, groups_of, window
from novelweights.report.tables import number, short

MAX_POINTS = 100  # per population in a scatter plot; Source: paper, figure 6
ZOOM_FACTOR = 3.0  # outliers may stretch an axis this much before a close-up is added
LADDER_STYLE: dict[str, Any] = {
    "color": "#222222",
    "linewidth": 0.9,
    "marker": ".",
    "markersize": 4,
}


def draw_trade_off(result: AuditResult, *, zoom: bool = False) -> tuple[Figure, str]:
    """Quality against novelty, at most 100 checkpoints of each population.

    Source: paper, figure 6; baselines of figure 8.
    """
    quality, novelty = result.quality, result.novelty
    if quality is None or novelty is None:
        raise ValueError("quality against novelty needs the measures of a task")
    figure = Figure(figsize=(PANEL, 4.4))
    ax = figure.add_subplot()
    handles, medians = [], []
    (left, right), (low, high) = (
        window(points) for points in (_core(result) if zoom else _everything(result)).T
    )
    groups = []
    for group in groups_of(result):
        if _inside(_points(group.found), (left, right), (low, high)):
            groups.append(group)
    for order, group in enumerate(sorted(groups, key=_drawing_order)):
        points = _points(group.found)
        style = {"marker": group.marker, "color": group.color, "alpha": 0.65, "linewidths": 0}
        ax.scatter(points[:, 0], points[:, 1], s=26, zorder=2 + order, **style)
    ladder = _ladder(result)
    shows_ladder = len(ladder) > 1 and _inside(ladder, (left, right), (low, high))
    if shows_ladder:
        ax.plot(ladder[:, 0], ladder[:, 1], zorder=8, **LADDER_STYLE)
    for group in groups:
        points = _points(group.found)
        look = {"marker": group.marker, "color": group.color, "markersize": 6, "linestyle": ""}
        shown = f"n = {len(group.found)}"
        if len(points) < len(group.found):
            shown = f"{len(points)} of {len(group.found)}"
        handles.append(Line2D([], [], label=f"{short(group.label)}, {shown}", **look))
        x, y = np.median(points, axis=0)
        medians.append(f"{group.label} {number(x)}, {number(y)}")
    if shows_ladder:
        handles.append(Line2D([], [], label=f"noise ladder, {len(ladder)} medians", **LADDER_STYLE))
        words = ", ".join(f"({number(x)}, {number(y)})" for x, y in ladder)
        medians.append(f"noise ladder, least noise first, {words}")
    newer = "more novel \u2192" if novelty.higher_is_better else "\u2190 more novel"
    better = "better \u2192" if quality.higher_is_better else "\u2190 better"
    ax.set_xlabel(f"{_with_unit(novelty.name, novelty.unit)}      {newer}")
    ax.set_ylabel(f"{_with_unit(quality.name, quality.unit)}      {better}")
    ax.set(xlim=(left, right), ylim=(low, high))
    figure.legend(handles=handles, ncols=2, loc="outside upper left", fontsize=8.5)
    return figure, (
        f"Scatter plot of {quality.name} against {novelty.name}"
        f"{', close-up' if zoom else ''}. Medians of the points ({novelty.name}, {quality.name}): "
        + "; ".join(medians)
    )


def has_behavior(result: AuditResult) -> bool:
    """Whether a task was given and any checkpoint has both quality and novelty."""
    return None not in (result.quality, result.novelty) and len(_core(result)) > 0


def has_ladder(result: AuditResult) -> bool:
    """Whether copies with noise are drawn as a line."""
    return len(_ladder(result)) > 1


def needs_zoom(result: AuditResult) -> bool:
    """Whether baselines stretch an axis so far that the rest cannot be told apart."""
    core, everything = _core(result), _everything(result)
    return bool((np.ptp(everything, axis=0) > ZOOM_FACTOR * np.ptp(core, axis=0)).any())


def _points(measurements: Measurements) -> Float[np.ndarray, "n 2"]:
    """(novelty, quality) of at most MAX_POINTS checkpoints, evenly spaced in row order."""
    if measurements.quality is None or measurements.novelty is None:
        return np.zeros((0, 2))
    points = np.stack([measurements.novelty, measurements.quality], axis=1)
    points = points[np.isfinite(points).all(axis=1)]
    keep = np.linspace(0, len(points) - 1, min(len(points), MAX_POINTS)).round().astype(int)
    return points[keep]


def _core(result: AuditResult) -> Float[np.ndarray, "n 2"]:
    """The points of training, held-out and generated checkpoints."""
    core = (result.training, result.heldout, result.generated)
    return np.concatenate([_points(population) for population in core if population])


def _everything(result: AuditResult) -> Float[np.ndarray, "n 2"]:
    points = [_points(group.found) for group in groups_of(result)]
    return np.concatenate([*points, _ladder(result)])


def _inside(
    points: Float[np.ndarray, "n 2"], across: tuple[float, float], up: tuple[float, float]
) -> bool:
    """Whether any of the points is in this part of the picture."""
    x, y = points.T
    return bool(((across[0] <= x) & (x <= across[1]) & (up[0] <= y) & (y <= up[1])).any())


def _ladder(result: AuditResult) -> Float[np.ndarray, "n 2"]:
    """Median (novelty, quality) of each rung of copies with noise, the least noise first."""
    rungs = sorted(
        (planted for planted in result.controls.values() if planted.noise is not None),
        key=lambda planted: planted.noise or 0.0,
    )
    points = [_points(planted.measured) for planted in rungs]
    medians = [np.median(p, axis=0) for p in points if len(p)]
    return np.array(medians).reshape(-1, 2)


def _drawing_order(group: Group) -> int:
    return {"training": 1, "heldout": 2, "generated": 3}.get(group.key, 0)


def _with_unit(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit else name
