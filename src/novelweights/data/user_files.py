"""SVHN, CIFAR-10, CIFAR-100 and STL-10, from files that the user puts into the cache folder.

No package carries these sets, so nothing here fetches them. Files are known by their published
names, formats (`data/user_formats.py`) and numbers of images; no checksums are known to us, those
of the files that were read are in the data set. Copies of CIFAR-10's pictures as JPEG, which are
not the original, are read from a folder or a zip (`data/pictures.py`).
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from novelweights.data.cache import data_path
from novelweights.data.image_data import PixelData
from novelweights.data.pictures import read_pictures
from novelweights.data.pixels import gray_middle, moments, resized
from novelweights.data.user_formats import (
    read_cifar_binary,
    read_cifar_pickle,
    read_stl,
    read_svhn,
)
from novelweights.errors import InputError, first_few
from novelweights.files import sha256_of
from novelweights.seeding import Draws

Part = tuple[np.ndarray, np.ndarray]
"""Images, channels last, and their labels."""
Read = Callable[[list[Path]], tuple[Part, Part]]
"""From the files of a version to what is for training and for testing."""


def _last_tests(read: Callable[[Path], Part]) -> Read:
    """All files are read alike; the last is for testing."""

    def parts(paths: list[Path]) -> tuple[Part, Part]:
        *train, test = map(read, paths)
        return (np.concatenate([x for x, _ in train]), np.concatenate([y for _, y in train])), test

    return parts


@dataclass(frozen=True)
class UserSet:
    """A data set of the user's files."""

    name: str
    versions: Mapping[str, tuple[Sequence[str], Read]]
    """The files that make it up, for each version in which it is published; the first is taken
    whose files are all there. Empty: pictures by class, in a folder or a zip."""
    n_train: int
    n_test: int
    n_used: int
    """How many of the training images are used for training."""
    classes: int
    change: Callable[[np.ndarray], np.ndarray]
    """What is done to the images' bytes."""
    described: str
    """The same in words; {moments} are those of the training pixels."""
    substitute: str
    """What can be had without these files; of other content, hence of another name."""
    moments: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    """Mean and deviation of each channel; None: of the training pixels."""


