"""Images in the file formats of SVHN, CIFAR-10, CIFAR-100 and STL-10, checked, as bytes.

Every reader returns images (examples, height, width, red-green-blue) and labels from 0, however
many a file holds; which files make up a set, and how many images, is in `data/user_files.py`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from novelweights.data.mat5 import read_mat5
from novelweights.errors import InputError, naming
from novelweights.readers.pickle.interpreter import read_pickle

Part = tuple[UInt8[np.ndarray, "examples height width 3"], UInt8[np.ndarray, " examples"]]
"""Images and their labels."""

CIFAR_PIXELS = 3 * 32 * 32
STL_PIXELS = 3 * 96 * 96


def read_svhn(path: Path) -> Part:
    """The cropped digits of SVHN: `X` (32, 32, 3, examples), `y` from 1, where 10 is the digit 0.

    Raises:
        InputError: No such file, not MATLAB 5, damaged, or other variables, shapes or labels.
    """
    content = read_mat5(path, ["X", "y"])
    x, y = content.get("X"), content.get("y")
    if x is None or y is None:
        raise _refused(path, "X and y, arrays of numbers; one is missing", "not-found")
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[:3] != (32, 32, 3) or not x.size:
        raise _refused(
            path, f"X of uint8 and 32x32x3xN (the cropped digits), got {x.dtype} {x.shape}"
        )
    if y.shape != (x.shape[3], 1):
        raise _refused(path, f"y of {x.shape[3]}x1, got {y.shape}")
    _check_labels(path, y, 1, 10)
    return np.ascontiguousarray(x.transpose(3, 0, 1, 2)), (y[:, 0] % 10).astype(np.uint8)


def read_cifar_binary(path: Path, highest: Sequence[int]) -> Part:
    """A file of a binary version of CIFAR: records of labels and 3x32x32 pixels.

    Args:
        path: The file.
        highest: The greatest number of each label in a record: of CIFAR-10 one label, of CIFAR-100
            a coarse and a fine one. The last is returned.

    Raises:
        InputError: No such file, not a whole number of records, or a greater label.
    """
    n = len(highest)
    records = _records(path, n + CIFAR_PIXELS)
    for column, high in enumerate(highest):
        _check_labels(path, records[:, column], 0, high)
    return _channels_last(records[:, n:], 32), records[:, n - 1].copy()


def read_cifar_pickle(path: Path, key: str, highest: int) -> Part:
    """A file of a Python version of CIFAR; nothing that the pickle names is run.

    Args:
        path: The file.
        key: Of the labels: labels, or fine_labels.
        highest: The greatest label.

    Raises:
        InputError: No such file, anything in it but plain values and byte arrays, or other shapes
            or labels.
    """
    with naming(path):
        batch = read_pickle(_content(path))
    entries = batch if isinstance(batch, dict) else {}
    pixels, labels = (entries.get(name, entries.get(name.encode())) for name in ("data", key))
    if not isinstance(pixels, np.ndarray) or not isinstance(labels, list):
        raise _refused(
            path, f"`data` and `{key}`, an array of bytes and a list; one is missing", "not-found"
        )
    n = len(labels)
    if pixels.shape != (n, CIFAR_PIXELS) or pixels.dtype != np.uint8 or not n:
        what = f"data of {n}x{CIFAR_PIXELS} bytes for {n} labels"
        raise _refused(path, f"{what}, got {pixels.dtype} {pixels.shape}")
    if not all(type(label) is int for label in labels):
        raise _refused(path, "whole numbers as labels, got others", "wrong-type")
    _check_labels(path, np.array(labels), 0, highest)
    return _channels_last(pixels, 32), np.array(labels, np.uint8)


def read_stl(images: Path, labels: Path) -> Part:
    """A part of STL-10: 3x96x96 pixels, column after column, and labels from 1 in another file.

    Raises:
        InputError: No such file, not a whole number of images, as many labels, or other labels.
    """
    pixels, numbers = _records(images, STL_PIXELS), _records(labels, 1)[:, 0]
    if len(pixels) != len(numbers):
        what = f"{len(pixels)} labels, as many as {images.name} has images, got {len(numbers)}"
        raise _refused(labels, what, "other-rows")
    _check_labels(labels, numbers, 1, 10)
    upright = _channels_last(pixels, 96).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(upright), numbers - np.uint8(1)


def _records(path: Path, length: int) -> UInt8[np.ndarray, "records {length}"]:
    """A file of records of `length` bytes."""
    content = _content(path)
    if not content or len(content) % length:
        n = len(content) / length
        what = f"records of {length} bytes, got {len(content)} bytes, which is {n:.2f} of them"
        raise _refused(path, what, "damaged")
    return np.frombuffer(content, np.uint8).reshape(-1, length)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _refused(path, f"a file that can be read ({error.strerror})", "not-found") from error


def _channels_last(rows: np.ndarray, side: int) -> UInt8[np.ndarray, "examples {side} {side} 3"]:
    return np.ascontiguousarray(rows.reshape(-1, 3, side, side).transpose(0, 2, 3, 1))


def _check_labels(path: Path, labels: np.ndarray, low: int, high: int) -> None:
    wrong = labels[~np.isin(labels, np.arange(low, high + 1))]
    if wrong.size:
        what = f"labels from {low} to {high}, got {wrong.ravel()[0]} among others"
        raise _refused(path, what, "wrong-content")


def _refused(path: Path, expected: str, code: str = "wrong-shape") -> InputError:
    return InputError(f"{path}: expected {expected}; put the file there again, whole", code)
