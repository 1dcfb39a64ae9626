"""The audit: populations in, an `AuditResult` of plain numbers out.

Training, held-out and generated checkpoints are measured by the same distance, alignment and task;
generated ones are ranked among held-out runs; the paper's baselines are made from the training
checkpoints and measured too. An audit knows nothing of generators.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch

from novelweights.audit.calibration import rank_high, rank_low
from novelweights.audit.criteria import DEFAULT_CRITERIA
from novelweights.audit.matching import match_noise
from novelweights.audit.measure import Reference, hull_ratio_at_norm, measure, same_run
from novelweights.audit.quantities import Evidence, quantities
from novelweights.audit.result import AuditResult, DistanceInfo, Findings
from novelweights.errors import InputError
from novelweights.metrics.neighbors import Alignment, nearest
from novelweights.seeding import numpy_rng_for, rng_for
from novelweights.tasks.task import Task
from novelweights.weights.perturb import add_noise, average_rows, parameter_gaussian, pick_rows
from novelweights.weights.population import (
    Population,
    last_of_each_run,
    require_finite,
    require_same_layout,
    sampled_records,
)
from novelweights.weights.symmetry import NeuronSymmetry

LEAKED = 0.25
"""Held-out runs nearer to training than this share of the median between training runs are no
fresh runs: the nearest of 1,200 in trials on real zoos lay at 0.75."""
N_BASELINE = 100
"""Checkpoints per baseline, as in the paper's figure 6."""

Progress = Callable[[str, int, int], None]
"""Called with (what is done now, stages done, stages in all)."""


@dataclass
class Clock:
    """Seconds per stage, for the manifest, and the progress of an audit."""

    progress: Progress | None = None
    n_stages: int = 6
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
    seed: int = 0,
    clock: Clock | None = None,
) -> AuditResult:
    """Compare generated checkpoints with the training checkpoints of their generator.

    Args:
        train: What the generator was fitted to; the last step of each run is used.
        generated: What it made.
        heldout: New runs of the same recipe that it never saw; without them the audit is
            exploratory and never says novel.
        task: Judges behavior; without it the audit says what it cannot say.
        symmetry: Moves that count as no difference; None is plain L2.
        seed: Root of all randomness (baselines, bootstrap).
        clock: Takes the time and tells the progress.

    Raises:
        InputError: Populations that do not fit together, too few of them, NaN, or held-out runs
            that are training runs.
    """
    clock = clock or Clock()
    generated = generated.in_order_of(train.layout)
    heldout = heldout.in_order_of(train.layout) if heldout is not None else None
    _check(train, generated, heldout)
    train = train.select(last_of_each_run(train.records))
    heldout = heldout.select(last_of_each_run(heldout.records)) if heldout is not None else None
    if len(train) < 3:
        raise InputError(
            f"training checkpoints come from {len(train)} run{'s' * (len(train) != 1)}; expected "
            "at least 3 runs, since each is compared with the others and their mixtures. Give "
            "checkpoints of more runs, or name the runs apart"
        )
    alignment, distance, warnings = _declared(train, symmetry)
    with clock.stage("training against training"):
        reference = Reference.of(train, alignment, task)
        trained = measure(
            "training",
            train,
            reference,
            exclude=same_run(train, train),
            behavior=reference.behavior,
        )
    with clock.stage("held-out against training"):
        fresh = measure("heldout", heldout, reference) if heldout is not None else None
        if fresh is not None:
            _refuse_leakage(fresh, trained)
            _refuse_shared_rows(heldout, generated)
    with clock.stage("generated against training"):
        made = measure("generated", generated, reference)
    with clock.stage("ranks among fresh runs"):
        if heldout is not None and fresh is not None:
            yardstick, scored, population, own_run = fresh, made, heldout, None
        else:  # each sample against all training runs but one, as each run is against the others
            drop = torch.randint(
                len(train), (len(generated),), generator=rng_for(seed, "leave one run out")
            )
            exclude = np.zeros((len(generated), len(train)), dtype=bool)
            exclude[np.arange(len(generated)), drop.numpy()] = True
            scored = measure("generated", generated, reference, exclude=exclude)
            yardstick, population, own_run = trained, train, same_run(train, train)
        ranks = _ranks(scored, yardstick, population, reference, own_run)
        if heldout is not None and min(len(heldout), len(generated)) > 1:
            ranks["twin_near"] = _twin_ranks(generated, heldout, reference, seed)
    with clock.stage("baselines"):
        baselines, notes = _baselines(made, reference, seed) if task is not None else ({}, {})
    with clock.stage("population numbers"):
        evidence = Evidence(
            training=trained,
            generated=made,
            yardstick=yardstick,
            scored=scored,
            has_heldout=fresh is not None,
            ranks=ranks,
            quality=task.quality if task is not None else None,
            novelty=task.novelty if task is not None else None,
            baselines=baselines,
        )
        numbers = quantities(evidence, rng=numpy_rng_for(seed, "bootstrap"))
    warnings += _warnings(generated, fresh, task)
    return AuditResult(
        training=trained,
        generated=made,
        heldout=fresh,
        baselines=baselines,
        baseline_notes=notes,
        ranks=ranks,
        quantities=numbers,
        distance=distance,
        quality=evidence.quality,
        novelty=evidence.novelty,
        warnings=tuple(warnings),
        about=_about(train, generated, heldout, task, seed),
    )


