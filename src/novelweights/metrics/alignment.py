"""The declared symmetry of a distance, and checkpoints permuted by it to lie near another.

With one group of neurons (one hidden layer) the best order is one linear assignment, exact. With
more it is found by descent (`metrics/descent.py`): what is reported then is a distance that some
symmetry achieves, and a bound that none can undercut (`metrics/bounds.py`). Source: ours (DESIGN
5).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from novelweights.metrics.arrangement import (
    Arrangement,
    Symmetries,
    identities,
    permuted,
    random_symmetries,
)
from novelweights.metrics.assignment import assign
from novelweights.metrics.bounds import sorted_by_neuron, squared_bounds
from novelweights.metrics.descent import descend
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import NeuronSymmetry

RESTARTS = 3
"""Random starts of a descent beside the identity, where no better start is known. Ours; planted
symmetries of networks in `benchmarks/planted_moves.py` say what each start brings."""
PAIR_BYTES = 8 << 20
"""Pairs are measured in blocks that stay in the cache: five times as fast as from memory."""
PAIRS_AT_ONCE = 1024
MANY_GROUPS = 6
"""More are described by their number."""
SEED = 0
"""Of the random starts: the same checkpoints always get the same distance."""


@dataclass(frozen=True)
class Alignment:
    """Which symmetries of a network count as no difference: a distance is minimized over them.

    Raises:
        ValueError: The table has no group of neurons, or does not fit the layout.
    """

    layout: WeightLayout
    symmetry: NeuronSymmetry

    def __post_init__(self) -> None:
        _ = self.arrangement

    @classmethod
    def of(cls, layout: WeightLayout, symmetry: NeuronSymmetry | None) -> "Alignment | None":
        """The alignment to a symmetry, None (plain L2) where it has no groups."""
        if symmetry is None or not symmetry.sizes(layout):
            return None
        return cls(layout, symmetry)

    @cached_property
    def arrangement(self) -> Arrangement:
        """Where each neuron's weights lie."""
        return Arrangement(self.layout, self.symmetry)

    @cached_property
    def is_exact(self) -> bool:
        """Whether the minimum over the symmetries is found for certain: one group of neurons."""
        is_alone = not len(self.arrangement.tables.others)
        return len(self.arrangement.sizes) == 1 and is_alone and not self.symmetry.flips

    @cached_property
    def is_one_assignment(self) -> bool:
        """Whether one descent from anywhere finds the minimum: one group, signs on their own."""
        runs = self.arrangement.tables.runs
        signs = [run["sign"] for run in runs if run["sign"] >= 0]
        is_alone = not len(self.arrangement.tables.others)
        return len(self.arrangement.sizes) == 1 and is_alone and len({*signs}) == len(signs)

    @property
    def flips(self) -> bool:
        """Whether any neurons may change sign."""
        return bool(self.arrangement.signs)

    def on(self, layout: WeightLayout) -> "Alignment | None":
        """The symmetries as they act on some of the parameters; None where these have no groups."""
        if layout == self.layout:
            return self
        return Alignment.of(layout, self.symmetry.only(name for name, _ in layout.shapes))

    def features(
        self, weights: Float[Tensor, "n d"]
    ) -> tuple[Float[Tensor, "n neurons features"], Float[Tensor, "n rest"]]:
        """Weights by neuron of the one group, and those outside every neuron.

        Raises:
            ValueError: More groups than one.
        """
        [neurons] = self.arrangement.sizes.values()
        by_neuron = weights[:, self.arrangement.index].reshape(len(weights), neurons, -1)
        return by_neuron, weights[:, self.arrangement.rest]

    def describe(self) -> str:
        """In words, for a report."""
        kinds = f"permutations{' and sign flips' if self.flips else ''}"
        sizes = list(self.arrangement.sizes.values())
        if len(sizes) == 1:
            return f"{kinds} of the {sizes[0]} hidden neurons"
        if len(sizes) > MANY_GROUPS:
            return f"{kinds} of {sum(sizes)} neurons in {len(sizes)} groups"
        return f"{kinds} of {', '.join(map(str, sizes[:-1]))} and {sizes[-1]} neurons"


def alignment_of_learned(layout: WeightLayout, symmetry: NeuronSymmetry | None) -> Alignment | None:
    """The alignment of what was learned (`WeightLayout.learned`), None where it has no
    groups.

    Args:
        layout: Of whole checkpoints.
        symmetry: Of the same.
    """
    whole = Alignment.of(layout, symmetry)
    return None if whole is None else whole.on(layout.learned)


def aligned_to(
    target: Float[Tensor, " d"], reference: Float[Tensor, "m d"], alignment: Alignment
) -> Float[Tensor, "m d"]:
    """Every reference checkpoint permuted (and flipped) to lie as near to the target as it can.

    For one group of neurons only inner products of neurons decide the assignment, since their norms
    add the same to all. For more, the best of several descents.
    """
    arrangement = alignment.arrangement
    if alignment.is_exact:
        mine, theirs = (alignment.features(weights)[0] for weights in (target[None], reference))
        order, signs = best_orders(inner_products(mine[0], theirs), flips=alignment.flips)
        flipped = np.empty((len(order), 0, 0)) if signs is None else signs[:, None].numpy()
        best = Symmetries(order[:, None].numpy(), flipped.astype(np.int8))
    else:
        x, y = arrangement.by_neuron(target[None]), arrangement.by_neuron(reference)
        pairs = np.zeros(len(y), np.int64), np.arange(len(y))
        best, _ = _best_of_starts(arrangement, x, y, pairs)
    return permuted(arrangement, reference, best)


