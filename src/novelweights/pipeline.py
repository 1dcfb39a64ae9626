"""The stages in one call: zoo, fit, samples, audit, each a folder, resumable.

Everything here hands folders from one stage to the next; no stage knows this module.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, Unpack

from novelweights.api import Audited, audited
from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA, Verdicts
from novelweights.auditing.judge.verdict import judge
from novelweights.auditing.one_run.from_scratch import same_parts
from novelweights.auditing.prepare import AuditInputs
from novelweights.errors import InputError, Note, naming
from novelweights.files import sha256_of
from novelweights.generators import Method, make_generator, method_named
from novelweights.generators.calling import reconstructed
from novelweights.generators.fitting import fit_to_folder
from novelweights.generators.generator import FittedGenerator
from novelweights.generators.sampling import sample_to_folder
from novelweights.generators.store import load_fitted
from novelweights.inputs import Progress, describe_input
from novelweights.pipeline_folder import begin, timed
from novelweights.pipeline_summary import summarize
from novelweights.readers import open_checkpoints, read_checkpoints, read_starts
from novelweights.readers.formats.checkpoint_files import CheckpointFiles
from novelweights.readers.source import MAX_BYTES
from novelweights.report.page import build_report
from novelweights.report.run_folder import read_run_folder
from novelweights.report.summary import SUMMARY_PAGE, audit_folder
from novelweights.tasks import WHOLE_TASKS, make_task
from novelweights.tasks.task import Task
from novelweights.weights.population import Population, weights_digest
from novelweights.zoos import find_zoo
from novelweights.zoos.building import Zoo, build, counts_of
from novelweights.zoos.fine_tuning import FineTuning
from novelweights.zoos.pre_trained import PreTrained


class Choices(TypedDict, total=False):
    """What an evaluation may be asked for; what is left out, the zoo and the method decide."""

    scale: str | None
    """Settings of the generator; None: the method's first."""
    runs: int | None
    """Training runs; the zoo's own number if None, as with the three that follow."""
    heldout_runs: int | None
    """Logged while fitting, never learned from; the null distribution of the audit."""
    checkpoints: int | None
    """Kept of each run."""
    start_runs: int | None
    """Initializations of yet other runs."""
    samples: int
    """Checkpoints to generate; 200."""
    init: Path | None
    """A pre-trained network that the base network of the zoo begins from."""
    from_scratch: Path | None
    """Independently trained networks for the audits to show beside. May be added to an evaluation
    that was begun without."""
    seed: int
    """Root of all randomness; 0."""


