"""Tiny files of SVHN, CIFAR-10, CIFAR-100 and STL-10, in exactly the published formats."""

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.io import savemat

from novelweights.data.user_files import CIFAR_10, CIFAR_100, STL_10, SVHN

TINY_SVHN = replace(SVHN, n_train=7, n_test=3, n_used=5)
TINY_CIFAR = replace(CIFAR_10, n_train=10, n_test=2, n_used=8)
TINY_CIFAR_100 = replace(CIFAR_100, n_train=6, n_test=3, n_used=6)
TINY_STL = replace(STL_10, n_train=4, n_test=3, n_used=4)


def some_images(n: int, side: int, seed: int = 0) -> np.ndarray:
    """Random images (n, side, side, 3)."""
    shape = (n, side, side, 3)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def write_svhn(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """X of 32x32x3xN and y of Nx1, the digit 0 as 10, compressed as the published files are."""
    y = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
    savemat(path, {"X": images.transpose(1, 2, 3, 0), "y": y}, do_compression=True)


def cifar_binary(images: np.ndarray, labels: np.ndarray) -> bytes:
    """Records of a label and the red, green and blue plane."""
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return np.concatenate([labels.astype(np.uint8)[:, None], planes], axis=1).tobytes()


def cifar_100_binary(images: np.ndarray, labels: np.ndarray) -> bytes:
    """Records of a coarse label, a fine one, and the red, green and blue plane."""
    records = np.frombuffer(cifar_binary(images, labels), np.uint8).reshape(len(images), 3073)
    return np.concatenate([coarse(labels)[:, None], records], axis=1).tobytes()


def coarse(labels: np.ndarray) -> np.ndarray:
    """Some label of 20 for each of 100, another than it."""
    return ((labels + 7) % 20).astype(np.uint8)


def cifar_100_pickle(images: np.ndarray, labels: np.ndarray) -> bytes:
    """The file as Python 2 pickled it: fine labels and coarse ones."""
    return cifar_pickle(images, labels, {b"fine_labels": labels, b"coarse_labels": coarse(labels)})


def cifar_pickle(
    images: np.ndarray, labels: np.ndarray, lists: dict[bytes, np.ndarray] | None = None
) -> bytes:
    """A batch as Python 2 pickled it, instruction by instruction (protocol 2).

    Its labels are called `labels` if no `lists` of them are given.
    """
    n = len(images)
    planes = images.transpose(0, 3, 1, 2).tobytes()
    dtype = b"cnumpy\ndtype\nq\x09" + text(b"u1") + b"K\x00K\x01\x87Rq\x0b"
    dtype += b"(K\x03" + text(b"|") + b"NNN" + 2 * b"J\xff\xff\xff\xff" + b"K\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\nq\x06cnumpy\nndarray\nq\x07K\x00\x85q\x08"
    array += text(b"b") + b"\x87Rq\x0a(K\x01" + number(n) + number(3072) + b"\x86" + dtype
    array += b"\x89" + text(planes) + b"tb"
    items = text(b"batch_label") + text(b"testing batch 1 of 1")
    for key, values in (lists or {b"labels": labels}).items():
        items += text(key) + b"]q\x04(" + b"".join(map(number, values.tolist())) + b"e"
    items += text(b"data") + array
    names = b"".join(text(f"image_{row}.png".encode()) for row in range(n))
    items += text(b"filenames") + b"]q\x0c(" + names + b"e"
    return b"\x80\x02}q\x01(" + items + b"u."


def text(value: bytes) -> bytes:
    """SHORT_BINSTRING or BINSTRING, the text of Python 2."""
    if len(value) < 256:
        return b"U" + bytes([len(value)]) + value
    return b"T" + struct.pack("<i", len(value)) + value


def number(value: int) -> bytes:
    """BININT1 or BININT2."""
    return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)


def stl_pixels(images: np.ndarray) -> bytes:
    """Red, green and blue plane, each column after column."""
    return images.transpose(0, 3, 2, 1).tobytes()
