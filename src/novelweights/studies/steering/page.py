"""The page of a steering run: prompted against achieved loss, from `steering.json` alone.

One sentence, one figure, the numbers. Nothing is computed beyond the medians and quartiles that are
drawn. Equal files give equal bytes.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from novelweights.auditing.judge.criteria import Verdict
from novelweights.generators.parts.gap import six_digits
from novelweights.report.style import BLUE, PANEL, RED
from novelweights.report.tables import number, percent, plain, quantity_rows
from novelweights.studies.steering.summary import COLUMNS, Answer, Steering, SteeringCriteria
from novelweights.studies.study import Summary, read_study, read_summary, write_page, write_study

HEADLINES = {
    Answer.STEERS: "The prompt steers",
    Answer.ORDERS: "The prompt steers in order, but misses the values",
    Answer.IGNORES: "The prompt does not steer",
    Answer.OPEN: "Whether the prompt steers stays open",
}
TONES = {
    Answer.STEERS: Verdict.NOVEL,
    Answer.ORDERS: Verdict.INTERPOLATION,
    Answer.IGNORES: Verdict.REPLICA,
    Answer.OPEN: Verdict.UNDECIDED,
}
START = "#555555"


class SteeringRun(NamedTuple):
    """What `steering.json` holds."""

    steering: Steering
    summary: Summary
    about: Mapping[str, Any]


def build_steering_report(folder: Path) -> Path:
    """Write `report.html` and `figures/` into a steering folder, from `steering.json` alone.

    Returns:
        The path of the page.

    Raises:
        InputError: The file is missing or damaged.
    """
    steering, summary, about = read_steering(folder)
    answer = summary.answers["answer"]
    prompt_rows = [
        [
            number(float(prompt)),
            "yes" if steering.seen[steering.prompt == prompt].all() else "no",
            *map(number, _quartiles(steering, prompt)),
            f"{np.median(steering.accuracy[steering.prompt == prompt]):.1f}%",
        ]
        for prompt in steering.prompts
    ]
    return write_page(
        folder,
        "steering",
        lambda: {"steering": draw_steering(steering)},
        summary=summary,
        about=about,
        answer=answer,
        tones=TONES,
        steering=steering,
        headline=HEADLINES[answer],
        quantities=quantity_rows(summary.quantities.values()),
        prompt_rows=prompt_rows,
        limits={
            name: percent(value) if name.endswith("order") else plain(value)
            for name, value in asdict(summary.criteria).items()
        },
        loss_range=[number(loss) for loss in steering.loss_range],
        start_losses=[number(loss) for loss in _range(steering.start_loss)],
    )


def write_steering(
    folder: Path, steering: Steering, summary: Summary, about: Mapping[str, Any]
) -> None:
    """Write steering.json and steering.csv into an existing folder."""
    seen = [*map(six_digits, steering.loss_range)]
    write_study(folder, "steering", summary, steering.table(), about, loss_range=seen)


def read_steering(folder: Path) -> SteeringRun:
    """The contents of `steering.json`.

    Raises:
        InputError: It is missing or damaged.
    """

    def parse(data: Mapping[str, Any]) -> SteeringRun:
        columns = pd.DataFrame(data["rows"])[[*COLUMNS]].drop(columns="seen").astype(float)
        least, greatest = map(float, data["loss_range"])
        arrays: dict[str, Any] = {str(name): values.to_numpy() for name, values in columns.items()}
        arrays["start"] = arrays["start"].astype(np.int64)
        steering = Steering(**arrays, loss_range=(least, greatest))
        answers = {"answer": Answer(data["summary"]["answer"])}
        summary = read_summary(data["summary"], SteeringCriteria, answers)
        return SteeringRun(steering, summary, dict(data["about"]))

    return read_study(folder, "steering", parse)


def draw_steering(steering: Steering) -> tuple[Figure, str]:
    """Achieved against prompted loss, both logarithmic, prompt 0 apart at the left.

    Returns:
        The figure, two panels wide, and its text alternative.
    """
    figure = Figure(figsize=(2 * PANEL, 5.0))
    has_zero = steering.prompts[0] == 0
    grid = figure.add_gridspec(1, 2, width_ratios=(1, 11) if has_zero else (1, 1e4), wspace=0)
    ax = figure.add_subplot(grid[1])
    prompts = steering.prompts[steering.prompts > 0]
    quartiles = np.array([_quartiles(steering, prompt) for prompt in prompts])
    ax.plot(prompts, prompts, color="#222222", linewidth=1, linestyle=(0, (4, 2)), zorder=3)
    ax.fill_between(prompts, quartiles[:, 0], quartiles[:, 2], color=RED, alpha=0.18, linewidth=0)
    ax.plot(prompts, quartiles[:, 1], color=RED, marker="o", markersize=4.5, zorder=4)
    positive = steering.prompt > 0
    _dots(ax, steering.prompt[positive], steering.achieved[positive])
    ax.set(xscale="log", yscale="log")
    axes = [ax]
    if has_zero:
        apart = figure.add_subplot(grid[0], sharey=ax)
        low, middle, high = _quartiles(steering, 0.0)
        at_zero = steering.achieved[steering.prompt == 0]
        _dots(apart, np.zeros(len(at_zero)), at_zero)
        apart.vlines(0, low, high, color=RED, alpha=0.4, linewidth=5)
        apart.plot([0], [middle], color=RED, marker="o", markersize=4.5, zorder=4)
        apart.set(xlim=(-1, 1), xticks=[0], xticklabels=["0"])
        ax.tick_params(axis="y", which="both", labelleft=False, length=0)
        ax.spines["left"].set_visible(False)
        axes = [apart, ax]
    lowest, highest = _range(steering.start_loss)
    for part in axes:
        part.axhspan(lowest, highest, color=START, alpha=0.22, linewidth=0)
        part.axhline(float(np.median(steering.start_loss)), color=START, linewidth=0.8)
        part.axhline(steering.loss_range[0], color=BLUE, linewidth=0.9, linestyle=(0, (1, 2)))
        part.grid(axis="y", color="#E6E6E6", linewidth=0.6)
        part.set_axisbelow(True)
    for axis in (ax.xaxis, axes[0].yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes[0].set_ylabel("achieved loss (nats)")
    ax.set_xlabel("prompted loss (nats)")
    figure.legend(
        handles=[
            Line2D([], [], color=RED, marker="o", markersize=4.5, label="median and quartiles"),
            Line2D([], [], color=RED, marker=".", alpha=0.5, linestyle="", label="one sample"),
            Line2D([], [], color="#222222", linestyle=(0, (4, 2)), label="achieved = prompted"),
            Patch(color=START, alpha=0.35, label=f"starting losses, n = {steering.n_starts}"),
            Line2D([], [], color=BLUE, linestyle=(0, (1, 2)), label="least loss seen in training"),
        ],
        ncols=3,
        loc="outside upper left",
    )
    medians = [
        f"prompt {number(float(prompt))}, median {number(_quartiles(steering, prompt)[1])}"
        for prompt in steering.prompts
    ]
    return figure, (
        f"Achieved against prompted loss of {len(steering.prompt)} samples from "
        f"{steering.n_starts} starts, both axes logarithmic: {'; '.join(medians)}. Starting losses "
        f"from {number(lowest)} to {number(highest)}."
    )


def _quartiles(steering: Steering, prompt: float) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile of the losses achieved at a prompt."""
    achieved = steering.achieved[steering.prompt == prompt]
    low, middle, high = np.quantile(achieved, (0.25, 0.5, 0.75)).tolist()
    return low, middle, high


def _range(values: Float[np.ndarray, " n"]) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _dots(ax: Axes, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> None:
    ax.scatter(x, y, s=9, color=RED, alpha=0.3, linewidths=0, zorder=2)
