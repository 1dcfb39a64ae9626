"""What is wrong with a mesh, by name, and how often over many meshes."""

from collections import Counter
from collections.abc import Iterable

import numpy as np

from novelweights.shapes.mesh import Mesh
from novelweights.shapes.mesh_cleaning import cleaned
from novelweights.shapes.self_crossings import n_crossings

EMPTY = "empty"
NOT_FINITE = "not finite"
HUGE = "huge"
FLAT = "flat"
OPEN = "open"
NON_MANIFOLD = "non-manifold"
TURNED = "inconsistently oriented"
INSIDE_OUT = "inside out"
CROSSING = "self-intersecting"
MAX_FACES = 2_000_000
FLATNESS = 1e-6
"""A mesh is flat if the third singular value of its vertices is at most this share of the first,
about what single precision leaves of a plane. Source: ours."""
UNUSABLE = frozenset({EMPTY, NOT_FINITE, HUGE, FLAT})
"""No repair helps; such a mesh has no inside that could be learned."""


def faults_of(mesh: Mesh, *, max_faces: int = MAX_FACES) -> frozenset[str]:
    """The names of all that is wrong, none for a closed surface that faces outward.

    Vertices at the very same place count as one and faces without an extent as none. A mesh with a
    fault of `UNUSABLE` is looked at no further.

    - empty: no face with three different corners; not finite: a coordinate is NaN or infinite;
      huge: more than `max_faces` faces; flat: all vertices in one plane
    - open: an edge of one face only; non-manifold: an edge of three or more
    - inconsistently oriented: two faces run along their edge the same way; inside out: closed and
      consistent, but the volume is negative
    - self-intersecting: faces that share no vertex cross, see `shapes/self_crossings.py`
    """
    if not mesh.is_finite:
        return frozenset({NOT_FINITE})
    if len(mesh.faces) > max_faces:
        return frozenset({HUGE})
    mesh = cleaned(mesh)
    if mesh.is_empty:
        return frozenset({EMPTY})
    extent = np.abs(mesh.vertices).max()  # above 0, since three places differ
    mesh = Mesh(mesh.vertices / extent, mesh.faces)  # squares and products stay finite
    if _is_flat(mesh.vertices):
        return frozenset({FLAT})
    ends = np.stack([mesh.faces.ravel(), np.roll(mesh.faces, -1, axis=1).ravel()], axis=1)
    _, edge, counts = np.unique(
        np.sort(ends, axis=1), axis=0, return_inverse=True, return_counts=True
    )
    upward = np.bincount(edge.reshape(-1), weights=ends[:, 0] < ends[:, 1])
    twice = counts == 2
    found = {
        OPEN: bool((counts == 1).any()),
        NON_MANIFOLD: bool((counts > 2).any()),
        TURNED: bool((upward[twice] != 1).any()),
        CROSSING: n_crossings(mesh, at_most=1) > 0,
    }
    found[INSIDE_OUT] = not any(found.values()) and mesh.volume < 0
    return frozenset(name for name, is_there in found.items() if is_there)


def counted(faults: Iterable[Iterable[str]]) -> dict[str, int]:
    """How many meshes have each fault, the most frequent first."""
    return dict(Counter(name for of_one in faults for name in of_one).most_common())


def _is_flat(vertices: np.ndarray) -> bool:
    centered = vertices - vertices.mean(axis=0)
    spread = np.linalg.svd(centered, compute_uv=False)
    return len(spread) < 3 or bool(spread[2] <= FLATNESS * spread[0])
