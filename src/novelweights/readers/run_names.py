"""Runs and steps of checkpoints: from a table, a pattern, or what file names commonly say.

Which rows are independent decides what an audit may conclude, so whatever is chosen is described.
Source: ours.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath

import numpy as np

from novelweights.errors import InputError, count, first_few, naming
from novelweights.weights.population import Records

FILE_COLUMNS = ("file", "name", "row")
"""Headings under which a table names the checkpoint."""
EPOCHS = ("epoch", "ep")
STEPS = ("global_step", "step", "steps", "iteration", "iter", "it")
SAVES = ("checkpoint", "ckpt")
"""Steps only where a folder says which run: "checkpoint_3" may be the third run."""
_WORDS = "|".join((*EPOCHS, *STEPS, *SAVES))
COUNTER = re.compile(
    rf"(?P<before>^|.*[-_./ ])(?P<word>{_WORDS})[-_= ]?(?P<number>\d+)", re.IGNORECASE | re.DOTALL
)
ENDS = {"init": -1, "initial": -1, "last": 1, "final": 1, "latest": 1}
"""Names for the first and the last step of a run."""
BEST = re.compile(r"(?:.*[-_./ ])?best(?:[-_. ][^/]*)?", re.IGNORECASE | re.DOTALL)
"""A name for the best step of a run, which may be any."""
VERSION = re.compile(r"(.+)-v\d+", re.DOTALL)
"""What Lightning puts behind a name that was there already."""
FIELD = re.compile(r"\{(\w*)\}|\*")
SCORE = re.compile(
    r"(.*\d)[-_ ]+[A-Za-z_]*(?:loss|acc|accuracy|err|error|score|metric)=?-?\d+\.\d+",
    re.IGNORECASE | re.DOTALL,
)
"""A name that ends in a score with its decimals: "epoch=3-val_loss=0.21"."""
ANYWHERE = re.compile(rf"(?:^|[-_./ ])(?:{_WORDS})[-_= ]?\d", re.IGNORECASE)
ROW_DIGITS = 5
"""Rows of a matrix are named 00000, 00001, ..."""
MAX_STEP = 2**62
NUMBER = r"[-+]?[0-9.]+(?:[eE][-+]?\d+)?"


def records_by_name(names: Sequence[str], *, split: str = "unknown") -> tuple[Records, str]:
    """What file names commonly say of runs and steps, and in words what was taken from them.

    "seed3_step0400" is a step of run seed3, "a/checkpoint-500" one of run a; numbers without such a
    word are names of runs, unless all lie in folders with several numbers each.

    Raises:
        InputError: Some names of a run have its step and others do not.
    """
    numbered = _all_counted(names)
    if not numbered:
        return Records.of(list(names), split=split), _independent_note(names)
    counted: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    for run, counters in numbered:
        if counters:
            counted[run].append(counters)
    numbered = [
        (run, counters) if counters else _ended(name, counted)
        for name, (run, counters) in zip(names, numbered, strict=True)
    ]
    runs = [run or "run" for run, _ in numbered]
    steps = _steps(runs, [counters for _, counters in numbered])
    example = f"{names[0]}: run {runs[0]}, step {steps[0]}"
    return (
        Records.of(runs, split=split, step=steps),
        f"steps of {count(len(set(runs)), 'run')}, by their names ({example})",
    )


def unnumbered(names: Sequence[str]) -> dict[int, list[int]]:
    """Places of names without a step, and of the names of their run that have one, last first."""
    counted = _all_counted(names)
    of_run: dict[str, list[int]] = defaultdict(list)
    for place, (run, counters) in enumerate(counted):
        if counters:
            of_run[run].append(place)
    for places in of_run.values():
        places.sort(key=lambda place: counted[place][1], reverse=True)
    runs = {
        place: next((run for run in _runs_of(names[place]) if run in of_run), None)
        for place, (_, counters) in enumerate(counted)
        if not counters
    }
    return {place: of_run[run] for place, run in runs.items() if run is not None}


def is_best(name: str) -> bool:
    """Whether a name is that of the best step of a run."""
    return BEST.fullmatch(name) is not None


def records_by_pattern(
    names: Sequence[str], pattern: str, *, split: str = "unknown"
) -> tuple[Records, str]:
    """What names say under a pattern such as "{run}_step{step}" or "{split}/{run}_{test_loss}".

    Args:
        pattern: Text with {run}, {step} (digits), {split}, {any score} (a number), and * or {} for
            what does not matter. Without {run} all are steps of one run.
        split: Of those whose pattern does not say.

    Raises:
        InputError: The pattern is none, or some names do not fit it.
    """
    fields = [field for field in FIELD.findall(pattern) if field]
    if not fields or len(set(fields)) != len(fields):
        raise InputError(
            "expected a pattern with each of {run}, {step}, {split} or scores once, such as "
            f"{{run}}_step{{step}}, got {pattern!r}; write it so",
            "wrong-option",
        )
    for ours, others in {"step": (*EPOCHS, *STEPS, *SAVES), "run": ("seed",)}.items():
        if ours not in fields and (odd := next((f for f in fields if f in others), None)):
            raise InputError(
                f"--pattern {pattern}: {{{odd}}} would be a score; expected {{{ours}}}, if it is "
                "that, or * for what does not matter",
                "wrong-option",
            )
    kinds = {"run": ".+?", "split": r"[A-Za-z]+", "step": r"\d{1,18}"}
    text, end = "", 0
    for match in FIELD.finditer(pattern):
        text += re.escape(pattern[end : match.start()])
        name = match.group(1)
        text += f"(?P<{name}>{kinds.get(name, NUMBER)})" if name else ".*?"
        end = match.end()
    try:
        expression = re.compile(text + re.escape(pattern[end:]))
    except re.error as error:
        raise InputError(
            f"expected a pattern such as {{run}}_step{{step}}, got {pattern!r} ({error}); "
            "write it so",
            "wrong-option",
        ) from error
    matches = [expression.fullmatch(name) for name in names]
    if other := [name for name, match in zip(names, matches, strict=True) if match is None]:
        raise InputError(
            f"expected names like {pattern!r}, {len(other)} of {len(names)} are not: "
            f"{first_few(other)}; names are paths below the folder, without endings: write a "
            "pattern of all of them",
            "wrong-records",
        )
    columns = {
        field: [match.group(field) for match in matches if match is not None] for field in fields
    }
    with naming(f"--pattern {pattern}"):
        records = _records(columns, len(names), split)
    return records, f"runs and steps by the pattern {pattern}"


def records_by_table(
    path: Path, names: Sequence[str], *, split: str = "unknown"
) -> tuple[Records, str]:
    """What a CSV file says: a row per checkpoint with file, run, step, split and scores.

    Files are named by path below the folder, with or without ending, or by their last part where
    that is enough; rows of a matrix by number under "row". Rows for other files are passed over.

    Raises:
        InputError: No such file, no such column, a checkpoint is missing or there twice, or a
            number is none.
    """
    with naming(path):
        heading, rows = _rows_of(path)
        by_name: dict[str, dict[str, str]] = {}
        by_stem: dict[str, list[dict[str, str]]] = defaultdict(list)
        for row in rows:
            key = row[heading].removeprefix("./")
            key = key.zfill(ROW_DIGITS) if heading == "row" else key
            if by_name.setdefault(key, row) is not row:
                raise InputError(
                    f"{key} is there twice; expected a row for each: remove one", "wrong-records"
                )
            place = PurePosixPath(key)
            by_stem[str(place).removesuffix(place.suffix)].append(row)
        chosen = [_row_of(name, by_name, by_stem) for name in names]
        if missing := [name for name, row in zip(names, chosen, strict=True) if row is None]:
            raise InputError(
                f"expected a row for every checkpoint, {len(missing)} of {len(names)} have none: "
                f"{first_few(missing)}; name the files as they lie below the folder",
                "other-rows",
            )
        taken = [row for row in chosen if row is not None]
        of_row: dict[int, str] = {}
        for name, row in zip(names, taken, strict=True):
            if (other := of_row.setdefault(id(row), name)) is not name:
                raise InputError(
                    f"expected a row for each checkpoint, {other} and {name} share that of "
                    f"{row[heading]}; name the files as they lie below the folder",
                    "other-rows",
                )
        columns = {
            name: [row[name] for row in taken] for name in taken[0] if name not in (heading, "row")
        }
        records = _records(columns, len(names), split)
    left = f"; {len(rows) - len(names)} of its rows are of others" if len(rows) > len(names) else ""
    return records, f"runs and steps by {path.name}{left}"


def _rows_of(path: Path) -> tuple[str, list[dict[str, str]]]:
    """The rows of a table, and the heading under which it names checkpoints."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise InputError(
            f"expected a CSV with file, run, step ({error}); name one, or save it in UTF-8",
            "not-found" if isinstance(error, OSError) else "damaged",
        ) from error
    heading = next((name for name in FILE_COLUMNS if rows and name in rows[0]), None)
    if heading is None or any(None in row or None in row.values() for row in rows):
        raise InputError(
            "expected a column 'file' (or 'row') and as many cells in every row as in the heading, "
            f"got {', '.join(map(str, rows[0])) if rows else 'no rows'}; write them so",
            "wrong-records",
        )
    return heading, rows


