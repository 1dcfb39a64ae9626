"""Predictions of many small convolutional networks on the same images, compiled and by torch.

The published size is 2,896 networks; 10,000 test images, MNIST-5k's ten times, each copy with its
own noise. Fewer networks are measured, all ways are scaled. torch takes one module after another,
500 images at a time, which is faster than all at once; or some stacked, 64 images at a time, see
`benchmarks/stacked_cnns.py`. A network needs 193,784 multiply-adds an image, of which the rate is.
"""

from collections.abc import Callable
from dataclasses import replace

import numba
import torch
from torch import Tensor
from torch.func import functional_call, vmap

from benchmarks.stacked_cnns import grouped_logits
from benchmarks.timing import take_turns
from novelweights.data.images import load_data
from novelweights.networks.small_cnn import GRAY_CNN
from novelweights.tasks.classification import Classification
from novelweights.weights.population import Population, sampled_records
from novelweights.zoos.cnn_training import AdamRecipe, train_epochs

NETWORKS, SUBSET, PUBLISHED = 64, 4, 2896
MULTIPLY_ADDS = 115_200 + 76_800 + 1_784


def main() -> None:
    """Print seconds of all ways and their ratios."""
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

    few = weights[:SUBSET]
    (fast, got), (slow, expected), (grouped, other), (mapped, third) = take_turns(
        lambda: task.behave(population),
        lambda: _predict_each(few, x),
        lambda: _predict(lambda part: grouped_logits(GRAY_CNN, few, part), x),
        lambda: _predict(lambda part: _mapped_logits(few, part), x),
    )
    same = min((found[:SUBSET] == expected).double().mean().item() for found in (got, other, third))
    if same < 1 - 1e-4:  # where two logits are equal but for rounding
        raise ValueError(f"the ways differ: {same:.6f} of the predictions are equal")
    fast = fast / NETWORKS
    print(
        f"cnn evaluation: {GRAY_CNN.name}, {len(x)} images, medians of 3, "
        f"{numba.get_num_threads()} threads\n"
        f"  compiled {fast:.4f} s a network, {2e-9 * MULTIPLY_ADDS * len(x) / fast:.0f} GFLOP/s; "
        f"{PUBLISHED} networks {PUBLISHED * fast:.0f} s"
    )
    for name, seconds in (
        ("one module at a time", slow),
        ("grouped convolutions", grouped),
        ("vmap", mapped),
    ):
        print(f"  {name} {seconds / SUBSET:.2f} s, {seconds / SUBSET / fast:.0f} times as long")
    print(f"  equal predictions {same:.7f}")


def _predict(logits: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with torch.no_grad():
        parts = [logits(part).argmax(dim=2) for part in x.split(64)]
    return torch.cat(parts, dim=1).to(torch.uint8)


def _mapped_logits(weights: Tensor, x: Tensor) -> Tensor:
    module, state = GRAY_CNN.module(), GRAY_CNN.layout.unflatten(weights)
    return vmap(lambda one: functional_call(module, one, (x,)))(state)


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
