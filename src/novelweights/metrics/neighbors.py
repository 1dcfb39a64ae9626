"""Nearest training checkpoints, exactly, under plain L2 or L2 minimized over neuron symmetry.

A matrix product in float32 only proposes candidates, with a bound on its own error that proves
that none was missed; every reported distance is then measured directly, in float64. So exact
copies get 0, which the usual |x|^2 + |y|^2 - 2xy does not give. Source: ours (DESIGN section 5).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from novelweights.metrics.assignment import assign, promising_totals
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import NeuronSymmetry, neuron_features, transform

BLOCK_BYTES = 128 << 20
PAIR_BYTES = 8 << 20
"""Pairs are measured in blocks that stay in the cache: five times as fast as from memory."""
REFERENCE_ROWS = 8192
"""More reference checkpoints are searched block by block, each in float64 for its bound."""


class Neighbors(NamedTuple):
    """The k nearest reference checkpoints of each query, nearest first; ties by row."""

    rows: Int[np.ndarray, "n k"]
    distances: Float[np.ndarray, "n k"]


@dataclass(frozen=True)
class Alignment:
    """The declared symmetry of a distance: which moves of a network count as no difference.

    Exact for tables with one group of neurons (one hidden layer).
    """

    layout: WeightLayout
    symmetry: NeuronSymmetry

    def __post_init__(self) -> None:
        if len(self.symmetry.sizes(self.layout)) != 1:
            raise ValueError("exact alignment needs one group of neurons (one hidden layer)")

    @classmethod
    def where_exact(
        cls, layout: WeightLayout, symmetry: NeuronSymmetry | None
    ) -> "Alignment | None":
        """The alignment to a symmetry, None (plain L2) where it would not be exact."""
        if symmetry is None or len(symmetry.sizes(layout)) != 1:
            return None
        return cls(layout, symmetry)

    @property
    def group(self) -> str:
        """The one group of neurons."""
        [group] = self.symmetry.sizes(self.layout)
        return group

    @property
    def flips(self) -> bool:
        """Whether neurons may change sign."""
        return self.group in self.symmetry.sign_groups

    def features(
        self, weights: Float[Tensor, "n d"]
    ) -> tuple[Float[Tensor, "n neurons features"], Float[Tensor, "n rest"]]:
        """Weights by neuron, and those outside every neuron."""
        return neuron_features(weights, self.layout, self.symmetry)

    def describe(self) -> str:
        """In words, for a report."""
        size = self.symmetry.sizes(self.layout)[self.group]
        return f"permutations{' and sign flips' if self.flips else ''} of the {size} hidden neurons"


def nearest(
    queries: Float[Tensor, "n d"],
    reference: Float[Tensor, "m d"],
    *,
    k: int = 1,
    exclude: Bool[np.ndarray, "n m"] | None = None,
    alignment: Alignment | None = None,
) -> Neighbors:
    """The k nearest reference checkpoints of every query.

    Args:
        queries: Checkpoints whose neighbors are wanted.
        reference: Checkpoints searched.
        k: Neighbors per query.
        exclude: True where a reference checkpoint must not be a query's neighbor: itself, or
            its whole run. The caller states the yardstick.
        alignment: Minimize over this symmetry; None is plain L2.

    Returns:
        Rows and float64 distances in weight units, >= 0; 0 for equal checkpoints. Exact.

    Raises:
        ValueError: Fewer than k reference checkpoints remain for some query, or NaN weights.
    """
    allowed = len(reference) - (0 if exclude is None else int(exclude.sum(axis=1).max()))
    if k > allowed:
        raise ValueError(f"{k} neighbors wanted, only {allowed} reference checkpoints are allowed")
    if not all(part.isfinite().all() for part in (queries, *reference.split(REFERENCE_ROWS))):
        raise ValueError("distances need finite weights")
    if exclude is None and len(reference) > REFERENCE_ROWS:
        return _merged(queries, reference, k, alignment)
    rows = np.empty((len(queries), k), np.int64)
    distances = np.empty((len(queries), k))
    for block, candidates in _candidates(queries, reference, k, exclude, alignment):
        q, m = np.nonzero(candidates)
        exact = np.empty(len(q))
        step = max(1, PAIR_BYTES // (4 * queries.shape[1]))  # many pairs may be candidates
        for start in range(0, len(q), step):
            some = slice(start, start + step)
            mine, theirs = torch.from_numpy(block[q[some]]), torch.from_numpy(m[some])
            exact[some] = pair_distances(queries[mine], reference[theirs], alignment=alignment)
        for i, row in enumerate(block):
            mine = q == i
            order = np.argsort(exact[mine], kind="stable")[:k]
            rows[row] = m[mine][order]
            distances[row] = exact[mine][order]
    return Neighbors(rows, distances)


def _merged(
    queries: Float[Tensor, "n d"],
    reference: Float[Tensor, "m d"],
    k: int,
    alignment: Alignment | None,
) -> Neighbors:
    """The neighbors among many reference checkpoints, block by block: a memory map is streamed."""
    found = []
    for start in range(0, len(reference), REFERENCE_ROWS):
        block = reference[start : start + REFERENCE_ROWS]
        near = nearest(queries, block, k=min(k, len(block)), alignment=alignment)
        found.append((near.rows + start, near.distances))
    rows, distances = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]  # blocks in order: ties by row
    return Neighbors(
        np.take_along_axis(rows, order, axis=1), np.take_along_axis(distances, order, axis=1)
    )


def pair_distances(
    a: Float[Tensor, "pairs d"],
    b: Float[Tensor, "pairs d"],
    *,
    alignment: Alignment | None = None,
) -> Float[np.ndarray, " pairs"]:
    """Distance of a[i] and b[i], by direct differences in float64.

    Source: paper, section 3.1 (plain L2, and L2 minimized over permutations for G.pt); sign flips
    for odd activations are ours.
    """
    out = np.empty(len(a))
    wide = a.shape[1] * (1 if alignment is None else 16)
    step = max(1, PAIR_BYTES // (8 * wide))
    for start in range(0, len(a), step):
        x, y = a[start : start + step].double(), b[start : start + step].double()
        if alignment is None:
            squared = (x - y).square().sum(dim=1).numpy()
        else:
            costs, rest = _direct_costs(alignment, x, y)
            squared = assign(costs)[1] + rest
        out[start : start + step] = np.sqrt(np.maximum(squared, 0))
    return out


def aligned_to(
    target: Float[Tensor, " d"], reference: Float[Tensor, "m d"], alignment: Alignment
) -> Float[Tensor, "m d"]:
    """Every reference checkpoint moved by the symmetry to lie as near to the target as it can.

    Only inner products of neurons decide the assignment, since their norms add the same to all.
    """
    (fx, _), (fy, _) = alignment.features(target[None]), alignment.features(reference)
    neurons, length = fx.shape[1:]
    product = (fx[0] @ fy.reshape(-1, length).T).reshape(neurons, len(reference), neurons)
    product = product.transpose(0, 1)  # (m, target neuron, reference neuron)
    columns, _ = assign(-(product.abs() if alignment.flips else product).double().numpy())
    index = torch.from_numpy(columns)
    flips = None
    if alignment.flips:
        chosen = product.gather(2, index[:, :, None])[:, :, 0]
        flips = {alignment.group: torch.where(chosen < 0, -1.0, 1.0).to(reference.dtype)}
    return transform(
        reference, alignment.layout, alignment.symmetry, {alignment.group: index}, flips
    )


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


def _candidates(
    queries: Float[Tensor, "n d"],
    reference: Float[Tensor, "m d"],
    k: int,
    exclude: Bool[np.ndarray, "n m"] | None,
    alignment: Alignment | None,
) -> Iterator[tuple[Int[np.ndarray, " b"], Bool[np.ndarray, "b m"]]]:
    """Blocks of query rows with the pairs that can be among the k nearest.

    float32 products of vectors of length L err by at most g = L u / (1 - L u) times the product of
    norms (u = 2^-24); over an assignment the neurons' errors add up to at most
    4 g (|x|^2 + |y|^2), generously with the errors of the squared norms and the sum.
    """
    if alignment is None:
        center = reference.double().mean(dim=0)
        fx, fy = (queries.double() - center)[:, None], (reference.double() - center)[:, None]
        rx, ry = fx.new_zeros(len(fx), 0), fy.new_zeros(len(fy), 0)
    else:
        (fx, rx), (fy, ry) = (alignment.features(w.double()) for w in (queries, reference))
        if not alignment.flips:  # one shift for all neurons changes no difference
            center = fy.mean(dim=(0, 1))
            fx, fy = fx - center, fy - center
    length = fx.shape[2] + 4
    g = length * 2.0**-24 / (1 - length * 2.0**-24)
    x2, y2 = (f.square().sum(dim=2) for f in (fx, fy))  # (n, neurons), (m, neurons)
    neurons = fx.shape[1]
    flat_y = fy.float().reshape(-1, fy.shape[2])
    step = max(1, BLOCK_BYTES // (4 * neurons * neurons * len(reference)))
    for start in range(0, len(queries), step):
        block = np.arange(start, min(start + step, len(queries)))
        part = slice(start, start + step)
        product = fx[part].float().reshape(-1, fx.shape[2]) @ flat_y.T
        if alignment is not None and alignment.flips:
            product = product.abs()
        product = product.reshape(len(block), neurons, len(reference), neurons)
        costs = x2[part].float()[:, :, None, None] + y2.float() - 2 * product
        offset = (rx[part][:, None] - ry[None]).square().sum(dim=2).numpy()
        error = 4 * g * (x2[part].sum(dim=1)[:, None] + y2.sum(dim=1)).numpy()
        if exclude is not None:
            offset[exclude[block]] = np.inf
        by_pair = costs.permute(0, 2, 1, 3)  # (b, m, neurons, neurons)
        if neurons == 1:
            totals = by_pair[:, :, 0, 0].double().numpy() + offset
        else:
            totals = promising_totals(by_pair.contiguous().numpy(), offset, error, k)
        kth = np.partition(totals + error, k - 1, axis=1)[:, k - 1 : k]
        yield block, totals - error <= kth
