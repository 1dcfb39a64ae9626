"""A field's logits on a regular grid over the cube, evaluated where somebody asks.

What is known of a box of the grid: the logit at the points evaluated so far, and for all others
the side of the level on which they must lie if the surface does not pass. Numbers of points and
cells are those of the box, row-major.
"""

import math
from collections.abc import Callable
from itertools import product
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int
from scipy.ndimage import maximum_filter
from torch import Tensor

from novelweights.errors import InputError

STRIDE = 4
"""Spacings between the points that are evaluated first, 1/64 of the grid. A power of 2. Ours."""
MARGIN = 1.5
"""How much steeper a field may be between evaluated points than its steepest step there. Ours."""
POINTS_AT_ONCE = 2**18
BLOCKS_AT_ONCE = 2**16
CORNERS = np.array(list(product((0, 1), repeat=3)))
LATTICE = np.array(list(product((0, 1, 2), repeat=3)))

GridLogits = Callable[[Int[Tensor, "m 3"]], Float[Tensor, " m"]]
Triple = tuple[int, int, int]


@runtime_checkable
class Field(Protocol):
    """What has a logit at every point of the cube, as `networks/neural_field.py`."""

    def on_grid(self, weights: Float[Tensor, " d"], axis: Float[Tensor, " p"]) -> GridLogits:
        """Logits as a function of grid indices, `axis` being the coordinates along each axis."""
        ...


