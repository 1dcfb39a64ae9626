"""Checkpoints of others copied into a population folder, block by block, in little memory."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from novelweights.errors import InputError, first_few
from novelweights.readers import selected
from novelweights.readers.source import Reading, Source
from novelweights.weights.population import Records, last_of_each_run
from novelweights.weights.writer import PopulationWriter

SPLITS = ("train", "heldout", "start", "generated")
STEPS = ("all", "last")


def import_source(
    source: Source,
    folder: Path,
    *,
    reading: Reading,
    split: str | None = None,
    steps: str = "all",
    task: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Copy the checkpoints of a source into a population folder.

    Args:
        split: Of the checkpoints whose split is not known; None: it stays "unknown".
        steps: "all", or "last": the last of each run alone.
        task: Name of the task that judges them, for later audits.
        progress: Gets (checkpoints copied, in all).

    Returns:
        How many checkpoints were copied.

    Raises:
        InputError: A checkpoint is damaged or not finite, or the folder exists, or an unfinished
            import there was of other checkpoints.
    """
    if steps == "last":
        source = selected(source, _last_rows(source.records))
    records = source.records
    if split is not None:
        known = np.array([split if s == "unknown" else s for s in records.split], dtype=object)
        records = replace(records, split=known)
    names = hashlib.sha256("\n".join(source.names).encode()).hexdigest()
    settings = {
        "imported": {
            "format": source.format,
            "checkpoints": len(source),
            "steps": steps,
            "names_sha256": names,
            "records_sha256": _records_digest(records),
            "include": list(reading.include),
            "exclude": list(reading.exclude),
            "told": source.description(),
        },
        **source.info.settings,
    }
    info = replace(source.info, settings=settings, task=task or source.info.task)
    with PopulationWriter(
        folder,
        source.layout,
        info,
        len(source),
        resume=resume,
        overwrite=overwrite,
        shared=source.shared,
    ) as writer:
        for row, block in source.blocks(start=writer.rows_done):
            end = row + len(block)
            _require_finite(source, row, block)
            writer.append(block, records.select(slice(row, end)))
            if progress is not None:
                progress(end, len(source))
        writer.finish()
    return len(source)


def _last_rows(records: Records) -> np.ndarray:
    """The last of each run; runs of one name in two splits are two."""
    runs = [f"{split}\n{run}" for split, run in zip(records.split, records.run, strict=True)]
    return last_of_each_run(replace(records, run=np.array(runs, dtype=object)))


def _records_digest(records: Records) -> str:
    """SHA-256 of all that the records say, so that no import goes on with others."""
    columns = [("run", records.run), ("split", records.split), ("step", records.step)]
    digest = hashlib.sha256()
    for name, column in (*columns, *sorted(records.scores.items())):
        digest.update("\n".join((name, *map(str, column.tolist()), "")).encode())
    return digest.hexdigest()


def _require_finite(source: Source, start: int, block: torch.Tensor) -> None:
    bad = (~block.isfinite().all(dim=1)).nonzero()[:, 0].tolist()
    if bad:
        names = first_few([source.names[start + row] for row in bad])
        raise InputError(
            f"{source.path}: NaN or infinite weights in {names}; expected finite "
            "numbers. Leave these checkpoints out, or find out why their training diverged",
            "not-finite",
        )