def _check(train: Population, generated: Population, heldout: Population | None) -> None:
    """Refuse populations that cannot be compared."""
    roles = [("train", train), ("generated", generated), ("heldout", heldout)]
    for role, population in roles:
        if population is None:
            continue
        if len(population) == 0:
            raise InputError(f"{role}: expected at least 1 checkpoint, got none; give some")
        require_same_layout(train, population, ("train", role))
        require_finite(population, role)


def _declared(
    train: Population, symmetry: NeuronSymmetry | None
) -> tuple[Alignment | None, DistanceInfo, list[str]]:
    """The distance of this audit."""
    alignment = Alignment.where_exact(train.layout, symmetry)
    if alignment is None:
        info = DistanceInfo(name="L2", is_exact=True, symmetry="none")
        return (
            None,
            info,
            [
                "No symmetry was declared: a copy whose neurons were reordered looks new here. "
                "Alignment is exact for networks with one hidden layer and is left out for others."
            ],
        )
    text = alignment.describe()
    return alignment, DistanceInfo(f"L2, minimized over {text}", is_exact=True, symmetry=text), []


def _refuse_leakage(fresh: Findings, trained: Findings) -> None:
    """Held-out runs that are training runs, or nearly, would hide every copy."""
    usual = float(np.median(trained.distance))
    leaked = np.flatnonzero((fresh.distance == 0) | (fresh.distance < LEAKED * usual))
    if len(leaked):
        pairs = ", ".join(
            f"{fresh.names[i]} = {trained.names[fresh.neighbor_rows[i, 0]]}" for i in leaked[:3]
        )
        more = f" and {len(leaked) - 3} more" if len(leaked) > 3 else ""
        raise InputError(
            f"heldout: {len(leaked)} held-out checkpoints are training checkpoints, or nearly "
            f"({pairs}{more}); expected runs that the generator never saw. Remove them"
        )


def _refuse_shared_rows(heldout: Population | None, generated: Population) -> None:
    """Held-out runs that are among the samples would make every sample look fresh."""
    if heldout is None:
        return
    known = {row.tobytes(): i for i, row in enumerate(heldout.weights.numpy())}
    shared = [known[row.tobytes()] for row in generated.weights.numpy() if row.tobytes() in known]
    if shared:
        raise InputError(
            f"heldout: {len(shared)} generated checkpoints are held-out checkpoints (first: "
            f"{heldout.records.run[shared[0]]}); expected different ones. Give fresh runs of the "
            "training recipe as --heldout and samples as --generated"
        )