class FieldVolume:
    """A box of the grid with what is known of it.

    Args:
        logits: Of points given by their indices in the whole grid.
        resolution: Points of the whole grid per axis.
        level: The logit on the surface.
        low: First index of the box along each axis.
        high: Index after the last.
    """

    def __init__(
        self, logits: GridLogits, resolution: int, level: float, low: Triple, high: Triple
    ) -> None:
        self.logits = logits
        self.resolution = resolution
        self.level = level
        self.low = np.array(low)
        shape = (high[0] - low[0], high[1] - low[1], high[2] - low[2])
        self.shape = shape
        self.values = np.empty(shape, np.float32)
        """Meaningful where `known`."""
        self.known = np.zeros(shape, bool)
        self.inside = np.zeros(shape, bool)
        """Above the level; where not `known`, on which side its surroundings are."""
        self._pending = np.zeros(shape, bool)
        self._corners = CORNERS @ np.array([shape[1] * shape[2], shape[2], 1])

    def evaluate(self, points: Int[np.ndarray, " m"]) -> None:
        """Make the logits at some points known.

        Raises:
            InputError: A logit is not finite.
        """
        for start in range(0, len(points), POINTS_AT_ONCE):
            some = points[start : start + POINTS_AT_ONCE]
            indices = np.stack(np.unravel_index(some, self.shape), axis=1) + self.low
            logits = finite(self.logits(torch.from_numpy(indices)).numpy())
            self.values.flat[some] = logits
            self.inside.flat[some] = logits > self.level
            self.known.flat[some] = True

    def divide(self, blocks: Int[np.ndarray, "b 3"], size: int) -> Int[np.ndarray, "c 3"]:
        """Evaluate the corners of the eight parts of each block.

        Args:
            blocks: Lowest corners of blocks whose corners are known.
            size: Spacings along a block's side; at the end of the grid a block may be cut off.

        Returns:
            Lowest corners of the parts, of half the size, in which the surface may be; none if the
            parts are single cells, which have nothing left to evaluate.
        """
        half, triangles = size // 2, [np.zeros((0, 3), np.int64)]
        last = np.array(self.shape) - 1
        for start in range(0, len(blocks), BLOCKS_AT_ONCE):
            some = blocks[start : start + BLOCKS_AT_ONCE]
            places = np.minimum(some[:, None] + half * LATTICE, last)
            lattice = np.asarray(np.ravel_multi_index(tuple(np.moveaxis(places, 2, 0)), self.shape))
            self._pending.flat[lattice[~self.known.flat[lattice]]] = True
            pending = np.flatnonzero(self._pending)
            self._pending.flat[pending] = False
            self.evaluate(pending)
            if half > 1:
                values = self.values.flat[lattice].reshape(-1, 3, 3, 3).astype(np.float64)
                triangles.append(self._parts(some, values, half))
        return np.concatenate(triangles)

    def _parts(
        self, blocks: Int[np.ndarray, "b 3"], values: Float64[np.ndarray, "b 3 3 3"], half: int
    ) -> Int[np.ndarray, "c 3"]:
        steps = [np.abs(np.diff(values, axis=a)).max(axis=(1, 2, 3)) for a in (1, 2, 3)]
        reach = reachable(np.sqrt(sum(step**2 for step in steps)))
        last, parts = np.array(self.shape) - 1, []
        for i, j, k in CORNERS:
            part = values[:, i : i + 2, j : j + 2, k : k + 2].reshape(-1, 8)
            bases = blocks + half * np.array([i, j, k])
            exists = (bases < last).all(axis=1)
            self._surround(bases[exists], half)
            parts.append(bases[exists & suspect(part, self.level, reach)])
        return np.concatenate(parts)

    def _surround(self, bases: Int[np.ndarray, "b 3"], size: int) -> None:
        """Points of blocks that are not known lie on the side of the lowest corner."""
        within = np.array(list(product(range(size), repeat=3)))
        places = np.minimum(bases[:, None] + within, np.array(self.shape) - 1)
        points = np.asarray(np.ravel_multi_index(tuple(np.moveaxis(places, 2, 0)), self.shape))
        sides = np.broadcast_to(self.inside.flat[points[:, :1]], points.shape)
        unknown = ~self.known.flat[points]
        self.inside.flat[points[unknown]] = sides[unknown]

    def close(self) -> bool:
        """Evaluate all corners of every cell that the surface enters.

        Corners may turn out to lie on the other side than supposed; then the surface enters
        further cells, which are completed in turn.

        Returns:
            False if it ran into a border of the box that is not one of the cube: a box too small.
        """
        last = np.array(self.shape) - 1
        inner_low = self.low > 0
        inner_high = self.low + last < self.resolution - 1
        cells = self._incomplete_cells()
        while len(cells):
            corners = cells[:, None] + self._corners
            inside, known = self.inside.flat[corners], self.known.flat[corners]
            entered = np.asarray(inside.any(axis=1) & ~inside.all(axis=1))
            points = np.unique(corners[entered[:, None] & ~known])
            before = self.inside.flat[points]
            self.evaluate(points)
            turned = points[self.inside.flat[points] != before]
            places = np.stack(np.unravel_index(turned, self.shape), axis=1)
            if ((places == 0) & inner_low | (places == last) & inner_high).any():
                return False
            around = (places[:, None] - CORNERS).reshape(-1, 3)
            around = around[((around >= 0) & (around < last)).all(axis=1)]
            cells = np.unique(np.ravel_multi_index(tuple(around.T), self.shape))
        return True

    def _incomplete_cells(self) -> Int[np.ndarray, " c"]:
        """Cells that the surface enters and that have corners that are not known."""
        incomplete = over_corners(np.logical_or, self.inside)
        incomplete &= ~over_corners(np.logical_and, self.inside)
        incomplete &= ~over_corners(np.logical_and, self.known)
        return np.ravel_multi_index(np.nonzero(incomplete), self.shape)


def over_corners(
    combine: Callable[..., Bool[np.ndarray, "..."]], points: Bool[np.ndarray, "a b c"]
) -> Bool[np.ndarray, "a-1 b-1 c-1"]:
    """`combine` over the eight corners of each cell of a grid."""
    points = combine(points[1:], points[:-1])
    points = combine(points[:, 1:], points[:, :-1])
    return combine(points[:, :, 1:], points[:, :, :-1])


