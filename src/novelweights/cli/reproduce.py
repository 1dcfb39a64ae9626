"""`novelweights reproduce`: the paper's figures and tables from runs that are made once."""

from pathlib import Path
from typing import Annotated

import typer

from novelweights.cli.options import DataDir
from novelweights.cli.show import error, progress_bar, say


def reproduce(
    exhibit: Annotated[str, typer.Argument(help="Which: see `novelweights ls exhibits`; or all.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of exhibits/ and runs/; gone on with.")
    ] = Path("reproduced"),
    scale: Annotated[
        str,
        typer.Option(
            help="smoke (seconds, shows nothing), laptop (two cores), laptop-other-data (two "
            "of the methods) or paper (a GPU)."
        ),
    ] = "laptop",
    jobs: Annotated[int, typer.Option(min=1, help="Runs that are made at a time.")] = 1,
    kept: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of finished runs. May be repeated. [this checkout's results/]"),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Make figures and tables of the paper, beside the paper's own numbers.

    The runs that they stand on are made once, shared, and gone on with after an interruption.
    """
    from novelweights.reproduce.plan import plan_of
    from novelweights.reproduce.reproducing import (
        bill,
        kept_runs,
        possible,
        reproduce,
        require_machine,
    )
    from novelweights.reproduce.runs import Runs

    names = possible(plan_of(scale)) if exhibit == "all" else [exhibit]
    with progress_bar() as progress:
        runs = Runs(output / "runs", tuple(kept or kept_runs(scale)), progress)
        needed = bill(names, scale, runs)
        if needed.nodes:
            say(str(needed))
        if scale == "paper":
            require_machine(needed, scale, output)
        failed = reproduce(names, scale, output, runs, jobs=jobs, say=say)
    for name, problem in failed.items():
        error(f"{name} was not made: {problem} [{problem.number} {problem.code}]")
    if failed:
        raise typer.Exit(2)
