"""Judging a population: predictions of 1,000 networks and all maximum similarities.

Against the straightforward way, which runs one module at a time and compares error sets pair by
pair in numpy. That way is measured on 100 networks and scaled: 10 times for the predictions, 100
times for the pairs. 10,000 test images: MNIST-5k's, ten times, each copy with its own noise.
"""

import time
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from benchmarks.timing import take_turns
from novelweights.data.images import load_data
from novelweights.networks.mlp import MNIST_MLP
from novelweights.tasks.classification import Classification
from novelweights.weights.population import Population, sampled_records
from novelweights.zoos.training import Recipe, train_batched

NETWORKS, SUBSET = 1000, 100


def main() -> None:
    """Print seconds of both ways and their ratio."""
    data = load_data("mnist-5k")
    weights = train_batched(MNIST_MLP, data, Recipe(epochs=1), range(NETWORKS))
    rng = torch.Generator().manual_seed(0)
    x = data.test_x.repeat(10, 1)
    x += 0.1 * torch.randn(x.shape, generator=rng)
    task = Classification(
        "benchmark", MNIST_MLP, replace(data, test_x=x, test_y=data.test_y.repeat(10))
    )
    population = Population(weights, MNIST_MLP.layout, sampled_records(NETWORKS))
    itself = torch.eye(NETWORKS, dtype=torch.bool)

    def together() -> tuple[float, Tensor, Tensor]:
        start = time.perf_counter()
        behavior = task.behave(population)
        half = time.perf_counter() - start
        return half, behavior, task.novelty_against(behavior, behavior, exclude=itself)

    def one_by_one() -> tuple[float, Tensor, Tensor]:
        start = time.perf_counter()
        behavior = _predict_each(weights[:SUBSET], x)
        half = time.perf_counter() - start
        return half, behavior, _compare_pairs(behavior, task.data.test_y)

    (fast, got), (slow, expected) = take_turns(together, one_by_one)
    # the subset's similarities are among the subset only; predictions may differ at exact ties
    subset = task.novelty_against(got[1][:SUBSET], got[1][:SUBSET], exclude=itself[:100, :100])
    same = (got[1][:SUBSET] == expected[1]).double().mean().item()
    difference = (subset - expected[2]).abs().max().item()
    if same < 1 - 1e-5 or difference > 1e-3:
        raise ValueError(f"the two ways differ: {same:.6f} equal, similarity by {difference:.1e}")
    scale = NETWORKS / SUBSET
    slow = expected[0] * scale + (slow - expected[0]) * scale**2
    print(
        f"population evaluation: {NETWORKS} {MNIST_MLP.name}, {len(x)} images, medians of 3\n"
        f"  one module and one pair at a time {slow:.1f} s (scaled from {SUBSET} networks), "
        f"together {fast:.2f} s (predictions {got[0]:.2f} s): {slow / fast:.0f} times faster\n"
        f"  equal predictions {same:.7f}, largest difference of a similarity {difference:.0e}"
    )


def _predict_each(weights: Tensor, x: Tensor) -> Tensor:
    module = MNIST_MLP.module()
    predictions = []
    with torch.no_grad():
        for row in weights:
            module.load_state_dict(MNIST_MLP.layout.unflatten(row))
            predictions.append(module(x).argmax(dim=1))
    return torch.stack(predictions).to(torch.uint8)


def _compare_pairs(predictions: Tensor, labels: Tensor) -> Tensor:
    errors = predictions.numpy() != labels.numpy()
    best = np.zeros(len(errors))
    for i, one in enumerate(errors):
        for j, other in enumerate(errors):
            if i != j:
                either = np.logical_or(one, other).sum()
                iou = np.logical_and(one, other).sum() / either if either else 1.0
                best[i] = max(best[i], iou)
    return torch.from_numpy(best)


if __name__ == "__main__":
    main()
