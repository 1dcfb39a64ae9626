"""A whole audit at a paper's size, and one checkpoint explained: ours and SciPy's.

The straightforward way to explain a checkpoint aligns every training checkpoint to it by SciPy's
assignment, takes means, cosines and the hull by SciPy's non-negative least squares with a heavy row
that makes the weights sum to 1. It is measured on a few checkpoints; an audit explains thousands
(held-out runs at eight norms, samples, controls), aligned and as they are.
"""

import resource
import time

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment, nnls

from benchmarks.timing import take_turns
from novelweights.auditing.judge.verdict import judge
from novelweights.auditing.measure.measured import Clock
from novelweights.auditing.prepare import AuditInputs
from novelweights.auditing.stages import audit
from novelweights.data.images import load_data
from novelweights.metrics.alignment import Alignment
from novelweights.metrics.sources import HULL_ROWS, Alignable, find_sources
from novelweights.networks.mlp import MNIST_MLP
from novelweights.tasks.classification import Classification
from novelweights.weights.population import Population, PopulationInfo, Records
from novelweights.weights.symmetry import transform
from novelweights.zoos.training import Recipe, train_batched

TRAINING, HELDOUT, SAMPLES, FEW = 1000, 200, 200, 3


def main() -> None:
    """Print the time and memory of the audit, and the ratio for explaining a checkpoint."""
    data = load_data("mnist-5k")
    recipe = Recipe(epochs=5)
    weights = train_batched(MNIST_MLP, data, recipe, range(TRAINING + HELDOUT + SAMPLES))
    training, heldout, samples = weights.split([TRAINING, HELDOUT, SAMPLES])
    _explained(training, samples[:FEW])

    def population(some: torch.Tensor, split: str) -> Population:
        records = Records.of([f"{split}-{i}" for i in range(len(some))], split=split, step=1)
        info = PopulationInfo("benchmark", {}, MNIST_MLP.name, MNIST_MLP.symmetry, "mnist-5k")
        return Population(some, MNIST_MLP.layout, records, info)

    clock, start = Clock(), time.perf_counter()
    inputs = AuditInputs(
        train=population(training, "train"),
        generated=population(samples, "generated"),
        heldout=population(heldout, "heldout"),
        task=Classification("mnist-5k", MNIST_MLP, data),
        symmetry=MNIST_MLP.symmetry,
    )
    result = audit(inputs, clock=clock)
    verdicts = judge(result)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"audit: {SAMPLES} samples, {TRAINING} training, {HELDOUT} held-out {MNIST_MLP.name}, "
        f"{len(verdicts.controls)} controls: {seconds:.0f} s, peak {peak:.1f} GiB, once; "
        f"verdict {verdicts.population.origin}"
    )
    print("  " + ", ".join(f"{stage} {taken:.0f} s" for stage, taken in clock.seconds.items()))


def _explained(training: torch.Tensor, queries: torch.Tensor) -> None:
    alignment = Alignment(MNIST_MLP.layout, MNIST_MLP.symmetry)
    features, _ = (part.double().numpy() for part in alignment.features(training))

    def by_scipy() -> list[tuple[float, float]]:
        mine, _ = (part.double().numpy() for part in alignment.features(queries))
        return [_by_scipy(queries[q], mine[q], training, features) for q in range(FEW)]

    def ours() -> list[tuple[float, float]]:
        found = find_sources(queries, Alignable.of(training, alignment))
        return list(zip(found.cosine.tolist(), found.hull_distance.tolist(), strict=True))

    ours()  # compiles
    (fast, found), (slow, expected) = take_turns(ours, by_scipy)
    difference = float(np.abs(np.array(found) / np.array(expected) - 1).max())
    if difference > 1e-3:
        raise ValueError(f"the two ways differ by {difference:.1e}")
    print(
        f"explaining {FEW} checkpoints by {TRAINING} aligned ones, medians: SciPy {slow:.2f} s, "
        f"ours {fast:.3f} s: {slow / fast:.0f} times faster; largest relative difference "
        f"{difference:.0e}"
    )


def _by_scipy(
    query: torch.Tensor, mine: np.ndarray, training: torch.Tensor, features: np.ndarray
) -> tuple[float, float]:
    """Largest cosine and distance to the hull of the nearest checkpoints."""
    order = [linear_sum_assignment(-(mine @ theirs.T))[1] for theirs in features]
    groups = {"h": torch.from_numpy(np.stack(order))}
    aligned = transform(training, MNIST_MLP.layout, MNIST_MLP.symmetry, groups).double().numpy()
    target = query.double().numpy()
    mu = aligned.mean(axis=0)
    around, direction = aligned - mu, target - mu
    lengths = np.linalg.norm(around, axis=1) * np.linalg.norm(direction)
    cosines = around @ direction / lengths
    near = np.argsort(np.linalg.norm(aligned - target, axis=1))[: HULL_ROWS - HULL_ROWS // 4]
    taken = set(near.tolist())
    rest = [row for row in np.argsort(-cosines) if row not in taken][: HULL_ROWS // 4]
    vertices = around[np.concatenate([near, rest])]
    heavy = 1e4 * float(np.sqrt((vertices**2).sum(axis=1).mean()))
    system = np.vstack([vertices.T, heavy * np.ones(len(vertices))])
    weights = nnls(system, np.append(direction, heavy))[0]
    return float(cosines.max()), float(np.linalg.norm(direction - weights @ vertices))


if __name__ == "__main__":
    main()
