"""Inside or outside of a triangle mesh, by its generalized winding number, exactly.

The winding number of a point is the solid angle under which it sees the faces, over 4 pi: 1 inside
and 0 outside a closed surface, in between near the holes of an open one (Jacobson, Kavan and
Sorkine-Hornung, 2013). Faces are kept in a tree of boxes. A point outside of a box sees the faces
in it under the same angle as any other surface with the same boundary within the box, so a fan
over the boundary edges takes their place: no approximation, unlike the fast winding number that
HyperDiffusion calls. Where that one is right to its last digits, the two agree.
"""

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Bool, Float64, Int
from numba import njit, prange

from novelweights.errors import InputError
from novelweights.shapes.mesh import Mesh

LEAF = 24
"""Faces in the smallest boxes."""
DEPTH = 64
"""Boxes that wait while a point descends; halving cannot need as many."""


class Tree(NamedTuple):
    """Boxes in any order, the first holds all; triangles are corners (3, 3)."""

    low: Float64[np.ndarray, "b 3"]
    high: Float64[np.ndarray, "b 3"]
    child: Int[np.ndarray, "b 2"]
    """Rows of the two halves; -1 for a leaf."""
    own: Int[np.ndarray, "b 2"]
    """Of a leaf: from where to where its faces lie in `triangles`."""
    stand_in: Int[np.ndarray, "b 2"]
    """From where to where what a point outside sees lies in `triangles`."""
    triangles: Float64[np.ndarray, "t 3 3"]


