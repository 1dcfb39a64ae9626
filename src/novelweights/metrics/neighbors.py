"""Nearest training checkpoints under plain L2 or L2 minimized over neuron symmetry.

Exact with at most one group of neurons: a matrix product in float32 only proposes candidates, with
a bound on its own error that proves that none was missed; every reported distance is then measured
directly, in float64. So exact copies get 0, which the usual |x|^2 + |y|^2 - 2xy does not give. With
more groups see `metrics/brackets.py`. Source: ours (DESIGN section 5).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from novelweights.metrics.alignment import PAIR_BYTES, Alignment, pair_distances
from novelweights.metrics.assignment import promising_totals
from novelweights.metrics.brackets import brackets

BLOCK_BYTES = 128 << 20
REFERENCE_ROWS = 8192
"""More reference checkpoints are searched block by block, each in float64 for its bound."""


class Neighbors(NamedTuple):
    """The k nearest reference checkpoints of each query, nearest first; ties by row."""

    rows: Int[np.ndarray, "n k"]
    distances: Float[np.ndarray, "n k"]
    lower: Float[np.ndarray, " n"]
    """What no reference checkpoint can be nearer than; the first distance where that is exact."""


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
        queries: Checkpoints whose neighbors are sought.
        reference: Checkpoints searched.
        k: Neighbors per query.
        exclude: True where a reference checkpoint must not be a query's neighbor: itself, or
            its whole run. The caller says which.
        alignment: Minimize over this symmetry; None is plain L2.

    Returns:
        Rows and float64 distances in weight units, >= 0; 0 for equal checkpoints. Exact, or with
        more than one group of neurons distances that some symmetry achieves, and a certified bound.

    Raises:
        ValueError: Fewer than k reference checkpoints remain for some query, or NaN weights.
    """
    allowed = len(reference) - (0 if exclude is None else int(exclude.sum(axis=1).max()))
    if k > allowed:
        raise ValueError(f"{k} neighbors expected, only {allowed} reference rows are allowed")
    if not all(part.isfinite().all() for part in (queries, *reference.split(REFERENCE_ROWS))):
        raise ValueError("distances need finite weights")
    if exclude is None and len(reference) > REFERENCE_ROWS:
        return _merged(queries, reference, k, alignment)
    if alignment is not None and not alignment.is_exact and len(queries):
        return _bracketed(queries, reference, k, exclude, alignment)
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
    return Neighbors(rows, distances, distances[:, 0].copy())


def _merged(
    queries: Float[Tensor, "n d"],
    reference: Float[Tensor, "m d"],
    k: int,
    alignment: Alignment | None,
) -> Neighbors:
    """The neighbors among many reference checkpoints, block by block: a memory map is streamed."""
    blocks = []
    for start in range(0, len(reference), REFERENCE_ROWS):
        block = reference[start : start + REFERENCE_ROWS]
        near = nearest(queries, block, k=min(k, len(block)), alignment=alignment)
        blocks.append((near.rows + start, near.distances, near.lower[:, None]))
    rows, distances, lower = (np.concatenate(parts, axis=1) for parts in zip(*blocks, strict=True))
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]  # blocks in order: ties by row
    return Neighbors(
        np.take_along_axis(rows, order, axis=1),
        np.take_along_axis(distances, order, axis=1),
        lower.min(axis=1),
    )


def _bracketed(
    queries: Float[Tensor, "n d"],
    reference: Float[Tensor, "m d"],
    k: int,
    exclude: Bool[np.ndarray, "n m"] | None,
    alignment: Alignment,
) -> Neighbors:
    """The neighbors by the distances that some symmetry achieves, with their lower bounds."""
    bracketed = brackets(queries, reference, k, exclude, alignment)
    rows = np.stack([np.argsort(each.achieved, kind="stable")[:k] for each in bracketed])
    squared = np.stack([each.achieved[mine] for each, mine in zip(bracketed, rows, strict=True)])
    lower = np.array([each.lower.min() for each in bracketed])
    return Neighbors(rows, np.sqrt(squared), np.sqrt(lower))


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
