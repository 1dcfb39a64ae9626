"""The stages in one call: a generator from nothing to the page.

Everything here hands folders from one stage to the next; no stage knows this module.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from novelweights.audit_run import Tell, audit_to_folder, describe_input
from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA, Verdicts
from novelweights.auditing.judge.verdict import judge
from novelweights.auditing.one_run.from_scratch import same_parts
from novelweights.errors import InputError
from novelweights.evaluation_folder import begin, timed
from novelweights.evaluation_summary import summarize
from novelweights.files import new_folder, require_new
from novelweights.generators import make_generator, method_named, sampled_by
from novelweights.generators.generator import DrawsFromSome, FittedGenerator, HasReference
from novelweights.generators.parts.gap import HasLoss, final_gap
from novelweights.generators.parts.training import Workspace
from novelweights.generators.store import load_fitted, save_fitted, with_provenance
from novelweights.readers import read_checkpoints, read_starts
from novelweights.report.page import build_report
from novelweights.report.run_folder import read_run_folder
from novelweights.report.summary import SUMMARY_PAGE, audit_folder
from novelweights.seeding import rng_for
from novelweights.tasks import WHOLE_TASKS, make_task
from novelweights.weights.population import Population, require_finite, weights_digest
from novelweights.weights.writer import save_population
from novelweights.zoos import find_zoo
from novelweights.zoos.building import build, counts_of

FIT_LOGS = ("loss.csv", "autoencoder_loss.csv", "gap.csv")
"""What a fit logs; gap.csv goes into the model folder only where the gap was measured."""
FIT_STATES = ("training_state.pt", "autoencoder_training_state.pt")
"""What an unfinished fit goes on from; the second where an autoencoder is trained first."""


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
    if any((partial / state).exists() for state in FIT_STATES) and not resume:
        raise InputError(
            f"{partial}: an unfinished fit is there; add --resume to go on with it, "
            "or delete it to begin anew"
        )
    if partial.exists() and {path.name for path in partial.iterdir()} - {*FIT_LOGS, *FIT_STATES}:
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
        for log in FIT_LOGS:
            if (partial / log).exists() and (gap or log != "gap.csv"):
                shutil.copy(partial / log, temporary / log)
    shutil.rmtree(partial)
    return fitted


class Judged(NamedTuple):
    """The audit of one sampler's checkpoints."""

    sampler: str
    """"" where the method is sampled in one way only."""
    folder: Path
    """Its run folder."""
    verdicts: Verdicts


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
    from_scratch: Path | None = None,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    tell: Tell | None = None,
    command: str = "",
    kind: str = "evaluation.json",
) -> list[Judged]:
    """Train a zoo, fit a generator to it, sample, audit, and write the page and a summary.

    Leaves zoo/, model/, samples/, audit/, stages.json (seconds per stage) and the summary in the
    folder; further samplers of the method leave samples-NAME/ and audit-NAME/. With `resume`,
    stages that are complete there are kept; of an evaluation that is complete only the audits are
    made again. A generator that begins from checkpoints gets the zoo's split "start".

    Args:
        folder: What to write.
        method: Its name: `novelweights ls generators`.
        zoo: A key of `ZOOS`.
        scale: Settings of the generator; None: the method's first.
        runs: Training runs; the zoo's own number if None, as with the three that follow.
        heldout_runs: Held-out runs: logged while fitting, never learned from; the audit's
            yardstick.
        samples: Checkpoints to generate.
        checkpoints: Kept of each run.
        start_runs: Initializations of yet other runs.
        from_scratch: Independently trained networks for the audits to show beside. May be added to
            an evaluation that was begun without.
        seed: Root of all randomness.
        resume: Go on with what is there.
        overwrite: Replace what is there.
        tell: Told how far each stage is.
        command: For the manifest.
        kind: The file the folder is known by, with its settings; a key of `files.KINDS`.

    Returns:
        The audit of each sampler, the published one first.

    Raises:
        InputError: An unknown name, a zoo that the generator cannot use, or the folder exists or
            was begun with other settings.
    """
    tell = tell or (lambda stage, done, total: None)
    recipe, made_by = find_zoo(zoo), method_named(method)
    scale = scale or next(iter(made_by.scales))
    generator = make_generator(method, scale)  # what is refused must remove nothing
    counts = counts_of(
        recipe,
        runs=runs,
        heldout_runs=heldout_runs,
        checkpoints=checkpoints,
        start_runs=start_runs,
        seed=seed,
    )
    if made_by.is_conditional and not (counts["checkpoints"] > 1 and counts["start_runs"]):
        raise InputError(
            f"{method} learns from several checkpoints of each run and begins from those of "
            f"others: expected a zoo that keeps them, {zoo} has {counts['checkpoints']} of each "
            f"run and {counts['start_runs']} to begin from; name a zoo ...-steps, or add "
            "--checkpoints and --start-runs"
        )
    least, rows = DEFAULT_CRITERIA.min_runs, counts["runs"] * counts["checkpoints"]
    if rows < least:
        raise InputError(
            f"expected at least {least} training checkpoints, since the audit compares each with "
            f"the others, got {rows}; raise --runs or --checkpoints"
        )
    task = make_task(recipe.task_name) if recipe.task_name in WHOLE_TASKS else None
    asked = {"method": method, "zoo": zoo, "scale": scale, **counts, "samples": samples}
    asked["seed"] = seed
    scratch = None
    if from_scratch is not None:
        scratch = read_checkpoints(from_scratch, split="train")
        asked["from_scratch_sha256"] = weights_digest(scratch)
    has_more = begin(
        folder,
        asked,
        kind=kind,
        resume=resume,
        overwrite=overwrite,
        later=("from_scratch_sha256",),
    )
    if has_more:  # audits that were made without do not count
        for made in folder.glob("audit*"):
            shutil.rmtree(made)
    if not (folder / "zoo").exists():
        with timed(folder, "zoo", goes_on=True):
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
    task = task or make_task(recipe.task_name, train.shared)
    if scratch is not None:
        same_parts(scratch, train.layout)  # what does not fit should not wait for the fit
    heldout = None
    if counts["heldout_runs"]:
        heldout = read_checkpoints(folder / "zoo", split="heldout")
    if not (folder / "model").exists():
        with timed(folder, "fit", goes_on=True):
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
    through_codec = stand_ins(fitted, train, heldout)
    is_complete, judged = (folder / SUMMARY_PAGE).exists(), []
    for sampler in made_by.samplers or ("",):
        run = folder / audit_folder(sampler, made_by.samplers)
        suffix = run.name.removeprefix("audit")
        sampled_to = folder / f"samples{suffix}"
        is_kept = sampled_to.exists() and run.exists() and not is_complete
        if not sampled_to.exists():
            with timed(folder, f"sample{suffix}"):
                sampled = (sampled_by(fitted, method, sampler) if sampler else fitted).sample(
                    samples,
                    rng=rng_for(seed, "sample"),
                    start=read_starts(folder / "zoo") if made_by.is_conditional else None,
                    progress=lambda done, total, of=suffix: tell(f"sampling{of}", done, total),
                )
                require_finite(sampled, f"samples of {method}")
                sampled = with_provenance(
                    sampled, folder / "model", sampler=sampler or None, fitted=fitted
                )
                save_population(sampled, sampled_to)
        if is_kept:
            if not (run / "report.html").exists():  # interrupted, or it could not be drawn
                build_report(run)
            judged.append(Judged(sampler, run, judge(read_run_folder(run).result)))
            continue
        generated = read_checkpoints(sampled_to)
        inputs = {"train": describe_input(folder / "zoo", train)}
        if heldout is not None:
            inputs["heldout"] = describe_input(folder / "zoo", heldout)
        inputs["generated"] = describe_input(sampled_to, generated)
        if scratch is not None and from_scratch is not None:
            inputs["from-scratch"] = describe_input(from_scratch, scratch)
        with timed(folder, run.name):
            verdicts = audit_to_folder(
                run,
                train,
                generated,
                heldout=heldout,
                task=task,
                symmetry=train.info.symmetry,
                **through_codec,
                from_scratch=scratch,
                command=command,
                inputs=inputs,
                seed=seed,
                overwrite=True,
                tell=lambda stage, done, total, of=run.name: tell(f"{of}: {stage}", done, total),
            )
        judged.append(Judged(sampler, run, verdicts))
    summarize(folder)
    return judged


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
    [judged] = evaluate_method(
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
    return judged.verdicts


def stand_ins(
    fitted: HasReference, train: Population, heldout: Population | None
) -> dict[str, Population | None]:
    """Training and held-out checkpoints through a lossy codec, and what the noise baseline starts
    from; nothing where the audit takes the checkpoints themselves."""
    found: dict[str, Population | None] = {}
    back = fitted.as_reference(train)
    if back is not train:
        found["reconstructions"] = back
        found["heldout_reconstructions"] = (
            fitted.as_reference(heldout) if heldout is not None else None
        )
    if isinstance(fitted, DrawsFromSome):
        found["noise_from"] = fitted.as_reference(fitted.parents(train))
    return found
