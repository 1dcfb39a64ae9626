"""Whether samples of HyperDiffusion lie near the reordered copies that it learned from.

With `--permutations` a fit learns from copies of training checkpoints with reordered neurons too.
An audit of deep networks does not align neurons: a replica of such a copy is far from every
training checkpoint and looks new. This draws the orders of a fit again, from its seed, and tells
how far samples and held-out runs are from originals and from reordered copies.

`python -m benchmarks.reordered_copies --population ZOO --samples SAMPLES` for samples of
`novelweights fit hyperdiffusion --population ZOO --permutations N --seed SEED`.
"""

import argparse
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.errors import InputError
from novelweights.generators.hyperdiffusion import HyperDiffusion
from novelweights.metrics.neighbors import nearest
from novelweights.readers import read_checkpoints
from novelweights.seeding import rng_for

NEAR = 0.5
"""Of the median distance of held-out runs to the nearest of all that was learned from."""


def main(population: Path, samples: Path, permutations: int = 1, seed: int = 0) -> None:
    """Print distances to originals and to their reordered copies.

    Args:
        population: What was learned from, with held-out runs.
        samples: What was sampled.
        permutations: Reordered copies of each, as in the fit.
        seed: Of the fit.

    Raises:
        InputError: The population says no symmetry, or has no held-out runs.
    """
    training = read_checkpoints(population, split="train")
    heldout = read_checkpoints(population, split="heldout")
    if not len(heldout):
        raise InputError(f"{population}: expected held-out runs, got none; build it with some")
    method = HyperDiffusion(permutations=permutations)
    learned = method.learned_from(training, rng=rng_for(seed, "fit", "hyperdiffusion"))
    copies = learned[len(training) :]
    fresh = float(_distances(heldout.weights, learned).median())
    made = read_checkpoints(samples).weights
    groups = {"samples": made, "held-out runs": heldout.weights}
    print(
        f"reordered copies: {len(training)} training checkpoints, {len(copies)} reordered copies; "
        "median distance (10% to 90%) to the nearest"
    )
    for name, weights in groups.items():
        near = {"original": training.weights, "reordered copy": copies, "of all": learned}
        for what, those in near.items():
            found = _distances(weights, those)
            low, middle, high = found.quantile(torch.tensor([0.1, 0.5, 0.9]).double()).tolist()
            share = float((found < NEAR * fresh).double().mean())
            print(
                f"  {len(weights)} {name}, {what}: {middle:.3g} ({low:.3g} to {high:.3g}); "
                f"{100 * share:.0f}% within {NEAR:g} of the median of held-out runs"
            )


def _distances(queries: Float[Tensor, "n d"], those: Float[Tensor, "m d"]) -> Float[Tensor, " n"]:
    return torch.from_numpy(nearest(queries, those, k=1).distances[:, 0]).double()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--population", type=Path, required=True)
    parser.add_argument("--samples", type=Path, required=True)
    parser.add_argument("--permutations", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
