"""The audit: populations in, an `AuditResult` of plain numbers out.

Training, held-out and generated checkpoints are measured by the same distance, alignment and task;
generated ones are ranked among held-out runs; the paper's baselines are made from the training
checkpoints and measured too. An audit knows nothing of generators.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Int

from novelweights.auditing.controls.baselines import Baselines, noise_parents, paper_baselines
from novelweights.auditing.controls.planting import measured_controls
from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA, Verdict
from novelweights.auditing.judge.p_values import NullDistribution
from novelweights.auditing.judge.recognition import first_of_equals, other_recipe
from novelweights.auditing.judge.statistics import rank_low
from novelweights.auditing.judge.verdict import judge_checkpoints
from novelweights.auditing.judge.warnings import audit_warnings
from novelweights.auditing.measure.coverage import coverage, coverage_quantities
from novelweights.auditing.measure.established import established_quantities
from novelweights.auditing.measure.generalization_gap import gap_quantities
from novelweights.auditing.measure.leakage import refuse_leaks
from novelweights.auditing.measure.measurements import (
    NearestIndex,
    ladder_of,
    measure,
    one_left_out,
)
from novelweights.auditing.measure.originals import (
    Originals,
    beside_originals,
    costs_of_codec,
    recipe_warnings,
)
from novelweights.auditing.measure.quantities import Evidence, quantities
from novelweights.auditing.measure.shape_quantities import shape_quantities
from novelweights.auditing.measure.terms import Terms
from novelweights.auditing.one_run.from_scratch import (
    from_scratch_quantities,
    measured_from_scratch,
)
from novelweights.auditing.one_run.measure import all_steps, beside_baselines, one_run_quantities
from novelweights.auditing.prepare import Prepared, prepare
from novelweights.auditing.result import AuditResult, Measurements, Quantity
from novelweights.metrics.established import established_measures
from novelweights.metrics.neighbors import nearest
from novelweights.metrics.relatives import shares_initialization
from novelweights.seeding import numpy_rng_for, rng_for
from novelweights.tasks.task import Measure, ShapeTask, Task
from novelweights.weights.population import Population
from novelweights.weights.symmetry import NeuronSymmetry

N_CONTROL = 20
"""Checkpoints per control."""

N_TRAINING = 1000
"""Training checkpoints whose own nearest neighbors are sought where there are more: the median of
as many is known to a few percent, and all pairs of 10,000 would take longer than all else."""

Progress = Callable[[str, int, int], None]
"""Called with (what is done now, stages done, stages in all)."""


@dataclass
class Clock:
    """Seconds per stage, for the manifest, and the progress of an audit."""

    progress: Progress | None = None
    n_stages: int = 8
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage."""
        if self.progress is not None:
            self.progress(name, len(self.seconds), self.n_stages)
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)