SVHN = UserSet(
    # Departure: the zoo's 60,000 were drawn with seed 42 of a generator that is not known; ours
    # are drawn with a fixed seed of our own, the other 13,257 (its validation part) are left out.
    name="svhn",
    versions={"MATLAB": (("train_32x32.mat", "test_32x32.mat"), _last_tests(read_svhn))},
    n_train=73_257,
    n_test=26_032,
    n_used=60_000,  # Source: the model-zoo repository of Hyper-Representations
    classes=10,
    change=gray_middle,
    described="; gray, middle 28x28, mean 0.5 std 0.5",
    substitute="digits-on-photo",
    moments=((0.5,), (0.5,)),
)
CIFAR_10 = UserSet(
    # Departure: which 42,000 the zoo takes, and with which constants, is not known; both are ours.
    name="cifar-10",
    versions={
        "binary": (
            (*(f"data_batch_{batch}.bin" for batch in range(1, 6)), "test_batch.bin"),
            _last_tests(partial(read_cifar_binary, highest=(9,))),
        ),
        "Python": (
            (*(f"data_batch_{batch}" for batch in range(1, 6)), "test_batch"),
            _last_tests(partial(read_cifar_pickle, key="labels", highest=9)),
        ),
    },
    n_train=50_000,
    n_test=10_000,
    n_used=42_000,  # Source: as SVHN's
    classes=10,
    change=resized,
    described="; resized to 28x28, {moments} of its training pixels",
    substitute="photo-patch-10",
)
CIFAR_10_WHOLE = replace(
    CIFAR_10, n_used=50_000, change=lambda images: images, described="; {moments} of its pixels"
)
CIFAR_10_JPEG, CIFAR_10_JPEG_WHOLE = (
    replace(
        of,
        name="cifar-10-jpeg",
        versions={},
        described=f"{of.described}; CIFAR-10 (JPEG copy), which is lossy",
    )
    for of in (CIFAR_10, CIFAR_10_WHOLE)
)
STL_10 = UserSet(
    name="stl-10",
    versions={
        "binary": (
            ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin"),
            lambda paths: (read_stl(*paths[:2]), read_stl(*paths[2:])),
        )
    },
    n_train=5_000,
    n_test=8_000,
    n_used=5_000,
    classes=10,
    change=resized,
    described="; resized to 28x28, {moments} of its training pixels",
    substitute="photo-patch-10",
)
CIFAR_100 = UserSet(
    name="cifar-100",
    versions={
        "binary": (
            ("train.bin", "test.bin"),
            _last_tests(partial(read_cifar_binary, highest=(19, 99))),
        ),
        "Python": (
            ("train", "test"),
            _last_tests(partial(read_cifar_pickle, key="fine_labels", highest=99)),
        ),
    },
    n_train=50_000,
    n_test=10_000,
    n_used=50_000,
    classes=100,
    change=lambda images: images,
    described=", fine labels",
    substitute="cut-paste-100",
    moments=((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),  # Source: P-diff's released code
)
USER_SETS = {of.name: of for of in (SVHN, CIFAR_10, CIFAR_10_JPEG, STL_10, CIFAR_100)}


def load_user_set(of: UserSet) -> PixelData:
    """A set of the user's files; of the training images `n_used` are taken, always the same.

    Raises:
        InputError: A file is missing or damaged, or holds another number of images.
    """
    (train, train_y), (test, test_y), version, sha256 = _read(of)
    for part, found, expected in (("training", train, of.n_train), ("test", test, of.n_test)):
        if len(found) != expected:
            raise InputError(
                f"{of.name}: expected {expected} {part} images in {data_path(of.name)}, got "
                f"{len(found)}; put its files there again, as published",
                "other-rows",
            )
    used = f"all {of.n_train}"
    if of.n_used < of.n_train:
        rows = Draws("user_files", of.name, "used").chosen(of.n_used, of.n_train)
        train, train_y, used = train[rows], train_y[rows], f"{of.n_used} of {of.n_train}"
    train, test = of.change(train), of.change(test)
    mean, std, words = moments(train) if of.moments is None else (*of.moments, "")
    return PixelData.of(
        [(train, train_y), (test, test_y)],
        name=of.name,
        source=f"the user's {version}, {used} training images" + of.described.format(moments=words),
        sha256=sha256,
        mean=mean,
        std=std,
        classes=of.classes,
    )


def _read(of: UserSet) -> tuple[Part, Part, str, str]:
    """What is for training and for testing, what was read in words, and its sha256."""
    if of.versions:
        version, paths, read = _found(of)
        digest = hashlib.sha256("".join(map(sha256_of, paths)).encode()).hexdigest()
        train, test = read(paths)
        return train, test, f"files, {version} version", digest
    path = data_path(of.name, or_zip=True)
    if not path.exists():
        raise InputError(
            f"{of.name}: expected {path} or {path.name}.zip beside it, pictures at "
            f"train/CLASS/NAME.jpg and test/CLASS/NAME.jpg; put it there, name its folder by "
            f"--data-dir, or use {of.substitute}, which is made of packages that can be had",
            "no-data",
        )
    pictures = read_pictures(path)
    if len(pictures.classes) != of.classes:
        raise InputError(
            f"{path}: expected {of.classes} classes, got {len(pictures.classes)} "
            f"({first_few(pictures.classes)}); put it there again, whole",
            "wrong-content",
        )
    train, test = pictures.parts
    return train, test, "pictures", pictures.sha256


def _found(of: UserSet) -> tuple[str, list[Path], Read]:
    """The first version whose files are all there, their paths, and how they are read."""
    folder = data_path(of.name)
    described = []
    for version, (files, read) in of.versions.items():
        missing = [file for file in files if not (folder / file).is_file()]
        if not missing:
            return version, [folder / file for file in files], read
        which = "all" if len(missing) == len(files) else ", ".join(missing)
        described.append(f"the {version} version's {', '.join(files)} (missing: {which})")
    raise InputError(
        f"{of.name}: expected in {folder} {' or '.join(described)}; this set cannot be fetched "
        f"here, put its files there yourself, or use {of.substitute}, which is made of packages "
        "that can be had",
        "no-data",
    )
