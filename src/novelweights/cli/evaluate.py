"""`novelweights evaluate METHOD --zoo NAME`: fit, sample, audit and report in one call."""

from pathlib import Path
from typing import Annotated

import typer

from novelweights.cli.show import progress_bar, say


def evaluate(
    method: Annotated[
        str, typer.Argument(help="Which generator: see `novelweights ls generators`.")
    ],
    zoo: Annotated[str, typer.Option(help="Which zoo: see `novelweights ls zoos`.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    scale: Annotated[
        str | None, typer.Option(help="Settings of the generator. [the method's first]")
    ] = None,
    runs: Annotated[
        int | None, typer.Option(min=1, help="Training runs. [the zoo's own number]")
    ] = None,
    heldout_runs: Annotated[
        int | None, typer.Option(min=0, help="Held-out runs, never learned from. [the zoo's own]")
    ] = None,
    checkpoints: Annotated[
        int | None, typer.Option(min=1, help="Kept of each run. [the zoo's own number]")
    ] = None,
    start_runs: Annotated[
        int | None,
        typer.Option(min=0, help="Initializations of yet other runs, for g-pt. [the zoo's own]"),
    ] = None,
    from_scratch: Annotated[
        Path | None,
        typer.Option(help="Independently trained networks to show beside, for p-diff."),
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", "-n", min=1, help="Checkpoints to generate.")
    ] = 200,
    seed: Annotated[int, typer.Option(help="Root of all randomness.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what the same command wrote before.")
    ] = False,
) -> None:
    """A zoo, a generator fitted to it, its samples, the audit with its page, and a summary.

    `novelweights report` draws page and summary again.
    """
    from novelweights.evaluation import evaluate_method
    from novelweights.report.summary import SUMMARY_PAGE

    given = {
        "scale": scale,
        "runs": runs,
        "heldout-runs": heldout_runs,
        "checkpoints": checkpoints,
        "start-runs": start_runs,
        "from-scratch": from_scratch,
    }
    flags = "".join(f" --{flag} {value}" for flag, value in given.items() if value is not None)
    with progress_bar() as tell:
        judged = evaluate_method(
            output,
            method,
            zoo=zoo,
            scale=scale,
            runs=runs,
            heldout_runs=heldout_runs,
            samples=samples,
            checkpoints=checkpoints,
            start_runs=start_runs,
            from_scratch=from_scratch,
            seed=seed,
            resume=resume,
            overwrite=overwrite,
            tell=tell,
            command=f"novelweights evaluate {method} --zoo {zoo}{flags} --samples {samples} "
            f"--seed {seed} -o {output}",
        )
    for sampler, folder, verdicts in judged:
        of = f" ({sampler})" if sampler else ""
        say(f"verdict{of}: {verdicts.population.origin}. {verdicts.population.sentence}")
        say(f"page: {folder / 'report.html'}")
    say(f"summary: {output / SUMMARY_PAGE}")
