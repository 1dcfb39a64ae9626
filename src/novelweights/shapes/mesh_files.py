"""Triangle meshes from files: OBJ, PLY, STL and OFF by trimesh, AC3D and 3DS by our own readers.

A format is known by how a file begins, OBJ and STL also by the suffix. What comes out is finite and
has a face; it may be open or cut itself, see `shapes/repaired_meshes.py`. Files beside a mesh, such
as materials, are never looked for.
"""

import io
import re
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
        if not path.is_file():
            raise InputError(
                f"{path}: expected a mesh file, found none; check the path", "not-found"
            )
        if (size := path.stat().st_size) > max_bytes:
            raise InputError(
                f"{path}: expected at most {max_bytes} bytes, got {size}; simplify the mesh",
                "too-large",
            )
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: could not be read ({error}); check its permissions", "not-found"
        ) from error
    return mesh_of(content, str(path), lacking_objects=lacking_objects)


def mesh_of(content: bytes, source: str, *, lacking_objects: bool = False) -> Mesh:
    """The mesh in the bytes of a file called `source`, whose suffix is used where needed.

    Raises:
        InputError: As `read_mesh`.
    """
    kind = _format_of(content, source)
    if kind == "ac3d":
        mesh = read_ac3d(content, source, lacking_objects=lacking_objects)
    elif kind == "3ds":
        mesh = read_3ds(content, source)
    else:
        mesh = _by_trimesh(content, source, kind)
    if mesh.is_empty:
        raise InputError(
            f"{source}: expected a mesh with faces, got none; leave it out", "wrong-mesh"
        )
    if not mesh.is_finite:
        raise InputError(
            f"{source}: expected finite coordinates, got others; leave it out or export it again",
            "not-finite",
        )
    return mesh


def _format_of(content: bytes, source: str) -> str:
    """The file's format, known by its beginning or else by its suffix."""
    suffix = Path(source).suffix.lower()
    if content.startswith(AC3D):
        return "ac3d"
    if content.startswith(THREE_DS) and suffix not in (".obj", ".stl"):
        return "3ds"
    if content.startswith(b"ply"):
        return "ply"
    if re.match(rb"\s*(#[^\n]*\n\s*)*C?OFF\b", content[:1000]):
        return "off"
    if content and suffix in (".obj", ".stl"):
        return suffix[1:]
    raise InputError(
        f"{source}: expected an OBJ, PLY, STL, OFF, AC3D or 3DS file, got one that begins with "
        f"{content[:8]!r}; convert it to one of them",
        "not-recognized",
    )


def _by_trimesh(content: bytes, source: str, kind: str) -> Mesh:
    """What trimesh reads, as it lies in the file: nothing merged, dropped or reordered.

    Of an OBJ vertices and faces alone: by texture and normal, trimesh would split the vertices.
    """
    plain, options = content, {}
    if kind == "obj":
        plain = OBJ_DETAILS.sub(b"", content)
        options = {"maintain_order": True, "skip_materials": True}
    elif kind == "ply":
        options = {"fix_texture": False}
    try:
        _check_declared(content, kind, source)
        with np.errstate(all="ignore"):
            read = trimesh.load_mesh(io.BytesIO(plain), file_type=kind, process=False, **options)
            return Mesh(
                np.array(read.vertices, np.float64).reshape(-1, 3),
                np.array(read.faces, np.int64).reshape(-1, 3),
            )
    except DAMAGED as error:
        raise InputError(
            f"{source}: damaged {kind.upper()} file ({error}); put the file there again, whole",
            "damaged",
        ) from error


def _check_declared(content: bytes, kind: str, source: str) -> None:
    """What trimesh would misread or pass over: relative numbers, rows that never come.

    Raises:
        InputError: An OBJ file's faces number vertices from the last.
        ValueError: More is declared than there is.
    """
    n, room = 0, len(content)  # rows, and bytes: a row takes one at the very least
    if kind == "obj" and re.search(rb"^\s*f\b[^\n#]*\s-\d", content, re.MULTILINE):
        raise InputError(
            f"{source}: expected faces that number vertices from the first, got numbers relative "
            "to the last; export it with absolute ones",
            "unsuited",
        )
    if kind == "ply":
        header, _, rest = content.partition(b"end_header")
        rows = re.findall(rb"^element\s+\S+\s+(\d{1,18})\s", header, re.MULTILINE)
        n, room = sum(map(int, rows)), len(rest)
    elif kind == "off":
        plain = re.sub(rb"#[^\n]*", b"", content[:10_000])
        if counts := re.match(rb"\s*C?OFF\s+(\d{1,18})\s+(\d{1,18})", plain):
            n = sum(map(int, counts.groups()))
    elif kind == "stl" and not (
        content.lstrip().startswith(b"solid") and b"facet" in content[:2000]
    ):
        n = int.from_bytes(content[STL_HEADER - 4 : STL_HEADER], "little")
        if len(content) != STL_HEADER + n * STL_FACE:
            raise ValueError(f"{n} faces are declared in {len(content)} bytes")
    if n > room:
        raise ValueError(f"{n} rows are declared in {room} bytes")
