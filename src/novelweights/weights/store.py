"""The population folder: safetensors shards, layout, records and what made them.

No pickle, readable without our code, opened as a memory map. Format: DESIGN section 3; writing is
`weights/writer.py`.
"""

import json
import mmap
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from novelweights.errors import InputError
from novelweights.files import read_json, sha256_of
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, Records
from novelweights.weights.provenance import Provenance
from novelweights.weights.symmetry import NeuronSymmetry

SCHEMA_VERSION = 1
RESTORE = "restore it from a copy or build the population again"
SHARED_FILE = "shared.safetensors"
"""The rest of a network of which the checkpoints are parts; only such populations have it."""
BLOCK_ROWS = 4096
LONGEST_NAME = 80
"""Characters of a shard's name; ours have fewer."""
INFO_KINDS = {
    "recipe": str,
    "settings": dict,
    "architecture": str | None,
    "task": str | None,
}
"""What `population.json` says of a population, by kind."""
MAP_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)  # Linux's; named from Python 3.13 on


@dataclass(frozen=True, eq=False)
class StoredPopulation:
    """A population folder opened as a memory map; rows are read when asked for."""

    path: Path
    layout: WeightLayout
    records: Records
    info: PopulationInfo
    shards: tuple[np.ndarray, ...]
    shared: Mapping[str, torch.Tensor] | None = None
    """See `Population.shared`."""

    def __len__(self) -> int:
        return len(self.records)

    def load(self, rows: Sequence[int] | np.ndarray | None = None) -> Population:
        """Some rows (indices or a mask), or all, as a population.

        Rows that follow each other in one shard, as those of a split do, stay a memory map and
        cost no memory however many they are; other choices are copied.
        """
        picked = np.arange(len(self))
        if rows is not None:
            picked = picked[np.asarray(rows)]
        weights = torch.from_numpy(self._weights(picked))
        records = self.records if rows is None else self.records.select(picked)
        return Population(weights, self.layout, records, self.info, self.shared)

    def _weights(self, rows: np.ndarray) -> np.ndarray:
        """A view of rows that follow each other in one shard; of any other choice a copy."""
        starts = np.cumsum([0, *map(len, self.shards)])
        if len(rows) and bool((np.diff(rows) == 1).all()):
            at = int(np.searchsorted(starts, rows[0], side="right")) - 1
            if rows[-1] < starts[at + 1]:
                return self.shards[at][rows[0] - starts[at] : rows[-1] + 1 - starts[at]]
        out = np.empty((len(rows), self.layout.size), dtype=np.float32)
        for start, shard in zip(starts, self.shards, strict=False):
            inside = (rows >= start) & (rows < start + len(shard))
            out[inside] = shard[rows[inside] - start]
        return out


def is_population_folder(folder: Path) -> bool:
    """Whether a folder looks like one that `PopulationWriter` finished."""
    return (folder / "population.json").is_file()


def open_population(folder: Path, *, verify: bool = True) -> StoredPopulation:
    """Open a population folder without loading its weights.

    Args:
        verify: Compare every file with its checksum; costs one read of the files.

    Raises:
        InputError: A file is missing, truncated or damaged; it is named.
    """
    if not is_population_folder(folder):
        is_partial = folder.name.endswith(".partial") or (folder / "progress.json").exists()
        if is_partial and folder.exists():
            got, code = "an unfinished build; go on with --resume", "unfinished"
        elif folder.exists():
            got, code = "no population.json; name another", "not-found"
        else:
            got, code = "nothing of that name; name another", "not-found"
        raise InputError(f"{folder}: expected a population folder, got {got}", code)
    described = read_json(folder / "population.json")
    version = described.get("schema_version") if isinstance(described, dict) else None
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{folder}: population.json has schema version {version}, this program reads "
            f"{SCHEMA_VERSION}; use the version of novelweights that wrote it",
            "wrong-version",
        )
    try:
        sums = {str(name): str(digest) for name, digest in dict(described["sha256"]).items()}
        shards = [
            (Path(shard["file"]).name[:LONGEST_NAME], int(shard["rows"]), str(shard["sha256"]))
            for shard in described["shards"]
        ]
        info = info_from_json(described)
        if any(rows < 0 or not name.isprintable() for name, rows, _ in shards):
            raise ValueError("a shard: its name is none, or its rows are fewer than none")
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{folder}: population.json lacks or misstates {error}; {RESTORE}", "damaged"
        ) from error
    for name in ("layout.csv", "records.csv", *({SHARED_FILE} & sums.keys())):
        _check_file(folder / name, sums.get(name), verify)
    layout = WeightLayout.read(folder / "layout.csv")
    maps = tuple(
        _map_shard(folder / name, rows, layout.size, digest, verify)
        for name, rows, digest in shards
    )
    records, n_rows = _read_records(folder / "records.csv"), sum(map(len, maps))
    if len(records) != n_rows or not maps:
        raise InputError(
            f"{folder}: records.csv has {len(records)} rows, the shards hold {n_rows} checkpoints; "
            f"expected equal and at least one; {RESTORE}",
            "other-rows",
        )
    shared = _read_shared(folder / SHARED_FILE) if SHARED_FILE in sums else None
    return StoredPopulation(folder, layout, records, info, maps, shared)


