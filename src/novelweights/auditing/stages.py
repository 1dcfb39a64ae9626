"""The audit: populations in, an `AuditResult` of plain numbers out.

Training, held-out and generated checkpoints are measured by the same distance, alignment and task;
generated ones are compared with held-out runs; the paper's baselines are made from the training
checkpoints and measured too. Each stage takes what the one before gave. An audit knows nothing of
generators.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from novelweights.auditing.controls.baselines import Baselines, paper_baselines
from novelweights.auditing.controls.planting import measured_controls
from novelweights.auditing.judge.checkpoint_verdict import judge_checkpoints
from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA, Verdict
from novelweights.auditing.judge.failed_training import without_failed_task
from novelweights.auditing.judge.recognition import first_of_equals, other_recipe
from novelweights.auditing.judge.scaled import about_weights
from novelweights.auditing.judge.statistics import rank_low
from novelweights.auditing.judge.warnings import audit_warnings
from novelweights.auditing.measure.coverage import coverage, coverage_quantities
from novelweights.auditing.measure.established import established_quantities
from novelweights.auditing.measure.evidence import Evidence
from novelweights.auditing.measure.generalization_gap import gap_quantities
from novelweights.auditing.measure.measured import Clock, Measured, measured
from novelweights.auditing.measure.measurements import contents
from novelweights.auditing.measure.originals import (
    beside_originals,
    costs_of_codec,
    recipe_warnings,
)
from novelweights.auditing.measure.quantities import quantities
from novelweights.auditing.measure.shape_quantities import shape_quantities
from novelweights.auditing.one_run.from_scratch import from_scratch_quantities
from novelweights.auditing.one_run.measure import all_steps, beside_baselines, one_run_quantities
from novelweights.auditing.prepare import AuditInputs, Prepared, prepare
from novelweights.auditing.result import AllSteps, AuditResult, Planted, Quantity
from novelweights.errors import Note
from novelweights.metrics.established import EstablishedMeasures, established_measures
from novelweights.metrics.neighbors import nearest
from novelweights.metrics.relatives import shares_initialization
from novelweights.seeding import numpy_rng_for, rng_for
from novelweights.tasks.task import ShapeTask
from novelweights.weights.population import Population

N_CONTROL = 20
"""Checkpoints per control."""


@dataclass(frozen=True, eq=False)
class Compared:
    """Generated checkpoints among held-out runs, and beside the paper's baselines."""

    measured: Measured
    p_values: Mapping[str, np.ndarray]
    origins: np.ndarray
    """The verdict on each."""
    first: Bool[np.ndarray, " n"]
    """False for generated checkpoints that repeat another."""
    counted: Bool[np.ndarray, " n"]
    """False for those that are no further evidence: they repeat another and copy nothing."""
    baselines: Baselines


def audit(
    inputs: AuditInputs, *, n_controls: int | None = None, clock: Clock | None = None
) -> AuditResult:
    """Compare generated checkpoints with the training checkpoints of their generator.

    Args:
        inputs: The populations, by role.
        n_controls: Checkpoints of each control, `N_CONTROL` if None; 0 plants none, and the audit
            cannot veto itself.
        clock: Takes the time and tells the progress.

    Raises:
        InputError: Populations that do not fit together, too few of them, NaN, or held-out runs
            or networks from scratch that are training checkpoints.
    """
    clock = clock or Clock()
    with clock.stage("training networks on the task"):
        prepared = without_failed_task(prepare(inputs))
    compared = _compared(measured(prepared, clock), clock)
    if compared.measured.given.is_one_run:
        return _audit_of_one_run(compared, clock)
    return _audit_of_runs(compared, N_CONTROL if n_controls is None else n_controls, clock)


def _audit_of_runs(compared: Compared, n_controls: int, clock: Clock) -> AuditResult:
    """Where runs are independent: controls, and how many training checkpoints are reproduced."""
    controls = {}
    with clock.stage("controls"):
        if n_controls:
            measured, prepared = compared.measured, compared.measured.given
            controls = measured_controls(
                measured.reference,
                measured.null,
                prepared.every_step,
                prepared.heldout,
                n_controls,
                prepared.seed,
            )
    common = _established(compared.measured.given, clock)
    with clock.stage("population numbers"):
        numbers = [*_general(compared), *_coverage(compared), *_from_scratch(compared)]
        numbers += _further(compared, common)
    return _result(compared, numbers, controls=controls)


def _audit_of_one_run(compared: Compared, clock: Clock) -> AuditResult:
    """Where training checkpoints are steps of too few runs: nothing is identified, and numbers
    come from generated checkpoints, held-out runs and networks from scratch."""
    prepared = compared.measured.given
    common = _established(prepared, clock)
    with clock.stage("population numbers"):
        numbers = [*_general(compared), *_from_scratch(compared)]
        numbers += one_run_quantities(compared.measured)
        if prepared.task is not None:
            numbers += beside_baselines(compared.measured, compared.baselines)
        numbers += _further(compared, common)
    return _result(compared, numbers, heldout_steps=all_steps(prepared))


