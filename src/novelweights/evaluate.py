"""The stages in one call: audit to folder, and a generator from nothing to the page.

Everything here hands folders from one stage to the next; no stage knows this module.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import UnionType
from typing import Any

from novelweights.audit.audit import Clock, audit
from novelweights.audit.criteria import Verdicts
from novelweights.audit.pictures import pictures
from novelweights.audit.run_folder import describe_run, write_run
from novelweights.audit.verdict import judge
from novelweights.errors import InputError
from novelweights.files import new_folder, read_json, require_new, sha256_of, write_json
from novelweights.generators import GENERATORS, make_generator, method_named
from novelweights.generators.generator import FittedGenerator
from novelweights.generators.parts.gap import HasLoss, final_gap
from novelweights.generators.parts.training import Workspace
from novelweights.generators.store import load_fitted, save_fitted, with_provenance
from novelweights.report.page import build_report
from novelweights.report.steering import is_steering_run, read_steering
from novelweights.report.summary import AUDIT, STEERING, Evaluation, write_summary
from novelweights.reproduce.reported import REPORTED
from novelweights.seeding import rng_for
from novelweights.tasks import TASKS, make_task
from novelweights.tasks.task import Task
from novelweights.weights.population import Population, require_finite, weights_digest
from novelweights.weights.readers import read_checkpoints, read_starts
from novelweights.weights.symmetry import NeuronSymmetry
from novelweights.weights.writer import save_population
from novelweights.zoos import find_zoo
from novelweights.zoos.independent_runs import build, plan_build

FIT_FILES = ("training_state.pt", "loss.csv", "gap.csv")
"""What an unfinished fit keeps."""
STAGES = "stages.json"
RESTORE = "run the evaluation again with --overwrite, or restore the file"
"""What to do about a damaged file."""
ASKED: dict[str, type] = {
    **dict.fromkeys(("method", "zoo", "scale"), str),
    **dict.fromkeys(("runs", "heldout_runs", "checkpoints", "start_runs", "samples", "seed"), int),
}
"""What the settings of an evaluation hold."""

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


def evaluate_method(
    folder: Path,
    method: str,
    *,
    zoo: str,
    scale: str | None = None,
    runs: int | None = None,
    heldout_runs: int | None = None,
    samples: int = 200,
    checkpoints: int | None = None,
    start_runs: int | None = None,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    tell: Tell | None = None,
    command: str = "",
    kind: str = "evaluation.json",
) -> Verdicts:
    """Train a zoo, fit a generator to it, sample, audit, and write the page and a summary.

    Leaves zoo/, model/, samples/, audit/, stages.json (seconds per stage) and the summary in the
    folder; with `resume`, stages that are complete there are kept. A generator that begins from
    checkpoints gets the zoo's split "start".

    Args:
        folder: What to write.
        method: A key of `GENERATORS`.
        zoo: A key of `ZOOS`.
        scale: Settings of the generator; None: the method's first.
        runs: Training runs; the zoo's own number if None, as with the three that follow.
        heldout_runs: Held-out runs: logged while fitting, never learned from; the audit's
            yardstick.
        samples: Checkpoints to generate.
        checkpoints: Kept of each run.
        start_runs: Initializations of yet other runs.
        seed: Root of all randomness.
        resume: Go on with what is there.
        overwrite: Replace what is there.
        tell: Told how far each stage is.
        command: For the manifest.
        kind: The file the folder is known by, with its settings; a key of `files.KINDS`.

    Raises:
        InputError: An unknown name, a zoo that the generator cannot use, or the folder exists or
            was begun with other settings.
    """
    tell = tell or (lambda stage, done, total: None)
    recipe, made_by = find_zoo(zoo), method_named(method)
    scale = scale or next(iter(made_by.scales))
    generator = make_generator(method, scale)  # what is refused must remove nothing
    counts = plan_build(
        recipe,
        runs=runs,
        heldout_runs=heldout_runs,
        checkpoints=checkpoints,
        start_runs=start_runs,
        seed=seed,
    ).counts
    if made_by.is_conditional and not (counts["checkpoints"] > 1 and counts["start_runs"]):
        raise InputError(
            f"{method} learns from several checkpoints of each run and begins from those of "
            f"others: expected a zoo that keeps them, {zoo} has {counts['checkpoints']} of each "
            f"run and {counts['start_runs']} to begin from; name a zoo ...-steps, or add "
            "--checkpoints and --start-runs"
        )
    task = make_task(recipe.task_name)
    named = {"method": method, "zoo": zoo, "scale": scale}
    _begin(
        folder,
        {**named, **counts, "samples": samples, "seed": seed},
        kind=kind,
        resume=resume,
        overwrite=overwrite,
    )
    if not (folder / "zoo").exists():
        with _timed(folder, "zoo", goes_on=True):
            build(
                recipe,
                folder / "zoo",
                runs=counts["runs"],
                heldout_runs=counts["heldout_runs"],
                checkpoints=counts["checkpoints"],
                start_runs=counts["start_runs"],
                seed=seed,
                resume=True,
                progress=lambda done, total: tell("training the zoo", done, total),
            )
    train = read_checkpoints(folder / "zoo", split="train")
    heldout = None
    if counts["heldout_runs"]:
        heldout = read_checkpoints(folder / "zoo", split="heldout")
    if not (folder / "model").exists():
        with _timed(folder, "fit", goes_on=True):
            fit_to_folder(
                folder / "model",
                method,
                generator,
                train,
                heldout=heldout,  # logged, never learned from
                seed=seed,
                resume=True,
                progress=lambda done, total, loss: tell("fitting the generator", done, total),
            )
    fitted, _ = load_fitted(folder / "model")
    if not (folder / "samples").exists():
        with _timed(folder, "sample"):
            start = None
            if made_by.is_conditional:
                start = read_starts(folder / "zoo")
            sampled = fitted.sample(
                samples,
                rng=rng_for(seed, "sample"),
                start=start,
                progress=lambda done, total: tell("sampling", done, total),
            )
            require_finite(sampled, f"samples of {method}")
            save_population(with_provenance(sampled, folder / "model"), folder / "samples")
    generated = read_checkpoints(folder / "samples")
    inputs = {"train": describe_input(folder / "zoo", train)}
    if heldout is not None:
        inputs["heldout"] = describe_input(folder / "zoo", heldout)
    inputs["generated"] = describe_input(folder / "samples", generated)
    with _timed(folder, "audit"):
        verdicts = audit_to_folder(
            folder / AUDIT,
            train,
            generated,
            heldout=heldout,
            task=task,
            symmetry=train.info.symmetry,
            **_through_codec(fitted, train, heldout),
            command=command,
            inputs=inputs,
            seed=seed,
            overwrite=True,
            tell=lambda stage, done, total: tell(f"audit: {stage}", done, total),
        )
    summarize(folder)
    return verdicts


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
    like any other. See `evaluate_method`.

    Raises:
        InputError: The folder exists, or an unfinished demo there had other settings.
    """
    return evaluate_method(
        folder,
        "hyperdiffusion",
        zoo="digits-mlp",
        scale=scale,
        runs=runs,
        heldout_runs=heldout_runs,
        samples=samples,
        seed=seed,
        resume=resume,
        overwrite=overwrite,
        tell=tell,
        command=command,
        kind="demo.json",
    )