class Judged(NamedTuple):
    """The audit of one sampler's checkpoints."""

    sampler: str
    """"" where the method is sampled in one way only."""
    folder: Path
    """Its run folder."""
    verdicts: Verdicts
    warnings: tuple[Note, ...]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One evaluation: what is made, in which folder, and of what."""

    folder: Path
    method: str
    made_by: Method
    generator: Any
    """Its settings, an object with `fit`."""
    zoo: Zoo
    counts: Mapping[str, int]
    samples: int
    seed: int
    from_scratch: tuple[Path, Population] | None
    command: str
    progress: Progress

    @classmethod
    def planned(
        cls,
        folder: Path,
        method: str,
        zoo: str,
        choices: Choices,
        *,
        command: str,
        progress: Progress,
    ) -> "Evaluation":
        """An evaluation that can be made; what is refused must remove nothing.

        Raises:
            InputError: An unknown name, or a zoo that the generator cannot use.
        """
        recipe, made_by = begun_from(find_zoo(zoo), choices.get("init")), method_named(method)
        generator = make_generator(method, choices.get("scale") or next(iter(made_by.scales)))
        seed = choices.get("seed", 0)
        asked = ("runs", "heldout_runs", "checkpoints", "start_runs")
        counts = counts_of(recipe, **{name: choices.get(name) for name in asked}, seed=seed)
        if made_by.is_conditional and not (counts["checkpoints"] > 1 and counts["start_runs"]):
            raise InputError(
                f"{method} learns from several checkpoints of each run and begins from those of "
                f"others: expected a zoo that keeps them, {zoo} has {counts['checkpoints']} of "
                f"each run and {counts['start_runs']} to begin from; name a zoo ...-steps, or add "
                "--checkpoints and --start-runs",
                "unsuited",
            )
        least, rows = DEFAULT_CRITERIA.min_runs, counts["runs"] * counts["checkpoints"]
        if rows < least:
            raise InputError(
                f"expected at least {least} training checkpoints, since the audit compares each "
                f"with the others, got {rows}; raise --runs or --checkpoints",
                "too-few",
            )
        path = choices.get("from_scratch")
        scratch = None if path is None else (path, read_checkpoints(path, split="train"))
        samples = choices.get("samples", 200)
        return cls(
            folder,
            method,
            made_by,
            generator,
            recipe,
            counts,
            samples,
            seed,
            scratch,
            command,
            progress,
        )

    def build_zoo(self) -> tuple[Population, Population | None]:
        """Training and held-out checkpoints, trained if they are not there."""
        path = self.folder / "zoo"
        if not path.exists():
            with timed(self.folder, "zoo", goes_on=True):
                build(
                    self.zoo,
                    path,
                    runs=self.counts["runs"],
                    heldout_runs=self.counts["heldout_runs"],
                    checkpoints=self.counts["checkpoints"],
                    start_runs=self.counts["start_runs"],
                    seed=self.seed,
                    resume=True,
                    progress=lambda done, total: self.progress("training the zoo", done, total),
                )
        opened = open_checkpoints(path)
        train = opened.of_split("train")
        if self.from_scratch is not None:
            same_parts(self.from_scratch[1], train.layout)  # should not wait for the fit
        return train, opened.of_split("heldout") if self.counts["heldout_runs"] else None

    def fit(self, train: Population, heldout: Population | None) -> FittedGenerator:
        """The fitted generator, fitted if it is not there; held-out runs are only logged."""
        path = self.folder / "model"
        if not path.exists():
            with timed(self.folder, "fit", goes_on=True):
                fit_to_folder(
                    path,
                    self.method,
                    self.generator,
                    train,
                    heldout=heldout,
                    seed=self.seed,
                    resume=True,
                    progress=lambda done, total, _: self.progress(
                        "fitting the generator", done, total
                    ),
                )
        return load_fitted(path)[0]

    def sample(self, fitted: FittedGenerator, sampler: str, path: Path) -> None:
        """Generate checkpoints into a population folder."""
        suffix = path.name.removeprefix("samples")
        with timed(self.folder, f"sample{suffix}"):
            sample_to_folder(
                path,
                fitted,
                self.method,
                self.samples,
                model=self.folder / "model",
                start=read_starts(self.folder / "zoo") if self.made_by.is_conditional else None,
                sampler=sampler or None,
                seed=self.seed,
                progress=lambda done, total: self.progress(f"sampling{suffix}", done, total),
            )

    def audit(self, run: Path, samples: Path, inputs: AuditInputs) -> Audited:
        """Audit the samples in a population folder and write the run folder."""
        zoo = self.folder / "zoo"
        origins = {"train": describe_input(zoo, inputs.train)}
        if inputs.heldout is not None:
            origins["heldout"] = describe_input(zoo, inputs.heldout)
        origins["generated"] = describe_input(samples, inputs.generated)
        if self.from_scratch is not None:
            origins["from_scratch"] = describe_input(*self.from_scratch)

        def progress(stage: str, done: int, total: int) -> None:
            self.progress(f"{run.name}: {stage}", done, total)

        with timed(self.folder, run.name):
            done = audited(inputs, origins, command=self.command, progress=progress)
            done.write(run, overwrite=True, progress=progress)
        return done


def begun_from(zoo: Zoo, init: Path | None) -> Zoo:
    """The same zoo with a base network that begins from a file's; as it is where there is none.

    Raises:
        InputError: The zoo has no base network, or the file holds another network or none.
    """
    if init is None:
        return zoo
    if not isinstance(zoo, FineTuning):
        raise InputError(
            f"--init {init}: {zoo.name} has no base network to begin from it; leave it out, or "
            "name a zoo ...-resnet18-bn",
            "unsuited",
        )
    if not init.is_file():
        raise InputError(
            f"--init {init}: expected the file of a ResNet-18's state dict, there is none; name "
            "another",
            "not-found",
        )
    with naming(init):
        state = CheckpointFiles(MAX_BYTES).state(init)
    return replace(zoo, init=PreTrained(init.name, sha256_of(init), state))


def evaluate_method(
    folder: Path,
    method: str,
    *,
    zoo: str,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    command: str = "",
    kind: str = "evaluation.json",
    **choices: Unpack[Choices],
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
        resume: Continue with what is there.
        overwrite: Replace what is there.
        progress: Called with (stage, done, total).
        command: For the manifest.
        kind: The file the folder is known by, with its settings; a key of `files.KINDS`.
        choices: See `Choices`.

    Returns:
        The audit of each sampler, the published one first.

    Raises:
        InputError: An unknown name, a zoo that the generator cannot use, or the folder exists or
            was begun with other settings.
    """
    evaluation = Evaluation.planned(
        folder,
        method,
        zoo,
        choices,
        command=command,
        progress=progress or (lambda stage, done, total: None),
    )
    name, made_by = evaluation.zoo.task_name, evaluation.made_by
    task = make_task(name) if name in WHOLE_TASKS else None
    scale = choices.get("scale") or next(iter(made_by.scales))
    asked = {"method": method, "zoo": zoo, "scale": scale, **evaluation.counts}
    asked |= {"samples": evaluation.samples, "seed": evaluation.seed}
    if isinstance(evaluation.zoo, FineTuning) and evaluation.zoo.init is not None:
        asked["init_sha256"] = evaluation.zoo.init.sha256
    if evaluation.from_scratch is not None:
        asked["from_scratch_sha256"] = weights_digest(evaluation.from_scratch[1])
    later = ("from_scratch_sha256",)
    if begin(folder, asked, kind=kind, resume=resume, overwrite=overwrite, later=later):
        for made in folder.glob("audit*"):  # those that were made without do not count
            shutil.rmtree(made)
    train, heldout = evaluation.build_zoo()
    fitted = evaluation.fit(train, heldout)
    judged = _judged(evaluation, fitted, train, heldout, task or make_task(name, train.shared))
    summarize(folder)
    return judged


