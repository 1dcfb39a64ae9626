"""`novelweights calibrate`: the audit judged on zoos of known truth."""

from typing import Annotated

import typer

from novelweights.cli.options import Output, Resume, Seed
from novelweights.cli.show import progress_bar, say


def calibrate(
    output: Output,
    scale: Annotated[
        str,
        typer.Option(
            help="full: networks with one hidden layer, hours on 2 cores; deep: deeper ones, "
            "half an hour on one core; smoke: under a minute."
        ),
    ] = "full",
    zoo: Annotated[
        list[str] | None, typer.Option(help="Only this zoo; may be repeated. [all of the scale]")
    ] = None,
    repetitions: Annotated[
        int | None, typer.Option(min=2, help="Audits per zoo and number of held-out runs.")
    ] = None,
    seed: Seed = 0,
    resume: Resume = False,
) -> None:
    """How often is this audit right? Plants copies, mixtures and honest runs, and counts.

    Writes calibration.json and calibration.md; trained runs and measured rows stay in work/.
    """
    from novelweights.studies.calibrate.study import PAGE
    from novelweights.studies.calibrate.study import calibrate as run_study

    with progress_bar() as progress:
        study = run_study(
            output,
            scale=scale,
            zoos=zoo or (),
            repetitions=repetitions,
            seed=seed,
            resume=resume,
            tell=progress,
        )
    for line in study.targets:
        say(f"{'met' if line.is_met else 'MISSED':6}  {line.text}: {line.reached}")
    say(f"page: {output / PAGE}")
