"""Arrays in idx files, the format that MNIST came in: unsigned bytes behind a short header.

Only unsigned bytes are read, plain or gzipped (recognized by content); nothing here knows what
the bytes mean.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from novelweights.errors import InputError

UNSIGNED_BYTE = 0x08
GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: Path, *, n_dims: int | None = None) -> np.ndarray:
    """The uint8 array in an idx file, plain or gzipped.

    Args:
        path: The file.
        n_dims: Number of axes the caller expects (3 for images, 1 for labels); None takes any.

    Raises:
        InputError: No such file, not idx, another type or number of axes, or a length that does
            not follow from the header.
    """
    try:
        content = path.read_bytes()
        if content[:2] == GZIP_MAGIC:
            content = gzip.decompress(content)
    except FileNotFoundError as error:
        raise _refused(path, "an idx file, there is nothing of that name", "not-found") from error
    except (OSError, EOFError, zlib.error) as error:
        raise _refused(path, f"an idx file, it cannot be read ({error})") from error
    if len(content) < 4 or content[:2] != b"\0\0":
        raise _refused(path, f"two zero bytes first, got {content[:4].hex(' ')!r}")
    kind, dims = content[2], content[3]
    if kind != UNSIGNED_BYTE:
        raise _refused(path, f"type 0x08 (unsigned bytes), got 0x{kind:02x}", "wrong-type")
    if dims == 0 or (n_dims is not None and dims != n_dims):
        raise _refused(path, f"{n_dims or 'at least 1'} axes, got {dims}", "wrong-shape")
    start = 4 + 4 * dims
    if len(content) < start:
        raise _refused(path, "a whole header, it is cut off")
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", dims, offset=4))
    expected = start + math.prod(shape)
    if len(content) != expected:
        size = "x".join(map(str, shape))
        raise _refused(path, f"{expected} bytes for {size} numbers, got {len(content)}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _refused(path: Path, expected: str, code: str = "damaged") -> InputError:
    return InputError(f"{path}: expected {expected}; fetch the file again", code)
