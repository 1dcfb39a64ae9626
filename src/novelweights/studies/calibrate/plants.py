"""What is planted: checkpoints of known origin, made from one training population.

The audit's own controls make most of them; here are the finer noise ladder, other epochs of
training runs, and noisy averages of aligned runs.
"""

import math

import torch

from novelweights.auditing.controls.planting import (
    COPY,
    MIXTURE_NOISE,
    NOT_ACCUSED,
    NOT_NOVEL,
    SHRINK,
    Plant,
    Planter,
)
from novelweights.metrics.alignment import Alignment
from novelweights.seeding import rng_for, seed_for
from novelweights.studies.calibrate.pool import EARLY, Pool
from novelweights.weights.layout import WeightLayout
from novelweights.weights.perturb import add_noise, pick_rows

NOISES = (0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
"""Length of the noise over the median distance of held-out runs."""
FRESH, COPIES, NOISY_COPIES = "fresh", "copies", "copies_noise_0.25"


def plants(pool: Pool, index: int, n: int, *, spacing: float, seed: int) -> list[Plant]:
    """Every kind: fresh runs first, then n checkpoints of each planted kind.

    `spacing` is the median distance of held-out runs to the training population number `index`.
    """
    training, network = pool.training[index], pool.zoo.network
    alignment = Alignment.of(network.layout, network.symmetry)
    own = seed_for(seed, pool.zoo.name, "planted", index)
    planter = Planter(training.weights, network.layout, alignment, spacing, own)
    mixed = planter.mixtures(n)
    planted = [
        Plant(FRESH, "fresh runs", pool.finished.weights, NOT_ACCUSED),
        planter.copies(n),
        *(planter.copies(n, noise) for noise in NOISES),
        *planter.moved(n),
        *_other_epochs(pool, index, n, own),
        *mixed,
        *_noised(mixed, network.layout, spacing, own),
        *planter.mosaics(n, pool.finished),
        *planter.neuron_mosaics(n),
        *planter.gaussians(n),
    ]
    labels = {
        "shrunk": f"fresh runs x {SHRINK:g}",
        "early": f"fresh runs stopped after {EARLY:.0%} of their epochs",
    }
    decoys = planter.decoys(n, pool.fresh)
    return planted + [p._replace(label=labels.get(p.key, p.label)) for p in decoys]


def _other_epochs(pool: Pool, index: int, n: int, seed: int) -> list[Plant]:
    """Training runs as they were before their end."""
    planted = []
    for share, weights in pool.earlier[index].items():
        rows = pick_rows(len(weights), n, rng=rng_for(seed, "epoch", str(share)))
        label = f"training runs at {share:.0%} of their epochs"
        planted.append(Plant(f"epoch_{100 * share:.0f}", label, weights[rows], COPY))
    return planted


def _noised(mixed: list[Plant], layout: WeightLayout, spacing: float, seed: int) -> list[Plant]:
    """Averages of aligned runs, with noise on what is learned."""
    planted = []
    for plant in mixed:
        if not plant.key.endswith("_aligned"):
            continue
        std = MIXTURE_NOISE * spacing / math.sqrt(layout.learned.size)
        noised = add_noise(plant.weights, std, rng=rng_for(seed, "noised", plant.key))
        noised = torch.where(layout.is_learned, noised, plant.weights)
        label = f"{plant.label} + noise of {MIXTURE_NOISE:g}"
        planted.append(Plant(f"{plant.key}_noise", label, noised.to(torch.float32), NOT_NOVEL))
    return planted
