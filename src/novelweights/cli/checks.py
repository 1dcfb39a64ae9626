"""Commands to run before an audit: what it could show, and what is wrong with the checkpoints."""

from pathlib import Path
from typing import Annotated

import typer

from novelweights.cli.reading import DEFAULT_MAX, MaxBytes, Prefix, reading_of
from novelweights.cli.show import say

AsJson = Annotated[bool, typer.Option("--json", help="Plain JSON instead of text.")]


def plan(
    train: Annotated[Path, typer.Option(help="Checkpoints the generator is to be fitted to.")],
    heldout_runs: Annotated[
        int | None,
        typer.Option(min=0, help="Held-out runs; those in the training folder, else 100."),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Checkpoints to generate.")] = 200,
    as_json: AsJson = False,
) -> None:
    """What an audit with so many runs and samples could and could not show."""
    import json

    from novelweights.auditing.judge.planning import limits_beside, plan_for
    from novelweights.readers import heldout_rows, read_checkpoints

    trained = read_checkpoints(train, split="train")
    if heldout_runs is None:
        heldout_runs = 100
        if heldout_rows(train):
            heldout_runs = len(set(read_checkpoints(train, split="heldout").records.run))
    planned = plan_for(trained, heldout_runs, samples)
    fresh = "held-out run" if planned.n_heldout else "training run"
    limits = limits_beside(planned.n_heldout or planned.n_train, samples, fresh=fresh)
    if as_json:
        say(json.dumps(planned.to_json() | {"limits": limits}, indent=2, allow_nan=False))
        return
    for line in planned.lines():
        say(line)
    say(f"\n{limits[0].upper()}{limits[1:]}.")


def lint(
    folder: Annotated[Path, typer.Argument(help="Checkpoints to look at.")],
    heldout: Annotated[
        Path | None, typer.Option(help="Held-out runs, if they lie in a folder of their own.")
    ] = None,
    prefix: Prefix = "",
    max_bytes: MaxBytes = DEFAULT_MAX,
    as_json: AsJson = False,
) -> None:
    """What is wrong with these checkpoints; exit code 1 if there are errors.

    Takes checkpoints in any form that `novelweights ls readers` lists.
    """
    import json

    from novelweights.auditing.lint.checks import lint_folder

    reading = reading_of(prefix=prefix, max_bytes=max_bytes)
    found = lint_folder(folder, heldout=heldout, reading=reading)
    if as_json:
        say(json.dumps(found.to_json(), indent=2, allow_nan=False))
    else:
        for line in found.lines():
            say(line)
    if found.counts()["error"]:
        raise typer.Exit(1)
