"""Which checkpoints belong together, where no record says so: same run, or same initialization.

Runs are the unit of every statistic of an audit, and file names rarely tell them. Here checkpoints
of one run are recognized by single linkage on plain L2 distances, and a shared initialization by
how little an alignment of neurons brings. Source: ours; the thresholds are from trials on digit
classifiers (fresh and shared initializations, 5 to 464 runs, trajectories of 20 to 300 steps).
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from torch import Tensor

from novelweights.metrics.alignment import Alignment, pair_distances
from novelweights.metrics.arrangement import Arrangement
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import random_transform

LINKED = 0.4
"""Checkpoints nearer than this share of `scale` are of one run. The nearest of 1,200 fresh runs lay
at .75 of the median nearest distance, of 464 with one initialization at .58; steps of one run lie
mostly below .25."""
SURELY_LINKED = 0.1
"""Below this share of the upper quartile of all pairs, two checkpoints are of one run in any zoo:
the nearest of 464 fresh runs with one initialization lay at .11."""
PATH_LEAVES = 0.2
"""The tree of shortest links has at most this share of leaves along a trajectory (seen: .04 to
.21); among independent runs it has .27 to .6."""
MIN_PATH = 8
"""Fewer points than this form a path by chance (probability .08 for 8 random points) ..."""
SHORT_STEP = 0.2
"""... so they are a trajectory only if their nearest neighbors also are within this share of the
upper quartile: seen .11 to .16 along trajectories, .25 and more among so few of one start."""
SPACING_ROWS = 3000
"""`run_spacing` looks at this many checkpoints at most: a matrix of 72 MB."""

SAMPLED_PAIRS = 200
SAMPLED_NUMBERS = 20_000_000
"""Weights in the sampled pairs of large networks; at least 10 pairs are taken."""
NULL_DRAWS = 19
"""Random orders of all neurons; lower than all of them has probability 1/20 by chance."""
ONE_FRAME = 0.5
"""Runs share a frame if they keep this much of what an alignment can bring: fresh runs kept -.04
to .04, runs aligned beforehand .65 to .73, runs from one initialization .97 to 1.00."""

PARTS = 32
"""Parts of a neuron's weights whose norms are compared before networks are."""
_BLOCK_ROWS = 256


def related_groups(weights: Float[Tensor, "n d"], *, scale: float) -> Int[np.ndarray, " n"]:
    """Groups of checkpoints that belong to one run, or are near-duplicates, by single linkage.

    Two checkpoints are linked where their plain L2 distance is at most `LINKED` of `scale`, and
    also at most `LINKED` of sqrt(|x|^2 + |y|^2), since small networks (initializations) lie near
    each other only because they are small. What is not linked need not be independent: checkpoints
    far apart in one run, or its first epochs, look like runs of their own.

    Args:
        weights: Checkpoints as they lie on disk; neurons of one run keep their order.
        scale: Distance of an independent run to its nearest neighbor, in weight units: the median
            nearest distance of held-out runs to training, or `run_spacing`. 0 links duplicates.

    Returns:
        A label per checkpoint, 0, 1, ... in order of first appearance. Exact: float64 products
        decide pairs beyond their error bound, all others are measured directly.

    Raises:
        ValueError: Weights or scale are not finite, or scale is negative.
    """
    _require_finite(weights)
    if not (np.isfinite(scale) and scale >= 0):
        raise ValueError(f"scale is a distance, got {scale}")
    n = len(weights)
    labels = np.arange(n)
    center = weights.double().mean(dim=0)
    length = weights.shape[1] + 8
    g = length * 2.0**-53 / (1 - length * 2.0**-53)
    for start in range(0, n, _BLOCK_ROWS):
        x = weights[start : start + _BLOCK_ROWS].double()
        for other in range(start, n, _BLOCK_ROWS):
            y = weights[other : other + _BLOCK_ROWS].double()
            norms = (x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)).numpy()
            bound = LINKED**2 * np.minimum(scale**2, norms)
            squared, spread = _squared_distances(x - center, y - center)
            error = 4 * g * spread
            linked = squared <= bound
            i, j = np.nonzero(np.abs(squared - bound) <= error)
            if len(i):
                direct = pair_distances(
                    weights[torch.from_numpy(start + i)], weights[torch.from_numpy(other + j)]
                )
                linked[i, j] = direct**2 <= bound[i, j]
            i, j = np.nonzero(linked)
            labels = _joined(labels, labels[start + i], labels[other + j])
    return _by_appearance(labels)


