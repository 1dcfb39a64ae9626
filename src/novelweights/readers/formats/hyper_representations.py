"""`dataset.pt` of Hyper-Representations: weights of all checkpoints of a zoo, pickled with a class.

The file is a dict with trainset, testset and perhaps valset, each an instance of SimCLRDataset, or
of ModelDatasetBase in other code. It is read without the class and without running anything: its
attributes are plain values (`torch_files.py`). Weights are in `data_in`, as vectors or as state
dicts; `paths` says which run a row is of, `epochs` which step, and `properties` how good it is.

Source: the released zoos of Hyper-Representations (Schürholt et al., 2022; Zenodo 7529960).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from novelweights.errors import InputError, naming
from novelweights.readers.formats.hyper_representations_rows import (
    ANOTHER_WAY,
    SPLITS,
    DataSet,
    kind_of,
    records_of,
)
from novelweights.readers.formats.state_dicts import layout_of_state
from novelweights.readers.formats.torch_files import TorchFiles
from novelweights.readers.pickle.values import Stub, shown
from novelweights.readers.source import Reading, Source, row_by_row
from novelweights.readers.units import is_torch
from novelweights.weights.chain import known_symmetry
from novelweights.weights.layout import WeightLayout, without_counts
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
        """Whether a file, or `dataset.pt` in a folder, begins with sets of some Dataset class."""
        try:
            file = _file(path)
            if not file.is_file():
                return False
            with file.open("rb") as opened:
                start = opened.read(BEGINNING)
        except OSError:
            return False
        is_named = b"Dataset" in start and any(name.encode() in start for name in SPLITS)
        return is_named and (file.suffix == ".pt" or is_torch(start))

    def open(self, path: Path, reading: Reading) -> Source:
        """The checkpoints of all sets; those of valset and testset are held out.

        Raises:
            InputError: The file is damaged or holds something else; nothing of it was run.
        """
        with naming(_file(path)):
            sets = _sets(TorchFiles(reading.max_bytes, stubs=True).read(_file(path)))
            names = [f"{one.name}[{i}]" for one in sets for i in range(len(one.rows))]
            rows = [row for one in sets for row in one.rows]
            with naming(names[0]):
                layout, layout_note = _layout(sets[0], reading)
            records, notes = records_of(sets)

        def fill(row: int, weights: Float[Tensor, " d"]) -> None:
            value = rows[row]
            if isinstance(value, dict):
                layout.flatten_into(weights, _state(value))
            elif _is_vector(value) and len(value) == layout.size:
                weights.copy_(value)
            else:
                raise InputError(
                    f"expected {layout.size:,} weights, as the first row has, got "
                    f"{kind_of(value)}; give checkpoints of one architecture",
                    "other-network",
                )

        return Source(
            format="hyper-representations",
            path=path,
            names=tuple(names),
            layout=layout,
            records=records,
            read=row_by_row(names, layout.size, fill),
            info=PopulationInfo(
                recipe=f"Hyper-Representations zoo of {len(set(records.run)):,} runs",
                symmetry=known_symmetry(layout),
            ),
            notes=(*notes, layout_note),
            runs_note="runs by their paths, steps are epochs",
        )


def _file(path: Path) -> Path:
    return path / FILE_NAME if path.is_dir() else path


def _sets(content: Any) -> list[DataSet]:
    """The sets of a file, as far as it has them."""
    named = content if isinstance(content, dict) else {}
    sets = [_set(name, named[name]) for name in SPLITS if named.get(name) is not None]
    if not sets:
        got = f"keys {shown(', '.join(map(str, named)))}" if named else type(content).__name__
        raise InputError(
            f"expected a dict with {', '.join(SPLITS)} (Hyper-Representations), got {got}; give "
            "the dataset.pt of a zoo",
            "not-recognized",
        )
    return sets


def _set(name: str, content: Any) -> DataSet:
    attributes = content.state if isinstance(content, Stub) else None
    if not isinstance(attributes, dict):
        raise InputError(
            f"expected a {CLASS} as {name}, got {kind_of(content)}; give the dataset.pt of a zoo",
            "wrong-type",
        )
    data = attributes.get("data_in")
    rows = data if isinstance(data, list) else []
    if isinstance(data, Tensor) and data.ndim == 2:
        rows = list(data)
    if not rows:
        raise InputError(
            f"expected weights in data_in of {name}, got {kind_of(data)}; {ANOTHER_WAY}",
            "wrong-type",
        )
    return DataSet(name, attributes, rows)


def _layout(first: DataSet, reading: Reading) -> tuple[WeightLayout, str]:
    """The parameters of the first row, and how they are known."""
    row = first.rows[0]
    if isinstance(row, dict):
        return layout_of_state(_state(row)), "parameters of the state dicts"
    if not _is_vector(row):
        raise InputError(
            f"expected a vector or a state dict, got {kind_of(row)}; {ANOTHER_WAY}", "wrong-type"
        )
    if known := reading.layout_of(len(row)):
        return known
    base = first.attributes.get("checkpoint_base")
    if isinstance(base, dict):
        with naming("checkpoint_base"):
            layout = layout_of_state(_state(base))
        layout = layout.of_size(len(row))
        if layout.size == len(row):
            return layout, "parameters of checkpoint_base in the file"
    if len(row) == RELEASED.size:
        return RELEASED, "parameters of the published networks of 2,464 weights"
    raise InputError(
        f"expected vectors of {RELEASED.size:,} weights, or a state dict of the same size as "
        f"checkpoint_base, got {len(row):,}; give the parameters with --layout",
        "other-network",
    )


def _is_vector(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim == 1 and value.is_floating_point()


def _state(state: dict) -> dict[str, Tensor]:
    """The weights of a state dict."""
    if not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        raise InputError(f"expected a state dict (names to tensors); {ANOTHER_WAY}", "wrong-type")
    floats = {key: value for key, value in state.items() if value.is_floating_point()}
    found = without_counts(floats)
    if not found:
        raise InputError(
            f"expected a state dict, no floating-point tensors are in it; {ANOTHER_WAY}",
            "wrong-type",
        )
    return found
