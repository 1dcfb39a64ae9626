"""On how many test examples checkpoints predict as their nearest training checkpoint does.

Nearest under plain L2, and under the distance of the audit. Where reconstructions stand in for
training checkpoints, those of all epochs count under plain L2, as in the paper; else the last
checkpoint of each run. None is its own neighbor. Source: paper, appendix C.3 and table 2; held-out
runs are ours.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from novelweights.auditing.prepare import Prepared, prepare
from novelweights.auditing.result import AuditResult
from novelweights.files import read_json, write_json
from novelweights.metrics.agreement import prediction_overlap
from novelweights.metrics.neighbors import nearest
from novelweights.reproduce.nodes import Tell
from novelweights.reproduce.stages import MEASURED, audit_inputs, task_of
from novelweights.tasks.task import Task

MEASURES = ("plain", "aligned")
COLUMNS = ("kind", "measure", "overlap", "accuracy", "partner_accuracy", "distance", "ratio", "row")
"""Of every checkpoint: share of test examples with the prediction of its nearest training
checkpoint by the measure, the accuracy of both in percent, the distance, that over the distance to
the second nearest (1 where both are 0), and which is nearest."""


def overlaps(folder: Path, at: Mapping[str, Path], tell: Tell) -> None:
    """The prediction overlap of every checkpoint with its nearest training checkpoint."""
    given = prepare(audit_inputs(at))
    write_json(folder / MEASURED, {"overlaps": overlaps_of(given, task_of(given.train), tell)})


def read_overlaps(folder: Path) -> pd.DataFrame:
    """What `overlaps` left."""
    return pd.DataFrame(read_json(folder / MEASURED)["overlaps"])


def overlaps_of(given: Prepared, task: Task, tell: Tell) -> dict[str, list[Any]]:
    """The `COLUMNS`, of generated, training and held-out checkpoints by both measures."""
    every, own_rows = given.train, np.arange(len(given.train))
    if given.originals is not None and given.all_training is not None:
        every, own_rows = given.all_training, given.training_rows
    references = [(every, own_rows, None), (given.train, np.arange(len(own_rows)), given.alignment)]
    predicted = task.behave(every)
    found: dict[str, list[Any]] = {column: [] for column in COLUMNS}
    groups = {"training": given.train, "generated": given.generated, "heldout": given.heldout}
    for done, (kind, population) in enumerate(groups.items()):
        tell("predictions", done, len(groups))
        if population is None:
            continue
        is_training = kind == "training"
        behavior = predicted[own_rows] if is_training else task.behave(population)
        for measure, (reference, own, alignment) in zip(MEASURES, references, strict=True):
            near = nearest(
                population.learned,
                reference.learned,
                k=2,
                exclude=own[:, None] == np.arange(len(reference)) if is_training else None,
                alignment=alignment,
            )
            rows, (first, second) = near.rows[:, 0], near.distances.T
            partners = predicted if reference is every else predicted[own_rows]
            columns = {
                "kind": [kind] * len(rows),
                "measure": [measure] * len(rows),
                "overlap": prediction_overlap(behavior, partners[rows]).tolist(),
                "accuracy": task.score(behavior).double().tolist(),
                "partner_accuracy": task.score(partners[rows]).double().tolist(),
                "distance": first.tolist(),
                "ratio": _ratio(first, second).tolist(),
                "row": rows.tolist(),
            }
            for column, values in columns.items():
                found[column] += values
    return found


def overlaps_in(result: AuditResult) -> pd.DataFrame:
    """The same as an audit holds them, whose distance is plain L2."""
    usual, parts = result.training.quality, []
    groups = {"training": result.training, "generated": result.generated, "heldout": result.heldout}
    for kind, found in groups.items():
        if found is None or found.overlap is None or usual is None:
            continue
        of = {
            "overlap": found.overlap,
            "accuracy": found.quality,
            "partner_accuracy": usual[found.neighbor_rows[:, 0]],
            "distance": found.distance,
            "ratio": _ratio(*found.neighbor_distances[:, :2].T),
            "row": found.neighbor_rows[:, 0],
        }
        parts.append(pd.DataFrame({"kind": kind, "measure": MEASURES[0], **of}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*COLUMNS])


def _ratio(
    first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    return np.divide(first, second, out=np.ones_like(first), where=second > 0)
