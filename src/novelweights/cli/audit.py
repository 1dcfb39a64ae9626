"""The commands about checkpoints that exist already: `audit`, `plan`, `lint`, `import`."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from novelweights.cli.options import (
    AsJson,
    DataDir,
    DataFile,
    InputShape,
    Network,
    Output,
    Overwrite,
    RecalibrateStatistics,
    Resume,
    Seed,
    Task,
    as_flags,
    with_reading,
)
from novelweights.cli.show import progress_bar, say, say_verdict, say_warnings
from novelweights.errors import unknown_name

if TYPE_CHECKING:
    from novelweights.inputs import Options
    from novelweights.readers.source import Reading

WITHOUT_TASK = (
    "behavior: not judged, since there is no task. Whether the generated networks work, and "
    "whether they behave differently, is not known; broken ones cannot be recognized, and "
    "nothing is called novel. Name one with --task, or give --network and --data"
)


@with_reading()
def audit(
    *,
    train: Annotated[Path, typer.Option(help="Checkpoints the generator was fitted to.")],
    generated: Annotated[Path, typer.Option(help="Checkpoints it made.")],
    output: Output,
    heldout: Annotated[
        Path | None,
        typer.Option(help="New runs of the same recipe; the training folder's own, if it has any."),
    ] = None,
    reconstructions: Annotated[
        Path | None,
        typer.Option(help="Training checkpoints through the generator's lossy codec, row by row."),
    ] = None,
    heldout_reconstructions: Annotated[
        Path | None, typer.Option(help="Held-out checkpoints through the same codec.")
    ] = None,
    noise_from: Annotated[
        Path | None,
        typer.Option(help="What the noise baseline adds noise to. [the training checkpoints]"),
    ] = None,
    from_scratch: Annotated[
        Path | None,
        typer.Option(help="Independently trained networks, whole ones or the same parts."),
    ] = None,
    task: Task = "auto",
    data_dir: DataDir = None,
    symmetry: Annotated[
        str,
        typer.Option(
            help="auto: where it is known; none: plain L2; a file with the table; or a network."
        ),
    ] = "auto",
    network: Network = None,
    input_shape: InputShape = None,
    data: DataFile = None,
    recalibrate_statistics: RecalibrateStatistics = False,
    fail_on: Annotated[
        str, typer.Option(help="Exit with code 1 on these verdicts, e.g. replica,interpolation.")
    ] = "",
    seed: Seed = 0,
    overwrite: Overwrite = False,
    reading: "Reading",
) -> None:
    """Are the generated checkpoints copies, mixtures, broken or novel? Writes a run folder.

    Takes checkpoints in any form that `novelweights ls readers` lists, recognized by content.
    """
    from novelweights import api
    from novelweights.auditing.judge.criteria import Verdict
    from novelweights.files import require_new

    failing = [word.strip() for word in fail_on.split(",") if word.strip()]
    for word in failing:
        if word not in list(Verdict):
            raise unknown_name("verdict", word, map(str, Verdict))
    require_new(output, kind="audit.json", overwrite=overwrite)
    options: Options = {
        "heldout": heldout,
        "reconstructions": reconstructions,
        "heldout_reconstructions": heldout_reconstructions,
        "noise_from": noise_from,
        "from_scratch": from_scratch,
        "network": network,
        "input_shape": input_shape,
        "data": data,
        "task": task,
        "symmetry": symmetry,
    }
    flags = {"train": train, "generated": generated, **options}
    command = "novelweights audit " + " ".join(
        f"--{name.replace('_', '-')} {value}" for name, value in flags.items() if value is not None
    )
    command += " --recalibrate-statistics" * recalibrate_statistics
    options["recalibrate_statistics"] = recalibrate_statistics
    beside = api.gathered(train, {**options, "reading": reading, "seed": seed}, say)
    inputs, origins = beside.with_generated(generated)
    if inputs.task is None:
        say(WITHOUT_TASK)
    if inputs.symmetry is not None and inputs.symmetry.unknown:
        say(f"symmetry: not known of {inputs.symmetry.describe_unknown()}")
    with progress_bar() as progress:
        audited = api.audited(
            inputs,
            origins,
            command=f"{command} {as_flags(reading)}".rstrip() + f" --seed {seed} -o {output}",
            progress=progress,
        )
        audited.write(output, overwrite=overwrite, progress=progress)
    say_warnings(audited.result.warnings)
    say_verdict(audited.verdicts, output)
    if audited.verdicts.shown & {Verdict(word) for word in failing}:
        raise typer.Exit(1)


@with_reading()
def plan(
    *,
    train: Annotated[Path, typer.Option(help="Checkpoints the generator is to be fitted to.")],
    heldout_runs: Annotated[
        int | None,
        typer.Option(min=0, help="Held-out runs; those in the training folder, else 100."),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Checkpoints to generate.")] = 200,
    as_json: AsJson = False,
    reading: "Reading",
) -> None:
    """What an audit with so many runs and samples could and could not show."""
    from novelweights import api
    from novelweights.auditing.judge.planning import limits_beside

    planned = api.plan(train, heldout_runs=heldout_runs, samples=samples, reading=reading)
    whose = "held-out run" if planned.n_heldout else "training run"
    limits = limits_beside(planned.n_heldout or planned.n_train, samples, whose=whose)
    if as_json:
        say(json.dumps(planned.to_json() | {"limits": limits}, indent=2, allow_nan=False))
        return
    for line in planned.lines():
        say(line)
    say(f"\n{limits[0].upper()}{limits[1:]}.")


@with_reading(without=["shared"])
def lint(
    *,
    folder: Annotated[Path, typer.Argument(help="Checkpoints to look at.")],
    heldout: Annotated[
        Path | None, typer.Option(help="Held-out runs, if they lie in a folder of their own.")
    ] = None,
    as_json: AsJson = False,
    reading: "Reading",
) -> None:
    """What is wrong with these checkpoints; exit code 1 if there are errors.

    Takes checkpoints in any form that `novelweights ls readers` lists.
    """
    from novelweights import api

    linted = api.lint(folder, heldout=heldout, reading=reading)
    if as_json:
        say(json.dumps(linted.to_json(), indent=2, allow_nan=False))
    else:
        for line in linted.lines():
            say(line)
    if linted.counts()["error"]:
        raise typer.Exit(1)


@with_reading(without=["format_name"])
def import_checkpoints(
    *,
    format_name: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT", help="See `novelweights ls readers`; auto: whichever knows it."
        ),
    ],
    source: Annotated[Path, typer.Argument(help="The checkpoints: a folder or a file.")],
    output: Output,
    split: Annotated[
        str | None,
        typer.Option(help="What they are, where their format does not tell: train, heldout, ..."),
    ] = None,
    steps: Annotated[str, typer.Option(help="Of each run: all, or the last.")] = "all",
    task: Annotated[
        str | None, typer.Option(help="Judges them in audits: see `novelweights ls tasks`.")
    ] = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    reading: "Reading",
) -> None:
    """Copy checkpoints of any known form into a population folder; no code in them is run.

    A population is opened as a memory map, so that audits of many checkpoints begin at once.
    """
    from novelweights.files import require_new
    from novelweights.readers import open_source
    from novelweights.readers.importing import SPLITS, STEPS, import_source

    if split is not None and split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    if steps not in STEPS:
        raise unknown_name("choice of steps", steps, STEPS)
    require_new(output, kind="population.json", overwrite=overwrite)
    checkpoints = open_source(source, reading=replace(reading, format=format_name))
    for note in checkpoints.description():
        say(note)
    with progress_bar() as progress:
        n = import_source(
            checkpoints,
            output,
            reading=reading,
            split=split,
            steps=steps,
            task=task,
            resume=resume,
            overwrite=overwrite,
            progress=lambda done, total: progress("copying", done, total),
        )
    for note in checkpoints.late_description():
        say(note)
    say(f"{output}: {n} checkpoints of {checkpoints.layout.size} weights written")
