"""From the parameters of airplanes to their main parts, and to their place in the cube.

Built with the nose at x = 0.5, y along the span, z up, one unit = the fuselage's length; then
placed in the cube [-0.5, 0.5]^3, nose toward +x. Departure from HyperDiffusion: the center is the
mean over the area of the large parts, in closed form, not the mean of a mesh's vertices, which
depends on the mesh. Everything is a function of the parameters alone.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.shapes.airplane_classes import COLUMNS
from novelweights.shapes.airplane_parts import (
    Ball,
    Each,
    Panel,
)
from novelweights.shapes.mesh import HALF_EXTENT

GRID = 96
"""On a grid of so many points per axis every airplane is one piece."""
MIN_THICKNESS = 1.5 / (GRID - 1)
"""Of wings, fins, pylons, struts and propellers, in the cube: 1.5 spacings. Real wings of these
proportions are thinner."""
MIN_CHORD = 3 / (GRID - 1)
ROUGH_EXTENT = 0.6
"""Largest |coordinate| from the center, in fuselage lengths, where the wings are not wide."""
EXTENT_MARGIN = 1.01

Table = Float[Tensor, "n k"]


class Fuselage(NamedTuple):
    """Four round cones, nose to tail; z is in units in which the section is round."""

    balls: tuple[Ball, ...]
    height_ratio: Each

    def axis_z(self, x: Each) -> Each:
        """Height of the axis, which rises toward the tail's end."""
        start, end = self.balls[-2], self.balls[-1]
        share = ((start.x - x) / (start.x - end.x)).clamp(0, 1)
        return share * end.z * self.height_ratio


class Airframe(NamedTuple):
    """The parts that fix an airplane's place; lengths in units of the fuselage's."""

    columns: dict[str, Each]
    grain: Each
    """A spacing of the grid, or more."""
    radius: Each
    fuselage: Fuselage
    wing: Panel
    wing_z: Each
    second: Panel
    second_z: Each
    tail: Panel
    tail_z: Each
    fin: Panel
    fin_z: Each


def airframe(parameters: Table) -> Airframe:
    """The parts of each airplane; `parameters` has the columns of `COLUMNS`."""
    if parameters.shape[1] != len(COLUMNS):
        raise ValueError(f"{len(COLUMNS)} parameters each, got {parameters.shape[1]}")
    c = dict(zip(COLUMNS, parameters[:, :, None].unbind(1), strict=True))
    # narrow tips are widened to what the grid needs, which depends on the extent, and that a
    # little on the tips
    rough = _airframe(c, (c["span"] / 2).clamp(min=ROUGH_EXTENT))
    return _airframe(c, _extent(rough) * EXTENT_MARGIN)


def _airframe(c: dict[str, Each], extent: Each) -> Airframe:
    """The parts, thick enough for airplanes of this extent."""
    zero = torch.zeros_like(c["span"])
    grain = extent / HALF_EXTENT / (GRID - 1)
    half_thickness = grain * MIN_THICKNESS * (GRID - 1) / 2
    radius = c["width"] / 2

    def lifting(quarter: Each, span: Each, aspect: Each, taper: Each, sweep: Each, rise: Each):
        mean = span / aspect
        root = 2 * mean / (1 + taper)
        tip = torch.maximum(root * taper, grain * MIN_CHORD * (GRID - 1))
        root = torch.maximum(root, tip)
        lean = -sweep.deg2rad().tan()
        return Panel(quarter, root, tip, lean, rise, zero - 1, span / 2, half_thickness)

    fuselage = _fuselage(c, radius, grain)
    body_radius = radius * c["height_ratio"]
    rise = c["dihedral"].deg2rad().tan()
    wing = lifting(0.5 - c["wing_x"], c["span"], c["aspect_ratio"], c["taper"], c["sweep"], rise)
    wing_z = c["wing_z"] * body_radius
    mean_chord = c["span"] / c["aspect_ratio"]
    second = wing._replace(quarter=wing.quarter + c["stagger"] * mean_chord)
    fin = Panel(
        quarter=0.5 - c["fin_x"],
        root=c["fin_chord"],
        tip=torch.maximum(c["fin_chord"] * c["fin_taper"], grain * MIN_CHORD * (GRID - 1)),
        lean=-c["fin_sweep"].deg2rad().tan(),
        rise=zero,
        first=zero,
        last=c["fin_height"],
        half=half_thickness,
    )
    fin_z = fuselage.axis_z(fin.quarter)
    # a span of 0 means none; the panel is then left out, but must be finite
    tail_span = (c["tail_span"] * c["span"]).clamp(min=0.1)
    aspect, taper = c["tail_aspect"].clamp(min=1), c["tail_taper"].clamp(min=0.1)
    tail = lifting(0.5 - c["tail_x"], tail_span, aspect, taper, c["tail_sweep"], zero)
    up = c["tail_z"] * (c["fin_height"] - half_thickness)
    offset = tail.quarter - fin.quarter
    on_fin = fin.quarter + fin.lean * up + torch.clamp(offset, -tail.root / 4, tail.root / 4)
    is_high = c["tail_z"] > 0.3
    tail = tail._replace(quarter=torch.where(is_high, on_fin, tail.quarter))
    tail_z = up + torch.where(is_high, fin_z, fuselage.axis_z(tail.quarter))
    return Airframe(
        c,
        grain,
        radius,
        fuselage,
        wing,
        wing_z,
        second,
        wing_z + c["second_gap"] * mean_chord,
        tail,
        tail_z,
        fin,
        fin_z,
    )


