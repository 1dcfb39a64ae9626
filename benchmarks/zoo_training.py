"""Training a zoo: many runs as one computation against one PyTorch loop per run.

The paper's MNIST target network (784-10-10) on 60,000 images: 15 copies of MNIST-5k's training
images, each with its own noise, so that nothing need be downloaded. One epoch.
"""

from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.plain_training import train_one
from benchmarks.timing import take_turns
from novelweights.data.images import ImageData, load_data
from novelweights.networks.mlp import MNIST_MLP
from novelweights.zoos.training import RUNS_AT_ONCE, Recipe, train_batched

# Rounding errors grow with training: where one of them moves a ReLU across its kink, two correct
# loops part (torch in float32 parts from torch in float64 too). So results are compared after a
# short run, and the rate at batch 32 is scaled: at 0.1 training is chaotic from the start.
LEARNING_RATES = {128: 0.1, 32: 0.025}
COMPARED_IMAGES = 3200


def main() -> None:
    """Print seconds per run and their ratio at both batch sizes."""
    data = like_mnist()
    seeds = list(range(RUNS_AT_ONCE))
    train_batched(MNIST_MLP, data, Recipe(epochs=1, batch_size=30_000), seeds)  # compile
    train_one(MNIST_MLP, data, Recipe(epochs=1, batch_size=30_000), 0)
    print(f"zoo training: {MNIST_MLP.name}, {len(data.train_y)} images, 1 epoch, medians of 3")
    for batch_size, rate in LEARNING_RATES.items():
        recipe = Recipe(epochs=1, batch_size=batch_size, learning_rate=rate)

        def one_by_one(recipe: Recipe = recipe) -> Tensor:
            return torch.stack([train_one(MNIST_MLP, data, recipe, seed) for seed in seeds[:2]])

        def batched(recipe: Recipe = recipe) -> Tensor:
            return train_batched(MNIST_MLP, data, recipe, seeds)

        (slow, _), (fast, _) = take_turns(one_by_one, batched)
        slow, fast = slow / 2, fast / len(seeds)
        difference = _difference(recipe, data, seeds)
        print(
            f"  batch {batch_size}: one by one {slow:.3f} s a run, {len(seeds)} together "
            f"{fast:.4f} s a run: {slow / fast:.1f} times faster "
            f"(weights differ by at most {difference:.0e} after {COMPARED_IMAGES} images)"
        )


def _difference(recipe: Recipe, data: ImageData, seeds: list[int]) -> float:
    """Largest difference of a weight between the two ways after a short run."""
    few = replace(
        data, train_x=data.train_x[:COMPARED_IMAGES], train_y=data.train_y[:COMPARED_IMAGES]
    )
    alone = torch.stack([train_one(MNIST_MLP, few, recipe, seed) for seed in seeds])
    difference = (alone - train_batched(MNIST_MLP, few, recipe, seeds)).abs().max().item()
    if difference > 1e-4:
        raise ValueError(f"batch {recipe.batch_size}: the two ways differ by {difference:.1e}")
    return difference


def like_mnist() -> ImageData:
    """60,000 training images of MNIST's size: noisy copies of MNIST-5k's."""
    data = load_data("mnist-5k")
    rng = torch.Generator().manual_seed(0)
    x = data.train_x.repeat(15, 1)
    return replace(
        data,
        train_x=x + 0.1 * torch.randn(x.shape, generator=rng),
        train_y=data.train_y.repeat(15),
    )


if __name__ == "__main__":
    main()
