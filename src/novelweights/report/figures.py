"""The figures of a report: the numbers of an audit drawn, nothing computed beyond what is drawn.

They follow figures 2, 4, 5 and 6 of the paper, with held-out runs beside the training checkpoints
and one color per population in all of them. Equal input gives equal bytes.
"""

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Integer, Num
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, NullFormatter
from scipy.ndimage import distance_transform_edt

from novelweights.auditing.result import AllSteps, AuditResult, Measurements
from novelweights.report.controls import draw_controls, has_noise_ladder
from novelweights.report.generalization_gap import draw_gap
from novelweights.report.layers import draw_layers, has_layers
from novelweights.report.one_run_figures import draw_one_run
from novelweights.report.run_folder import StoredVerdict
from novelweights.report.shape_drawing import draw_shapes
from novelweights.report.sources import draw_made_of, draw_nearest, draw_sources
from novelweights.report.style import (
    BLUE,
    PANEL,
    RED,
    STYLE,
    TEAL,
    Drawing,
    finish,
    groups_of,
    window,
)
from novelweights.report.tables import number, percent, short
from novelweights.report.trade_off import draw_trade_off, has_behavior, needs_zoom

CLASS_COLORS = mpl.colormaps["tab10"]
BINS = 30
FEW_RUNS_LABELS = {"training": "training, within the run", "heldout": "held-out, last steps"}
POPULATIONS = ("training", "heldout", "from_scratch", "generated")
OUTLINED = ("heldout", "from_scratch")  # outlines stay visible over the others
MAX_SAMPLES = 4  # drawn in heatmaps and decision regions
MAX_LEGEND = 15  # classes; of more, the numbers in the regions tell


def draw(
    result: AuditResult,
    plot_data: Mapping[str, np.ndarray],
    verdict: StoredVerdict | None = None,
) -> dict[str, Drawing]:
    """Every figure these data allow, by name; a figure without data is absent.

    Args:
        plot_data: What pictures need beyond the numbers, as in a run folder's `plot_data.npz`.
        verdict: Without it the controls are not drawn, and every run counts as one of many.
    """
    figures: dict[str, Callable[[], tuple[Figure, str] | None]] = {}
    few_runs = verdict is not None and verdict.has_few_runs(result)
    if verdict is not None and has_noise_ladder(verdict):
        figures["controls"] = partial(draw_controls, verdict, result)
    figures["distances"] = partial(draw_distances, result, few_runs=few_runs)
    figures["cosines"] = partial(draw_cosines, result, few_runs=few_runs)
    if "heatmap_values" in plot_data and len(plot_data["heatmap_values"]):
        values = ("heatmap_values", "heatmap_parameters", "heatmap_rows")
        figures["weights"] = partial(draw_weights, result, *(plot_data[name] for name in values))
    if has_layers(result) and not few_runs:
        figures["layers"] = partial(draw_layers, result)
    if has_behavior(result):
        figures["trade_off"] = partial(draw_trade_off, result)
        if needs_zoom(result):
            figures["trade_off_zoom"] = partial(draw_trade_off, result, zoom=True)
    if "regions" in plot_data and len(plot_data["regions"]):
        shown = plot_data["regions"], plot_data["region_rows"]
        figures["regions"] = partial(draw_regions, result, *shown)
    figures["nearest"] = partial(draw_nearest, result)
    if result.generated.source_weights is not None:
        figures["sources"] = partial(draw_sources, result)
        figures["made_of"] = partial(draw_made_of, result)
    figures |= draw_shapes(result, plot_data)
    if few_runs:
        figures |= draw_one_run(result, plot_data)
    settings = _settings(result.about.get("generated"))
    figures["generalization_gap"] = partial(draw_gap, settings)
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # names in other scripts
        drawn = {name: _finished(make) for name, make in figures.items()}
    return {name: drawing for name, drawing in drawn.items() if drawing is not None}


def _finished(make: Callable[[], tuple[Figure, str] | None]) -> Drawing | None:
    """A figure; where its numbers cannot be drawn, one that says so: no picture ends an audit."""
    try:
        made = make()
        return None if made is None else finish(*made)
    except (ArithmeticError, LookupError, ValueError) as error:
        figure = Figure(figsize=(2 * PANEL, 1))
        words = f"This picture could not be drawn: {type(error).__name__}: {error}"[:200]
        figure.text(0.01, 0.5, words, wrap=True)
        return finish(figure, words)