def finite(logits: Float32[np.ndarray, " m"]) -> Float32[np.ndarray, " m"]:
    """The same logits.

    Raises:
        InputError: One of them is not finite.
    """
    if not np.isfinite(logits).all():
        raise InputError(
            f"a field needs finite logits, got {np.count_nonzero(~np.isfinite(logits))} of "
            f"{len(logits)} that are not: leave the checkpoint out, its weights are broken or huge",
            "not-finite",
        )
    return logits


def reachable(step: Float64[np.ndarray, "*b"]) -> Float64[np.ndarray, "*b"]:
    """By how much a field may differ within a block from its nearest corner.

    Args:
        step: Length of the vector of the largest differences between neighboring corners along
            each axis. The center of the block is half a diagonal away from all corners.
    """
    return MARGIN * math.sqrt(3) / 2 * step


def suspect(
    corners: Float64[np.ndarray, "b 8"], level: float, reach: Float64[np.ndarray, " b"]
) -> Bool[np.ndarray, " b"]:
    """Whether the surface may be in a block: corners on both sides, or one within reach."""
    inside = corners > level
    near = np.abs(corners - level).min(axis=1) <= reach
    return inside.any(axis=1) & ~inside.all(axis=1) | near


class CoarseField:
    """The field at every `STRIDE`-th point of the grid along each axis, and at the last.

    Raises:
        InputError: A logit is not finite.
    """

    def __init__(self, logits: GridLogits, resolution: int, level: float) -> None:
        self.logits, self.resolution, self.level = logits, resolution, level
        blocks = -(-(resolution - 1) // STRIDE)
        self.axis = np.minimum(STRIDE * np.arange(blocks + 1), resolution - 1)
        grid = np.stack(np.meshgrid(self.axis, self.axis, self.axis, indexing="ij"), axis=3)
        flat = finite(logits(torch.from_numpy(grid.reshape(-1, 3))).numpy())
        self.values = flat.reshape(grid.shape[:3])

    def suspects(self) -> Int[np.ndarray, "b 3"]:
        """Lowest corners of the blocks in which the surface may be, in the whole grid.

        The steepest step is sought in the block and the blocks around it.
        """
        squares = np.zeros([len(self.axis) - 1] * 3)
        values = self.values.astype(np.float64)
        for a in range(3):
            steps = np.abs(np.diff(values, axis=a))
            for b in {0, 1, 2} - {a}:
                n = steps.shape[b]
                steps = np.maximum(steps.take(range(1, n), b), steps.take(range(n - 1), b))
            squares += maximum_filter(steps, 3) ** 2
        reach = reachable(np.sqrt(squares))
        corners = np.stack(
            [
                values[tuple(slice(c, c + n) for c, n in zip(corner, reach.shape, strict=True))]
                for corner in CORNERS
            ],
            axis=3,
        )
        suspects = suspect(corners.reshape(-1, 8), self.level, reach.ravel())
        return STRIDE * np.stack(np.nonzero(suspects.reshape(reach.shape)), axis=1)

    def box(self, low: Triple, high: Triple) -> FieldVolume:
        """A box of the grid with the coarse points known, all others on the side of a corner of
        their block."""
        volume = FieldVolume(self.logits, self.resolution, self.level, low, high)
        blocks = np.ix_(*(np.arange(a, b) // STRIDE for a, b in zip(low, high, strict=True)))
        volume.inside[:] = (self.values > self.level)[blocks]
        taken = [
            np.flatnonzero((self.axis >= a) & (self.axis < b))
            for a, b in zip(low, high, strict=True)
        ]
        places = np.ix_(*(self.axis[t] - a for t, a in zip(taken, low, strict=True)))
        volume.values[places] = self.values[np.ix_(*taken)]
        volume.inside[places] = volume.values[places] > self.level
        volume.known[places] = True
        return volume
