"""Images in the file formats of SVHN, CIFAR-10, CIFAR-100 and STL-10, checked, as bytes.

Every reader returns images (examples, height, width, red-green-blue) and labels from 0, however
many a file holds; which files make up a set, and how many images, is in `data/user_files.py`.
"""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from novelweights.data.mat5 import read_mat5
from novelweights.errors import InputError, naming
from novelweights.readers.pickle.interpreter import read_pickle

Images = UInt8[np.ndarray, "examples height width 3"]
Labels = UInt8[np.ndarray, " examples"]

CIFAR_PIXELS = 3 * 32 * 32
STL_PIXELS = 3 * 96 * 96
AGAIN = "put the file there again, whole"


def read_svhn(path: Path) -> tuple[Images, Labels]:
    """The cropped digits of SVHN: `X` (32, 32, 3, examples), `y` from 1, where 10 is the digit 0.

    Raises:
        InputError: No such file, not MATLAB 5, damaged, or other variables, shapes or labels.
    """
    content = read_mat5(path, ["X", "y"])
    x, y = content.get("X"), content.get("y")
    if x is None or y is None:
        raise InputError(f"{path}: expected X and y, arrays of numbers; one is missing; {AGAIN}")
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[:3] != (32, 32, 3) or not x.size:
        raise InputError(
            f"{path}: expected X of uint8 and 32x32x3xN, got {x.dtype} {x.shape}; use the cropped "
            "digits"
        )
    if y.shape != (x.shape[3], 1):
        raise InputError(f"{path}: expected y of {x.shape[3]}x1, got {y.shape}; {AGAIN}")
    _check_labels(path, y, 1, 10)
    return np.ascontiguousarray(x.transpose(3, 0, 1, 2)), (y[:, 0] % 10).astype(np.uint8)


def read_cifar_binary(path: Path) -> tuple[Images, Labels]:
    """A batch of CIFAR-10's binary version: records of a label and 3x32x32 pixels.

    Raises:
        InputError: No such file, not a whole number of records, or a label above 9.
    """
    records = _records(path, 1 + CIFAR_PIXELS)
    _check_labels(path, records[:, 0], 0, 9)
    return _channels_last(records[:, 1:], 32), records[:, 0].copy()


def read_cifar_pickle(path: Path) -> tuple[Images, Labels]:
    """A batch of CIFAR-10's Python version; nothing that the pickle names is run.

    Raises:
        InputError: No such file, anything in it but plain values and byte arrays, or other shapes
            or labels.
    """
    return _cifar_pickle(path, "labels", highest=9)


def read_cifar_100_binary(path: Path) -> tuple[Images, Labels]:
    """CIFAR-100's binary version: records of a coarse and a fine label and 3x32x32 pixels.

    The labels returned are the fine ones.

    Raises:
        InputError: No such file, not a whole number of records, a coarse label above 19 or a fine
            one above 99.
    """
    records = _records(path, 2 + CIFAR_PIXELS)
    _check_labels(path, records[:, 0], 0, 19)
    _check_labels(path, records[:, 1], 0, 99)
    return _channels_last(records[:, 2:], 32), records[:, 1].copy()


def read_cifar_100_pickle(path: Path) -> tuple[Images, Labels]:
    """CIFAR-100's Python version, fine labels; nothing that the pickle names is run.

    Raises:
        InputError: As `read_cifar_pickle`.
    """
    return _cifar_pickle(path, "fine_labels", highest=99)


def read_stl(images: Path, labels: Path) -> tuple[Images, Labels]:
    """A part of STL-10: 3x96x96 pixels, column after column, and labels from 1 in another file.

    Raises:
        InputError: No such file, not a whole number of images, as many labels, or other labels.
    """
    pixels, numbers = _records(images, STL_PIXELS), _records(labels, 1)[:, 0]
    if len(pixels) != len(numbers):
        raise InputError(
            f"{labels}: expected {len(pixels)} labels, as many as {images.name} has images, got "
            f"{len(numbers)}; {AGAIN}"
        )
    _check_labels(labels, numbers, 1, 10)
    upright = _channels_last(pixels, 96).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(upright), numbers - np.uint8(1)


def _cifar_pickle(path: Path, key: str, *, highest: int) -> tuple[Images, Labels]:
    """`data` and the labels under `key` of a pickle of a CIFAR set."""
    with _opened(path) as file, naming(path):
        batch = read_pickle(file.read())
    entries = batch if isinstance(batch, dict) else {}
    pixels, labels = (entries.get(name, entries.get(name.encode())) for name in ("data", key))
    is_bytes = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8
    if not is_bytes or not isinstance(labels, list):
        raise InputError(
            f"{path}: expected `data` and `{key}`, an array of bytes and a list; one is missing; "
            f"{AGAIN}"
        )
    n = len(labels)
    if pixels.shape != (n, CIFAR_PIXELS) or not n:
        raise InputError(
            f"{path}: expected data of {n}x{CIFAR_PIXELS} for {n} labels, got {pixels.shape}; "
            f"{AGAIN}"
        )
    if not all(type(label) is int for label in labels):
        raise InputError(f"{path}: expected whole numbers as labels, got others; {AGAIN}")
    _check_labels(path, np.array(labels), 0, highest)
    return _channels_last(pixels, 32), np.array(labels, np.uint8)


def _records(path: Path, length: int) -> UInt8[np.ndarray, "records {length}"]:
    """A file of records of `length` bytes."""
    with _opened(path) as file:
        content = file.read()
    if not content or len(content) % length:
        raise InputError(
            f"{path}: expected records of {length} bytes, got {len(content)} bytes, which is "
            f"{len(content) / length:.2f} of them; {AGAIN}"
        )
    return np.frombuffer(content, np.uint8).reshape(-1, length)


def _opened(path: Path):
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: could not be read ({error.strerror}); {AGAIN}") from error


def _channels_last(rows: np.ndarray, side: int) -> Images:
    return np.ascontiguousarray(rows.reshape(-1, 3, side, side).transpose(0, 2, 3, 1))


def _check_labels(path: Path, labels: np.ndarray, low: int, high: int) -> None:
    wrong = labels[~np.isin(labels, np.arange(low, high + 1))]
    if wrong.size:
        raise InputError(
            f"{path}: expected labels from {low} to {high}, got {wrong.ravel()[0]} among others; "
            f"{AGAIN}"
        )