def draw_distances(result: AuditResult, *, few_runs: bool = False) -> tuple[Figure, str]:
    """How far each checkpoint is from the nearest training checkpoint. Source: paper, figure 4.

    Args:
        few_runs: The training checkpoints share a run: all steps of held-out runs are then drawn
            too, on a logarithmic axis. Source: paper, table 4.
    """
    return _histogram(
        result,
        lambda measurements: measurements.distance,
        "distance to the nearest training checkpoint",
        few_runs=few_runs,
        is_distance=True,
    )


def draw_cosines(result: AuditResult, *, few_runs: bool = False) -> tuple[Figure, str]:
    """The same without scale: the largest cosine to a training checkpoint, both centered."""
    return _histogram(
        result,
        lambda measurements: measurements.cosine,
        "largest cosine to a training checkpoint",
        few_runs=few_runs,
    )


def draw_weights(
    result: AuditResult,
    values: Float[np.ndarray, "s 4 p"],
    parameters: Integer[np.ndarray, " p"],
    rows: Integer[np.ndarray, " s"],
) -> tuple[Figure, str]:
    """Some weights of samples above those of their three nearest. Source: paper, figure 2."""
    generated, n = result.generated, min(len(values), MAX_SAMPLES)
    figure = Figure(figsize=(2 * PANEL, 1.2 * n + 0.4))
    for i in range(n):
        ax = figure.add_subplot(n, 1, i + 1)
        image = ax.imshow(values[i], aspect="auto", cmap="viridis", interpolation="none")
        for y in (0.5, 1.5, 2.5):
            ax.axhline(y, color="white", linewidth=3)
        frame = Rectangle((-0.5, -0.5), len(parameters), 1, fill=False, edgecolor=RED, linewidth=2)
        frame.set_zorder(3)
        frame.set_clip_on(False)
        ax.add_patch(frame)
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0)
        near = generated.neighbor_rows[rows[i], :3]
        far = generated.neighbor_distances[rows[i], :3]
        labels = [short(generated.names[rows[i]])]
        labels += [
            f"{short(result.training_names[row])}   d = {number(d)}"
            for row, d in zip(near, far, strict=True)
        ]
        ax.set_yticks(range(len(labels)), labels)
        ax.get_yticklabels()[0].set_color(RED)
        ticks = range(0, len(parameters), 8)
        ax.set_xticks(
            ticks, [f"{parameters[t]:,}" for t in ticks] if i == n - 1 else [""] * len(ticks)
        )
        figure.colorbar(image, ax=ax, pad=0.01, aspect=9, format="%.2g").outline.set_visible(False)
        if i == n - 1:
            ax.set_xlabel(f"index of the parameter, {len(parameters)} drawn at random")
    return figure, (
        f"{n} heatmaps of {len(parameters)} weights. In each, the top row, framed red, is a "
        "generated checkpoint; the three rows below are its nearest training checkpoints."
    )


def draw_regions(
    result: AuditResult, regions: Integer[np.ndarray, "s 2 h w"], rows: Integer[np.ndarray, " s"]
) -> tuple[Figure, str]:
    """Predicted class on a plane of inputs, sample and nearest training. Source: paper, figure 5.

    Departure: drawn cell by cell; contours of class numbers show false bands between classes.
    """
    n = min(len(regions), MAX_SAMPLES)
    classes = np.unique(regions[:n])
    figure = Figure(figsize=(max(2.4 * n + 0.7, PANEL), 5.4))
    axes = figure.subplots(2, n, squeeze=False)
    same = [float((regions[i, 0] == regions[i, 1]).mean()) for i in range(n)]
    for i in range(n):
        nearest = result.training_names[result.generated.neighbor_rows[rows[i], 0]]
        names = (short(result.generated.names[rows[i]]), short(nearest))
        for row, (name, color) in enumerate(zip(names, (RED, BLUE), strict=True)):
            ax = axes[row, i]
            ax.imshow(CLASS_COLORS(regions[i, row] % 10), alpha=0.55, interpolation="none")
            ax.set(xticks=[], yticks=[])
            ax.set_title(name, color=color, fontsize=9)
            ax.spines[:].set(visible=True, color=color, linewidth=1.6)
            for label in classes:
                _name_region(ax, regions[i, row] == label, str(label))
        axes[1, i].set_xlabel(f"same class on {percent(same[i])}")
    axes[0, 0].set_ylabel("generated")
    axes[1, 0].set_ylabel("nearest training")
    if len(classes) <= MAX_LEGEND:
        patches = [
            Patch(color=CLASS_COLORS(int(c) % 10), alpha=0.55, label=str(c)) for c in classes
        ]
        figure.legend(handles=patches, title="class", loc="outside right center")
    return figure, (
        f"Decision regions of {n} generated checkpoints above those of their nearest training "
        f"checkpoint; same class on {', '.join(percent(share) for share in same)}."
    )


