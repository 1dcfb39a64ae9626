"""Cut-outs turned, scaled, moved and laid on photo crops, in whole numbers.

Only whole numbers are added and multiplied, so that the bytes are the same on every machine and
with every version of Pillow, whose own resampling may change. A cut-out is first averaged down to
`STAMP_SIDE` pixels; a pixel of an image is then the mean of 4x4 points of it.
"""

import math
from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Int, UInt8
from numba import njit

from novelweights.seeding import Draws

STAMP_SIDE = 64  # pixels of the longer side of a cut-out before it is pasted
OPAQUE = 255 * 255  # full color times full opacity
POINTS = 4  # along each side of a pixel
FIXED_BITS = 16  # behind the point of coordinates in a cut-out
MAX_TURN = 25 * 4  # quarters of a degree, either way
SCALES = (700, 1100)  # thousandths of the crop's side that the longer side takes
MAX_SHIFT = 4 * 8  # eighths of a pixel, down and right, either way
BRIGHTNESS = (700, 1200)  # thousandths


@dataclass(frozen=True, eq=False)
class Stamps:
    """Cut-outs, each in the upper left of a square, of the sides that are given."""

    pixels: Int[np.ndarray, "stamps side side 4"]
    """Red, green and blue times opacity, then opacity times 255: 0 to `OPAQUE`."""
    sides: Int[np.ndarray, "stamps 2"]
    """Height and width, pixels."""


@dataclass(frozen=True, eq=False)
class Placements:
    """How each cut-out is laid on its crop."""

    turns: Int[np.ndarray, " examples"]
    """Quarters of a degree, counter-clockwise on the screen."""
    scales: Int[np.ndarray, " examples"]
    """Thousandths of the crop's side that the longer side of the cut-out takes."""
    flips: Int[np.ndarray, " examples"]
    """1 mirrors left and right."""
    down: Int[np.ndarray, " examples"]
    """Of the middle, eighths of a pixel."""
    right: Int[np.ndarray, " examples"]
    brightness: Int[np.ndarray, " examples"]
    """Thousandths that its colors are multiplied with."""

    @staticmethod
    def drawn(n: int, draws: Draws) -> "Placements":
        """`n` of them, everything uniform over its range."""

        def between(low: int, high: int) -> np.ndarray:
            return low + draws.below(high - low + 1, n)

        return Placements(
            turns=between(-MAX_TURN, MAX_TURN),
            scales=between(*SCALES),
            flips=between(0, 1),
            down=between(-MAX_SHIFT, MAX_SHIFT),
            right=between(-MAX_SHIFT, MAX_SHIFT),
            brightness=between(*BRIGHTNESS),
        )


def reduced(cut_outs: list[UInt8[np.ndarray, "_ _ 4"]], side: int = STAMP_SIDE) -> Stamps:
    """Cut-outs without their empty margins, the longer side of each brought to `side` pixels.

    Cut-outs are red, green, blue and opacity; none is all transparent.
    """
    pixels = np.zeros((len(cut_outs), side, side, 4), dtype=np.int64)
    sides = np.empty((len(cut_outs), 2), dtype=np.int64)
    for number, cut_out in enumerate(cut_outs):
        rows, columns = (np.flatnonzero(cut_out[..., 3].any(axis=axis)) for axis in (1, 0))
        inner = cut_out[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.int64)
        inner[..., :3] *= inner[..., 3:]
        inner[..., 3] *= 255
        height, width = (
            max(1, side * length // max(inner.shape[:2])) for length in inner.shape[:2]
        )
        pixels[number, :height, :width] = _averaged(inner, height, width)
        sides[number] = height, width
    return Stamps(pixels, sides)


def pasted(
    crops: UInt8[np.ndarray, "examples crop crop 3"],
    stamps: Stamps,
    which: Int[np.ndarray, " examples"],
    how: Placements,
) -> UInt8[np.ndarray, "examples crop crop 3"]:
    """Each crop with the cut-out number `which` on it; what reaches over the edge is cut off."""
    images = crops.copy()
    angles = [math.radians(turn / 4) for turn in how.turns.tolist()]
    # pixels of the cut-out for an eighth of a pixel of the crop
    zooms = stamps.pixels.shape[1] * 1000 / (8 * crops.shape[1]) / how.scales
    steps = np.array([[math.cos(a), math.sin(a)] for a in angles]) * zooms[:, None]
    _paste(
        images,
        stamps.pixels,
        stamps.sides[which],
        which,
        np.rint(steps * (1 << FIXED_BITS)).astype(np.int64),
        np.stack([how.down, how.right], axis=1),
        how.flips,
        how.brightness,
    )
    return images


def _averaged(
    image: Int[np.ndarray, "h w 4"], height: int, width: int
) -> Int[np.ndarray, "{height} {width} 4"]:
    """The image at another size, every new pixel the rounded mean of the area it covers."""
    down, across = _overlaps(image.shape[0], height), _overlaps(image.shape[1], width)
    sums = np.einsum("tj,ujc->tuc", across, np.einsum("sj,jkc->skc", down, image))
    area = image.shape[0] * image.shape[1]
    return ((2 * sums + area) // (2 * area)).transpose(1, 0, 2)


def _overlaps(old: int, new: int) -> Int[np.ndarray, "{new} {old}"]:
    """How much of each of `old` pixels lies in each of `new` ones, in 1 / `new` old pixels."""
    ends = np.minimum((np.arange(new)[:, None] + 1) * old, (np.arange(old)[None, :] + 1) * new)
    starts = np.maximum(np.arange(new)[:, None] * old, np.arange(old)[None, :] * new)
    return np.maximum(ends - starts, 0)


@no_type_check
@njit(cache=True)
def _paste(images, stamps, sides, which, steps, shifts, flips, brightness):
    """Lay the cut-outs on `images`, in place."""
    n, side = images.shape[0], images.shape[1]
    n_points = POINTS * POINTS
    whole = n_points * OPAQUE
    sums = np.zeros(4, np.int64)
    for row in range(n):
        height, width = sides[row]
        cosine, sine = steps[row]
        for y in range(side):
            for x in range(side):
                sums[:] = 0
                for point in range(n_points):
                    # from the middle of the cut-out, in eighths of a pixel
                    down = 8 * y + 2 * (point // POINTS) + 1 - 4 * side - shifts[row, 0]
                    right = 8 * x + 2 * (point % POINTS) + 1 - 4 * side - shifts[row, 1]
                    v = (cosine * down + sine * right + (height << FIXED_BITS - 1)) >> FIXED_BITS
                    u = cosine * right - sine * down
                    if flips[row]:
                        u = -u
                    u = (u + (width << FIXED_BITS - 1)) >> FIXED_BITS
                    if 0 <= v < height and 0 <= u < width:
                        for channel in range(4):
                            sums[channel] += stamps[which[row], v, u, channel]
                for channel in range(3):
                    # no color is more than its opacity lets through
                    color = min(sums[channel] * brightness[row] // 1000, sums[3])
                    behind = images[row, y, x, channel] * (whole - sums[3])
                    images[row, y, x, channel] = (color * 255 + behind + whole // 2) // whole
