"""The paper's baselines, made from the training checkpoints and measured as generated ones are."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.auditing.controls.matching import match_noise
from novelweights.auditing.measure.measured import Measured
from novelweights.auditing.measure.measurements import like, measure
from novelweights.auditing.prepare import Prepared
from novelweights.auditing.result import Measurements
from novelweights.errors import count
from novelweights.seeding import rng_for
from novelweights.weights.layout import WeightLayout
from novelweights.weights.perturb import (
    add_noise,
    average_rows,
    parameter_gaussian,
    pick_rows,
    statistics_within,
)
from novelweights.weights.population import Population

N_BASELINE = 100
"""Checkpoints per baseline, as in the paper's figure 6."""
GAUSSIAN = "Gaussian"


class Baselines(NamedTuple):
    """The paper's baselines of one audit."""

    found: dict[str, Measurements]
    notes: dict[str, str]
    """How each was made or why it was not."""
    noise_std: float | None
    """Of the noise at matched novelty, in weight units; None: no amplitude reaches it."""


def n_baseline(n_generated: int) -> int:
    """Checkpoints per baseline, for so many generated ones."""
    return min(N_BASELINE, max(20, n_generated))


def average_of(of: int) -> str:
    """The name of that baseline."""
    return f"average of {of}"


def mixtures(
    weights: Float[Tensor, "m d"], layout: WeightLayout, n: int, *, seed: int
) -> dict[str, Tensor]:
    """Averages of 2 and of 16, as far as there are as many checkpoints, and a Gaussian.

    Args:
        weights: Training checkpoints, at least two.
        layout: Their parameters.
        n: Checkpoints of each.
        seed: Root of the draws; equal for equal arguments.

    Returns:
        Float[Tensor, "n d"] by the name of the baseline.
    """
    mixtures_by_name = {
        average_of(of): average_rows(weights, n, of=of, rng=rng_for(seed, "average", of))
        for of in (2, 16)
        if len(weights) >= of
    }
    drawn = parameter_gaussian(weights, n, rng=rng_for(seed, "gaussian"))
    return mixtures_by_name | {GAUSSIAN: statistics_within(drawn, weights, layout)}


def noised(parents: Population, n: int, std: float, *, seed: int) -> Population:
    """n checkpoints with noise, in the same directions at every amplitude.

    Running statistics get none: a variance could fall below zero.

    Args:
        parents: What noise is added to; each is used before any is used twice.
        n: Checkpoints to make.
        std: Of the noise, in weight units.
        seed: Root of the draws.
    """
    rows = pick_rows(len(parents), n, rng=rng_for(seed, "noise parents"))
    picked = parents.select(rows.numpy())
    weights = add_noise(picked.weights, std, rng=rng_for(seed, "noise directions"))
    weights = torch.where(picked.layout.is_learned, weights, picked.weights)
    return picked.with_weights(weights, split="noise")


def paper_baselines(measured: Measured) -> Baselines:
    """Noise addition at matched novelty, averages of 2 and of 16, per-parameter Gaussian."""
    prepared, reference, made = measured.given, measured.reference, measured.generated
    train, task, behavior, seed = prepared.train, prepared.task, reference.behavior, prepared.seed
    if task is None or made.novelty is None or behavior is None:
        raise ValueError("baselines are compared by behavior")
    weights, n = train.weights, n_baseline(len(made))
    parents = train if prepared.noise_from is None else prepared.noise_from
    measurements: dict[str, Measurements] = {}
    notes: dict[str, str] = {}

    @lru_cache(maxsize=4)  # the noise that is found is mostly among the last tried
    def behavior_at(std: float) -> Tensor:
        return task.behave(noised(parents, n, std, seed=seed))

    def novelty_at(std: float) -> np.ndarray:
        return task.novelty_against(behavior_at(std), behavior).numpy()

    matched = match_noise(
        float(np.median(made.novelty)),
        novelty_at,
        largest=4 * float(parents.learned.std()),
        higher_is_novel=task.novelty.higher_is_better,
        what=noise_parents(prepared),
    )
    notes["noise"] = matched.note
    if matched.std is not None:
        with_noise = noised(parents, n, matched.std, seed=seed)
        measurements["noise"] = measure(
            "noise", with_noise, reference, behavior=behavior_at(matched.std), only_near=True
        )
    mixed = mixtures(weights, train.layout, n, seed=seed)
    how_made = {
        average_of(of): f"plain means of {of} random training checkpoints"
        if average_of(of) in mixed
        else f"needs {of} training runs, there are {len(weights)}"
        for of in (2, 16)
    }
    how_made[GAUSSIAN] = "an independent Gaussian per parameter over the training checkpoints"
    for name, how in how_made.items():
        if name in mixed:
            measurements[name] = measure(name, like(train, mixed[name]), reference, only_near=True)
        notes[name] = how
    return Baselines(measurements, notes, matched.std)


def noise_parents(prepared: Prepared) -> str:
    """What noise is added to, in words."""
    noise_from = prepared.noise_from
    if noise_from is None:
        given_back = " as the codec gives them back" if prepared.originals is not None else ""
        return f"training checkpoints{given_back}"
    decoded = all(split == "reconstruction" for split in noise_from.records.split)
    what = "chosen reconstructions" if decoded else "chosen training checkpoints"
    n_runs = len(set(noise_from.records.run))
    return f"{what} ({len(noise_from):,}, from {count(n_runs, 'run')})"
