"""Who a checkpoint is made of: its direction and its mixture of aligned training checkpoints.

For every checkpoint all training checkpoints are first aligned to it; mu is their mean. The
cosine of x - mu with the nearest t_i - mu does not shrink with the checkpoint, as a distance does,
so networks that are merely small or young do not look like copies. Source: ours (DESIGN section 5).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from novelweights.metrics.alignment import Alignment, best_orders, inner_products
from novelweights.metrics.arrangement import identities, permuted
from novelweights.metrics.brackets import Framed
from novelweights.metrics.descent import descend
from novelweights.metrics.hull import hull_weights, sparse_residuals
from novelweights.metrics.threads import map_small

Result = TypeVar("Result")

HULL_ROWS = 256
"""At most this many training checkpoints span the hull: all, or the nearest and, in the last
quarter, those of the largest cosine, which may have another norm."""
N_SOURCES = 3
SPARSE_ATOMS = 16
MAX_FIXED_ROWS = 2048
MEAN_ROWS = 16  # a block stays in the cache
CANDIDATES = 8
"""The best cosines and distances by float32 products are measured again in float64."""


@dataclass(frozen=True, eq=False)
class Directions:
    """Scale-free nearness of n checkpoints."""

    cosine: Float[np.ndarray, " n"]
    """max_i cos(x - mu, t_i - mu)."""
    row: Int[np.ndarray, " n"]
    """The training row with that cosine."""
    norm: Float[np.ndarray, " n"]
    """|x - mu|."""
    distance: Float[np.ndarray, " n"]
    """To the nearest training checkpoint as it is aligned here: exact for one group of neurons; for
    more, by a single descent each, not the best that `nearest` finds."""


@dataclass(frozen=True, eq=False)
class Sources(Directions):
    """Direction and mixture of n checkpoints."""

    hull_distance: Float[np.ndarray, " n"]
    """Distance from x to the convex hull of the aligned training checkpoints."""
    sparse_ratio: Float[np.ndarray, " n"]
    """What 16 training checkpoints with weights >= 0 leave unexplained of |x - mu|^2 over what the
    best one leaves, in [0, 1]; 1 where that one leaves nothing."""
    rows: Int[np.ndarray, "n 3"]
    """Training rows with the largest hull weights, largest first."""
    weights: Float[np.ndarray, "n 3"]
    """Those weights."""


def find_directions(
    queries: Float[Tensor, "n d"],
    reference: "Alignable",
    *,
    exclude: Bool[np.ndarray, "n m"] | None = None,
) -> Directions:
    """The scale-free nearness alone, which needs no hull.

    Args:
        queries: Checkpoints to place.
        reference: Checkpoints to place them by; at least 2 must remain for each query.
        exclude: True where a reference checkpoint does not count for a query.

    Raises:
        ValueError: Fewer than two reference checkpoints remain for a query.
    """
    places = _of_each(queries, reference, exclude, lambda *one: _place(_direct(*one)))
    return Directions(*map(np.array, zip(*places, strict=True)))


def find_sources(
    queries: Float[Tensor, "n d"],
    reference: "Alignable",
    *,
    exclude: Bool[np.ndarray, "n m"] | None = None,
) -> Sources:
    """Direction and mixture of every query over the reference; as `find_directions`."""
    explained = _of_each(queries, reference, exclude, lambda *one: _explain(_direct(*one)))
    return Sources(*map(np.array, zip(*explained, strict=True)))


def shrunk_towards_mean(
    queries: Float[Tensor, "n d"], reference: "Alignable", factors: tuple[float, ...]
) -> Float[Tensor, "n factors d"]:
    """Checkpoints shrunk towards mu, the mean of the reference aligned to each, by each factor."""

    def shrink(aligned: "_Aligned", allowed: Int[Tensor, " k"]) -> Float[Tensor, "factors d"]:
        mu = aligned.mean(allowed)
        direction = aligned.query - mu
        return torch.stack([reference.stored(mu + factor * direction) for factor in factors])

    return torch.stack(_of_each(queries, reference, None, shrink))


def scaled_to_norm(
    queries: Float[Tensor, "n d"], reference: "Alignable", norm: float
) -> Float[Tensor, "n d"]:
    """Checkpoints scaled, from mu, the mean of the reference aligned to each, to one norm."""

    def scale(aligned: "_Aligned", allowed: Int[Tensor, " k"]) -> Float[Tensor, " d"]:
        mu = aligned.mean(allowed)
        direction = aligned.query - mu
        return reference.stored(mu + norm / max(float(direction.norm()), 1e-30) * direction)

    return torch.stack(_of_each(queries, reference, None, scale))


def _of_each(
    queries: Float[Tensor, "n d"],
    reference: "Alignable",
    exclude: Bool[np.ndarray, "n m"] | None,
    function: Callable[["_Aligned", Int[Tensor, " k"]], Result],
) -> list[Result]:
    """A function of the reference aligned to every query and of the rows that count for it."""
    m = len(reference.squared)
    if m - (0 if exclude is None else int(exclude.sum(axis=1).max(initial=0))) < 2:
        raise ValueError("at least two reference checkpoints are needed to explain another")

    def one(i: int) -> Result:
        allowed = np.arange(m) if exclude is None else np.flatnonzero(~exclude[i])
        return function(reference.towards(queries[i]), torch.from_numpy(allowed))

    return map_small(one, range(len(queries)))


@dataclass(frozen=True, eq=False)
class _Fixed:
    """A reference in which nothing is reordered: its mean, and all inner products around it."""

    center: Float[Tensor, " d"]
    around: Float[Tensor, "m d"]
    gram: Float[Tensor, "m m"]


@dataclass(frozen=True, eq=False)
class Alignable:
    """A reference by neuron, so that aligning it to a query is choosing rows, not copying."""

    alignment: Alignment | None
    order: Int[Tensor, " d"]
    """Which weight stands at each place when weights are ordered by neuron, the rest last."""
    neurons: Float[Tensor, "m neurons features"]
    rest: Float[Tensor, "m rest"]
    squared: Float[Tensor, " m"]
    """Squared norms, float64."""
    fixed: _Fixed | None = None
    """What need not be computed for every query where nothing is reordered."""
    framed: Framed | None = None
    """With several groups of neurons: the reference in one frame, from where each is aligned."""

    @classmethod
    def of(cls, reference: Float[Tensor, "m d"], alignment: Alignment | None) -> "Alignable":
        """Made ready once; without an alignment a checkpoint is one neuron, which stays."""
        if alignment is None:
            whole = cls._whole(reference)
            if len(reference) > MAX_FIXED_ROWS:  # all inner products would take too much memory
                return whole
            center = reference.double().mean(dim=0)
            around = reference.double() - center
            return replace(whole, fixed=_Fixed(center, around, around @ around.T))
        if not alignment.is_exact:
            return cls.in_frame(Framed.of(reference, alignment))
        order = torch.cat([alignment.arrangement.index, alignment.arrangement.rest])
        neurons, rest = alignment.features(reference)
        squared = reference.double().square().sum(dim=1)
        return cls(alignment, order, neurons.contiguous(), rest, squared)

    @classmethod
    def in_frame(cls, framed: Framed) -> "Alignable":
        """Checkpoints that are aligned to a query from a frame that both share."""
        return replace(cls._whole(framed.weights), alignment=framed.alignment, framed=framed)

    @classmethod
    def _whole(cls, reference: Float[Tensor, "m d"]) -> "Alignable":
        """Checkpoints as they are, each as one neuron."""
        squared = reference.double().square().sum(dim=1)
        order = torch.arange(reference.shape[1])
        return cls(None, order, reference[:, None], reference[:, :0], squared)

    def stored(self, vector: Float[Tensor, " d"]) -> Float[Tensor, " d"]:
        """A vector that is ordered by neuron, in the order and precision of the weights."""
        weights = torch.empty(len(vector), dtype=self.rest.dtype)
        weights[self.order] = vector.to(weights.dtype)
        return weights

    def towards(self, query: Float[Tensor, " d"]) -> "_Aligned":
        """The reference aligned to a query: which neuron goes where, with which sign."""
        if self.framed is not None:
            return self._descended(query, self.framed)
        m, n, length = self.neurons.shape
        mine, outside = query[self.order].tensor_split([n * length])
        chosen, signs = torch.zeros(m, n, dtype=torch.int64), None
        if self.alignment is not None:
            products = inner_products(mine.reshape(n, -1), self.neurons)
            chosen, signs = best_orders(products, flips=self.alignment.flips)
        return _Aligned(self, mine.reshape(n, -1), outside, chosen, signs)

    def _descended(self, query: Float[Tensor, " d"], framed: Framed) -> "_Aligned":
        """The reference aligned to a query in their common frame, whose order both then have."""
        placed = framed.place(query[None])
        arrangement = framed.alignment.arrangement
        m = len(framed.weights)
        symmetries, _ = descend(
            arrangement,
            arrangement.by_neuron(placed),
            framed.by_neuron,
            (np.zeros(m, np.int64), np.arange(m)),
            identities(m, arrangement),
            in_parallel=False,
        )
        there = Alignable._whole(permuted(arrangement, framed.weights, symmetries))
        return there.towards(placed[0])


@dataclass(frozen=True, eq=False)
class _Aligned:
    """The reference aligned to one query; vectors are ordered by neuron."""

    reference: Alignable
    mine: Float[Tensor, "neurons features"]
    outside: Float[Tensor, " rest"]
    chosen: Int[Tensor, "m neurons"]
    signs: Float[Tensor, "m neurons"] | None

    @property
    def query(self) -> Float[Tensor, " d"]:
        """The query, float64."""
        return torch.cat([self.mine.flatten(), self.outside]).double()

    def rows(self, rows: Int[Tensor, " k"]) -> Float[Tensor, "k d"]:
        """Aligned reference checkpoints, float64."""
        flat = self._picked(rows).reshape(len(rows), -1)
        return torch.cat([flat, self.reference.rest[rows]], dim=1).double()

    def _picked(self, rows: Int[Tensor, " k"]) -> Float[Tensor, "k neurons features"]:
        """Neurons of aligned reference checkpoints, in the order of the query's."""
        neurons = self.reference.neurons[rows[:, None], self.chosen[rows]]
        return neurons if self.signs is None else neurons * self.signs[rows][:, :, None]

    def mean(self, rows: Int[Tensor, " k"]) -> Float[Tensor, " d"]:
        """Mean of aligned reference checkpoints, float64."""
        fixed, m = self.reference.fixed, len(self.chosen)
        if fixed is not None and 2 * len(rows) > m:  # the mean of all, less those left out
            out = torch.ones(m, dtype=torch.bool)
            out[rows] = False
            return fixed.center - fixed.around[out].sum(dim=0) / len(rows)
        total = torch.zeros(self.mine.shape, dtype=torch.float64)
        for some in rows.split(MEAN_ROWS):
            total += self._picked(some).sum(dim=0, dtype=torch.float64)
        rest = self.reference.rest[rows].sum(dim=0, dtype=torch.float64)
        return torch.cat([total.flatten(), rest]) / len(rows)

    def inner(self, vector: Float[Tensor, " d"]) -> Float[Tensor, " m"]:
        """Inner products of all aligned reference checkpoints with a vector, in float32."""
        neurons, rest = self.reference.neurons, self.reference.rest
        part, outside = vector.tensor_split([self.mine.numel()])
        products = inner_products(part.reshape(self.mine.shape).to(neurons.dtype), neurons)
        picked = products.gather(2, self.chosen[:, :, None])[:, :, 0]
        if self.signs is not None:
            picked = picked * self.signs
        return picked.double().sum(dim=1) + rest.double() @ outside


