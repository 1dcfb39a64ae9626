"""Image sets as bytes by name, for networks whose training augments them.

`cifar-100` is the user's files, `cut-paste-100` stands in for it and is made of cut-outs that are
fetched once; `fashion-mnist` is fetched too, and `photo-patch-10` comes with installed packages. A
substitute keeps its own name.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

from novelweights.data.cut_paste import load_cut_paste_100
from novelweights.data.images import FASHION_MEAN, FASHION_STD, fetched_origin, read_fetched
from novelweights.data.pixel_data import PixelData
from novelweights.data.pixels import standardized_each
from novelweights.data.substitutes import CROP, made_digest, patches_origin, photo_patches
from novelweights.data.user_files import load_cifar_100
from novelweights.errors import unknown_name

MIDDLE, CONTRAST = 128, 40  # gray levels that 0 and 1 deviation from it become


def load_pixels(name: str) -> PixelData:
    """An image set by its name in `PIXELS`.

    Raises:
        InputError: Unknown name, or its files are not there: the message says what to do.
    """
    if name not in PIXELS:
        raise unknown_name("image set", name, PIXELS)
    return PIXELS[name]()


def load_fashion_pixels() -> PixelData:
    """Fashion-MNIST at 32x32, one channel: 60,000 images to train, 10,000 to test.

    The images of 28x28 have two rows and columns of zeros, their background, at every side. Mean
    and deviation are those of the images without them.

    Raises:
        InputError: It has not been fetched, or a file is damaged.
    """
    parts, (origin, digest) = read_fetched("fashion-mnist"), fetched_origin("fashion-mnist")
    margin = (CROP - 28) // 2
    train, test = (
        np.pad(parts[part][0], ((0, 0), (margin, margin), (margin, margin)))[..., None]
        for part in ("train", "t10k")
    )
    return PixelData(
        name="fashion-mnist",
        source=f"{origin}, 28x28 with zeros around to 32x32",
        sha256=digest,
        train=train,
        train_y=parts["train"][1].astype(np.int64),
        test=test,
        test_y=parts["t10k"][1].astype(np.int64),
        mean=(FASHION_MEAN,),
        std=(FASHION_STD,),
        classes=10,
    )


def load_photo_patch_pixels() -> PixelData:
    """The patches of `photo-patch-10` at the photos' own scale: 6,000 of 32x32 to train, 1,500.

    Every channel of every patch has mean 128 and deviation 40 gray levels, as bytes: without that,
    color alone would tell many photos apart. What is farther than 3.2 deviations from the mean is
    clipped, and a patch's contrast is gone for good; mean and deviation of the set undo only the
    two constants. `ImageData` of the same name holds the same crops resized to 28x28, which are
    standardized after that, as floats.

    Source: ours.

    Raises:
        InputError: scikit-image, which has eight of the photos, is not installed.
    """
    made = {part: (_even(crops), labels) for part, (crops, labels) in photo_patches().items()}
    (train, train_y), (test, test_y) = made["train"], made["test"]
    return PixelData(
        name="photo-patch-10",
        source=f"{patches_origin()}; 32x32, each channel to mean {MIDDLE} std {CONTRAST}",
        sha256=made_digest(made),
        train=train,
        train_y=train_y,
        test=test,
        test_y=test_y,
        mean=(MIDDLE / 255,) * 3,
        std=(CONTRAST / 255,) * 3,
        classes=10,
    )


PIXELS: dict[str, Callable[[], PixelData]] = {
    "cifar-100": load_cifar_100,
    "cut-paste-100": load_cut_paste_100,
    "fashion-mnist": load_fashion_pixels,
    "photo-patch-10": load_photo_patch_pixels,
}


def _even(crops: UInt8[np.ndarray, "n h w c"]) -> UInt8[np.ndarray, "n h w c"]:
    """Bytes of one mean and one deviation in every channel of every image."""
    n, h, w, c = crops.shape
    levels = np.rint(standardized_each(crops) * np.float32(CONTRAST) + np.float32(MIDDLE))
    bytes_of_rows = levels.clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(bytes_of_rows.reshape(n, c, h, w).transpose(0, 2, 3, 1))
