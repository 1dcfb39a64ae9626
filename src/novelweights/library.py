"""The audit as a function: checkpoints in whatever form, and results as typed objects.

`novelweights.audit` of a program; the same audit as that of the command line, with the same numbers
for the same checkpoints. Generators are evaluated in `library_evaluation.py`, apart from this since
importing them takes longer than many an audit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor, nn

from novelweights.audit_run import Given, Tell, describe_input, task_for, write_judged
from novelweights.auditing.judge.criteria import Verdict, Verdicts
from novelweights.auditing.judge.verdict import judge
from novelweights.auditing.result import AuditResult
from novelweights.auditing.run_folder import audit_json, checkpoint_table
from novelweights.auditing.stages import Clock
from novelweights.checkpoints import (
    Checkpoints,
    Layout,
    meant_layout,
    own_heldout,
    population,
    population_like,
)
from novelweights.errors import InputError
from novelweights.files import require_new
from novelweights.networks.declared import (
    example_of,
    fitted_to,
    network_and_example,
    read_symmetry,
    symmetry_from,
    with_fixed,
)
from novelweights.networks.registered import input_shape_of
from novelweights.tasks.classification import Classification
from novelweights.tasks.task import Task
from novelweights.weights.population import Population
from novelweights.weights.symmetry import NeuronSymmetry

Symmetry = NeuronSymmetry | nn.Module | str | Path | None
"""Moves that count as no difference: a table; the network, from which it is derived; "auto": where
it is known; "none" or None; the file of a table; or a network's name."""


@dataclass(frozen=True, eq=False, repr=False)
class Audited:
    """What an audit found."""

    result: AuditResult
    """Every number."""
    verdicts: Verdicts
    """What they mean, for each checkpoint and for all together."""
    given: Given
    """What was audited, as populations."""
    seconds: dict[str, float]
    """Per stage."""
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Path (or "in memory"), checksum and rows of each role."""
    command: str = ""
    """For the manifest of a run folder."""

    @property
    def verdict(self) -> Verdict:
        """The verdict on the generated checkpoints together."""
        return self.verdicts.population.origin

    @property
    def sentence(self) -> str:
        """That verdict in one sentence, with its number and interval."""
        return self.verdicts.population.sentence

    def to_json(self) -> dict[str, Any]:
        """Plain data: the content of audit.json."""
        return audit_json(self.result, self.verdicts)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each generated checkpoint: the columns of checkpoints.csv."""
        return checkpoint_table(self.result, self.verdicts)

    def write(
        self, folder: str | Path, *, overwrite: bool = False, progress: Tell | None = None
    ) -> Path:
        """The page of a new run folder with these numbers; nothing is measured again.

        Args:
            folder: The run folder, as `novelweights audit -o` writes it.
            overwrite: Replace an earlier one of that name.
            progress: Called with (stage, done, total).

        Raises:
            InputError: The folder exists.
        """
        run = Path(folder)
        require_new(run, kind="audit.json", overwrite=overwrite)
        clock = Clock(progress, seconds=dict(self.seconds))
        told = {"command": self.command, "inputs": self.inputs, "overwrite": overwrite}
        write_judged(run, self.given, self.result, self.verdicts, clock=clock, **told)
        return run / "report.html"

    def __repr__(self) -> str:
        return f"Audited({self.verdict}: {self.sentence})"

    def _repr_html_(self) -> str:
        """For notebooks."""
        said = f"<p><b>{escape(str(self.verdict))}</b>: {escape(self.sentence)}</p>"
        return said + self.to_dataframe().to_html(max_rows=10, max_cols=12)


