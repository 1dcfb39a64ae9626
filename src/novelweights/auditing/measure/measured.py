"""Every population of an audit, measured against the training checkpoints by one protocol."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from novelweights.auditing.judge.p_values import NullDistribution
from novelweights.auditing.measure.leakage import refuse_leaks
from novelweights.auditing.measure.measurements import (
    NearestIndex,
    ladder_of,
    measure,
    one_left_out,
)
from novelweights.auditing.measure.originals import Originals
from novelweights.auditing.one_run.from_scratch import measured_from_scratch
from novelweights.auditing.prepare import Prepared
from novelweights.auditing.result import Measurements
from novelweights.metrics.neighbors import nearest
from novelweights.seeding import numpy_rng_for
from novelweights.tasks.task import Measure

N_TRAINING = 1000
"""Training checkpoints whose own nearest neighbors are sought where there are more: the median of
as many is known to a few percent, and all pairs of 10,000 would take longer than all else."""

Progress = Callable[[str, int, int], None]
"""Called with (what is done now, stages done, stages in all)."""


@dataclass
class Clock:
    """Seconds per stage, for the manifest, and the progress of an audit."""

    progress: Progress | None = None
    n_stages: int = 9
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage."""
        if self.progress is not None:
            self.progress(name, len(self.seconds), self.n_stages)
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)


@dataclass(frozen=True, eq=False)
class Measured:
    """The populations of an audit against its training checkpoints."""

    given: Prepared
    reference: NearestIndex
    training_rows: Int[np.ndarray, " m"]
    """Rows of the training checkpoints that are measured: all, or a sample."""
    training: Measurements
    """These, each against the others."""
    heldout: Measurements | None
    generated: Measurements
    scored: Measurements
    """The generated checkpoints as they compare with the null distribution: the same, unless
    held-out runs are missing; then each against all training runs but one, as these are."""
    from_scratch: Measurements | None
    null: NullDistribution
    """Held-out runs; without them the training checkpoints, each against the other runs."""
    originals: Originals | None
    """Before a lossy codec, where reconstructions stand in."""
    behavior: Mapping[str, Tensor | None]
    """What checkpoints of each kind do, as far as there is a task."""

    @property
    def quality(self) -> Measure | None:
        """The task's; None without a task."""
        return None if self.given.task is None else self.given.task.quality

    @property
    def novelty(self) -> Measure | None:
        """The task's; None without a task."""
        return None if self.given.task is None else self.given.task.novelty


def measured(prepared: Prepared, clock: Clock) -> Measured:
    """All populations, measured.

    Raises:
        InputError: Held-out runs or networks from scratch that are training checkpoints.
    """
    train, heldout, task, seed = prepared.train, prepared.heldout, prepared.task, prepared.seed
    with clock.stage("training against training"):
        reference = NearestIndex.of(train, prepared.whole, task, prepared.behavior)
        rows = _measured_training(prepared)
        own = rows[:, None] == np.arange(len(train))
        behavior = {"training": reference.behavior}
        training = measure(
            "training",
            train if len(rows) == len(train) else train.select(rows),
            reference,
            exclude=own,
            behavior=None
            if reference.behavior is None
            else reference.behavior[torch.from_numpy(rows)],
            only_near=heldout is not None,
        )
    with clock.stage("held-out against training"):
        held, scratch = None, None
        if heldout is not None:
            behavior["heldout"] = None if task is None else task.behave(heldout)
            held = measure("heldout", heldout, reference, behavior=behavior["heldout"])
        originals = Originals.of(prepared, rows)
        if held is not None:
            refuse_leaks(prepared, held, training, originals)
        null = _null_distribution(prepared, reference, held, training, own)
        if prepared.from_scratch is not None:
            quality = None if task is None else task.quality
            scratch = measured_from_scratch(prepared.from_scratch, reference, quality)
    with clock.stage("generated against training"):
        behavior["generated"] = None if task is None else task.behave(prepared.generated)
        generated = scored = measure(
            "generated", prepared.generated, reference, behavior=behavior["generated"]
        )
        if prepared.all_training is not None:
            weights, every = prepared.generated.learned, prepared.all_training.learned
            steps = nearest(weights, every, alignment=prepared.alignment)
            step_distance, step_rows = steps.distances[:, 0], steps.rows[:, 0]
            generated = replace(generated, step_distance=step_distance, step_rows=step_rows)
            scored = generated
        if held is None:
            scored = measure(
                "generated",
                prepared.generated,
                reference,
                exclude=one_left_out(prepared.generated, train, seed),
                behavior=behavior["generated"],
            )
    return Measured(
        prepared,
        reference,
        rows,
        training,
        held,
        generated,
        scored,
        scratch,
        null,
        originals,
        behavior,
    )


def _measured_training(prepared: Prepared) -> Int[np.ndarray, " rows"]:
    """Training rows whose nearest neighbors among the others are sought, ascending: all, or
    `N_TRAINING` drawn at random. Where training runs stand in for held-out ones, all."""
    n = len(prepared.train)
    if prepared.heldout is None or n <= N_TRAINING:
        return np.arange(n)
    rng = numpy_rng_for(prepared.seed, "measured training checkpoints")
    return np.sort(rng.permutation(n)[:N_TRAINING])


def _null_distribution(
    prepared: Prepared,
    reference: NearestIndex,
    held: Measurements | None,
    training: Measurements,
    own: np.ndarray,
) -> NullDistribution:
    """Held-out runs with their hull ratios at other norms; else training runs, own run excluded."""
    population, findings, exclude = prepared.train, training, own
    if prepared.heldout is not None and held is not None:
        population, findings, exclude = prepared.heldout, held, None
    ladder, raw = ladder_of(population, reference, aligned=True, exclude=exclude), None
    if reference.alignment is not None:
        raw = ladder_of(population, reference, aligned=False, exclude=exclude)
    task = prepared.task
    quality, novelty = (None, None) if task is None else (task.quality, task.novelty)
    return NullDistribution(findings, ladder, raw, quality, novelty)
