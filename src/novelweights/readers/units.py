"""Which files of a folder are checkpoints: one file each, several shards, or a folder each.

Files directly in a folder are its checkpoints; where there are none its subfolders are looked into:
one per model, as the Hugging Face hub lays them out, or one per run. Links are followed, but no
folder is entered twice. Source: ours.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from novelweights.errors import InputError, naming
from novelweights.files import read_json

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
"""Endings of files that hold a state dict; what is in one decides how it is read. Files of other
endings, or of none, are known by their first bytes."""
OTHER_SUFFIXES = (".th", ".tar", ".npz", ".npy", ".pkl", ".pickle", ".model", ".weights")
"""Endings of other checkpoints, which are no part of their names either."""
ARRAYS = (".npy", ".npz", ".pkl", ".pickle")
"""Endings of files that hold arrays of all kinds: checkpoints only where no others are."""
UNFINISHED = (".tmp", ".part", ".partial", ".bak", ".old", ".swp", ".lock")
BEGINNING = 320
"""Bytes that say what a file is: among them the name of an archive's first entry."""
OLDER_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How files of torch.save began before they were archives."""
INDEX = ".index.json"
"""Ending of the file that says which shard holds which parameter."""
WHOLE_MODELS = tuple(
    f"{stem}{suffix}"
    for stem in ("model", "adapter_model", "diffusion_pytorch_model", "pytorch_model")
    for suffix in (*(ending + INDEX for ending in (".safetensors", ".bin")), *SUFFIXES)
)
"""Names under which one model has a folder for itself, the preferred first; the folder then gives
the checkpoint its name, and other files there (of an optimizer, a copy in another form) are none.
"""
COMPANIONS = re.compile(
    r"(optimizer|scheduler|scaler|training_args|rng_state(_\d+)?)(\.(pt|pth|bin|th|tar|ckpt))*"
)
"""What training leaves beside a checkpoint and is none."""
SHARD = re.compile(r".+-\d+-of-\d+\.\w+")
MODEL_CONFIG = "config.json"
"""Says that the folder one begins with is a model itself, and no folder of checkpoints."""
MAX_DEPTH = 5
LONGEST_NAME = 255
"""Bytes of a file's name; no common file system has longer ones."""
MAX_FOLDERS = 100_000
NPY = b"\x93NUMPY"
LOCAL_HEADER = 30
"""Bytes before the name of an archive's first entry."""
LARGEST_HEADER = 100_000_000
"""Bytes of the largest header that the library of safetensors reads."""
Choose = Callable[[Path], list[Path]]
CIRCLE = "remove the link"
"""Where links lead to each other."""


@dataclass(frozen=True)
class Unit:
    """One checkpoint on disk."""

    name: str
    """Path below the folder, without an ending; unique there."""
    files: tuple[Path, ...]
    """One, or the shards."""
    index: Path | None = None
    """Says which shard holds which parameter."""
    key: str = ""
    """Of a file that holds many checkpoints: which."""

    @property
    def file(self) -> Path:
        """What to name in a message."""
        return self.index or self.files[0]

    def place_in(self, folder: Path) -> str:
        """The path of that file below a folder."""
        place = self.file.relative_to(folder).as_posix() if folder.is_dir() else self.file.name
        return f"{place} ({self.key})" if self.key else place


def checkpoint_units(folder: Path) -> list[Unit]:
    """The checkpoints below a folder, sorted by path; empty if there are none.

    Raises:
        InputError: A folder cannot be listed, a name is no UTF-8, a link goes nowhere, two names
            are one file, an index is damaged, or there are too many folders.
    """
    units = _units_below(folder, are_checkpoints) or _units_below(folder, are_arrays)
    _require_distinct(folder, units)
    return _with_unique_names(folder, units)


def _units_below(folder: Path, chosen: Choose) -> list[Unit]:
    """Those of one kind of files."""
    units = list(_units_of(folder, chosen))
    if not units:
        for number, below in enumerate(_folders_below(folder)):
            if number > MAX_FOLDERS:
                raise InputError(
                    f"{folder}: expected at most {MAX_FOLDERS} folders of checkpoints, got more; "
                    "name the folder that holds them",
                    "too-large",
                )
            units += _units_of(below, chosen, root=folder)
    return units


def folders_left_out(folder: Path, units: Sequence[Unit]) -> list[str]:
    """Folders directly below that hold checkpoints too, where files beside them were taken."""
    if any(unit.file.parent != folder for unit in units):
        return []
    below = [path for path in listed(folder) if not path.name.startswith(".") and _is_folder(path)]
    return [
        path.name
        for path in below
        if next(_units_of(path, are_checkpoints, root=folder), None) is not None
    ]