def reordered_twins(
    weights: Float[Tensor, "n d"], alignment: Alignment, *, radius: float
) -> Int[np.ndarray, " n"]:
    """Groups of checkpoints that are nearly equal once their neurons are reordered.

    Cut every neuron's weights into the same parts: the sorted norms of a part over all neurons do
    not depend on order or signs, and over all parts those of two networks lie no farther apart than
    the networks do, aligned. They tell which pairs to measure. Of networks with several groups of
    neurons those are found whose measured distance, an upper bound, is small.

    Args:
        weights: Checkpoints of independent runs, as far as is known.
        alignment: The declared symmetry.
        radius: Largest aligned distance of twins, in weight units.

    Returns:
        A label for each checkpoint, numbered by first appearance.
    """
    _require_finite(weights)
    norms = _sorted_norms(weights, alignment.arrangement)
    labels = np.arange(len(weights))
    for start in range(0, len(weights), _BLOCK_ROWS):
        block = norms[start : start + _BLOCK_ROWS]
        apart = torch.cdist(block, norms, compute_mode="donot_use_mm_for_euclid_dist")
        i, j = np.nonzero((apart <= radius * (1 + 1e-6) + 1e-12).numpy())
        i = i + start
        i, j = i[i < j], j[i < j]
        for some in range(0, len(i), _BLOCK_ROWS):
            mine, yours = i[some : some + _BLOCK_ROWS], j[some : some + _BLOCK_ROWS]
            pairs = weights[torch.from_numpy(mine)], weights[torch.from_numpy(yours)]
            near = pair_distances(*pairs, alignment=alignment) <= radius
            labels = _joined(labels, labels[mine[near]], labels[yours[near]])
    return _by_appearance(labels)


def _sorted_norms(
    weights: Float[Tensor, "n d"], arrangement: Arrangement
) -> Float[Tensor, "n norms"]:
    """Norms of parts of neurons, sorted over the neurons of a group; each weight is in one."""
    parts = [weights[:, arrangement.rest].double().norm(dim=1)[:, None]]
    for segment, [places] in arrangement.parts(arrangement.index.numpy()[None]):
        if segment.place == 0:
            # weights to neurons that may be reordered themselves can only be taken together
            n_parts = PARTS if segment.first == segment.last else 1
            for part in torch.from_numpy(places).flatten(1).tensor_split(n_parts, dim=1):
                norms = weights[:, part.flatten()].double().reshape(len(weights), *part.shape)
                parts.append(norms.norm(dim=2).sort(dim=1).values)
    return torch.cat(parts, dim=1)


def run_spacing(weights: Float[Tensor, "n d"]) -> float:
    """How far an independent run lies from its nearest neighbor, without being told the runs.

    Checkpoints that are of one run in any zoo are reduced to one. If the tree of shortest links
    between the others is a path, they are a trajectory, and the upper quartile of all distances
    (about its length; between runs, if there are two or more) is the scale. Else they are
    independent, and it is their median nearest distance, which also fits runs that share an
    initialization and differ widely in how far they moved.

    Returns:
        A distance in weight units, for `related_groups`; 0 if all checkpoints are equal. It is
        an estimate (from float64 products), not a distance to report.

    Raises:
        ValueError: Fewer than 2 checkpoints, or weights that are not finite.
    """
    _require_finite(weights)
    if len(weights) < 2:
        raise ValueError("the spacing of runs needs 2 checkpoints or more")
    x = weights[:SPACING_ROWS].double()
    x = x - x.mean(dim=0)
    distances = np.sqrt(np.maximum(_squared_distances(x, x)[0], 0))
    wide = float(np.quantile(distances[np.triu_indices(len(x), 1)], 0.75))
    near = coo_array(distances <= SURELY_LINKED * wide)
    groups = connected_components(near, directed=False)[1]
    first = np.unique(groups, return_index=True)[1]
    if len(first) < 2:
        return wide
    between = distances[np.ix_(first, first)]
    tree = minimum_spanning_tree(np.triu(between))
    degrees = np.bincount(np.concatenate(tree.nonzero()), minlength=len(first))
    leaves = int((degrees == 1).sum())
    np.fill_diagonal(between, np.inf)
    step = float(np.median(between.min(axis=1)))
    is_path = leaves <= max(2.0, PATH_LEAVES * len(first))
    return wide if is_path and (len(first) >= MIN_PATH or step <= SHORT_STEP * wide) else step


