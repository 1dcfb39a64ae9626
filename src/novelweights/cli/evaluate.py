"""`novelweights evaluate METHOD --zoo NAME` and `demo`: zoo, fit, samples, audit in one call."""

from pathlib import Path
from typing import Annotated, Any

import typer

from novelweights.cli.options import (
    DataDir,
    HeldoutRuns,
    Init,
    KeptCheckpoints,
    Output,
    Overwrite,
    Resume,
    Runs,
    Samples,
    Seed,
    StartRuns,
)
from novelweights.cli.show import progress_bar, say, say_verdict, say_warnings


def demo(
    output: Output = Path("novelweights-demo"),
    runs: Annotated[int, typer.Option(min=3, help="Training runs.")] = 64,
    heldout_runs: Annotated[int, typer.Option(min=1, help="Held-out runs.")] = 200,
    samples: Samples = 200,
    scale: Annotated[str, typer.Option(help="Settings of the generator.")] = "demo",
    seed: Seed = 0,
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """A zoo of digit classifiers, a weight diffusion, the audit and its page; minutes."""
    from novelweights.pipeline import demo as run_demo

    choices: dict[str, Any] = {"runs": runs, "heldout_runs": heldout_runs, "samples": samples}
    choices |= {"scale": scale, "seed": seed}
    with progress_bar() as progress:
        judged = run_demo(
            output,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
            command=f"novelweights demo{_flags(choices)} -o {output}",
            **choices,
        )
    say_warnings(judged.warnings)
    say_verdict(judged.verdicts, judged.folder)


def evaluate(
    method: Annotated[
        str, typer.Argument(help="Which generator: see `novelweights ls generators`.")
    ],
    zoo: Annotated[str, typer.Option(help="Which zoo: see `novelweights ls zoos`.")],
    output: Output,
    scale: Annotated[
        str | None, typer.Option(help="Settings of the generator. [the method's first]")
    ] = None,
    runs: Runs = None,
    heldout_runs: HeldoutRuns = None,
    checkpoints: KeptCheckpoints = None,
    start_runs: StartRuns = None,
    from_scratch: Annotated[
        Path | None,
        typer.Option(help="Independently trained networks to show beside, for p-diff."),
    ] = None,
    samples: Samples = 200,
    init: Init = None,
    data_dir: DataDir = None,
    seed: Seed = 0,
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """A zoo, a generator fitted to it, its samples, the audit with its page, and a summary.

    `novelweights report` draws page and summary again.
    """
    from novelweights.pipeline import evaluate_method
    from novelweights.report.summary import SUMMARY_PAGE

    choices: dict[str, Any] = {
        "scale": scale,
        "runs": runs,
        "heldout_runs": heldout_runs,
        "checkpoints": checkpoints,
        "start_runs": start_runs,
        "from_scratch": from_scratch,
        "init": init,
        "samples": samples,
        "seed": seed,
    }
    with progress_bar() as progress:
        judged = evaluate_method(
            output,
            method,
            zoo=zoo,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
            command=f"novelweights evaluate {method} --zoo {zoo}{_flags(choices)} -o {output}",
            **choices,
        )
    for one in judged:
        say_warnings(one.warnings)
        say_verdict(one.verdicts, one.folder, of=one.sampler)
    say(f"summary: {output / SUMMARY_PAGE}")


def _flags(choices: dict[str, Any]) -> str:
    """Choices as options of the command, those that were made."""
    return "".join(
        f" --{name.replace('_', '-')} {value}"
        for name, value in choices.items()
        if value is not None
    )
