"""Closed surfaces around open ones: game models and ShapeNet's meshes have no inside of their own.

The repair is the Manifold method of point_cloud_utils, the relative of the ManifoldPlus that
HyperDiffusion's meshes went through. What comes out encloses the surface at a distance of about
one cell, so thin sheets become thin bodies.
"""

import importlib.util

import numpy as np

from novelweights.errors import InputError
from novelweights.shapes.mesh import Mesh
from novelweights.shapes.mesh_cleaning import cleaned
from novelweights.shapes.mesh_faults import UNUSABLE, faults_of

RESOLUTION = 20_000
"""Cells at the surface, about; five times as many faces come out. Source: ours, by trial."""


def watertight(mesh: Mesh, *, resolution: int = RESOLUTION, seed: int = 0) -> Mesh:
    """A closed mesh around the same shape, its faces outward, in the units of the mesh.

    The result is the same for the same mesh, resolution and seed.

    Raises:
        InputError: The extra `meshes` is not installed, the mesh has a fault that cannot be
            mended, or what came out is not closed.
    """
    if importlib.util.find_spec("point_cloud_utils") is None:
        raise InputError(
            "making meshes watertight needs point_cloud_utils, which is not installed; run "
            "`pip install 'novelweights[meshes]'`"
        )
    import point_cloud_utils  # an optional extra

    if faults := UNUSABLE & faults_of(mesh):
        raise InputError(
            f"a mesh to be made watertight has an extent in space, got one that is "
            f"{', '.join(sorted(faults))}: leave it out"
        )
    plain = cleaned(mesh)
    low, high = plain.vertices.min(axis=0), plain.vertices.max(axis=0)
    middle, half = low / 2 + high / 2, float((high / 2 - low / 2).max())
    vertices, faces = point_cloud_utils.make_mesh_watertight(
        (plain.vertices - middle) / half, plain.faces, resolution=resolution, seed=seed
    )
    closed = Mesh(
        np.asarray(vertices, np.float64).reshape(-1, 3),
        np.asarray(faces, np.int64).reshape(-1, 3),
    )
    if not (closed.is_finite and closed.is_oriented and closed.volume > 0):
        raise InputError(
            f"expected a closed mesh from the repair, got one of {len(closed.faces)} faces that is "
            "not: leave it out, or try another resolution"
        )
    return Mesh(closed.vertices * half + middle, closed.faces)
