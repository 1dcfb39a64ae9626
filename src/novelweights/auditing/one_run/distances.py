"""Distances between all pairs, and to the nearest: the paper's table 4, with held-out runs beside.

Plain L2, as in the paper, by direct differences in float64.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.auditing.measure.estimates import (
    AS_IT_IS,
    FIXED,
    Estimate,
    of_fixed_pairs,
    of_pairs,
    of_rows,
)
from novelweights.auditing.measure.measured import Measured
from novelweights.auditing.prepare import Prepared
from novelweights.metrics.alignment import pair_distances
from novelweights.seeding import numpy_rng_for, rng_for

MAX_ROWS = 500
"""Checkpoints of a kind whose distances to all of another kind are measured; of more, a sample."""
NO_SCRATCH = "Fewer than two networks trained from scratch were given (--from-scratch)."
NO_HELDOUT = "No held-out runs were given (--heldout)."
_ALL = "Mean plain L2 distance over all pairs of"
_NEAR = "Mean plain L2 distance from"

DISTANCES = {
    "pairs_training": (
        "Mean distance, training to training, all pairs",
        f"{_ALL} training checkpoints (paper, table 4). {FIXED}",
    ),
    "pairs_training_generated": (
        "Mean distance, generated to training, all pairs",
        f"{_ALL} a generated and a training checkpoint (paper, table 4). Bootstrap over samples; "
        f"{AS_IT_IS}.",
    ),
    "pairs_from_scratch": (
        "Mean distance, from scratch to from scratch, all pairs",
        f"{_ALL} networks trained from scratch (paper, table 4). Bootstrap over these.",
        NO_SCRATCH,
    ),
    "nearest_training": (
        "Mean distance, training to nearest training",
        f"{_NEAR} training checkpoints to the nearest other one (paper, table 4). {FIXED}",
    ),
    "nearest_generated": (
        "Mean distance, generated to nearest training",
        f"{_NEAR} generated checkpoints to the nearest training checkpoint (paper, table 4). "
        f"Bootstrap over samples; {AS_IT_IS}.",
    ),
    "nearest_from_scratch": (
        "Mean distance, from scratch to nearest from scratch",
        f"{_NEAR} networks trained from scratch to the nearest other one (paper, table 4). "
        "Bootstrap over these.",
        NO_SCRATCH,
    ),
    "pairs_generated": (
        "Mean distance, generated to generated, all pairs",
        f"{_ALL} generated checkpoints. Bootstrap over samples.",
        "Fewer than two samples were given.",
    ),
    "pairs_heldout_training": (
        "Mean distance, held-out to training, all pairs",
        f"{_ALL} the last checkpoint of a held-out run and a training checkpoint. Bootstrap over "
        f"held-out runs; {AS_IT_IS}.",
        NO_HELDOUT,
    ),
    "nearest_heldout": (
        "Mean distance, held-out to nearest training",
        f"{_NEAR} the last checkpoints of held-out runs to the nearest training checkpoint. "
        f"Bootstrap over held-out runs; {AS_IT_IS}.",
        NO_HELDOUT,
    ),
    "pairs_heldout": (
        "Mean distance, held-out to held-out, all pairs",
        f"{_ALL} last checkpoints of different held-out runs. Bootstrap over held-out runs.",
        "Fewer than two held-out runs were given (--heldout).",
    ),
    "last_training_heldout": (
        "Mean distance, held-out to the end of training",
        f"{_NEAR} the last checkpoints of held-out runs to the last one of each training run: how "
        f"far apart runs of this recipe end. Bootstrap over held-out runs; {AS_IT_IS}.",
        NO_HELDOUT,
    ),
    "narrow_training": (
        "Distance among training over among from scratch",
        "Mean distance over all pairs of training checkpoints over that of networks trained from "
        "scratch (paper, table 4: 0.15). Small: a narrow range. Bootstrap over networks trained "
        f"from scratch; {AS_IT_IS}.",
        NO_SCRATCH,
    ),
    "narrow_generated": (
        "Distance of generated to training over among from scratch",
        "Mean distance over all pairs of a generated and a training checkpoint over that of "
        "networks trained from scratch (paper, table 4: 0.14). Small: a narrow range. Bootstrap "
        f"over samples and networks trained from scratch; {AS_IT_IS}.",
        NO_SCRATCH,
    ),
}
"""Label and definition of each distance, and why it may be missing, in the order of the table."""


@dataclass(frozen=True, eq=False)
class Kinds:
    """The weights of each kind of checkpoint, at most `MAX_ROWS` of it, drawn at random."""

    training: Float[Tensor, "_ d"]
    ends: Float[Tensor, "runs d"]
    """The last step of each training run, all of them."""
    generated: Float[Tensor, "_ d"]
    heldout: Float[Tensor, "_ d"]
    """The last step of each held-out run; no rows without them."""
    scratch: Float[Tensor, "_ d"]
    """Networks trained from scratch; no rows without them."""

    @classmethod
    def of(cls, prepared: Prepared) -> "Kinds":
        """Those of an audit."""
        train = prepared.train.learned

        def some(weights: Tensor, label: str) -> Tensor:
            if len(weights) <= MAX_ROWS:
                return weights
            order = torch.randperm(len(weights), generator=rng_for(prepared.seed, "kinds", label))
            return weights[order[:MAX_ROWS].sort().values]

        heldout, scratch = prepared.heldout, prepared.from_scratch
        return cls(
            training=some(train, "training"),
            ends=train[torch.from_numpy(prepared.run_ends)],
            generated=some(prepared.generated.learned, "generated"),
            heldout=train[:0] if heldout is None else some(heldout.learned, "heldout"),
            scratch=train[:0] if scratch is None else some(scratch.learned, "from scratch"),
        )


def distances(measured: Measured) -> dict[str, Estimate]:
    """The numbers of `DISTANCES`, by their keys."""
    training, generated, heldout = measured.training, measured.generated, measured.heldout
    kinds, seed = Kinds.of(measured.given), measured.given.seed
    rng = numpy_rng_for(seed, "bootstrap", "one run", "distances")
    apart = among(kinds.scratch)
    by_name = {
        "pairs_training": of_fixed_pairs(among(kinds.training)),
        "pairs_training_generated": of_rows(
            between(kinds.generated, kinds.training).mean(axis=1), rng
        ),
        "pairs_from_scratch": of_pairs(apart, rng),
        "nearest_training": Estimate(float(training.raw_distance.mean()), len(training)),
        "nearest_generated": of_rows(generated.raw_distance, rng),
        "pairs_generated": of_pairs(among(kinds.generated), rng),
        "pairs_heldout_training": of_rows(between(kinds.heldout, kinds.training).mean(axis=1), rng),
        "nearest_heldout": of_rows(None if heldout is None else heldout.raw_distance, rng),
        "pairs_heldout": of_pairs(among(kinds.heldout), rng),
        "last_training_heldout": of_rows(between(kinds.heldout, kinds.ends).mean(axis=1), rng),
    }
    np.fill_diagonal(apart, np.inf)
    others = apart.min(axis=1) if len(apart) > 1 else None
    by_name["nearest_from_scratch"] = of_rows(others, rng)
    for key, of in (("training", "training"), ("generated", "training_generated")):
        by_name[f"narrow_{key}"] = by_name[f"pairs_{of}"].over(by_name["pairs_from_scratch"])
    return by_name


def between(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> Float[np.ndarray, "n m"]:
    """Plain L2 distance of every a to every b."""
    rows = [pair_distances(row.expand(len(b), -1), b) for row in a]
    return np.stack(rows) if rows else np.zeros((0, len(b)))


def among(a: Float[Tensor, "n d"]) -> Float[np.ndarray, "n n"]:
    """Plain L2 distances among checkpoints."""
    matrix = np.zeros((len(a), len(a)))
    for i in range(len(a) - 1):
        matrix[i, i + 1 :] = pair_distances(a[i].expand(len(a) - i - 1, -1), a[i + 1 :])
    return matrix + matrix.T
