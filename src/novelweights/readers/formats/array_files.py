"""Numpy's .npy and .npz files, opened by their headers; nothing in them is unpickled."""

import math
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.lib import format as npy

from novelweights.errors import InputError, naming

MAGIC = npy.MAGIC_PREFIX
LONGEST_HEADER = 10_000
"""Source: numpy's own limit for headers that are not trusted."""
LARGEST = 1 << 62
KINDS = "fiubc"
"""Numbers; no objects, text or records."""


def open_npy(path: Path, *, max_bytes: int) -> np.ndarray:
    """The array in a .npy file as a memory map.

    Raises:
        InputError: Damaged, no numbers, or it announces more than `max_bytes`.
    """
    with _sound(), path.open("rb") as file:
        dtype, shape, order = _header(file, max_bytes)
        return np.memmap(path, dtype, "r", file.tell(), shape, order)


def read_npz(path: Path, *, max_bytes: int) -> dict[str, np.ndarray]:
    """The arrays in a .npz file by name.

    Raises:
        InputError: Damaged, no numbers, or it announces more than `max_bytes`.
    """
    arrays: dict[str, np.ndarray] = {}
    with _sound(), zipfile.ZipFile(path) as archive:
        announced = sum(entry.file_size for entry in archive.infolist())
        if announced > max_bytes:
            raise InputError(
                f"expected at most {max_bytes:,} bytes, it announces {announced:,} once unpacked; "
                "allow it with --max-bytes",
                "too-large",
            )
        for entry in archive.infolist():
            name = entry.filename.removesuffix(".npy")
            if name in arrays:
                raise InputError(f"{name} is in it twice; save it again", "damaged")
            with naming(name), archive.open(entry) as file:
                dtype, shape, order = _header(file, entry.file_size)
                content = file.read(math.prod(shape) * dtype.itemsize)
                arrays[name] = np.frombuffer(content, dtype).reshape(shape, order=order)
    return arrays


def shapes_of_npz(path: Path) -> dict[str, np.ndarray]:
    """Arrays of the shapes and types that the headers in a .npz file announce, without memory.

    Raises:
        InputError: Damaged, or no numbers.
    """
    shapes: dict[str, np.ndarray] = {}
    with _sound(), zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            with archive.open(entry) as file:
                dtype, shape, _ = _header(file, LARGEST)
            shapes[entry.filename] = np.broadcast_to(np.zeros((), dtype), shape)
    return shapes


@contextmanager
def _sound() -> Iterator[None]:
    """What numpy and zipfile raise for a damaged file, as an `InputError`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old or damaged headers
            yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        TypeError,
        MemoryError,
        NotImplementedError,
        RuntimeError,  # an encrypted entry
        struct.error,
        OverflowError,
        tokenize.TokenError,
    ) as error:
        raise InputError(
            f"expected a sound file of numpy, it is damaged or truncated ({str(error)[:80]}); copy "
            "it again",
            "damaged",
        ) from error


def _header(
    file: IO[bytes] | BufferedIOBase, max_bytes: int
) -> tuple[np.dtype, tuple[int, ...], Literal["C", "F"]]:
    """Type, shape and order of an array that takes at most so many bytes; the numbers follow."""
    is_first = npy.read_magic(file) == (1, 0)  # later versions have headers of one form
    read = npy.read_array_header_1_0 if is_first else npy.read_array_header_2_0
    shape, is_column_major, dtype = read(file, max_header_size=LONGEST_HEADER)
    if dtype.kind not in KINDS or dtype.itemsize > 16:
        raise InputError(
            f"expected numbers, got an array of {str(dtype)[:40]}, which only a pickle could hold: "
            "refused; save numbers alone",
            "unsafe" if dtype.hasobject else "wrong-type",
        )
    if min(shape, default=0) < 0:
        raise ValueError("a shape below 0")
    if math.prod(shape) * dtype.itemsize > max_bytes:
        raise InputError(
            f"expected at most {max_bytes:,} bytes, its header announces "
            f"{'x'.join(map(str, shape))} numbers; allow it with --max-bytes, if it is true",
            "too-large",
        )
    return dtype, shape, "F" if is_column_major else "C"