def _row_of(
    name: str,
    by_name: Mapping[str, dict[str, str]],
    by_stem: Mapping[str, list[dict[str, str]]],
) -> dict[str, str] | None:
    """The row of a checkpoint by its path, then by its last part; with its ending or without."""
    for key in (name, PurePosixPath(name).name):
        if key in by_name:
            return by_name[key]
        if len(by_stem.get(key, ())) == 1:
            return by_stem[key][0]
    return None


def _records(columns: dict[str, list[str]], n: int, split: str) -> Records:
    """The records in columns of texts."""
    try:
        steps = [int(text) for text in columns.get("step", ["0"] * n)]
        scores = {
            name: np.array([float(text) if text else np.nan for text in column])
            for name, column in columns.items()
            if name not in ("run", "step", "split")
        }
    except ValueError as error:
        raise InputError(
            f"expected steps and scores as numbers ({error}); write them so", "wrong-records"
        ) from error
    if any(not 0 <= step < MAX_STEP for step in steps):
        raise InputError(
            f"expected steps from 0 on, got {min(steps)} to {max(steps)}; write them so",
            "wrong-records",
        )
    runs = columns.get("run", ["run"] * n)
    if not all(runs):
        raise InputError(
            "expected a run for every checkpoint, some have none; name it", "wrong-records"
        )
    splits = [text or split for text in columns.get("split", [split] * n)]
    return Records(
        np.array(runs, dtype=object),
        np.array(splits, dtype=object),
        np.array(steps, dtype=np.int64),
        scores,
    )