def audit(
    train: Population,
    generated: Population,
    *,
    heldout: Population | None = None,
    task: Task | None = None,
    symmetry: NeuronSymmetry | None = None,
    reconstructions: Population | None = None,
    heldout_reconstructions: Population | None = None,
    noise_from: Population | None = None,
    from_scratch: Population | None = None,
    seed: int = 0,
    n_controls: int = N_CONTROL,
    clock: Clock | None = None,
) -> AuditResult:
    """Compare generated checkpoints with the training checkpoints of their generator.

    Args:
        train: What the generator was fitted to; the last step of each run is used.
        generated: What it made.
        heldout: New runs of the same recipe that it never saw; without them the audit is
            exploratory and never says novel.
        task: Judges behavior; without it the audit says what it cannot say.
        symmetry: Moves that count as no difference; None is plain L2. Running statistics count for
            what networks do, and for no distance.
        reconstructions: The training checkpoints as the generator's lossy codec gives them back,
            row by row; generated checkpoints are then compared with these.
        heldout_reconstructions: The held-out checkpoints through the same codec.
        noise_from: What the noise baseline adds noise to; None: the training checkpoints that are
            compared. For a generator that draws from some of them, those, through its codec if it
            has one (paper, appendix C.2).
        from_scratch: Networks trained independently of all others, as a yardstick; their layout
            may hold more than the training checkpoints', whose parameters are taken by name.
            Their quality is what their records tell (test_accuracy).
        seed: Root of all randomness (controls, baselines, bootstrap).
        n_controls: Checkpoints of each control; 0 plants none, and the audit cannot veto itself.
        clock: Takes the time and tells the progress.

    Raises:
        InputError: Populations that do not fit together, too few of them, NaN, or held-out runs
            or networks from scratch that are training checkpoints.
    """
    clock = clock or Clock()
    given = prepare(
        train,
        generated,
        heldout,
        symmetry,
        reconstructions,
        heldout_reconstructions,
        noise_from,
        from_scratch,
    )
    is_one_run = given.n_runs < DEFAULT_CRITERIA.min_runs
    train, generated, heldout = given.train, given.generated, given.heldout
    alignment, n_runs, warnings = given.alignment, given.n_runs, list(given.warnings)
    with clock.stage("training against training"):
        compared = NearestIndex.of(train, given.whole, task)
        some = _measured_training(train, heldout, seed)
        measured = train if len(some) == len(train) else train.select(some)
        own = some[:, None] == np.arange(len(train))
        behavior = compared.behavior
        trained = measure(
            "training",
            measured,
            compared,
            exclude=own,
            behavior=None if behavior is None else behavior[torch.from_numpy(some)],
            only_near=heldout is not None,
        )
    with clock.stage("held-out against training"):
        fresh, behaved = None, {"training": behavior}
        if heldout is not None:
            behaved["heldout"] = task.behave(heldout) if task is not None else None
            fresh = measure("heldout", heldout, compared, behavior=behaved["heldout"])
        before = Originals.of(given, some, task)
        if fresh is not None:
            refuse_leaks(given, fresh, trained, before)
        null = _yardstick(compared, heldout, fresh, trained, own)
        scratch, quality = None, task.quality if task is not None else None
        if given.from_scratch is not None:
            scratch = measured_from_scratch(given.from_scratch, compared, quality)
    with clock.stage("generated against training"):
        behaved["generated"] = task.behave(generated) if task is not None else None
        made = measure("generated", generated, compared, behavior=behaved["generated"])
        if given.all_training is not None:
            every_step = given.all_training.learned
            steps = nearest(generated.learned, every_step, alignment=alignment)
            made = replace(made, step_distance=steps.distances[:, 0], step_rows=steps.rows[:, 0])
    with clock.stage("p-values among held-out runs"):
        scored = made
        if fresh is None:  # against all training runs but one, as each run is against the others
            scored = measure(
                "generated",
                generated,
                compared,
                exclude=one_left_out(generated, train, seed),
                behavior=behaved["generated"],
            )
        spacing = float(np.median(null.fresh.distance))
        gross = made.distance <= DEFAULT_CRITERIA.gross_copy * spacing  # no matter of chance
        first = first_of_equals(generated.learned, spacing)
        counted = first | gross
        p_values = null.p_values(scored)
        if heldout is not None and min(len(heldout), len(generated)) > 1:
            p_values["twin_near"] = _twin_p_values(generated, heldout, compared, seed)
    with clock.stage("controls"):
        controls = {}
        if n_controls and not is_one_run:
            controls = measured_controls(
                compared, null, given.every_step, heldout, n_controls, seed
            )
    with clock.stage("baselines"):
        baselines, notes, noise_std = Baselines({}, {}, None)
        if task is not None:
            baselines, notes, noise_std = paper_baselines(
                made,
                compared,
                seed,
                noise_from=given.noise_from,
                through_codec=before is not None,
            )
    with clock.stage("established measures"):
        common = established_measures(
            train.learned,
            heldout.learned if heldout is not None else None,
            generated.learned,
            rng=numpy_rng_for(seed, "measures in common use"),
        )
    with clock.stage("population numbers"):
        evidence = Evidence(
            training=trained,
            generated=made,
            null=null.fresh,
            scored=scored,
            terms=Terms(is_one_run, has_heldout=fresh is not None),
            n_training=len(train),
            p_values=p_values,
            counted=counted,
            quality=quality,
            novelty=task.novelty if task is not None else None,
            baselines=baselines,
            noised=noise_parents(given.noise_from, through_codec=before is not None),
            before_codec=before.distances if before is not None else None,
        )
        numbers = tuple(quantities(evidence, rng=numpy_rng_for(seed, "bootstrap")))
        if not is_one_run:
            numbers += tuple(_coverage(scored, p_values, null.fresh, train, evidence.quality))
        if scratch is not None:
            numbers += tuple(from_scratch_quantities(scratch, quality, seed=seed))
        if is_one_run:
            numbers += tuple(one_run_quantities(given, trained, made, fresh, scratch, seed=seed))
            if evidence.quality is not None and evidence.novelty is not None:
                measures = evidence.quality, evidence.novelty
                numbers += tuple(beside_baselines(made, baselines, noise_std, *measures, seed=seed))
        if isinstance(task, ShapeTask):
            rng = numpy_rng_for(seed, "bootstrap", "shapes")
            numbers += tuple(shape_quantities(task, behaved, rng=rng))
        numbers += (*established_quantities(common), *gap_quantities(generated.info.provenance))
        if before is not None:
            numbers += beside_originals(
                generated,
                before,
                alignment,
                made=made.quality,
                quality=evidence.quality,
                rng=numpy_rng_for(seed, "bootstrap", "originals"),
            )
            margin = DEFAULT_CRITERIA.margin_of_mean(evidence.quality, (fresh or trained).quality)
            warnings += costs_of_codec(numbers, evidence.quality, margin)
    warnings += audit_warnings(given, first, fresh, task)
    if heldout is not None and fresh is not None:
        qualities = (trained.quality, fresh.quality, evidence.quality)
        if before is None:
            warnings += other_recipe(measured, heldout, *qualities)
        else:
            warnings += recipe_warnings(before, *qualities)
    trained_on = train if before is None else before.train
    frame = shares_initialization(
        trained_on.learned, alignment, rng=rng_for(seed, "initialization")
    )
    return AuditResult(
        training=trained,
        generated=made,
        heldout=fresh,
        baselines=baselines,
        baseline_notes=notes,
        p_values=p_values,
        quantities=numbers,
        distance=given.distance,
        quality=evidence.quality,
        novelty=evidence.novelty,
        layers=compared.layers.names if compared.layers is not None else (),
        controls=controls,
        training_rows=given.training_rows,
        counted=counted,
        all_training=_all_names(train, n_measured=len(measured)),
        n_runs=n_runs,
        from_scratch=scratch,
        heldout_steps=all_steps(given) if is_one_run else None,
        warnings=tuple(warnings),
        about={
            **_about(given, task, seed),
            "shared_initialization": frame,
        },
    )