def frame_share(
    weights: Float[Tensor, "n d"], alignment: Alignment, *, rng: torch.Generator
) -> tuple[float, bool] | None:
    """How much of an alignment's gain the checkpoints have already, from random pairs.

    1 - (raw^2 - aligned^2) / (shuffled^2 - aligned^2), sums over at most `SAMPLED_PAIRS` pairs,
    where shuffled is the distance after every checkpoint's neurons were put in random order.

    Returns:
        The share, about 0 for independent runs and 1 for runs in one frame, no unit; and whether
        the raw distances lie below those of all `NULL_DRAWS` random orders. None with fewer than
        2 checkpoints, or where no order of neurons makes a difference.

    Raises:
        ValueError: Weights are not finite.
    """
    _require_finite(weights)
    n, d = weights.shape
    if n < 2:
        return None
    i, j = np.triu_indices(n, 1) if n <= 100 else _random_pairs(n, SAMPLED_PAIRS, rng)
    n_picked = min(SAMPLED_PAIRS, max(10, SAMPLED_NUMBERS // d))
    picked = torch.randperm(len(i), generator=rng)[:n_picked].numpy()
    used, at = np.unique(np.stack([i[picked], j[picked]]), return_inverse=True)
    rows = weights[torch.from_numpy(used)]
    mine, yours = torch.from_numpy(at.reshape(2, -1))

    def total(of: Tensor, by: Alignment | None = None) -> float:
        return float(np.square(pair_distances(of[mine], of[yours], alignment=by)).sum())

    raw, aligned = total(rows), total(rows, alignment)
    shuffled = [
        total(random_transform(rows, alignment.layout, alignment.symmetry, rng=rng))
        for _ in range(NULL_DRAWS)
    ]
    gain = float(np.mean(shuffled)) - aligned
    if gain <= 1e-9 * aligned:
        return None
    return 1 - (raw - aligned) / gain, raw < min(shuffled) * (1 - 1e-9)


def shares_initialization(
    weights: Float[Tensor, "n d"], alignment: Alignment | None, *, rng: torch.Generator
) -> bool | None:
    """Whether runs lie in one frame: trained from one initialization, or aligned beforehand.

    Every weight matrix is asked by itself. What has one dimension (biases, scales of
    normalizations) begins alike in all networks and shows nothing.

    Args:
        weights: One checkpoint per run; those of one run always share a frame.
        alignment: The symmetry of the network; None if there is none.
        rng: Draws the pairs and the random orders of neurons.

    Returns:
        True if the distances between runs are nearly what an alignment makes them, in every matrix;
        False if in none. None if it cannot be told: no alignment, too few runs or neurons to tell
        the order of neurons from a chance one, or matrices that disagree.
    """
    if alignment is None:
        return None
    answers = set()
    for name, shape in alignment.layout.shapes:
        part = WeightLayout(((name, shape),))
        own = alignment.on(part) if len(shape) > 1 else None
        if own is None:
            continue
        kept = frame_share(weights[:, alignment.layout.slices[name]], own, rng=rng)
        if kept is not None:
            share, beyond_chance = kept
            answers.add(None if share >= ONE_FRAME and not beyond_chance else share >= ONE_FRAME)
    return answers.pop() if len(answers) == 1 else None


def _squared_distances(
    x: Float[Tensor, "a d"], y: Float[Tensor, "b d"]
) -> tuple[Float[np.ndarray, "a b"], Float[np.ndarray, "a b"]]:
    """|x - y|^2 by products, and |x|^2 + |y|^2, which bounds its error."""
    spread = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)
    return (spread - 2 * x @ y.T).numpy(), spread.numpy()


def _joined(labels: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Labels after the groups one[k] and other[k] became one."""
    n = len(labels)
    links = coo_array((np.ones(len(one), dtype=bool), (one, other)), shape=(n, n))
    return connected_components(links, directed=False)[1][labels]


def _by_appearance(labels: np.ndarray) -> np.ndarray:
    """The same groups, numbered in the order of their first member."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def _random_pairs(n: int, k: int, rng: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
    """k pairs of different rows."""
    i = torch.randint(n, (k,), generator=rng)
    j = (i + 1 + torch.randint(n - 1, (k,), generator=rng)) % n
    return i.numpy(), j.numpy()


def _require_finite(weights: Tensor) -> None:
    if not weights.isfinite().all():
        raise ValueError("distances need finite weights")
