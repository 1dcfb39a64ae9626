"""Files of `torch.save`, read without unpickling: the zip format and the older stream of pickles.

`torch.load(weights_only=True)` still does what a pickle asks of the few things it allows (a file of
200 bytes can take gigabytes) and takes milliseconds for a small file. Here pickles are only
interpreted (`pickle/interpreter.py`), and files whose pickle is that of the file before are put
together by one plan. Tensors are views of the file's bytes, which stay in memory while one does.
"""

import sys
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from struct import Struct
from typing import Any

import numpy as np
import torch
from torch import Tensor

from novelweights.errors import InputError
from novelweights.readers.pickle.interpreter import DAMAGE, read_pickle
from novelweights.readers.pickle.torch_tensors import TORCH_NAMES, Plan, Storage, storage_of
from novelweights.readers.pickle.values import shown
from novelweights.readers.source import MAX_BYTES
from novelweights.readers.units import content_of

MAGIC = 0x1950A86A20F9469CFC6C
"""The first pickle of the older format."""
PROTOCOL = 1001
STATE_DICT_ALONE = "save the state dict alone: torch.save(model.state_dict(), path)"
_LENGTH = Struct("<q")
_LOCAL = Struct("<4s22x2H")
"""Before an entry of a zip archive: signature, lengths of name and extra field; see `START`."""
START, END = b"PK\x03\x04", b"PK\x05\x06"
PICKLE = b"\x80"
"""First byte of those of the last twenty years."""
LARGEST_PICKLE = 64 << 20
"""Bytes that are looked at to see what a file holds."""
Places = Mapping[str, tuple[int, int]]
"""First byte and number of bytes of every entry, or storage, by name."""


