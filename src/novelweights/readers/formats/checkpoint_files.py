"""One checkpoint file as a state dict, whatever its form; what it is, its first bytes say."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from novelweights.errors import InputError, naming
from novelweights.readers.formats.array_files import MAGIC, open_npy, read_npz, shapes_of_npz
from novelweights.readers.formats.held import Held, held
from novelweights.readers.formats.integer_weights import floating_weights
from novelweights.readers.formats.other_kinds import kind_of_other
from novelweights.readers.formats.places import is_numbers
from novelweights.readers.formats.safetensors_files import read_safetensors, shapes_of_safetensors
from novelweights.readers.formats.torch_files import TorchFiles
from novelweights.readers.units import BEGINNING, Unit, first_bytes, is_npz
from novelweights.weights.layout import WeightLayout

PARALLEL = ("module.", "_orig_mod.")
"""What torch's own wrappers (data parallel, compiled) put before every name."""
HABITUAL = ("model.", "net.")
"""What training code of somebody's often puts before every name; it may belong to the network."""
SAFETENSORS_START = b"{"


@dataclass(frozen=True, eq=False)
class CheckpointFiles:
    """Reads checkpoint files one after the other; what one taught helps with the next.

    Messages do not name the file: who asks for it knows how its user calls it.
    """

    max_bytes: int
    """Files that announce more are refused."""
    prefix: str = ""
    """Left off the names of parameters."""
    key: str | None = None
    """Where in a file the network lies, if that is chosen."""
    columns: Callable[[int], WeightLayout] | None = None
    """Says which parameters a vector of so many weights holds; None: vectors are no networks."""
    _torch: TorchFiles = field(init=False)
    _inert: TorchFiles = field(init=False)
    _kept: dict[Path, Held] = field(default_factory=dict, init=False)
    """The last file that holds many checkpoints."""
    _averages: list[bool] = field(default_factory=list, init=False)
    """Whether the first file's network was an average over training."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_torch", TorchFiles(self.max_bytes))
        object.__setattr__(self, "_inert", TorchFiles(self.max_bytes, stubs=True))

    def state_of(self, unit: Unit) -> dict[str, Tensor]:
        """The floating-point tensors of a checkpoint by name, buffers among them.

        Raises:
            InputError: A file is damaged, needs code to be read, or holds something else.
        """
        return self.state_and_told(unit)[0]

    def state_and_told(self, unit: Unit) -> tuple[dict[str, Tensor], list[str]]:
        """The same, and in words what of the files was taken and what was left out."""
        if unit.index is None:
            return self._of_file(unit.file, unit.key)
        size = sum(path.stat().st_size for path in unit.files)
        if size > self.max_bytes:
            raise InputError(
                f"expected at most {self.max_bytes:,} bytes, its shards have {size:,}; allow more "
                "with --max-bytes",
                "too-large",
            )
        whole: dict[str, Tensor] = {}
        told: dict[str, None] = {}
        for path in unit.files:
            with naming(path.name):
                state, said = self._of_file(path)
                told |= dict.fromkeys(said)
                for name, value in state.items():
                    if whole.setdefault(name, value) is not value:
                        raise InputError(
                            f"{name} is in another shard too; download the model again", "damaged"
                        )
        return whole, list(told)

    def state(self, path: Path) -> dict[str, Tensor]:
        """The floating-point tensors of the one network in a file by name, buffers among them."""
        return self._of_file(path)[0]

    def _of_file(self, path: Path, key: str = "") -> tuple[dict[str, Tensor], list[str]]:
        found = self.held(path)
        state, told = self._state(found, key)
        return state, [*found.notes(), *told]

    def held(self, path: Path) -> Held:
        """The networks in a file.

        Raises:
            InputError: As `state_of`; or several may be meant.
        """
        if path in self._kept:
            return self._kept[path]
        try:
            found = held(self.content(path), self.key)
        except InputError as error:
            if error.code != "unsafe":
                raise
            try:  # settings as objects beside the weights
                found = held(self._inert.read(path), self.key)
            except InputError as other:
                raise (other if other.code == "wrong-option" else error) from other
            if found.is_hostile:
                raise
        if not self._averages:
            self._averages.append(found.is_average)
        if found.is_average != self._averages[0]:
            raise InputError(
                f"expected networks of one kind, got one at {found.taken or 'the top'}, where "
                f"{'no average' if found.is_average else 'an average'} over training was taken "
                "of the files before; choose with --key",
                "wrong-content",
            )
        self._kept.clear()
        if found.is_several:
            self._require_bounded(found)
            self._kept[path] = found
        return found

    def _require_bounded(self, found: Held) -> None:
        """Refuse many networks that are small in their file and large once they are apart."""
        size = 4 * sum(
            network.shape[0]
            if is_numbers(network)
            else sum(math.prod(value.shape) for value in network.values())
            for network in found.networks.values()
        )
        if size > self.max_bytes:
            raise InputError(
                f"expected at most {self.max_bytes:,} bytes, its {len(found.networks):,} networks "
                f"have {size:,}; allow more with --max-bytes",
                "too-large",
            )

    def described(self, path: Path) -> Any:
        """What a file holds without its numbers, which are not read.

        Returns:
            Tensors without values, arrays as memory maps, a `TensorPlan` for each of torch's.
        """
        start = first_bytes(path, BEGINNING)
        if start[8:].startswith(SAFETENSORS_START):
            return shapes_of_safetensors(path)
        if start.startswith(MAGIC):
            return open_npy(path, max_bytes=self.max_bytes)
        if is_npz(start):
            return shapes_of_npz(path)
        return self._inert.described(path)

    def _state(self, found: Held, key: str) -> tuple[dict[str, Tensor], list[str]]:
        """One of the networks in a file, and what is told of it."""
        if key not in found.networks:
            raise InputError(
                f"expected one network, got {len(found.networks)}; give the file by itself, or "
                "choose one with --key"
                if not key
                else f"expected a network {key} in it, as when it was listed; read it again",
                "wrong-content",
            )
        network = found.networks[key]
        if is_numbers(network):
            network = self._named(_tensor(network))
        state = {str(name): _tensor(value) for name, value in network.items()}
        floats, told = floating_weights(state)
        return _renamed(floats, self.prefix, told), told

    def _named(self, vector: Tensor) -> dict[str, Tensor]:
        """The parameters in a vector of all weights."""
        if self.columns is None:
            raise InputError(
                f"expected a state dict (names to tensors), got a tensor of shape "
                f"{tuple(vector.shape)}; save it by torch.save(model.state_dict(), path)",
                "wrong-type",
            )
        return self.columns(len(vector)).unflatten(vector)

    def content(self, path: Path) -> Any:
        """What a file holds, of plain values, tensors and arrays."""
        start = first_bytes(path, BEGINNING)
        if not start:
            raise InputError("expected a checkpoint, it is empty; copy it again", "damaged")
        is_safetensors = start[8:].startswith(SAFETENSORS_START)
        if not is_safetensors and (other := kind_of_other(start)) is not None:
            raise InputError(f"expected a state dict, it is {other}", "not-recognized")
        if is_safetensors or (path.suffix == ".safetensors" and not start.startswith(MAGIC)):
            return read_safetensors(path, max_bytes=self.max_bytes)
        if start.startswith(MAGIC):
            return open_npy(path, max_bytes=self.max_bytes)
        if is_npz(start):
            return read_npz(path, max_bytes=self.max_bytes)
        return self._torch.read(path)


def _tensor(value: Tensor | np.ndarray) -> Tensor:
    if isinstance(value, Tensor):
        return value
    native = value.astype(value.dtype.newbyteorder("="))
    if native.dtype in (np.uint16, np.uint32, np.uint64):  # no weights; torch has few of them
        native = native.astype(np.int64)
    return torch.from_numpy(np.ascontiguousarray(native).reshape(value.shape))


def _renamed(state: dict[str, Tensor], prefix: str, told: list[str]) -> dict[str, Tensor]:
    """Names without what wrappers put before each of them; other names stay as they are."""
    for before in filter(None, (*PARALLEL, prefix)):
        other = next((name for name in state if not name.startswith(before)), None)
        if other is None:
            state = {name[len(before) :]: value for name, value in state.items()}
            told.append(f'"{before}" is left off the names of parameters')
        elif before == prefix and any(name.startswith(before) for name in state):
            raise InputError(
                f"expected all names to begin with {prefix!r}, or none, got {other!r} too; leave "
                "--prefix out, or name what they begin with",
                "wrong-option",
            )
        elif before == prefix:
            told.append(f"--prefix {prefix} changes nothing: no name begins so")
    for before in HABITUAL:
        if len(state) > 1 and all(name.startswith(before) for name in state):
            told.append(f'all names of parameters begin with "{before}" (--prefix leaves it off)')
    return state