def arrays_left_out(folder: Path, units: Sequence[Unit]) -> list[str]:
    """Files of arrays beside checkpoints of another kind."""
    taken = {file for unit in units for file in unit.files}
    return [path.name for path in are_arrays(folder) if path not in taken]


def are_checkpoints(folder: Path) -> list[Path]:
    """Files directly in a folder that may hold one checkpoint each, by name or first bytes."""
    return [
        path
        for path in listed(folder)
        if not COMPANIONS.fullmatch(path.name)
        and (_is_file(path) if path.suffix in SUFFIXES else _begins(path, lambda s, _: is_torch(s)))
    ]


def are_arrays(folder: Path) -> list[Path]:
    """Files directly in a folder that hold arrays."""
    others = (path for path in listed(folder) if path.suffix not in SUFFIXES)
    return [path for path in others if _begins(path, _is_array_file)]


def is_checkpoint_file(path: Path) -> bool:
    """Whether a file may be a checkpoint, by its ending or its first bytes."""
    return path.suffix in SUFFIXES or _begins(
        path, lambda s, p: is_torch(s) or _is_array_file(s, p)
    )


def is_torch(start: bytes) -> bool:
    """Whether a file that begins so was written by torch.save, or is one of safetensors."""
    if start[8:10] == b'{"' and 0 < int.from_bytes(start[:8], "little") < LARGEST_HEADER:
        return True
    return start.startswith(OLDER_TORCH) or _first_entry(start).endswith(b"/data.pkl")


def is_npz(start: bytes) -> bool:
    """Whether a file that begins so is an archive of numpy."""
    return _first_entry(start).endswith(b".npy")


def _is_array_file(start: bytes, path: Path) -> bool:
    is_pickle = path.suffix in (".pkl", ".pickle") and start.startswith(b"\x80")
    return start.startswith(NPY) or is_npz(start) or is_pickle


def _first_entry(start: bytes) -> bytes:
    """The name of the first entry of a zip archive; empty for other files."""
    if not start.startswith(b"PK\x03\x04") or len(start) < LOCAL_HEADER:
        return b""
    return start[LOCAL_HEADER : LOCAL_HEADER + int.from_bytes(start[26:28], "little")]


def _begins(path: Path, fits: Callable[[bytes, Path], bool]) -> bool:
    """Whether something is a file, and begins so; what cannot be read does not."""
    if path.name.startswith(".") or path.suffix in UNFINISHED or path.name.endswith(INDEX):
        return False
    try:
        return path.is_file() and fits(first_bytes(path, BEGINNING), path)
    except (InputError, OSError):
        return False


def _units_of(folder: Path, chosen: Choose, root: Path | None = None) -> Iterator[Unit]:
    """The checkpoints that lie directly in a folder."""
    files = {path.name: path for path in chosen(folder)}
    files |= {p.name: p for p in listed(folder) if p.name.endswith(INDEX) and _is_file(p)}
    own_name = "" if root is None else folder.relative_to(root).as_posix()

    def unit(path: Path, name: str = "") -> Unit:
        name = name or "/".join(filter(None, (own_name, stem(path.name))))
        if path.name.endswith(INDEX):
            return Unit(name, tuple(path.parent / shard for shard in _shards_of(path)), path)
        return Unit(name, (path,))

    is_other = {name for name in files if name not in WHOLE_MODELS and not SHARD.fullmatch(name)}
    if (own_name and not is_other) or (folder / MODEL_CONFIG).is_file():
        for name in WHOLE_MODELS:
            if name in files:
                yield unit(files[name], own_name)
                return
    sharded = [unit(path) for name, path in files.items() if name.endswith(INDEX)]
    taken = {file.name for one in sharded for file in one.files}
    yield from sharded
    for name, path in files.items():
        if name not in taken and not name.endswith(INDEX):
            yield unit(path)


def _shards_of(index: Path) -> list[str]:
    """Names of the shards, which lie beside the index.

    Raises:
        InputError: It is no index, or names files elsewhere.
    """
    described: Any = read_json(index)
    by_parameter = described.get("weight_map") if isinstance(described, dict) else None
    if not isinstance(by_parameter, dict) or not by_parameter:
        raise InputError(
            f"{index}: expected an index of shards (weight_map: parameter to file), there is none "
            "in it; download it again",
            "damaged",
        )
    for shard in by_parameter.values():
        if not isinstance(shard, str) or not is_plain_name(shard):
            raise InputError(
                f"{index}: expected names of files beside it, got {str(shard)[:80]!r}, which leads "
                "elsewhere: refused; download the model again",
                "unsafe",
            )
    return list(dict.fromkeys(by_parameter.values()))