@dataclass(frozen=True, eq=False)
class _Direction:
    """How one query lies to the mean of the aligned reference, and to each checkpoint of it."""

    aligned: _Aligned
    allowed: Int[Tensor, " k"]
    mu: Float[Tensor, " d"]
    cosine: float
    row: int
    norm: float
    cosines: Float[Tensor, " k"]
    """To each allowed checkpoint, by float32 products."""
    squared_distances: Float[Tensor, " k"]
    """To each allowed checkpoint, less the query's own squared norm; by float32 products."""


def _direct(aligned: _Aligned, allowed: Int[Tensor, " k"]) -> _Direction:
    """The mean, the norm and the best cosine of one query."""
    mu, query = aligned.mean(allowed), aligned.query
    direction = query - mu
    norm = float(direction.norm())
    with_mu = aligned.inner(mu)[allowed]
    with_query = aligned.inner(query)[allowed]
    squared = aligned.reference.squared[allowed]
    lengths = (squared - 2 * with_mu + mu.square().sum()).clamp_min(0).sqrt()
    cosines = (with_query - with_mu - direction @ mu) / (lengths * norm).clamp_min(1e-300)
    candidates = allowed[cosines.topk(min(CANDIDATES, len(allowed))).indices]
    best = aligned.rows(candidates) - mu
    exact = (best @ direction) / (best.norm(dim=1) * norm).clamp_min(1e-300)
    row, apart = int(candidates[exact.argmax()]), squared - 2 * with_query
    return _Direction(aligned, allowed, mu, float(exact.max()), row, norm, cosines, apart)


