"""An audit from populations to its page: measured, judged, written as a run folder, drawn.

Apart from the stages that make checkpoints (`evaluation.py`), since whoever audits needs none of
the generators, and importing them takes longer than many an audit.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from novelweights.auditing.judge.criteria import Verdicts
from novelweights.auditing.judge.verdict import judge
from novelweights.auditing.measure.pictures import pictures
from novelweights.auditing.result import AuditResult
from novelweights.auditing.run_folder import describe_run, write_run
from novelweights.auditing.stages import Clock, audit
from novelweights.files import new_folder, require_new
from novelweights.report.page import build_report
from novelweights.tasks import is_task, make_task
from novelweights.tasks.own import task_at
from novelweights.tasks.task import Task
from novelweights.weights.population import Population, weights_digest
from novelweights.weights.symmetry import NeuronSymmetry

Tell = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Given:
    """What an audit is given; the fields are the arguments of `auditing.audit.audit`."""

    train: Population
    generated: Population
    heldout: Population | None = None
    task: Task | None = None
    symmetry: NeuronSymmetry | None = None
    reconstructions: Population | None = None
    heldout_reconstructions: Population | None = None
    noise_from: Population | None = None
    from_scratch: Population | None = None
    seed: int = 0

    def measured(self, clock: Clock) -> AuditResult:
        """The numbers.

        Raises:
            InputError: The populations do not fit together.
        """
        return audit(
            **{field.name: getattr(self, field.name) for field in fields(self)}, clock=clock
        )


def audit_to_folder(
    folder: Path,
    train: Population,
    generated: Population,
    *,
    heldout: Population | None,
    task: Task | None,
    symmetry: NeuronSymmetry | None,
    reconstructions: Population | None = None,
    heldout_reconstructions: Population | None = None,
    noise_from: Population | None = None,
    from_scratch: Population | None = None,
    command: str,
    inputs: Mapping[str, Mapping[str, Any]],
    seed: int = 0,
    overwrite: bool = False,
    tell: Tell | None = None,
) -> Verdicts:
    """Audit, judge, write the run folder and draw its page.

    Args:
        folder: The run folder to write; it appears when all numbers are in it, then its page.
        train: Training checkpoints.
        generated: Generated checkpoints.
        heldout: Fresh runs of the same recipe.
        task: Judges behavior.
        symmetry: Moves that count as no difference.
        reconstructions: The training checkpoints through the generator's lossy codec.
        heldout_reconstructions: The held-out checkpoints through the same.
        noise_from: What the noise baseline adds noise to; None: the training checkpoints.
        from_scratch: Independently trained networks that hold the same parameters, or more.
        command: For the manifest.
        inputs: Path, checksum and rows of each role, for the manifest.
        seed: Root of all randomness.
        overwrite: Replace a folder of that name.
        tell: Told which stage runs.

    Raises:
        InputError: The populations do not fit together, or the folder exists.
    """
    require_new(folder, kind="audit.json", overwrite=overwrite)
    given = Given(
        train=train,
        generated=generated,
        heldout=heldout,
        task=task,
        symmetry=symmetry,
        reconstructions=reconstructions,
        heldout_reconstructions=heldout_reconstructions,
        noise_from=noise_from,
        from_scratch=from_scratch,
        seed=seed,
    )
    clock = Clock(tell)
    result = given.measured(clock)
    verdicts = judge(result)
    write_judged(
        folder,
        given,
        result,
        verdicts,
        clock=clock,
        command=command,
        inputs=inputs,
        overwrite=overwrite,
    )
    return verdicts


def write_judged(
    folder: Path,
    given: Given,
    result: AuditResult,
    verdicts: Verdicts,
    *,
    clock: Clock,
    command: str,
    inputs: Mapping[str, Mapping[str, Any]],
    overwrite: bool = False,
) -> None:
    """Write the run folder of an audit that is measured and judged, and draw its page.

    Args:
        folder: The run folder to write; it appears when all numbers are in it, then its page.
        given: What was audited.
        result: The numbers.
        verdicts: What they mean.
        clock: Has taken the time of the audit; takes that of the pictures.
        command: For the manifest.
        inputs: Path, checksum and rows of each role, for the manifest.
        overwrite: Replace a folder of that name.

    Raises:
        InputError: The folder exists.
    """
    with new_folder(folder, kind="audit.json", overwrite=overwrite) as temporary:
        with clock.stage("pictures"):
            drawn = pictures(
                result,
                given.reconstructions or given.train,
                given.generated,
                heldout=given.heldout_reconstructions or given.heldout,
                from_scratch=given.from_scratch,
                noise_from=given.noise_from,
                task=given.task,
                symmetry=given.symmetry,
                seed=given.seed,
            )
        manifest = describe_run(
            command=command,
            settings={"criteria": asdict(verdicts.criteria), "symmetry": result.distance.symmetry},
            seed=given.seed,
            inputs=inputs,
            seconds=clock.seconds,
        )
        write_run(temporary, result, verdicts, drawn, manifest)
    if clock.progress is not None:
        clock.progress("page", clock.n_stages, clock.n_stages)
    build_report(folder)


def task_for(train: Population, name: str) -> Task | None:
    """The task of that name, or of the user's own (`my_module:MyTask`); "auto" takes the one the
    training population names, if any.

    Raises:
        InputError: Unknown name, its data must be fetched first, or as `task_at`.
    """
    if name == "none":
        return None
    if ":" in name:
        return task_at(name)
    if name != "auto":
        return make_task(name, train.shared)
    named = train.info.task
    return make_task(named, train.shared) if named is not None and is_task(named) else None


def describe_input(path: Path, population: Population) -> dict[str, Any]:
    """Path, rows and a checksum of the weights that were used, for the manifest."""
    return {"path": str(path), "sha256": weights_digest(population), "rows": len(population)}
