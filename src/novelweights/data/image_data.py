"""A data set as the rest of the project sees it, as rows of numbers or as bytes.

Nothing here reads a file: `data/images.py` and the modules it names do.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from novelweights.data.pixels import normalized


@dataclass(frozen=True, eq=False)
class ImageData:
    """Images as rows of float32, channel after channel, labels, and where they come from."""

    name: str
    source: str
    """Package and version, or the user's files, and what was done to the pixels."""
    sha256: str
    """Of the raw file(s) the images were read from; of a set we make, of the bytes made."""
    train_x: Float[Tensor, "examples inputs"]
    train_y: Int[Tensor, " examples"]
    test_x: Float[Tensor, "test_examples inputs"]
    test_y: Int[Tensor, " test_examples"]
    image_shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.train_x) != len(self.train_y) or len(self.test_x) != len(self.test_y):
            raise ValueError(f"{self.name}: images and labels differ in number")


def image_data(
    *,
    name: str,
    source: str,
    sha256: str,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    image_shape: tuple[int, ...],
) -> ImageData:
    """A data set from numpy: `train` and `test` are rows of float32 and their labels."""
    (train_x, train_y), (test_x, test_y) = (
        (torch.from_numpy(x), torch.from_numpy(y.astype(np.int64))) for x, y in (train, test)
    )
    return ImageData(name, source, sha256, train_x, train_y, test_x, test_y, image_shape)


@dataclass(frozen=True, eq=False)
class PixelData:
    """Images as bytes, channels last, labels from 0, and where they come from.

    Training that augments its images anew in every epoch crops and changes these.
    """

    name: str
    source: str
    """As of `ImageData`."""
    sha256: str
    """As of `ImageData`."""
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

    @staticmethod
    def of(parts: Iterable[tuple[np.ndarray, np.ndarray]], **about: Any) -> "PixelData":
        """A set of its two parts, training and test: images and labels of each."""
        (train, train_y), (test, test_y) = parts
        labels = {"train_y": train_y.astype(np.int64), "test_y": test_y.astype(np.int64)}
        return PixelData(train=train, test=test, **labels, **about)

    def as_rows(self) -> ImageData:
        """The same images, standardized."""
        h, w, c = self.train.shape[1:]
        train, test = (
            standardized(pixels, self.mean, self.std).flatten(1).numpy()
            for pixels in (self.train, self.test)
        )
        return image_data(
            name=self.name,
            source=self.source,
            sha256=self.sha256,
            train=(train, self.train_y),
            test=(test, self.test_y),
            image_shape=(h, w) if c == 1 else (c, h, w),
        )


def standardized(
    pixels: UInt8[np.ndarray, "n h w c"], mean: tuple[float, ...], std: tuple[float, ...]
) -> Float[Tensor, "n c h w"]:
    """What a network is given of these images: (pixel / 255 - mean) / std, channels first.

    `mean` and `std` are of each channel, of pixels in [0, 1].
    """
    of_channels = zip(np.moveaxis(pixels, 3, 0), mean, std, strict=True)
    return torch.from_numpy(np.stack([normalized(*of) for of in of_channels], axis=1))
