"""Training a zoo of small convolutional networks: compiled code against torch.

The network and recipe of Hyper-Representations' SVHN zoo (gray, tanh, Adam, batches of 10) on
MNIST-5k. torch trains one run after another (with one thread and with all), or many stacked in two
ways, see `benchmarks/stacked_cnns.py`, as many at a time as a zoo does.

The arithmetic that cannot be avoided, in multiply-adds per image: forward 115,200 and 76,800 in the
two large convolutions and 1,784 behind; backward, where only the largest of four values hands its
slope on, 28,800 for the first convolution's weights, 19,200 for the second's, 19,200 to go through
it, and 3,568 behind. The rate is of these 264,552 alone.
"""

from dataclasses import replace

import numba
import torch
from torch import Tensor

from benchmarks.plain_training import train_one
from benchmarks.stacked_cnns import WAYS, train_stacked
from benchmarks.timing import take_turns
from novelweights.data.images import ImageData, load_data
from novelweights.networks.small_cnn import GRAY_CNN, SmallCNN
from novelweights.zoos.cnn_training import AdamRecipe, train_epochs
from novelweights.zoos.training import RUNS_AT_ONCE

IMAGES = 200
MULTIPLY_ADDS = 115_200 + 76_800 + 1_784 + 28_800 + 2 * 19_200 + 2 * 1_784


def main() -> None:
    """Print microseconds per image of every way, and the ratios."""
    data = load_data("mnist-5k")
    x, y = data.train_x[::10][:IMAGES], data.train_y[::10][:IMAGES]
    data, recipe, runs = replace(data, train_x=x, train_y=y), AdamRecipe(epochs=1), RUNS_AT_ONCE
    differences = _differences(data)  # compiles, too

    def one_run() -> Tensor:
        return train_one(GRAY_CNN, data, recipe, 0)

    def one_run_on_one_thread() -> Tensor:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return one_run()
        finally:
            torch.set_num_threads(threads)

    timed = take_turns(
        lambda: train_epochs(GRAY_CNN, data, recipe, range(runs), 1),
        one_run,
        one_run_on_one_thread,
        *(lambda way=way: train_stacked(way, GRAY_CNN, data, recipe, range(runs)) for way in WAYS),
    )
    fast, *others = (seconds for seconds, _ in timed)
    fast /= IMAGES * runs
    print(
        f"cnn training: {GRAY_CNN.name}, batch {recipe.batch_size}, medians of 3, "
        f"{numba.get_num_threads()} threads\n"
        f"  {runs} runs compiled: {1e6 * fast:.2f} us an image, "
        f"{2e-9 * MULTIPLY_ADDS / fast:.0f} GFLOP/s; a published run (25 epochs of 60,000) "
        f"{25 * 60_000 * fast:.1f} s"
    )
    names = ("a PyTorch loop", "the same on one thread", *WAYS)
    for name, seconds, n in zip(names, others, (1, 1, *(runs for _ in WAYS)), strict=True):
        slow = seconds / (IMAGES * n)
        print(f"  {name}: {1e6 * slow:.0f} us an image, {slow / fast:.1f} times as long")
    print(f"  after {IMAGES} images weights differ by {max(differences):.0e} of the way or less")


def _differences(data: ImageData) -> list[float]:
    """Of torch's weights from ours, as shares of the way from the initialization."""
    network = SmallCNN(initialization="kaiming")  # see tests/zoos/test_cnn_training.py
    recipe, seeds = AdamRecipe(epochs=1, weight_decay=1e-2), range(2)
    start = torch.stack([network.initial(torch.Generator().manual_seed(seed)) for seed in seeds])
    ours = train_epochs(network, data, recipe, seeds, 1)[:, 0]
    ways = [torch.stack([train_one(network, data, recipe, seed) for seed in seeds])]
    ways += [train_stacked(way, network, data, recipe, seeds) for way in WAYS]
    differences = [((ours - way).norm() / (way - start).norm()).item() for way in ways]
    if max(differences) > 1e-3:
        raise ValueError(f"the ways differ by {max(differences):.1e} of the way")
    return differences


if __name__ == "__main__":
    main()
