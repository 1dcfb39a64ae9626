"""`dataset.pt` of Hyper-Representations: weights of all checkpoints of a zoo, pickled with a class.

The file is a dict with trainset, testset and perhaps valset, each an instance of SimCLRDataset. It
is read without the class and without running anything: its attributes are plain values
(`torch_files.py`). Weights are in `data_in`, as vectors or as state dicts; `paths` says which run a
row is of, `epochs` which step, and `properties` how good it is.

Source: the released zoos of Hyper-Representations (Schürholt et al., 2022; Zenodo 7529960).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.errors import InputError
from novelweights.readers.formats.hyper_representations_rows import (
    ANOTHER_WAY,
    SPLITS,
    DataSet,
    kind_of,
    records_of,
)
from novelweights.readers.formats.state_dicts import learned
from novelweights.readers.formats.torch_files import TorchFiles
from novelweights.readers.given_layout import layout_from
from novelweights.readers.pickle.values import Stub, shown
from novelweights.readers.source import Reading, Source
from novelweights.weights.chain import symmetry_of_layout
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import PopulationInfo

FILE_NAME = "dataset.pt"
CLASS = "SimCLRDataset"
RELEASED = WeightLayout(
    (
        ("module_list.0.weight", (8, 1, 5, 5)),
        ("module_list.0.bias", (8,)),
        ("module_list.3.weight", (6, 8, 5, 5)),
        ("module_list.3.bias", (6,)),
        ("module_list.6.weight", (4, 6, 2, 2)),
        ("module_list.6.bias", (4,)),
        ("module_list.9.weight", (20, 36)),
        ("module_list.9.bias", (20,)),
        ("module_list.11.weight", (10, 20)),
        ("module_list.11.bias", (10,)),
    )
)
"""The networks for MNIST and SVHN, 2,464 weights."""
BEGINNING = 1 << 16
"""Bytes of a file in which the name of the class stands."""


@dataclass(frozen=True)
class HyperRepresentationsDataset:
    """Reads `dataset.pt` of Hyper-Representations."""

    summary: str = "dataset.pt of Hyper-Representations, read without its classes"

    def recognizes(self, path: Path) -> bool:
        """Whether a file, or `dataset.pt` in a folder, begins with a SimCLRDataset."""
        try:
            file = _file(path)
            if file.suffix != ".pt" or not file.is_file():
                return False
            with file.open("rb") as opened:
                return CLASS.encode() in opened.read(BEGINNING)
        except OSError:
            return False

    def open(self, path: Path, reading: Reading) -> Source:
        """The checkpoints of all sets; those of valset and testset are held out.

        Raises:
            InputError: The file is damaged or holds something else; nothing of it was run.
        """
        file = _file(path)
        sets = _sets(_content(file, reading.max_bytes), file)
        rows = [(f"{one.name}[{i}]", row) for one in sets for i, row in enumerate(one.rows)]
        layout, told = _layout(sets[0], reading, file)
        symmetry = symmetry_of_layout(layout)
        records, notes = records_of(sets, file)

        def read(start: int, stop: int, faults: list[str]) -> Float[Tensor, "n d"]:
            return _read(rows[start:stop], layout, faults)

        return Source(
            format="hyper-representations",
            path=path,
            names=tuple(name for name, _ in rows),
            layout=layout,
            records=records,
            read=read,
            info=PopulationInfo(
                recipe=f"Hyper-Representations zoo of {len(set(records.run)):,} runs",
                symmetry=None if isinstance(symmetry, str) else symmetry,
            ),
            notes=(*notes, told),
            runs_note="runs by their paths, steps are epochs",
        )


def _file(path: Path) -> Path:
    return path / FILE_NAME if path.is_dir() else path


def _content(file: Path, max_bytes: int) -> Any:
    try:
        return TorchFiles(max_bytes, stubs=True).read(file)
    except InputError as error:
        raise InputError(f"{file.parent / str(error)}") from error


def _sets(content: Any, file: Path) -> list[DataSet]:
    """The sets of a file, as far as it has them."""
    named = content if isinstance(content, dict) else {}
    sets = [_set(name, named[name], file) for name in SPLITS if named.get(name) is not None]
    if not sets:
        got = f"keys {shown(', '.join(map(str, named)))}" if named else type(content).__name__
        raise InputError(
            f"{file}: expected a dict with {', '.join(SPLITS)} (Hyper-Representations), got {got}; "
            "give the dataset.pt of a zoo"
        )
    return sets


def _set(name: str, found: Any, file: Path) -> DataSet:
    attributes = found.state if isinstance(found, Stub) else None
    if not isinstance(attributes, dict):
        raise InputError(
            f"{file}: expected a {CLASS} as {name}, got {kind_of(found)}; give the dataset.pt of "
            "a zoo"
        )
    data = attributes.get("data_in")
    if not isinstance(data, Tensor | list) or (isinstance(data, Tensor) and data.ndim != 2):
        raise InputError(
            f"{file}: expected weights in data_in of {name}, got {kind_of(data)}; {ANOTHER_WAY}"
        )
    if len(data) == 0:
        raise InputError(
            f"{file}: expected weights in data_in of {name}, it is empty; leave it out"
        )
    return DataSet(name, attributes, list(data))


def _layout(first: DataSet, reading: Reading, file: Path) -> tuple[WeightLayout, str]:
    """The parameters of the first row, and how they are known."""
    row = first.rows[0]
    if isinstance(row, dict):
        return _layout_of(row, f"{first.name}[0]", file), "parameters of the state dicts"
    if not isinstance(row, Tensor) or row.ndim != 1 or not row.is_floating_point():
        raise InputError(
            f"{file}: expected a vector or a state dict as {first.name}[0], got {kind_of(row)}; "
            f"{ANOTHER_WAY}"
        )
    if reading.layout is not None:
        return layout_from(reading.layout, len(row), file), f"columns by {reading.layout.name}"
    base = first.attributes.get("checkpoint_base")
    if isinstance(base, dict):
        layout = _layout_of(base, f"checkpoint_base of {first.name}", file)
        if layout.size == len(row):
            return layout, "parameters of checkpoint_base in the file"
    if len(row) == RELEASED.size:
        return RELEASED, "parameters of the published networks of 2,464 weights"
    raise InputError(
        f"{file}: expected vectors of {RELEASED.size:,} weights, or a state dict of the same size "
        f"as checkpoint_base, got {len(row):,}; give the parameters with --layout"
    )


def _layout_of(state: dict, name: str, file: Path) -> WeightLayout:
    try:
        found = _state(state)
    except InputError as error:
        raise InputError(f"{file}: {name}: {error}") from error
    return WeightLayout(tuple((key, tuple(value.shape)) for key, value in found.items()))


def _state(state: dict) -> dict[str, Tensor]:
    """The weights of a state dict."""
    if not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        raise InputError(f"expected a state dict (names to tensors); {ANOTHER_WAY}")
    found = {key: value for key, value in state.items() if value.is_floating_point()}
    if not learned(found):
        raise InputError(
            f"expected a state dict, no floating-point tensors are in it; {ANOTHER_WAY}"
        )
    return learned(found)


def _read(
    rows: Sequence[tuple[str, Any]], layout: WeightLayout, faults: list[str]
) -> Float[Tensor, "n d"]:
    weights = torch.zeros(len(rows), layout.size)
    for i, (name, row) in enumerate(rows):
        try:
            weights[i] = _vector(row, layout)
        except InputError as error:
            faults.append(f"{name}: {error}")
    return weights


def _vector(row: Any, layout: WeightLayout) -> Float[Tensor, " d"]:
    if isinstance(row, dict):
        return layout.flatten(_state(row))
    fits = isinstance(row, Tensor) and row.is_floating_point() and row.shape == (layout.size,)
    if not fits:
        raise InputError(
            f"expected {layout.size:,} weights, as the first row has, got {kind_of(row)}; give "
            "checkpoints of one architecture"
        )
    return row.float()
