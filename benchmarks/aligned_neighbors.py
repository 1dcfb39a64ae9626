"""Nearest training checkpoints up to neuron permutations, and mixtures: ours against SciPy.

The straightforward way measures every pair: a cost matrix of neuron distances by SciPy's cdist in
float64, SciPy's assignment, and keeps the smallest; it is measured on a subset of queries and
scaled. Mixtures: SciPy's non-negative least squares with a heavy row that makes the weights sum
to 1.
"""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment, nnls
from scipy.spatial.distance import cdist

from benchmarks.timing import take_turns
from novelweights.data.images import load_data
from novelweights.metrics.alignment import Alignment
from novelweights.metrics.hull import hull_weights
from novelweights.metrics.neighbors import nearest
from novelweights.networks.mlp import MNIST_MLP
from novelweights.zoos.training import Recipe, train_batched

TRAINING, QUERIES, SUBSET = 1000, 200, 10
HULL_ROWS, MIXTURES = 256, 5


def main() -> None:
    """Print seconds of both ways and their ratio, for neighbors and for mixtures."""
    data = load_data("mnist-5k")
    weights = train_batched(MNIST_MLP, data, Recipe(epochs=3), range(TRAINING + QUERIES))
    training, queries = weights[:TRAINING], weights[TRAINING:]
    _neighbors(training, queries)
    _mixtures(training.double().numpy(), queries.double().numpy())


def _neighbors(training: torch.Tensor, queries: torch.Tensor) -> None:
    alignment = Alignment(MNIST_MLP.layout, MNIST_MLP.symmetry)
    features, rest = (part.double().numpy() for part in alignment.features(training))

    def one_by_one() -> np.ndarray:
        best = np.full(SUBSET, np.inf)
        mine, outside = (part.double().numpy() for part in alignment.features(queries[:SUBSET]))
        for q in range(SUBSET):
            for m in range(TRAINING):
                costs = cdist(mine[q], features[m], "sqeuclidean")
                rows, columns = linear_sum_assignment(costs)
                squared = costs[rows, columns].sum() + ((outside[q] - rest[m]) ** 2).sum()
                best[q] = min(best[q], squared**0.5)
        return best

    def together() -> np.ndarray:
        return nearest(queries, training, alignment=alignment).distances[:, 0]

    together()  # compiles
    (fast, found), (slow, expected) = take_turns(together, one_by_one)
    difference = float(np.abs(found[:SUBSET] / expected - 1).max())
    if difference > 1e-9:
        raise ValueError(f"the two ways differ by {difference:.1e}")
    slow *= QUERIES / SUBSET
    print(
        f"aligned neighbors: {QUERIES} queries, {TRAINING} training {MNIST_MLP.name}, medians\n"
        f"  SciPy pair by pair {slow:.1f} s (scaled from {SUBSET} queries), ours {fast:.2f} s: "
        f"{slow / fast:.0f} times faster; largest relative difference {difference:.0e}"
    )


def _mixtures(training: np.ndarray, queries: np.ndarray) -> None:
    vertices = training[:HULL_ROWS] - training[:HULL_ROWS].mean(axis=0)
    targets = queries[:MIXTURES] - training[:HULL_ROWS].mean(axis=0)
    heavy = 1e4 * float(np.sqrt((vertices**2).sum(axis=1).mean()))

    def by_scipy() -> list[np.ndarray]:
        system = np.vstack([vertices.T, heavy * np.ones(HULL_ROWS)])
        return [nnls(system, np.append(target, heavy))[0] for target in targets]

    def ours() -> list[np.ndarray]:
        gram = vertices @ vertices.T
        return [hull_weights(gram, vertices @ target) for target in targets]

    ours()  # compiles
    (fast, found), (slow, expected) = take_turns(ours, by_scipy)
    distances = [
        [np.linalg.norm(t - w @ vertices) for t, w in zip(targets, way, strict=True)]
        for way in (found, expected)
    ]
    difference = float(np.abs(np.array(distances[0]) / distances[1] - 1).max())
    if difference > 1e-6:
        raise ValueError(f"the two ways differ by {difference:.1e}")
    print(
        f"mixtures: {MIXTURES} targets, hull of {HULL_ROWS} checkpoints, medians of 3\n"
        f"  SciPy nnls {slow:.2f} s, ours {fast:.3f} s: {slow / fast:.0f} times faster; "
        f"largest relative difference of the distance {difference:.0e}"
    )


if __name__ == "__main__":
    main()