def _histogram(
    result: AuditResult,
    measure: Callable[[Measurements | AllSteps], Num[np.ndarray, "..."]],
    label: str,
    *,
    few_runs: bool,
    is_distance: bool = False,
) -> tuple[Figure, str]:
    """Training, held-out, from scratch and generated on shared bins, in percent of each, medians
    dashed; networks from scratch also as a band."""
    names = FEW_RUNS_LABELS if few_runs else {}
    drawn = [
        (group.key, names.get(group.key, group.label), group.color, _finite(measure(group.found)))
        for group in groups_of(result)
        if group.key in POPULATIONS
    ]
    if few_runs and result.heldout_steps is not None:
        values = _finite(measure(result.heldout_steps))
        drawn.insert(2, ("heldout_steps", "held-out, all steps", TEAL, values))
    drawn = [one for one in drawn if len(one[-1])]
    figure = Figure(figsize=(PANEL, 3.7))
    ax = figure.add_subplot()
    looks, words = [], []
    low, high = window(np.concatenate([v for *_, v in drawn] or [np.zeros(1)]), pad=0.0)
    if few_runs and is_distance and low > 0:
        edges = np.geomspace(
            low, high, BINS + 1
        )  # steps of one run and held-out runs in one picture
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        edges = np.linspace(0 if 0 < low < high / 2 else low, high, BINS + 1)
    for key, name, color, values in drawn:
        share = 100 * np.histogram(values, edges)[0] / len(values)
        look: dict[str, Any] = {"fill": True, "alpha": 0.55}
        if key in OUTLINED:
            look = {"fill": False, "alpha": 1.0}
        elif key == "heldout_steps":
            look = {"fill": False, "alpha": 1.0, "linestyle": ":"}
        if key == "from_scratch":
            ax.axvspan(values.min(), values.max(), color=color, alpha=0.15, linewidth=0)
        ax.stairs(share, edges, color=color, **look)
        median = float(np.median(values))
        if key != "heldout_steps":
            ax.axvline(median, color=color, linewidth=1.1, linestyle=(0, (4, 2)))
        words.append(f"{name}, n = {len(values)}, median {number(median)}")
        face = color if look["fill"] else "none"
        style = look.get("linestyle", "-")
        looks.append(Patch(facecolor=face, edgecolor=color, alpha=0.8, linestyle=style))
    figure.legend(looks, words, loc="outside upper left")
    ax.set(xlabel=label, ylabel="% of checkpoints", ylim=(0, None))
    return figure, f"Histogram of {label}: {'; '.join(words)}."


def _settings(about: Any) -> Mapping[str, Any]:
    """The settings that made a population, as `about` tells; empty where it does not."""
    settings = about.get("settings") if isinstance(about, Mapping) else None
    return settings if isinstance(settings, Mapping) else {}


def _finite(values: Num[np.ndarray, "..."]) -> Float[np.ndarray, " n"]:
    flat = values.reshape(-1).astype(float)
    return flat[np.isfinite(flat)]


def _name_region(ax: Axes, inside: np.ndarray, label: str) -> None:
    """Write the class into the roomiest spot of its region, unless the region is a sliver."""
    depth = np.asarray(distance_transform_edt(np.pad(inside, 1)))[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    if depth[y, x] >= 5:
        ax.text(int(x), int(y), label, ha="center", va="center", color="#222222")
