"""Parameters that several networks have in common, bit by bit: never by chance. Source: ours."""

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from novelweights.weights.layout import WeightLayout


def shared_parameters(
    weights: Float[Tensor, "n d"], layout: WeightLayout, runs: Sequence[str]
) -> dict[str, list[Int[np.ndarray, " k"]]]:
    """The matrices and filters that some runs share and others do not, with the rows of each set.

    What all runs share is fixed by the recipe; constants and checkpoints that are the same as a
    whole say nothing of one layer, and biases may stay where neurons are reordered.
    """
    names = np.asarray(runs, dtype=object)
    whole = _digests(weights)
    found: dict[str, list[np.ndarray]] = {}
    slices = layout.slices
    for name in (name for name, shape in layout.shapes if len(shape) > 1):
        part = weights[:, slices[name]]
        varies = (part != part[:, :1]).any(dim=1).numpy()
        sets: dict[bytes, list[int]] = {}
        for row, digest in enumerate(_digests(part)):
            if varies[row]:
                sets.setdefault(digest, []).append(row)
        for rows in map(np.array, sets.values()):
            n_runs = len(set(names[rows]))
            is_part = n_runs > 1 and n_runs < len(set(runs))
            if is_part and len({whole[row] for row in rows}) > 1:
                found.setdefault(name, []).append(rows)
    return found


def _digests(weights: Float[Tensor, "n d"]) -> list[bytes]:
    """A hash of the bytes of each row; -0 is 0."""
    rows = (weights + 0.0).numpy()
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]
