"""Scores that a tuner leaves beside the checkpoints of its trials, line by line. Source: ours.

Ray Tune writes `result.json` into the folder of a trial: a line of JSON for each iteration.
"""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from novelweights.errors import InputError
from novelweights.readers.source import as_percent
from novelweights.readers.units import content_of
from novelweights.weights.population import Records

FILE = "result.json"
ITERATION = "training_iteration"
ACCURACY, LOSS = "test_accuracy", "test_loss"
LARGEST = 64 << 20
"""Bytes of a file of scores."""
SCORES = {"test_acc": ACCURACY, "test_accuracy": ACCURACY, "test_loss": LOSS}
"""Our names of the scores that are read."""


def with_trial_scores(path: Path, records: Records, max_bytes: int) -> tuple[Records, list[str]]:
    """The records with the scores of trials, by run and step, and in words what was read."""
    if not path.is_dir():
        return records, []
    places = {run: _place(path, str(run)) for run in dict.fromkeys(records.run)}
    if not any(place.is_file() for place in places.values()):
        return records, []
    by_run: dict[Any, dict[int, dict[str, float]]] = {}
    try:
        for run, place in places.items():
            by_run[run] = _lines(place, max_bytes) if place.is_file() else {}
        rows = [
            by_run[run].get(int(step), {})
            for run, step in zip(records.run, records.step, strict=True)
        ]
        columns = {name: [row.get(name, math.nan) for row in rows] for name in (ACCURACY, LOSS)}
        known = {
            name: np.array(column)
            for name, column in columns.items()
            if not all(map(math.isnan, column))
        }
        unit = ""
        if ACCURACY in known:
            known[ACCURACY], unit = as_percent(columns[ACCURACY])
    except InputError as error:
        return records, [f"scores of {FILE} are left out: {error}"]
    if not known:
        return records, [f"no {ITERATION} in {FILE} is a step with a known score"]
    note = f"{' and '.join(known)} by {FILE} of each run"
    return replace(records, scores={**records.scores, **known}), [
        f"{note} ({unit})" if unit else note
    ]


def _place(path: Path, run: str) -> Path:
    inside = path / run / FILE
    return inside if inside.is_file() else path / FILE


def _lines(file: Path, max_bytes: int) -> dict[int, dict[str, float]]:
    """Scores of each iteration.

    Raises:
        InputError: It cannot be read, or is no JSON line by line.
    """
    found: dict[int, dict[str, float]] = {}
    for number, line in enumerate(content_of(file, min(max_bytes, LARGEST)).splitlines(), 1):
        try:
            said = json.loads(line) if line.strip() else {}
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{file}: expected a line of JSON for each iteration, line {number} is none; "
                "correct or remove it",
                "damaged",
            ) from error
        iteration = said.get(ITERATION) if isinstance(said, dict) else None
        if type(iteration) is int:
            found[iteration] = {
                ours: float(said[theirs])
                for theirs, ours in SCORES.items()
                if type(said.get(theirs)) in (int, float) and abs(said[theirs]) < 1e300
            }
    return found
