"""What the `runs.json` of G.pt's zoos say of their checkpoints: runs, steps, splits and scores.

Source: the code that wrote the released checkpoints of G.pt (Peebles et al., 2022): errors are in
percent, iterations are counted within an epoch from 1, and the last checkpoint of a run ends one.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from novelweights.errors import InputError, naming
from novelweights.files import read_json
from novelweights.weights.population import Records

RUNS_FILE = "runs.json"
TEST_RUNS = 500
"""Source: `num_test_runs` of G.pt."""
KEY = re.compile(r"(?:.*/)?ep(\d{1,9})_it(\d{1,9})\.pt", re.ASCII)
ENDING = ".pt"
SCORES = ("avg_test_loss", "avg_test_err")


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry of a `runs.json`."""

    folder: Path
    run: str
    name: str
    """The key without its ending."""
    epoch: int
    iteration: int
    test_loss: float
    test_error: float
    """As written."""

    @property
    def key(self) -> bytes:
        """Of its weights in the environment."""
        return f"{self.name}{ENDING}".encode()


def listed_checkpoints(folder: Path) -> Iterator[Listed]:
    """What the `runs.json` of a folder lists, run by run, each in the order of its training.

    Raises:
        InputError: The file is missing, or not of this form.
    """
    file = folder / RUNS_FILE
    content = read_json(file)
    with naming(file):
        for run, described in _runs(folder.name, content).items():
            listed = described.get("checkpoints") if isinstance(described, Mapping) else None
            if not isinstance(listed, Mapping) or not listed:
                raise InputError(
                    f"expected checkpoints of run {run!r} (keys to scores), found none; copy the "
                    "file again, or leave the folder out",
                    "wrong-records",
                )
            entries = [_checkpoint(folder, run, key, scores) for key, scores in listed.items()]
            yield from sorted(entries, key=lambda entry: (entry.epoch, entry.iteration))


def _runs(name: str, content: Any) -> Mapping[str, Any]:
    """The runs of a folder, in the order in which its name joins theirs."""
    if not isinstance(content, Mapping) or not content:
        raise InputError(
            "expected an object with checkpoints of a G.pt run, got "
            f"{type(content).__name__}; copy the file again",
            "damaged",
        )
    if "checkpoints" in content:
        return {name: content}
    runs = dict.fromkeys(name.split("_"))
    if missing := [run for run in runs if run not in content]:
        raise InputError(
            "expected checkpoints, or the runs that the folder's name joins, run "
            f"{missing[0]!r} is not in it; give the folder the name it was published with",
            "wrong-records",
        )
    return {run: content[run] for run in runs}


def _checkpoint(folder: Path, run: str, key: str, scores: Any) -> Listed:
    matched = KEY.fullmatch(key)
    if matched is None or not key.isprintable() or not isinstance(scores, Mapping):
        raise InputError(
            f"expected keys such as {run}/ep003_it00120.pt with scores each, got {key!r}; read "
            "other zoos through a matrix and a records CSV",
            "wrong-records",
        )
    epoch, iteration = map(int, matched.groups())
    loss, error = (_number(scores.get(name), f"{name} of {key}") for name in SCORES)
    return Listed(folder, run, key.removesuffix(ENDING), epoch, iteration, loss, error)


def _number(value: Any, what: str) -> float:
    """A score; NaN where it is not given or was not finite."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(
            f"expected a number as {what}, got {value!r}; copy the file again", "wrong-records"
        )
    try:
        return float(value) if math.isfinite(value) else math.nan
    except OverflowError:
        return math.nan


def unique_names(path: Path, listed: list[Listed]) -> tuple[str, ...]:
    """The names of all checkpoints.

    Raises:
        InputError: Two folders list the same.
    """
    names = tuple(entry.name for entry in listed)
    twice, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise InputError(
            f"{path}: expected each checkpoint in one folder, {twice} is listed in two; "
            "remove one of them",
            "wrong-records",
        )
    return names


def records_of(listed: list[Listed]) -> tuple[Records, tuple[str, ...], str]:
    """Runs, splits, steps and scores; what was chosen for them; how steps are known."""
    runs = list(dict.fromkeys((entry.folder, entry.run) for entry in listed))
    note = f"{len(runs):,} runs, "
    if len(runs) > TEST_RUNS:
        test = set(runs[-TEST_RUNS:])
        split = ["heldout" if (entry.folder, entry.run) in test else "train" for entry in listed]
        note += f"the last {TEST_RUNS} by name are held out (G.pt's test split)"
    else:
        split = ["unknown"] * len(listed)
        note += f"of unknown split (G.pt's test split is the last {TEST_RUNS} of more)"
    per_epoch = max(entry.iteration for entry in listed)
    scores, score_notes = _scores(listed)
    records = Records(
        run=np.array([entry.run for entry in listed], dtype=object),
        split=np.array(split, dtype=object),
        step=np.array([e.epoch * per_epoch + e.iteration for e in listed], dtype=np.int64),
        scores=scores,
    )
    steps_note = f"steps by the keys, {per_epoch:,} an epoch, the most in a key"
    return records, (note, *score_notes), steps_note


def _scores(listed: list[Listed]) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Loss and accuracy on the test set; G.pt writes errors in percent."""
    loss = np.array([entry.test_loss for entry in listed])
    error = np.array([entry.test_error for entry in listed])
    scores = {} if np.isnan(loss).all() else {"test_loss": loss}
    known = error[~np.isnan(error)]
    if not len(known):
        return scores, ()
    if known.min() >= 0 and 1 < known.max() <= 100:
        note = "test_accuracy is 100 less avg_test_err (in percent)"
        return scores | {"test_accuracy": 100 - error}, (note,)
    note = "avg_test_err keeps its name, its numbers do not show that they are percents"
    return scores | {"avg_test_err": error}, (note,)