def _read_shared(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path}: expected the rest of the network in safetensors form ({error}); {RESTORE}",
            "damaged",
        ) from error


def _check_file(path: Path, digest: str | None, verify: bool, size: int | None = None) -> None:
    if not path.is_file():
        raise InputError(f"{path}: expected this file, it is missing; {RESTORE}", "not-found")
    if size is not None and (found := path.stat().st_size) != size:
        raise InputError(
            f"{path}: truncated or extended: expected {size} bytes, got {found}; {RESTORE}",
            "damaged",
        )
    if verify and digest is not None and (found := sha256_of(path)) != digest:
        raise InputError(
            f"{path}: damaged or edited: expected sha256 {digest[:12]}..., got {found[:12]}...; "
            f"{RESTORE}",
            "damaged",
        )


def _map_shard(path: Path, rows: int, d: int, digest: str, verify: bool) -> np.ndarray:
    header = safetensors_header(rows, d)
    _check_file(path, digest, verify, size=len(header) + 4 * rows * d)
    with path.open("rb") as file:
        if file.read(len(header)) != header:
            raise InputError(
                f"{path}: its header does not announce one float32 tensor 'weights' of {rows}x{d}; "
                f"{RESTORE}",
                "damaged",
            )
        mapped = _map_private(file)
    return np.frombuffer(mapped, dtype="<f4", offset=len(header)).reshape(rows, d)


def _map_private(file: BinaryIO) -> mmap.mmap:
    """A file as writable memory (torch wants that) whose changes never reach the file.

    On Linux without reserving memory for such changes: else a file larger than the machine's
    memory could not be mapped at all.
    """
    if sys.platform != "linux":
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    return mmap.mmap(
        file.fileno(),
        0,
        flags=mmap.MAP_PRIVATE | MAP_NORESERVE,
        prot=mmap.PROT_READ | mmap.PROT_WRITE,
    )


def _read_records(path: Path) -> Records:
    fixed = ("row", "run", "step", "split")
    try:
        # as text: a run may be called "NA", and Python's float reads back the exact number
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        return Records(
            run=table["run"].to_numpy(dtype=object),
            split=table["split"].to_numpy(dtype=object),
            step=table["step"].to_numpy(dtype=object).astype(np.int64),
            scores={
                name: np.array([float(text) if text else np.nan for text in table[name]])
                for name in table.columns
                if name not in fixed
            },
        )
    except (KeyError, ValueError, pd.errors.ParserError) as error:
        raise InputError(
            f"{path}: expected columns row, run, step, split and numeric scores ({error}); "
            f"{RESTORE}",
            "damaged",
        ) from error


def safetensors_header(rows: int, d: int) -> bytes:
    """A safetensors header for one float32 tensor "weights"; data follow in row order."""
    entry = {"dtype": "F32", "shape": [rows, d], "data_offsets": [0, 4 * rows * d]}
    text = json.dumps({"weights": entry}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def info_json(info: PopulationInfo) -> dict[str, Any]:
    """What `population.json` says of a population, as plain data."""
    return {
        "schema_version": SCHEMA_VERSION,
        "recipe": info.recipe,
        "settings": info.stored_settings,
        "architecture": info.architecture,
        "symmetry": info.symmetry.to_json() if info.symmetry else None,
        "task": info.task,
    }


def info_from_json(described: Mapping[str, Any]) -> PopulationInfo:
    """What `info_json` wrote.

    Raises:
        KeyError, TypeError, AttributeError: An entry is missing or of another kind.
    """
    symmetry = described["symmetry"]
    for name, kinds in INFO_KINDS.items():
        if not isinstance(described[name], kinds):
            raise TypeError(name)
    settings = dict(described["settings"])
    provenance = Provenance.from_json(settings.get("generator"))
    if provenance is not None:
        del settings["generator"]
    return PopulationInfo(
        recipe=described["recipe"],
        settings=settings,
        architecture=described["architecture"],
        symmetry=NeuronSymmetry.from_json(symmetry) if symmetry else None,
        task=described["task"],
        provenance=provenance,
    )
