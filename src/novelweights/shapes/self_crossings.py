"""Faces of a mesh that cross each other.

Two faces cross if an edge of one goes through the inside of the other. Faces that share a vertex
and faces in one plane are not compared, so the number is a lower bound.
"""

from typing import no_type_check

import numpy as np
from numba import njit

from novelweights.shapes.mesh import Mesh


def n_crossings(mesh: Mesh, *, at_most: int = 1000) -> int:
    """How many pairs of faces cross; counting ends at `at_most`. The mesh has to be finite.

    Source: ours; Moeller and Trumbore 1997 for an edge and a triangle.
    """
    extent = np.abs(mesh.vertices).max(initial=0.0) or 1.0  # products stay finite
    mesh = Mesh(mesh.vertices / extent, mesh.faces)
    order = np.argsort(mesh.triangles[:, :, 0].min(axis=1), kind="stable")
    triangles = np.ascontiguousarray(mesh.triangles[order])
    return int(_count(triangles, mesh.faces[order], at_most))


@njit(cache=True, nogil=True)
@no_type_check
def _count(triangles: np.ndarray, faces: np.ndarray, at_most: int) -> int:
    """Sweeps over faces by their smallest x; boxes that do not meet are passed over."""
    n = len(triangles)
    low, high = np.empty((n, 3)), np.empty((n, 3))
    for i in range(n):
        for axis in range(3):
            a, b, c = triangles[i, 0, axis], triangles[i, 1, axis], triangles[i, 2, axis]
            low[i, axis], high[i, axis] = min(a, b, c), max(a, b, c)
    found = 0
    for i in range(n):
        for j in range(i + 1, n):
            if low[j, 0] > high[i, 0]:
                break
            apart = (
                low[j, 1] > high[i, 1]
                or low[i, 1] > high[j, 1]
                or low[j, 2] > high[i, 2]
                or low[i, 2] > high[j, 2]
            )
            if apart or _share(faces[i], faces[j]):
                continue
            if _pierces(triangles[i], triangles[j]) or _pierces(triangles[j], triangles[i]):
                found += 1
                if found >= at_most:
                    return found
    return found


@njit(cache=True, nogil=True)
@no_type_check
def _share(one: np.ndarray, other: np.ndarray) -> bool:
    for a in one:
        for b in other:
            if a == b:
                return True
    return False


@njit(cache=True, nogil=True)
@no_type_check
def _pierces(edges: np.ndarray, face: np.ndarray) -> bool:
    """Whether an edge of the first triangle goes through the inside of the second."""
    u, v = _from(face[0], face[1]), _from(face[0], face[2])
    for k in range(3):
        along = _from(edges[k], edges[(k + 1) % 3])
        p = _cross(along, v)
        volume = _dot(u, p)
        if volume == 0.0:
            continue
        away = _from(face[0], edges[k])
        a = _dot(away, p) / volume
        if a <= 0.0 or a >= 1.0:
            continue
        q = _cross(away, u)
        b = _dot(along, q) / volume
        if b <= 0.0 or a + b >= 1.0:
            continue
        t = _dot(v, q) / volume
        if 0.0 < t < 1.0:
            return True
    return False


@njit(cache=True, nogil=True)
@no_type_check
def _from(start: np.ndarray, end: np.ndarray) -> tuple[float, float, float]:
    return end[0] - start[0], end[1] - start[1], end[2] - start[2]


@njit(cache=True, nogil=True)
@no_type_check
def _cross(
    a: tuple[float, float, float], b: tuple[float, float, float]
) -> tuple[float, float, float]:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@njit(cache=True, nogil=True)
@no_type_check
def _dot(a: tuple[float, float, float], b: tuple[float, float, float]) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
