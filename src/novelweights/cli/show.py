"""What the command line shows: lines on standard output, errors and progress on standard error."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Tell = Callable[[str, int, int], None]
SECONDS_BETWEEN_LINES = 10.0


def say(text: str) -> None:
    """One line for the user."""
    print(text, flush=True)


def error(text: str) -> None:
    """One line about what went wrong."""
    print(f"error: {text}", file=sys.stderr, flush=True)


def say_verdict(verdicts: Any, run: Path, *, of: str = "") -> None:
    """The verdict on a population in one sentence, and where the page is."""
    population = verdicts.population
    say(f"verdict{f' ({of})' * bool(of)}: {population.origin}. {population.sentence}")
    say(f"page: {run / 'report.html'}")


LOUD = (
    "failed-training",
    "missing-statistics",
    "not-finite-samples",
    "recomputed-statistics",
    "related-runs",
    "scaled-samples",
    "shared-layers",
)
"""Warnings of an audit that are told in the terminal too, since they say what it does not judge,
how it judges otherwise than asked, or what is wrong with all that is compared."""


def say_warnings(warnings: Iterable[Any]) -> None:
    """The warnings of an audit that nobody may overlook; the page has all."""
    for note in warnings:
        if note.code in LOUD:
            say(f"warning: {note.text} [{note.label}]")


@contextmanager
def progress_bar() -> Iterator[Tell]:
    """Progress with an estimate: a bar on a terminal, a line now and then elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, TaskID] = {}

        def tell(stage: str, done: int, total: int) -> None:
            key = stage.partition(":")[0]
            if key not in tasks:
                for other in tasks.values():
                    progress.update(other, completed=progress.tasks[other].total)
                tasks[key] = progress.add_task(stage, total=total)
            progress.update(tasks[key], description=stage, completed=done, total=total)

        yield tell
        for other in tasks.values():
            progress.update(other, completed=progress.tasks[other].total)


def _lines() -> Tell:
    """A line per stage, and one every few seconds inside long ones."""
    said: dict[str, float] = {}

    def tell(stage: str, done: int, total: int) -> None:
        now, key = time.monotonic(), stage.partition(": loss")[0]
        if key not in said or now - said[key] >= SECONDS_BETWEEN_LINES:
            said[key] = now
            print(f"{stage} {done}/{total}", file=sys.stderr, flush=True)

    return tell
