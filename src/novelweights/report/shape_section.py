"""What the page says of shapes, and what it needs to turn them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from novelweights.auditing.measure.shape_pictures import STEPS
from novelweights.auditing.result import AuditResult
from novelweights.report.shape_drawing import apart, caption, names
from novelweights.report.shape_pairs import ShapePair, StoredShape, shape_pairs
from novelweights.report.shape_raster import AMBIENT, LIGHTS, TILT, TURN


@dataclass(frozen=True)
class Side:
    """One shape of a pair."""

    kind: str
    """"generated" or "nearest"."""
    name: str
    label: str
    """What is seen, in words."""
    steps: str
    """Coordinates as base64; "" where there is no surface."""
    faces: str


@dataclass(frozen=True)
class TurnablePair:
    """Two shapes that turn together."""

    caption: str
    apart: str
    sides: tuple[Side, Side]


@dataclass(frozen=True)
class ShapesTold:
    """The section on shapes."""

    pairs: list[TurnablePair]
    level: str
    grids: str
    is_coarser: bool
    judged_at: int
    turn: float = TURN
    tilt: float = TILT
    ambient: float = AMBIENT
    lights: tuple[tuple[float, ...], ...] = LIGHTS
    steps: int = STEPS


def shapes_told(result: AuditResult, plot_data: Mapping[str, np.ndarray]) -> ShapesTold | None:
    """The section, or None where a run folder has no shapes."""
    by_group = shape_pairs(plot_data)
    if not by_group:
        return None
    grids = np.unique(plot_data["shape_resolutions"]).tolist()
    return ShapesTold(
        pairs=[_turnable(pair, result) for pair in by_group["random"]],
        level=f"{float(plot_data['shape_level']):g}",
        grids=" or ".join(map(str, reversed(grids))),
        is_coarser=len(grids) > 1,
        judged_at=int(plot_data["shape_judged_at"]),
    )


def _turnable(pair: ShapePair, result: AuditResult) -> TurnablePair:
    generated, nearest = names(pair, result)
    return TurnablePair(
        caption=caption(pair, result),
        apart=apart(pair, result),
        sides=(
            _side("generated", generated, "generated", pair.generated),
            _side("nearest", nearest, "nearest training", pair.nearest),
        ),
    )


def _side(kind: str, name: str, whose: str, shape: StoredShape) -> Side:
    steps, faces = ("", "") if shape.is_empty else shape.data
    return Side(kind, name, f"surface of the {whose} checkpoint {name}", steps, faces)
