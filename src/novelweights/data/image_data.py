"""A data set as the rest of the project sees it, and the steps that all data sets share.

Nothing here reads a file: `data/images.py` and the modules it names do.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ImageData:
    """Images as rows of float32, channel after channel, labels, and where they come from."""

    name: str
    source: str
    """Package and version, and what was done to the pixels."""
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
    (train_x, train_y), (test_x, test_y) = train, test
    return ImageData(
        name=name,
        source=source,
        sha256=sha256,
        train_x=torch.from_numpy(train_x),
        train_y=torch.from_numpy(train_y.astype(np.int64)),
        test_x=torch.from_numpy(test_x),
        test_y=torch.from_numpy(test_y.astype(np.int64)),
        image_shape=image_shape,
    )


def split_rows(x: np.ndarray, y: np.ndarray, train: np.ndarray) -> dict[str, tuple]:
    """Rows and labels divided by the mask `train`, each part in its order; for `image_data`."""
    return {"train": (x[train], y[train]), "test": (x[~train], y[~train])}
