"""Predictions of many small convolutional networks on the same images, against a loop of modules.

The published size is 2,896 networks; 10,000 test images, MNIST-5k's ten times, each copy with its
own noise. Fewer networks are measured and both ways are scaled. The loop takes 500 images at a
time, which is faster than all at once. A network needs 193,784 multiply-adds an image, of which
the rate is.
"""

from dataclasses import replace

import numba
import torch
from torch import Tensor

from benchmarks.timing import take_turns
from novelweights.data.images import load_data
from novelweights.networks.small_cnn import GRAY_CNN
from novelweights.tasks.classification import Classification
from novelweights.weights.population import Population, sampled_records
from novelweights.zoos.cnn_training import AdamRecipe, train_epochs

NETWORKS, SUBSET, PUBLISHED = 64, 4, 2896
MULTIPLY_ADDS = 115_200 + 76_800 + 1_784


def main() -> None:
    """Print seconds of both ways and their ratio."""
    data = load_data("mnist-5k")
    weights = train_epochs(GRAY_CNN, data, AdamRecipe(epochs=1), range(NETWORKS), 1)[:, 0]
    rng = torch.Generator().manual_seed(0)
    x = data.test_x.repeat(10, 1)
    x += 0.1 * torch.randn(x.shape, generator=rng)
    task = Classification(
        "benchmark", GRAY_CNN, replace(data, test_x=x, test_y=data.test_y.repeat(10))
    )
    population = Population(weights, GRAY_CNN.layout, sampled_records(NETWORKS))
    task.behave(population.select(slice(0, 1)))  # compiles

    def one_by_one() -> Tensor:
        return _predict_each(weights[:SUBSET], x)

    (fast, got), (slow, expected) = take_turns(lambda: task.behave(population), one_by_one)
    same = (got[:SUBSET] == expected).double().mean().item()
    if same < 1 - 1e-4:  # where two logits are equal but for rounding
        raise ValueError(f"the two ways differ: {same:.6f} of the predictions are equal")
    fast, slow = fast / NETWORKS, slow / SUBSET
    print(
        f"cnn evaluation: {GRAY_CNN.name}, {len(x)} images, medians of 3, "
        f"{numba.get_num_threads()} threads\n"
        f"  one module at a time {slow:.2f} s a network, together {fast:.4f} s: "
        f"{slow / fast:.0f} times faster, {2e-9 * MULTIPLY_ADDS * len(x) / fast:.0f} GFLOP/s\n"
        f"  {PUBLISHED} networks: {PUBLISHED * slow:.0f} s and {PUBLISHED * fast:.0f} s; equal "
        f"predictions {same:.7f}"
    )


def _predict_each(weights: Tensor, x: Tensor) -> Tensor:
    module = GRAY_CNN.module()
    predictions = []
    with torch.no_grad():
        for row in weights:
            module.load_state_dict(GRAY_CNN.layout.unflatten(row))
            predictions.append(torch.cat([module(part).argmax(dim=1) for part in x.split(500)]))
    return torch.stack(predictions).to(torch.uint8)


if __name__ == "__main__":
    main()
