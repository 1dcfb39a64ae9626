"""A folder of state dicts, one file per checkpoint, read without running anybody's code."""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from novelweights.errors import InputError
from novelweights.weights.chain import symmetry_of_layout
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, Records
from novelweights.weights.symmetry import NeuronSymmetry

SUFFIXES = (".safetensors", ".pt", ".pth")
WRAPPERS = ("state_dict", "model")
"""Keys under which training code keeps the state dict inside a larger dict."""
BUFFERS = ("running_mean", "running_var")
"""Statistics of normalization layers: measured, not trained, so they are no weights."""
SHOWN_FAULTS = 3


def state_dict_files(folder: Path) -> list[Path]:
    """The checkpoint files directly in a folder, by name."""
    return sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES and p.is_file())


def read_state_dicts(folder: Path) -> Population:
    """One checkpoint per file; the file's name is the name of the run.

    The first file says which parameters there are; the others must agree. Integer buffers (such
    as num_batches_tracked) and statistics are left out. The symmetry is known where names and
    shapes are those of a plain chain of layers (`weights/chain.py`).

    Raises:
        InputError: A file is damaged, needs code to be read, or holds other parameters; the
            first few are named.
    """
    files = state_dict_files(folder)
    if not files:
        raise InputError(f"{folder}: expected .safetensors, .pt or .pth files, found none")
    layout: WeightLayout | None = None
    weights = np.empty((0, 0), dtype=np.float32)
    faults: list[str] = []
    symmetry: NeuronSymmetry | None = None
    for row, (path, whole) in enumerate(_states(files, faults)):
        state = learned(whole)
        if layout is None:
            symmetry = chain_symmetry(whole)
            layout = WeightLayout(tuple((k, tuple(v.shape)) for k, v in state.items()))
            weights = np.empty((len(files), layout.size), dtype=np.float32)
        try:
            weights[row] = layout.flatten(state).numpy()
        except InputError as error:
            faults.append(f"{path.name}: {error}")
    if faults or layout is None:
        shown = "; ".join(faults[:SHOWN_FAULTS])
        more = f"; and {len(faults) - SHOWN_FAULTS} more" if len(faults) > SHOWN_FAULTS else ""
        raise InputError(f"{folder}: {len(faults)} of {len(files)} files: {shown}{more}")
    return Population(
        torch.from_numpy(weights),
        layout,
        Records.of(_run_names(files), split="unknown"),
        PopulationInfo(recipe=f"folder of {len(files)} state dicts", symmetry=symmetry),
    )


def _run_names(files: list[Path]) -> list[str]:
    """File names without their ending, unless two files differ in nothing else."""
    stems = [path.stem for path in files]
    return stems if len(set(stems)) == len(stems) else [path.name for path in files]


def _states(files: list[Path], faults: list[str]) -> Iterator[tuple[Path, Mapping[str, Tensor]]]:
    """The readable files; what is wrong with the others is added to `faults`."""
    for path in files:
        try:
            yield path, _floats(_load(path), path)
        except InputError as error:
            faults.append(str(error))


def _load(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; a refusal says it better
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        if "weights_only" in str(error).lower() or "unsupported" in str(error).lower():
            raise InputError(
                f"{path.name}: needs code to be read, and a pickle can run anything: refused. "
                "Save the state dict alone: torch.save(model.state_dict(), path)"
            ) from error
        raise InputError(f"{path.name}: damaged or not a torch file ({_short(error)})") from error
    except Exception as error:  # torch meets damage with a dozen kinds of errors; all mean this
        raise InputError(f"{path.name}: damaged or truncated ({_short(error)})") from error


def _floats(state: Any, path: Path) -> dict[str, Tensor]:
    """The floating-point tensors of a state dict, statistics of normalizations included."""
    if isinstance(state, Mapping):
        for key in WRAPPERS:
            if isinstance(state.get(key), Mapping):
                state = state[key]
                break
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise InputError(
            f"{path.name}: expected a state dict (names to tensors), got {type(state).__name__}"
        )
    floats = {
        str(name): value
        for name, value in state.items()
        if value.is_floating_point() and str(name).rpartition(".")[2] not in BUFFERS
    }
    if any(value.is_complex() for value in state.values()):
        raise InputError(f"{path.name}: complex weights; expected real numbers")
    if all(map(_is_statistic, floats)):
        raise InputError(f"{path.name}: no floating-point tensors in it")
    return floats


def learned(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict without the statistics of normalizations."""
    return {name: value for name, value in state.items() if not _is_statistic(name)}


def chain_symmetry(state: Mapping[str, Tensor]) -> NeuronSymmetry | None:
    """The permutations of a state dict whose names and shapes are those of a plain chain."""
    shapes = tuple((name, tuple(value.shape)) for name, value in state.items())
    found = symmetry_of_layout(WeightLayout(shapes))
    return None if isinstance(found, str) else found.only(learned(state))


def _is_statistic(name: str) -> bool:
    return name.rpartition(".")[2] in BUFFERS


def _short(error: Exception) -> str:
    """The first sentence of a library's message."""
    lines = str(error).strip().splitlines()
    return lines[0].split(". ")[0][:120] if lines else type(error).__name__
