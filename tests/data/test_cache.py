import numpy as np
import pytest

from novelweights.data.cache import cache_dir, kept_arrays


def test_cache_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(tmp_path / "own"))
    assert cache_dir() == tmp_path / "own"
    monkeypatch.delenv("NOVELWEIGHTS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "novelweights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_dir() == tmp_path / "home" / ".cache" / "novelweights"


class Making:
    """Makes one array and counts how often."""

    def __init__(self):
        self.n = 0

    def __call__(self):
        self.n += 1
        return {"x": np.arange(5000)}

    def kept(self):
        return kept_arrays("folder/x.npz", self, lambda kept: kept["x"].sum() == 12497500)["x"]


def damages(content):
    middle = len(content) // 2
    return {
        "cut": content[:-100],
        "byte": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "text": b"not an archive",
        "empty": b"",
    }


@pytest.mark.parametrize("damage", ["cut", "byte", "text", "empty", "gone", "other", "foreign"])
def test_arrays_are_made_once_and_again_only_if_they_are_damaged(cache, damage):
    making, path = Making(), cache / "folder" / "x.npz"
    for _ in range(2):
        assert making.kept().tolist() == list(range(5000))
        assert making.n == 1
    if damage == "gone":
        path.unlink()
    elif damage == "other":
        np.savez(path, x=np.zeros(5000))
    elif damage == "foreign":
        np.savez(path, y=np.arange(5000))
    else:
        path.write_bytes(damages(path.read_bytes())[damage])
    for _ in range(2):
        assert making.kept().tolist() == list(range(5000))
        assert making.n == 2


def test_a_cache_that_cannot_be_written_costs_time_only(cache):
    (cache / "folder").write_text("a file in the way")
    making = Making()
    for n in (1, 2):
        assert making.kept().tolist() == list(range(5000))
        assert making.n == n
