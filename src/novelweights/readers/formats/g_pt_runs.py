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

from novelweights.errors import InputError
from novelweights.files import read_json
from novelweights.weights.population import Records

RUNS_FILE = "runs.json"
TEST_RUNS = 500
"""Source: `num_test_runs` of G.pt."""
KEY = re.compile(r"(?:.*/)?ep(\d{1,9})_it(\d{1,9})\.pt", re.ASCII)
NAN = math.nan
ENDING = ".pt"


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
    for run, described in _runs(folder.name, _json(file), file).items():
        listed = described.get("checkpoints") if isinstance(described, Mapping) else None
        if not isinstance(listed, Mapping) or not listed:
            raise InputError(
                f"{file}: expected checkpoints of run {run!r} (keys to scores), found none; "
                f"copy the file again, or leave the folder {folder.name} out"
            )
        entries = [_checkpoint(folder, run, key, scores) for key, scores in listed.items()]
        yield from sorted(entries, key=lambda entry: (entry.epoch, entry.iteration))


def _json(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        raise InputError(
            f"{file}: expected this list of checkpoints beside data.mdb, it is not there; copy it "
            "from where the zoo comes from, or leave the folder out"
        )
    try:
        content = read_json(file)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{file}: expected the scores of a G.pt run as JSON, could not read them ({error}); "
            "copy the file again"
        ) from error
    if not isinstance(content, Mapping) or not content:
        raise InputError(
            f"{file}: expected an object with checkpoints of a G.pt run, got "
            f"{type(content).__name__}; copy the file again"
        )
    return content


def _runs(name: str, content: Mapping[str, Any], file: Path) -> Mapping[str, Any]:
    """The runs of a folder, in the order in which its name joins theirs."""
    if "checkpoints" in content:
        return {name: content}
    order = {run: place for place, run in enumerate(name.split("_"))}
    missing = [run for run in order if run not in content]
    if missing:
        raise InputError(
            f"{file}: expected checkpoints, or the runs that the folder's name joins, run "
            f"{missing[0]!r} is not in it; give the folder the name it was published with"
        )
    return {run: content[run] for run in order}


def _checkpoint(folder: Path, run: str, key: str, scores: Any) -> Listed:
    matched = KEY.fullmatch(key)
    if matched is None or not key.isprintable() or not isinstance(scores, Mapping):
        raise InputError(
            f"{folder / RUNS_FILE}: expected keys such as {run}/ep003_it00120.pt with scores each, "
            f"got {key!r}; read other zoos through a matrix and a records CSV"
        )
    epoch, iteration = map(int, matched.groups())
    loss, error = (_number(scores, name, folder, key) for name in ("avg_test_loss", "avg_test_err"))
    return Listed(folder, run, key.removesuffix(ENDING), epoch, iteration, loss, error)


def _number(scores: Mapping[str, Any], name: str, folder: Path, key: str) -> float:
    """A score; NaN where it is not given or was not finite."""
    value = scores.get(name)
    if value is None:
        return NAN
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(
            f"{folder / RUNS_FILE}: expected a number as {name} of {key}, got {value!r}; "
            "copy the file again"
        )
    try:
        return float(value) if math.isfinite(value) else NAN
    except OverflowError:
        return NAN


def unique_names(path: Path, found: list[Listed]) -> tuple[str, ...]:
    """The names of all checkpoints.

    Raises:
        InputError: Two folders list the same.
    """
    names = tuple(entry.name for entry in found)
    twice, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise InputError(
            f"{path}: expected each checkpoint in one folder, {twice} is listed in two; "
            "remove one of them"
        )
    return names


def records_of(found: list[Listed]) -> tuple[Records, tuple[str, ...], str]:
    """Runs, splits, steps and scores; what was chosen for them; how steps were told."""
    runs = list(dict.fromkeys((entry.folder, entry.run) for entry in found))
    test = set(runs[-TEST_RUNS:]) if len(runs) > TEST_RUNS else set()
    if test:
        split = ["heldout" if (entry.folder, entry.run) in test else "train" for entry in found]
        told = f"{len(runs):,} runs, the last {TEST_RUNS} by name are held out (G.pt's test split)"
    else:
        split = ["unknown"] * len(found)
        told = (
            f"{len(runs):,} runs, no split is told (G.pt's test split is the last {TEST_RUNS} of "
            "more)"
        )
    per_epoch = max(entry.iteration for entry in found)
    scores, scored = _scores(found)
    records = Records(
        run=np.array([entry.run for entry in found], dtype=object),
        split=np.array(split, dtype=object),
        step=np.array([e.epoch * per_epoch + e.iteration for e in found], dtype=np.int64),
        scores=scores,
    )
    return (
        records,
        (told, *scored),
        f"steps by the keys, {per_epoch:,} an epoch, the most in a key",
    )


def _scores(found: list[Listed]) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Loss and accuracy on the test set; G.pt writes errors in percent."""
    loss = np.array([entry.test_loss for entry in found])
    error = np.array([entry.test_error for entry in found])
    scores, notes = {}, ()
    if not np.isnan(loss).all():
        scores["test_loss"] = loss
    known = error[~np.isnan(error)]
    if len(known) and known.min() >= 0 and 1 < known.max() <= 100:
        scores["test_accuracy"] = 100 - error
        notes = ("test_accuracy is 100 less avg_test_err (in percent)",)
    elif len(known):
        scores["avg_test_err"] = error
        notes = ("avg_test_err keeps its name, its numbers do not show that they are percents",)
    return scores, notes