def _all_counted(names: Sequence[str]) -> list[tuple[str, tuple[int, ...]]]:
    """Run and counters of every name, where some have counters; else none."""
    for given in (names, _without_common_end(names)):
        numbered = [_counted(name) for name in given]
        if any(counters for _, counters in numbered):
            return numbered
    return _numbered(names)


def _without_common_end(names: Sequence[str]) -> list[str]:
    """Names without the last part of their paths, where that is the same in all of them."""
    parts = [name.rpartition("/") for name in names]
    is_common = len({end for _, _, end in parts}) == 1 and all(head for head, _, _ in parts)
    return [head for head, _, _ in parts] if is_common and len(parts) > 1 else list(names)


def _counted(name: str) -> tuple[str, tuple[int, ...]]:
    """Run and counters (epoch, then step) at the end of a name; no counters if there are none."""
    rest, counters = name, {}
    if (versioned := VERSION.fullmatch(rest)) is not None:
        rest = versioned[1]
    while (scored := SCORE.fullmatch(rest)) is not None:
        rest = scored[1]
    while (match := COUNTER.fullmatch(rest)) is not None:
        word, before = match["word"].lower(), match["before"].rstrip("-_./ ")
        if word in SAVES and not ("/" in match["before"] and not counters):
            break
        kind = 0 if word in EPOCHS else 1
        if kind in counters:
            break
        counters[kind], rest = min(int(match["number"][:19]), MAX_STEP - 1), before
    if not counters:
        return name, ()
    return _run_folder(rest), tuple(counters[kind] for kind in sorted(counters))


