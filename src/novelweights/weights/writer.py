"""Writing a population folder block by block, so that a killed build can go on.

A folder is built under the name ``NAME.partial`` and renamed when complete; a build that was
killed goes on at the last finished block and ends with the same bytes.
"""

import contextlib
import csv
import hashlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor

from novelweights.errors import InputError
from novelweights.files import (
    put_in_place,
    read_json,
    replacing,
    require_new,
    sha256_of,
    write_json,
    write_text,
)
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, Records
from novelweights.weights.store import BLOCK_ROWS, SHARED_FILE, info_json, safetensors_header

SHARD_BYTES = 2 << 30
JOURNAL, MARKER = "progress.json", "population.json"
"""How far an unfinished build is; what a finished one is known by."""


class PopulationWriter:
    """Writes a population of known size block by block, so that a killed build can go on.

    Use as a context manager: append blocks until all rows are there, then call `finish`.

    Args:
        folder: Final name; the work happens in `folder` + ".partial".
        info: What `population.json` will say; a resumed build must say the same.
        resume: Go on with an unfinished build if there is one.
        shard_bytes: Largest shard.
        shared: The rest of the target network, where the checkpoints are parts of it; a resumed
            build must give the same.

    Raises:
        InputError: The folder exists; or an unfinished build is there and `resume` is off, or it
            was begun with other settings.
    """

    def __init__(
        self,
        folder: Path,
        layout: WeightLayout,
        info: PopulationInfo,
        n_rows: int,
        *,
        resume: bool = False,
        overwrite: bool = False,
        shard_bytes: int = SHARD_BYTES,
        shared: Mapping[str, Tensor] | None = None,
    ) -> None:
        if n_rows < 1:
            raise InputError(
                f"{folder}: a population needs at least 1 checkpoint, got {n_rows}", "too-few"
            )
        require_new(folder, kind="population.json", overwrite=overwrite)
        self.folder = folder
        self.rows_done = 0
        self._partial = folder.with_name(folder.name + ".partial")
        self._layout, self._info, self._n_rows = layout, info, n_rows
        self._shared = {} if shared is None else {k: v.contiguous() for k, v in shared.items()}
        per_shard = max(1, shard_bytes // (4 * layout.size))
        n_shards = -(-n_rows // per_shard)
        self._shards = [
            (
                f"weights-{k + 1:05d}-of-{n_shards:05d}.safetensors",
                range(k * per_shard, min(n_rows, (k + 1) * per_shard)),
            )
            for k in range(n_shards)
        ]
        self._score_names: list[str] | None = None
        self._begin(resume)

    def _begin(self, resume: bool) -> None:
        plan = {
            "n_rows": self._n_rows,
            "layout": self._layout.to_csv(),
            "shards": [name for name, _ in self._shards],
            "info": info_json(self._info),
        }
        if self._shared:
            plan["shared"] = hashlib.sha256(save(self._shared)).hexdigest()
        self._plan = json.loads(json.dumps(plan))
        for path in self._partial.glob(".*.tmp"):  # of a write that was killed
            if path.name.startswith(tuple(f".{name}." for name in (JOURNAL, *self._files()))):
                path.unlink()
        if (self._partial / JOURNAL).exists():
            self._go_on(read_json(self._partial / JOURNAL), resume)
        elif (self._partial / MARKER).exists() and resume:  # killed when all was written
            described = read_json(self._partial / MARKER)
            mine = {**self._plan["info"], "rows": self._n_rows}
            if not isinstance(described, dict) or described != {**described, **mine}:
                raise self._other_settings()
            self.rows_done = self._n_rows
            return
        else:
            there = self._partial.iterdir() if self._partial.exists() else ()
            if {path.name for path in there} - set(self._files()):
                raise InputError(
                    f"{self._partial}: the folder to work in holds other files; move them away",
                    "exists",
                )
            self._partial.mkdir(parents=True, exist_ok=True)
            for name in ("records.csv", SHARED_FILE):  # of a build that had not begun
                (self._partial / name).unlink(missing_ok=True)
        for name, rows in self._shards:
            header = safetensors_header(len(rows), self._layout.size)
            done = min(max(self.rows_done - rows.start, 0), len(rows))
            path = self._partial / name
            if done:
                self._truncate(path, len(header) + 4 * self._layout.size * done)
            else:
                path.write_bytes(header)
        write_text(self._partial / "layout.csv", self._layout.to_csv())
        if self._shared:
            with replacing(self._partial / SHARED_FILE) as temporary:
                temporary.write_bytes(save(self._shared))

    def _go_on(self, journal: dict[str, Any], resume: bool) -> None:
        """Take up the state of an unfinished build."""
        if not resume:
            raise InputError(
                f"{self._partial}: an unfinished build with {journal['rows_done']} of "
                f"{journal['plan']['n_rows']} checkpoints is there; add --resume to go on with it, "
                "or delete it to begin anew",
                "unfinished",
            )
        if journal["plan"] != self._plan:
            raise self._other_settings()
        self.rows_done, self._score_names = journal["rows_done"], journal["score_names"]
        self._truncate(self._partial / "records.csv", journal["records_bytes"])

    def _files(self) -> tuple[str, ...]:
        """Names of what the finished folder may hold."""
        shards = (name for name, _ in self._shards)
        return "layout.csv", "records.csv", SHARED_FILE, MARKER, *shards

    def _other_settings(self) -> InputError:
        return InputError(
            f"{self._partial}: the unfinished build was begun with other settings; give the same "
            "settings to go on, or delete it to begin anew",
            "other-settings",
        )

    @staticmethod
    def _truncate(path: Path, size: int) -> None:
        if not path.exists() or path.stat().st_size < size:
            raise InputError(
                f"{path}: expected at least {size} bytes of the unfinished build; it was damaged. "
                "Delete the .partial folder and begin anew",
                "damaged",
            )
        os.truncate(path, size)

    def __enter__(self) -> "PopulationWriter":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Remove what holds no rows yet; else each block is complete on disk, and stays."""
        if error is not None and not self.rows_done and not (self._partial / JOURNAL).exists():
            for name in self._files():
                (self._partial / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # the disk's own error is raised, not this one
                self._partial.rmdir()

    def append(self, weights: Float[Tensor, "n d"], records: Records) -> None:
        """Write the next rows and their records; on return they are on disk.

        Raises:
            ValueError: More rows than announced, another layout, or other scores than before.
        """
        n = len(records)
        if weights.shape != (n, self._layout.size) or self.rows_done + n > self._n_rows:
            raise ValueError(
                f"block of {tuple(weights.shape)} for {n} records does not fit a population of "
                f"({self._n_rows}, {self._layout.size}) with {self.rows_done} rows done"
            )
        if self._score_names is None:
            self._score_names = list(records.scores)
        if list(records.scores) != self._score_names:
            raise ValueError(f"scores {list(records.scores)}, expected {self._score_names}")
        block = weights.detach().to(torch.float32).contiguous().numpy()
        for name, rows in self._shards:
            first, last = max(rows.start, self.rows_done), min(rows.stop, self.rows_done + n)
            if first < last:
                part = block[first - self.rows_done : last - self.rows_done]
                _append_bytes(self._partial / name, part.tobytes())
        records_path = self._partial / "records.csv"
        text = _records_csv(records, self.rows_done, header=self.rows_done == 0)
        _append_bytes(records_path, text.encode())
        self.rows_done += n
        write_json(
            self._partial / JOURNAL,
            {
                "rows_done": self.rows_done,
                "records_bytes": records_path.stat().st_size,
                "score_names": self._score_names,
                "plan": self._plan,
            },
        )

    def finish(self) -> Path:
        """Write `population.json` with the checksums and give the folder its name.

        Raises:
            ValueError: Rows are missing.
        """
        if self.rows_done != self._n_rows:
            raise ValueError(f"{self.rows_done} of {self._n_rows} rows were written")
        if not (self._partial / JOURNAL).exists():
            put_in_place(self._partial, self.folder)
            return self.folder
        tables = ("layout.csv", "records.csv", *((SHARED_FILE,) if self._shared else ()))
        described = {
            **info_json(self._info),
            "rows": self._n_rows,
            "weights": self._layout.size,
            "shards": [
                {"file": name, "rows": len(rows), "sha256": sha256_of(self._partial / name)}
                for name, rows in self._shards
            ],
            "sha256": {name: sha256_of(self._partial / name) for name in tables},
        }
        write_json(self._partial / MARKER, described)
        (self._partial / JOURNAL).unlink()
        put_in_place(self._partial, self.folder)
        return self.folder


def save_population(population: Population, folder: Path, *, overwrite: bool = False) -> Path:
    """Write a population that is in memory as a folder."""
    with PopulationWriter(
        folder,
        population.layout,
        population.info,
        len(population),
        overwrite=overwrite,
        shared=population.shared,
    ) as writer:
        for start in range(0, len(population), BLOCK_ROWS):
            part = population.select(slice(start, start + BLOCK_ROWS))
            writer.append(part.weights, part.records)
        return writer.finish()


def _append_bytes(path: Path, data: bytes | memoryview) -> None:
    with path.open("ab") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _records_csv(records: Records, first_row: int, *, header: bool) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if header:
        writer.writerow(["row", "run", "step", "split", *records.scores])
    columns = [column.tolist() for column in records.scores.values()]
    for i, (run, step, split) in enumerate(
        zip(records.run, records.step, records.split, strict=True)
    ):
        scores = ["" if column[i] != column[i] else repr(column[i]) for column in columns]
        writer.writerow([first_row + i, run, int(step), split, *scores])
    return out.getvalue()