def _measured_training(
    train: Population, heldout: Population | None, seed: int
) -> Int[np.ndarray, " rows"]:
    """Training rows whose nearest neighbors among the others are sought, ascending: all, or
    `N_TRAINING` drawn at random. Where training runs stand in for held-out ones, all."""
    if heldout is None or len(train) <= N_TRAINING:
        return np.arange(len(train))
    rng = numpy_rng_for(seed, "measured training checkpoints")
    return np.sort(rng.permutation(len(train))[:N_TRAINING])


def _all_names(train: Population, *, n_measured: int) -> list[str] | None:
    """Names of all training checkpoints, steps of one run told apart; None: those measured have
    them."""
    runs = list(map(str, train.records.run))
    if len(set(runs)) < len(runs):
        return [f"{run}, step {step}" for run, step in zip(runs, train.records.step, strict=True)]
    return None if n_measured == len(train) else runs


def _twin_p_values(
    generated: Population, heldout: Population, reference: NearestIndex, seed: int
) -> np.ndarray:
    """Distance to the nearest other sample, ranked among that between held-out runs.

    Both look among equally many others. Small: samples repeat each other.
    """
    n_others = min(len(generated), len(heldout)) - 1

    def to_others(population: Population, label: str) -> np.ndarray:
        rng = numpy_rng_for(seed, "others", label)
        exclude = np.ones((len(population), len(population)), dtype=bool)
        for row in range(len(population)):
            others = np.delete(np.arange(len(population)), row)
            exclude[row, rng.permutation(others)[:n_others]] = False
        weights = population.learned
        near = nearest(weights, weights, exclude=exclude, alignment=reference.alignment)
        return near.distances[:, 0]

    return rank_low(to_others(generated, "generated"), to_others(heldout, "heldout"))


def _yardstick(
    reference: NearestIndex,
    heldout: Population | None,
    fresh: Measurements | None,
    trained: Measurements,
    own: np.ndarray,
) -> NullDistribution:
    """Held-out runs with their hull ratios at other norms; else training runs, own run excluded."""
    population, findings, exclude = reference.training, trained, own
    if heldout is not None and fresh is not None:
        population, findings, exclude = heldout, fresh, None
    ladder, raw = ladder_of(population, reference, aligned=True, exclude=exclude), None
    if reference.alignment is not None:
        raw = ladder_of(population, reference, aligned=False, exclude=exclude)
    task = reference.task
    if task is None:
        return NullDistribution(findings, ladder, raw, None, None)
    return NullDistribution(findings, ladder, raw, task.quality, task.novelty)


def _coverage(
    scored: Measurements,
    p_values: Mapping[str, np.ndarray],
    fresh: Measurements,
    train: Population,
    quality: Measure | None,
) -> list[Quantity]:
    """How many training checkpoints the replicas among the samples reproduce, and could."""
    judged = judge_checkpoints(scored, p_values, fresh, list(map(str, train.records.run)), quality)
    copies = np.array([verdict.origin is Verdict.REPLICA for verdict in judged])
    return coverage_quantities(coverage(scored.neighbor_rows[copies, 0], len(train)))


def _about(given: Prepared, task: Task | None, seed: int) -> dict[str, object]:
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
    if given.n_runs < DEFAULT_CRITERIA.min_runs:
        more["first_parameter"] = train.layout.learned.shapes[0][0]
    if given.from_scratch is not None:
        more["from_scratch"] = describe(given.from_scratch)
    if given.noise_from is not None:
        runs = set(given.noise_from.records.run)
        more["noise_from"] = {"n": len(given.noise_from), "runs": len(runs)}
    return {
        **known,
        "architecture": train.info.architecture or "unknown",
        "weights": train.layout.size,
        "task": task.name if task is not None else None,
        "seed": seed,
        "training": describe(train),
        "generated": describe(generated),
        "heldout": describe(heldout) if heldout is not None else None,
        **more,
    }
