"""What the records do not say: checkpoints of one run, and held-out runs of another recipe."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from novelweights.auditing.judge.checkpoint_verdict import working
from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA
from novelweights.auditing.judge.statistics import nearer_probability
from novelweights.errors import Note, count
from novelweights.metrics.alignment import Alignment
from novelweights.metrics.neighbors import nearest
from novelweights.metrics.relatives import LINKED, related_groups, reordered_twins, run_spacing
from novelweights.tasks.task import Measure
from novelweights.weights.population import Population, last_of_each_run

TWINS = 0.1
"""Reordered checkpoints at most this share of the spacing of runs apart are one and the same."""
SAME = 0.01
"""Samples at most this share of the spacing apart are one sample."""
N_SPACING = 64
"""Held-out runs that say how far apart runs lie, for telling runs from steps of one."""


def one_of_each_run(
    train: Population, heldout: Population | None, alignment: Alignment | None
) -> tuple[np.ndarray, np.ndarray, list[Note]]:
    """Rows of one checkpoint of each run, where the records name more runs than there are.

    Checkpoints far nearer to each other than runs are to runs (steps of one run under other
    names, near-duplicates) count once.

    Args:
        train: At least two training checkpoints, one per run by their records.

    Returns:
        Rows of training and of held-out checkpoints to keep, and what to tell the user.
    """
    if heldout is not None and len(heldout):
        few = heldout.learned[:N_SPACING]
        near = nearest(few, train.learned, alignment=alignment)
        scale = float(np.median(near.distances))
    else:
        scale = run_spacing(train.learned)
    notes: list[Note] = []
    kept: list[np.ndarray] = []
    for role, population in (("training", train), ("held-out", heldout)):
        n = 0 if population is None else len(population)
        rows = np.arange(n)
        if population is not None and n > 1:
            rows = _last_of_each(related_groups(population.learned, scale=scale))
            if alignment is not None and len(rows) > 1:
                left = population.learned[torch.from_numpy(rows)]
                twins = reordered_twins(left, alignment, radius=TWINS * scale)
                rows = rows[_last_of_each(twins)]
        if len(rows) < n:
            text = (
                f"{n} {role} checkpoints with different names come from {count(len(rows), 'run')}, "
                "or are near-duplicates: they lie far nearer to each other than independent "
                "runs do. One of each counts; `novelweights lint` lists them."
            )
            notes.append(Note("related-runs", text))
        kept.append(rows)
    return kept[0], kept[1], notes


def _last_of_each(groups: Int[np.ndarray, " n"]) -> Int[np.ndarray, " k"]:
    """The last row of each group, in row order."""
    return np.sort(len(groups) - 1 - np.unique(groups[::-1], return_index=True)[1])


def first_of_equals(weights: Float[torch.Tensor, "n d"], spacing: float) -> Bool[np.ndarray, " n"]:
    """True for the first of each group of samples that are the same but for a hundredth.

    The same sample again is no further evidence.

    Args:
        weights: Generated checkpoints.
        spacing: Median distance of held-out runs to training.
    """
    groups = related_groups(weights, scale=SAME / LINKED * spacing)
    first = np.zeros(len(weights), dtype=bool)
    first[np.unique(groups, return_index=True)[1]] = True
    return first


def other_recipe(
    train: Population,
    heldout: Population,
    trained: Float[np.ndarray, " n"] | None,
    heldout_quality: Float[np.ndarray, " h"] | None,
    quality: Measure | None,
) -> list[Note]:
    """Warnings where held-out runs are visibly no runs of the training recipe.

    The last checkpoint of each training run counts, also where all steps of few runs are compared.

    Args:
        train: Training checkpoints: not what a codec gives back of them, which is no recipe's.
        trained: Quality of the training checkpoints; None: not known.
        heldout_quality: The same of the held-out runs.
    """
    warnings, rows = list[Note](), last_of_each_run(train.records)
    train, trained = train.select(rows), None if trained is None else trained[rows]

    def compare(what: str, ours: np.ndarray, theirs: np.ndarray) -> None:
        p_value = nearer_probability(ours, theirs)[1]
        if p_value < DEFAULT_CRITERIA.recipe_p_value:
            text = (
                f"Held-out runs differ from training runs in {what} (medians "
                f"{np.median(theirs):.4g} and {np.median(ours):.4g}, rank test p = "
                f"{p_value:.1g}): are they of the same recipe? If not, near and far mean "
                "something else."
            )
            warnings.append(Note("other-recipe", text))

    if heldout_quality is not None and quality is not None:
        failed = len(heldout_quality) - len(working(heldout_quality, quality))
        if failed:
            text = (
                f"{count(failed, 'held-out run')} work far worse than the others: "
                "training that failed? They do not count for what works; remove them."
            )
            warnings.append(Note("failed-heldout", text))
    compare("the norm of their weights", _norms(train.learned), _norms(heldout.learned))
    if trained is not None and heldout_quality is not None:
        compare("quality", trained, heldout_quality)
    steps = [np.asarray(population.records.step) for population in (train, heldout)]
    if all((step > 0).any() for step in steps) and np.median(steps[0]) != np.median(steps[1]):
        text = (
            f"Held-out runs were trained for {np.median(steps[1]):.0f} steps, training runs for "
            f"{np.median(steps[0]):.0f}: expected the same recipe."
        )
        warnings.append(Note("other-recipe", text))
    return warnings


def _norms(weights: Float[torch.Tensor, "n d"]) -> Float[np.ndarray, " n"]:
    return weights.double().norm(dim=1).numpy()