def evaluation_marker(folder: Path) -> Path | None:
    """The file that tells what a folder of `evaluate_method` was asked for; None if it is none."""
    found = (folder / kind for kind in ("evaluation.json", "demo.json"))
    return next((path for path in found if path.is_file()), None)


def summarize(folder: Path) -> Path:
    """Write the summary of an evaluation again, from its files alone.

    Returns:
        The path of summary.md.

    Raises:
        InputError: The folder is no evaluation, or a file in it is missing or damaged.
    """
    marker = evaluation_marker(folder)
    if marker is None:
        raise InputError(
            f"{folder}: expected the folder of an evaluation, it has no evaluation.json; make one "
            "with `novelweights evaluate`"
        )
    asked = _entries(marker, read_json(marker), ASKED)
    if asked["method"] not in GENERATORS:
        raise InputError(
            f"{marker}: expected a method of {', '.join(sorted(GENERATORS))}, got "
            f"{asked['method']!r}; {RESTORE}"
        )
    published = GENERATORS[asked["method"]].scales.get("paper")
    papers_own = {} if published is None else asdict(published)
    model = _described(folder / "model" / "generator.json", papers_own)
    printed = REPORTED.get(asked["method"])
    seconds, cores = _stages(folder / STAGES)
    evaluation = Evaluation(
        settings=asked,
        generator=model,
        changed=None
        if published is None
        else {
            name: (model["settings"][name], value)
            for name, value in papers_own.items()
            if model["settings"][name] != value
        },
        seconds=seconds,
        cores=cores,
        steering=_steering(folder),
        paper_setting=printed.setting if printed else "",
        paper={key: (one.text, one.source) for key, one in printed.numbers.items()}
        if printed
        else None,
    )
    return write_summary(folder, evaluation)


