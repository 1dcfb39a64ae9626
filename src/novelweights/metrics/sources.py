"""Who a checkpoint is made of: its direction and its mixture of aligned training checkpoints.

For every checkpoint all training checkpoints are first aligned to it; mu is their mean. The
cosine of x - mu with the nearest t_i - mu does not shrink with the checkpoint, as a distance does,
so networks that are merely small or young do not look like copies. Source: ours (DESIGN section 5).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from novelweights.metrics.hull import hull_weights
from novelweights.metrics.neighbors import Alignment, aligned_to
from novelweights.metrics.threads import map_small

HULL_ROWS = 256
"""At most this many nearest training checkpoints span the hull."""
N_SOURCES = 3


@dataclass(frozen=True, eq=False)
class Sources:
    """Direction and mixture of n checkpoints."""

    cosine: Float[np.ndarray, " n"]
    """max_i cos(x - mu, t_i - mu)."""
    norm: Float[np.ndarray, " n"]
    """|x - mu|."""
    hull_distance: Float[np.ndarray, " n"]
    """Distance from x to the convex hull of the aligned training checkpoints."""
    rows: Int[np.ndarray, "n 3"]
    """Training rows with the largest hull weights, largest first."""
    weights: Float[np.ndarray, "n 3"]
    """Those weights."""


def find_sources(
    queries: Float[Tensor, "n d"],
    reference: Float[Tensor, "m d"],
    *,
    alignment: Alignment | None = None,
    exclude: Bool[np.ndarray, "n m"] | None = None,
) -> Sources:
    """Direction and mixture of every query over the reference checkpoints.

    Args:
        queries: Checkpoints to explain.
        reference: Checkpoints to explain them by; at least 2 must remain for each query.
        alignment: Symmetry under which reference checkpoints are moved towards each query.
        exclude: True where a reference checkpoint may not explain a query.
    """
    shared = None
    if alignment is None and exclude is None:
        shared = _Vertices.of(reference, with_gram=len(reference) <= 4 * HULL_ROWS)

    def explain(i: int) -> tuple[float, float, float, np.ndarray, np.ndarray]:
        banned = None if exclude is None else exclude[i]
        near, allowed = shared, np.arange(len(reference))
        if near is None:
            near, allowed = _vertices(queries[i], reference, alignment, banned)
        return _explain(queries[i].double(), near, allowed)

    found = map_small(explain, range(len(queries)))
    return Sources(*(np.array(column) for column in zip(*found, strict=True)))


@dataclass(frozen=True, eq=False)
class _Vertices:
    """Training checkpoints around their mean, with all inner products."""

    mu: Float[Tensor, " d"]
    directions: Float[Tensor, "m d"]
    squared: Float[Tensor, " m"]
    gram: Float[Tensor, "m m"] | None

    @classmethod
    def of(cls, reference: Float[Tensor, "m d"], *, with_gram: bool = False) -> "_Vertices":
        mu = reference.double().mean(dim=0)
        directions = reference.double() - mu
        gram = directions @ directions.T if with_gram else None
        return cls(mu, directions, directions.square().sum(dim=1), gram)


def _vertices(
    query: Float[Tensor, " d"],
    reference: Float[Tensor, "m d"],
    alignment: Alignment | None,
    exclude: Bool[np.ndarray, " m"] | None,
) -> tuple[_Vertices, Int[np.ndarray, " allowed"]]:
    """The reference checkpoints that may explain a query, aligned to it, and their rows."""
    allowed = np.arange(len(reference)) if exclude is None else np.flatnonzero(~exclude)
    if len(allowed) < 2:
        raise ValueError("at least two reference checkpoints are needed to explain another")
    near = reference if len(allowed) == len(reference) else reference[torch.from_numpy(allowed)]
    if alignment is not None:
        near = aligned_to(query, near, alignment)
    return _Vertices.of(near), allowed


def _explain(
    query: Float[Tensor, " d"], near: _Vertices, allowed: Int[np.ndarray, " m"]
) -> tuple[float, float, float, np.ndarray, np.ndarray]:
    """Cosine, norm, hull distance, source rows and source weights of one query."""
    direction = query - near.mu
    inner = near.directions @ direction
    norm = float(direction.norm())
    lengths = (near.squared.sqrt() * norm).clamp_min(1e-300)
    nearest = (near.squared - 2 * inner).argsort(stable=True)[:HULL_ROWS]
    hull = near.directions[nearest]
    gram = hull @ hull.T if near.gram is None else near.gram[nearest][:, nearest]
    w = hull_weights(gram.numpy(), inner[nearest].numpy())
    distance = float((direction - torch.from_numpy(w) @ hull).norm())
    order = np.argsort(-w, kind="stable")[:N_SOURCES]
    rows, weights = np.zeros(N_SOURCES, np.int64), np.zeros(N_SOURCES)
    rows[: len(order)] = allowed[nearest.numpy()[order]]
    weights[: len(order)] = w[order]
    return float((inner / lengths).max()), norm, distance, rows, weights


def shrunk_towards_mean(
    query: Float[Tensor, " d"],
    reference: Float[Tensor, "m d"],
    factors: tuple[float, ...],
    *,
    alignment: Alignment | None = None,
) -> Float[Tensor, "factors d"]:
    """A checkpoint shrunk towards mu, the mean of the reference aligned to it, by each factor."""
    near = reference if alignment is None else aligned_to(query, reference, alignment)
    mu = near.mean(dim=0)
    return torch.stack([mu + factor * (query - mu) for factor in factors])
