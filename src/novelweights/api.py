"""What a program and the command line both call: `audit`, `evaluate`, `lint`, `plan`, `load`.

No generator is imported before one is evaluated: that takes longer than many an audit.
"""

from dataclasses import asdict, dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any, Unpack

import pandas as pd

from novelweights.auditing.finite import finite_alone
from novelweights.auditing.judge.criteria import Verdict, Verdicts
from novelweights.auditing.judge.planning import Plan, plan_for
from novelweights.auditing.judge.verdict import judge
from novelweights.auditing.lint.checks import Lint, lint_folder
from novelweights.auditing.measure.measured import Clock
from novelweights.auditing.measure.pictures import pictures
from novelweights.auditing.prepare import AuditInputs
from novelweights.auditing.result import AuditResult
from novelweights.auditing.run_folder import audit_json, checkpoint_table, describe_run, write_run
from novelweights.auditing.stages import audit as measure_audit
from novelweights.checkpoints import Checkpoints, load
from novelweights.errors import naming
from novelweights.files import new_folder, require_new
from novelweights.inputs import Options, Progress, Say, gathered
from novelweights.readers import PLAIN, open_checkpoints
from novelweights.readers.source import Reading
from novelweights.report.page import build_report
from novelweights.weights.population import require_finite

HELDOUT_RUNS = 100
"""What `plan` reckons with where there are no held-out runs yet."""

__all__ = ["Audited", "audit", "audited", "evaluate", "gathered", "lint", "load", "plan"]


@dataclass(frozen=True, eq=False, repr=False)
class Audited:
    """The outcome of an audit."""

    result: AuditResult
    """Every number."""
    verdicts: Verdicts
    """What they mean, for each checkpoint and for all together."""
    inputs: AuditInputs
    """What was audited, as populations."""
    seconds: dict[str, float]
    """Per stage."""
    origins: dict[str, dict[str, Any]] = field(default_factory=dict)
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
        self,
        folder: str | Path,
        *,
        overwrite: bool = False,
        page: bool = True,
        progress: Progress | None = None,
    ) -> Path:
        """Write the run folder of these numbers with its page; nothing is measured again.

        Args:
            folder: The run folder, as `novelweights audit -o` writes it. It appears when all
                numbers are in it, then its page.
            overwrite: Replace an earlier one of that name.
            page: False leaves out the page, and the pictures of what networks do.
            progress: Called with (stage, done, total).

        Returns:
            The path of the page, whether it is written or not.

        Raises:
            InputError: The folder exists.
        """
        run, inputs = Path(folder), self.inputs
        require_new(run, kind="audit.json", overwrite=overwrite)
        clock = Clock(progress, seconds=dict(self.seconds))
        with new_folder(run, kind="audit.json", overwrite=overwrite) as temporary:
            with clock.stage("pictures"):
                drawn = pictures(
                    self.result,
                    inputs.reconstructions or inputs.train,
                    inputs.generated,
                    heldout=inputs.heldout_reconstructions or inputs.heldout,
                    from_scratch=inputs.from_scratch,
                    noise_from=inputs.noise_from,
                    task=inputs.task if page and self.result.quality is not None else None,
                    symmetry=inputs.symmetry,
                    seed=inputs.seed,
                )
            settings = {"criteria": asdict(self.verdicts.criteria)}
            manifest = describe_run(
                command=self.command,
                settings=settings | {"symmetry": self.result.distance.symmetry},
                seed=inputs.seed,
                inputs=self.origins,
                seconds=clock.seconds,
            )
            write_run(temporary, self.result, self.verdicts, drawn, manifest)
        if clock.progress is not None:
            clock.progress("page", clock.n_stages, clock.n_stages)
        if page:
            build_report(run)
        return run / "report.html"

    def __repr__(self) -> str:
        return f"Audited({self.verdict}: {self.sentence})"

    def _repr_html_(self) -> str:
        """For notebooks."""
        sentence = f"<p><b>{escape(str(self.verdict))}</b>: {escape(self.sentence)}</p>"
        return sentence + self.to_dataframe().to_html(max_rows=10, max_cols=12)


