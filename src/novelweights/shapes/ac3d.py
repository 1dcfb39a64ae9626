"""Triangle meshes in AC3D files, the text format of FlightGear's and CRRCSim's airplanes.

Polygons become fans of triangles around their first corner, so a concave one is not cut exactly.
Lines, materials and textures are left out; what a file declares is compared with what is left of
it before anything is laid out for it.

Source: inivis, "The AC3D file format"; rotations multiply from the right, as FlightGear's do.
"""

import itertools
import math
from dataclasses import dataclass, field

import numpy as np

from novelweights.errors import InputError
from novelweights.shapes.mesh import Mesh
from novelweights.shapes.mesh_cleaning import joined

MAGIC = b"AC3D"
POLYGON, CLOSED_LINE, OPEN_LINE = 0, 1, 2  # the low four bits of SURF
SHORTEST_VERTEX, SHORTEST_REFERENCE = len(b"0 0 0\n"), len(b"0\n")
SHORTEST_SURFACE = len(b"SURF 0\nrefs 0\n")
SHORTEST_OBJECT = len(b"OBJECT x\nkids 0\n")


@dataclass(frozen=True, eq=False)
class _Place:
    """Where an object lies: a point of it, a row, lies at `point @ turn + shift`."""

    turn: np.ndarray = field(default_factory=lambda: np.eye(3))
    shift: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def inside(self, other: "_Place") -> "_Place":
        """The same place, seen from outside of the object around it."""
        with np.errstate(over="ignore", invalid="ignore"):  # vertices are checked in the end
            return _Place(self.turn @ other.turn, self.shift @ other.turn + other.shift)


def read_ac3d(content: bytes, source: str, *, lacking_objects: bool = False) -> Mesh:
    """All polygons of a file's objects, each moved to its place, in the file's units and axes.

    Args:
        content: The file's bytes.
        source: What to call it in a message.
        lacking_objects: Whether it may end before all objects that it declares have come. Some
            published files do; a file that was cut off between two objects looks the same.

    Raises:
        InputError: Another format, cut off, declares more than it holds, or holds what is no
            number, not finite or no vertex of its object.
    """
    lines = _Lines(content)
    if not lines.next_words()[:1] or not content.startswith(MAGIC):
        raise InputError(
            f"{source}: expected an AC3D file, which begins with AC3D, got {content[:8]!r}; put "
            "the file there again"
        )
    try:
        return joined(_objects(lines, lacking_objects))
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{source}: damaged AC3D file, line {lines.n_read}: {error}; put the file there again, "
            "whole"
        ) from error


