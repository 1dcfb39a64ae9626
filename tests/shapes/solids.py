"""Meshes made by hand."""

import numpy as np

from novelweights.shapes.mesh import Mesh

CORNERS = np.array([[x, y, z] for x in (0.0, 1.0) for y in (0.0, 1.0) for z in (0.0, 1.0)])
SIDES = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
CUBE = Mesh(CORNERS, np.array([(a, *bc) for a, *s in SIDES for bc in (s[:2], s[1:])]))


def both(first, second):
    faces = np.concatenate([first.faces, second.faces + len(first.vertices)])
    return Mesh(np.concatenate([first.vertices, second.vertices]), faces)


def sphere(center=(0.0, 0.0, 0.0), radius=1.0, n=40, top=np.pi):
    """Vertices on a sphere by latitude and longitude, from the pole down to the angle `top`."""
    theta, phi = np.linspace(0, top, n), np.linspace(0, 2 * np.pi, 2 * n, endpoint=False)
    t, p = np.meshgrid(theta, phi, indexing="ij")
    points = np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], axis=-1)
    i, j = np.meshgrid(np.arange(n - 1), np.arange(2 * n), indexing="ij")
    k = (j + 1) % (2 * n)
    a, b, c, d = (row * 2 * n + column for row, column in ((i, j), (i + 1, j), (i + 1, k), (i, k)))
    faces = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)]).reshape(-1, 3)
    return Mesh(np.array(center) + radius * points.reshape(-1, 3), faces)
