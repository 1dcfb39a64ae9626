"""Triangle meshes in 3DS files, the binary format of GL-117's airplanes.

Only vertices and triangles are read; lights, materials and motion are left out. Every chunk has to
lie inside the one around it, and what it declares inside itself.

Source: the chunks of Autodesk's 3D Studio as commonly described: 4D4D the file, 3D3D the editor's
part, 4000 an object, 4100 a triangle mesh, 4110 its vertices, 4120 its faces.
"""

import struct
from collections.abc import Iterator

import numpy as np

from novelweights.errors import InputError
from novelweights.shapes.mesh import Mesh, Part, joined

FILE, EDITOR, OBJECT, MESH, VERTICES, FACES = 0x4D4D, 0x3D3D, 0x4000, 0x4100, 0x4110, 0x4120
MAGIC = struct.pack("<H", FILE)
CHUNK = struct.Struct("<HI")  # its kind, its length with these six bytes
COUNT = struct.Struct("<H")


def read_3ds(content: bytes, source: str) -> Mesh:
    """All triangles of a file, in its units and axes; vertices are stored in their final places.

    Raises:
        InputError: Cut off, chunks that do not fit into each other, coordinates
            that are not finite, faces of vertices that are not there.
    """
    try:
        return joined(
            [
                _mesh(mesh)
                for file in _of_kind(FILE, memoryview(content))
                for editor in _of_kind(EDITOR, file)
                for named in _of_kind(OBJECT, editor)
                for mesh in _of_kind(MESH, _behind_name(named))
            ]
        )
    except ValueError as error:
        raise InputError(
            f"{source}: damaged 3DS file ({error}); put the file there again, whole", "damaged"
        ) from error


def _chunks(content: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Kind and content of the chunks one after another."""
    start = 0
    while start < len(content):
        if start + CHUNK.size > len(content):
            raise ValueError("it ends inside the head of a chunk")
        kind, length = CHUNK.unpack_from(content, start)
        if not CHUNK.size <= length <= len(content) - start:
            raise ValueError(
                f"chunk {kind:04X} declares {length} bytes, {len(content) - start} are left"
            )
        yield kind, content[start + CHUNK.size : start + length]
        start += length


def _of_kind(kind: int, content: memoryview) -> Iterator[memoryview]:
    return (chunk for its_kind, chunk in _chunks(content) if its_kind == kind)


def _behind_name(named: memoryview) -> memoryview:
    name, end, _ = bytes(named).partition(b"\0")
    if not end:
        raise ValueError("the name of an object has no end")
    return named[len(name) + 1 :]


def _mesh(chunk: memoryview) -> Part:
    """Vertices and faces of a triangle mesh; a face is three vertices and its flags."""
    vertices, faces = np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    for kind, content in _chunks(chunk):
        if kind == VERTICES:
            vertices = _rows(content, "<f4", 3).astype(np.float64)
        elif kind == FACES:
            faces = _rows(content, "<u2", 4)[:, :3].astype(np.int64)
    if not np.isfinite(vertices).all():
        raise ValueError("coordinates that are not finite")
    if len(faces) and faces.max() >= len(vertices):
        raise ValueError(f"a face names vertex {faces.max()} of {len(vertices)}")
    return vertices, faces


def _rows(content: memoryview, dtype: str, width: int) -> np.ndarray:
    """A counted table of numbers."""
    if len(content) < COUNT.size:
        raise ValueError("a table without its length")
    (n,) = COUNT.unpack_from(content)
    n_bytes = n * width * np.dtype(dtype).itemsize
    if len(content) - COUNT.size < n_bytes:
        raise ValueError(f"{n} rows of {width} numbers do not fit into {len(content)} bytes")
    return np.frombuffer(content[COUNT.size : COUNT.size + n_bytes], dtype).reshape(n, width)
