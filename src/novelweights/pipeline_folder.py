"""The folder of an evaluation: how it is begun or gone on with, and the times it keeps."""

import os
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import UnionType
from typing import Any

from novelweights.errors import InputError
from novelweights.files import read_json, require_new, write_json

STAGES = "stages.json"
RESTORE = "run the evaluation again with --overwrite, or restore the file"
"""What to do about a damaged file."""


def evaluation_marker(folder: Path) -> Path | None:
    """The file that tells what a folder of `evaluate_method` was asked for; None if it is none."""
    markers = (folder / kind for kind in ("evaluation.json", "demo.json"))
    return next((path for path in markers if path.is_file()), None)


def begin(
    folder: Path,
    settings: Mapping[str, Any],
    *,
    kind: str,
    resume: bool,
    overwrite: bool,
    later: Collection[str] = (),
) -> bool:
    """An empty folder marked with its settings, or with `resume` the one that is there.

    Args:
        folder: Of the evaluation.
        settings: What is asked for.
        kind: Name of the file that keeps them.
        resume: Go on with what is there.
        overwrite: Replace what is there.
        later: Settings that may be added to an evaluation that was begun without them.

    Returns:
        Whether some were added now.

    Raises:
        InputError: The folder holds something else, or was begun with other settings.
    """
    marker, what = folder / kind, kind.removesuffix(".json")
    if resume and marker.exists():
        known = read_json(marker)
        added = {name for name in later if name in settings and name not in known}
        if known != {name: value for name, value in settings.items() if name not in added}:
            raise InputError(
                f"{folder}: the {what} there was begun with other settings ({known}); "
                "give the same to go on, or name another folder with -o",
                "other-settings",
            )
        if added:
            write_json(marker, settings)
        return bool(added)
    if marker.exists() and not overwrite:
        raise InputError(
            f"{folder}: the {what} of an earlier call is there; add --resume to go on with it, "
            "--overwrite to begin anew, or name another folder with -o",
            "unfinished",
        )
    require_new(folder, kind=kind, overwrite=overwrite)
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    write_json(marker, settings)
    return False


@contextmanager
def timed(folder: Path, stage: str, *, goes_on: bool = False) -> Iterator[None]:
    """Note the seconds of a stage in stages.json, also if it is interrupted.

    Args:
        folder: Of the evaluation.
        stage: Its name.
        goes_on: Whether it goes on where an interruption left it, so that its seconds add up; the
            others begin anew.
    """
    path, started = folder / STAGES, time.perf_counter()
    seconds, _ = read_stages(path)
    before = seconds.get(stage, 0.0) if goes_on else 0.0
    try:
        yield
    finally:
        seconds[stage] = round(before + time.perf_counter() - started, 3)
        write_json(path, {"seconds": seconds, "cores": os.cpu_count()})


def read_stages(path: Path) -> tuple[dict[str, float], int | None]:
    """Seconds of each stage and the cores that took them, from stages.json; none without it."""
    if not path.exists():
        return {}, None
    remedy = "delete it (only the times are lost) and give the same command again"
    stages = entries(path, read_json(path), {"seconds": dict, "cores": int | None}, remedy=remedy)
    seconds = stages["seconds"]
    kinds = dict.fromkeys(seconds, int | float)
    return entries(path, seconds, kinds, remedy=remedy), stages.get("cores")


def entries(
    path: Path, content: Any, kinds: Mapping[str, type | UnionType], *, remedy: str = RESTORE
) -> dict[str, Any]:
    """What was read from a file, if it is an object with entries of these types."""
    if not isinstance(content, dict):
        came = type(content).__name__
        raise InputError(
            f"{path}: expected an object with names, got a {came}; {remedy}", "damaged"
        )
    wrong = [
        name
        for name, kind in kinds.items()
        if not isinstance(content.get(name), kind) or isinstance(content.get(name), bool)
    ]
    if wrong:
        raise InputError(
            f"{path}: expected {', '.join(wrong)} as an evaluation leaves it, got none or another "
            f"kind; {remedy}",
            "damaged",
        )
    return content
