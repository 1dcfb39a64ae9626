"""Training a zoo of small convolutional networks: compiled code against one PyTorch loop per run.

The network and recipe of Hyper-Representations' SVHN zoo (gray, tanh, Adam, batches of 10) on
MNIST-5k, one epoch. PyTorch is timed with one thread and with all; the faster counts.

The arithmetic that cannot be avoided, in multiply-adds per image: forward 115,200 and 76,800 in the
two large convolutions and 1,784 behind; backward, where only the largest of four values hands its
slope on, 28,800 for the first convolution's weights, 19,200 for the second's, 19,200 to go through
it, and 3,568 behind. The rate is of these 264,552 alone.
"""

from dataclasses import replace

import numba
import torch
from torch import Tensor

from benchmarks.timing import take_turns
from novelweights.data.images import load_data
from novelweights.networks.small_cnn import GRAY_CNN, SmallCNN
from novelweights.zoos.cnn_training import AdamRecipe, train_epochs, train_one_cnn

RUNS = 16
MULTIPLY_ADDS = 115_200 + 76_800 + 1_784 + 28_800 + 2 * 19_200 + 2 * 1_784
COMPARED_IMAGES = 400


def main() -> None:
    """Print seconds per run of 25 epochs of 60,000 images, and the ratio."""
    data, recipe = load_data("mnist-5k"), AdamRecipe(epochs=1)
    difference = _difference()  # compiles, too

    def loop() -> Tensor:
        return train_one_cnn(GRAY_CNN, data, recipe, 0)

    def loop_on_one_thread() -> Tensor:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return loop()
        finally:
            torch.set_num_threads(threads)

    def together() -> Tensor:
        return train_epochs(GRAY_CNN, data, recipe, range(RUNS), 1)

    (all_threads, _), (one_thread, _), (fast, _) = take_turns(loop, loop_on_one_thread, together)
    images = len(data.train_y)
    slow, fast = min(all_threads, one_thread) / images, fast / (RUNS * images)
    whole = 25 * 60_000
    print(
        f"cnn training: {GRAY_CNN.name}, batch {recipe.batch_size}, medians of 3, "
        f"{numba.get_num_threads()} threads\n"
        f"  a PyTorch loop {1e6 * slow:.0f} us an image, {RUNS} runs together {1e6 * fast:.2f} us: "
        f"{slow / fast:.0f} times faster, {2e-9 * MULTIPLY_ADDS / fast:.0f} GFLOP/s\n"
        f"  a published run (25 epochs of 60,000): {whole * slow:.0f} s and {whole * fast:.1f} s; "
        f"weights differ by {difference:.0e} of the way after {COMPARED_IMAGES} images"
    )


def _difference() -> float:
    """Of the two ways' weights, as a share of the way from the initialization."""
    data = load_data("mnist-5k")
    x, y = data.train_x[::10][:COMPARED_IMAGES], data.train_y[::10][:COMPARED_IMAGES]
    few, seeds = replace(data, train_x=x, train_y=y), [0, 1]
    network = SmallCNN(initialization="kaiming")  # see tests/zoos/test_cnn_training.py
    recipe = AdamRecipe(epochs=1, weight_decay=1e-2)
    alone = torch.stack([train_one_cnn(network, few, recipe, seed) for seed in seeds])
    start = torch.stack([network.initial(torch.Generator().manual_seed(seed)) for seed in seeds])
    found = train_epochs(network, few, recipe, seeds, 1)[:, 0]
    difference = ((found - alone).norm() / (alone - start).norm()).item()
    if difference > 1e-3:
        raise ValueError(f"the two ways differ by {difference:.1e} of the way")
    return difference


if __name__ == "__main__":
    main()