def inner_products(
    mine: Float[Tensor, "neurons features"], theirs: Float[Tensor, "m neurons features"]
) -> Float[Tensor, "m neurons neurons"]:
    """Of every neuron of one network with every neuron of m others."""
    m, n, length = theirs.shape
    return (mine @ theirs.reshape(-1, length).T).reshape(n, m, n).transpose(0, 1)


def best_orders(
    products: Float[Tensor, "m neurons neurons"], *, flips: bool
) -> tuple[Int[Tensor, "m neurons"], Float[Tensor, "m neurons"] | None]:
    """The orders with the largest sum of inner products, and signs where neurons may flip."""
    gain = products.abs() if flips else products
    order = torch.from_numpy(assign(-gain.double().numpy())[0])
    if not flips:
        return order, None
    chosen = products.gather(2, order[:, :, None])[:, :, 0]
    return order, torch.where(chosen < 0, -1.0, 1.0).to(products.dtype)


def pair_distances(
    a: Float[Tensor, "pairs d"],
    b: Float[Tensor, "pairs d"],
    *,
    alignment: Alignment | None = None,
) -> Float[np.ndarray, " pairs"]:
    """Distance of a[i] and b[i], by direct differences in float64.

    Exact, or for more than one group of neurons one that some symmetry achieves.

    Source: paper, section 3.1 (plain L2, and L2 minimized over permutations for G.pt); sign flips
    for odd activations are ours.
    """
    out = np.empty(len(a))
    step = PAIRS_AT_ONCE
    if alignment is None or alignment.is_exact:
        step = max(1, PAIR_BYTES // (8 * a.shape[1] * (1 if alignment is None else 16)))
    for start in range(0, len(a), step):
        x, y = a[start : start + step], b[start : start + step]
        if alignment is None:
            squared = (x.double() - y.double()).square().sum(dim=1).numpy()
        elif alignment.is_exact:
            costs, rest = _direct_costs(alignment, x.double(), y.double())
            squared = assign(costs)[1] + rest
        else:
            arrangement, rows = alignment.arrangement, np.arange(len(x))
            by_neuron = arrangement.by_neuron(x), arrangement.by_neuron(y)
            squared = _best_of_starts(arrangement, *by_neuron, (rows, rows))[1]
            squared += np.square(arrangement.outside(x) - arrangement.outside(y)).sum(axis=1)
        out[start : start + step] = np.sqrt(np.maximum(squared, 0))
    return out


def lower_bounds(
    a: Float[Tensor, "pairs d"], b: Float[Tensor, "pairs d"], *, alignment: Alignment
) -> Float[np.ndarray, " pairs"]:
    """What the distance of a[i] and b[i] cannot be less than, under any symmetry; certified.

    The distance itself where it is exact.
    """
    if alignment.is_exact:
        return pair_distances(a, b, alignment=alignment)
    arrangement, rows = alignment.arrangement, np.arange(len(a))
    x, y = (sorted_by_neuron(arrangement, arrangement.by_neuron(w)) for w in (a, b))
    squared = squared_bounds(arrangement, x, y, (rows, rows))
    outside = np.square(arrangement.outside(a) - arrangement.outside(b)).sum(axis=1)
    return np.sqrt(squared + outside)


def _best_of_starts(
    arrangement: Arrangement,
    x: Float[np.ndarray, "a entries"],
    y: Float[np.ndarray, "b entries"],
    pairs: tuple[np.ndarray, np.ndarray],
) -> tuple[Symmetries, Float[np.ndarray, " p"]]:
    """The best of a descent from the identity and some from random ones, pair by pair.

    The random starts are the same for all pairs, so that no pair's distance depends on others.
    """
    p, rng = len(pairs[0]), np.random.default_rng(SEED)
    best, squared = descend(arrangement, x, y, pairs, identities(p, arrangement))
    for _ in range(RESTARTS):
        start = random_symmetries(1, arrangement, rng).at(np.zeros(p, np.int64))
        columns, other = descend(arrangement, x, y, pairs, start)
        better = other < squared
        best.order[better], best.signs[better] = columns.order[better], columns.signs[better]
        squared = np.minimum(squared, other)
    return best, squared


def _direct_costs(
    alignment: Alignment, x: Float[Tensor, "pairs d"], y: Float[Tensor, "pairs d"]
) -> tuple[Float[np.ndarray, "pairs n n"], Float[np.ndarray, " pairs"]]:
    """Squared distance of every neuron of x[p] to every neuron of y[p], and of the rest."""
    (fx, rx), (fy, ry) = alignment.features(x), alignment.features(y)
    rest = (rx - ry).square().sum(dim=1).numpy()

    def to_each(sign: int) -> Tensor:
        by_neuron = [(fx[:, i, None] - sign * fy).square().sum(dim=2) for i in range(fx.shape[1])]
        return torch.stack(by_neuron, dim=1)

    costs = torch.minimum(to_each(1), to_each(-1)) if alignment.flips else to_each(1)
    return costs.numpy(), rest