def _compared(measured: Measured, clock: Clock) -> Compared:
    prepared = measured.given
    with clock.stage("p-values among held-out runs"):
        spacing = float(np.median(measured.null.runs.distance))
        gross = (
            measured.generated.distance <= DEFAULT_CRITERIA.gross_copy * spacing
        )  # not by chance
        first = first_of_equals(prepared.generated.learned, spacing)
        p_values = measured.null.p_values(measured.scored)
        names = list(map(str, prepared.train.records.run))
        null, quality = measured.null.runs, measured.quality
        judged = judge_checkpoints(measured.scored, p_values, null, names, quality)
        origins = np.array([verdict.origin for verdict in judged])
        explained = np.isin(origins, [Verdict.REPLICA, Verdict.INTERPOLATION])
        if prepared.heldout is not None:
            twins = _twin_p_values(measured, prepared.heldout, np.flatnonzero(~explained))
            p_values |= {} if twins is None else {"twin_near": twins}
    with clock.stage("baselines"):
        baselines = Baselines({}, {}, None)
        if prepared.task is not None:
            baselines = paper_baselines(measured)
    return Compared(measured, p_values, origins, first, first | gross, baselines)


def _twin_p_values(
    measured: Measured, heldout: Population, rows: Int[np.ndarray, " k"]
) -> Float[np.ndarray, " n"] | None:
    """Of the distance to the nearest other sample, among that between held-out runs.

    Both look among equally many others, and distances are taken over the length of both from the
    mean of training, so that shrunk networks do not look alike. Small: samples repeat each other.

    Args:
        rows: The samples that are compared; the others, which are explained otherwise, get NaN.

    Returns:
        None where there are fewer than two of either.
    """
    prepared, held = measured.given, measured.null.runs
    n_others = min(len(rows), len(heldout)) - 1
    if n_others < 1:
        return None

    def to_others(population: Population, norms: np.ndarray, label: str) -> np.ndarray:
        rng, weights = numpy_rng_for(prepared.seed, "others", label), population.learned
        exclude = np.ones((len(population), len(population)), dtype=bool)
        in_order = np.argsort(contents(weights), kind="stable")  # whatever order they come in
        for row in in_order:
            others = in_order[in_order != row]
            exclude[row, rng.permutation(others)[:n_others]] = False
        near = nearest(weights, weights, exclude=exclude, alignment=prepared.alignment)
        lengths = np.sqrt(norms * norms[near.rows[:, 0]])
        return near.distances[:, 0] / np.maximum(lengths, 1e-300)

    p_values = np.full(len(prepared.generated), np.nan)
    ours = to_others(prepared.generated.select(rows), measured.scored.norm[rows], "generated")
    p_values[rows] = rank_low(ours, to_others(heldout, held.norm, "heldout"))
    return p_values


def _established(prepared: Prepared, clock: Clock) -> EstablishedMeasures:
    with clock.stage("established measures"):
        return established_measures(
            prepared.train.learned,
            None if prepared.heldout is None else prepared.heldout.learned,
            prepared.generated.learned,
            rng=numpy_rng_for(prepared.seed, "measures in common use"),  # the label of old
        )


def _general(compared: Compared) -> list[Quantity]:
    measured, prepared = compared.measured, compared.measured.given
    noise = compared.baselines.found.get("noise")
    evidence = Evidence.of(measured, compared.p_values, compared.counted, noise)
    return quantities(evidence, rng=numpy_rng_for(prepared.seed, "bootstrap"))


def _coverage(compared: Compared) -> list[Quantity]:
    """How many training checkpoints the replicas among the samples reproduce, and could."""
    measured = compared.measured
    copies = compared.origins == Verdict.REPLICA
    rows = measured.scored.neighbor_rows[copies, 0]
    return coverage_quantities(coverage(rows, len(measured.given.train)))


def _from_scratch(compared: Compared) -> list[Quantity]:
    measured = compared.measured
    if measured.from_scratch is None:
        return []
    return from_scratch_quantities(
        measured.from_scratch, measured.quality, seed=measured.given.seed
    )


def _further(compared: Compared, common: EstablishedMeasures) -> list[Quantity]:
    """Sets of shapes, established measures, the generator's own losses, and before a codec."""
    measured, prepared = compared.measured, compared.measured.given
    numbers = []
    if isinstance(prepared.task, ShapeTask):
        rng = numpy_rng_for(prepared.seed, "bootstrap", "shapes")
        numbers += shape_quantities(prepared.task, measured.behavior, rng=rng)
    numbers += established_quantities(common)
    numbers += gap_quantities(prepared.generated.info.provenance)
    if measured.originals is not None:
        numbers += beside_originals(
            prepared.generated,
            measured.originals,
            prepared.alignment,
            made=measured.generated.quality,
            quality=measured.quality,
            rng=numpy_rng_for(prepared.seed, "bootstrap", "originals"),
        )
    return numbers


