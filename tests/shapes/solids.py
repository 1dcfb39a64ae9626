"""Meshes made by hand, and whether a mesh is closed by trimesh's account."""

import numpy as np
import trimesh

from novelweights.shapes.mesh import Mesh

CORNERS = np.array([[x, y, z] for x in (0.0, 1.0) for y in (0.0, 1.0) for z in (0.0, 1.0)])
SQUARES = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
TRIANGLES = np.array([(a, *bc) for a, *s in SQUARES for bc in (s[:2], s[1:])])
CUBE = Mesh(CORNERS, TRIANGLES)
"""The unit cube, closed, faces outward."""


def with_vertex(place: tuple[float, float, float]) -> Mesh:
    """The cube with its last corner moved."""
    return Mesh(np.vstack([CORNERS[:-1], place]), TRIANGLES)


NAN, FAR = with_vertex((np.nan, 1, 1)), with_vertex((np.inf, 1, 1))


def sphere(radius: float = 1.0, n: int = 20) -> Mesh:
    """Latitudes and longitudes, closed, faces outward; the poles are single vertices."""
    theta, phi = np.pi * np.arange(1, n) / n, np.pi * np.arange(2 * n) / n
    t, p = np.meshgrid(theta, phi, indexing="ij")
    points = np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], -1).reshape(-1, 3)
    vertices = np.vstack([points, [0, 0, 1], [0, 0, -1]])
    i = np.arange(2 * n)
    j, top, bottom = (i + 1) % (2 * n), np.full(2 * n, len(points)), np.full(2 * n, len(points) + 1)
    last = (n - 2) * 2 * n
    faces = [np.stack([top, i, j], 1), np.stack([bottom, last + j, last + i], 1)]
    for row in range(0, last, 2 * n):
        a, b, c, d = row + i, row + 2 * n + i, row + 2 * n + j, row + j
        faces += [np.stack([a, b, c], 1), np.stack([a, c, d], 1)]
    return Mesh(radius * vertices, np.concatenate(faces))


def n_bodies(mesh: Mesh) -> int:
    """Pieces that share no vertex."""
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).body_count


def volume(mesh: Mesh) -> float:
    """Of a mesh that has to be closed, its faces consistent and outward."""
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert solid.is_volume
    return solid.volume