def is_plain_name(name: str) -> bool:
    """Whether a text can be the name of a file and leads to no other folder."""
    leads = Path(name).name != name or name in ("", ".", "..")
    return not leads and name.isprintable() and len(name.encode()) <= LONGEST_NAME


def _folders_below(folder: Path) -> Iterator[Path]:
    """All folders below, by path, each once however many links lead to it."""
    seen = {folder.resolve()}
    waiting = [(folder, 0)]
    while waiting:
        here, depth = waiting.pop()
        if depth:
            yield here
        below = []
        for path in listed(here):
            if path.name.startswith(".") or depth == MAX_DEPTH or not _is_folder(path):
                continue
            real = path.resolve()
            if real not in seen:
                seen.add(real)
                below.append((path, depth + 1))
        waiting += reversed(below)


def listed(folder: Path) -> list[Path]:
    """What is in a folder, by name.

    Raises:
        InputError: It cannot be listed, or a name is no UTF-8 or holds control characters, which
            neither a table nor a message could repeat.
    """
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(
            f"{folder}: expected a folder of checkpoints, cannot list it ({error.strerror}); name "
            "one that you may read",
            "not-found",
        ) from error
    for path in paths:
        if not path.name.isprintable():  # undecodable bytes are not, either
            raise InputError(
                f"{folder}: expected file names in UTF-8 without control characters, got "
                f"{os.fsencode(path.name)!r}; rename it",
                "unsuited",
            )
    return paths


def require_file(path: Path) -> None:
    """Refuse what would be waited for, or read without an end.

    Raises:
        InputError: It is a pipe, a device or a folder, or not there.
    """
    if not path.is_file():
        raise InputError(
            "expected a file, it cannot be read: a pipe, a device, a folder or not there; remove "
            "it, or copy what it gives into a file",
            "not-found",
        )


def first_bytes(path: Path, n: int) -> bytes:
    """The beginning of a file.

    Raises:
        InputError: It is no file or cannot be read.
    """
    require_file(path)
    with _readable(), path.open("rb") as file:
        return file.read(n)


def content_of(path: Path, max_bytes: int) -> bytearray:
    """All bytes of a file.

    Raises:
        InputError: It is no file, cannot be read or is larger.
    """
    require_file(path)
    with _readable(), path.open("rb", buffering=0) as file:
        size = file.seek(0, 2)
        if size > max_bytes:
            raise InputError(
                f"expected at most {max_bytes:,} bytes, the file has {size:,}; allow more with "
                "--max-bytes",
                "too-large",
            )
        file.seek(0)
        content = bytearray(size)
        place, view = 0, memoryview(content)
        while place < size and (n := file.readinto(view[place:])):
            place += n
    if place < size:
        raise InputError("it became shorter while it was read; read it again", "damaged")
    return content


@contextmanager
def _readable(remedy: str = "change its permissions or copy it again") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"expected a file, it cannot be read ({error.strerror}); {remedy}", "not-found"
        ) from error


def _is_file(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    with naming(path), _readable(CIRCLE):
        if path.is_symlink() and not path.exists():
            raise InputError("expected a file, a link leads nowhere; remove it", "not-found")
        if path.suffix in SUFFIXES and not path.is_dir():
            require_file(path)
        return path.is_file()


def _is_folder(path: Path) -> bool:
    with naming(path), _readable(CIRCLE):
        return path.is_dir()


def _require_distinct(folder: Path, units: list[Unit]) -> None:
    """Refuse two names for one file: the same checkpoint would count twice."""
    first: dict[tuple[int, int], Path] = {}
    for unit in units:
        for path in unit.files:
            if not path.is_file():
                raise InputError(
                    f"{unit.file}: expected {path.name} beside it, it is missing; download it "
                    "again",
                    "not-found",
                )
            stat = path.stat()
            other = first.setdefault((stat.st_dev, stat.st_ino), path)
            if other is not path:
                raise InputError(
                    f"{folder}: {other.relative_to(folder)} and {path.relative_to(folder)} are "
                    "one file by a link; expected a file for each checkpoint: remove one",
                    "wrong-content",
                )


def _with_unique_names(folder: Path, units: list[Unit]) -> list[Unit]:
    """Names without endings, unless two files differ in nothing else."""
    if len({unit.name for unit in units}) == len(units):
        return units
    return [replace(u, name=u.file.relative_to(folder).as_posix()) for u in units]


def stem(name: str) -> str:
    """A file's name without the endings of checkpoints."""
    whole = name.removesuffix(INDEX)
    while len(Path(whole).suffixes) and Path(whole).suffix in (*SUFFIXES, *OTHER_SUFFIXES):
        whole = Path(whole).stem
    return whole
