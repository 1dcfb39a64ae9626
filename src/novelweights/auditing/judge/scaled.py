"""A factor that separates all samples from training and held-out runs, named for the reader.

Weights that were normalized for the generator and not scaled back are far from everything; nothing
else in an audit says why. Source: ours.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA
from novelweights.auditing.prepare import Prepared
from novelweights.errors import Note, first_few
from novelweights.weights.layout import WeightLayout
from novelweights.weights.shared_parameters import shared_parameters

SAME_FACTOR = 1.5
"""Factors of parameters at most this far apart are one."""


def common_factor(
    samples: Float[Tensor, "n d"], others: Sequence[Float[Tensor, "_ d"]], layout: WeightLayout
) -> float | None:
    """The factor between the norms of samples and of others; None if there is no common one.

    No sample's norm lies among the others' (by chance less often than a thousandth), and every
    parameter has about this factor.
    """
    made, known = _norms([samples]), _norms(others)
    n_ways = math.comb(len(made) + len(known), len(made))
    is_apart = made.min() > known.max() or made.max() < known.min()
    if not is_apart or 2 / n_ways > DEFAULT_CRITERIA.recipe_p_value or not np.median(known):
        return None
    parts = [
        [np.sqrt(np.mean(_norms(x, where) ** 2)) for x in ([samples], others)]
        for where in layout.slices.values()
    ]
    factors = [float(one / other) for one, other in parts if other > 0]
    if not factors or min(factors) <= 0 or max(factors) > SAME_FACTOR * min(factors):
        return None
    return float(np.median(made) / np.median(known))


def _norms(
    parts: Sequence[Float[Tensor, "_ d"]], where: slice = slice(None)
) -> Float[np.ndarray, " n"]:
    """Of some columns of all rows of all parts, in float64."""
    norms = [torch.linalg.vector_norm(x[:, where], dim=1, dtype=torch.float64) for x in parts]
    return torch.cat(norms).numpy()


def about_weights(prepared: Prepared) -> Iterator[Note]:
    """What the weights of the populations show before any distance: a common factor, and layers
    that some runs share."""
    known = [prepared.train, *([] if prepared.heldout is None else [prepared.heldout])]
    others, layout = [one.learned for one in known], prepared.train.layout.learned
    factor = common_factor(prepared.generated.learned, others, layout)
    if factor is not None:
        whose = "training and held-out" if len(known) > 1 else "training"
        yield Note(
            "scaled-samples",
            f"A common factor of {factor:.3g} separates all generated checkpoints from {whose} "
            "checkpoints, in every parameter: were weights normalized for the generator and not "
            "scaled back? Distances are of the weights as they are.",
        )
    if prepared.is_one_run:
        return
    runs = [str(run) for one in known for run in one.records.run]
    found = shared_parameters(chain(*others), layout, runs)
    if found:
        words = [
            f"{name} of {' = '.join(runs[row] for row in rows[:3])}"
            for name, sets in found.items()
            for rows in sets
        ]
        yield Note(
            "shared-layers",
            f"Some training or held-out runs share parameters bit by bit ({first_few(words)}): "
            "they are not independent. Leave them out, or train them anew; `novelweights lint` "
            "lists them.",
        )
