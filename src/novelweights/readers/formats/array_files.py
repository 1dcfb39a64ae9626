"""Numpy's .npy and .npz files, opened by their headers; nothing in them is unpickled."""

import ast
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from novelweights.errors import InputError

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 10_000
"""Source: numpy's own limit for headers that are not trusted."""
KINDS = "fiubc"
"""Numbers; no objects, text or records."""
UNPACKED_AT_ONCE = 1 << 20
Read = Callable[[int], bytes]


class Header(NamedTuple):
    """What a .npy file announces."""

    dtype: np.dtype
    shape: tuple[int, ...]
    is_column_major: bool
    data_start: int


def open_npy(path: Path, *, max_bytes: int) -> np.ndarray:
    """The array in a .npy file as a memory map.

    Raises:
        InputError: Damaged, no numbers, or it announces more than `max_bytes`.
    """
    with path.open("rb") as file:
        header = _header(file.read, path.name, max_bytes)
    expected = header.data_start + header.dtype.itemsize * _count(header.shape)
    if path.stat().st_size < expected:
        raise InputError(
            f"{path.name}: truncated: expected {expected:,} bytes, got {path.stat().st_size:,}; "
            "copy it again"
        )
    order = "F" if header.is_column_major else "C"
    if not _count(header.shape):
        return np.empty(header.shape, header.dtype)
    return np.memmap(path, header.dtype, "r", header.data_start, header.shape, order)


def read_npz(path: Path, *, max_bytes: int) -> dict[str, np.ndarray]:
    """The arrays in a .npz file by name.

    Raises:
        InputError: Damaged, no numbers, or it announces more than `max_bytes`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            announced = sum(entry.file_size for entry in entries)
            if announced > max_bytes:
                raise InputError(
                    f"{path.name}: expected at most {max_bytes:,} bytes, it announces "
                    f"{announced:,} once unpacked; allow it with --max-bytes"
                )
            found: dict[str, np.ndarray] = {}
            for entry in entries:
                name = entry.filename.removesuffix(".npy")
                if name in found:
                    raise InputError(f"{path.name}: {name} is in it twice; save it again")
                with archive.open(entry) as file:
                    found[name] = _array(file.read, f"{path.name}: {name}", entry.file_size)
            return found
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        NotImplementedError,
        RuntimeError,  # an encrypted entry
        struct.error,
        OverflowError,
    ) as error:
        raise InputError(
            f"{path.name}: expected a sound .npz file, it is damaged ({error}); copy it again"
        ) from error


def _array(read: Read, name: str, size: int) -> np.ndarray:
    """One array of an archive, whose entry announced so many bytes."""
    header = _header(read, name, size)
    wanted = header.dtype.itemsize * _count(header.shape)
    content = bytearray()
    while len(content) < wanted and (part := read(min(UNPACKED_AT_ONCE, wanted - len(content)))):
        content += part
    if len(content) != wanted:
        raise InputError(
            f"{name}: expected {wanted:,} bytes of numbers, got {len(content):,}; save it again"
        )
    order = "F" if header.is_column_major else "C"
    return np.frombuffer(content, header.dtype).reshape(header.shape, order=order)


def _header(read: Read, name: str, max_bytes: int) -> Header:
    start = read(len(MAGIC) + 2)
    if len(start) < len(MAGIC) + 2 or not start.startswith(MAGIC):
        raise InputError(f"{name}: expected a numpy array, got something else; save it by numpy")
    n_length = 2 if start[len(MAGIC)] == 1 else 4
    length = int.from_bytes(read(n_length), "little")
    if length > LONGEST_HEADER:
        raise InputError(
            f"{name}: expected a header of a numpy array, it is damaged; copy it again"
        )
    try:
        described = ast.literal_eval(read(length).decode("utf-8").strip())
        text, shape = described["descr"], described["shape"]
        dtype, is_column_major = np.dtype(text), described["fortran_order"]
        sizes = tuple(int(size) for size in shape)
    except (
        ValueError,
        SyntaxError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        MemoryError,
        OverflowError,
    ) as error:
        raise InputError(
            f"{name}: expected a header of a numpy array, it is damaged ({str(error)[:80]}); copy "
            "it again"
        ) from error
    if not isinstance(text, str) or dtype.kind not in KINDS or dtype.itemsize > 16:
        raise InputError(
            f"{name}: expected numbers, got an array of {str(text)[:40]}, which only a pickle "
            "could hold: refused; save numbers alone"
        )
    if not isinstance(is_column_major, bool) or any(size < 0 for size in sizes):
        raise InputError(
            f"{name}: expected a header of a numpy array, it is damaged; copy it again"
        )
    if len(sizes) > 64 or dtype.itemsize * _count(sizes) > max_bytes:
        raise InputError(
            f"{name}: expected at most {max_bytes:,} bytes, its header announces "
            f"{'x'.join(map(str, sizes[:8]))} numbers; allow it with --max-bytes, if it is true"
        )
    return Header(dtype, sizes, is_column_major, len(start) + n_length + length)


def _count(shape: tuple[int, ...]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product
