"""Triangle meshes: what one is, points on it, its place in the cube."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int64

from novelweights.errors import InputError

HALF_EXTENT = 0.475
"""Largest |coordinate| of a placed shape; the cube is [-0.5, 0.5]^3. Source: HyperDiffusion."""

Part = tuple[Float64[np.ndarray, "v 3"], Int64[np.ndarray, "f 3"]]
"""Vertices, and faces that name them."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh, possibly empty, open or not finite: ask the properties.

    Closed surfaces are oriented outward (counterclockwise seen from outside) by those who make
    them. A face may be degenerate; it then has no area.

    Attributes:
        vertices: One unit = the side of the cube once placed; until then the units of the file.
        faces: Rows of `vertices`, three a face.

    Raises:
        ValueError: Shapes or dtypes are others, or a face names a vertex that is not there.
    """

    vertices: Float64[np.ndarray, "v 3"]
    faces: Int64[np.ndarray, "f 3"]

    def __post_init__(self) -> None:
        for name, array, dtype in (
            ("vertices", self.vertices, np.float64),
            ("faces", self.faces, np.int64),
        ):
            if array.ndim != 2 or array.shape[1] != 3 or array.dtype != dtype:
                raise ValueError(
                    f"{name} are {np.dtype(dtype)} of shape (n, 3), got {array.dtype} of shape "
                    f"{array.shape}"
                )
        if len(self.faces) and not (
            self.faces.min() >= 0 and self.faces.max() < len(self.vertices)
        ):
            raise ValueError(
                f"faces name vertices {self.faces.min()} to {self.faces.max()} of "
                f"{len(self.vertices)} vertices"
            )

    @property
    def is_empty(self) -> bool:
        """No face: no surface."""
        return len(self.faces) == 0

    @cached_property
    def is_finite(self) -> bool:
        """All coordinates are finite."""
        return bool(np.isfinite(self.vertices).all())

    @property
    def triangles(self) -> Float64[np.ndarray, "f 3 3"]:
        """Corners of each face: face, corner, coordinate."""
        return self.vertices[self.faces]

    @cached_property
    def areas(self) -> Float64[np.ndarray, " f"]:
        """Area of each face, in squared units of the vertices."""
        a, b, c = np.moveaxis(self.triangles, 1, 0)
        return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def joined(parts: Sequence[Part]) -> Mesh:
    """One mesh of several parts."""
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in parts)])
    shifted = [faces + start for (_, faces), start in zip(parts, starts, strict=False)]
    return Mesh(
        np.concatenate([np.zeros((0, 3)), *(vertices for vertices, _ in parts)]),
        np.concatenate([np.zeros((0, 3), np.int64), *shifted]),
    )


def placed(mesh: Mesh, half_extent: float = HALF_EXTENT) -> Mesh:
    """The mesh centered on the mean of its vertices, its largest |coordinate| `half_extent`.

    Vertices without a face count too, as in the released code. Source: HyperDiffusion.

    Raises:
        InputError: No vertices, vertices that are not finite, or all at one point.
    """
    if not len(mesh.vertices) or not mesh.is_finite:
        what = "coordinates that are not finite" if len(mesh.vertices) else "no vertices"
        raise InputError(
            f"a mesh to be placed needs finite vertices, got {what}: leave it out", "wrong-mesh"
        )
    centered = mesh.vertices - mesh.vertices.mean(axis=0)
    extent = np.abs(centered).max()
    if not 0 < extent < np.inf:
        raise InputError(
            f"a mesh to be placed needs an extent above 0, got {extent} from its center: leave it "
            "out",
            "wrong-mesh",
        )
    return Mesh(centered * (half_extent / extent), mesh.faces)


def sample_surface(mesh: Mesh, n: int, rng: np.random.Generator) -> Float64[np.ndarray, "n 3"]:
    """`n` points drawn uniformly by area, independent of each other.

    A face is drawn with probability proportional to its area, then a point of it uniformly.
    Degenerate faces have no area and get no point.

    Raises:
        InputError: The mesh has no area, or one that is not finite.
    """
    area = mesh.areas.sum() if mesh.is_finite else np.nan
    if not 0 < area < np.inf:
        raise InputError(
            f"points are drawn from a surface with a finite area above 0, got area {area} of "
            f"{len(mesh.faces)} faces: leave the mesh out",
            "wrong-mesh",
        )
    total = np.cumsum(mesh.areas)
    # side="right" never chooses a face without area; the last with area catches rounding
    last = np.flatnonzero(mesh.areas)[-1]
    chosen = np.minimum(np.searchsorted(total, rng.random(n) * total[-1], side="right"), last)
    u, v = rng.random((2, n, 1))
    outside = u + v > 1
    u, v = np.where(outside, 1 - u, u), np.where(outside, 1 - v, v)
    a, b, c = np.moveaxis(mesh.triangles[chosen], 1, 0)
    return a + u * (b - a) + v * (c - a)
