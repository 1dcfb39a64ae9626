"""The stages in one call: audit to folder, and the demo from nothing to the page.

Everything here hands folders from one stage to the next; no stage knows this module.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from novelweights.audit.audit import Clock, audit
from novelweights.audit.criteria import Verdicts
from novelweights.audit.pictures import pictures
from novelweights.audit.run_folder import describe_run, write_run
from novelweights.audit.verdict import judge
from novelweights.errors import InputError
from novelweights.files import new_folder, read_json, require_new, write_json
from novelweights.generators import make_generator
from novelweights.generators.generator import FittedGenerator
from novelweights.generators.parts.gap import HasLoss, final_gap
from novelweights.generators.parts.training import Workspace
from novelweights.generators.store import load_fitted, save_fitted, with_provenance
from novelweights.report.page import build_report
from novelweights.seeding import rng_for
from novelweights.tasks import TASKS, make_task
from novelweights.tasks.task import Task
from novelweights.weights.population import Population, weights_digest
from novelweights.weights.readers import read_checkpoints
from novelweights.weights.symmetry import NeuronSymmetry
from novelweights.weights.writer import save_population
from novelweights.zoos import find_zoo
from novelweights.zoos.independent_runs import build

FIT_FILES = ("training_state.pt", "loss.csv", "gap.csv")
"""What an unfinished fit keeps."""

Tell = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""


def audit_to_folder(
    folder: Path,
    train: Population,
    generated: Population,
    *,
    heldout: Population | None,
    task: Task | None,
    symmetry: NeuronSymmetry | None,
    reference: Population | None = None,
    heldout_reference: Population | None = None,
    command: str,
    inputs: Mapping[str, Mapping[str, Any]],
    seed: int = 0,
    overwrite: bool = False,
    tell: Tell | None = None,
) -> Verdicts:
    """Audit, judge, write the run folder and draw its page.

    Args:
        folder: The run folder to write; it appears when everything in it is complete.
        train: Training checkpoints.
        generated: Generated checkpoints.
        heldout: Fresh runs of the same recipe.
        task: Judges behavior.
        symmetry: Moves that count as no difference.
        reference: The training checkpoints through the generator's lossy codec.
        heldout_reference: The held-out checkpoints through the same.
        command: For the manifest.
        inputs: Path, checksum and rows of each role, for the manifest.
        seed: Root of all randomness.
        overwrite: Replace a folder of that name.
        tell: Told which stage runs.

    Raises:
        InputError: The populations do not fit together, or the folder exists.
    """
    require_new(folder, kind="audit.json", overwrite=overwrite)
    clock = Clock(tell)
    result = audit(
        train,
        generated,
        heldout=heldout,
        task=task,
        symmetry=symmetry,
        reference=reference,
        heldout_reference=heldout_reference,
        seed=seed,
        clock=clock,
    )
    verdicts = judge(result)
    with new_folder(folder, kind="audit.json", overwrite=overwrite) as temporary:
        with clock.stage("pictures"):
            drawn = pictures(
                result, reference or train, generated, task=task, symmetry=symmetry, seed=seed
            )
        manifest = describe_run(
            command=command,
            settings={"criteria": asdict(verdicts.criteria), "symmetry": result.distance.symmetry},
            seed=seed,
            inputs=inputs,
            seconds=clock.seconds,
        )
        write_run(temporary, result, verdicts, drawn, manifest)
        if tell is not None:
            tell("page", clock.n_stages, clock.n_stages)
        build_report(temporary)
    return verdicts


def fit_to_folder(
    folder: Path,
    method: str,
    settings: Any,
    training: Population,
    *,
    heldout: Population | None = None,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int, float], None] | None = None,
) -> FittedGenerator:
    """Fit a generator and write its model folder.

    The unfinished state lives in `folder` + ".partial"; with `resume` it is continued. From
    held-out runs nothing is learned: the loss on them is logged (gap.csv) and compared in the end
    with that on training checkpoints (generator.json), where the generator has a loss.

    Raises:
        InputError: The folder exists, an unfinished fit is there and `resume` is off, or the
            held-out checkpoints are of another network or not finite.
    """
    require_new(folder, kind="generator.json", overwrite=overwrite)
    partial = folder.with_name(folder.name + ".partial")
    if (partial / "training_state.pt").exists() and not resume:
        raise InputError(
            f"{partial}: an unfinished fit is there; add --resume to go on with it, "
            "or delete it to begin anew"
        )
    if partial.exists() and {path.name for path in partial.iterdir()} - set(FIT_FILES):
        raise InputError(f"{partial}: the folder to work in holds other files; move them away")
    partial.mkdir(parents=True, exist_ok=True)
    heldout = heldout if heldout is not None and len(heldout) else None
    fitted: FittedGenerator = settings.fit(
        training,
        rng=rng_for(seed, "fit", method),
        workspace=Workspace(partial, progress, watch=heldout),
    )
    gap = None
    if heldout is not None and isinstance(fitted, HasLoss):
        gap = final_gap(fitted, training, heldout, seed=seed)
    with new_folder(folder, kind="generator.json", overwrite=overwrite) as temporary:
        save_fitted(fitted, temporary, method=method, settings=settings, training=training, gap=gap)
        for log in ("loss.csv", "gap.csv") if gap else ("loss.csv",):
            if (partial / log).exists():
                shutil.copy(partial / log, temporary / log)
    shutil.rmtree(partial)
    return fitted


def demo(
    folder: Path,
    *,
    runs: int = 64,
    heldout_runs: int = 200,
    samples: int = 200,
    scale: str = "demo",
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    tell: Tell | None = None,
    command: str = "novelweights demo",
) -> Verdicts:
    """A zoo of digit classifiers, a weight diffusion, its samples, the audit and the page.

    Nothing is cached and nothing is decided beforehand: the generator is trained here and judged
    like any other. Leaves zoo/, model/, samples/ and audit/ in the folder; with `resume`, stages
    that are complete there are kept.

    Raises:
        InputError: The folder exists, or an unfinished demo there had other settings.
    """
    tell = tell or (lambda stage, done, total: None)
    generator = make_generator("hyperdiffusion", scale)  # a wrong name must remove nothing
    marker = folder / "demo.json"
    settings = {
        "runs": runs,
        "heldout_runs": heldout_runs,
        "samples": samples,
        "scale": scale,
        "seed": seed,
    }
    if resume and marker.exists():
        if read_json(marker) != settings:
            raise InputError(
                f"{folder}: the demo there was begun with other settings ({read_json(marker)}); "
                "give the same to go on, or name another folder with -o"
            )
    else:
        if marker.exists() and not overwrite:
            raise InputError(
                f"{folder}: a demo is there already; add --resume to go on with it, --overwrite "
                "to begin anew, or name another folder with -o"
            )
        require_new(folder, kind="demo.json", overwrite=overwrite)
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        write_json(marker, settings)
    if not (folder / "zoo").exists():
        build(
            find_zoo("digits-mlp"),
            folder / "zoo",
            runs=runs,
            heldout_runs=heldout_runs,
            seed=seed,
            resume=True,
            progress=lambda done, total: tell("training the zoo", done, total),
        )
    train = read_checkpoints(folder / "zoo", split="train")
    heldout = read_checkpoints(folder / "zoo", split="heldout")
    if not (folder / "model").exists():
        fit_to_folder(
            folder / "model",
            "hyperdiffusion",
            generator,
            train,
            heldout=heldout,  # logged, never learned from
            seed=seed,
            resume=True,
            progress=lambda done, total, loss: tell("fitting the generator", done, total),
        )
    if not (folder / "samples").exists():
        fitted, _ = load_fitted(folder / "model")
        sampled = fitted.sample(
            samples,
            rng=rng_for(seed, "sample"),
            progress=lambda done, total: tell("sampling", done, total),
        )
        save_population(with_provenance(sampled, folder / "model"), folder / "samples")
    generated = read_checkpoints(folder / "samples")
    return audit_to_folder(
        folder / "audit",
        train,
        generated,
        heldout=heldout,
        task=task_for(train, "auto"),
        symmetry=train.info.symmetry,
        command=command,
        inputs={
            "train": describe_input(folder / "zoo", train),
            "heldout": describe_input(folder / "zoo", heldout),
            "generated": describe_input(folder / "samples", generated),
        },
        seed=seed,
        overwrite=True,
        tell=lambda stage, done, total: tell(f"audit: {stage}", done, total),
    )


def task_for(train: Population, name: str) -> Task | None:
    """The task of that name; "auto" takes the one the training population names, if any.

    Raises:
        InputError: Unknown name, or its data must be fetched first.
    """
    if name == "none":
        return None
    if name != "auto":
        return make_task(name)
    return make_task(train.info.task) if train.info.task in TASKS else None


def describe_input(path: Path, population: Population) -> dict[str, Any]:
    """Path, rows and a checksum of the weights that were used, for the manifest."""
    return {"path": str(path), "sha256": weights_digest(population), "rows": len(population)}
