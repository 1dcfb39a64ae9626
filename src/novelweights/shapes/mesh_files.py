"""Triangle meshes from files: OBJ, PLY, STL and OFF by trimesh, AC3D and 3DS by our own readers.

A format is known by how a file begins, OBJ and STL also by the suffix. What comes out is finite and
has a face; it may be open or cut itself, see `shapes/mesh_faults.py`. Files beside a mesh, such as
materials, are never looked for.
"""

import functools
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import trimesh
from trimesh.exchange.stl import HeaderError

from novelweights.errors import InputError
from novelweights.shapes.ac3d import MAGIC as AC3D
from novelweights.shapes.ac3d import read_ac3d
from novelweights.shapes.mesh import Mesh
from novelweights.shapes.three_ds import MAGIC as THREE_DS
from novelweights.shapes.three_ds import read_3ds

MAX_BYTES = 1 << 28
"""Of a file. A watertight mesh of ShapeNet's takes some 10 MB as OBJ."""
STL_HEADER, STL_FACE = 84, 50  # bytes
OBJ_DETAILS = re.compile(
    rb"^[ \t]*(?:v[tnp]|usemtl|mtllib|g|o|s)\b[^\n]*|(?<=\d)/[-\d]*(?:/[-\d]*)?", re.MULTILINE
)
"""Lines of textures, normals, materials and groups, and what names them in a face."""
DAMAGED = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    NameError,
    OverflowError,
    HeaderError,
)
"""What trimesh raises for damaged files, as trials with damaged bytes show."""


def read_mesh(path: Path, *, max_bytes: int = MAX_BYTES, lacking_objects: bool = False) -> Mesh:
    """The mesh in a file, in the file's units and axes, its faces cut into triangles.

    Args:
        path: An .obj, .ply, .stl, .off, .ac or .3ds file.
        max_bytes: A larger file is refused unread.
        lacking_objects: Whether an AC3D file may end early, see `read_ac3d`.

    Raises:
        InputError: No file, too large, another format, damaged, no faces, or coordinates that are
            not finite.
    """
    try:
        size = path.stat().st_size if path.is_file() else None
        if size is None:
            raise InputError(f"{path}: expected a mesh file, found none; check the path")
        if size > max_bytes:
            raise InputError(
                f"{path}: expected at most {max_bytes} bytes, got {size}; simplify the mesh"
            )
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: could not be read ({error}); check its permissions") from error
    return mesh_of(content, str(path), lacking_objects=lacking_objects)


def mesh_of(content: bytes, source: str, *, lacking_objects: bool = False) -> Mesh:
    """The mesh in the bytes of a file called `source`, whose suffix is used where needed.

    Raises:
        InputError: As `read_mesh`.
    """
    read = _reader(content, source)
    if read is read_ac3d:
        read = functools.partial(read_ac3d, lacking_objects=lacking_objects)
    mesh = read(content, source)
    if mesh.is_empty:
        raise InputError(f"{source}: expected a mesh with faces, got none; leave it out")
    if not mesh.is_finite:
        raise InputError(
            f"{source}: expected finite coordinates, got others; leave it out or export it again"
        )
    return mesh


def _reader(content: bytes, source: str) -> Callable[[bytes, str], Mesh]:
    """The reader of the file's format, known by its beginning or else by its suffix."""
    if not content:
        raise InputError(f"{source}: expected a mesh file, got an empty one; put it there again")
    suffix = Path(source).suffix.lower()
    if content.startswith(AC3D):
        return read_ac3d
    if content.startswith(THREE_DS) and suffix not in (".obj", ".stl"):
        return read_3ds
    if content.startswith(b"ply"):
        return _ply
    if re.match(rb"\s*(#[^\n]*\n\s*)*C?OFF\b", content[:1000]):
        return _off
    if suffix in (".obj", ".stl"):
        return _obj if suffix == ".obj" else _stl
    raise InputError(
        f"{source}: expected an OBJ, PLY, STL, OFF, AC3D or 3DS file, got one that begins with "
        f"{content[:8]!r}; convert it to one of them"
    )


def _obj(content: bytes, source: str) -> Mesh:
    """Vertices and faces alone: by texture and normal, trimesh would split the vertices."""
    if re.search(rb"^\s*f\b[^\n#]*\s-\d", content, re.MULTILINE):
        raise InputError(
            f"{source}: expected faces that number vertices from the first, got numbers relative "
            "to the last; export it with absolute ones"
        )
    plain = OBJ_DETAILS.sub(b"", content)
    return _by_trimesh(plain, source, "obj", maintain_order=True, skip_materials=True)


def _ply(content: bytes, source: str) -> Mesh:
    header, _, rest = content.partition(b"end_header")
    declared = [int(n) for n in re.findall(rb"^element\s+\S+\s+(\d{1,18})\s", header, re.MULTILINE)]
    _check_declared(sum(declared), len(rest), "rows", source)
    return _by_trimesh(content, source, "ply", fix_texture=False)


def _off(content: bytes, source: str) -> Mesh:
    plain = re.sub(rb"#[^\n]*", b"", content[:10_000])
    counts = re.match(rb"\s*C?OFF\s+(\d{1,18})\s+(\d{1,18})", plain)
    if counts:
        _check_declared(sum(map(int, counts.groups())), len(content), "rows", source)
    return _by_trimesh(content, source, "off")


def _stl(content: bytes, source: str) -> Mesh:
    """STL names no vertices: corners at the very same place are made one."""
    is_text = content.lstrip().startswith(b"solid") and b"facet" in content[:2000]
    if not is_text:
        n = int.from_bytes(content[STL_HEADER - 4 : STL_HEADER], "little")
        if len(content) < STL_HEADER or len(content) != STL_HEADER + n * STL_FACE:
            raise InputError(
                f"{source}: damaged STL file, {n} faces are declared in {len(content)} bytes; put "
                "the file there again, whole"
            )
    mesh = _by_trimesh(content, source, "stl")
    places, row = np.unique(mesh.vertices + 0.0, axis=0, return_inverse=True)
    return Mesh(places, row.reshape(-1)[mesh.faces].reshape(-1, 3).astype(np.int64))


def _check_declared(n: int, n_bytes: int, what: str, source: str) -> None:
    if n > n_bytes:  # a row takes a byte at the very least
        raise InputError(
            f"{source}: damaged file, {n} {what} are declared in {n_bytes} bytes; put the file "
            "there again, whole"
        )


def _by_trimesh(content: bytes, source: str, kind: str, **options: object) -> Mesh:
    """What trimesh reads, as it lies in the file: nothing merged, dropped or reordered."""
    try:
        with np.errstate(all="ignore"):
            read = trimesh.load_mesh(io.BytesIO(content), file_type=kind, process=False, **options)
            return Mesh(
                np.array(read.vertices, np.float64).reshape(-1, 3),
                np.array(read.faces, np.int64).reshape(-1, 3),
            )
    except DAMAGED as error:
        raise InputError(
            f"{source}: damaged {kind.upper()} file ({error}); put the file there again, whole"
        ) from error
