"""Rows from files with a state dict each, for the folders of published methods.

The reader of a method says which files and in what order; here the first of them says which
parameters there are, and the others must agree.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.errors import InputError
from novelweights.weights.layout import WeightLayout
from novelweights.weights.readers.source import Reading
from novelweights.weights.readers.state_dicts import _floats, _load, chain_symmetry, learned
from novelweights.weights.symmetry import NeuronSymmetry


@dataclass(frozen=True, eq=False)
class StateFiles:
    """What the first of some files says of all, and how their rows are read."""

    layout: WeightLayout
    """Parameters that are taken."""
    symmetry: NeuronSymmetry | None
    """How the moves of the whole network act on them, where names and shapes tell."""
    read: Callable[[int, int, list[str]], Float[Tensor, "n d"]]
    """See `Source.read`."""
    prefix: str
    """What was left off the names."""


def state_files(
    path: Path, files: Mapping[str, Path], reading: Reading, *, prefix: str = ""
) -> StateFiles:
    """The checkpoints in some files, by the name that messages give them.

    Args:
        path: The folder, for messages.
        files: At least one; names as those of `Source`.
        reading: What is taken of each file.
        prefix: Left off the names of parameters where all of the first file begin so and
            `reading` says nothing.

    Raises:
        InputError: The first file cannot be read, or nothing of it is taken.
    """
    names = list(files)
    whole = _state(files[names[0]], reading)
    if prefix and not reading.prefix and all(name.startswith(prefix) for name in whole):
        reading = replace(reading, prefix=prefix)
        whole = _state(files[names[0]], reading)
    first = {name: value for name, value in learned(whole).items() if reading.takes(name)}
    if not first:
        raise InputError(
            f"{path}: expected parameters that --include and --exclude leave, they leave none of "
            f"{', '.join(whole)}; give other patterns"
        )
    layout = WeightLayout(tuple((name, tuple(value.shape)) for name, value in first.items()))
    symmetry = chain_symmetry(whole)

    def read(start: int, stop: int, faults: list[str]) -> Float[Tensor, "n d"]:
        return _read(names[start:stop], files, layout, reading, faults)

    return StateFiles(
        layout, None if symmetry is None else symmetry.only(first), read, reading.prefix
    )


def _read(
    names: Sequence[str],
    files: Mapping[str, Path],
    layout: WeightLayout,
    reading: Reading,
    faults: list[str],
) -> Float[Tensor, "n d"]:
    weights = torch.zeros(len(names), layout.size)
    for row, name in enumerate(names):
        try:
            state = learned(_state(files[name], reading))
            taken = {key: value for key, value in state.items() if reading.takes(key)}
            weights[row] = layout.flatten(taken)
        except InputError as error:
            faults.append(f"{name}: {str(error).removeprefix(f'{files[name].name}: ')}")
    return weights


def _state(file: Path, reading: Reading) -> dict[str, Tensor]:
    """The floating-point tensors of a file, without the prefix."""
    try:
        size = file.stat().st_size
    except OSError as error:
        raise InputError(
            f"{file.name}: expected a file ({error.strerror}); copy it again"
        ) from error
    if size > reading.max_bytes:
        raise InputError(
            f"{file.name}: expected at most {reading.max_bytes:,} bytes, the file has {size:,}; "
            "allow it with --max-bytes"
        )
    state = _floats(_load(file), file)
    return {name.removeprefix(reading.prefix): value for name, value in state.items()}
