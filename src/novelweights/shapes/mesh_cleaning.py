"""Meshes put together and tidied: parts joined, equal corners made one, empty faces left out."""

from collections.abc import Sequence

import numpy as np

from novelweights.shapes.mesh import Mesh


def joined(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> Mesh:
    """One mesh of vertices (v, 3) and faces (f, 3) of several; the faces of each name its own."""
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in parts)])
    shifted = [faces + start for (_, faces), start in zip(parts, starts, strict=False)]
    return Mesh(
        np.concatenate([np.zeros((0, 3)), *(vertices for vertices, _ in parts)]),
        np.concatenate([np.zeros((0, 3), np.int64), *shifted]),
    )


def cleaned(mesh: Mesh) -> Mesh:
    """The same surface, its vertices at the very same place made one, without what draws nothing.

    Left out are vertices without a face, faces that name a vertex twice, and faces of the same
    three vertices as an earlier one, whichever way round. Vertices are sorted by coordinates.
    """
    places, row = np.unique(mesh.vertices + 0.0, axis=0, return_inverse=True)  # -0.0 is 0.0
    faces = row.reshape(-1)[mesh.faces].reshape(-1, 3)
    corners = np.sort(faces, axis=1)
    faces = faces[(corners[:, 1:] != corners[:, :-1]).all(axis=1)]
    _, first = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    faces = faces[np.sort(first)]
    used, renamed = np.unique(faces, return_inverse=True)
    return Mesh(places[used], renamed.reshape(-1, 3).astype(np.int64))
