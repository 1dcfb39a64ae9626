"""What the commands say about shapes, and which packages are fetched for a set of them."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from novelweights.cli.main import app
from novelweights.data import fetch


def listed(what: str) -> dict[str, str]:
    result = CliRunner().invoke(app, ["ls", what])
    assert result.exit_code == 0, result.output
    return dict(line.split("  ", 1) for line in result.stdout.splitlines())


def test_real_airplanes_are_two_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def fetched(name: str, *, progress: object) -> Path:
        asked.append(name)
        return Path(name)

    monkeypatch.setattr(fetch, "fetch", fetched)
    result = CliRunner().invoke(app, ["data", "fetch", "real-airplanes"])
    assert result.exit_code == 0, result.output
    assert asked == ["crrcsim-airplanes", "gl-117-airplanes"]


def test_lists_say_what_shapes_need() -> None:
    data = {name: text.strip() for name, text in listed("data").items()}
    assert data["airplanes"] == "shapes; drawn"
    assert data["real-airplanes"] == "shapes; needs `novelweights data fetch`"
    assert data["flightgear-airplanes"] == data["real-airplanes"]
    assert data["gl-117-airplanes"] == "what real-airplanes is made of, no set of its own"
    assert data["shapenet-airplanes"] == "shapes; needs files of your own in the cache folder"
    zoos = listed("zoos")
    assert "data fetch real-airplanes" in zoos["real-airplanes-field"]
    assert "lists in the cache folder" in zoos["shapenet-airplane-field"]
    assert "606 test shapes of shapenet-airplanes" in listed("tasks")["shapenet-airplane-field"]
