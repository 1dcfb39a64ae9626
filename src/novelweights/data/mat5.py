"""Arrays of numbers in MATLAB files of version 5, the format that SVHN comes in.

Little-endian files, plain or compressed; variables that are not asked for, and what is no array of
real numbers, are skipped. Ours rather than scipy's reader, which a damaged file can crash.

Source: MathWorks, MAT-File Format, "Level 5 MAT-File Format".
"""

import math
import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from novelweights.errors import InputError

HEADER_LENGTH = 128
MAGIC = b"MATLAB 5.0 MAT-file"
LITTLE_ENDIAN = b"\x00\x01IM"  # version 0x0100 and the mark of the byte order
MATRIX, COMPRESSED = 14, 15
STORED = {
    1: "<i1",
    2: "<u1",
    3: "<i2",
    4: "<u2",
    5: "<i4",
    6: "<u4",
    7: "<f4",
    9: "<f8",
    12: "<i8",
    13: "<u8",
}
"""How the numbers of an array lie in the file, which may be smaller than its class."""
CLASSES = {
    6: "f8",
    7: "f4",
    8: "i1",
    9: "u1",
    10: "i2",
    11: "u2",
    12: "i4",
    13: "u4",
    14: "i8",
    15: "u8",
}
COMPLEX = 0x0800
MAX_BYTES = (
    1 << 30
)  # that one compressed variable may unpack to; the largest that is used takes 2.3e8


def read_mat5(content: bytes, source: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The variables called `names` in the bytes of a file, as far as they are there.

    Raises:
        InputError: Another format, or damaged.
    """
    if not content.startswith(MAGIC) or content[124:HEADER_LENGTH] != LITTLE_ENDIAN:
        raise InputError(
            f"{source}: expected a little-endian MATLAB 5 file, it begins otherwise; put the file "
            "there again, or save it with -v7"
        )
    found = {}
    try:
        for kind, element in _elements(memoryview(content)[HEADER_LENGTH:]):
            if kind == COMPRESSED:
                [(kind, element)] = _elements(_unpacked(element))
            if kind == MATRIX:
                name, array = _array(element, names)
                if array is not None:
                    found[name] = array
    except (ValueError, zlib.error) as error:
        raise InputError(
            f"{source}: damaged MATLAB file ({error}); put the file there again, whole"
        ) from error
    return found


def _elements(content: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Type and bytes of the elements one after another."""
    start = 0
    while start < len(content):
        kind, length = np.frombuffer(_bytes(content, start, 8), "<u4").tolist()
        if kind >> 16:  # a small element: both halves in one number, four bytes behind it
            kind, length = kind & 0xFFFF, kind >> 16
            if length > 4:
                raise ValueError(f"a small element of {length} bytes")
            yield kind, content[start + 4 : start + 4 + length]
            start += 8
        else:
            yield kind, _bytes(content, start + 8, length)
            padded = length if kind == COMPRESSED else -(-length // 8) * 8
            start += 8 + padded


def _bytes(content: memoryview, start: int, length: int) -> memoryview:
    if start + length > len(content):
        raise ValueError("it ends too early")
    return content[start : start + length]


def _unpacked(element: memoryview) -> memoryview:
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(element, MAX_BYTES)
    if not unpacking.eof:
        raise ValueError(f"a variable ends too early or takes more than {MAX_BYTES} bytes")
    return memoryview(content)


def _array(element: memoryview, names: Sequence[str]) -> tuple[str, np.ndarray | None]:
    """A matrix element's name, and its numbers if it is an array of real ones and asked for."""
    parts = _elements(element)
    head = [part for _, part in (next(parts, None) or (0, b"") for _ in range(3))]
    flags, shape, name = (
        np.frombuffer(part, kind) for part, kind in zip(head, ("<u4", "<i4", "u1"), strict=True)
    )
    text = name.tobytes().decode("latin-1")
    if text not in names or not flags.size or int(flags[0]) & COMPLEX:
        return text, None
    its_class = CLASSES.get(int(flags[0]) & 0xFF)
    if its_class is None:
        return text, None
    stored, numbers = next(parts, (0, memoryview(b"")))
    if stored not in STORED:
        raise ValueError(f"{text} has numbers of the unknown type {stored}")
    values = np.frombuffer(numbers, STORED[stored])
    if shape.size < 2 or (shape < 0).any() or math.prod(shape.tolist()) != values.size:
        raise ValueError(f"{text} has the shape {shape.tolist()} and {values.size} numbers")
    return text, values.astype(its_class, copy=False).reshape(shape.tolist(), order="F")
