"""Folders that tests write and compare."""

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from novelweights.weights.layout import WeightLayout


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def write_states(
    folder: Path, layout: WeightLayout, weights: Iterable[Tensor], name: str = "{i:02}.pt"
) -> Path:
    """A state dict in a file for each checkpoint, in the form that its ending names."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, row in enumerate(weights):
        state = {key: value.clone() for key, value in layout.unflatten(row).items()}
        path = folder / name.format(i=i)
        if path.suffix == ".safetensors":
            save_file(state, path)
        else:
            torch.save(state, path)
    return folder