def _judged(
    evaluation: Evaluation,
    fitted: FittedGenerator,
    train: Population,
    heldout: Population | None,
    task: Task,
) -> list[Judged]:
    """Samples by each sampler and their audits; those that are complete are kept."""
    folder, samplers = evaluation.folder, evaluation.made_by.samplers
    through_codec: dict[str, Any] = {**reconstructed(fitted, train, heldout)}
    is_complete, judged = (folder / SUMMARY_PAGE).exists(), []
    for sampler in samplers or ("",):
        run = folder / audit_folder(sampler, samplers)
        samples = folder / f"samples{run.name.removeprefix('audit')}"
        is_kept = samples.exists() and run.exists() and not is_complete
        if not samples.exists():
            evaluation.sample(fitted, sampler, samples)
        if is_kept:
            if not (run / "report.html").exists():  # interrupted, or it could not be drawn
                build_report(run)
            result = read_run_folder(run).result
            judged.append(Judged(sampler, run, judge(result), result.warnings))
            continue
        inputs = AuditInputs(
            train=train,
            generated=read_checkpoints(samples),
            heldout=heldout,
            task=task,
            symmetry=train.info.symmetry,
            **through_codec,
            from_scratch=evaluation.from_scratch and evaluation.from_scratch[1],
            seed=evaluation.seed,
        )
        done = evaluation.audit(run, samples, inputs)
        judged.append(Judged(sampler, run, done.verdicts, done.result.warnings))
    return judged


def demo(
    folder: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    command: str = "novelweights demo",
    **choices: Unpack[Choices],
) -> Judged:
    """A zoo of digit classifiers, a weight diffusion, its samples, the audit and the page.

    Nothing is cached and nothing is decided beforehand: the generator is trained here and judged
    like any other. See `evaluate_method`.

    Raises:
        InputError: The folder exists, or an unfinished demo there had other settings.
    """
    usual: Choices = {"runs": 64, "heldout_runs": 200, "samples": 200, "scale": "demo"}
    [judged] = evaluate_method(
        folder,
        "hyperdiffusion",
        zoo="digits-mlp",
        resume=resume,
        overwrite=overwrite,
        progress=progress,
        command=command,
        kind="demo.json",
        **{**usual, **choices},
    )
    return judged