class TorchFiles:
    """Reads files of `torch.save` one after the other, fast where only their numbers differ."""

    def __init__(self, max_bytes: int = MAX_BYTES, *, stubs: bool = False) -> None:
        """Args:
        max_bytes: The most that a file, and all tensors made of it, may have.
        stubs: Whether a file that names unknown classes is accepted, with inert `Stub`s of them.
        """
        self._max_bytes = max_bytes
        self._stubs = stubs
        self._pickle = b""
        self._plan: Plan | None = None

    def read(self, path: Path) -> Any:
        """What was saved in a file: plain values, tensors in memory, arrays; a `Stub` if allowed.

        Parameters are plain tensors, ordered dicts are dicts. Tensors that shared numbers do so
        again; tensors that were on other devices are in memory. A file of pickle.dump is read too.

        Raises:
            InputError: It needs code to be read, holds tensors of a special kind, is too large,
                damaged, or something else; nothing of it was run.
        """
        content = content_of(path, self._max_bytes)
        try:
            if content.startswith(START):
                return self._zip(content, _entries(path, content))
            return self._stream(content)
        except (*DAMAGE, OSError, RuntimeError, zipfile.BadZipFile) as error:
            raise InputError(
                f"expected a file of torch.save, it is damaged or truncated ({shown(error)}); get "
                "the file again",
                "damaged",
            ) from error

    def described(self, path: Path) -> Any:
        """The same without its numbers, which are not read: a `TensorPlan` for each tensor.

        Raises:
            InputError: As `read`; or its pickle alone is larger than `LARGEST_PICKLE`.
        """
        try:
            with path.open("rb") as file:
                start = file.read(len(START))
                is_zip = start == START
                if not is_zip and not start.startswith(PICKLE):
                    raise ValueError("no pickle")
                n = min(LARGEST_PICKLE, file.seek(0, 2))
                file.seek(0)
                stream = BytesIO(_pickle_in(path) if is_zip else file.read(n))
            if not is_zip and read_pickle(stream, stubs=True) == MAGIC:
                for _ in range(2):
                    read_pickle(stream, stubs=True)
            elif not is_zip:
                stream.seek(0)
            return read_pickle(
                stream,
                persistent=storage_of,
                names=TORCH_NAMES,
                stubs=self._stubs,
                max_bytes=self._max_bytes,
            )
        except (*DAMAGE, OSError, RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
            raise InputError(
                f"expected a file of torch.save, it is damaged or truncated ({shown(error)}); get "
                "the file again",
                "damaged",
            ) from error

    def _zip(self, content: bytearray, entries: Places) -> Any:
        folder = _folder(entries)
        start, size = entries[f"{folder}data.pkl"]
        pickle = content[start : start + size]
        if self._plan is None or pickle != self._pickle:
            self._plan = self._plan_of(BytesIO(pickle))
            self._pickle = bytes(pickle)
        places = {key: entries[f"{folder}data/{key}"] for key in self._plan.sizes}
        start, size = entries.get(f"{folder}byteorder", (0, 0))
        order = bytes(content[start : start + size]) or b"little"
        if order not in (b"little", b"big"):
            raise ValueError("an order of bytes that is none")
        return _built(self._plan, content, places, order.decode())

    def _plan_of(self, stream: BytesIO) -> Plan:
        value = read_pickle(
            stream,
            persistent=storage_of,
            names=TORCH_NAMES,
            stubs=self._stubs,
            max_bytes=self._max_bytes,
        )
        return Plan(value, self._max_bytes)

    def _stream(self, content: bytearray) -> Any:
        """The older format: three pickles about it, the value, the storages' keys, the storages."""
        if content[257:262] == b"ustar":
            raise InputError(
                "expected a file of torch.save, got the tar format of before 2017, which is not "
                "read; load it with torch.load where it comes from, and save it again",
                "wrong-version",
            )
        stream = BytesIO(content)
        if read_pickle(stream, stubs=self._stubs) != MAGIC:
            stream.seek(0)
            plan = self._plan_of(stream)
            if stream.tell() != len(content):
                raise ValueError("something behind the pickle")
            return _built(plan, content, {})
        if read_pickle(stream) != PROTOCOL:
            raise ValueError("another version of the format")
        read_pickle(stream, stubs=self._stubs)  # about the machine
        plan = self._plan_of(stream)
        return _built(plan, content, _places(content, stream, plan))


def _pickle_in(path: Path) -> bytes:
    """The pickle in an archive of torch.save, without what it describes."""
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        found = [entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl")]
        if len(found) != 1 or found[0].compress_type or found[0].file_size > LARGEST_PICKLE:
            raise ValueError("no pickle, several or a large one")
        file.seek(found[0].header_offset)
        _, n_name, n_extra = _LOCAL.unpack(file.read(_LOCAL.size))
        file.seek(n_name + n_extra, 1)
        return file.read(found[0].file_size)


def _entries(path: Path, content: bytearray) -> Places:
    """Where the entries of an uncompressed archive lie.

    Checksums are not compared: torch can be told to write none, and itself compares none.

    Raises:
        InputError: An entry is compressed or encrypted, or there are two of a name.
        ValueError: The archive is damaged or truncated. (Also BadZipFile, OSError, struct.error.)
    """
    with zipfile.ZipFile(path) as archive:
        listed, end = archive.infolist(), archive.start_dir
    last = content.rfind(END)
    if last + 22 + int.from_bytes(content[last + 20 : last + 22], "little") != len(content):
        raise ValueError("an archive that does not end where it says")
    entries: dict[str, tuple[int, int]] = {}
    for entry in listed:
        name, is_encrypted = entry.filename, entry.flag_bits & 1
        if entry.compress_type or is_encrypted:
            raise InputError(
                f"expected entries as torch.save stores them, {shown(name)} is "
                f"{'encrypted' if is_encrypted else 'compressed'}: refused; save it again with "
                "torch.save",
                "unsuited",
            )
        if name in entries:
            raise InputError(
                f"expected one entry of a name in the archive, {shown(name)} is there twice: "
                "refused; save it again with torch.save",
                "unsafe",
            )
        if entry.compress_size != entry.file_size:
            raise ValueError(f"{shown(name)} of two sizes")
        signature, n_name, n_extra = _LOCAL.unpack_from(content, entry.header_offset)
        at = entry.header_offset + _LOCAL.size
        coding = "utf-8" if entry.flag_bits & 0x800 else "cp437"
        if signature != START or content[at : at + n_name].decode(coding) != entry.orig_filename:
            raise ValueError(f"{shown(name)} is not where the directory says")
        entries[name] = (at + n_name + n_extra, entry.file_size)
    last = 0
    for place, size in sorted(entries.values()):
        if place < last or place + size > end:
            raise ValueError("entries that overlap or reach beyond the file")
        last = place + size
    return entries


def _folder(entries: Places) -> str:
    """The beginning of all names in the archive, with its slash."""
    ends = [name.partition("/") for name in entries if name.endswith("/data.pkl")]
    folders = [f"{folder}/" for folder, _, rest in ends if rest == "data.pkl"]
    if len(folders) != 1:
        raise InputError(
            f"expected a file of torch.save, got a zip archive with {len(folders)} data.pkl in it; "
            f"{STATE_DICT_ALONE}",
            "not-recognized",
        )
    (folder,) = folders
    script = (f"{folder}constants.pkl", f"{folder}code/")
    if any(name.startswith(script) for name in entries):
        raise InputError(
            "expected a state dict, got a TorchScript archive, which holds code: refused; "
            f"{STATE_DICT_ALONE}",
            "unsafe",
        )
    return folder


def _places(content: bytearray, stream: BytesIO, plan: Plan) -> dict[str, tuple[int, int]]:
    """Where the storages lie in the older format: behind their keys, each behind its length."""
    keys, at = read_pickle(stream), stream.tell()
    if type(keys) is not list:
        raise ValueError("storages without keys")
    lengths = {storage.key: storage.dtype.itemsize for storage, _ in plan.storages}
    places = {}
    for key in keys:
        (n_elements,) = _LENGTH.unpack_from(content, at)
        if n_elements < 0:
            raise ValueError("a storage of negative length")
        places[key] = (at + _LENGTH.size, n_elements * lengths[key])
        at += _LENGTH.size + n_elements * lengths[key]
    return places


def _built(plan: Plan, content: bytearray, places: Places, order: str = "little") -> Any:
    """The value of a plan, its tensors views of the file's bytes."""
    for key, size in plan.sizes.items():
        start, there = places[key]
        if there != size or start + size > len(content):
            raise ValueError(f"storage {shown(key)} of {there:,} bytes instead of {size:,}")

    def opened(storage: Storage, dtype: torch.dtype) -> Tensor:
        item = dtype.itemsize
        start, count = places[storage.key][0] + storage.start, storage.size // item
        held = content
        if start % item or order != sys.byteorder:
            held, start = content[start : start + count * item], 0
        if order != sys.byteorder:
            word = item // 2 if dtype.is_complex else item
            np.frombuffer(held, f"u{word}").byteswap(inplace=True)
        if dtype is torch.bool and np.frombuffer(held, np.uint8, count, start).max() > 1:
            raise ValueError("truth values that are none")
        return torch.frombuffer(held, dtype=dtype, count=count, offset=start)

    return plan.build(opened)
