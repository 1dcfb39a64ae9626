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
        raise InputError(f"{path}: expected an idx file, there is nothing of that name") from error
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: could not be read ({error}); fetch it again") from error
    return parse_idx(content, str(path), n_dims=n_dims)


def parse_idx(content: bytes, source: str, *, n_dims: int | None = None) -> np.ndarray:
    """The uint8 array in the bytes of an idx file; `source` names them in errors.

    Raises:
        InputError: As `read_idx`.
    """
    if len(content) < 4 or content[:2] != b"\0\0":
        raise InputError(
            f"{source}: expected an idx file (two zero bytes first), got {content[:4].hex(' ')!r}; "
            "fetch it again"
        )
    kind, dims = content[2], content[3]
    if kind != UNSIGNED_BYTE:
        raise InputError(
            f"{source}: expected idx type 0x08 (unsigned bytes), got 0x{kind:02x}; "
            "convert it to unsigned bytes"
        )
    if dims == 0 or (n_dims is not None and dims != n_dims):
        raise InputError(
            f"{source}: expected {n_dims or 'at least 1'} axes, got {dims}; "
            "check that images and labels are not exchanged"
        )
    start = 4 + 4 * dims
    if len(content) < start:
        raise InputError(f"{source}: truncated inside its header; fetch it again")
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", dims, offset=4))
    expected = start + math.prod(shape)
    if len(content) != expected:
        raise InputError(
            f"{source}: its header says {'x'.join(map(str, shape))}, so expected {expected} bytes, "
            f"got {len(content)}; fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
