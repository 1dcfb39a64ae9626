"""Meshes of files made ready for fields: their faults told, closed, kept in the cache folder.

A mesh without a fault is taken as it is, one that can be mended is made watertight, others are
refused. What comes out is kept, since reading, looking for faults and mending take seconds for
each mesh; it takes about a megabyte for each.
"""

import hashlib
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from novelweights.data.fetch import cache_dir
from novelweights.errors import InputError
from novelweights.files import replacing, sha256_of
from novelweights.shapes.mesh import Mesh
from novelweights.shapes.mesh_faults import faults_of
from novelweights.shapes.mesh_files import read_mesh
from novelweights.shapes.watertight import RESOLUTION, watertight

FOLDER = "mended-meshes"
VERSION = 1
"""Counted up when the same file would come out otherwise."""
UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
"""What a file of the cache raises that is not there or damaged."""


@dataclass(frozen=True)
class MeshFile:
    """A file with one shape."""

    path: Path
    read: Callable[[Path], Mesh] = read_mesh
    read_as: str = ""
    """Names `read`, if it is another than `read_mesh`."""


@dataclass(frozen=True, eq=False)
class MendedMesh:
    """A mesh that a field can be fitted to, in the units of its file."""

    mesh: Mesh
    """Closed; its coordinates are rounded to single precision."""
    faults: frozenset[str]
    """Of the mesh in the file, see `faults_of`."""


def repair() -> str:
    """What mends meshes here, in words.

    Raises:
        InputError: The extra `meshes` is not installed.
    """
    try:
        return f"point_cloud_utils {metadata.version('point_cloud_utils')}, {RESOLUTION} cells"
    except metadata.PackageNotFoundError as error:
        raise InputError(
            "shapes of mesh files may have to be mended, which needs point_cloud_utils, which is "
            "not installed; run `pip install 'novelweights[meshes]'`"
        ) from error


def mended_mesh(file: MeshFile) -> MendedMesh:
    """The mesh of a file, from the cache if it was mended before.

    Raises:
        InputError: The file cannot be read, its mesh cannot be mended, or as `repair`.
    """
    try:
        kept = cache_dir() / FOLDER / f"{_digest(file)}.npz"
    except OSError as error:
        raise InputError(
            f"{file.path}: expected a mesh file that can be read ({error.strerror}); check the "
            "path and its permissions"
        ) from error
    try:
        with kept.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            mesh = Mesh(stored["vertices"].astype(np.float64), stored["faces"].astype(np.int64))
            return MendedMesh(mesh, frozenset(stored["faults"].tolist()))
    except UNREADABLE:
        pass  # not there yet, or damaged: mend again
    made = _mended(file)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as temporary, temporary.open("wb") as out:
            np.savez_compressed(
                out,
                vertices=made.mesh.vertices.astype(np.float32),
                faces=made.mesh.faces.astype(np.int32),
                faults=np.array(sorted(made.faults), dtype=str),
            )
    except OSError:
        pass  # a cache that cannot be written costs time, not correctness
    return made


def _mended(file: MeshFile) -> MendedMesh:
    mesh = file.read(file.path)
    faults = faults_of(mesh)
    try:
        closed = watertight(mesh, resolution=RESOLUTION) if faults else mesh
    except InputError as error:
        raise InputError(f"{file.path}: {error}") from error
    rounded = closed.vertices.astype(np.float32).astype(np.float64)
    return MendedMesh(Mesh(rounded, closed.faces), faults)


def _digest(file: MeshFile) -> str:
    """Of the file's bytes and of all else that what comes out depends on."""
    of = f"{VERSION} {repair()} {file.read_as} {sha256_of(file.path)}"
    return hashlib.sha256(of.encode()).hexdigest()
