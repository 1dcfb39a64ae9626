"""Parameters that several networks have in common, bit by bit: never by chance. Source: ours."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from novelweights.weights.layout import WeightLayout


def shared_parameters(
    weights: Iterable[Float[Tensor, " d"]], layout: WeightLayout, runs: Sequence[str]
) -> dict[str, list[Int[np.ndarray, " k"]]]:
    """The matrices and filters that some runs share and others do not, with the rows of each set.

    What all runs share is fixed by the recipe; constants and checkpoints that are the same as a
    whole say nothing of one layer, and biases may stay where neurons are reordered.

    Args:
        weights: The checkpoints, one after another.
        layout: Theirs.
        runs: Which run each is of.
    """
    names, checkpoints = np.asarray(runs, dtype=object), list(weights)
    whole = [_digest(one) for one in checkpoints]
    found: dict[str, list[np.ndarray]] = {}
    slices = layout.slices
    for name in (name for name, shape in layout.shapes if len(shape) > 1):
        sets: dict[bytes, list[int]] = {}
        for row, one in enumerate(checkpoints):
            part = one[slices[name]]
            if (part != part[0]).any():
                sets.setdefault(_digest(part), []).append(row)
        for rows in map(np.array, sets.values()):
            n_runs = len(set(names[rows]))
            is_part = n_runs > 1 and n_runs < len(set(runs))
            if is_part and len({whole[row] for row in rows}) > 1:
                found.setdefault(name, []).append(rows)
    return found


def _digest(weights: Float[Tensor, " d"]) -> bytes:
    """A hash of the bytes; -0 is 0."""
    return hashlib.blake2b((weights + 0.0).numpy().tobytes(), digest_size=16).digest()
