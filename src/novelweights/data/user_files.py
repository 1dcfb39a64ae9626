"""SVHN, CIFAR-10, CIFAR-100 and STL-10, from files that the user puts into the cache folder.

No package carries these sets, so nothing here fetches them. Files are known by their published
names, formats (`data/user_formats.py`) and numbers of images; no checksums are known to us, those
of the files that were read are in the data set.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from novelweights.data.cache import cache_dir
from novelweights.data.draws import Draws
from novelweights.data.image_data import ImageData, image_data
from novelweights.data.pixel_data import PixelData
from novelweights.data.pixels import SIDE, Moments, gray_rows, resized, standardized
from novelweights.data.user_formats import (
    read_cifar_100_binary,
    read_cifar_100_pickle,
    read_cifar_binary,
    read_cifar_pickle,
    read_stl,
    read_svhn,
)
from novelweights.errors import InputError
from novelweights.files import sha256_of

Part = tuple[np.ndarray, np.ndarray]
"""Images, channels last, and their labels."""


@dataclass(frozen=True)
class UserSet:
    """A data set of the user's files."""

    name: str
    versions: dict[str, tuple[str, ...]]
    """The files that make it up, for each version in which it is published."""
    n_train: int
    n_test: int
    n_used: int
    """How many of the training images are used for training."""
    substitute: str
    """What can be had without these files; of other content, hence of another name."""


