"""A procedural family of airplanes with known parameters: draws, records, surfaces.

In place of a set of meshes that cannot be shared: any number of airplanes, each one closed body.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from scipy.special import ndtr, ndtri
from skimage.measure import marching_cubes
from torch import Tensor

from novelweights.errors import InputError, unknown_name
from novelweights.seeding import Draws
from novelweights.shapes.airplane_classes import CLASSES, COLUMNS, AirplaneClass, Range
from novelweights.shapes.airplane_frame import GRID
from novelweights.shapes.airplane_shape import signed_distance
from novelweights.shapes.mesh import Mesh

SPLITS = ("train", "validation", "test")
WIDTH = 4
"""Standard deviations between the low and the high end of a range."""
BLOCK = 4
"""Grid points per side of the blocks in which a surface is sought."""


@dataclass(frozen=True, eq=False)
class Airplanes:
    """Airplanes as rows of parameters; the columns are those of `COLUMNS`."""

    classes: tuple[str, ...]
    parameters: Float64[Tensor, "n k"]

    def __post_init__(self) -> None:
        if self.parameters.shape != (len(self.classes), len(COLUMNS)):
            raise ValueError(
                f"{len(self.classes)} airplanes have {len(COLUMNS)} parameters each, got "
                f"{tuple(self.parameters.shape)}"
            )
        for name in sorted(set(self.classes) - set(CLASSES)):
            raise unknown_name("class of airplanes", name, CLASSES)
        if not self.parameters.isfinite().all():
            raise InputError(
                "parameters of airplanes are finite, got others: draw them anew", "not-finite"
            )

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def records(self) -> dict[str, list[float]]:
        """Column by column, by name, for a population's records."""
        return {name: self.parameters[:, i].tolist() for i, name in enumerate(COLUMNS)}


def draw(
    n: int, classes: Sequence[str] = tuple(CLASSES), *, seed: int, split: str = "train"
) -> Airplanes:
    """`n` airplanes, of the classes in turn; the first of them do not depend on `n`.

    Every parameter is from a normal cut off at the ends of its class's range, independent of the
    others but for the class's variants. Splits and seeds have streams of their own, so no airplane
    is in two of them. The same everywhere up to the last digits.

    Raises:
        InputError: An unknown class or split, none, or a number below 1.

    Source: ours; ranges of real aircraft, see `airplane_classes`.
    """
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    if n < 1 or not classes:
        raise InputError(
            f"expected at least one airplane of at least one class, got {n} of {len(classes)} "
            "classes: ask for more",
            "too-few",
        )
    for name in classes:
        if name not in CLASSES:
            raise unknown_name("class of airplanes", name, CLASSES)
    bits = Draws("airplanes", split, str(seed)).bits
    raw = bits.random_raw(n * (len(COLUMNS) + 1)).reshape(n, -1)
    uniform = ((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    names = tuple(classes[i % len(classes)] for i in range(n))
    table = np.zeros((n, len(COLUMNS)))
    for name in set(names):
        rows = np.flatnonzero([other == name for other in names])
        table[rows] = _from_uniform(CLASSES[name], uniform[rows])
    return Airplanes(names, torch.from_numpy(table))


def _from_uniform(of: AirplaneClass, uniform: np.ndarray) -> np.ndarray:
    """Parameters of one class; the first number of a row chooses the variant."""
    table = np.zeros((len(uniform), len(COLUMNS)))
    ends = np.cumsum([variant.share for variant in of.variants])
    variants = np.searchsorted(ends / ends[-1], uniform[:, 0], side="right")
    for i, variant in enumerate(of.variants):
        rows = variants == i
        ranges = of.ranges | variant.ranges
        for column, name in enumerate(COLUMNS):
            table[rows, column] = _in_range(ranges.get(name, 0.0), uniform[rows, column + 1])
    return table


def _in_range(limits: Range, uniform: np.ndarray) -> np.ndarray:
    """The cut-off normal at these quantiles."""
    if not isinstance(limits, tuple):
        return np.full(len(uniform), limits)
    low, middle, high = limits
    spread = (high - low) / WIDTH
    first, last = ndtr((low - middle) / spread), ndtr((high - middle) / spread)
    return np.clip(middle + spread * ndtri(first + (last - first) * uniform), low, high)


def airplane_mesh(parameters: Float64[Tensor, " k"], resolution: int = GRID) -> Mesh:
    """The surface of one airplane in the cube, by marching cubes on `resolution` points per axis.

    Closed, oriented outward and one body from `GRID` points on; with fewer, thin parts may break.
    Only blocks near the surface are evaluated: signed distances prove that the others hold none.

    Raises:
        InputError: Fewer than 2 blocks of points per axis.
    """
    if resolution < 2 * BLOCK:
        raise InputError(
            f"expected at least {2 * BLOCK} points per axis, got {resolution}", "too-few"
        )
    values, corner = _values_near_surface(parameters, resolution)
    spacing = 1 / (resolution - 1)
    vertices, faces, _, _ = marching_cubes(
        values.numpy(), 0.0, spacing=(spacing,) * 3, gradient_direction="descent"
    )
    return Mesh(vertices.astype(np.float64) + corner, faces.astype(np.int64))


def _values_near_surface(
    parameters: Float64[Tensor, " k"], resolution: int
) -> tuple[Float[Tensor, "x y z"], Float[np.ndarray, " 3"]]:
    """Signed distances on the box of blocks that the surface meets, and its first corner.

    Blocks without surface hold the value at their center: all their points have its sign, and so
    have the neighbors of these points.
    """
    spacing = 1 / (resolution - 1)
    n_blocks = -(-resolution // BLOCK)
    centers = (torch.arange(n_blocks) * BLOCK + (BLOCK - 1) / 2) * spacing - 0.5
    grid = torch.cartesian_prod(centers, centers, centers)
    middle = signed_distance(parameters[None], grid)[0].reshape((n_blocks,) * 3)
    reach = (BLOCK - 1) / 2 * 3**0.5 * spacing + spacing
    near = (middle.abs() <= reach * 1.001).nonzero()
    low, high = near.amin(0), near.amax(0) + 1
    values = middle[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].clone()
    for axis in range(3):
        values = values.repeat_interleave(BLOCK, dim=axis)
    inner = torch.arange(BLOCK)
    offsets = torch.cartesian_prod(inner, inner, inner)
    index = near[:, None, :] * BLOCK + offsets
    exact = signed_distance(parameters[None], (index.float() * spacing - 0.5).reshape(-1, 3))[0]
    x, y, z = (index - low * BLOCK).reshape(-1, 3).unbind(1)
    values[x, y, z] = exact
    return values, low.numpy() * (BLOCK * spacing) - 0.5
