"""What the commands say about data sets, and which packages are fetched for a set of them."""

from pathlib import Path

import pytest
from commands import done, fails, listed

from novelweights.data import fetch


def test_a_folder_of_data_sets_is_looked_into_first(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NOVELWEIGHTS_DATA", "")  # put back at the end
    own = tmp_path / "own"
    build = ("zoo", "build", "cifar-10-jpeg-cnn", "-o", tmp_path / "zoo", "--data-dir", own)
    fails(*build, code="not-found", named="--data-dir")
    (own / "cifar-10-jpeg" / "train").mkdir(parents=True)
    fails(*build, code="not-found", named=str(own / "cifar-10-jpeg"))
    monkeypatch.setenv("NOVELWEIGHTS_DATA", str(tmp_path))
    fails(*build[:3], "-o", tmp_path / "cache", code="no-data", named="cifar-10-jpeg.zip")


def test_real_airplanes_are_two_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def fetched(name: str, *, progress: object) -> Path:
        asked.append(name)
        return Path(name)

    monkeypatch.setattr(fetch, "fetch", fetched)
    done("data", "fetch", "real-airplanes")
    assert asked == ["crrcsim-airplanes", "gl-117-airplanes"]


def test_lists_say_what_shapes_need() -> None:
    data = listed("data")
    assert data["airplanes"] == "shapes; drawn"
    assert data["real-airplanes"] == "shapes; needs `novelweights data fetch`"
    assert data["flightgear-airplanes"] == data["real-airplanes"]
    assert data["gl-117-airplanes"] == "what real-airplanes is made of, no set of its own"
    assert data["shapenet-airplanes"] == "shapes; needs files of your own in the cache folder"
    zoos = listed("zoos")
    assert "data fetch real-airplanes" in zoos["real-airplanes-field"]
    assert "lists in the cache folder" in zoos["shapenet-airplane-field"]
    assert "606 test shapes of shapenet-airplanes" in listed("tasks")["shapenet-airplane-field"]