def audit(
    train: Checkpoints,
    generated: Checkpoints,
    *,
    command: str = "",
    progress: Progress | None = None,
    say: Say | None = None,
    **options: Unpack[Options],
) -> Audited:
    """Compare generated checkpoints with the training checkpoints of their generator.

    Args:
        train: What the generator was fitted to. Checkpoints are a `Population`; a path; a sequence
            of state dicts or networks, or a mapping from run names to them; or a matrix with a
            weight vector in each row.
        generated: What it made.
        command: How to make this again, for the manifest.
        progress: Called with (stage, done, total).
        say: Called with what was recognized in files, a line each.
        options: heldout, task, symmetry, network and others: the fields of `Options`.

    Returns:
        The numbers and the verdicts; `write` makes the page of them.

    Raises:
        InputError: Something is of no such form, or does not fit; the role is named.

    Source: ours (DESIGN sections 1 and 5).
    """
    beside = gathered(train, options, say or (lambda _: None))
    inputs, origins = beside.with_generated(generated)
    command = command or f"novelweights.audit(..., seed={inputs.seed})"
    return audited(inputs, origins, command=command, progress=progress)


def audited(
    inputs: AuditInputs,
    origins: dict[str, dict[str, Any]],
    *,
    command: str,
    progress: Progress | None = None,
    n_controls: int | None = None,
) -> Audited:
    """Populations measured and judged.

    Args:
        inputs: By role.
        origins: What the manifest says of each role.
        command: For the manifest.
        progress: Called with (stage, done, total).
        n_controls: Checkpoints of each control; None: the usual number.

    Raises:
        InputError: They do not fit together.
    """
    clock, inputs = Clock(progress), finite_alone(inputs)
    result = measure_audit(inputs, n_controls=n_controls, clock=clock)
    return Audited(result, judge(result), inputs, clock.seconds, origins, command)


def evaluate(
    generator: Any,
    train: Checkpoints,
    *,
    samples: int = 200,
    start: Checkpoints | None = None,
    progress: Progress | None = None,
    **options: Unpack[Options],
) -> Audited:
    """Fit a generator, sample it, and audit its samples.

    Args:
        generator: A method's name (`novelweights ls generators`); or an object with
            `fit(training, *, rng)` that returns one with `sample(n, *, rng)`, or has it itself.
            Samples are a `Population`, or checkpoints of another form as `audit` takes them.
        train: Training checkpoints, in any form that `audit` takes.
        samples: Checkpoints to generate.
        start: What a conditional generator begins from.
        progress: Called with (stage, done, total).
        options: As in `audit`. Held-out runs are never shown to the generator.

    Raises:
        InputError: The generator lacks something, which is named; or as `audit`.

    Source: ours (DESIGN section 1).
    """
    from novelweights.generators.calling import (  # imports all methods
        fitted_and_sampled,
        provenance,
        reconstructed,
    )

    beside = gathered(train, options, lambda _: None)  # what is refused should not wait for the fit
    trained, heldout, seed = beside.roles["train"], beside.roles.get("heldout"), beside.seed
    require_finite(trained, "train")
    name, fitted, made = fitted_and_sampled(
        generator,
        trained,
        n=samples,
        start=None if start is None else load(start, role="start"),
        seed=seed,
        progress=progress or (lambda stage, done, total: None),
    )
    codec = reconstructed(fitted, trained, heldout)
    inputs, origins = beside.with_generated(made, **codec)
    with naming(f"samples of {name}"):
        inputs = finite_alone(inputs)
    made_by = provenance(name, fitted, trained, heldout, has_codec="reconstructions" in codec)
    if made_by is not None:
        info = replace(inputs.generated.info, provenance=made_by)
        inputs = replace(inputs, generated=replace(inputs.generated, info=info))
    command = f"novelweights.evaluate({name}, ..., samples={samples}, seed={seed})"
    return audited(inputs, origins, command=command, progress=progress)


def lint(
    folder: str | Path, *, heldout: str | Path | None = None, reading: Reading = PLAIN
) -> Lint:
    """Everything that is wrong with a folder of checkpoints; see `lint_folder`.

    Raises:
        InputError: There is no folder of checkpoints at all.
    """
    return lint_folder(
        Path(folder), heldout=None if heldout is None else Path(heldout), reading=reading
    )


def plan(
    train: Checkpoints,
    *,
    heldout_runs: int | None = None,
    samples: int = 200,
    reading: Reading = PLAIN,
) -> Plan:
    """What an audit with so many held-out runs and samples could and could not show.

    Args:
        train: Training checkpoints, in any form that `audit` takes.
        heldout_runs: None: those beside the training checkpoints, else 100.
        samples: Generated checkpoints.
        reading: How files are to be read.

    Raises:
        InputError: Training checkpoints that no audit takes.
    """
    if isinstance(train, str | Path):
        opened = open_checkpoints(Path(train), reading=reading)
        if heldout_runs is None and opened.n_heldout:
            heldout_runs = len(set(opened.of_split("heldout").records.run))
        train = opened
    return plan_for(
        load(train, role="train"), HELDOUT_RUNS if heldout_runs is None else heldout_runs, samples
    )
