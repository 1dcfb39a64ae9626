"""One checkpoint file as a state dict, whatever its form; what it is, its first bytes say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from novelweights.errors import InputError, naming
from novelweights.readers.formats.array_files import MAGIC, open_npy, read_npz
from novelweights.readers.formats.safetensors_files import read_safetensors
from novelweights.readers.formats.torch_files import TorchFiles
from novelweights.readers.units import Unit, first_bytes

WRAPPERS = ("state_dict", "model_state_dict", "model", "ema", "net", "module", "params", "weights")
"""Keys under which training code keeps the state dict inside a larger dict, Lightning's first."""
PARALLEL = ("module.", "_orig_mod.")
"""What torch's own wrappers (data parallel, compiled) put before every name."""
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
"""First bytes of what is no state dict, and what to do."""
ZIP, SAFETENSORS_START = b"PK", b"{"


@dataclass(frozen=True, eq=False)
class CheckpointFiles:
    """Reads checkpoint files one after the other; what one taught helps with the next.

    Messages do not name the file: who asks for it knows how its user calls it.
    """

    max_bytes: int
    """Files that announce more are refused."""
    prefix: str = ""
    """Left off the names of parameters."""
    _torch: TorchFiles = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_torch", TorchFiles(self.max_bytes))

    def state_of(self, unit: Unit) -> dict[str, Tensor]:
        """The floating-point tensors of a checkpoint by name, buffers among them.

        Raises:
            InputError: A file is damaged, needs code to be read, or holds something else.
        """
        if unit.index is None:
            return self.state(unit.file)
        whole: dict[str, Tensor] = {}
        for path in unit.files:
            with naming(path.name):
                for name, value in self.state(path).items():
                    if whole.setdefault(name, value) is not value:
                        raise InputError(
                            f"{name} is in another shard too; download the model again", "damaged"
                        )
        return whole

    def state(self, path: Path) -> dict[str, Tensor]:
        """The floating-point tensors in one file by name, buffers among them."""
        state = _state_dict(self.content(path))
        if any(value.is_complex() for value in state.values()):
            raise InputError(
                "expected real weights, got complex ones; save real and imaginary parts as "
                "parameters of their own",
                "wrong-type",
            )
        floats = {name: value for name, value in state.items() if value.is_floating_point()}
        if not floats:
            kinds = sorted({str(value.dtype).removeprefix("torch.") for value in state.values()})
            raise InputError(
                f"expected floating-point weights, got only {', '.join(kinds)}; save the weights "
                "as float32",
                "wrong-type",
            )
        return _renamed(floats, self.prefix)

    def content(self, path: Path) -> Any:
        """What a file holds, of plain values, tensors and arrays."""
        start = first_bytes(path, 32)
        if not start:
            raise InputError("expected a checkpoint, it is empty; copy it again", "damaged")
        is_safetensors = start[8:].startswith(SAFETENSORS_START)
        for magic, described in NO_CHECKPOINTS.items():
            if start.startswith(magic) and not is_safetensors:
                raise InputError(f"expected a state dict, it is {described}", "not-recognized")
        if is_safetensors or (path.suffix == ".safetensors" and not start.startswith(MAGIC)):
            return read_safetensors(path, max_bytes=self.max_bytes)
        if start.startswith(MAGIC):
            return open_npy(path, max_bytes=self.max_bytes)
        if path.suffix == ".npz" and start.startswith(ZIP):
            return read_npz(path, max_bytes=self.max_bytes)
        return self._torch.read(path)


def _state_dict(content: Any) -> dict[str, Tensor]:
    """The names and tensors in what a file holds."""
    state = content
    for _ in range(2):  # {"model": {"state_dict": ...}}
        if isinstance(state, Mapping):
            inner = (state[key] for key in WRAPPERS if isinstance(state.get(key), Mapping))
            state = next(inner, state)
    if not isinstance(state, Mapping):
        got = type(state).__name__
    elif odd := [key for key, value in state.items() if not _is_numbers(value)]:
        got = f"a dict in which {str(odd[0])[:60]!r} is no tensor"
    elif state:
        return {str(key): _tensor(value) for key, value in state.items()}
    else:
        got = "an empty dict"
    raise InputError(
        f"expected a state dict (names to tensors), got {got}; save it by "
        "torch.save(model.state_dict(), path)",
        "wrong-type",
    )


def _is_numbers(value: Any) -> bool:
    is_array = isinstance(value, np.ndarray) and value.dtype.kind in "fiubc"
    return is_array or isinstance(value, Tensor)


def _tensor(value: Tensor | np.ndarray) -> Tensor:
    if isinstance(value, Tensor):
        return value
    native = value.astype(value.dtype.newbyteorder("="))
    if native.dtype in (np.uint16, np.uint32, np.uint64):  # no weights; torch has few of them
        native = native.astype(np.int64)
    return torch.from_numpy(np.ascontiguousarray(native).reshape(value.shape))


def _renamed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Names without what wrappers put before each of them; other names stay as they are."""
    for before in filter(None, (*PARALLEL, prefix)):
        other = next((name for name in state if not name.startswith(before)), None)
        if other is None:
            state = {name[len(before) :]: value for name, value in state.items()}
        elif before == prefix and any(name.startswith(before) for name in state):
            raise InputError(
                f"expected all names to begin with {prefix!r}, or none, got {other!r} too; leave "
                "--prefix out, or name what they begin with",
                "wrong-option",
            )
    return state