def _entries(
    path: Path, found: Any, kinds: Mapping[str, type | UnionType], *, remedy: str = RESTORE
) -> dict[str, Any]:
    """What was read from a file, if it is an object with entries of these types."""
    if not isinstance(found, dict):
        came = type(found).__name__
        raise InputError(f"{path}: expected an object with names, got a {came}; {remedy}")
    wrong = [
        name
        for name, kind in kinds.items()
        if not isinstance(found.get(name), kind) or isinstance(found.get(name), bool)
    ]
    if wrong:
        raise InputError(
            f"{path}: expected {', '.join(wrong)} as an evaluation leaves it, got none or another "
            f"kind; {remedy}"
        )
    return found


def _described(path: Path, published: Mapping[str, Any]) -> dict[str, Any]:
    """generator.json, as far as a summary reads it."""
    sizes = dict.fromkeys(("parameters", "values_in_training"), int | None)
    described = _entries(path, read_json(path), {"settings": dict, "training": dict, **sizes})
    _entries(path, described["training"], {"rows": int})
    settings = described["settings"]
    _entries(path, settings, dict.fromkeys(("steps", "batch_size"), int | None))
    if missing := [name for name in published if name not in settings]:
        raise InputError(
            f"{path}: expected all settings of the method, {', '.join(missing)} missing; {RESTORE}"
        )
    return described


def _stages(path: Path) -> tuple[dict[str, float], int | None]:
    """Seconds of each stage and the cores that took them, from stages.json; none without it."""
    if not path.exists():
        return {}, None
    remedy = "delete it (only the times are lost) and give the same command again"
    told = _entries(path, read_json(path), {"seconds": dict, "cores": int | None}, remedy=remedy)
    seconds = told["seconds"]
    kinds = dict.fromkeys(seconds, int | float)
    return _entries(path, seconds, kinds, remedy=remedy), told.get("cores")


def _begin(
    folder: Path, settings: Mapping[str, Any], *, kind: str, resume: bool, overwrite: bool
) -> None:
    """An empty folder marked with its settings, or with `resume` the one that is there."""
    marker, what = folder / kind, kind.removesuffix(".json")
    if resume and marker.exists():
        if (known := read_json(marker)) != settings:
            raise InputError(
                f"{folder}: the {what} there was begun with other settings ({known}); "
                "give the same to go on, or name another folder with -o"
            )
        return
    if marker.exists() and not overwrite:
        raise InputError(
            f"{folder}: the {what} of an earlier call is there; add --resume to go on with it, "
            "--overwrite to begin anew, or name another folder with -o"
        )
    require_new(folder, kind=kind, overwrite=overwrite)
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    write_json(marker, settings)


@contextmanager
def _timed(folder: Path, stage: str, *, goes_on: bool = False) -> Iterator[None]:
    """Note the seconds of a stage in stages.json, also if it is interrupted.

    Args:
        folder: Of the evaluation.
        stage: Its name.
        goes_on: Whether it goes on where an interruption left it, so that its seconds add up; the
            others begin anew.
    """
    path, started = folder / STAGES, time.perf_counter()
    seconds, _ = _stages(path)
    before = seconds.get(stage, 0.0) if goes_on else 0.0
    try:
        yield
    finally:
        seconds[stage] = round(before + time.perf_counter() - started, 3)
        write_json(path, {"seconds": seconds, "cores": os.cpu_count()})


def _through_codec(
    fitted: FittedGenerator, train: Population, heldout: Population | None
) -> dict[str, Population | None]:
    """Training and held-out checkpoints through a lossy codec; nothing where there is none."""
    reference = fitted.as_reference(train)
    if reference is train:
        return {}
    through = fitted.as_reference(heldout) if heldout is not None else None
    return {"reference": reference, "heldout_reference": through}


def _steering(folder: Path) -> str | None:
    """What a steering of this model found, in a sentence; of another, or of none, nothing."""
    if not is_steering_run(folder / STEERING):
        return None
    run = read_steering(folder / STEERING)
    is_of_this_model = run.about.get("model_sha256") == model_digest(folder / "model")
    return run.sentence if is_of_this_model else None


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


def model_digest(folder: Path) -> str:
    """SHA-256 of a fitted generator, wherever its folder lies: its settings and its weights."""
    digest = hashlib.sha256()
    for path in sorted([folder / "generator.json", *folder.glob("*.safetensors")]):
        digest.update(f"{path.name} {sha256_of(path)}\n".encode())
    return digest.hexdigest()


def describe_input(path: Path, population: Population) -> dict[str, Any]:
    """Path, rows and a checksum of the weights that were used, for the manifest."""
    return {"path": str(path), "sha256": weights_digest(population), "rows": len(population)}
