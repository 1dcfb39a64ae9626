"""Chamfer distances of clouds of 2,048 points: ours, three matrix products a pair, scipy's trees.

The straightforward way, that of the paper's released evaluation written anew, forms all inner
products of points within and across two clouds for a batch of pairs, though of those within a
cloud only the diagonal is needed, and takes minima over whole matrices. The other way makes one
`KDTree` of each cloud and searches it for the points of the other, in the order of that one's
tree, on as many threads. Both are measured on a subset of pairs and scaled. The nearest clouds are
searched among shapes of a few classes, each with many variants, as airplanes are. Every call of
ours sorts its clouds anew.
"""

import numba
import numpy as np
import torch
from scipy.spatial import KDTree

from benchmarks.timing import take_turns
from novelweights.metrics.point_clouds import chamfer, nearest_clouds, normalized

POINTS, QUERIES, REFERENCES, CLASSES = 2048, 20, 200, 5
BATCH, BATCHES = 4, 2


def main() -> None:
    """Print seconds of all ways and their ratios, with one thread and with two."""
    rng = np.random.default_rng(0)
    shapes = normalized(_airplanes(QUERIES + REFERENCES, rng))
    queries, references = shapes[:QUERIES], shapes[QUERIES:]
    nearest_clouds(queries[:1], references[:1]), chamfer(queries[:1], references[:1])  # compiles
    threads, most = torch.get_num_threads(), numba.get_num_threads()
    try:
        for count in range(1, min(2, most) + 1):
            numba.set_num_threads(count)
            torch.set_num_threads(count)
            _compare(queries, references)
    finally:
        numba.set_num_threads(most)
        torch.set_num_threads(threads)


def _compare(queries: np.ndarray, references: np.ndarray) -> None:
    a = torch.from_numpy(queries[:1]).expand(BATCH, -1, -1)
    b = torch.from_numpy(references[: BATCH * BATCHES]).split(BATCH)
    (slow, expected), (trees, by_trees), (fused, found), (pruned, nearest) = take_turns(
        lambda: torch.cat([_by_products(a, some) for some in b]).numpy(),
        lambda: _by_trees(queries[0], references[: len(queries)]),
        lambda: chamfer(queries, references),
        lambda: nearest_clouds(queries, references),
    )
    difference = float(np.abs(found[0, : len(expected)] / expected - 1).max())
    if difference > 1e-3:  # products lose digits
        raise ValueError(f"the two ways differ by {difference:.1e}")
    difference_of_trees = float(np.abs(found[0, : len(by_trees)] / by_trees - 1).max())
    if difference_of_trees > 5e-7:
        raise ValueError(f"scipy's trees give others by {difference_of_trees:.1e}")
    rows = found.argmin(axis=1)
    if (nearest.rows[:, 0] != rows).any() or (nearest.distances[:, 0] != found.min(axis=1)).any():
        raise ValueError("the search does not find what the whole matrix gives")
    pairs = QUERIES * REFERENCES
    slow *= pairs / len(expected)
    trees *= pairs / len(by_trees)
    print(
        f"point clouds: {QUERIES} x {REFERENCES} clouds of {POINTS} points, medians of 3, "
        f"{numba.get_num_threads()} threads\n"
        f"  matrix products {slow:.1f} s (scaled from {len(expected)} pairs), ours {fused:.2f} s, "
        f"{1e6 * fused / pairs:.0f} us a pair: {slow / fused:.0f} times faster; largest relative "
        f"difference {difference:.0e}\n"
        f"  scipy's k-d trees {trees:.1f} s (scaled from {len(by_trees)} pairs): "
        f"{trees / fused:.1f} times as long; largest relative difference "
        f"{difference_of_trees:.0e}\n"
        f"  nearest cloud of each {pruned:.3f} s: {fused / pruned:.1f} times faster than all "
        "pairs, results equal"
    )


def _by_products(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Chamfer distance of a[i] and b[i] from |x|^2 + |y|^2 - 2xy."""
    xx, yy, xy = a @ a.mT, b @ b.mT, a @ b.mT
    own, other = xx.diagonal(dim1=1, dim2=2), yy.diagonal(dim1=1, dim2=2)
    squared = own[:, :, None] + other[:, None, :] - 2 * xy
    return squared.amin(dim=2).mean(dim=1) + squared.amin(dim=1).mean(dim=1)


def _by_trees(query: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Distances of one cloud to several, a tree of each cloud made once."""
    threads, tree = numba.get_num_threads(), KDTree(query)
    distances = []
    for other in map(KDTree, references):
        there, _ = other.query(tree.data[tree.indices], workers=threads)
        back, _ = tree.query(other.data[other.indices], workers=threads)
        distances.append(np.square(there).mean() + np.square(back).mean())
    return np.array(distances)


def _airplanes(n: int, rng: np.random.Generator) -> np.ndarray:
    """Points on a body, swept wings and a tail; proportions vary around those of a class."""
    ranges = np.array([(0.6, 1.4), (0.08, 0.3), (0.0, 1.0), (-0.3, 0.3), (0.06, 0.12)]).T
    classes = rng.uniform(*ranges, size=(CLASSES, 5))
    spread = 0.1 * (ranges[1] - ranges[0])
    clouds = np.empty((n, POINTS, 3), np.float32)
    for cloud in clouds:
        kind = classes[rng.integers(CLASSES)] + spread * rng.uniform(-1, 1, 5)
        span, chord, sweep, root, radius = kind
        body, wing, tail, fin = np.split(rng.uniform(-1, 1, (POINTS, 3)), [900, 1600, 1850])
        around = np.pi * body[:, 1]
        width = radius * np.sqrt(1 - body[:, 0] ** 4)
        body[:, 1], body[:, 2] = width * np.cos(around), width * np.sin(around)
        for part, size, place in ((wing, 1.0, root), (tail, 0.35, 0.9)):
            part *= [size * chord / 2, size * span, 0.01]
            part[:, 0] += place + sweep * np.abs(part[:, 1])
        fin *= [0.2 * chord, 0.01, 0.15]
        fin += [0.9, 0, 0.15]
        cloud[:] = np.concatenate([body, wing, tail, fin])
    return clouds


if __name__ == "__main__":
    main()
