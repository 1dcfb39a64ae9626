"""What the records do not say: checkpoints of one run, and held-out runs of another recipe."""

import numpy as np
import torch
from jaxtyping import Float

from novelweights.audit.calibration import nearer_probability
from novelweights.audit.criteria import DEFAULT_CRITERIA
from novelweights.audit.result import Findings
from novelweights.metrics.neighbors import Alignment, nearest
from novelweights.metrics.relatives import related_groups, run_spacing
from novelweights.weights.population import Population

N_SPACING = 64
"""Held-out runs that say how far apart runs lie, for telling runs from steps of one."""


def one_of_each_run(
    train: Population, heldout: Population | None, alignment: Alignment | None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Rows of one checkpoint of each run, where the records name more runs than there are.

    Checkpoints far nearer to each other than runs are to runs (steps of one run under other
    names, near-duplicates) count once.

    Args:
        train: At least two training checkpoints, one per run by their records.
        heldout: Held-out runs, one checkpoint each.
        alignment: The declared symmetry.

    Returns:
        Rows of training and of held-out checkpoints to keep, and what to tell the user.
    """
    if heldout is not None and len(heldout):
        few = heldout.weights[:N_SPACING]
        near = nearest(few, train.weights, alignment=alignment)
        scale = float(np.median(near.distances))
    else:
        scale = run_spacing(train.weights)
    told: list[str] = []
    kept: list[np.ndarray] = []
    for role, population in (("training", train), ("held-out", heldout)):
        n = 0 if population is None else len(population)
        rows = np.arange(n)
        if population is not None and n > 1:
            groups = related_groups(population.weights, scale=scale)
            rows = np.sort(n - 1 - np.unique(groups[::-1], return_index=True)[1])  # last of each
        if len(rows) < n:
            told.append(
                f"{n} {role} checkpoints with different names come from {len(rows)} "
                "runs, or are near-duplicates: they lie far nearer to each other than independent "
                "runs do. One of each counts; `novelweights lint` lists them."
            )
        kept.append(rows)
    return kept[0], kept[1], told


def other_recipe(
    train: Population, heldout: Population, trained: Findings, fresh: Findings
) -> list[str]:
    """Warnings where held-out runs are visibly no runs of the training recipe."""
    told = []

    def compare(what: str, ours: np.ndarray, theirs: np.ndarray) -> None:
        p_value = nearer_probability(ours, theirs)[1]
        if p_value < DEFAULT_CRITERIA.recipe_p_value:
            told.append(
                f"Held-out runs differ from training runs in {what} (medians "
                f"{np.median(theirs):.4g} and {np.median(ours):.4g}, rank test p = "
                f"{p_value:.1g}): are they of the same recipe? If not, near and far mean "
                "something else."
            )

    compare("the norm of their weights", _norms(train.weights), _norms(heldout.weights))
    if trained.quality is not None and fresh.quality is not None:
        compare("quality", trained.quality, fresh.quality)
    steps = [np.asarray(population.records.step) for population in (train, heldout)]
    if all((step > 0).any() for step in steps) and np.median(steps[0]) != np.median(steps[1]):
        told.append(
            f"Held-out runs were trained for {np.median(steps[1]):.0f} steps, training runs for "
            f"{np.median(steps[0]):.0f}: expected the same recipe."
        )
    return told


def _norms(weights: Float[torch.Tensor, "n d"]) -> Float[np.ndarray, " n"]:
    return weights.double().norm(dim=1).numpy()
