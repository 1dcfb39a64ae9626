"""A matrix of weights, a row per checkpoint, with a layout that says what its columns are."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.errors import InputError, naming
from novelweights.readers.formats.checkpoint_files import CheckpointFiles
from novelweights.readers.source import Reading, Source
from novelweights.weights.chain import known_symmetry
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import PopulationInfo, Records

NUMPY = (".npy", ".npz")
"""Files of these kinds are no checkpoints of another format: they need not be read to know it."""
SUFFIXES = (*NUMPY, ".safetensors", ".pt", ".pth")
LAYOUT = "layout.csv"
"""The layout of a matrix, where it lies beside it."""


@dataclass(frozen=True)
class Matrix:
    """One file with a matrix of n checkpoints by d weights."""

    summary: str = "a .npy, .npz, .safetensors or .pt file of one matrix, with a layout"

    def recognizes(self, path: Path) -> bool:
        """Whether there is a file with a single matrix."""
        if not path.is_file() or path.suffix not in SUFFIXES:
            return False
        if path.suffix in NUMPY:
            return True  # not unpacked before its size is allowed
        try:
            _only_matrix(CheckpointFiles(2**62).content(path))
        except InputError:
            return False
        return True

    def open(self, path: Path, reading: Reading) -> Source:
        """Its rows, each a run of its own unless a table says otherwise.

        Raises:
            InputError: Damaged, no matrix of real numbers, or there is no layout for it.
        """
        with naming(path):
            matrix = _only_matrix(CheckpointFiles(reading.max_bytes).content(path))
            layout, note = _layout(path, reading, matrix.shape[1])

        def read(start: int, stop: int, faults: list[str]) -> Float[Tensor, "n d"]:
            rows = matrix[start:stop]
            if isinstance(rows, Tensor):
                return rows.detach().to(torch.float32)
            return torch.from_numpy(np.array(rows, dtype=np.float32))

        names = tuple(f"{row:05d}" for row in range(len(matrix)))
        return Source(
            format="matrix",
            path=path,
            names=names,
            layout=layout,
            records=Records.of([f"row-{name}" for name in names], split="unknown"),
            read=read,
            info=PopulationInfo(
                recipe=f"matrix of {len(names)} checkpoints", symmetry=known_symmetry(layout)
            ),
            notes=(f"a matrix of {len(names)} rows, {note}",),
            runs_note="each row is taken for a run of its own",
        )


def _only_matrix(content: Any) -> Tensor | np.ndarray:
    """The matrix in what a file holds.

    Raises:
        InputError: There is none, or more than one, or it is no matrix of real numbers.
    """
    if isinstance(content, Mapping) and len(content) == 1:
        [content] = content.values()
    if not isinstance(content, Tensor | np.ndarray):
        n = len(content) if isinstance(content, Mapping) else 0
        got = f"{n} arrays" if n else type(content).__name__
        raise InputError(
            f"expected one matrix of checkpoints by weights, got {got}; save it alone", "wrong-type"
        )
    is_real = (
        content.is_floating_point() if isinstance(content, Tensor) else content.dtype.kind == "f"
    )
    shape = "x".join(map(str, content.shape)) or "a scalar"
    if content.ndim != 2 or not is_real or 0 in content.shape:
        raise InputError(
            "expected a matrix of checkpoints by weights in floating point, got "
            f"{shape} of {str(content.dtype).removeprefix('torch.')}; save one row per checkpoint",
            "wrong-type" if not is_real else "wrong-shape",
        )
    return content


def _layout(path: Path, reading: Reading, n_weights: int) -> tuple[WeightLayout, str]:
    where = reading.layout or path.parent / LAYOUT
    if reading.layout is not None or where.exists():
        layout, note = WeightLayout.read(where), f"columns by {where.name}"
    elif reading.columns is None or _is_sorted_by_name(reading.columns):
        why = f"there is no {where}"
        if reading.columns is not None:
            why = (
                "the training checkpoints' own order is that of safetensors, which sorts names, "
                "and says nothing of a matrix"
            )
        raise InputError(
            f"expected a layout that says which parameters its {n_weights} columns are: {why}; "
            "give one with --layout (CSV with parameter, shape such as 10x784), in the order of "
            "the columns",
            "not-found",
        )
    else:
        layout, note = reading.columns, "columns taken to be those of the training checkpoints"
    if layout.size != n_weights:
        raise InputError(
            f"expected {layout.size} columns ({note}), the matrix has {n_weights}; give the layout "
            "of these checkpoints",
            "other-network",
        )
    return layout, note


def _is_sorted_by_name(layout: WeightLayout) -> bool:
    """Whether a bias comes before its weight, which no module has so."""
    place = {name: i for i, (name, _) in enumerate(layout.shapes)}
    biases = [name for name in place if name.endswith("bias")]
    return any(place[name] < place.get(f"{name[:-4]}weight", -1) for name in biases)
