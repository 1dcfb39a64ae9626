"""Mesh files in the true formats, whole and damaged."""

import struct
from collections.abc import Callable

import numpy as np
from solids import CUBE, FAR, NAN, SQUARES

from novelweights.shapes.mesh import Mesh


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


LOST = b"OBJECT world\nkids 1\n"
HOSTILE: list[tuple[str, bytes, str, object]] = [
    ("empty.obj", b"", "not-recognized", ""),
    ("words.txt", b"hello there", "not-recognized", ""),
    ("picture.png", b"\x89PNG\r\n\x1a\n", "not-recognized", ""),
    ("other.ac", b"AC2D\n", "not-recognized", ""),
    ("words.obj", b"hello there", "wrong-mesh", ""),
    ("vertices.obj", b"v 0 0 0\nv 1 0 0\n", "wrong-mesh", ""),
    ("index.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "damaged", ""),
    ("zero.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2\n", "wrong-mesh", ""),
    ("relative.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\n", "unsuited", ""),
    ("nan.obj", b"v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "not-finite", ""),
    ("words2.obj", b"v a b c\nf 1 2 3\n", "damaged", ""),
    ("huge.ply", ply(n_vertices=10**15), "damaged", ""),
    ("huge2.ply", ply(binary=True, n_vertices=10**9), "damaged", ""),
    ("more.ply", ply(binary=True, n_vertices=9), "damaged", ""),
    ("head.ply", b"ply\nformat ascii 1.0\nelement vertex 3\n", "damaged", ""),
    ("nan.ply", ply(NAN), "not-finite", ""),
    ("nan2.ply", ply(NAN, binary=True), "not-finite", ""),
    ("huge.off", b"OFF\n1000000000000 1 0\n0 0 0\n", "damaged", ""),
    ("index.off", b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n", "damaged", ""),
    ("short.off", off()[:60], "damaged", ""),
    ("no faces.off", b"OFF\n3 0 0\n0 0 0\n1 0 0\n0 1 0\n", "wrong-mesh", ""),
    ("huge.stl", stl(n_faces=4_000_000_000), "damaged", 4000000000),
    ("short.stl", stl()[:300], "damaged", 12),
    ("tiny.stl", b"\0" * 10, "damaged", ""),
    ("text.stl", b"solid a\nfacet normal 0 0 0\nouter loop\nvertex 0 0\n", "wrong-mesh", ""),
    ("nan.stl", stl(NAN), "not-finite", ""),
    ("nan.ac", ac3d(NAN), "damaged", ""),
    ("far.ac", ac3d(FAR), "damaged", ""),
    ("overflow.ac", ac3d(place="loc 1e999 0 0\n"), "damaged", ""),
    ("huge.ac", ac3d(n_vertices=10**12), "damaged", 1000000000000),
    ("negative.ac", ac3d(n_vertices=-1), "damaged", ""),
    ("more.ac", ac3d(n_vertices=9), "damaged", ""),
    ("fewer.ac", ac3d(n_vertices=7), "damaged", ""),
    ("kids.ac", ac3d(kids=2), "damaged", ""),
    ("many kids.ac", ac3d(kids=10**9), "damaged", 1000000000),
    ("short.ac", ac3d()[:400], "damaged", ""),
    ("data.ac", b"AC3Db\nOBJECT poly\ndata 99999\nx\nkids 0\n", "damaged", 99999),
    ("digits.ac", b"AC3Db\nOBJECT poly\nnumvert " + b"9" * 5000 + b"\n", "damaged", ""),
    ("strip.ac", ac3d().replace(b"SURF 0x10", b"SURF 0x14"), "damaged", ""),
    ("depth.ac", b"AC3Db\n" + LOST * 5000, "damaged", ""),
    ("world.ac", b"AC3Db\nOBJECT world\nkids 0\n", "wrong-mesh", ""),
    ("nan.3ds", three_ds(NAN), "damaged", ""),
    ("more.3ds", three_ds(n_vertices=60_000), "damaged", 60000),
    ("fewer.3ds", three_ds(n_vertices=7), "damaged", ""),
    ("name.3ds", chunk(0x4D4D, chunk(0x3D3D, chunk(0x4000, b"cube"))), "damaged", ""),
    ("huge.3ds", chunk(0x4D4D, b"", length=4_000_000_000), "damaged", 4000000000),
    ("none.3ds", chunk(0x4D4D, b"", length=0), "damaged", ""),
    ("head.3ds", b"MM\x08\0\0\0\0\0", "damaged", ""),
    ("short.3ds", three_ds()[:200], "damaged", ""),
    ("no mesh.3ds", chunk(0x4D4D, b""), "wrong-mesh", ""),
]
"""A file's name, its bytes, the code of its refusal, and what the message names beside the file."""
