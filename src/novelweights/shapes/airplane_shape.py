"""Signed distances of whole airplanes: the main parts, then engines, propellers and struts."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from novelweights.shapes.airplane_frame import Airframe, Table, airframe, placement
from novelweights.shapes.airplane_parts import (
    Ball,
    Coordinate,
    Each,
    Panel,
    disc_distance,
    panel_distance,
    round_cone,
    smooth_union,
)

Distances = Float[Tensor, "n m"]
Part = tuple[Bool[Tensor, "n 1"], Distances]
"""Which airplanes have it, and its distances as if all had."""


def signed_distance(parameters: Table, points: Float[Tensor, "*own m 3"]) -> Float[Tensor, "n m"]:
    """Below 0 inside; never larger in size than the distance to the surface (1-Lipschitz).

    Args:
        parameters: One airplane a row, columns as in `COLUMNS`.
        points: In the cube: the same for all (m, 3), or each airplane's own (n, m, 3).

    Returns:
        In units of the cube's side, in the dtype and on the device of `points`.

    Source: ours.
    """
    center, scale = placement(parameters)
    frame = airframe(parameters.to(points))
    scale = scale.to(points)[:, None]
    x, y, z = (points / scale[..., None] + center.to(points)[:, None, :]).unbind(-1)
    side = y.abs()
    c = frame.columns
    solid = _fuselage_distance(frame, x, side, z)
    solid = smooth_union(solid, panel_distance(frame.wing, x, side, z - frame.wing_z), c["blend"])
    fin = panel_distance(frame.fin, x, z - frame.fin_z, side - c["fin_y"] * frame.radius)
    solid = smooth_union(solid, fin, c["blend"])
    if (c["tail_span"] > 0).any():
        tail = panel_distance(frame.tail, x, side, z - frame.tail_z)
        tail = torch.where(c["tail_span"] > 0, tail, torch.inf)
        solid = torch.minimum(solid, tail)
    for exists, part in _further_parts(frame, x, side, z):
        solid = torch.minimum(solid, torch.where(exists, part, torch.inf))
    return solid * scale


def _fuselage_distance(
    frame: Airframe, x: Coordinate, side: Coordinate, z: Coordinate
) -> Distances:
    c, (balls, height_ratio) = frame.columns, frame.fuselage
    round_z = z / height_ratio
    solid = round_cone(x, side, round_z, balls[0], balls[1])
    for start, end in pairwise(balls[1:]):
        solid = torch.minimum(solid, round_cone(x, side, round_z, start, end))
    solid = solid * height_ratio.clamp(max=1)
    exists = c["canopy_height"] > 0
    if not exists.any():
        return solid
    top = frame.radius * (height_ratio + c["canopy_height"])
    radius = 0.6 * frame.radius
    length = torch.where(exists, c["canopy_length"], 1.0)
    zero = torch.zeros_like(radius)
    front = Ball(0.5 - c["canopy_x"] + length / 2 - radius, zero, top - radius, radius)
    back = Ball(0.5 - c["canopy_x"] - length / 2, zero, top - 1.2 * radius, 0.6 * radius)
    canopy = round_cone(x, side, z, front, back)
    return torch.where(exists, smooth_union(solid, canopy, c["blend"]), solid)


def _further_parts(
    frame: Airframe, x: Coordinate, side: Coordinate, z: Coordinate
) -> Iterator[Part]:
    c = frame.columns
    for pair in (0, 1):
        if (c["wing_engines"] > pair).any():
            yield from _wing_engine(frame, pair, x, side, z)
    if (c["rear_engines"] > 0).any():
        yield from _rear_engine(frame, x, side, z)
    if (c["nose_propeller"] > 0).any():
        nose = frame.fuselage.balls[0].radius
        hub = 0.5 - torch.maximum(0.6 * nose, frame.wing.half)
        away = (side**2 + z**2).sqrt()
        disc = disc_distance(x, away, hub, c["nose_propeller"], frame.wing.half)
        yield c["nose_propeller"] > 0, disc
    if (c["second_gap"] > 0).any():
        yield from _second_wing(frame, x, side, z)


def _wing_engine(
    frame: Airframe, pair: int, x: Coordinate, side: Coordinate, z: Coordinate
) -> Iterator[Part]:
    """A nacelle ahead of and below the wing, its pylon, its propeller."""
    c, wing, zero = frame.columns, frame.wing, torch.zeros_like(frame.radius)
    exists = c["wing_engines"] > pair
    place = c["span"] / 2 * (c["engine_y"] + pair * c["engine_gap"])
    edge, chord = wing.leading(place), wing.leading(place) - wing.trailing(place)
    radius = torch.maximum(c["engine_width"] / 2, frame.grain)
    length = torch.maximum(c["engine_length"], 3 * radius)
    hang = torch.maximum(c["engine_hang"] * c["engine_width"], 0.5 * frame.grain)
    height = frame.wing_z + wing.rise * place - hang
    front = edge + 0.6 * length
    yield exists, _nacelle(x, side, z, Ball(front, place, height, radius), length)
    pylon = Panel(
        quarter=edge + 0.1 * length,
        root=0.5 * length,
        tip=0.5 * chord,
        lean=(-0.1 * length - 0.15 * chord) / hang,
        rise=zero,
        first=zero,
        last=hang,
        half=wing.half,
    )
    yield exists, panel_distance(pylon, x, z - height, side - place)
    if (c["wing_propeller"] > 0).any():
        away = ((side - place) ** 2 + (z - height) ** 2).sqrt()
        disc = disc_distance(x, away, front - frame.grain, c["wing_propeller"], wing.half)
        yield exists & (c["wing_propeller"] > 0), disc


def _rear_engine(frame: Airframe, x: Coordinate, side: Coordinate, z: Coordinate) -> Iterator[Part]:
    c, zero = frame.columns, torch.zeros_like(frame.radius)
    exists = c["rear_engines"] > 0
    place, height = c["rear_engine_y"] * frame.radius, 0.35 * frame.radius
    radius = torch.maximum(c["engine_width"] / 2, frame.grain)
    length = torch.maximum(c["engine_length"], 3 * radius)
    front = 0.5 - c["rear_engine_x"] + length / 2
    yield exists, _nacelle(x, side, z, Ball(front, place, height, radius), length)
    chord = 0.5 * length
    last = torch.where(exists, place, 1.0)
    half = frame.wing.half
    pylon = Panel(front - 0.4 * length, chord, chord, zero, zero, zero - 1, last, half)
    yield exists, panel_distance(pylon, x, side, z - height)


def _nacelle(
    x: Coordinate, side: Coordinate, z: Coordinate, front: Ball, length: Each
) -> Distances:
    """A round cone that narrows backward, cut flat at the front."""
    start = front._replace(x=front.x - 0.5 * front.radius)
    back = front._replace(x=front.x - length + 0.6 * front.radius, radius=0.6 * front.radius)
    return torch.maximum(round_cone(x, side, z, start, back), x - front.x)


def _second_wing(frame: Airframe, x: Coordinate, side: Coordinate, z: Coordinate) -> Iterator[Part]:
    """The upper wing, struts between the wings, struts from the fuselage."""
    c, wing, zero = frame.columns, frame.wing, torch.zeros_like(frame.radius)
    exists = c["second_gap"] > 0
    yield exists, panel_distance(frame.second, x, side, z - frame.second_z)
    chord = 0.3 * c["span"] / c["aspect_ratio"]
    place = 0.65 * c["span"] / 2
    foot = frame.wing_z + wing.rise * place
    gap = torch.where(exists, frame.second_z - frame.wing_z, 1.0)
    lean = (frame.second.quarter - wing.quarter) / gap
    quarter = wing.quarter + wing.lean * place
    strut = Panel(quarter, chord, chord, lean, zero, zero, gap, wing.half)
    yield exists, panel_distance(strut, x, z - foot, side - place)
    cabane = Panel(
        wing.quarter - lean * frame.wing_z,
        chord,
        chord,
        lean,
        zero,
        zero,
        torch.where(exists, frame.second_z, 1.0),
        wing.half,
    )
    yield exists, panel_distance(cabane, x, z, side - 0.5 * frame.radius)
