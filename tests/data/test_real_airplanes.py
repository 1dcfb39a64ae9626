import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hostile_meshes import CUBE, ac3d, three_ds

from novelweights.data.airplane_packages import AIRPLANE_PACKAGES, CRRCSIM, FLIGHTGEAR, GL_117
from novelweights.data.fetch import FETCHABLE
from novelweights.data.real_airplanes import FRAMES, load_airplanes
from novelweights.errors import InputError

NOSE = {CRRCSIM: (0, 0, 9.0), GL_117: (-9.0, 0, 0), FLIGHTGEAR: (-9.0, 0, 0)}
TOP = {CRRCSIM: (0, 9.0, 0), GL_117: (0, 0, 9.0), FLIGHTGEAR: (0, 9.0, 0)}


def put(name: str, files: dict[str, bytes], cache: Path, monkeypatch) -> None:
    """Files in the cache as if they were all of the package."""
    sums = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    source = replace(AIRPLANE_PACKAGES[name], sha256=sums)
    monkeypatch.setitem(AIRPLANE_PACKAGES, name, source)
    monkeypatch.setitem(FETCHABLE, name, source)
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(cache))
    for file, content in files.items():
        (cache / name / file).parent.mkdir(parents=True, exist_ok=True)
        (cache / name / file).write_bytes(content)


def test_damaged_and_large_files_are_left_out_and_lacking_objects_are_not(tmp_path, monkeypatch):
    files = {
        "a/cube.ac": ac3d(),
        "b/lacking.ac": ac3d(kids=3),
        "cut.ac": ac3d()[:300],
        "large.ac": ac3d() + b"\n" * 3_000_000,
    }
    put(FLIGHTGEAR, files, tmp_path, monkeypatch)
    airplanes = load_airplanes(FLIGHTGEAR)
    assert list(airplanes.meshes) == ["cube", "lacking"]
    assert list(airplanes.left_out) == ["cut", "large"]
    assert "at most 3000000 bytes" in airplanes.left_out["large"]


def test_3ds_files_are_read(tmp_path, monkeypatch):
    put(GL_117, {"cube.3ds": three_ds()}, tmp_path, monkeypatch)
    mesh = load_airplanes(GL_117).meshes["cube"]
    assert mesh.volume == pytest.approx(1)
    assert np.array_equal(mesh.vertices, CUBE.vertices * [-1, -1, 1])


@pytest.mark.parametrize("name", FRAMES)
def test_nose_lies_along_x_and_the_top_along_z_and_nothing_is_mirrored(name):
    turn = FRAMES[name].turn
    assert (np.array(NOSE[name]) @ turn).tolist() == [9, 0, 0]
    assert (np.array(TOP[name]) @ turn).tolist() == [0, 0, 9]
    assert np.linalg.det(turn) == pytest.approx(1)


def test_sets_can_be_fetched_and_names_are_told_apart():
    assert FRAMES.keys() == AIRPLANE_PACKAGES.keys() <= FETCHABLE.keys()
    assert [len(source.sha256) for source in AIRPLANE_PACKAGES.values()] == [22, 11, 110]
    for source in AIRPLANE_PACKAGES.values():
        assert len({Path(file).stem for file in source.sha256}) == len(source.sha256)
        assert len(set(source.sha256.values())) == len(source.sha256)


def test_what_was_not_fetched_says_how(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="run `novelweights data fetch crrcsim-airplanes`"):
        load_airplanes(CRRCSIM)
    with pytest.raises(InputError, match="did you mean 'gl-117-airplanes'"):
        load_airplanes("gl-117")
