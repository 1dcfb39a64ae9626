"""Arithmetic on images as bytes: gray, crop, resize, and what a network is given.

Images are uint8, examples first, channels last until they are flattened. Bytes and fixed-point
arithmetic keep the result the same on every machine; only the last step makes floats.
"""

import math

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


def gray_middle(
    images: UInt8[np.ndarray, "examples height width 3"],
) -> UInt8[np.ndarray, "examples 28 28 1"]:
    """What the SVHN zoo trains on: gray, the middle 28x28.

    Source: the model-zoo repository of Hyper-Representations.
    """
    return centre_crop(gray(images))[..., None]


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


def standardized_each(
    images: UInt8[np.ndarray, "examples height width channels"],
) -> Float[np.ndarray, "examples inputs"]:
    """Rows in which every channel of every image has mean 0 and deviation 1.

    Brightness and color of an image are gone then. A deviation below one gray level counts as one.
    """
    channels = np.moveaxis(images, 3, 1).reshape(len(images), images.shape[3], -1)
    n = channels.shape[-1]
    whole = channels.astype(np.float32)
    # whole numbers below 2^53, so that the order of a sum in float64 does not matter
    total = whole.sum(axis=-1, keepdims=True, dtype=np.float64)
    squares = (whole * whole).sum(axis=-1, keepdims=True, dtype=np.float64)
    deviation = np.maximum(np.sqrt((n * squares - total * total) / n**2), FLAT_DEVIATION)
    scaled = whole - (total / n).astype(np.float32)
    scaled /= deviation.astype(np.float32)
    return scaled.reshape(len(images), -1)


def moments(
    images: UInt8[np.ndarray, "examples height width channels"],
) -> tuple[tuple[float, ...], tuple[float, ...], str]:
    """Mean and deviation of each channel, of pixels in [0, 1], and both in words.

    Of all pixels of all images, from how often each of the 256 values occurs. Whole numbers of any
    size in Python: the same on every machine.
    """
    means, deviations = [], []
    for channel in range(images.shape[3]):
        counts = np.bincount(images[..., channel].ravel(), minlength=256).tolist()
        n = sum(counts)
        total = sum(value * count for value, count in enumerate(counts))
        squares = sum(value**2 * count for value, count in enumerate(counts))
        deviation = math.sqrt((n * squares - total**2) / n**2)
        means.append(total / n / 255)
        deviations.append(max(deviation, FLAT_DEVIATION) / 255)
    mean, std = (" ".join(f"{value:.4f}" for value in of) for of in (means, deviations))
    return tuple(means), tuple(deviations), f"mean {mean} std {std}"
