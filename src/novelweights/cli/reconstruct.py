"""`novelweights reconstruct`: what a generator's lossy codec does to checkpoints."""

import shutil
from collections.abc import Container, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from novelweights.cli.options import DataDir, Overwrite, Seed
from novelweights.cli.show import progress_bar, say
from novelweights.errors import InputError

if TYPE_CHECKING:
    from novelweights.generators.generator import GivesBack
    from novelweights.tasks.task import Task
    from novelweights.weights.population import Population
    from novelweights.weights.symmetry import NeuronSymmetry

PARTS = {"train": "reconstructions", "heldout": "heldout_reconstructions", "parents": "noise_from"}
"""Population folders of `--write`, and what `audit` takes each for."""


def reconstruct(
    model: Annotated[Path, typer.Argument(help="Folder of a fitted generator with a codec.")],
    population: Annotated[
        Path,
        typer.Option(help="Checkpoints it was fitted to; their held-out runs too, if they lie by."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Run folder to write; of p-diff the population folder."
        ),
    ],
    task: Annotated[
        str,
        typer.Option(help="Judges them: `novelweights ls tasks`; auto: the population's own."),
    ] = "auto",
    networks: Annotated[
        int,
        typer.Option(
            min=1, max=5000, help="At most so many training runs, and as many held-out ones."
        ),
    ] = 200,
    data_dir: DataDir = None,
    seed: Seed = 0,
    write: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the reconstructions of all checkpoints, for `novelweights audit`: "
            "train, heldout, and parents (those the generator draws from)."
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """What does a generator's codec lose, and does it see that a permuted copy is the same network?

    For generators that sample through a lossy codec. Of hyper-representations a run folder with a
    page; of p-diff the reconstructions of all training checkpoints, for `novelweights audit` to
    measure as if they were generated: what its samples owe to the codec alone.
    """
    from novelweights.files import new_folder, require_new
    from novelweights.generators.calling import reconstructed
    from novelweights.generators.generator import GivesBack
    from novelweights.generators.store import load_fitted, model_digest
    from novelweights.readers import open_checkpoints
    from novelweights.seeding import numpy_rng_for, rng_for
    from novelweights.studies.reconstruction.measure import reconstruct as run_reconstruct
    from novelweights.studies.reconstruction.measure import some_runs
    from novelweights.studies.reconstruction.page import build_reconstruction_report
    from novelweights.studies.reconstruction.pairs import table_of
    from novelweights.studies.reconstruction.summary import summarize
    from novelweights.studies.study import write_study

    fitted, method = load_fitted(model)
    if isinstance(fitted, GivesBack):
        if write is not None:
            raise InputError(
                f"{method}: leave --write out, its reconstructions go to --output", "wrong-option"
            )
        _give_back(fitted, population, output, overwrite=overwrite)
        return
    require_new(output, kind="reconstruction.json", overwrite=overwrite)
    if write is not None:
        _require_outside(write, output, overwrite=overwrite)
    opened = open_checkpoints(population)
    every, unseen, heldout = opened.of_split("train"), None, None
    training = some_runs(every, networks, rng=rng_for(seed, "reconstruct", "training"))
    if opened.n_heldout:
        unseen = opened.of_split("heldout")
        heldout = some_runs(unseen, networks, rng=rng_for(seed, "reconstruct", "heldout"))
        say(f"networks: {len(training)} training and {len(heldout)} held-out runs")
    else:
        say(f"networks: {len(training)} training runs; no held-out runs in {population}")
    is_of_fit = _is_of_fit(model, every)
    if is_of_fit is False:
        say(f"{population}: these are not the checkpoints it was fitted to")
    judge, symmetry = _judge(task, training, fitted, population)
    with progress_bar() as progress:
        pairs = run_reconstruct(
            fitted,
            training,
            judge,
            method=method,
            symmetry=symmetry,
            rng=rng_for(seed, "reconstruct", "moves"),
            heldout=heldout,
            progress=lambda done, total: progress("reconstructing", done, total),
        )
    summary = summarize(pairs, rng=numpy_rng_for(seed, "reconstruct", "bootstrap"))
    about = {
        "model": str(model),
        "model_sha256": model_digest(model),
        "method": method,
        "is_of_fit": is_of_fit,
        "task": judge.name,
        "architecture": training.info.architecture,
        "reordered_groups": sorted(symmetry.sizes(training.layout)) if symmetry else [],
        "flipped_groups": sorted(symmetry.sign_groups) if symmetry else [],
        **_manifest(
            f"novelweights reconstruct {model} --population {population} -o {output} "
            f"--task {task} --networks {networks} --seed {seed}",
            population,
            {"training": training, "heldout": heldout},
            seed=seed,
        ),
    }
    paper = _printed(method, summary.quantities)
    with new_folder(output, kind="reconstruction.json", overwrite=overwrite) as temporary:
        write_study(temporary, "reconstruction", summary, table_of(pairs), about, paper=paper)
        build_reconstruction_report(temporary)
    if write is not None:
        through = reconstructed(fitted, every, unseen)
        _write({part: through.get(role) for part, role in PARTS.items()}, write, overwrite)
    say(summary.sentence)
    say(f"page: {output / 'report.html'}")


def _require_outside(write: Path, output: Path, *, overwrite: bool) -> None:
    """Reconstructions may be written there.

    Raises:
        InputError: The folder lies in the run folder, or a part of it is taken.
    """
    from novelweights.files import require_new

    if output.absolute() in (write.absolute(), *write.absolute().parents):
        raise InputError(f"--write {write}: expected a folder outside of {output}", "wrong-option")
    for part in PARTS:
        require_new(write / part, kind="population.json", overwrite=overwrite)


def _is_of_fit(model: Path, training: "Population") -> bool | None:
    """Whether these are the checkpoints that the generator was fitted to; None: not known."""
    from novelweights.generators.store import training_digest
    from novelweights.weights.population import weights_digest

    fitted_to = training_digest(model)
    return None if fitted_to is None else fitted_to == weights_digest(training)


def _judge(
    task: str, training: "Population", fitted: Any, path: Path
) -> "tuple[Task, NeuronSymmetry | None]":
    """The task and the symmetry: the population's own, or the generator's.

    Raises:
        InputError: Neither knows a task, and none is named.
    """
    from novelweights.tasks import make_task

    own = getattr(fitted, "info", None)
    name = training.info.task or (own.task if own else None) if task == "auto" else task
    if name in (None, "none"):
        raise InputError(
            f"{path}: expected a task that knows errors, got none; name it with --task "
            "(`novelweights ls tasks`)",
            "wrong-option",
        )
    symmetry = training.info.symmetry or (own.symmetry if own else None)
    return make_task(name, training.shared), symmetry


def _manifest(
    command: str, path: Path, roles: "Mapping[str, Population | None]", *, seed: int
) -> dict[str, Any]:
    """Command, seed, inputs and versions."""
    from novelweights.auditing.run_folder import describe_run
    from novelweights.inputs import describe_input

    inputs = {
        role: describe_input(path, population)
        for role, population in roles.items()
        if population is not None
    }
    manifest = describe_run(command=command, settings={}, seed=seed, inputs=inputs, seconds={})
    return {key: value for key, value in manifest.items() if key not in ("seconds", "settings")}


def _give_back(fitted: "GivesBack", population: Path, output: Path, *, overwrite: bool) -> None:
    """Write what the codec makes of all training checkpoints, and say how near the mean it is."""
    from novelweights.files import require_new
    from novelweights.readers import read_checkpoints
    from novelweights.weights.writer import save_population

    require_new(output, kind="population.json", overwrite=overwrite)
    train = read_checkpoints(population, split="train")
    back = fitted.reconstruct(train)
    save_population(back, output, overwrite=overwrite)
    original = train.in_order_of(back.layout).weights.double()
    mean = original.mean(dim=0)
    lost, before, after = (
        float(difference.norm(dim=1).median())
        for difference in (back.weights - original, original - mean, back.weights - mean)
    )
    say(
        f"{len(train)} checkpoints; median L2 distance to their reconstruction {lost:.3g}, to the "
        f"mean of training {before:.3g} before and {after:.3g} after"
    )
    say(
        f"measured as samples are: novelweights audit --train {population} --generated {output} "
        "-o DIR"
    )


def _write(parts: "Mapping[str, Population | None]", folder: Path, overwrite: bool) -> None:
    """Write reconstructions as population folders, and say how an audit takes them."""
    from novelweights.weights.writer import save_population

    options = []
    for part, population in parts.items():
        if population is not None:
            save_population(population, folder / part, overwrite=overwrite)
            options.append(f"--{PARTS[part].replace('_', '-')} {folder / part}")
        elif (folder / part).exists():  # of an earlier call; it would be taken for one of this
            shutil.rmtree(folder / part)
    say(f"reconstructions: for `novelweights audit` add {' '.join(options)}")


def _printed(method: str, keys: Container[str]) -> dict[str, Any] | None:
    """What the paper prints of these numbers of the method, as plain text."""
    from novelweights.reproduce.reported import REPORTED

    if method not in REPORTED:
        return None
    numbers = {key: one for key, one in REPORTED[method].numbers.items() if key in keys}
    return {
        "setting": REPORTED[method].setting,
        "numbers": {k: {"text": one.text, "source": one.source} for k, one in numbers.items()},
    }