def audit(
    train: Checkpoints,
    generated: Checkpoints,
    *,
    heldout: Checkpoints | None = None,
    task: Task | str | None = "auto",
    symmetry: Symmetry = "auto",
    example: Tensor | None = None,
    layout: Layout | None = None,
    runs: Sequence[str] | None = None,
    heldout_runs: Sequence[str] | None = None,
    reconstructions: Checkpoints | None = None,
    heldout_reconstructions: Checkpoints | None = None,
    noise_from: Checkpoints | None = None,
    from_scratch: Checkpoints | None = None,
    seed: int = 0,
    progress: Tell | None = None,
) -> Audited:
    """Compare generated checkpoints with the training checkpoints of their generator.

    Args:
        train: What the generator was fitted to. Checkpoints are a `Population`; a path; a sequence
            of state dicts or networks, or a mapping from run names to them; or a matrix with a
            weight vector in each row.
        generated: What it made.
        heldout: New runs of the same recipe that it never saw. None: those in the folder or the
            population of `train`, if it has any; without them the audit is exploratory.
        task: Judges behavior: a `Task`, or its name; "auto": the one that the training population
            names; None: nothing judges it.
        symmetry: Moves that count as no difference; see `Symmetry`. "auto" knows them of
            populations and of plain chains of layers.
        example: An input of the network that `symmetry` is, with its batch; not needed where the
            network has an `input_shape`.
        layout: What the columns of matrices are; see `population`.
        runs: Run of each training checkpoint, where runs have several.
        heldout_runs: The same of held-out checkpoints.
        reconstructions: The training checkpoints through the generator's lossy codec, row by row.
        heldout_reconstructions: The held-out checkpoints through the same.
        noise_from: What the noise baseline adds noise to; None: the training checkpoints.
        from_scratch: Independently trained networks, as a yardstick.
        seed: Root of all randomness.
        progress: Called with (stage, done, total).

    Returns:
        The numbers and the verdicts; `write` makes the page of them.

    Raises:
        InputError: Something is of no such form, or does not fit; the role is named.

    Source: ours (DESIGN sections 1 and 5).
    """
    meant = None if layout is None else meant_layout(layout)
    trained = population(train, role="train", layout=meant, runs=runs)
    if heldout is None:
        heldout = own_heldout(train)
    roles = {
        "train": (train, trained),
        "generated": (
            generated,
            population_like(trained, generated, role="generated", layout=meant),
        ),
    }
    if heldout is not None:
        fresh = population_like(trained, heldout, role="heldout", layout=meant, runs=heldout_runs)
        roles["heldout"] = (heldout, fresh)
    further = {
        "reconstructions": reconstructions,
        "heldout-reconstructions": heldout_reconstructions,
    }
    further |= {"noise-from": noise_from, "from-scratch": from_scratch}
    for role, checkpoints in further.items():
        if checkpoints is not None:
            found = population_like(trained, checkpoints, role=role, layout=meant)
            roles[role] = (checkpoints, found)
    judged_by = task_given(task, trained)
    given = Given(
        task=judged_by,
        symmetry=symmetry_given(symmetry, example, trained, judged_by),
        seed=seed,
        **{role.replace("-", "_"): found for role, (_, found) in roles.items()},
    )
    inputs = {role: described(*pair) for role, pair in roles.items()}
    return audited(
        given, inputs, command=f"novelweights.audit(..., seed={seed})", progress=progress
    )


def audited(
    given: Given,
    inputs: dict[str, dict[str, Any]],
    *,
    command: str,
    progress: Tell | None = None,
) -> Audited:
    """Populations measured and judged.

    Raises:
        InputError: They do not fit together.
    """
    clock = Clock(progress)
    result = given.measured(clock)
    return Audited(result, judge(result), given, clock.seconds, inputs, command)


def task_given(task: Any, trained: Population) -> Task | None:
    """A task, the task of a name, or none.

    Raises:
        InputError: It is no task, or there is none of that name.
    """
    if isinstance(task, str):
        return task_for(trained, task)
    if task is not None and not isinstance(task, Task):
        lacks = [name for name in vars(Task) if name[:1] != "_" and not hasattr(task, name)]
        raise InputError(
            f"task: expected a Task, its name, auto or None, got {type(task).__name__} without "
            f"{', '.join(lacks)}; see `novelweights ls tasks`"
        )
    return task


def symmetry_given(
    symmetry: Symmetry, example: Tensor | None, trained: Population, task: Task | None
) -> NeuronSymmetry | None:
    """The table that a caller declares, None for plain L2; see `Symmetry`.

    Raises:
        InputError: It does not fit the checkpoints, or cannot be had from what was given.
    """
    if symmetry is None or symmetry == "none":
        return None
    rest = trained.shared or {}
    if isinstance(symmetry, NeuronSymmetry):
        return fitted_to(with_fixed(symmetry, rest), trained.layout, "symmetry")
    if symmetry == "auto":
        return trained.info.symmetry
    if isinstance(symmetry, Path) or (
        isinstance(symmetry, str) and Path(symmetry).suffix == ".json"
    ):
        table = with_fixed(read_symmetry(Path(symmetry)), rest)
        return fitted_to(table, trained.layout, str(symmetry))
    if isinstance(symmetry, str):
        module, found = network_and_example(symmetry, None)
        example = found if example is None else example
    else:
        module, shape = symmetry, input_shape_of(symmetry)
        if example is None and shape is None:
            raise InputError(
                "symmetry: expected an input of the network beside it, got none; give example=, "
                "with its batch"
            )
        example = example_of("x".join(map(str, shape or ()))) if example is None else example
    is_classifier = isinstance(task, Classification)
    return symmetry_from(module, example, trained.layout, logits=is_classifier, rest=rest)


def described(checkpoints: Checkpoints, found: Population) -> dict[str, Any]:
    """Where checkpoints came from, for the manifest."""
    is_path = isinstance(checkpoints, str | Path)
    return describe_input(Path(checkpoints) if is_path else Path("in memory"), found)
