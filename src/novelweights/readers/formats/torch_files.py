"""Files of `torch.save`, read without unpickling: the zip format and the older stream of pickles.

`torch.load(weights_only=True)` still does what a pickle asks of the few things it allows (a file of
200 bytes can take gigabytes) and takes milliseconds for a small file. Here pickles are only
interpreted (`plain_pickle.py`), and files whose pickle is that of the file before are put together
by one plan. Tensors are views of the file's bytes, which stay in memory while one of them does.
"""

import sys
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from struct import Struct
from typing import Any

import numpy as np
import torch
from torch import Tensor

from novelweights.errors import InputError
from novelweights.readers.pickle.plain_pickle import DAMAGE, MAX_BYTES, read_plain_pickle
from novelweights.readers.pickle.plain_values import Refused, shown
from novelweights.readers.pickle.stored_zip import START, stored_entries
from novelweights.readers.pickle.torch_plan import Plan, plan_of
from novelweights.readers.pickle.torch_tensors import TORCH_NAMES, Storage, storage_of
from novelweights.readers.units import require_file

MAGIC = 0x1950A86A20F9469CFC6C
"""The first pickle of the older format."""
PROTOCOL = 1001
_LENGTH = Struct("<q")
Places = Mapping[str, tuple[int, int]]
"""First byte and number of bytes of every storage, by key."""


def read_torch_file(path: Path, *, max_bytes: int = MAX_BYTES, stubs: bool = False) -> Any:
    """What was saved in a file, see `TorchFiles.read`."""
    return TorchFiles(max_bytes, stubs=stubs).read(path)


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
        self._unknown: tuple[str, ...] = ()

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names that the last file would have imported, none of them listed; only with stubs."""
        return self._unknown

    def read(self, path: Path) -> Any:
        """What was saved in a file: plain values, tensors in memory, arrays; a `Stub` if allowed.

        Parameters are plain tensors, ordered dicts are dicts. Tensors that shared numbers do so
        again; tensors that were on other devices are in memory. A file of pickle.dump is read too.

        Raises:
            InputError: It needs code to be read, holds tensors of a special kind, is too large,
                damaged, or something else; nothing of it was run. Begins with the file's name.
        """
        content = _content(path, self._max_bytes)
        try:
            if content.startswith(START):
                return self._zip(content, path.name)
            return self._stream(content, path.name)
        except Refused as refusal:
            raise InputError(f"{path.name}: {refusal}") from refusal
        except (*DAMAGE, RuntimeError) as error:  # the last is torch's
            raise InputError(
                f"{path.name}: expected a file of torch.save, it is damaged or truncated "
                f"({shown(error)}); get the file again"
            ) from error

    def _zip(self, content: bytearray, source: str) -> Any:
        entries = stored_entries(content)
        folder = _folder(entries)
        start, size = entries[f"{folder}data.pkl"]
        pickle = content[start : start + size]
        if self._plan is None or pickle != self._pickle:
            self._plan = self._plan_of(BytesIO(pickle), source)
            self._pickle = bytes(pickle)
        places = {key: entries[f"{folder}data/{key}"] for key in self._plan.sizes}
        order = b"little"
        if f"{folder}byteorder" in entries:
            start, size = entries[f"{folder}byteorder"]
            order = bytes(content[start : start + size])
        if order not in (b"little", b"big"):
            raise ValueError("an order of bytes that is none")
        return _built(self._plan, content, places, order.decode())

    def _plan_of(self, stream: BytesIO, source: str) -> Plan:
        read = read_plain_pickle(
            stream,
            source,
            persistent=storage_of,
            names=TORCH_NAMES,
            stubs=self._stubs,
            max_bytes=self._max_bytes,
        )
        self._unknown = read.unknown
        return plan_of(read.value, self._max_bytes)

    def _stream(self, content: bytearray, source: str) -> Any:
        """The older format: three pickles about it, the value, the storages' keys, the storages."""
        if content[257:262] == b"ustar":
            raise Refused(
                "expected a file of torch.save, got the tar format of before 2017, which is not "
                "read; load it with torch.load where it comes from, and save it again"
            )
        stream = BytesIO(content)
        if self._plain(stream, source) != MAGIC:
            stream.seek(0)
            plan = self._plan_of(stream, source)
            if stream.tell() != len(content):
                raise ValueError("something behind the pickle")
            return _built(plan, content, {})
        if self._plain(stream, source) != PROTOCOL:
            raise ValueError("another version of the format")
        self._plain(stream, source)
        plan = self._plan_of(stream, source)
        keys = self._plain(stream, source)
        return _built(plan, content, _places(content, stream.tell(), keys, plan))

    def _plain(self, stream: BytesIO, source: str) -> Any:
        return read_plain_pickle(stream, source, stubs=self._stubs).value


def _content(path: Path, max_bytes: int) -> bytearray:
    """All bytes of a file."""
    require_file(path)
    try:
        with path.open("rb", buffering=0) as file:
            size = file.seek(0, 2)
            if size > max_bytes:
                raise InputError(
                    f"{path.name}: expected at most {max_bytes:,} bytes, the file has {size:,}; "
                    "allow more with --max-bytes"
                )
            file.seek(0)
            content = bytearray(size)
            place, view = 0, memoryview(content)
            while place < size and (n := file.readinto(view[place:])):
                place += n
    except OSError as error:
        raise InputError(
            f"{path.name}: expected a file, it cannot be read ({error.strerror}); change "
            "its permissions or copy it again"
        ) from error
    if place < size:
        raise InputError(f"{path.name}: it became shorter while it was read; read it again")
    return content


def _folder(entries: Mapping[str, tuple[int, int]]) -> str:
    """The beginning of all names in the archive, with its slash."""
    ends = [name.partition("/") for name in entries if name.endswith("/data.pkl")]
    folders = [f"{folder}/" for folder, _, rest in ends if rest == "data.pkl"]
    if len(folders) != 1:
        raise Refused(
            f"expected a file of torch.save, got a zip archive with {len(folders)} data.pkl in it; "
            "save the state dict: torch.save(model.state_dict(), path)"
        )
    (folder,) = folders
    script = (f"{folder}constants.pkl", f"{folder}code/")
    if any(name.startswith(script) for name in entries):
        raise Refused(
            "expected a state dict, got a TorchScript archive, which holds code: refused. Save the "
            "state dict alone: torch.save(model.state_dict(), path)"
        )
    return folder


def _places(content: bytearray, at: int, keys: Any, plan: Plan) -> dict[str, tuple[int, int]]:
    """Where the storages lie in the older format: one after the other, each behind its length."""
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
