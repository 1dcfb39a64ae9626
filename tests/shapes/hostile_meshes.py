"""Mesh files in the true formats, whole and damaged, and meshes with known faults."""

import struct
from collections.abc import Callable

import numpy as np

from novelweights.shapes.mesh import Mesh

CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float64)
SQUARES = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
TRIANGLES = np.array([half for a, b, c, d in SQUARES for half in ((a, b, c), (a, c, d))], np.int64)
CUBE = Mesh(CORNERS, TRIANGLES)
"""The unit cube, closed, faces outward."""


def text(rows: np.ndarray, before: str = "") -> str:
    return "".join(before + " ".join(map(repr, row)) + "\n" for row in rows.tolist())


def obj(mesh: Mesh = CUBE) -> bytes:
    return (text(mesh.vertices, "v ") + text(mesh.faces + 1, "f ")).encode()


def off(mesh: Mesh = CUBE) -> bytes:
    counts = f"OFF\n{len(mesh.vertices)} {len(mesh.faces)} 0\n"
    return (counts + text(mesh.vertices) + text(mesh.faces, "3 ")).encode()


def ply(mesh: Mesh = CUBE, *, binary: bool = False, n_vertices: int | None = None) -> bytes:
    n = len(mesh.vertices) if n_vertices is None else n_vertices
    head = (
        f"ply\nformat {'binary_little_endian' if binary else 'ascii'} 1.0\nelement vertex {n}\n"
        "property double x\nproperty double y\nproperty double z\n"
        f"element face {len(mesh.faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    ).encode()
    if not binary:
        return head + (text(mesh.vertices) + text(mesh.faces, "3 ")).encode()
    faces = b"".join(struct.pack("<B3i", 3, *face) for face in mesh.faces.tolist())
    return head + mesh.vertices.astype("<f8").tobytes() + faces


def stl(mesh: Mesh = CUBE, *, n_faces: int | None = None) -> bytes:
    n = len(mesh.faces) if n_faces is None else n_faces
    rows = [
        struct.pack("<12fH", 0, 0, 0, *corners.ravel().tolist(), 0) for corners in mesh.triangles
    ]
    return bytes(80) + struct.pack("<I", n) + b"".join(rows)


def stl_text(mesh: Mesh = CUBE) -> bytes:
    loops = [
        "facet normal 0 0 0\nouter loop\n" + text(corners, "vertex ") + "endloop\nendfacet\n"
        for corners in mesh.triangles
    ]
    return ("solid cube\n" + "".join(loops) + "endsolid cube\n").encode()


def ac3d(mesh: Mesh = CUBE, *, place: str = "", kids: int = 1, n_vertices: int = 8) -> bytes:
    """The cube of squares, inside the world."""
    surfaces = [
        f"SURF 0x10\nmat 0\nrefs {len(square)}\n" + "".join(f"{i} 0 0\n" for i in square)
        for square in SQUARES
    ]
    return (
        'AC3Db\nMATERIAL "red" rgb 1 0 0  amb 0 0 0  emis 0 0 0  spec 0 0 0  shi 0  trans 0\n'
        f'OBJECT world\nkids {kids}\nOBJECT poly\nname "cube"\ndata 12\nOBJECT poly\n\n{place}'
        f"numvert {n_vertices}\n{text(mesh.vertices)}numsurf 6\n{''.join(surfaces)}kids 0\n"
    ).encode()


def chunk(kind: int, content: bytes, *, length: int | None = None) -> bytes:
    return struct.pack("<HI", kind, 6 + len(content) if length is None else length) + content


def three_ds(mesh: Mesh = CUBE, *, n_vertices: int = 8, name: bytes = b"cube\0") -> bytes:
    vertices = struct.pack("<H", n_vertices) + mesh.vertices.astype("<f4").tobytes()
    faces = np.column_stack([mesh.faces, np.zeros(len(mesh.faces))]).astype("<u2").tobytes()
    flags = chunk(0x4150, bytes(4 * len(mesh.faces)))
    triangles = chunk(0x4110, vertices) + chunk(
        0x4120, struct.pack("<H", len(mesh.faces)) + faces + flags
    )
    named = chunk(0x4000, name + chunk(0x4100, triangles))
    return chunk(0x4D4D, chunk(2, bytes(4)) + chunk(0x3D3D, named) + chunk(0xB000, b""))


WRITERS: dict[str, Callable[[Mesh], bytes]] = {
    "cube.obj": obj,
    "cube.off": off,
    "cube.ply": ply,
    "binary.ply": lambda mesh: ply(mesh, binary=True),
    "cube.stl": stl,
    "text.stl": stl_text,
    "cube.ac": ac3d,
    "cube.3ds": three_ds,
}
"""By the name of the file they make."""


def with_vertex(place: tuple[float, float, float]) -> Mesh:
    """The cube with its last corner moved."""
    return Mesh(np.vstack([CORNERS[:-1], place]), TRIANGLES)


NAN, FAR = with_vertex((np.nan, 1, 1)), with_vertex((np.inf, 1, 1))
LOST = b"OBJECT world\nkids 1\n"
HOSTILE: list[tuple[str, bytes, str]] = [
    ("empty.obj", b"", "got an empty one"),
    ("words.txt", b"hello there", "expected an OBJ, PLY, STL, OFF, AC3D or 3DS file"),
    ("picture.png", b"\x89PNG\r\n\x1a\n", "expected an OBJ"),
    ("other.ac", b"AC2D\n", "expected an OBJ"),
    ("words.obj", b"hello there", "got none"),
    ("vertices.obj", b"v 0 0 0\nv 1 0 0\n", "got none"),
    ("index.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "damaged OBJ"),
    ("zero.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2\n", "damaged OBJ|got none"),
    ("relative.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\n", "relative"),
    ("nan.obj", b"v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "finite"),
    ("words2.obj", b"v a b c\nf 1 2 3\n", "damaged OBJ|got none"),
    ("huge.ply", ply(n_vertices=10**15), "rows are declared"),
    ("huge2.ply", ply(binary=True, n_vertices=10**9), "rows are declared"),
    ("more.ply", ply(binary=True, n_vertices=9), "damaged PLY"),
    ("head.ply", b"ply\nformat ascii 1.0\nelement vertex 3\n", "damaged PLY|rows are declared"),
    ("nan.ply", ply(NAN), "finite"),
    ("nan2.ply", ply(NAN, binary=True), "finite"),
    ("huge.off", b"OFF\n1000000000000 1 0\n0 0 0\n", "rows are declared"),
    ("index.off", b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n", "damaged OFF"),
    ("short.off", off()[:60], "damaged OFF"),
    ("no faces.off", b"OFF\n3 0 0\n0 0 0\n1 0 0\n0 1 0\n", "damaged OFF|got none"),
    ("huge.stl", stl(n_faces=4_000_000_000), "4000000000 faces are declared"),
    ("short.stl", stl()[:300], "12 faces are declared"),
    ("tiny.stl", b"\0" * 10, "damaged STL"),
    ("text.stl", b"solid a\nfacet normal 0 0 0\nouter loop\nvertex 0 0\n", "damaged STL|got none"),
    ("nan.stl", stl(NAN), "finite"),
    ("nan.ac", ac3d(NAN), "not finite"),
    ("far.ac", ac3d(FAR), "not finite"),
    ("overflow.ac", ac3d(place="loc 1e999 0 0\n"), "not finite"),
    ("huge.ac", ac3d(n_vertices=10**12), "1000000000000 vertices are declared"),
    ("negative.ac", ac3d(n_vertices=-1), "-1 vertices are declared"),
    ("more.ac", ac3d(n_vertices=9), "damaged AC3D"),
    ("fewer.ac", ac3d(n_vertices=7), "damaged AC3D|names vertices 0 to 7 of 7"),
    ("kids.ac", ac3d(kids=2), "before 1 declared"),
    ("many kids.ac", ac3d(kids=10**9), "1000000000 objects are declared"),
    ("short.ac", ac3d()[:400], "damaged AC3D"),
    ("data.ac", b"AC3Db\nOBJECT poly\ndata 99999\nx\nkids 0\n", "99999 bytes of data"),
    ("digits.ac", b"AC3Db\nOBJECT poly\nnumvert " + b"9" * 5000 + b"\n", "damaged AC3D"),
    ("strip.ac", ac3d().replace(b"SURF 0x10", b"SURF 0x14"), "surface of kind 4"),
    ("depth.ac", b"AC3Db\n" + LOST * 5000, "1 objects are declared"),
    ("world.ac", b"AC3Db\nOBJECT world\nkids 0\n", "got none"),
    ("nan.3ds", three_ds(NAN), "not finite"),
    ("more.3ds", three_ds(n_vertices=60_000), "60000 rows"),
    ("fewer.3ds", three_ds(n_vertices=7), "names vertex 7 of 7"),
    ("name.3ds", chunk(0x4D4D, chunk(0x3D3D, chunk(0x4000, b"cube"))), "has no end"),
    ("huge.3ds", chunk(0x4D4D, b"", length=4_000_000_000), "declares 4000000000 bytes"),
    ("none.3ds", chunk(0x4D4D, b"", length=0), "declares 0 bytes"),
    ("head.3ds", b"MM\x08\0\0\0\0\0", "head of a chunk"),
    ("short.3ds", three_ds()[:200], "damaged 3DS"),
    ("no mesh.3ds", chunk(0x4D4D, b""), "got none"),
]
"""A file's name, its bytes, and what the message says."""


def sphere(radius: float = 1.0, shift: tuple[float, float, float] = (0, 0, 0), n: int = 16) -> Mesh:
    """A closed sphere of longitudes and latitudes, faces outward."""
    ring = 2 * np.pi * np.arange(n) / n
    rows = [[[0, 0, -1]]]
    for height in np.pi * (np.arange(1, n) / n - 0.5):
        around = np.stack([np.cos(ring), np.sin(ring)], axis=1) * np.cos(height)
        rows.append(np.column_stack([around, np.full(n, np.sin(height))]).tolist())
    vertices = np.concatenate([np.array(row, float) for row in [*rows, [[0, 0, 1]]]])
    top, last = len(vertices) - 1, len(vertices) - 1 - n
    faces = []
    for i in range(n):
        j = (i + 1) % n
        faces += [(0, 1 + j, 1 + i), (top, last + i, last + j)]
        for start in range(1, last, n):
            a, b, c, d = start + i, start + j, start + n + j, start + n + i
            faces += [(a, b, c), (a, c, d)]
    return Mesh(vertices * radius + np.array(shift), np.array(faces, np.int64))
