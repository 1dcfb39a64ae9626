"""The page of a steering run: prompted against achieved loss, from `steering.json` alone.

One sentence, one figure, the numbers. Nothing is computed beyond the medians and quartiles that are
drawn. Equal files give equal bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from novelweights.auditing.judge.criteria import Verdict
from novelweights.auditing.result import Quantity
from novelweights.errors import InputError
from novelweights.files import read_json, write_text
from novelweights.report import tables
from novelweights.report.html import inline, template, write_figures
from novelweights.report.style import BLUE, PANEL, RED, STYLE, VERDICT_COLORS, Drawing, finish
from novelweights.report.tables import number, percent, read_quantity

SCHEMA_VERSION = 1
FILE = "steering.json"
REMEDY = "run `novelweights steer` again, or restore the file"
HEADLINES = {
    "steers": "The prompt steers",
    "steers in order only": "The prompt steers in order, but misses the values",
    "does not steer": "The prompt does not steer",
    "not shown": "Whether the prompt steers stays open",
}
COLORS = dict(
    zip(
        HEADLINES,
        map(
            VERDICT_COLORS.__getitem__,
            (Verdict.NOVEL, Verdict.INTERPOLATION, Verdict.REPLICA, Verdict.UNDECIDED),
        ),
        strict=True,
    )
)
START = "#555555"
CRITERIA = ("min_starts", "little_order", "no_order", "alignment")
COLUMNS = ("prompt", "start", "start_loss", "achieved", "accuracy", "seen")


@dataclass(frozen=True, eq=False)
class SteeringRun:
    """What `steering.json` tells."""

    answer: str
    sentence: str
    quantities: list[Quantity]
    criteria: Mapping[str, Any]
    about: Mapping[str, Any]
    loss_range: tuple[float, float]
    """Least and greatest loss seen in training."""
    prompt: Float[np.ndarray, " n"]
    start: Float[np.ndarray, " n"]
    start_loss: Float[np.ndarray, " n"]
    achieved: Float[np.ndarray, " n"]
    accuracy: Float[np.ndarray, " n"]
    seen: Bool[np.ndarray, " n"]

    @property
    def prompts(self) -> Float[np.ndarray, " prompts"]:
        """The prompts, ascending."""
        return np.unique(self.prompt)

    @property
    def n_starts(self) -> int:
        """How many starts were asked."""
        return len(np.unique(self.start))


def build_steering_report(folder: Path) -> Path:
    """Write `report.html` and `figures/` into a steering folder, from `steering.json` alone.

    Returns:
        The path of the page.

    Raises:
        InputError: The file is missing or damaged.
    """
    run = read_steering(folder)
    with mpl.rc_context(STYLE):
        drawing = finish(*draw_steering(run))
    write_figures(folder / "figures", {"steering": drawing}, ["steering"])
    path = folder / "report.html"
    write_text(path, render(run, drawing))
    return path


def read_steering(folder: Path) -> SteeringRun:
    """The contents of `steering.json`.

    Raises:
        InputError: It is missing or damaged.
    """
    path = folder / FILE
    data = read_json(path)
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{path}: has schema version {version}, this program reads {SCHEMA_VERSION}; {REMEDY}"
        )
    try:
        summary = data["summary"]
        columns = {name: np.array([row[name] for row in data["rows"]]) for name in COLUMNS}
        seen = columns.pop("seen").astype(bool)
        columns = {name: values.astype(float) for name, values in columns.items()}
        least, greatest = map(float, data["loss_range"])
        run = SteeringRun(
            answer=summary["answer"],
            sentence=str(summary["sentence"]),
            quantities=[read_quantity(entry) for entry in summary["quantities"]],
            criteria={name: summary["criteria"][name] for name in CRITERIA},
            about=dict(data["about"]),
            loss_range=(least, greatest),
            seen=seen,
            **columns,
        )
        if run.answer not in HEADLINES:
            raise ValueError(f"answer {run.answer!r}")
        numbers = np.concatenate([*columns.values(), [least, greatest]])
        if not np.isfinite(numbers).all() or not (run.prompt > 0).any():
            raise ValueError("rows without finite numbers, or none with a prompt above 0")
    except KeyError as error:
        raise InputError(f"{path}: expected an entry {error}, it has none; {REMEDY}") from error
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{path}: expected what a steering run leaves, got something else ({error}); {REMEDY}"
        ) from error
    return run


def draw_steering(run: SteeringRun) -> tuple[Figure, str]:
    """Achieved against prompted loss, both logarithmic, prompt 0 apart at the left.

    Returns:
        The figure, two panels wide, and its text alternative.
    """
    figure = Figure(figsize=(2 * PANEL, 5.0))
    asks_zero = run.prompts[0] == 0
    grid = figure.add_gridspec(1, 2, width_ratios=(1, 11) if asks_zero else (1, 1e4), wspace=0)
    ax = figure.add_subplot(grid[1])
    prompts = run.prompts[run.prompts > 0]
    quartiles = np.array([_quartiles(run, prompt) for prompt in prompts])
    ax.plot(prompts, prompts, color="#222222", linewidth=1, linestyle=(0, (4, 2)), zorder=3)
    ax.fill_between(prompts, quartiles[:, 0], quartiles[:, 2], color=RED, alpha=0.18, linewidth=0)
    ax.plot(prompts, quartiles[:, 1], color=RED, marker="o", markersize=4.5, zorder=4)
    positive = run.prompt > 0
    _dots(ax, run.prompt[positive], run.achieved[positive])
    ax.set(xscale="log", yscale="log")
    axes = [ax]
    if asks_zero:
        apart = figure.add_subplot(grid[0], sharey=ax)
        low, middle, high = _quartiles(run, 0.0)
        at_zero = run.achieved[run.prompt == 0]
        _dots(apart, np.zeros(len(at_zero)), at_zero)
        apart.vlines(0, low, high, color=RED, alpha=0.4, linewidth=5)
        apart.plot([0], [middle], color=RED, marker="o", markersize=4.5, zorder=4)
        apart.set(xlim=(-1, 1), xticks=[0], xticklabels=["0"])
        ax.tick_params(axis="y", which="both", labelleft=False, length=0)
        ax.spines["left"].set_visible(False)
        axes = [apart, ax]
    lowest, highest = run.start_loss.min(), run.start_loss.max()
    for part in axes:
        part.axhspan(lowest, highest, color=START, alpha=0.22, linewidth=0)
        part.axhline(float(np.median(run.start_loss)), color=START, linewidth=0.8)
        part.axhline(run.loss_range[0], color=BLUE, linewidth=0.9, linestyle=(0, (1, 2)))
        part.grid(axis="y", color="#E6E6E6", linewidth=0.6)
        part.set_axisbelow(True)
    for axis in (ax.xaxis, axes[0].yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes[0].set_ylabel("achieved loss (nats)")
    ax.set_xlabel("loss asked for (nats)")
    figure.legend(
        handles=[
            Line2D([], [], color=RED, marker="o", markersize=4.5, label="median and quartiles"),
            Line2D([], [], color=RED, marker=".", alpha=0.5, linestyle="", label="one sample"),
            Line2D([], [], color="#222222", linestyle=(0, (4, 2)), label="achieved = asked for"),
            Patch(color=START, alpha=0.35, label=f"starting losses, n = {run.n_starts}"),
            Line2D([], [], color=BLUE, linestyle=(0, (1, 2)), label="least loss seen in training"),
        ],
        ncols=3,
        loc="outside upper left",
    )
    told = [
        f"asked for {number(float(prompt))}, median {number(_quartiles(run, prompt)[1])}"
        for prompt in run.prompts
    ]
    return figure, (
        f"Achieved against prompted loss of {len(run.prompt)} samples from {run.n_starts} starts, "
        f"both axes logarithmic: {'; '.join(told)}. Starting losses from {number(lowest)} to "
        f"{number(highest)}."
    )


def render(run: SteeringRun, drawing: Drawing) -> str:
    """The page as text."""
    prompt_rows = [
        [
            number(float(prompt)),
            "yes" if run.seen[run.prompt == prompt].all() else "no",
            *map(number, _quartiles(run, prompt)),
            f"{np.median(run.accuracy[run.prompt == prompt]):.1f}%",
        ]
        for prompt in run.prompts
    ]
    return template("page.html.jinja", Path(__file__).parent).render(
        run=run,
        head_title=f"Prompt and loss: {run.about.get('method', 'a generator')}",
        headline=HEADLINES[run.answer],
        kind=run.answer.replace(" ", "-"),
        verdict_colors={name.replace(" ", "-"): color for name, color in COLORS.items()},
        figure=inline("steering", drawing),
        quantities=tables.quantity_rows(run.quantities),
        prompt_rows=prompt_rows,
        criteria={
            name: percent(value) if name.endswith("order") else tables.plain(value)
            for name, value in run.criteria.items()
        },
        loss_range=[number(loss) for loss in run.loss_range],
        start_losses=[number(loss) for loss in (run.start_loss.min(), run.start_loss.max())],
        about=tables.plain_rows({k: v for k, v in run.about.items() if k != "command"}),
    )


def _quartiles(run: SteeringRun, prompt: float) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile of the losses achieved at a prompt."""
    low, middle, high = np.quantile(run.achieved[run.prompt == prompt], (0.25, 0.5, 0.75))
    return float(low), float(middle), float(high)


def _dots(ax: Axes, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> None:
    ax.scatter(x, y, s=9, color=RED, alpha=0.3, linewidths=0, zorder=2)