def _run_folder(name: str) -> str:
    """The folder of a run, without the one in which Lightning keeps its checkpoints."""
    return name.removesuffix("/checkpoints")


def _runs_of(name: str) -> tuple[str, str]:
    """Of which run a name without a step may be: its beginning, else its folder."""
    head, _ = _head_and_word(name)
    return head, _run_folder(name.rpartition("/")[0])


def _head_and_word(name: str) -> tuple[str, str]:
    """A name without its last word, and that word, in small letters."""
    versioned = VERSION.fullmatch(name)
    match = re.fullmatch(
        r"(.*?)[-_./ ]*([A-Za-z]*)", versioned[1] if versioned else name, re.DOTALL
    )
    head, word = match.groups() if match else (name, "")
    return _run_folder(head), word.lower()


def _numbered(names: Sequence[str]) -> list[tuple[str, tuple[int, ...]]]:
    """Folders of several plain numbers each: steps of the run that the folder names; else none."""
    paths = [PurePosixPath(name) for name in names]
    folders = {path.parent for path in paths}
    if not all(path.name.isdecimal() for path in paths) or PurePosixPath() in folders:
        return []
    if len(folders) < 2 or len(paths) < 2 * len(folders):
        return []
    return [(str(p.parent), (min(int(p.name[:19]), MAX_STEP - 1),)) for p in paths]


def _independent_note(names: Sequence[str]) -> str:
    """That each file is a run, and which name makes one doubt it."""
    note = "each file is taken for a run of its own"
    doubtful = next((name for name in names if ANYWHERE.search(name)), None)
    if doubtful is None:
        return f"{note} (no steps in the names)"
    return (
        f"{note}; if names such as {doubtful} are steps of one run, say so with --pattern or "
        "--records: such rows are no independent evidence"
    )


def _ended(name: str, counted: Mapping[str, list[tuple[int, ...]]]) -> tuple[str, tuple[int, ...]]:
    """A name without a number among others that have one: the first or last step of their run."""
    _, word = _head_and_word(name)
    head = next((run for run in _runs_of(name) if run in counted), "")
    others = counted.get(head)
    if word not in ENDS or not others:
        raise InputError(
            f"expected names with the step of every checkpoint, or of none; {name} has none where "
            "others do; leave it out, or describe runs and steps with --pattern or --records",
            "wrong-records",
        )
    ahead = ENDS[word] > 0
    edge = max(others) if ahead else min(others)
    return head, (*edge[:-1], edge[-1] + 1) if ahead else tuple(0 for _ in edge)


def _steps(runs: list[str], counters: list[tuple[int, ...]]) -> list[int]:
    """The step counter, where it rises along each run; else the place in the run."""
    of_run = defaultdict(list)
    for row, run in enumerate(runs):
        of_run[run].append(row)
    steps = [numbers[-1] for numbers in counters]
    for rows in of_run.values():
        ordered = sorted(rows, key=lambda row: counters[row])
        last = [steps[row] for row in ordered]
        if any(after <= before for before, after in pairwise(last)):
            for place, row in enumerate(ordered):
                steps[row] = place
    return steps
