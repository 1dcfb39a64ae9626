"""The audit: populations in, an `AuditResult` of plain numbers out.

Training, held-out and generated checkpoints are measured by the same distance, alignment and task;
generated ones are compared with held-out runs; the paper's baselines are made from the training
checkpoints and measured too. Each stage takes what the one before gave. An audit knows nothing of
generators.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from novelweights.auditing.controls.baselines import Baselines, paper_baselines
from novelweights.auditing.controls.planting import measured_controls
from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA, Verdict
from novelweights.auditing.judge.recognition import first_of_equals, other_recipe
from novelweights.auditing.judge.statistics import rank_low
from novelweights.auditing.judge.verdict import judge_checkpoints
from novelweights.auditing.judge.warnings import audit_warnings
from novelweights.auditing.measure.coverage import coverage, coverage_quantities
from novelweights.auditing.measure.established import established_quantities
from novelweights.auditing.measure.evidence import Evidence
from novelweights.auditing.measure.generalization_gap import gap_quantities
from novelweights.auditing.measure.measured import Clock, Measured, measured
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
    compared = _compared(measured(prepare(inputs), clock), clock)
    if compared.measured.given.is_one_run:
        return _audit_of_one_run(compared, clock)
    return _audit_of_runs(compared, N_CONTROL if n_controls is None else n_controls, clock)


def _audit_of_runs(compared: Compared, n_controls: int, clock: Clock) -> AuditResult:
    """Where runs are independent: controls, and how many training checkpoints are reproduced."""
    controls = {}
    with clock.stage("controls"):
        if n_controls:
            found, given = compared.measured, compared.measured.given
            controls = measured_controls(
                found.reference, found.null, given.every_step, given.heldout, n_controls, given.seed
            )
    common = _established(compared.measured.given, clock)
    with clock.stage("population numbers"):
        numbers = [*_general(compared), *_coverage(compared), *_from_scratch(compared)]
        numbers += _further(compared, common)
    return _result(compared, numbers, controls=controls)


def _audit_of_one_run(compared: Compared, clock: Clock) -> AuditResult:
    """Where training checkpoints are steps of too few runs: nothing is identified, and numbers
    come from generated checkpoints, held-out runs and networks from scratch."""
    given = compared.measured.given
    common = _established(given, clock)
    with clock.stage("population numbers"):
        numbers = [*_general(compared), *_from_scratch(compared)]
        numbers += one_run_quantities(compared.measured)
        if given.task is not None:
            numbers += beside_baselines(compared.measured, compared.baselines)
        numbers += _further(compared, common)
    return _result(compared, numbers, heldout_steps=all_steps(given))


def _compared(found: Measured, clock: Clock) -> Compared:
    given = found.given
    with clock.stage("p-values among held-out runs"):
        spacing = float(np.median(found.null.runs.distance))
        gross = found.generated.distance <= DEFAULT_CRITERIA.gross_copy * spacing  # not by chance
        first = first_of_equals(given.generated.learned, spacing)
        p_values = found.null.p_values(found.scored)
        if given.heldout is not None and min(len(given.heldout), len(given.generated)) > 1:
            p_values["twin_near"] = _twin_p_values(given, given.heldout)
    with clock.stage("baselines"):
        baselines = Baselines({}, {}, None)
        if given.task is not None:
            baselines = paper_baselines(found)
    return Compared(found, p_values, first, first | gross, baselines)


def _twin_p_values(given: Prepared, heldout: Population) -> np.ndarray:
    """Of the distance to the nearest other sample, among that between held-out runs.

    Both look among equally many others. Small: samples repeat each other.
    """
    n_others = min(len(given.generated), len(heldout)) - 1

    def to_others(population: Population, label: str) -> np.ndarray:
        rng = numpy_rng_for(given.seed, "others", label)
        exclude = np.ones((len(population), len(population)), dtype=bool)
        for row in range(len(population)):
            others = np.delete(np.arange(len(population)), row)
            exclude[row, rng.permutation(others)[:n_others]] = False
        weights = population.learned
        near = nearest(weights, weights, exclude=exclude, alignment=given.alignment)
        return near.distances[:, 0]

    return rank_low(to_others(given.generated, "generated"), to_others(heldout, "heldout"))


def _established(given: Prepared, clock: Clock) -> EstablishedMeasures:
    with clock.stage("established measures"):
        return established_measures(
            given.train.learned,
            None if given.heldout is None else given.heldout.learned,
            given.generated.learned,
            rng=numpy_rng_for(given.seed, "measures in common use"),  # the label of old
        )


def _general(compared: Compared) -> list[Quantity]:
    found, given = compared.measured, compared.measured.given
    noise = compared.baselines.found.get("noise")
    evidence = Evidence.of(found, compared.p_values, compared.counted, noise)
    return quantities(evidence, rng=numpy_rng_for(given.seed, "bootstrap"))


def _coverage(compared: Compared) -> list[Quantity]:
    """How many training checkpoints the replicas among the samples reproduce, and could."""
    found = compared.measured
    names = list(map(str, found.given.train.records.run))
    judged = judge_checkpoints(
        found.scored, compared.p_values, found.null.runs, names, found.quality
    )
    copies = np.array([verdict.origin is Verdict.REPLICA for verdict in judged])
    rows = found.scored.neighbor_rows[copies, 0]
    return coverage_quantities(coverage(rows, len(found.given.train)))


def _from_scratch(compared: Compared) -> list[Quantity]:
    found = compared.measured
    if found.from_scratch is None:
        return []
    return from_scratch_quantities(found.from_scratch, found.quality, seed=found.given.seed)


def _further(compared: Compared, common: EstablishedMeasures) -> list[Quantity]:
    """Sets of shapes, established measures, the generator's own losses, and before a codec."""
    found, given = compared.measured, compared.measured.given
    numbers = []
    if isinstance(given.task, ShapeTask):
        rng = numpy_rng_for(given.seed, "bootstrap", "shapes")
        numbers += shape_quantities(given.task, found.behavior, rng=rng)
    numbers += established_quantities(common)
    numbers += gap_quantities(given.generated.info.provenance)
    if found.originals is not None:
        numbers += beside_originals(
            given.generated,
            found.originals,
            given.alignment,
            made=found.generated.quality,
            quality=found.quality,
            rng=numpy_rng_for(given.seed, "bootstrap", "originals"),
        )
    return numbers


