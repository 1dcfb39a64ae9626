"""Arithmetic on images as bytes: gray, crop, resize, and what a network is given.

Images are uint8, examples first, channels last until they are flattened. Bytes and fixed-point
arithmetic keep the result the same on every machine; only the last step makes floats.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

SIDE = 28  # Source: every zoo of Hyper-Representations trains on images of 28x28
FLAT_DEVIATION = 1.0  # gray levels; less contrast than this is not enlarged to deviation 1


def gray(
    images: UInt8[np.ndarray, "examples height width 3"],
) -> UInt8[np.ndarray, "examples height width"]:
    """ITU-R 601 luma, 0.299 R + 0.587 G + 0.114 B, rounded as Pillow's mode L does it.

    That is what torchvision's `Grayscale` gives for a Pillow image.
    """
    n, height, width, _ = images.shape
    tall = np.ascontiguousarray(images.reshape(n * height, width, 3))
    return np.asarray(Image.fromarray(tall).convert("L")).reshape(n, height, width)


def centre_crop(images: UInt8[np.ndarray, "examples ..."], side: int = SIDE) -> np.ndarray:
    """The middle `side` x `side` of each image; axes 1 and 2 are height and width."""
    top, left = ((length - side) // 2 for length in images.shape[1:3])
    return images[:, top : top + side, left : left + side]


def gray_rows(
    images: UInt8[np.ndarray, "examples height width 3"],
) -> Float[np.ndarray, "examples inputs"]:
    """What the SVHN zoo trains on: gray, the middle 28x28, (pixel / 255 - 0.5) / 0.5.

    Source: the model-zoo repository of Hyper-Representations.
    """
    middle = centre_crop(gray(images))
    return normalized(middle.reshape(len(middle), -1), 0.5, 0.5)


def normalized(pixels: np.ndarray, mean: float, std: float) -> np.ndarray:
    """Bytes to [0, 1] to zero mean and unit deviation, by a table of the 256 possible values."""
    table = (np.arange(256, dtype=np.float64) / 255 - mean) / std
    return table.astype(np.float32)[pixels]


def resized(
    images: UInt8[np.ndarray, "examples height width 3"], side: int = SIDE
) -> UInt8[np.ndarray, "examples {side} {side} 3"]:
    """Each image at `side` x `side`, bilinear over all pixels that fall on one.

    In fixed point and rounded to bytes, as torchvision's `Resize` gives for a Pillow image.
    """
    out = np.empty((len(images), side, side, 3), dtype=np.uint8)
    for row, image in zip(out, images, strict=True):
        small = Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR)
        row[:] = np.asarray(small)
    return out


def channel_rows(
    images: UInt8[np.ndarray, "examples height width channels"],
) -> UInt8[np.ndarray, "examples inputs"]:
    """Images flattened channel after channel, each row by row."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), -1)


def standardized_each(
    images: UInt8[np.ndarray, "examples height width channels"],
) -> Float[np.ndarray, "examples inputs"]:
    """Rows in which every channel of every image has mean 0 and deviation 1.

    Brightness and color of an image are gone then. A deviation below one gray level counts as one.
    """
    channels = channel_rows(images).reshape(len(images), images.shape[3], -1)
    n = channels.shape[-1]
    whole = channels.astype(np.float32)
    # whole numbers below 2^53, so that the order of a sum in float64 does not matter
    total = whole.sum(axis=-1, keepdims=True, dtype=np.float64)
    squares = (whole * whole).sum(axis=-1, keepdims=True, dtype=np.float64)
    deviation = np.maximum(np.sqrt((n * squares - total * total) / n**2), FLAT_DEVIATION)
    scaled = whole - (total / n).astype(np.float32)
    scaled /= deviation.astype(np.float32)
    return scaled.reshape(len(images), -1)


@dataclass(frozen=True)
class Moments:
    """Mean and deviation of each channel, of pixels in [0, 1]."""

    means: tuple[float, ...]
    deviations: tuple[float, ...]

    @staticmethod
    def of(images: UInt8[np.ndarray, "examples height width channels"]) -> "Moments":
        """Of all pixels of all images, from how often each of the 256 values occurs."""
        means, deviations = [], []
        for channel in range(images.shape[3]):
            counts = np.bincount(images[..., channel].ravel(), minlength=256).tolist()
            n = sum(counts)
            total = sum(value * count for value, count in enumerate(counts))
            squares = sum(value**2 * count for value, count in enumerate(counts))
            # whole numbers of any size in Python: the same on every machine
            deviation = math.sqrt((n * squares - total**2) / n**2)
            means.append(total / n / 255)
            deviations.append(max(deviation, FLAT_DEVIATION) / 255)
        return Moments(tuple(means), tuple(deviations))

    def __str__(self) -> str:
        """As for a report, with four decimals."""
        means, deviations = (
            " ".join(f"{value:.4f}" for value in of) for of in (self.means, self.deviations)
        )
        return f"mean {means} std {deviations}"


def standardized(
    images: UInt8[np.ndarray, "examples height width channels"], moments: Moments
) -> Float[np.ndarray, "examples inputs"]:
    """Rows, channel after channel, with these moments taken out."""
    return np.concatenate(
        [
            normalized(images[..., channel].reshape(len(images), -1), mean, deviation)
            for channel, (mean, deviation) in enumerate(
                zip(moments.means, moments.deviations, strict=True)
            )
        ],
        axis=1,
    )
