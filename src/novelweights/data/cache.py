"""The folders in which data sets lie, and arrays that are made once and kept there."""

import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from novelweights.files import replacing

DATA_DIR = "NOVELWEIGHTS_DATA"
"""Environment variable with a folder of data sets that is looked into first."""
Arrays = Mapping[str, np.ndarray]
UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
"""What a file of the cache raises that is not there or damaged."""


def cache_dir() -> Path:
    """Where fetched and parsed data lie: NOVELWEIGHTS_CACHE, else the user's cache folder."""
    if own := os.environ.get("NOVELWEIGHTS_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "novelweights"


def data_path(name: str, *, or_zip: bool = False) -> Path:
    """Where a data set's files lie: in NOVELWEIGHTS_DATA (--data-dir) if it is there, else in the
    cache folder.

    Args:
        name: Of the data set and its folder.
        or_zip: Whether it may be a zip of that name.
    """
    own = os.environ.get(DATA_DIR)
    folders = [*([Path(own)] if own else []), cache_dir()]
    endings = ("", ".zip") if or_zip else ("",)
    places = [folder / f"{name}{ending}" for folder in folders for ending in endings]
    return next((place for place in places if place.exists()), cache_dir() / name)


def kept_arrays(
    file: str, make: Callable[[], Arrays], is_valid: Callable[[Arrays], bool] = lambda kept: True
) -> Arrays:
    """What `make` gives, from the cache if it was made before.

    Args:
        file: An .npz file, below the cache folder.
        make: Makes the arrays; called if the file is not there, damaged or not valid.
        is_valid: Of what the file holds. `KeyError` and `ValueError` say that it is not valid.
    """
    path = cache_dir() / file
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            arrays = dict(stored)
        if is_valid(arrays):
            return arrays
    except UNREADABLE:
        pass
    arrays = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as out:
            np.savez_compressed(out, allow_pickle=False, **arrays)
    except OSError:
        pass  # a cache that cannot be written costs time, not correctness
    return arrays
