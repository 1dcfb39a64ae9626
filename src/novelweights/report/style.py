"""How every figure of a report looks: one color and marker per population, one style, equal bytes.

Nothing is drawn here; `figures` draws.
"""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Integer
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from novelweights.auditing.judge.criteria import Verdict
from novelweights.auditing.result import AuditResult, Measurements

BLUE, TEAL, RED = "#0077BB", "#009988", "#CC3311"
"""Training, held-out, generated. Source: Paul Tol's vibrant scheme, safe for the color-blind."""
PURPLE = "#6F4C9B"
"""From scratch. Source: Paul Tol's rainbow scheme."""
BASELINE_STYLES = (("#EE7733", "^"), ("#444444", "s"), ("#8C8C8C", "D"), ("#B8860B", "v"))
VERDICT_COLORS = {
    Verdict.REPLICA: "#B3261E",
    Verdict.INTERPOLATION: "#955000",
    Verdict.BROKEN: "#4A4A4A",
    Verdict.NOVEL: "#00695C",
    Verdict.UNDECIDED: "#565380",
}
"""Dark enough for white letters on them."""
RUN_COLORS = (
    "#332288",
    "#DDCC77",
    "#117733",
    "#CC6677",
    "#88CCEE",
    "#882255",
    "#44AA99",
    "#999933",
    "#AA4499",
)
"""Training runs, where they are told apart. Source: Paul Tol's muted scheme."""
PANEL = 5.2  # inches, half the width of the page

STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so it is the same everywhere
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.linewidth": 0.8,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "text.parse_math": False,  # a "$" in a name is a dollar sign
    "svg.fonttype": "path",
    "svg.hashsalt": "novelweights",
    "figure.constrained_layout.use": True,
}
PNG_DPI = 160


@dataclass(frozen=True)
class Drawing:
    """One finished figure."""

    svg: str
    png: bytes
    alt: str
    """What a reader sees in it, in words."""


@dataclass(frozen=True, eq=False)
class Group:
    """A population with the look it has in every figure."""

    key: str
    label: str
    found: Measurements
    color: str
    marker: str


def groups_of(result: AuditResult) -> list[Group]:
    """Training, held-out, from scratch, generated, then the baselines, as the result has them."""
    groups = [Group("training", "training", result.training, BLUE, "o")]
    if result.heldout is not None:
        groups.append(Group("heldout", "held-out", result.heldout, TEAL, "P"))
    if result.from_scratch is not None:
        groups.append(Group("from_scratch", "from scratch", result.from_scratch, PURPLE, "*"))
    groups.append(Group("generated", "generated", result.generated, RED, "X"))
    known = list(dict.fromkeys((*result.baseline_notes, *result.baselines)))
    for key, found in result.baselines.items():  # one that could not be made keeps its color
        color, marker = BASELINE_STYLES[known.index(key) % len(BASELINE_STYLES)]
        groups.append(Group(key, found.label.replace("_", " "), found, color, marker))
    return groups


def nearest_first(result: AuditResult) -> Integer[np.ndarray, " n"]:
    """Generated checkpoints in the order of every list of the page."""
    return np.argsort(result.generated.distance, kind="stable")


def finish(figure: Figure, alt: str) -> Drawing:
    """The figure as SVG and PNG, without dates or versions in the files.

    It is laid out once; `savefig` would draw it twice more for that, in each of the formats.
    """
    figure.set_dpi(PNG_DPI)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    svg, png = io.StringIO(), io.BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})
    FigureCanvasSVG(figure).print_svg(svg, metadata=nothing)  # last: it changes the resolution
    return Drawing(svg.getvalue(), png.getvalue(), alt)


def window(values: Float[np.ndarray, " n"], pad: float = 0.06) -> tuple[float, float]:
    """Range of the values, widened a little; never empty."""
    low, high = float(values.min()), float(values.max())
    margin = pad * (high - low) if high > low else max(abs(high) * 0.05, 1e-6)
    return low - margin, high + margin
