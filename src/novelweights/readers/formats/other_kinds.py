"""Files that often hold weights and are not read: what they are, by their first bytes.

Source: ours.
"""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from novelweights.errors import InputError
from novelweights.readers.units import BEGINNING, first_bytes

NO_CHECKPOINTS = {
    b"\x89HDF": "an HDF5 file: convert it to .safetensors",
    b"GGUF": "a GGUF file: convert it to .safetensors",
    b"\x1f\x8b": "a gzip archive: unpack it",
    b"BZh": "a bzip2 archive: unpack it",
    b"\xfd7zXZ": "an xz archive: unpack it",
    b"version https://git-lfs": "a Git LFS pointer: fetch the file it points to (git lfs pull)",
    b"<!DOCTYPE": "a web page: the download went wrong, download it again",
    b"<html": "a web page: the download went wrong, download it again",
    b"\x08": "an ONNX file: save the state dict instead",
}
"""First bytes, and what to do."""
LOOKED_AT = 100
"""Files of a folder that are looked at to say what is there."""


def kind_of_other(start: bytes) -> str | None:
    """What a file is that begins so and is no state dict, and what to do; None: not known."""
    return next((kind for magic, kind in NO_CHECKPOINTS.items() if start.startswith(magic)), None)


def first_of_other_kind(paths: Iterable[Path]) -> str | None:
    """The first of some files whose kind is known and not read, and what to do."""
    for path in islice(paths, LOOKED_AT):
        try:
            kind = kind_of_other(first_bytes(path, BEGINNING)) if path.is_file() else None
        except (InputError, OSError):
            continue
        if kind is not None and (path.suffix == ".onnx" or "ONNX" not in kind):  # of one byte
            return f"{path.name}, {kind}"
    return None
