"""Triangle meshes in AC3D files, the text format of FlightGear's and CRRCSim's airplanes.

Polygons become fans of triangles around their first corner, so a concave one is not cut exactly.
Lines, materials and textures are left out; what a file declares is compared with what is left of
it before anything is laid out for it.

Source: inivis, "The AC3D file format"; rotations multiply from the right, as FlightGear's do.
"""

import io
import itertools
import math

import numpy as np

from novelweights.errors import InputError
from novelweights.shapes.mesh import Mesh, Part, joined

MAGIC = b"AC3D"
POLYGON, CLOSED_LINE, OPEN_LINE = 0, 1, 2  # the low four bits of SURF
SHORTEST_VERTEX, SHORTEST_REFERENCE = len(b"0 0 0\n"), len(b"0\n")
SHORTEST_SURFACE = len(b"SURF 0\nrefs 0\n")
SHORTEST_OBJECT = len(b"OBJECT x\nkids 0\n")
NO_FACES = np.zeros((0, 3), np.int64)


def read_ac3d(content: bytes, source: str, *, lacking_objects: bool = False) -> Mesh:
    """All polygons of a file's objects, each moved to its place, in the file's units and axes.

    Args:
        content: The file's bytes, which begin with `MAGIC`.
        source: What to call it in a message.
        lacking_objects: Whether it may end before all objects that it declares have come. Some
            published files do; a file that was cut off between two objects looks the same.

    Raises:
        InputError: Cut off, declares more than it holds, or holds what is no number, not finite or
            no vertex of its object.
    """
    file = io.BytesIO(content)
    _words(file)
    try:
        return joined(_objects(file, lacking_objects))
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{source}: damaged AC3D file, before byte {file.tell()}: {error}; put the file there "
            "again, whole",
            "damaged",
        ) from error


def _objects(file: io.BytesIO, lacking: bool) -> list[Part]:
    """Vertices and faces of each object in its place."""
    parts: list[Part] = []
    around: list[list] = []  # objects that await children: how many, their place (4, 4)
    while words := _words(file):
        if words[0] != b"OBJECT":
            if around or parts:
                raise ValueError(f"expected OBJECT, got {words[0][:20]!r}")
            continue  # materials
        place, (vertices, faces), n_children = _object(file)
        with np.errstate(over="ignore", invalid="ignore"):
            if around:
                around[-1][0] -= 1
                place = place @ around[-1][1]
            vertices = vertices @ place[:3, :3] + place[3, :3]
        if len(faces):
            if not np.isfinite(vertices).all():
                raise ValueError("coordinates that are not finite")
            parts.append((vertices, faces))
        around.append([n_children, place])
        while around and around[-1][0] == 0:
            around.pop()
    if around and not lacking:
        raise ValueError(f"it ends before {around[-1][0]} declared objects")
    return parts


def _object(file: io.BytesIO) -> tuple[np.ndarray, Part, int]:
    """One object up to its number of children: its place, what it draws, that number.

    A point of it, as a row with a 1 behind, is multiplied by its place from the right.
    """
    place, vertices, faces = np.eye(4), np.zeros((0, 3)), NO_FACES
    while True:
        match _words(file):
            case []:
                raise ValueError("it ends inside an object")
            case [b"loc", *numbers]:
                place[3, :3] = _floats(numbers, 3)
            case [b"rot", *numbers]:
                place[:3, :3] = _floats(numbers, 9).reshape(3, 3)
            case [b"data", length, *_]:
                file.seek(_counted(file, length, 1, "bytes of data"), io.SEEK_CUR)
                file.readline()
            case [b"numvert", n, *_]:
                n_vertices = _counted(file, n, SHORTEST_VERTEX, "vertices")
                rows = [_floats(_words(file)[:3], 3) for _ in range(n_vertices)]
                vertices = np.array(rows).reshape(-1, 3)
            case [b"numsurf", n, *_]:
                n_surfaces = _counted(file, n, SHORTEST_SURFACE, "surfaces")
                faces = np.concatenate([NO_FACES, *(_surface(file) for _ in range(n_surfaces))])
            case [b"kids", n, *_]:
                break
            case [b"OBJECT", *_]:
                raise ValueError("an object does not say how many children it has")
            case _:
                pass  # name, texture, crease, url, hidden ...
    if len(faces) and not 0 <= faces.min() <= faces.max() < len(vertices):
        raise ValueError(
            f"a surface names vertices {faces.min()} to {faces.max()} of {len(vertices)}"
        )
    return place, (vertices, faces), _counted(file, n, SHORTEST_OBJECT, "objects")


def _surface(file: io.BytesIO) -> np.ndarray:
    """The triangles of one surface, none if it is a line."""
    words = _words(file)
    if words[:1] != [b"SURF"] or len(words) < 2:
        raise ValueError("expected SURF and its kind")
    kind = int(words[1], 0) & 15
    if kind not in (POLYGON, CLOSED_LINE, OPEN_LINE):
        raise ValueError(f"expected a polygon or a line, got a surface of kind {kind}")
    while (words := _words(file))[:1] != [b"refs"]:
        if not words or words[0] in (b"SURF", b"kids", b"OBJECT"):
            raise ValueError("a surface without refs")
    if len(words) < 2:
        raise ValueError("refs without their number")
    n = _counted(file, words[1], SHORTEST_REFERENCE, "corners")
    corners = [int(word) for _ in range(n) for word in _words(file)[:1]]
    if len(corners) < n:
        raise ValueError("it ends inside a surface")
    if kind != POLYGON or n < 3:
        return NO_FACES
    return np.array([(corners[0], *pair) for pair in itertools.pairwise(corners[1:])], np.int64)


def _words(file: io.BytesIO) -> list[bytes]:
    """The words of the next line that has any; none at the end."""
    return next((words for line in file if (words := line.split())), [])


def _floats(words: list[bytes], n: int) -> np.ndarray:
    if len(words) != n:
        raise ValueError(f"expected {n} numbers, got {len(words)}")
    numbers = [float(word) for word in words]
    if not all(map(math.isfinite, numbers)):
        raise ValueError("coordinates that are not finite")
    return np.array(numbers)


def _counted(file: io.BytesIO, word: bytes, shortest: int, what: str) -> int:
    """A declared number, refused if what is left cannot hold as many."""
    n, left = int(word), len(file.getbuffer()) - file.tell()
    if not 0 <= n * shortest <= left + 1:  # the last line may lack its end
        raise ValueError(f"{n} {what} are declared, {left} bytes are left")
    return n
