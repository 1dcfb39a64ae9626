"""Changes to training images that keep their class, drawn anew in every epoch, and the test view.

Cropping works on a whole batch of tensors at once: a crop that is resized is two products with
matrices of interpolation weights, one for its rows and one for its columns. RandAugment works on
bytes; its operations are in `data/augment_operations.py`. What is drawn comes from the generator
that is handed in, so a training run can be repeated.
"""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional

from novelweights.data.augment_operations import FULL, OPERATIONS

APPLIED = 0.5  # probability; Source: as OPERATIONS
RESAMPLINGS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
TRIES = 10  # Source: torchvision's RandomResizedCrop


def random_resized_crop(
    images: Float[Tensor, "n c h w"],
    size: int,
    *,
    rng: torch.Generator,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    flip: bool = True,
) -> Float[Tensor, "n c {size} {size}"]:
    """A random part of each image, at `size` x `size`, every second one mirrored.

    Interpolation is bilinear, with pixels of a crop only. Where a crop is larger than `size`, each
    new pixel is a triangle-weighted mean of all that fall on it (antialiasing).

    Args:
        images: Of any standardization.
        size: Side of what comes out, pixels.
        rng: What boxes and flips are drawn from; may be on another device than the images.
        scale: Range of a crop's area, as a share of the image's; uniform.
        ratio: Range of a crop's width over its height; its logarithm is uniform.
        flip: Whether to mirror left and right with probability 1/2.

    Source: the definition of torchvision's `RandomResizedCrop` and `RandomHorizontalFlip`.
    """
    n, _, h, w = images.shape
    top, left, height, width = random_boxes(n, h, w, rng=rng, scale=scale, ratio=ratio)
    down = interpolation_weights(top, height, size, h)
    across = interpolation_weights(left, width, size, w)
    if flip:
        mirrored = torch.rand(n, generator=rng, device=rng.device) < 0.5
        across = torch.where(mirrored[:, None, None], across.flip(1), across)
    down, across = (of.to(images)[:, None] for of in (down, across))
    return down @ images @ across.mT


def random_boxes(
    n: int,
    h: int,
    w: int,
    *,
    rng: torch.Generator,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"], Int[Tensor, " n"], Int[Tensor, " n"]]:
    """Boxes inside an image of h x w: top, left, height and width, in whole pixels.

    The first of ten draws that fits; if none does, the largest central box of a permitted ratio.
    """
    uniform = torch.rand(4, n, TRIES, generator=rng, device=rng.device, dtype=torch.float64)
    area = h * w * (scale[0] + (scale[1] - scale[0]) * uniform[0])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = (low + (high - low) * uniform[1]).exp()
    widths, heights = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    fits: Bool[Tensor, "n tries"] = (widths > 0) & (widths <= w) & (heights > 0) & (heights <= h)
    tops = (uniform[2] * (h - heights + 1)).floor()
    lefts = (uniform[3] * (w - widths + 1)).floor()
    first = fits.to(torch.int64).argmax(1, keepdim=True)
    has_box = fits.any(1)
    middle = _central_box(h, w, ratio)
    top, left, height, width = (
        torch.where(has_box, drawn.gather(1, first)[:, 0].to(torch.int64), fallback)
        for drawn, fallback in zip((tops, lefts, heights, widths), middle, strict=True)
    )
    return top, left, height, width


def interpolation_weights(
    start: Int[Tensor, " n"], length: Int[Tensor, " n"], size: int, total: int
) -> Float[Tensor, "n {size} {total}"]:
    """Matrices that take `length` of `total` pixels, from `start` on, to `size` pixels.

    Pixels are unit intervals. The weights of a row are a triangle around the new pixel's center,
    one pixel of the coarser of both grids to either side, cut at the ends of the crop; sum 1.
    """
    step = (length.to(torch.float64) / size)[:, None, None]
    centers = (torch.arange(size, device=start.device)[:, None] + 0.5) * step
    places = torch.arange(total, device=start.device) - start[:, None, None]
    inside = (places >= 0) & (places < length[:, None, None])
    weights = (1 - (places + 0.5 - centers).abs() / step.clamp(min=1)).clamp(min=0) * inside
    return (weights / weights.sum(2, keepdim=True)).to(torch.float32)


def rand_augment(
    images: UInt8[np.ndarray, "n h w c"],
    *,
    rng: torch.Generator,
    magnitude: float = 9.0,
    magnitude_std: float = 0.5,
    layers: int = 2,
) -> UInt8[np.ndarray, "n h w c"]:
    """Each image after some random operations of `OPERATIONS`, by Pillow.

    Every layer takes one of the fifteen, the same one twice possibly, and applies it with
    probability 1/2; geometric ones act either way and interpolate by bilinear or bicubic, all
    equally likely.

    Args:
        images: Gray (one channel) or in color (three).
        rng: What all choices are drawn from.
        magnitude: Mean of an operation's magnitude, 0 to 10.
        magnitude_std: Its standard deviation, drawn anew for every operation; what lies beyond 0
            or 10 becomes these.
        layers: Operations per image.

    Raises:
        ValueError: The images have another number of channels.

    Source: RandAugment, arXiv 1909.13719; the paper's Table 3 has "RandAug (9, 0.5)" for networks
    trained from scratch.

    Departure: the paper names neither operations nor layers; both are those of timm's policy
    `rand-m9-mstd0.5`.
    """
    if images.shape[3] not in (1, 3):
        raise ValueError(f"RandAugment takes images of 1 or 3 channels, not {images.shape[3]}")
    drawn = (len(images), layers)
    which = torch.randint(len(OPERATIONS), drawn, generator=rng, device=rng.device).tolist()
    normal = torch.randn(drawn, generator=rng, device=rng.device, dtype=torch.float64)
    magnitudes = (magnitude + magnitude_std * normal).clamp(0, FULL).tolist()
    applied, negated, smooth = (
        torch.rand(3, *drawn, generator=rng, device=rng.device) < APPLIED
    ).tolist()
    operations = list(OPERATIONS.values())
    out = np.empty_like(images)
    for row, pixels in enumerate(images):
        image = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])
        for layer in range(layers):
            if applied[row][layer]:
                image = operations[which[row][layer]](
                    image,
                    magnitudes[row][layer],
                    negated=negated[row][layer],
                    resampling=RESAMPLINGS[smooth[row][layer]],
                )
        out[row] = np.asarray(image).reshape(pixels.shape)
    return out


def resized_center(
    images: Float[Tensor, "n c h w"], resize: int, crop: int
) -> Float[Tensor, "n c {crop} {crop}"]:
    """The middle `crop` x `crop` of each image once its shorter side is `resize`: a test's view.

    Bilinear, antialiased where it shrinks; the longer side is rounded down.

    Raises:
        ValueError: The crop is larger than what it is cut from.

    Source: torchvision's `Resize` and `CenterCrop`; 256 and 224 in P-diff's released code.
    """
    if crop > resize:
        raise ValueError(f"cannot cut {crop} pixels from {resize}")
    h, w = images.shape[2:]
    sides = (resize * h // min(h, w), resize * w // min(h, w))
    large = functional.interpolate(images, sides, mode="bilinear", antialias=True)
    top, left = (round((side - crop) / 2) for side in sides)
    return large[:, :, top : top + crop, left : left + crop]


def _central_box(h: int, w: int, ratio: tuple[float, float]) -> tuple[int, int, int, int]:
    height, width = h, w
    if w / h < ratio[0]:
        height = round(w / ratio[0])
    elif w / h > ratio[1]:
        width = round(h * ratio[1])
    return (h - height) // 2, (w - width) // 2, height, width
