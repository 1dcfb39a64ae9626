"""Checkpoint files for the tests of readers: tiny networks, written in true formats."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from novelweights.networks.mlp import OneHiddenMLP
from novelweights.seeding import rng_for

NETWORK = OneHiddenMLP(4, 3, 2)


def a_state(i: int = 0, *labels: str) -> dict[str, torch.Tensor]:
    """The state dict of a random network."""
    weights = NETWORK.initial(rng_for(0, i, *labels))
    return {name: value.clone() for name, value in NETWORK.layout.unflatten(weights).items()}


def row_of(state: dict[str, torch.Tensor]) -> torch.Tensor:
    """Its weights in the order of the network."""
    return NETWORK.layout.flatten(state)


def write_state(path: Path, i: int = 0) -> dict[str, torch.Tensor]:
    """A state dict in a file, in the form that its ending names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = a_state(i)
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return state
