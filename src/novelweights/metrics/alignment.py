"""The declared symmetry of a distance, and checkpoints moved by it to lie near another.

With one group of neurons (one hidden layer) the best move is one linear assignment, exact. With
more it is found by descent (`metrics/descent.py`): what is reported then is a distance that some
move achieves, and a bound that none can undercut (`metrics/bounds.py`). Source: ours (DESIGN 5).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.metrics.arrangement import OTHER, Arrangement
from novelweights.metrics.assignment import assign
from novelweights.metrics.bounds import sorted_by_neuron, squared_bounds
from novelweights.metrics.descent import descend
from novelweights.metrics.symmetries import Moves, moved, no_moves, random_moves
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import NeuronSymmetry, transform

RESTARTS = 3
"""Random starts of a descent beside the identity, where no better start is known. Ours; planted
moves of networks in `benchmarks/planted_moves.py` say what each start brings."""
PAIR_BYTES = 8 << 20
"""Pairs are measured in blocks that stay in the cache: five times as fast as from memory."""
PAIRS_AT_ONCE = 1024
MANY_GROUPS = 6
"""More are described by their number."""
SEED = 0
"""Of the random starts: the same checkpoints always get the same distance."""


@dataclass(frozen=True)
class Alignment:
    """Which moves of a network count as no difference: a distance is minimized over them.

    Raises:
        ValueError: The table moves nothing, or does not fit the layout.
    """

    layout: WeightLayout
    symmetry: NeuronSymmetry

    def __post_init__(self) -> None:
        _ = self.arrangement

    @classmethod
    def of(cls, layout: WeightLayout, symmetry: NeuronSymmetry | None) -> "Alignment | None":
        """The alignment to a symmetry, None (plain L2) where none is declared or nothing moves."""
        if symmetry is None or not symmetry.sizes(layout):
            return None
        return cls(layout, symmetry)

    @cached_property
    def arrangement(self) -> Arrangement:
        """Where each neuron's weights lie."""
        return Arrangement(self.layout, self.symmetry)

    @cached_property
    def is_exact(self) -> bool:
        """Whether the minimum over the moves is found for certain: one group of neurons."""
        is_alone = bool((self.arrangement.segments[:, OTHER] < 0).all())
        return len(self.arrangement.groups) == 1 and is_alone and not self.symmetry.flips

    @property
    def flips(self) -> bool:
        """Whether any neurons may change sign."""
        return bool(self.arrangement.signs)

    def on(self, layout: WeightLayout) -> "Alignment | None":
        """The moves as they act on some of the parameters; None where they move none of these."""
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
        [group] = self.arrangement.groups
        neurons = self.arrangement.sizes[group]
        by_neuron = weights[:, self.arrangement.index].reshape(len(weights), neurons, -1)
        return by_neuron, weights[:, self.arrangement.rest]

    def describe(self) -> str:
        """In words, for a report."""
        moves = f"permutations{' and sign flips' if self.flips else ''}"
        sizes = list(self.arrangement.sizes.values())
        if len(sizes) == 1:
            return f"{moves} of the {sizes[0]} hidden neurons"
        if len(sizes) > MANY_GROUPS:
            return f"{moves} of {sum(sizes)} neurons in {len(sizes)} groups"
        return f"{moves} of {', '.join(map(str, sizes[:-1]))} and {sizes[-1]} neurons"


def alignment_of_learned(layout: WeightLayout, symmetry: NeuronSymmetry | None) -> Alignment | None:
    """The alignment of what was learned (`WeightLayout.learned`), None where nothing moves.

    Args:
        layout: Of whole checkpoints.
        symmetry: Of the same.
    """
    whole = Alignment.of(layout, symmetry)
    return None if whole is None else whole.on(layout.learned)


def aligned_to(
    target: Float[Tensor, " d"], reference: Float[Tensor, "m d"], alignment: Alignment
) -> Float[Tensor, "m d"]:
    """Every reference checkpoint moved by the symmetry to lie as near to the target as it can.

    For one group of neurons only inner products of neurons decide the assignment, since their norms
    add the same to all. For more, the best of several descents.
    """
    if not alignment.is_exact:
        arrangement = alignment.arrangement
        x, y = arrangement.by_neuron(target[None]), arrangement.by_neuron(reference)
        pairs = np.zeros(len(y), np.int64), np.arange(len(y))
        moves, _ = _best_of_starts(arrangement, x, y, pairs)
        return moved(arrangement, reference, moves)
    (fx, _), (fy, _) = alignment.features(target[None]), alignment.features(reference)
    neurons, length = fx.shape[1:]
    product = (fx[0] @ fy.reshape(-1, length).T).reshape(neurons, len(reference), neurons)
    product = product.transpose(0, 1)  # (m, target neuron, reference neuron)
    columns, _ = assign(-(product.abs() if alignment.flips else product).double().numpy())
    index = torch.from_numpy(columns)
    [group] = alignment.arrangement.groups
    flips = None
    if alignment.flips:
        chosen = product.gather(2, index[:, :, None])[:, :, 0]
        flips = {group: torch.where(chosen < 0, -1.0, 1.0).to(reference.dtype)}
    return transform(reference, alignment.layout, alignment.symmetry, {group: index}, flips)


def pair_distances(
    a: Float[Tensor, "pairs d"],
    b: Float[Tensor, "pairs d"],
    *,
    alignment: Alignment | None = None,
) -> Float[np.ndarray, " pairs"]:
    """Distance of a[i] and b[i], by direct differences in float64.

    Exact, or for more than one group of neurons one that some move achieves.

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
    """What the distance of a[i] and b[i] cannot be less than, whatever the moves; certified.

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
) -> tuple[Moves, Float[np.ndarray, " p"]]:
    """The best of a descent from the identity and some from random moves, pair by pair.

    The random starts are the same for all pairs, so that no pair's distance depends on others.
    """
    p, rng = len(pairs[0]), np.random.default_rng(SEED)
    best, squared = descend(arrangement, x, y, pairs, no_moves(p, arrangement))
    for _ in range(RESTARTS):
        start = random_moves(1, arrangement, rng).at(np.zeros(p, np.int64))
        found, other = descend(arrangement, x, y, pairs, start)
        better = other < squared
        best.order[better], best.signs[better] = found.order[better], found.signs[better]
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