def _warnings(compared: Compared, numbers: Sequence[Quantity]) -> list[Note]:
    """What a reader must know beside the numbers."""
    found, given = compared.measured, compared.measured.given
    warnings, quality, heldout = list(given.warnings), found.quality, found.heldout
    if found.originals is not None:
        beside = (heldout or found.training).quality
        margin = DEFAULT_CRITERIA.margin_of_mean(quality, beside)
        warnings += costs_of_codec(numbers, quality, margin)
    warnings += audit_warnings(given, compared.first, heldout)
    if given.heldout is not None and heldout is not None:
        qualities = (found.training.quality, heldout.quality, quality)
        if found.originals is None:
            training = given.train.select(found.training_rows)
            warnings += other_recipe(training, given.heldout, *qualities)
        else:
            warnings += recipe_warnings(found.originals, *qualities)
    return warnings


def _result(
    compared: Compared,
    numbers: Sequence[Quantity],
    *,
    controls: Mapping[str, Planted] | None = None,
    heldout_steps: AllSteps | None = None,
) -> AuditResult:
    found, given = compared.measured, compared.measured.given
    layers = found.reference.layers
    return AuditResult(
        training=found.training,
        generated=found.generated,
        heldout=found.heldout,
        baselines=compared.baselines.found,
        baseline_notes=compared.baselines.notes,
        p_values=compared.p_values,
        quantities=tuple(numbers),
        distance=given.distance,
        quality=found.quality,
        novelty=found.novelty,
        layers=layers.names if layers is not None else (),
        controls=controls or {},
        training_rows=given.training_rows,
        counted=compared.counted,
        all_training=_all_names(given.train, n_measured=len(found.training)),
        n_runs=given.n_runs,
        from_scratch=found.from_scratch,
        heldout_steps=heldout_steps,
        warnings=tuple(_warnings(compared, numbers)),
        about=_about(found),
    )


def _all_names(train: Population, *, n_measured: int) -> list[str] | None:
    """Names of all training checkpoints, steps of one run told apart; None: those measured have
    them."""
    runs = list(map(str, train.records.run))
    if len(set(runs)) < len(runs):
        return [f"{run}, step {step}" for run, step in zip(runs, train.records.step, strict=True)]
    return None if n_measured == len(train) else runs


def _about(found: Measured) -> dict[str, object]:
    """What was audited: what the populations say of themselves."""
    given = found.given
    train, generated, heldout = given.train, given.generated, given.heldout

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
    if given.originals is not None:
        more["through_codec"] = True
    if given.is_one_run:
        more["first_parameter"] = train.layout.learned.shapes[0][0]
    if given.from_scratch is not None:
        more["from_scratch"] = describe(given.from_scratch)
    if given.noise_from is not None:
        runs = set(given.noise_from.records.run)
        more["noise_from"] = {"n": len(given.noise_from), "runs": len(runs)}
    rng = rng_for(given.seed, "initialization")
    trained = (given.originals or train).learned
    return {
        **known,
        "architecture": train.info.architecture or "unknown",
        "weights": train.layout.size,
        "task": given.task.name if given.task is not None else None,
        "seed": given.seed,
        "training": describe(train),
        "generated": describe(generated),
        "heldout": describe(heldout) if heldout is not None else None,
        **more,
        "shared_initialization": shares_initialization(trained, given.alignment, rng=rng),
    }