def _twin_ranks(
    generated: Population, heldout: Population, reference: Reference, seed: int
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
        weights = population.weights
        near = nearest(weights, weights, exclude=exclude, alignment=reference.alignment)
        return near.distances[:, 0]

    return rank_low(to_others(generated, "generated"), to_others(heldout, "heldout"))


def _ranks(
    scored: Findings,
    yardstick: Findings,
    population: Population,
    reference: Reference,
    own_run: np.ndarray | None,
) -> dict[str, np.ndarray]:
    """Where each generated checkpoint lies among fresh runs, from both sides."""
    ranks = {
        "distance_near": rank_low(scored.distance, yardstick.distance),
        "distance_far": rank_high(scored.distance, yardstick.distance),
        "cosine_near": rank_high(scored.cosine, yardstick.cosine),
        "cosine_far": rank_low(scored.cosine, yardstick.cosine),
    }
    hulls = [("hull", "hull_ratio", "norm")]
    if reference.alignment is not None:
        hulls.append(("raw_hull", "raw_hull_ratio", "raw_norm"))
    for key, ratio, norm in hulls:
        ours = getattr(scored, ratio)
        matched = hull_ratio_at_norm(
            population, reference, getattr(scored, norm), aligned=key == "hull", exclude=own_run
        )
        ranks[f"{key}_near"] = (1 + (matched <= ours).sum(axis=0)) / (len(yardstick) + 1)
        if key == "hull":
            ranks["hull_far"] = (1 + (matched >= ours).sum(axis=0)) / (len(yardstick) + 1)
    if scored.quality is not None and yardstick.quality is not None:
        ranks["quality_low"] = rank_low(scored.quality, yardstick.quality)
    if scored.novelty is not None and yardstick.novelty is not None:
        ranks["similarity_high"] = rank_high(scored.novelty, yardstick.novelty)
        ranks["similarity_low"] = rank_low(scored.novelty, yardstick.novelty)
    return ranks


def _baselines(
    made: Findings, reference: Reference, seed: int
) -> tuple[dict[str, Findings], dict[str, str]]:
    """Noise addition at matched novelty, averages of 2 and of 16, per-parameter Gaussian."""
    train, task = reference.training, reference.task
    behavior = reference.behavior
    if task is None or made.novelty is None or behavior is None:
        raise ValueError("baselines are compared by behavior")
    weights, n = train.weights, min(N_BASELINE, max(20, len(made)))
    parents = pick_rows(len(weights), n, rng=rng_for(seed, "noise parents"))
    found: dict[str, Findings] = {}
    notes: dict[str, str] = {}

    def noised(std: float) -> Population:
        rng = rng_for(seed, "noise directions")  # the same directions at every amplitude
        moved = add_noise(weights[parents], std, rng=rng)
        return train.select(parents.numpy()).with_weights(moved, split="noise")

    def novelty_at(std: float) -> np.ndarray:
        return task.novelty_against(task.behave(noised(std)), behavior).numpy()

    matched = match_noise(
        float(np.median(made.novelty)),
        novelty_at,
        largest=4 * float(weights.std()),
        higher_is_novel=task.novelty.higher_is_better,
    )
    notes["noise"] = matched.note
    if matched.std is not None:
        found["noise"] = measure("noise", noised(matched.std), reference)
    for of in (2, 16):
        name = f"average of {of}"
        if len(weights) < of:
            notes[name] = f"needs {of} training runs, there are {len(weights)}"
            continue
        mixed = average_rows(weights, n, of=of, rng=rng_for(seed, "average", of))
        found[name] = measure(name, _like(train, mixed), reference)
        notes[name] = f"plain means of {of} random training checkpoints"
    drawn = parameter_gaussian(weights, n, rng=rng_for(seed, "gaussian"))
    found["Gaussian"] = measure("Gaussian", _like(train, drawn), reference)
    notes["Gaussian"] = "an independent Gaussian per parameter over the training checkpoints"
    return found, notes


def _like(train: Population, weights: torch.Tensor) -> Population:
    return Population(weights, train.layout, sampled_records(len(weights)), train.info)


def _warnings(generated: Population, fresh: Findings | None, task: Task | None) -> list[str]:
    warnings = []
    needed = DEFAULT_CRITERIA.min_heldout_runs
    if fresh is None:
        warnings.append(
            "No held-out runs were given: training runs stand in, each against the others. The "
            "numbers are exploratory and the verdict is never novel. Train new runs of the same "
            "recipe and give them with --heldout."
        )
    elif len(fresh) < needed:
        warnings.append(
            f"Only {len(fresh)} held-out runs; at least {needed} are needed for a verdict, "
            "100 to name single checkpoints."
        )
    distinct = len(np.unique(generated.weights.numpy(), axis=0))
    if distinct < len(generated):
        warnings.append(
            f"Only {distinct} of the {len(generated)} generated checkpoints are different: "
            "they are not independent samples, and intervals are too narrow."
        )
    if task is None:
        warnings.append(
            "No task was given: whether the generated networks work, and whether they behave "
            "differently, is not known. Name one with --task."
        )
    return warnings


def _about(
    train: Population,
    generated: Population,
    heldout: Population | None,
    task: Task | None,
    seed: int,
) -> dict[str, object]:
    def describe(population: Population) -> dict[str, object]:
        return {
            "n": len(population),
            "runs": len(set(population.records.run)),
            "recipe": population.info.recipe,
            "settings": dict(population.info.settings),
        }

    data = train.info.settings.get("data")
    known = {}
    if isinstance(data, Mapping):
        known["data"] = f"{data.get('name', 'unnamed')} ({data.get('source', 'source unknown')})"
    return {
        **known,
        "architecture": train.info.architecture or "unknown",
        "weights": train.layout.size,
        "task": task.name if task is not None else None,
        "seed": seed,
        "training": describe(train),
        "generated": describe(generated),
        "heldout": describe(heldout) if heldout is not None else None,
    }
