"""Generated shapes and those of their nearest training checkpoints: still images, and to turn.

Source: paper, figures 5d, 13d and 14d.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from novelweights.auditing.measure.shape_pictures import STEPS
from novelweights.auditing.result import AuditResult
from novelweights.report.shape_pairs import ShapePair, StoredShape, shape_pairs
from novelweights.report.shape_raster import (
    AMBIENT,
    LIGHTS,
    TILT,
    TURN,
    joint_frame,
    render,
    rotation,
)
from novelweights.report.style import BLUE, PANEL, RED
from novelweights.report.tables import number, short

SHAPE_FIGURES = {"random": "shapes", "further": "shapes_further", "percentile": "shapes_percentile"}
"""Names of the figures by group of shapes."""
COLUMNS = {"random": 3, "further": 5, "percentile": 5}
ASPECT = 4 / 3
DOTS = 120
"""Pixels of an image per inch of the figure; a little more than a screen shows of the page."""


def draw_shapes(
    result: AuditResult, plot_data: Mapping[str, np.ndarray]
) -> dict[str, Callable[[], tuple[Figure, str]]]:
    """What draws each group of shapes that these data hold, by the name of the figure."""
    return {
        SHAPE_FIGURES[group]: partial(draw_pairs, result, pairs, COLUMNS[group])
        for group, pairs in shape_pairs(plot_data).items()
    }


def draw_pairs(result: AuditResult, pairs: Sequence[ShapePair], columns: int) -> tuple[Figure, str]:
    """Pairs side by side, each at one scale and from one direction."""
    n_rows = -(-len(pairs) // columns)
    side = 2 * PANEL / columns
    figure = Figure(figsize=(2 * PANEL, n_rows * (2 * side / ASPECT + 0.7)))
    blocks = np.atleast_1d(np.array(figure.subfigures(n_rows, 1)))
    for block, start in zip(blocks, range(0, len(pairs), columns), strict=True):
        axes = block.subplots(2, columns, squeeze=False)
        for ax in axes.ravel():
            ax.set_axis_off()
        for column, pair in zip(axes.T, pairs[start : start + columns], strict=False):
            _draw_pair(column, pair, result, (round(side / ASPECT * DOTS), round(side * DOTS)))
    words = "; ".join(caption(pair, result) for pair in pairs)
    return figure, (
        f"Surfaces of {len(pairs)} generated fields above those of their nearest training "
        f"checkpoints: {words}."
    )


def caption(pair: ShapePair, result: AuditResult) -> str:
    """Which checkpoints a pair is of, and how far apart they are, in words."""
    name, nearest = names(pair, result)
    said = "" if pair.percentile is None else f"percentile {pair.percentile}, "
    without = [
        which
        for which, shape in (("generated", pair.generated), ("training", pair.nearest))
        if shape.is_empty
    ]
    missing = f", no surface: {' and '.join(without)}" if without else ""
    return f"{said}{name} and {nearest}, {apart(pair, result)}{missing}"


def names(pair: ShapePair, result: AuditResult) -> tuple[str, str]:
    """Of the generated checkpoint and of its nearest training checkpoint."""
    nearest = result.generated.neighbor_rows[pair.row, 0]
    return short(result.generated.names[pair.row]), short(result.training_names[nearest])


def apart(pair: ShapePair, result: AuditResult) -> str:
    """Distances of the weights and, where both have a surface, of the shapes."""
    weights = f"d = {number(float(result.generated.distance[pair.row]))}"
    return weights if np.isnan(pair.chamfer) else f"{weights}, Chamfer {number(pair.chamfer)}"


def turnable(result: AuditResult, plot_data: Mapping[str, np.ndarray]) -> dict[str, Any] | None:
    """What the page says of shapes, and needs to turn them; None where a run folder has none."""
    by_group = shape_pairs(plot_data)
    if not by_group:
        return None
    grids = np.unique(plot_data["shape_resolutions"]).tolist()
    pairs = []
    for pair in by_group["random"]:
        sides = [
            {
                "kind": kind,
                "name": name,
                "label": f"surface of the {whose} checkpoint {name}",
                **dict(zip(("steps", "faces"), shape.data, strict=True)),
            }
            for kind, whose, name, shape in zip(
                ("generated", "nearest"),
                ("generated", "nearest training"),
                names(pair, result),
                (pair.generated, pair.nearest),
                strict=True,
            )
        ]
        said = {"caption": caption(pair, result), "apart": apart(pair, result)}
        pairs.append({**said, "sides": sides})
    return {
        "pairs": pairs,
        "level": f"{float(plot_data['shape_level']):g}",
        "grids": " or ".join(map(str, reversed(grids))),
        "is_coarser": len(grids) > 1,
        "judged_at": int(plot_data["shape_judged_at"]),
        "turn": TURN,
        "tilt": TILT,
        "ambient": AMBIENT,
        "lights": LIGHTS,
        "steps": STEPS,
    }


def _draw_pair(
    axes: Sequence[Axes] | np.ndarray, pair: ShapePair, result: AuditResult, size: tuple[int, int]
) -> None:
    view = rotation()
    shapes = (pair.generated, pair.nearest)
    frame = joint_frame([shape.vertices for shape in shapes], view, ASPECT)
    for ax, shape, name, color in zip(axes, shapes, names(pair, result), (RED, BLUE), strict=True):
        ax.set_axis_on()
        ax.set(xticks=[], yticks=[], xlim=(-0.5, size[1] - 0.5), ylim=(size[0] - 0.5, -0.5))
        ax.set_aspect("equal")
        ax.spines[:].set(visible=True, color=color, linewidth=1.2)
        ax.set_title(name, color=color, fontsize=8)
        _draw_shape(ax, shape, view, frame, size)
    if pair.percentile is not None:
        axes[0].set_title(f"{pair.percentile}%: {names(pair, result)[0]}", color=RED, fontsize=8)
    axes[1].set_xlabel(apart(pair, result), fontsize=8)


def _draw_shape(
    ax: Axes,
    shape: StoredShape,
    view: np.ndarray,
    frame: tuple[float, float, float],
    size: tuple[int, int],
) -> None:
    if shape.is_empty:
        middle = {"ha": "center", "va": "center", "transform": ax.transAxes}
        ax.text(0.5, 0.5, "no surface", color="#57606a", **middle)
        return
    image = render(shape.vertices, shape.faces, view, frame, size)
    ax.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="none")
