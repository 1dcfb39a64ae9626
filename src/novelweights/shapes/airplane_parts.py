"""Signed distances of the solids that airplanes are made of, for many of them at once.

Every function is negative inside, positive outside, and changes by at most the distance moved
(1-Lipschitz), so it never claims more room than there is; only `round_cone` is exact everywhere.
Lengths are in any one unit. Parameters are tensors (n, 1), coordinates (n or 1, m), results (n, m).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Each = Float[Tensor, "n #m"]
Coordinate = Float[Tensor, "#n m"]
Places = Float[Tensor, "_ _"]
"""Places along a span, of each airplane or of all."""

EDGE = 0.4
"""Thickness at the edges of a panel, as a share of its full thickness."""
BLUNT, FINE = 1.0, 0.4
"""How fast the half thickness grows from the leading and from the trailing edge, per chord."""


class Panel(NamedTuple):
    """A wing, fin, pylon or strut: straight edges, from `first` to `last` along its span.

    At spanwise place s the chord runs from `leading(s)` back to `trailing(s)`; x points forward.
    The middle plane lies at `rise * s` along the third axis.
    """

    quarter: Each
    """x of the point a quarter of the chord behind the leading edge, at s = 0."""
    root: Each
    tip: Each
    lean: Each
    """Change of the quarter point's x with s: minus the tangent of the sweep."""
    rise: Each
    first: Each
    last: Each
    half: Each
    """Half of the full thickness."""

    @property
    def narrowing(self) -> Each:
        """Change of the chord with s."""
        return (self.tip - self.root) / self.last

    @property
    def leading_slope(self) -> Each:
        """Change of the leading edge's x with s."""
        return self.lean + 0.25 * self.narrowing

    @property
    def trailing_slope(self) -> Each:
        """Change of the trailing edge's x with s."""
        return self.lean - 0.75 * self.narrowing

    def leading(self, s: Places) -> Places:
        """x of the leading edge."""
        return self.quarter + 0.25 * self.root + self.leading_slope * s

    def trailing(self, s: Places) -> Places:
        """x of the trailing edge."""
        return self.quarter - 0.75 * self.root + self.trailing_slope * s

    @property
    def area(self) -> Each:
        """Of one side, from s = 0."""
        return (self.root + self.tip) / 2 * self.last

    @property
    def middle(self) -> tuple[Each, Each]:
        """x and s of the center of that area."""
        root, tip, total = self.root, self.tip, self.root + self.tip
        s = self.last * (root + 2 * tip) / (3 * total)
        # the mean over the area of (leading + trailing) / 2
        slope = (self.leading_slope + self.trailing_slope) / 2
        return self.quarter - 0.25 * root + slope * s, s


def panel_distance(
    panel: Panel, x: Coordinate, s: Coordinate, across: Coordinate
) -> Float[Tensor, "n m"]:
    """Of a panel; `across` is measured from the middle plane at s = 0, along its normal.

    The section is flat with beveled edges. A wing and its mirror image are one panel with
    s = |y| and `first` below 0.
    """
    ahead = panel.leading(s) - x
    behind = x - panel.trailing(s)
    apart = (across - panel.rise * s).abs()
    lead, trail, rise = panel.leading_slope, panel.trailing_slope, panel.rise
    faces = (
        -ahead / (1 + lead**2).sqrt(),
        -behind / (1 + trail**2).sqrt(),
        s - panel.last,
        panel.first - s,
        (apart - panel.half) / (1 + rise**2).sqrt(),
        (apart - EDGE * panel.half - BLUNT * ahead)
        / (1 + BLUNT**2 + (BLUNT * lead.abs() + rise.abs()) ** 2).sqrt(),
        (apart - EDGE * panel.half - FINE * behind)
        / (1 + FINE**2 + (FINE * trail.abs() + rise.abs()) ** 2).sqrt(),
    )
    result = faces[0]
    for face in faces[1:]:
        result = torch.maximum(result, face)
    return result


class Ball(NamedTuple):
    """One end of a round cone; its center lies in the plane y = `y`."""

    x: Each
    y: Each
    z: Each
    radius: Each


def round_cone(
    x: Coordinate, y: Coordinate, z: Coordinate, start: Ball, end: Ball
) -> Float[Tensor, "n m"]:
    """Of the hull of two balls, neither of which may lie within the other. Exact.

    It is the least of |p - q(t)| - r(t) over all t along the axis, where the radius r is linear.
    """
    axis = (end.x - start.x, end.y - start.y, end.z - start.z)
    length = (axis[0] ** 2 + axis[1] ** 2 + axis[2] ** 2).sqrt()
    dx, dy, dz = x - start.x, y - start.y, z - start.z
    along = (dx * axis[0] + dy * axis[1] + dz * axis[2]) / length
    away2 = (dx**2 + dy**2 + dz**2 - along**2).clamp(min=0)
    shrink = (start.radius - end.radius) / length
    t = along - away2.sqrt() * (shrink / (1 - shrink**2).sqrt())
    t = torch.minimum(t.clamp(min=0), length)
    return ((along - t) ** 2 + away2).sqrt() - start.radius + shrink * t


def disc_distance(
    x: Coordinate, away: Coordinate, center: Each, radius: Each, half: Each
) -> Float[Tensor, "n m"]:
    """Of a disc around the x axis; `away` is the distance from that axis."""
    return torch.maximum((x - center).abs() - half, away - radius)


def smooth_union(
    first: Float[Tensor, "n m"], second: Float[Tensor, "n m"], blend: Each
) -> Float[Tensor, "n m"]:
    """Of both, with a fillet where the two differ by less than `blend` (above 0).

    The quadratic smooth minimum; it adds at most `blend / 4`.
    """
    overlap = (blend - (first - second).abs()).clamp(min=0)
    return torch.minimum(first, second) - overlap**2 / (4 * blend)