def _objects(lines: "_Lines", lacking: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Vertices and faces of each object; `around` are those that still await children."""
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    around: list[list] = []  # children to come, place
    while True:
        words = lines.next_words()
        if not words:
            break
        if words[0] != b"OBJECT":
            if around or parts:
                raise ValueError(f"expected OBJECT, got {words[0][:20]!r}")
            continue  # materials
        place, part, n_children = _object(lines)
        if around:
            around[-1][0] -= 1
            place = place.inside(around[-1][1])
        if part is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                vertices = part[0] @ place.turn + place.shift
            if not np.isfinite(vertices).all():
                raise ValueError("coordinates that are not finite")
            parts.append((vertices, part[1]))
        around.append([n_children, place])
        while around and around[-1][0] == 0:
            around.pop()
    if around and not lacking:
        raise ValueError(f"it ends before {around[-1][0]} declared objects")
    return parts


def _object(lines: "_Lines") -> tuple[_Place, tuple[np.ndarray, np.ndarray] | None, int]:
    """One object up to its number of children: its place, what it draws, that number."""
    turn, shift = np.eye(3), np.zeros(3)
    vertices, faces = np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    while True:
        match lines.next_words():
            case []:
                raise ValueError("it ends inside an object")
            case [b"loc", *numbers]:
                shift = _floats(numbers, 3)
            case [b"rot", *numbers]:
                turn = _floats(numbers, 9).reshape(3, 3)
            case [b"data", length, *_]:
                lines.skip(int(length))
            case [b"numvert", n, *_]:
                n_vertices = lines.count(n, SHORTEST_VERTEX, "vertices")
                rows = [_floats(lines.next_words()[:3], 3) for _ in range(n_vertices)]
                vertices = np.array(rows).reshape(-1, 3)
            case [b"numsurf", n, *_]:
                n_surfaces = lines.count(n, SHORTEST_SURFACE, "surfaces")
                fans = [_surface(lines) for _ in range(n_surfaces)]
                faces = np.concatenate([np.zeros((0, 3), np.int64), *fans])
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
    n_children = lines.count(n, SHORTEST_OBJECT, "objects")
    return _Place(turn, shift), (vertices, faces) if len(faces) else None, n_children


def _surface(lines: "_Lines") -> np.ndarray:
    """The triangles of one surface, none if it is a line."""
    words = lines.next_words()
    if words[:1] != [b"SURF"] or len(words) < 2:
        raise ValueError("expected SURF and its kind")
    kind = int(words[1], 0) & 15
    if kind not in (POLYGON, CLOSED_LINE, OPEN_LINE):
        raise ValueError(f"expected a polygon or a line, got a surface of kind {kind}")
    while (words := lines.next_words())[:1] != [b"refs"]:
        if not words or words[0] in (b"SURF", b"kids", b"OBJECT"):
            raise ValueError("a surface without refs")
    if len(words) < 2:
        raise ValueError("refs without their number")
    corners = []
    for _ in range(lines.count(words[1], SHORTEST_REFERENCE, "corners")):
        corner = lines.next_words()
        if not corner:
            raise ValueError("it ends inside a surface")
        corners.append(int(corner[0]))
    if kind != POLYGON or len(corners) < 3:
        return np.zeros((0, 3), np.int64)
    fan = [(corners[0], *pair) for pair in itertools.pairwise(corners[1:])]
    return np.array(fan, np.int64)


def _floats(words: list[bytes], n: int) -> np.ndarray:
    if len(words) != n:
        raise ValueError(f"expected {n} numbers, got {len(words)}")
    numbers = [float(word) for word in words]
    if not all(map(math.isfinite, numbers)):
        raise ValueError("coordinates that are not finite")
    return np.array(numbers)


class _Lines:
    """The lines of a file one after another, empty ones left out."""

    def __init__(self, content: bytes) -> None:
        self.content, self.place, self.n_read = content, 0, 0

    def next_words(self) -> list[bytes]:
        """The words of the next line that has any; none at the end."""
        while self.place < len(self.content):
            end = self.content.find(b"\n", self.place)
            end = len(self.content) if end < 0 else end
            words = self.content[self.place : end].split()
            self.place, self.n_read = end + 1, self.n_read + 1
            if words:
                return words
        return []

    def skip(self, length: int) -> None:
        """Goes past `length` bytes and the rest of their line."""
        if not 0 <= length <= len(self.content) - self.place:
            raise ValueError(f"{length} bytes of data are declared, {self.left} are left")
        skipped = self.content[self.place : self.place + length]
        self.n_read += skipped.count(b"\n")
        self.place += length
        self.next_line()

    def next_line(self) -> None:
        end = self.content.find(b"\n", self.place)
        self.place = len(self.content) if end < 0 else end + 1
        self.n_read += 1

    @property
    def left(self) -> int:
        """Bytes that were not read."""
        return max(len(self.content) - self.place, 0)

    def count(self, word: bytes, shortest: int, what: str) -> int:
        """A declared number, refused if what is left cannot hold as many."""
        n = int(word)
        if not 0 <= n * shortest <= self.left + 1:  # the last line may lack its end
            raise ValueError(f"{n} {what} are declared, {self.left} bytes are left")
        return n