def inside(mesh: Mesh, points: Float64[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
    """True where the winding number is at least 0.5: HyperDiffusion's rule.

    Raises:
        InputError: The mesh is empty or not finite, or a point is not finite.
    """
    return winding_numbers(mesh, points) >= 0.5


def winding_numbers(mesh: Mesh, points: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, " n"]:
    """Turns of the surface around each point; negative if faces point inward.

    Exact up to rounding (1e-12 or so), for open and self-intersecting meshes too. On the surface
    itself either side's number.

    Raises:
        InputError: The mesh is empty or not finite, or a point is not finite.
    """
    if mesh.is_empty or not mesh.is_finite:
        what = "none" if mesh.is_empty else "coordinates that are not finite"
        raise InputError(f"a winding number needs finite faces, got {what}: leave the mesh out")
    if not np.isfinite(points).all():
        raise InputError("winding numbers are of finite points, got others: leave them out")
    return _winding_numbers(np.ascontiguousarray(points), *_tree(mesh))


def _tree(mesh: Mesh) -> Tree:
    # equal corners are one vertex, or faces that meet would not cancel at their edge
    vertices, index = np.unique(mesh.vertices, axis=0, return_inverse=True)
    faces = index.reshape(-1)[mesh.faces]
    corners = vertices[faces]
    centers = corners.mean(axis=1)
    low, high, child, own, stand_in = [], [], [], [], []
    triangles: list[np.ndarray] = []
    n_triangles = 0

    def add(some: np.ndarray) -> tuple[int, int]:
        nonlocal n_triangles
        triangles.append(some)
        n_triangles += len(some)
        return n_triangles - len(some), n_triangles

    waiting = [(np.arange(len(faces)), -1, 0)]
    while waiting:
        rows, parent, half = waiting.pop()
        box = len(low)
        if parent >= 0:
            child[parent][half] = box
        low.append(corners[rows].min(axis=(0, 1)))
        high.append(corners[rows].max(axis=(0, 1)))
        child.append([-1, -1])
        own.append(add(corners[rows]) if len(rows) <= LEAF else (0, 0))
        fan = vertices[_fan(faces[rows], len(vertices))]
        is_shorter = len(rows) > LEAF or len(fan) < len(rows)
        stand_in.append(add(fan) if is_shorter else own[-1])
        if len(rows) > LEAF:
            axis = np.ptp(centers[rows], axis=0).argmax()
            order = rows[np.argsort(centers[rows, axis], kind="stable")]
            middle = len(rows) // 2
            waiting += [(order[:middle], box, 0), (order[middle:], box, 1)]
    return Tree(
        np.array(low),
        np.array(high),
        np.array(child),
        np.array(own),
        np.array(stand_in),
        np.concatenate(triangles),
    )


def _fan(faces: np.ndarray, n_vertices: int) -> np.ndarray:
    """Triangles from one vertex to every boundary edge of the faces: same boundary, as a set."""
    starts, ends = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    # an edge as one number: sorting those is far faster than sorting rows
    keys = np.minimum(starts, ends) * n_vertices + np.maximum(starts, ends)
    keys, which = np.unique(keys, return_inverse=True)
    edges = np.stack(np.divmod(keys, n_vertices), axis=1)
    net = np.zeros(len(edges), np.int64)
    np.add.at(net, which.reshape(-1), np.where(starts < ends, 1, -1))
    net[edges[:, 0] == edges[:, 1]] = 0
    edges = np.where(net[:, None] < 0, edges[:, ::-1], edges)
    edges = np.repeat(edges, np.abs(net), axis=0)
    if not len(edges):
        return np.zeros((0, 3), np.int64)
    apex = edges[0, 0]
    edges = edges[(edges != apex).all(axis=1)]
    return np.column_stack([np.full(len(edges), apex), edges])


@njit(parallel=True, cache=True)
@no_type_check
def _winding_numbers(points, low, high, child, own, stand_in, triangles):
    """Half solid angles are added as a product of complex numbers, whose turns are counted."""
    result = np.empty(len(points))
    for i in prange(len(points)):
        x, y, z = points[i]
        waiting = np.empty(DEPTH, np.int64)
        waiting[0] = 0
        n_waiting = 1
        real, imaginary, turns = 1.0, 0.0, 0
        while n_waiting > 0:
            n_waiting -= 1
            box = waiting[n_waiting]
            is_within = (
                low[box, 0] <= x <= high[box, 0]
                and low[box, 1] <= y <= high[box, 1]
                and low[box, 2] <= z <= high[box, 2]
            )
            if is_within and child[box, 0] >= 0:
                waiting[n_waiting] = child[box, 0]
                waiting[n_waiting + 1] = child[box, 1]
                n_waiting += 2
                continue
            start, end = own[box] if is_within else stand_in[box]
            for t in range(start, end):
                ax, ay, az = triangles[t, 0, 0] - x, triangles[t, 0, 1] - y, triangles[t, 0, 2] - z
                bx, by, bz = triangles[t, 1, 0] - x, triangles[t, 1, 1] - y, triangles[t, 1, 2] - z
                cx, cy, cz = triangles[t, 2, 0] - x, triangles[t, 2, 1] - y, triangles[t, 2, 2] - z
                a = np.sqrt(ax * ax + ay * ay + az * az)
                b = np.sqrt(bx * bx + by * by + bz * bz)
                c = np.sqrt(cx * cx + cy * cy + cz * cz)
                # tan(solid angle / 2) = sine / cosine; Van Oosterom and Strackee, 1983
                sine = (
                    ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
                )
                cosine = (
                    a * b * c
                    + (ax * bx + ay * by + az * bz) * c
                    + (bx * cx + by * cy + bz * cz) * a
                    + (cx * ax + cy * ay + cz * az) * b
                )
                size = abs(sine) + abs(cosine)
                if size == 0.0:
                    continue
                sine, cosine = sine / size, cosine / size
                new_real = real * cosine - imaginary * sine
                new_imaginary = real * sine + imaginary * cosine
                # turned forward over the negative axis, or back over it
                if sine >= 0.0 and imaginary >= 0.0 and new_imaginary < 0.0:
                    turns += 1
                elif sine < 0.0 and imaginary < 0.0 and new_imaginary >= 0.0:
                    turns -= 1
                size = abs(new_real) + abs(new_imaginary)
                real, imaginary = new_real / size, new_imaginary / size
        result[i] = turns + np.arctan2(imaginary, real) / (2 * np.pi)
    return result