def _fuselage(c: dict[str, Each], radius: Each, grain: Each) -> Fuselage:
    zero = torch.zeros_like(radius)
    nose = torch.maximum(radius * c["nose_radius"], grain * 0.6)
    end = torch.maximum(radius * c["tail_radius"], grain * 0.75)
    nose_start = 0.5 - c["nose_length"]
    return Fuselage(
        (
            Ball(0.5 - nose, zero, zero, nose),
            Ball(
                nose_start + 0.5 * (c["nose_length"] - nose),
                zero,
                zero,
                0.75 * radius + 0.25 * nose,
            ),
            Ball(nose_start, zero, zero, radius),
            Ball(c["tail_length"] - 0.5, zero, zero, radius),
            Ball(end - 0.5, zero, c["upsweep"] * radius, end),
        ),
        c["height_ratio"],
    )


def placement(parameters: Table) -> tuple[Float[Tensor, "n 3"], Float[Tensor, " n"]]:
    """Center of each airplane, in lengths of its fuselage, and its scale: lengths to the cube.

    A point p of the airplane lies at (p - center) * scale; the largest |coordinate| is then
    `HALF_EXTENT`.
    """
    frame = airframe(parameters)
    x, z = _center(frame)
    scale = HALF_EXTENT / _extent(frame)
    return torch.cat([x, torch.zeros_like(x), z], dim=1), scale[:, 0]


def _wings(frame: Airframe) -> list[tuple[Panel, Each, Each]]:
    """Panels that reach to both sides, their height, and 1 where an airplane has one, else 0."""
    c = frame.columns
    return [
        (frame.wing, frame.wing_z, torch.ones_like(frame.radius)),
        (frame.second, frame.second_z, (c["second_gap"] > 0).to(frame.radius)),
        (frame.tail, frame.tail_z, (c["tail_span"] > 0).to(frame.radius)),
    ]


def _center(frame: Airframe) -> tuple[Each, Each]:
    """x and z of the mean over the area of fuselage, wings, tail, fins and nose propeller."""
    c = frame.columns
    fin_x, fin_s = frame.fin.middle
    n_fins = 1 + (c["fin_y"] > 0).to(frame.radius)
    propeller = 2 * torch.pi * c["nose_propeller"] ** 2
    parts = [
        (2 * frame.fin.area * n_fins, fin_x, frame.fin_z + fin_s),
        (propeller, torch.full_like(fin_x, 0.5), torch.zeros_like(fin_x)),
    ]
    for start, end in pairwise(frame.fuselage.balls):
        area = torch.pi * (start.radius + end.radius) * (start.x - end.x)
        parts.append((area, (start.x + end.x) / 2, (start.z + end.z) / 2 * c["height_ratio"]))
    for panel, z, exists in _wings(frame):
        x, s = panel.middle
        parts.append((4 * panel.area * exists, x, z + panel.rise * s))  # two faces, two sides
    area, x, z = (torch.stack(column) for column in zip(*parts, strict=True))
    return (area * x).sum(0) / area.sum(0), (area * z).sum(0) / area.sum(0)


def _extent(frame: Airframe) -> Each:
    """The largest |coordinate| from the center. Nothing else reaches as far as these parts."""
    x, z = _center(frame)
    zero, fin = torch.zeros_like(x), frame.fin
    ahead, behind, above = [zero + 0.5], [zero - 0.5], [frame.fin_z + fin.last]
    behind.append(torch.minimum(fin.trailing(zero), fin.trailing(fin.last)))
    for panel, height, exists in _wings(frame):
        tip = panel.last * exists
        ahead.append(panel.leading(tip) * exists)
        behind.append(torch.minimum(panel.trailing(zero), panel.trailing(tip)) * exists)
        above.append((height + panel.rise * tip) * exists)
    sides = (
        torch.stack(ahead).amax(0) - x,
        x - torch.stack(behind).amin(0),
        frame.columns["span"] / 2,
        torch.stack(above).amax(0) - z,
    )
    return torch.stack(sides).amax(0)