SVHN = UserSet(
    name="svhn",
    versions={"MATLAB": ("train_32x32.mat", "test_32x32.mat")},
    n_train=73_257,
    n_test=26_032,
    n_used=60_000,  # Source: the model-zoo repository of Hyper-Representations
    substitute="digits-on-photo",
)
CIFAR_10 = UserSet(
    name="cifar-10",
    versions={
        "binary": (*(f"data_batch_{batch}.bin" for batch in range(1, 6)), "test_batch.bin"),
        "Python": (*(f"data_batch_{batch}" for batch in range(1, 6)), "test_batch"),
    },
    n_train=50_000,
    n_test=10_000,
    n_used=42_000,  # Source: as SVHN's
    substitute="photo-patch-10",
)
CIFAR_100 = UserSet(
    name="cifar-100",
    versions={"binary": ("train.bin", "test.bin"), "Python": ("train", "test")},
    n_train=50_000,
    n_test=10_000,
    n_used=50_000,
    substitute="cut-paste-100",
)
CIFAR_100_MEAN, CIFAR_100_STD = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
"""Source: P-diff's released code."""
STL_10 = UserSet(
    name="stl-10",
    versions={"binary": ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin")},
    n_train=5_000,
    n_test=8_000,
    n_used=5_000,
    substitute="photo-patch-10",
)


def load_svhn(of: UserSet = SVHN) -> ImageData:
    """SVHN's cropped digits, gray, the middle 28x28, (pixel / 255 - 0.5) / 0.5.

    60,000 of the 73,257 training images to train, all 26,032 test images to test.

    Departure: the zoo's 60,000 were drawn with seed 42 of a generator that is not known; ours are
    drawn with a fixed seed of our own, the other 13,257 (its validation part) are left out.

    Raises:
        InputError: A file is missing or damaged, or holds another number of images.
    """
    _, paths = _found(of)
    train, test = _used(read_svhn(paths[0]), of), read_svhn(paths[1])
    _check_count(of, "test", test, of.n_test)
    return image_data(
        name=of.name,
        source=f"{_origin(of, 'MATLAB')}; gray, middle 28x28, mean 0.5 std 0.5",
        sha256=_digest(paths),
        train=(gray_rows(train[0]), train[1]),
        test=(gray_rows(test[0]), test[1]),
        image_shape=(SIDE, SIDE),
    )


def load_cifar_10(of: UserSet = CIFAR_10) -> ImageData:
    """CIFAR-10 in color, resized to 28x28, the binary version or else the Python version.

    42,000 of the 50,000 training images to train, as many as the zoo's; all 10,000 test images to
    test. Each channel is standardized by the moments of the resized training pixels.

    Departure: which 42,000, and with which constants, is not known; both are ours.

    Raises:
        InputError: As `load_svhn`.
    """
    version, paths = _found(of)
    read = read_cifar_binary if version == "binary" else read_cifar_pickle
    batches = [read(path) for path in paths]
    train = tuple(np.concatenate(part) for part in zip(*batches[:-1], strict=True))
    return _in_color(of, version, paths, (train[0], train[1]), batches[-1])


def load_stl_10(of: UserSet = STL_10) -> ImageData:
    """STL-10's labelled images in color, resized to 28x28: 5,000 to train, 8,000 to test.

    Each channel is standardized by the moments of the resized training pixels (ours).

    Raises:
        InputError: As `load_svhn`.
    """
    version, paths = _found(of)
    return _in_color(of, version, paths, read_stl(*paths[:2]), read_stl(*paths[2:]))


def load_cifar_100(of: UserSet = CIFAR_100) -> PixelData:
    """CIFAR-100's bytes with its 100 fine labels, 50,000 images to train and 10,000 to test.

    From the binary version, or else the Python version.

    Raises:
        InputError: As `load_svhn`.
    """
    version, paths = _found(of)
    read = read_cifar_100_binary if version == "binary" else read_cifar_100_pickle
    train, test = map(read, paths)
    _check_count(of, "training", train, of.n_train)
    _check_count(of, "test", test, of.n_test)
    return PixelData(
        name=of.name,
        source=f"{_origin(of, version)}, fine labels",
        sha256=_digest(paths),
        train=train[0],
        train_y=train[1].astype(np.int64),
        test=test[0],
        test_y=test[1].astype(np.int64),
        mean=CIFAR_100_MEAN,
        std=CIFAR_100_STD,
        classes=100,
    )


LOADERS: dict[str, Callable[[], ImageData]] = {
    SVHN.name: load_svhn,
    CIFAR_10.name: load_cifar_10,
    STL_10.name: load_stl_10,
}
"""Those that are loaded as rows; CIFAR-100 is loaded as pixels, see `data/pixel_sets.py`."""


def _in_color(of: UserSet, version: str, paths: list[Path], train: Part, test: Part) -> ImageData:
    """Both parts at 28x28, standardized by what is used for training."""
    train = _used(train, of)
    _check_count(of, "test", test, of.n_test)
    train_pixels, test_pixels = resized(train[0]), resized(test[0])
    moments = Moments.of(train_pixels)
    return image_data(
        name=of.name,
        source=f"{_origin(of, version)}; resized to 28x28, {moments} of its training pixels",
        sha256=_digest(paths),
        train=(standardized(train_pixels, moments), train[1]),
        test=(standardized(test_pixels, moments), test[1]),
        image_shape=(3, SIDE, SIDE),
    )


def _found(of: UserSet) -> tuple[str, list[Path]]:
    """The first version whose files are all there, with their paths."""
    folder = cache_dir() / of.name
    missing = {
        version: [file for file in files if not (folder / file).is_file()]
        for version, files in of.versions.items()
    }
    for version, files in of.versions.items():
        if not missing[version]:
            return version, [folder / file for file in files]
    expected = " or ".join(
        f"the {version} version's {', '.join(files)} "
        f"(missing: {'all' if len(lacking) == len(files) else ', '.join(lacking)})"
        for (version, files), lacking in zip(of.versions.items(), missing.values(), strict=True)
    )
    raise InputError(
        f"{of.name}: expected in {folder} {expected}; this set cannot be fetched here, put its "
        f"files there yourself, or use {of.substitute}, which is made of packages that can be had"
    )


def _used(train: Part, of: UserSet) -> Part:
    """The training images that are used, in their order."""
    _check_count(of, "training", train, of.n_train)
    if of.n_used == of.n_train:
        return train
    rows = Draws("user_files", of.name, "used").chosen(of.n_used, of.n_train)
    return train[0][rows], train[1][rows]


def _check_count(of: UserSet, part: str, found: Part, expected: int) -> None:
    if len(found[0]) != expected:
        raise InputError(
            f"{of.name}: expected {expected} {part} images in {cache_dir() / of.name}, got "
            f"{len(found[0])}; put its files there again, as published"
        )


def _origin(of: UserSet, version: str) -> str:
    used = f"{of.n_used} of {of.n_train}" if of.n_used < of.n_train else f"all {of.n_train}"
    return f"the user's files, {version} version, {used} training images"


def _digest(paths: list[Path]) -> str:
    """SHA-256 of the files' SHA-256 sums, one after another."""
    return hashlib.sha256("".join(map(sha256_of, paths)).encode()).hexdigest()