def _place(direction: _Direction) -> tuple[float, int, float, float]:
    """The fields of `Directions`, for one query."""
    n_near = min(CANDIDATES, len(direction.allowed))
    near = direction.allowed[direction.squared_distances.topk(n_near, largest=False).indices]
    distance = float((direction.aligned.rows(near) - direction.aligned.query).norm(dim=1).min())
    return direction.cosine, direction.row, direction.norm, distance


def _explain(direction: _Direction) -> tuple:
    """The fields of `Sources`, for one query."""
    query = direction.aligned.query
    vertices = direction.allowed[_spanning(direction)]
    gram, inner = _products(direction, vertices)
    w = hull_weights(gram, inner)
    support = torch.from_numpy(np.flatnonzero(w))
    mixture = torch.from_numpy(w)[support] @ direction.aligned.rows(vertices[support])
    distance = float((query - mixture).norm())
    left = sparse_residuals(gram, inner, direction.norm**2, SPARSE_ATOMS)
    ratio = float(left[-1] / left[0]) if left[0] > 1e-9 * direction.norm**2 else 1.0
    order = np.argsort(-w, kind="stable")[:N_SOURCES]
    rows, weights = np.zeros(N_SOURCES, np.int64), np.zeros(N_SOURCES)
    rows[: len(order)] = vertices.numpy()[order]
    weights[: len(order)] = w[order]
    return *_place(direction), distance, ratio, rows, weights


