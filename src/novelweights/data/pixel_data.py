"""An image set as bytes, for training that augments its images anew in every epoch.

`ImageData` holds rows that are ready for a network; cropping and color changes need the pixels.
Nothing here reads a file: `data/pixel_sets.py` and the modules it names do.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from novelweights.data.pixels import Moments
from novelweights.data.pixels import standardized as standardized_rows


@dataclass(frozen=True, eq=False)
class PixelData:
    """Images as bytes, channels last, labels from 0, and where they come from."""

    name: str
    source: str
    """Packages and versions, or the user's files, and what was done to the pixels."""
    sha256: str
    """Of the raw file(s) the images were read from; of a set we make, of the bytes made."""
    train: UInt8[np.ndarray, "examples h w c"]
    train_y: Int[np.ndarray, " examples"]
    test: UInt8[np.ndarray, "test_examples h w c"]
    test_y: Int[np.ndarray, " test_examples"]
    mean: tuple[float, ...]
    """Of each channel, of pixels in [0, 1]: what a network's inputs are standardized with."""
    std: tuple[float, ...]
    classes: int

    def __post_init__(self) -> None:
        if len(self.train) != len(self.train_y) or len(self.test) != len(self.test_y):
            raise ValueError(f"{self.name}: images and labels differ in number")
        if not len(self.mean) == len(self.std) == self.train.shape[3]:
            raise ValueError(f"{self.name}: one mean and one std is needed for each channel")
        for labels in (self.train_y, self.test_y):
            if labels.size and not 0 <= labels.min() <= labels.max() < self.classes:
                raise ValueError(f"{self.name}: labels are not within 0 to {self.classes - 1}")


def standardized(
    pixels: UInt8[np.ndarray, "n h w c"], mean: tuple[float, ...], std: tuple[float, ...]
) -> Float[Tensor, "n c h w"]:
    """What a network is given of these images: (pixel / 255 - mean) / std, channels first.

    Args:
        pixels: Some rows of a set.
        mean: Of each channel, of pixels in [0, 1].
        std: Likewise.
    """
    n, h, w, c = pixels.shape
    rows = standardized_rows(pixels, Moments(mean, std))
    return torch.from_numpy(rows.reshape(n, c, h, w))