def _warnings(compared: Compared, numbers: Sequence[Quantity]) -> list[Note]:
    """What a reader must know beside the numbers."""
    measured, prepared = compared.measured, compared.measured.given
    warnings, quality, heldout = list(prepared.warnings), measured.quality, measured.heldout
    if measured.originals is not None:
        beside = (heldout or measured.training).quality
        margin = DEFAULT_CRITERIA.margin_of_mean(quality, beside)
        warnings += costs_of_codec(numbers, quality, margin)
    warnings += about_weights(prepared)
    warnings += audit_warnings(prepared, compared.first, heldout)
    if prepared.heldout is not None and heldout is not None:
        qualities = (measured.training.quality, heldout.quality, quality)
        if measured.originals is None:
            training = prepared.train.select(measured.training_rows)
            warnings += other_recipe(training, prepared.heldout, *qualities)
        else:
            warnings += recipe_warnings(measured.originals, *qualities)
    return warnings


def _result(
    compared: Compared,
    numbers: Sequence[Quantity],
    *,
    controls: Mapping[str, Planted] | None = None,
    heldout_steps: AllSteps | None = None,
) -> AuditResult:
    measured, prepared = compared.measured, compared.measured.given
    layers = measured.reference.layers
    return AuditResult(
        training=measured.training,
        generated=measured.generated,
        heldout=measured.heldout,
        baselines=compared.baselines.found,
        baseline_notes=compared.baselines.notes,
        p_values=compared.p_values,
        quantities=tuple(numbers),
        distance=prepared.distance,
        quality=measured.quality,
        novelty=measured.novelty,
        layers=layers.names if layers is not None else (),
        controls=controls or {},
        training_rows=prepared.training_rows,
        counted=compared.counted,
        all_training=_all_names(prepared.train, n_measured=len(measured.training)),
        n_runs=prepared.n_runs,
        from_scratch=measured.from_scratch,
        heldout_steps=heldout_steps,
        warnings=tuple(_warnings(compared, numbers)),
        about=_about(measured),
    )


def _all_names(train: Population, *, n_measured: int) -> list[str] | None:
    """Names of all training checkpoints, steps of one run told apart; None: those measured have
    them."""
    runs = list(map(str, train.records.run))
    if len(set(runs)) < len(runs):
        return [f"{run}, step {step}" for run, step in zip(runs, train.records.step, strict=True)]
    return None if n_measured == len(train) else runs


def _about(measured: Measured) -> dict[str, object]:
    """What was audited: what the populations say of themselves."""
    prepared = measured.given
    train, generated, heldout = prepared.train, prepared.generated, prepared.heldout

    def describe(population: Population) -> dict[str, object]:
        return {
            "n": len(population),
            "runs": len(set(population.records.run)),
            "recipe": population.info.recipe,
            "settings": population.info.stored_settings,
        }

    data = train.info.settings.get("data")
    known, more = {}, {}
    made_by = generated.info.provenance
    if made_by is not None and made_by.method and made_by.sampler:
        known["generator"] = f"{made_by.method}, sampler {made_by.sampler}"
    if isinstance(data, Mapping):
        known["data"] = f"{data.get('name', 'unnamed')} ({data.get('source', 'source unknown')})"
    if prepared.originals is not None:
        more["through_codec"] = True
    if prepared.is_one_run:
        more["first_parameter"] = train.layout.learned.shapes[0][0]
    if prepared.from_scratch is not None:
        more["from_scratch"] = describe(prepared.from_scratch)
    if prepared.noise_from is not None:
        runs = set(prepared.noise_from.records.run)
        more["noise_from"] = {"n": len(prepared.noise_from), "runs": len(runs)}
    rng = rng_for(prepared.seed, "initialization")
    trained = (prepared.originals or train).learned
    broken = {str(row): name for row, name in prepared.not_finite.items()}
    return {
        **known,
        "architecture": train.info.architecture or "unknown",
        "weights": train.layout.size,
        "task": prepared.task.name if prepared.task is not None else None,
        **({"failed_task": prepared.failed_task} if prepared.failed_task else {}),
        **({"not_finite": broken} if broken else {}),
        "seed": prepared.seed,
        "training": describe(train),
        "generated": describe(generated),
        "heldout": describe(heldout) if heldout is not None else None,
        **more,
        "shared_initialization": shares_initialization(trained, prepared.alignment, rng=rng),
    }
