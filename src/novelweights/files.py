"""Writing files so that a reader never sees half of one, and a full disk loses nothing old."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from novelweights.errors import InputError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; renamed onto it on success, removed on failure."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def telling_full_disk(path: Path) -> Iterator[None]:
    """Writing by a library that reports a full disk in words of its own: make it an OSError."""
    try:
        yield
    except (RuntimeError, SafetensorError) as error:
        if shutil.disk_usage(path.parent).free < 1 << 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step: the old content or the new, never a mixture."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, data: Any) -> None:
    """Write plain data as readable JSON, in one step. NaN is refused: JSON has none."""
    write_text(path, json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Plain data from a JSON file.

    Raises:
        InputError: The file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: expected this file, it is not there; restore it or make it again",
            "not-found",
        ) from error
    except (OSError, ValueError, RecursionError) as error:  # among them numbers that are too long
        raise InputError(
            f"{path}: expected JSON, got something else ({error}); get the file again", "damaged"
        ) from error


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


EVALUATED = (
    "zoo",
    "model",
    "samples",
    "samples-*",
    "audit",
    "audit-*",
    "steering",
    "reconstruction",
    "stages.json",
    "summary.*",
    "*.partial",
)
KINDS: dict[str, tuple[str, ...]] = {
    "population.json": (
        "layout.csv",
        "records.csv",
        "weights-*.safetensors",
        "shared.safetensors",
    ),
    "generator.json": (
        "layout.csv",
        "loss.csv",
        "autoencoder_loss.csv",
        "gap.csv",
        "*.safetensors",
    ),
    "audit.json": ("checkpoints.csv", "manifest.json", "plot_data.npz", "report.html", "figures"),
    "steering.json": ("steering.csv", "report.html", "figures"),
    "reconstruction.json": ("reconstruction.csv", "report.html", "figures"),
    "measured.json": ("*.npz", "*.csv"),
    "demo.json": EVALUATED,
    "evaluation.json": EVALUATED,
}
"""What each kind of folder of ours holds, by the file it is known by."""


def require_new(folder: Path, *, kind: str, overwrite: bool = False) -> None:
    """Refuse an output folder that exists and is not empty, unless it may be overwritten.

    Only a folder of the same kind that holds nothing else may be: neither an input of another
    kind nor anybody's other files are ever removed. With `overwrite` nothing is removed here: the
    old folder is replaced when the new is complete.

    Args:
        folder: The output.
        kind: A key of `KINDS`.
        overwrite: Whether the user asked for it.

    Raises:
        InputError: The folder holds something, or is a file, or may not be overwritten.
    """
    if folder.is_file():
        raise InputError(
            f"{folder}: expected a folder to write to, it is a file; name another", "exists"
        )
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not overwrite:
        raise InputError(
            f"{folder}: expected a new or empty folder, it holds files; "
            "name another with -o, or add --overwrite to replace it",
            "exists",
        )
    known = (kind, *KINDS[kind])
    foreign = [p.name for p in folder.iterdir() if not any(fnmatch(p.name, k) for k in known)]
    if foreign or not (folder / kind).is_file():
        what = f"it holds {foreign[0]}" if foreign else f"it has no {kind}"
        raise InputError(
            f"{folder}: --overwrite replaces only what the same command wrote, and {what}; "
            "name another folder with -o",
            "exists",
        )


@contextlib.contextmanager
def new_folder(folder: Path, *, kind: str, overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its place once everything in it is written.

    An interruption leaves the old folder as it was.
    """
    require_new(folder, kind=kind, overwrite=overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".tmp"))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        put_in_place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def put_in_place(finished: Path, folder: Path) -> None:
    """Rename a finished folder to its final name, removing what stood there."""
    if not folder.exists():
        finished.rename(folder)
        return
    retired = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".old"))
    folder.rename(retired / "old")
    finished.rename(folder)
    shutil.rmtree(retired, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