def _spanning(direction: _Direction) -> Int[Tensor, " v"]:
    """Which allowed checkpoints span the hull."""
    near = direction.squared_distances.argsort(stable=True)
    if len(near) <= HULL_ROWS:
        return near
    near = near[: HULL_ROWS - HULL_ROWS // 4]
    rest = direction.cosines.clone()
    rest[near] = -torch.inf
    return torch.cat([near, rest.topk(HULL_ROWS // 4).indices])


def _products(
    direction: _Direction, vertices: Int[Tensor, " k"]
) -> tuple[Float[np.ndarray, "k k"], Float[np.ndarray, " k"]]:
    """Inner products of the vertices with each other and with the query, all less mu."""
    fixed, query, mu = direction.aligned.reference.fixed, direction.aligned.query, direction.mu
    if fixed is not None:
        shift = mu - fixed.center
        along = fixed.around[vertices] @ torch.stack([shift, query - fixed.center], dim=1)
        gram = fixed.gram[vertices][:, vertices] - along[:, :1] - along[:, 0] + shift @ shift
        inner = along[:, 1] - along[:, 0] - shift @ (query - mu)
    else:
        hull = direction.aligned.rows(vertices) - mu
        gram, inner = hull @ hull.T, hull @ (query - mu)
    return gram.numpy(), inner.numpy()
