"""An audit from populations to its page: measured, judged, written as a run folder, drawn.

Apart from the stages that make checkpoints (`evaluation.py`), since whoever audits needs none of
the generators, and importing them takes longer than many an audit.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from novelweights.auditing.audit import Clock, audit
from novelweights.auditing.criteria import Verdicts
from novelweights.auditing.pictures import pictures
from novelweights.auditing.run_folder import describe_run, write_run
from novelweights.auditing.verdict import judge
from novelweights.files import new_folder, require_new
from novelweights.report.page import build_report
from novelweights.tasks import is_task, make_task
from novelweights.tasks.task import Task
from novelweights.weights.population import Population, weights_digest
from novelweights.weights.symmetry import NeuronSymmetry

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
        reference: The training checkpoints through the generator's lossy codec.
        heldout_reference: The held-out checkpoints through the same.
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
    clock = Clock(tell)
    result = audit(
        train,
        generated,
        heldout=heldout,
        task=task,
        symmetry=symmetry,
        reference=reference,
        heldout_reference=heldout_reference,
        noise_from=noise_from,
        from_scratch=from_scratch,
        seed=seed,
        clock=clock,
    )
    verdicts = judge(result)
    with new_folder(folder, kind="audit.json", overwrite=overwrite) as temporary:
        with clock.stage("pictures"):
            drawn = pictures(
                result,
                reference or train,
                generated,
                heldout=heldout_reference or heldout,
                from_scratch=from_scratch,
                noise_from=noise_from,
                task=task,
                symmetry=symmetry,
                seed=seed,
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
    build_report(folder)
    return verdicts


def task_for(train: Population, name: str) -> Task | None:
    """The task of that name; "auto" takes the one the training population names, if any.

    Raises:
        InputError: Unknown name, or its data must be fetched first.
    """
    if name == "none":
        return None
    if name != "auto":
        return make_task(name, train.shared)
    named = train.info.task
    return make_task(named, train.shared) if named is not None and is_task(named) else None


def describe_input(path: Path, population: Population) -> dict[str, Any]:
    """Path, rows and a checksum of the weights that were used, for the manifest."""
    return {"path": str(path), "sha256": weights_digest(population), "rows": len(population)}
