"""The paper's baselines, made from the training checkpoints and measured as generated ones are."""

import numpy as np

from novelweights.audit.matching import match_noise
from novelweights.audit.measure import Reference, like, measure
from novelweights.audit.result import Findings
from novelweights.audit.words import count
from novelweights.seeding import rng_for
from novelweights.weights.perturb import add_noise, average_rows, parameter_gaussian, pick_rows
from novelweights.weights.population import Population

N_BASELINE = 100
"""Checkpoints per baseline, as in the paper's figure 6."""


def paper_baselines(
    made: Findings, reference: Reference, seed: int, *, noise_from: Population | None = None
) -> tuple[dict[str, Findings], dict[str, str]]:
    """Noise addition at matched novelty, averages of 2 and of 16, per-parameter Gaussian.

    Args:
        made: The generated checkpoints, with their behavior.
        reference: The training checkpoints that are compared, with theirs.
        seed: Root of the draws.
        noise_from: What noise is added to; None: the training checkpoints of `reference`.

    Returns:
        The baselines, and how each was made or why it was not.
    """
    train, task = reference.training, reference.task
    behavior = reference.behavior
    if task is None or made.novelty is None or behavior is None:
        raise ValueError("baselines are compared by behavior")
    weights, n = train.weights, min(N_BASELINE, max(20, len(made)))
    parents = train if noise_from is None else noise_from
    rows = pick_rows(len(parents), n, rng=rng_for(seed, "noise parents"))
    picked = parents.select(rows.numpy())
    found: dict[str, Findings] = {}
    notes: dict[str, str] = {}

    def noised(std: float) -> Population:
        rng = rng_for(seed, "noise directions")  # the same directions at every amplitude
        return picked.with_weights(add_noise(picked.weights, std, rng=rng), split="noise")

    def novelty_at(std: float) -> np.ndarray:
        return task.novelty_against(task.behave(noised(std)), behavior).numpy()

    matched = match_noise(
        float(np.median(made.novelty)),
        novelty_at,
        largest=4 * float(parents.weights.std()),
        higher_is_novel=task.novelty.higher_is_better,
        what="training checkpoints" if noise_from is None else _named(noise_from),
    )
    notes["noise"] = matched.note
    if matched.std is not None:
        found["noise"] = measure("noise", noised(matched.std), reference, only_near=True)
    for of in (2, 16):
        name = f"average of {of}"
        if len(weights) < of:
            notes[name] = f"needs {of} training runs, there are {len(weights)}"
            continue
        mixed = average_rows(weights, n, of=of, rng=rng_for(seed, "average", of))
        found[name] = measure(name, like(train, mixed), reference, only_near=True)
        notes[name] = f"plain means of {of} random training checkpoints"
    drawn = parameter_gaussian(weights, n, rng=rng_for(seed, "gaussian"))
    found["Gaussian"] = measure("Gaussian", like(train, drawn), reference, only_near=True)
    notes["Gaussian"] = "an independent Gaussian per parameter over the training checkpoints"
    return found, notes


def _named(parents: Population) -> str:
    """What noise is added to, in words."""
    decoded = all(split == "reconstruction" for split in parents.records.split)
    what = "chosen reconstructions" if decoded else "chosen training checkpoints"
    return f"{what} ({len(parents):,} of {count(len(set(parents.records.run)), 'run')})"
