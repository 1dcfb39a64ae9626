"""Triangle meshes: what one is, whether it is closed, points on it, its place in the cube."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from novelweights.errors import InputError

HALF_EXTENT = 0.475
"""Largest |coordinate| of a placed shape; the cube is [-0.5, 0.5]^3. Source: HyperDiffusion."""


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

    @cached_property
    def volume(self) -> float:
        """Signed volume, positive if faces point outward; meaningful if the mesh is watertight."""
        a, b, c = np.moveaxis(self.triangles, 1, 0)
        return float((a * np.cross(b, c)).sum() / 6)

    @cached_property
    def is_watertight(self) -> bool:
        """Every edge belongs to exactly two faces; vertices are compared by row, not by place."""
        keys = self._edges()
        _, counts = np.unique(np.minimum(*keys), return_counts=True)
        return not self.is_empty and bool((counts == 2).all())

    @cached_property
    def is_oriented(self) -> bool:
        """Watertight, and the two faces of an edge run along it in opposite directions."""
        there, back = (np.sort(keys) for keys in self._edges())
        once = bool((there[1:] != there[:-1]).all())
        return self.is_watertight and once and bool((there == back).all())

    @cached_property
    def bodies(self) -> int:
        """Pieces that share no vertex; vertices without a face count for none."""
        n = len(self.vertices)
        used = np.unique(self.faces)
        ends = self.faces[:, [0, 0]].ravel(), self.faces[:, [1, 2]].ravel()
        links = coo_array((np.ones(len(ends[0]), np.int8), ends), shape=(n, n))
        _, labels = connected_components(links, directed=False)
        return len(np.unique(labels[used]))

    def _edges(self) -> tuple[Int[np.ndarray, " e"], Int[np.ndarray, " e"]]:
        """Every directed edge as one number, and the same edge the other way round."""
        starts, ends = self.faces.ravel(), np.roll(self.faces, -1, axis=1).ravel()
        n = len(self.vertices)
        return starts * n + ends, ends * n + starts


def placed(mesh: Mesh, half_extent: float = HALF_EXTENT) -> Mesh:
    """The mesh centered on the mean of its vertices, its largest |coordinate| `half_extent`.

    Vertices without a face count too, as in the released code. Source: HyperDiffusion.

    Raises:
        InputError: No vertices, vertices that are not finite, or all at one point.
    """
    if not len(mesh.vertices) or not mesh.is_finite:
        what = "coordinates that are not finite" if len(mesh.vertices) else "no vertices"
        raise InputError(f"a mesh to be placed needs finite vertices, got {what}: leave it out")
    centered = mesh.vertices - mesh.vertices.mean(axis=0)
    extent = np.abs(centered).max()
    if not 0 < extent < np.inf:
        raise InputError(
            f"a mesh to be placed needs an extent above 0, got {extent} from its center: leave it "
            f"out"
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
            f"{len(mesh.faces)} faces: leave the mesh out"
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
