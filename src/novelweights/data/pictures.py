"""Pictures by class: `train/CLASS/NAME.jpg` and `test/CLASS/NAME.jpg`, in a folder or a zip.

Classes are numbered in the order of their names, pictures follow in the order of theirs, so that a
folder and a zip of it are the same data set. Nothing is unpacked to disk. Source: ours.
"""

import hashlib
import io
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image, UnidentifiedImageError

from novelweights.errors import InputError, first_few

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm")
PARTS = ("train", "test")
MAX_BYTES = 16 << 30
"""Of all pictures as bytes; more is refused from the first picture's size."""
DAMAGED = (OSError, ValueError, SyntaxError, zipfile.BadZipFile, Image.DecompressionBombError)
"""What Pillow and zipfile raise of a file that is not whole."""


class Pictures(NamedTuple):
    """All pictures of a set, as bytes, channels last."""

    parts: list[tuple[UInt8[np.ndarray, "n h w 3"], Int[np.ndarray, " n"]]]
    """Training and test, with labels from 0."""
    classes: tuple[str, ...]
    sha256: str
    """Of the files' names and contents, in order."""


def read_pictures(path: Path) -> Pictures:
    """A folder or a zip of pictures by class; gray ones become red-green-blue.

    Raises:
        InputError: Neither, no pictures, a part or a class missing, a damaged picture, pictures of
            several sizes, or more than fits.
    """
    if path.is_dir():
        names = {file.relative_to(path).as_posix(): file for file in path.rglob("*")}
        return _read(path, [*names], lambda name: names[name].read_bytes())
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(path, archive.namelist(), archive.read)
    except (FileNotFoundError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: expected a folder or a zip of pictures, train/CLASS/NAME.jpg and "
            f"test/CLASS/NAME.jpg ({error}); put it there whole",
            "not-found" if isinstance(error, FileNotFoundError) else "damaged",
        ) from error


def _read(path: Path, names: list[str], content: Callable[[str], bytes]) -> Pictures:
    """The pictures among these names."""
    by_part = _by_part(path, names)
    classes = tuple(sorted(by_part["train"]))
    n_all = sum(len(files) for part in by_part.values() for files in part.values())
    digest, size, parts = hashlib.sha256(), None, []
    for part in PARTS:
        files = [(name, label) for label, c in enumerate(classes) for name in by_part[part][c]]
        pixels = np.empty(0, np.uint8)
        for row, (name, _) in enumerate(files):
            with _named(path, name):
                data = content(name)
                picture = Image.open(io.BytesIO(data))
            if size is None:
                size = picture.size
                _require_room(path, n_all, size)
            _require_size(path, name, picture.size, size)
            if not row:
                pixels = np.empty((len(files), *size[::-1], 3), np.uint8)
            with _named(path, name):
                pixels[row] = np.asarray(picture.convert("RGB"))
            digest.update(f"{name}\n{len(data)}\n".encode())
            digest.update(data)
        parts.append((pixels, np.array([label for _, label in files], np.int64)))
    return Pictures(parts, classes, digest.hexdigest())


@contextmanager
def _named(path: Path, name: str) -> Iterator[None]:
    """Whatever a damaged picture raises, as one line that names it."""
    try:
        yield
    except (UnidentifiedImageError, *DAMAGED) as error:
        raise InputError(
            f"{path}: expected a whole picture in {name} ({error}); put it there again", "damaged"
        ) from error


def _require_size(path: Path, name: str, size: tuple[int, int], first: tuple[int, int]) -> None:
    """Refuse a picture of another width and height than the first."""
    if size != first:
        raise InputError(
            f"{path}: expected pictures of one size, {first[0]}x{first[1]} as the first, got "
            f"{size[0]}x{size[1]} in {name}; resize them",
            "wrong-shape",
        )


def _by_part(path: Path, names: list[str]) -> Mapping[str, Mapping[str, list[str]]]:
    """Names of pictures by part and class, each class's in order."""
    found: dict[str, dict[str, list[str]]] = {part: defaultdict(list) for part in PARTS}
    for name in sorted(names):
        *folders, file = PurePosixPath(name).parts
        if len(folders) == 2 and folders[0] in PARTS and file.lower().endswith(SUFFIXES):
            found[folders[0]][folders[1]].append(name)
    for part, classes in found.items():
        if not classes:
            raise InputError(
                f"{path}: expected pictures at {part}/CLASS/NAME{SUFFIXES[0]} (or "
                f"{', '.join(SUFFIXES[1:])}), got none among {len(names)} names; arrange them so",
                "not-found",
            )
    if differ := sorted(set(found["train"]) ^ set(found["test"])):
        raise InputError(
            f"{path}: expected the same classes under train and test, got {first_few(differ)} "
            "under one of them only; add the missing ones, or remove these",
            "wrong-content",
        )
    return found


def _require_room(path: Path, n: int, size: tuple[int, int]) -> None:
    """Refuse more than `MAX_BYTES`."""
    n_bytes = n * size[0] * size[1] * 3
    if n_bytes > MAX_BYTES:
        raise InputError(
            f"{path}: {n:,} pictures of {size[0]}x{size[1]} would take {n_bytes / 2**30:.0f} GiB "
            f"of memory, expected at most {MAX_BYTES >> 30}; resize them",
            "too-large",
        )
