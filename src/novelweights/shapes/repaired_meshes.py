"""Closed surfaces around the meshes of files, and which points lie inside of one.

Game models and ShapeNet's meshes have no inside of their own: they are open, cut themselves or are
turned inside out. Hence every one is repaired, by the Manifold method of point_cloud_utils (the
extra `meshes`), the relative of the ManifoldPlus that all of HyperDiffusion's meshes went through.
What comes out encloses the surface at a distance of about one cell, so thin sheets become thin
bodies. It is kept in the cache folder, about a megabyte each, since a repair takes seconds.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Bool, Float

from novelweights.data.cache import kept_arrays
from novelweights.errors import InputError
from novelweights.files import sha256_of
from novelweights.shapes.mesh import Mesh
from novelweights.shapes.mesh_files import read_mesh

RESOLUTION = 20_000
"""Cells at the surface, about; five times as many faces come out. Source: ours, by trial."""
MAX_FACES = 2_000_000
"""Of a mesh to repair."""
FLATNESS = 1e-6
"""A mesh is flat if the third singular value of its vertices is at most this share of the first,
about what single precision leaves of a plane. Source: ours."""
FOLDER = "repaired-meshes"
VERSION = 2
"""Counted up when the same file would come out otherwise."""


@dataclass(frozen=True)
class MeshFile:
    """A file with one shape."""

    path: Path
    read: Callable[[Path], Mesh] = read_mesh
    read_as: str = ""
    """Names `read`, if it is another than `read_mesh`."""


def repair_method() -> str:
    """What repairs meshes here, in words.

    Raises:
        InputError: The extra `meshes` is not installed.
    """
    try:
        return f"point_cloud_utils {metadata.version('point_cloud_utils')}, {RESOLUTION} cells"
    except metadata.PackageNotFoundError as error:
        raise InputError(
            "shapes of mesh files are repaired and judged by point_cloud_utils, which is not "
            "installed; run `pip install 'novelweights[meshes]'`",
            "not-installed",
        ) from error


def repaired(mesh: Mesh, resolution: int) -> Mesh:
    """A closed mesh around the same shape, its faces outward, in the units of the mesh.

    The result is the same for the same mesh and resolution.

    Raises:
        InputError: The mesh has too many faces, no extent in space or no area, what came out is
            not closed, or as `repair_method`.
    """
    repair_method()
    import point_cloud_utils  # an optional extra

    if len(mesh.faces) > MAX_FACES:
        raise InputError(
            f"expected a mesh of at most {MAX_FACES} faces, got {len(mesh.faces)}: simplify it",
            "too-large",
        )
    if mesh.is_empty or not mesh.is_finite:
        raise _no_body("no face" if mesh.is_empty else "coordinates that are not finite")
    used, faces = np.unique(mesh.faces, return_inverse=True)
    vertices = mesh.vertices[used]
    low, high = vertices.min(axis=0) / 2, vertices.max(axis=0) / 2
    middle, half = low + high, float((high - low).max())
    if half == 0:
        raise _no_body("a single place")
    plain = Mesh((vertices - middle) / half, faces.reshape(-1, 3))
    spread = np.linalg.svd(plain.vertices - plain.vertices.mean(axis=0), compute_uv=False)
    if len(spread) < 3 or spread[2] <= FLATNESS * spread[0] or plain.areas.sum() == 0:
        raise _no_body("all in one plane, or no area")
    vertices, faces = point_cloud_utils.make_mesh_watertight(
        plain.vertices, plain.faces, resolution=resolution, seed=0
    )
    if not trimesh.Trimesh(vertices, faces, process=False).is_volume:
        raise InputError(
            f"expected a closed mesh from the repair, got one of {len(faces)} faces that is not: "
            "leave it out, or try another resolution",
            "wrong-mesh",
        )
    return Mesh(vertices.astype(np.float64) * half + middle, faces.astype(np.int64))


def _no_body(what: str) -> InputError:
    return InputError(
        f"expected a mesh with an extent in space, got {what}: leave it out", "wrong-mesh"
    )


def inside(mesh: Mesh, points: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
    """True where the winding number of a mesh is at least 0.5: HyperDiffusion's rule.

    By fast winding numbers (Barill et al., 2018), as there: around a closed mesh they are within a
    few thousandths of 0 and 1, so that no point is on the wrong side.

    Raises:
        InputError: As `repair_method`.
    """
    repair_method()
    from point_cloud_utils import triangle_soup_fast_winding_number  # an optional extra

    return triangle_soup_fast_winding_number(mesh.vertices, mesh.faces, np.float64(points)) >= 0.5


def repaired_mesh(file: MeshFile) -> Mesh:
    """The mesh of a file, repaired, its coordinates rounded to single precision.

    From the cache if it was repaired before.

    Raises:
        InputError: The file cannot be read, or as `repaired`.
    """
    try:
        digest = sha256_of(file.path)
    except OSError as error:
        raise InputError(
            f"{file.path}: expected a mesh file that can be read ({error.strerror}); check the "
            "path and its permissions",
            "not-found",
        ) from error
    key = f"{VERSION} {repair_method()} {file.read_as} {digest}"

    def make() -> dict[str, np.ndarray]:
        mesh = file.read(file.path)
        try:
            closed = repaired(mesh, RESOLUTION)
        except InputError as error:
            raise InputError(f"{file.path}: {error}", error.code) from error
        vertices, faces = closed.vertices.astype(np.float32), closed.faces.astype(np.int32)
        return {"vertices": vertices, "faces": faces}

    kept = kept_arrays(f"{FOLDER}/{hashlib.sha256(key.encode()).hexdigest()}.npz", make)
    return Mesh(kept["vertices"].astype(np.float64), kept["faces"].astype(np.int64))
