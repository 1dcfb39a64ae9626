"""Nearness neuron by neuron: sees a checkpoint put together from neurons of several runs.

A neuron is the weights that a group of the symmetry moves together: what comes into it and what
goes out of it. Where no symmetry is declared it is a row of a weight matrix with its bias. All
checkpoints are compared in one common frame. Source: ours.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from novelweights.metrics.alignment import Alignment
from novelweights.metrics.frame import Frame
from novelweights.weights.layout import WeightLayout

MOST_PRODUCTS = 2e11
"""Every neuron is compared with those of all places if that takes at most so many multiplications
(seconds), else with those of its own place in the common frame."""
SAMPLED = 64
"""Training checkpoints that tell how far neurons usually lie apart."""
AT_ONCE = 2**24
"""Similarities kept at a time."""


@dataclass(frozen=True, eq=False)
class NeuronNearness:
    """Nearness of n checkpoints, neuron by neuron."""

    least: Float[np.ndarray, " n"]
    """Of the neuron that is nearest to one of a training checkpoint: 0 for a copy, 1 for as far as
    the neurons of training checkpoints at this place lie from those of the others."""
    mean: Float[np.ndarray, " n"]
    """The same, over all neurons."""
    greatest: Float[np.ndarray, " n"]
    """The same of the neuron that is farthest from all training neurons."""


@dataclass(frozen=True, eq=False)
class Neurons:
    """The neurons of the training checkpoints, in one common frame."""

    frame: Frame
    groups: tuple[Int[Tensor, "_ _"], ...]
    """Places of the weights of every neuron (neurons, features), layer by layer."""
    usual: Float[Tensor, " neurons"]
    """Of every place the median distance of training neurons to those of other checkpoints."""

    @classmethod
    def of(cls, frame: Frame, layout: WeightLayout) -> "Neurons | None":
        """Of training checkpoints in their frame; None where there are no neurons to tell apart."""
        groups = neuron_places(layout, frame.alignment)
        if not groups:
            return None
        apart = cls(frame, tuple(groups), torch.ones(sum(map(len, groups))))
        m = len(frame.around)
        rows = torch.linspace(0, m - 1, min(m, SAMPLED)).round().long()
        own = rows[:, None] == torch.arange(m)
        usual = apart._distances(frame.around[rows], own).median(dim=0).values
        return replace(apart, usual=usual)

    def nearness(
        self, placed: Float[Tensor, "n d"], *, exclude: Bool[np.ndarray, "n m"] | None = None
    ) -> NeuronNearness:
        """How near the neurons of checkpoints lie to those of training checkpoints.

        Args:
            placed: The checkpoints, as `Frame.place` gives them.
            exclude: True where a training checkpoint does not count for a checkpoint.
        """
        banned = None if exclude is None else torch.from_numpy(exclude)
        distances = self._distances(placed, banned)
        known = self.usual > 0
        shares = torch.where(known, distances / torch.where(known, self.usual, 1.0), 1.0)
        return NeuronNearness(
            shares.amin(1).numpy(), shares.mean(1).numpy(), shares.amax(1).numpy()
        )

    def _distances(
        self, placed: Float[Tensor, "n d"], banned: Bool[Tensor, "n m"] | None
    ) -> Float[Tensor, "n neurons"]:
        """|a - b| / sqrt(|a|^2 + |b|^2) of every neuron, b the training neuron of the least."""
        center, training, alignment = self.frame.center, self.frame.around, self.frame.alignment
        products = sum(len(group) * group.numel() for group in self.groups)
        is_small = len(placed) * len(training) * products <= MOST_PRODUCTS
        compare = _anywhere if is_small else _in_place
        flips = alignment is not None and alignment.flips
        distances = []
        for at in self.groups:  # one after another: in large networks a copy of all is too large
            mine, theirs = (rows[:, at] + center[at] for rows in (placed, training))
            distances.append(compare(mine, theirs, banned, flips))
        return torch.cat(distances, dim=1)


def neuron_places(layout: WeightLayout, alignment: Alignment | None) -> list[Int[Tensor, "_ _"]]:
    """Places of the weights of every neuron, layer by layer.

    A weight between two neurons belongs to both.
    """
    if alignment is None:
        return _rows(layout)
    arrangement, groups = alignment.arrangement, []
    for n, begin, length, *_ in arrangement.tables.groups.tolist():
        groups.append(arrangement.index[begin : begin + n * length].reshape(n, length))
    return groups


def _rows(layout: WeightLayout) -> list[Int[Tensor, "_ _"]]:
    """Each row of every weight matrix, with the numbers of its module that belong to it."""
    places, groups = torch.arange(layout.size), []
    for name, shape in layout.shapes:
        if len(shape) < 2:
            continue
        module = name.rpartition(".")[0]
        parts = [places[layout.slices[name]].reshape(shape[0], -1)]
        parts += [
            places[layout.slices[other]][:, None]
            for other, size in layout.shapes
            if size == shape[:1] and other.rpartition(".")[0] == module
        ]
        groups.append(torch.cat(parts, dim=1))
    return groups


def _anywhere(
    x: Float[Tensor, "n neurons features"],
    y: Float[Tensor, "m neurons features"],
    banned: Bool[Tensor, "n m"] | None,
    flips: bool,
) -> Float[Tensor, "n neurons"]:
    """Of every neuron of x the distance to the nearest of all neurons of y."""
    n, neurons, features = x.shape
    theirs = y.reshape(-1, features)
    squared = theirs.square().sum(dim=1)
    nearest = torch.empty(n, neurons, dtype=torch.int64)
    at_once = max(1, AT_ONCE // (neurons * len(theirs)))
    for start in range(0, n, at_once):
        mine = x[start : start + at_once].reshape(-1, features)
        products = (mine.float() @ theirs.float().T).double()
        lengths = mine.square().sum(dim=1)[:, None] + squared
        similar = (products.abs() if flips else products) / lengths.clamp_min(1e-300)
        similar = similar.reshape(-1, neurons, len(y), neurons)
        if banned is not None:
            similar[banned[start : start + at_once, None, :, None].expand_as(similar)] = -torch.inf
        nearest[start : start + at_once] = similar.flatten(2).argmax(dim=2)
    return _apart(x, theirs[nearest], flips)


def _in_place(
    x: Float[Tensor, "n neurons features"],
    y: Float[Tensor, "m neurons features"],
    banned: Bool[Tensor, "n m"] | None,
    flips: bool,
) -> Float[Tensor, "n neurons"]:
    """The same among the neurons of y at the same place."""
    places = range(x.shape[1])
    return torch.cat([_anywhere(x[:, [k]], y[:, [k]], banned, flips) for k in places], dim=1)


def _apart(
    x: Float[Tensor, "n neurons features"], y: Float[Tensor, "n neurons features"], flips: bool
) -> Float[Tensor, "n neurons"]:
    """|a - b| / sqrt(|a|^2 + |b|^2), float64; 1 where both are 0."""
    apart = (x - y).norm(dim=2)
    if flips:
        apart = torch.minimum(apart, (x + y).norm(dim=2))
    length = (x.square().sum(dim=2) + y.square().sum(dim=2)).sqrt()
    return torch.where(length > 0, apart / length.clamp_min(1e-300), 1.0)
