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
    made: Findings,
    reference: Reference,
    seed: int,
    *,
    noise_from: Population | None = None,
    through_codec: bool = False,
) -> tuple[dict[str, Findings], dict[str, str]]:
    """Noise addition at matched novelty, averages of 2 and of 16, per-parameter Gaussian.

    Args:
        made: The generated checkpoints, with their behavior.
        reference: The training checkpoints that are compared, with theirs.
        seed: Root of the draws.
        noise_from: What noise is added to; None: the training checkpoints of `reference`.
        through_codec: Whether these are what a lossy codec gives back.

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

    def with_noise(std: float) -> Population:
        rng = rng_for(seed, "noise directions")  # the same directions at every amplitude
        return picked.with_weights(add_noise(picked.weights, std, rng=rng), split="noise")

    def novelty_at(std: float) -> np.ndarray:
        return task.novelty_against(task.behave(with_noise(std)), behavior).numpy()

    matched = match_noise(
        float(np.median(made.novelty)),
        novelty_at,
        largest=4 * float(parents.weights.std()),
        higher_is_novel=task.novelty.higher_is_better,
        what=noise_parents(noise_from, through_codec=through_codec),
    )
    notes["noise"] = matched.note
    if matched.std is not None:
        found["noise"] = measure("noise", with_noise(matched.std), reference, only_near=True)
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


def noise_parents(noise_from: Population | None, *, through_codec: bool) -> str:
    """What noise is added to, in words.

    Args:
        noise_from: What was given; None: the training checkpoints that are compared.
        through_codec: Whether reconstructions stand in for these.
    """
    if noise_from is None:
        given_back = " as the codec gives them back" if through_codec else ""
        return f"training checkpoints{given_back}"
    decoded = all(split == "reconstruction" for split in noise_from.records.split)
    what = "chosen reconstructions" if decoded else "chosen training checkpoints"
    n_runs = len(set(noise_from.records.run))
    return f"{what} ({len(noise_from):,}, from {count(n_runs, 'run')})"
