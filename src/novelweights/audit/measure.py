"""Every number of one population against the training checkpoints: space, mixture, behavior."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from novelweights.audit.result import Findings
from novelweights.metrics.agreement import prediction_overlap
from novelweights.metrics.neighbors import Alignment, nearest
from novelweights.metrics.sources import find_sources, shrunk_towards_mean
from novelweights.tasks.task import Task
from novelweights.weights.population import Population

N_NEIGHBORS = 3
HELDOUT_BLOCK = 64
SHRINK_FACTORS = (0.15, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0, 1.25)
"""Held-out runs are shrunk by these to compare hull ratios at equal norm (DESIGN section 5)."""


@dataclass(frozen=True, eq=False)
class Reference:
    """The training checkpoints, their behavior, and the declared distance and task."""

    training: Population
    alignment: Alignment | None
    task: Task | None
    behavior: Tensor | None

    @classmethod
    def of(
        cls, training: Population, alignment: Alignment | None, task: Task | None
    ) -> "Reference":
        """The reference for a training population, its behavior computed once."""
        return cls(training, alignment, task, task.behave(training) if task else None)


def measure(
    label: str,
    population: Population,
    reference: Reference,
    *,
    exclude: Bool[np.ndarray, "n m"] | None = None,
    behavior: Tensor | None = None,
) -> Findings:
    """All measures of a population against the training checkpoints.

    Args:
        label: Its name in the result.
        population: n checkpoints.
        reference: m training checkpoints.
        exclude: True where a training checkpoint must not count for a row (its own run).
        behavior: The population's behavior, if it is known already.
    """
    queries, trained = population.weights, reference.training.weights
    allowed = len(trained) - (0 if exclude is None else int(exclude.sum(axis=1).max()))
    k = min(N_NEIGHBORS, allowed)
    near = nearest(queries, trained, k=k, exclude=exclude, alignment=reference.alignment)
    raw = nearest(queries, trained, k=1, exclude=exclude)
    sources = find_sources(queries, trained, alignment=reference.alignment, exclude=exclude)
    plain = sources
    if reference.alignment is not None:
        plain = find_sources(queries, trained, exclude=exclude)
    behaved = {}
    if reference.task is not None and reference.behavior is not None:
        if behavior is None:
            behavior = reference.task.behave(population)
        banned = None if exclude is None else torch.from_numpy(exclude)
        behaved = {
            "quality": reference.task.score(behavior).numpy(),
            "novelty": reference.task.novelty_against(
                behavior, reference.behavior, exclude=banned
            ).numpy(),
        }
        if behavior.dtype == torch.uint8:  # predicted classes
            partners = reference.behavior[torch.from_numpy(near.rows[:, 0])]
            behaved["overlap"] = prediction_overlap(behavior, partners).numpy()
    return Findings(
        label=label,
        names=[str(run) for run in population.records.run],
        neighbor_rows=near.rows,
        neighbor_distances=near.distances,
        distance_lower=near.distances[:, 0],
        raw_distance=raw.distances[:, 0],
        cosine=sources.cosine,
        norm=sources.norm,
        hull_ratio=hull_ratio(sources.hull_distance, near.distances[:, 0]),
        raw_hull_ratio=hull_ratio(plain.hull_distance, raw.distances[:, 0]),
        raw_norm=plain.norm,
        source_rows=sources.rows,
        source_weights=sources.weights,
        **behaved,
    )


def hull_ratio(hull_distance: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Distance to the hull over nearest distance, in [0, 1]; 1 for an exact copy (0 over 0)."""
    ratio = np.ones_like(distance)
    np.divide(hull_distance, distance, out=ratio, where=distance > 1e-12)
    return np.minimum(ratio, 1.0)


def hull_ratio_at_norm(
    heldout: Population,
    reference: Reference,
    norms: np.ndarray,
    *,
    aligned: bool,
    exclude: Bool[np.ndarray, "n m"] | None = None,
) -> np.ndarray:
    """Hull ratio of every held-out run if it had another norm, (n_heldout, norms).

    Shrinking a network moves it towards the hull without mixing anything, so a generated
    checkpoint is compared with held-out runs of its own norm: each is shrunk towards the mean by
    several factors, aligned and measured again, and interpolated.
    """
    trained, n_factors = reference.training.weights, len(SHRINK_FACTORS)
    alignment = reference.alignment if aligned else None
    out = np.empty((len(heldout), len(norms)))
    for start in range(0, len(heldout), HELDOUT_BLOCK):
        block = heldout.weights[start : start + HELDOUT_BLOCK]
        ladder = shrunk_towards_mean(block, trained, SHRINK_FACTORS, alignment=alignment)
        ladder = ladder.reshape(-1, ladder.shape[2])  # (block factors, d)
        banned = None
        if exclude is not None:  # each run against the others, where training runs stand in
            banned = np.repeat(exclude[start : start + HELDOUT_BLOCK], n_factors, axis=0)
        sources = find_sources(ladder, trained, alignment=alignment, exclude=banned)
        near = nearest(ladder, trained, alignment=alignment, exclude=banned)
        ratios = hull_ratio(sources.hull_distance, near.distances[:, 0]).reshape(-1, n_factors)
        for i, at in enumerate(sources.norm.reshape(-1, n_factors)):
            order = np.argsort(at, kind="stable")
            out[start + i] = np.interp(norms, at[order], ratios[i][order])
    return out


def same_run(one: Population, other: Population) -> Bool[np.ndarray, "n m"]:
    """True where two checkpoints come from one run."""
    return np.asarray(one.records.run)[:, None] == np.asarray(other.records.run)[None, :]
