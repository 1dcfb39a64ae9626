"""Checkpoints in whatever form they lie on disk, recognized by content, as one population.

A population folder, or a folder of state dicts: one `.safetensors`, `.pt` or `.pth` file per
checkpoint. A pickle that needs code is refused.
"""

from pathlib import Path

import numpy as np

from novelweights.errors import InputError
from novelweights.weights.population import Population
from novelweights.weights.readers.state_dicts import read_state_dicts, state_dict_files
from novelweights.weights.store import is_population_folder, open_population


def read_checkpoints(path: Path, *, split: str | None = None) -> Population:
    """The checkpoints at a path.

    Args:
        path: A population folder or a folder of state dicts.
        split: Of a population folder that holds this split among others, only its rows.

    Raises:
        InputError: Nothing is there, nothing is recognized, or a file is damaged.
    """
    if not path.exists():
        raise InputError(f"{path}: expected checkpoints, there is nothing of that name")
    if not path.is_dir():
        raise InputError(
            f"{path}: expected a folder (a population folder, or state dicts, one file per "
            "checkpoint), got a file; name the folder it lies in"
        )
    if is_population_folder(path) or not state_dict_files(path):
        if not is_population_folder(path) and not (path / "progress.json").exists():
            raise InputError(
                f"{path}: expected a population folder or .safetensors, .pt or .pth files, "
                f"{'the folder is empty' if not any(path.iterdir()) else 'found neither'}"
            )
        stored = open_population(path)
        return stored.load(_rows_of(path, stored.records.split, split))
    return read_state_dicts(path)


def read_starts(path: Path) -> Population:
    """Checkpoints for a conditional generator to begin from: the split start of a population.

    Raises:
        InputError: As `read_checkpoints`; or they are training checkpoints, of which any generator
            that changes little would make seeming copies.
    """
    starts = read_checkpoints(path, split="start")
    if "train" in starts.records.split:
        raise InputError(
            f"{path}: expected checkpoints to begin from that no generator was fitted to (split "
            "start), got training checkpoints; build a zoo with --start-runs"
        )
    return starts


def _rows_of(path: Path, splits: np.ndarray, split: str | None) -> np.ndarray | None:
    """Rows of one role; None for all, where the folder does not tell roles apart."""
    if split is None:
        return None
    rows = splits == split
    if rows.any():
        return rows
    there = sorted(set(map(str, splits)))
    if len(there) > 1 or (split == "train" and there == ["heldout"]):
        raise InputError(
            f"{path}: expected {split} checkpoints, the folder holds {' and '.join(there)}; "
            "name the folder that holds them"
        )
    return None


def heldout_rows(path: Path) -> int:
    """How many held-out rows a population folder holds beside others; 0 for anything else."""
    if not path.is_dir() or not is_population_folder(path):
        return 0
    split = open_population(path, verify=False).records.split
    return int((split == "heldout").sum()) if (split == "train").any() else 0
