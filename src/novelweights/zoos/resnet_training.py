"""Training a ResNet-18 from scratch: AdamW with augmented images.

What P-diff's base network and the from-scratch control have in common. One network is one
computation here: a single step already fills the machine. State is kept after each epoch, so a
training that was killed goes on; on a CPU it ends with the same bytes.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from novelweights.data.augment import rand_augment, random_resized_crop
from novelweights.data.image_data import ImageData, PixelData, standardized
from novelweights.errors import InputError
from novelweights.networks.network import working_device
from novelweights.networks.resnet import (
    ResNet18,
    require_sound_convolutions,
    whole_state,
)
from novelweights.seeding import rng_for
from novelweights.tasks.classification import loss_and_accuracy
from novelweights.zoos.builds import keep_state, kept_state
from novelweights.zoos.pre_trained import PreTrained
from novelweights.zoos.training import require_sizes

AUGMENTATIONS = ("crop", "crop and RandAugment")
Tell = Callable[[int], None]
"""Called with the steps done since the last call."""


@dataclass(frozen=True)
class AdamWRecipe:
    """How a ResNet-18 is trained from a random initialization.

    Source: paper, table 3, which is the from-scratch control; augmentation and number of epochs of
    P-diff's base network from the released code.
    """

    epochs: int = 300
    batch_size: int = 128
    """The last batch of an epoch may be smaller."""
    learning_rate: float = 5e-4
    """At the start; falls to 0 along a cosine, constant inside an epoch."""
    weight_decay: float = 5e-4
    """Decoupled, on all parameters."""
    augmentation: str = "crop and RandAugment"
    """crop: random resized crop and flip; or RandAugment (2 operations, magnitude 9, std 0.5) after
    it."""

    def __post_init__(self) -> None:
        require_sizes(self.epochs, self.batch_size)
        if self.augmentation not in AUGMENTATIONS:
            raise ValueError(f"augmentation {self.augmentation!r} is none of {AUGMENTATIONS}")

    def learning_rate_in(self, epoch: int) -> float:
        """The learning rate inside an epoch, counted from 0."""
        return self.learning_rate / 2 * (1 + math.cos(math.pi * epoch / self.epochs))

    def steps(self, n_examples: int) -> int:
        """Optimizer steps of a whole run."""
        return self.epochs * math.ceil(n_examples / self.batch_size)


class Trained(NamedTuple):
    """A network after its training."""

    weights: Tensor
    """(d,) its whole state, in the order of the network's layout."""
    epoch: int
    """After how many epochs."""
    accuracy: float
    """Percent of the test images."""


def train_network(
    network: ResNet18,
    data: PixelData,
    test: ImageData,
    recipe: AdamWRecipe,
    seed: int,
    *,
    keep_best: bool,
    state_file: Path,
    tell: Tell,
    init: PreTrained | None = None,
) -> Trained:
    """One network, from a random initialization or from one that was trained before.

    Args:
        network: Target network.
        data: Its training images are used.
        test: What accuracy is measured on, see `evaluation_images`.
        recipe: How to train.
        seed: Of initialization, data order and augmentation.
        keep_best: Return the epoch with the best test accuracy (as P-diff's released code chooses
            its base network), not the last.
        state_file: Where the state after each epoch is kept, and continued from if it is there.
        tell: Told after each step, and at once of what had been done before.
        init: What it begins from, as far as it fits; None: a random initialization.

    Raises:
        InputError: The kept state is of another training, or the loss is not finite.
    """
    require_sound_convolutions(network)
    device = working_device()
    module = network.module().to(device)
    first = network.layout.unflatten(network.initial(rng_for(seed, "initialization")))
    module.load_state_dict(first if init is None else first | init.fitted_to(network), strict=False)
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    identity = f"{asdict(network)} {asdict(recipe)} {data.sha256} {seed} {keep_best}"
    identity += "" if init is None else f" {init.sha256}"

    def restored(state: dict[str, Any]) -> tuple[int, Trained]:
        module.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        return int(state["epochs"]), Trained(*state["best"])

    what = "state of an unfinished training"
    done, best = kept_state(state_file, identity, what, restored) or (0, None)
    tell(recipe.steps(len(data.train)) // recipe.epochs * done)
    for epoch in range(done, recipe.epochs):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate_in(epoch)
        module.train()
        rng = rng_for(seed, "epoch", epoch)
        for rows in batches_of_epoch(len(data.train), recipe.batch_size, rng):
            images = augmented(data, rows, recipe.augmentation, network.image_size, rng)
            labels = torch.from_numpy(data.train_y[rows.numpy()])
            loss = F.cross_entropy(module(images.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            tell(1)
        weights = network.layout.flatten(whole_state(module)).cpu()
        if not weights.isfinite().all():
            raise InputError(
                f"training of {network.name} diverged in epoch {epoch + 1}, expected finite "
                f"weights; lower the learning rate {recipe.learning_rate}",
                "not-finite",
            )
        _, [accuracy] = loss_and_accuracy(network, weights[None], test.test_x, test.test_y)
        if best is None or not keep_best or accuracy > best.accuracy:
            best = Trained(weights, epoch + 1, float(accuracy))
        keep_state(
            state_file,
            identity,
            epochs=epoch + 1,
            model=module.state_dict(),
            optimizer=optimizer.state_dict(),
            best=tuple(best),
        )
    if best is None:
        raise ValueError("a recipe has at least one epoch")
    return best


def batches_of_epoch(
    n_examples: int, batch_size: int, rng: torch.Generator
) -> Iterator[Int[Tensor, " batch"]]:
    """Rows of the batches of one pass over the examples in random order; the last may be small."""
    yield from torch.randperm(n_examples, generator=rng).split(batch_size)


def augmented(
    data: PixelData, rows: Int[Tensor, " n"], augmentation: str, size: int, rng: torch.Generator
) -> Float[Tensor, "n c {size} {size}"]:
    """Training images as a network is given them, each cropped, flipped and changed anew."""
    pixels = data.train[rows.numpy()]
    if augmentation == "crop":
        images = standardized(pixels, data.mean, data.std)
        return _last(random_resized_crop(images, size, rng=rng))
    levels = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float()
    cropped = random_resized_crop(levels, size, rng=rng).round().clamp(0, 255).to(torch.uint8)
    changed = rand_augment(np.ascontiguousarray(cropped.permute(0, 2, 3, 1).numpy()), rng=rng)
    return _last(standardized(changed, data.mean, data.std))


def _last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)
