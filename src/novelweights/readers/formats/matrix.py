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
from novelweights.readers.formats.columns import columns_of
from novelweights.readers.formats.places import is_matrix
from novelweights.readers.source import Reading, Source
from novelweights.weights.chain import known_symmetry
from novelweights.weights.population import PopulationInfo, Records

NUMPY = (".npy", ".npz")
"""Damaged files of these kinds are taken for matrices."""


@dataclass(frozen=True)
class Matrix:
    """One file with a matrix of n checkpoints by d weights."""

    summary: str = "a .npy, .npz, .safetensors or .pt file of one matrix, with a layout"

    def recognizes(self, path: Path) -> bool:
        """Whether there is a file with a single matrix; its numbers are not read for that."""
        if not path.is_file():
            return False
        try:
            content = CheckpointFiles(2**62).described(path)
        except InputError:
            return path.suffix in NUMPY
        if path.suffix == ".npy":
            return True  # of another shape: refused with what is expected
        if isinstance(content, Mapping) and len(content) == 1:
            [content] = content.values()
        return is_matrix(content)

    def open(self, path: Path, reading: Reading) -> Source:
        """Its rows, each a run of its own unless a table says otherwise.

        Raises:
            InputError: Damaged, no matrix of real numbers, or there is no layout for it.
        """
        with naming(path):
            matrix = _only_matrix(CheckpointFiles(reading.max_bytes).content(path))
            layout, note = columns_of(path.parent, reading, matrix.shape[1])

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
