import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hostile_meshes import ac3d, three_ds
from refused import refused
from solids import CUBE, volume

from novelweights.data.fetch import FETCHABLE
from novelweights.shapes.real_airplanes import (
    CRRCSIM,
    FLIGHTGEAR,
    GL_117,
    SETS,
    TURNS,
    VERSIONS,
    airplanes_of,
    package_files,
    packages_of,
)

NOSE = {CRRCSIM: (0, 0, 9.0), GL_117: (-9.0, 0, 0), FLIGHTGEAR: (-9.0, 0, 0)}
TOP = {CRRCSIM: (0, 9.0, 0), GL_117: (0, 0, 9.0), FLIGHTGEAR: (0, 9.0, 0)}


def put(name: str, files: dict[str, bytes], cache: Path, monkeypatch) -> None:
    """Files in the cache as if they were all of the package."""
    sums = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    monkeypatch.setitem(FETCHABLE, name, replace(FETCHABLE[name], sha256=sums))
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(cache))
    for file, content in files.items():
        (cache / name / file).parent.mkdir(parents=True, exist_ok=True)
        (cache / name / file).write_bytes(content)


def test_damaged_and_large_files_are_refused_and_lacking_objects_are_not(tmp_path, monkeypatch):
    content = {
        "a/cube.ac": ac3d(),
        "b/lacking.ac": ac3d(kids=3),
        "cut.ac": ac3d()[:300],
        "large.ac": ac3d() + b"\n" * 3_000_000,
    }
    put(FLIGHTGEAR, content, tmp_path, monkeypatch)
    files = package_files(FLIGHTGEAR, tmp_path / FLIGHTGEAR)
    assert list(files) == ["cube", "lacking", "cut", "large"]
    for name in ("cube", "lacking"):
        assert volume(files[name].read(files[name].path)) == pytest.approx(1)
    for name, code in (("cut", "damaged"), ("large", "too-large")):
        with refused(code, f"{name}.ac"):
            files[name].read(files[name].path)


def test_3ds_files_are_read_and_turned(tmp_path, monkeypatch):
    put(GL_117, {"cube.3ds": three_ds()}, tmp_path, monkeypatch)
    [file] = package_files(GL_117, tmp_path / GL_117).values()
    mesh = file.read(file.path)
    assert volume(mesh) == pytest.approx(1)
    assert np.array_equal(mesh.vertices, CUBE.vertices * [-1, -1, 1])


def test_a_fifth_is_for_validation_and_one_for_test_and_none_is_in_two_parts(tmp_path, monkeypatch):
    put(CRRCSIM, {f"{i}.ac": ac3d() for i in range(7)}, tmp_path, monkeypatch)
    put(GL_117, {f"gl-{i}.3ds": three_ds() for i in range(4)}, tmp_path, monkeypatch)
    parts = airplanes_of("real-airplanes")
    assert {part: len(files) for part, files in parts.items()} == {
        "train": 7,
        "validation": 2,
        "test": 2,
    }
    names = [name for files in parts.values() for name in files]
    assert sorted(names) == sorted([*map(str, range(7)), *(f"gl-{i}" for i in range(4))])
    assert all(file.path.is_file() for files in parts.values() for file in files.values())
    again = airplanes_of("real-airplanes")
    assert [list(files) for files in again.values()] == [list(files) for files in parts.values()]


@pytest.mark.parametrize("name", SETS)
def test_versions_of_an_airplane_are_in_one_part(name, tmp_path, monkeypatch):
    for package in SETS[name]:
        files = dict.fromkeys(FETCHABLE[package].sha256, ac3d())
        put(package, files, tmp_path, monkeypatch)
    parts = airplanes_of(name)
    n = sum(map(len, parts.values()))
    for part in ("validation", "test"):
        assert n // 5 <= len(parts[part]) < n // 5 + max(map(len, VERSIONS))
    where = {name: part for part, files in parts.items() for name in files}
    found = 0
    for family in VERSIONS:
        places = {where[name] for name in family if name in where}
        assert len(places) <= 1
        found += len(places)
    assert found >= 2


def test_versions_name_airplanes_that_there_are_and_each_once():
    named = [name for family in VERSIONS for name in family]
    known = {Path(file).stem for source in map(FETCHABLE.get, TURNS) for file in source.sha256}
    assert len(named) == len(set(named))
    assert set(named) <= known


@pytest.mark.parametrize("name", TURNS)
def test_nose_lies_along_x_and_the_top_along_z_and_nothing_is_mirrored(name):
    turn = TURNS[name]
    assert (np.array(NOSE[name]) @ turn).tolist() == [9, 0, 0]
    assert (np.array(TOP[name]) @ turn).tolist() == [0, 0, 9]
    assert np.linalg.det(turn) == pytest.approx(1)


def test_sets_have_names_of_their_own_and_as_many_shapes_as_told():
    assert [len(FETCHABLE[package].sha256) for package in TURNS] == [22, 11, 110]
    for package in TURNS:
        sums = FETCHABLE[package].sha256
        assert len({Path(file).stem for file in sums}) == len(set(sums.values())) == len(sums)
    for name, n in (("real-airplanes", 33), (FLIGHTGEAR, 110)):
        files = [file for of in SETS[name] for file in FETCHABLE[of].sha256]
        assert len({Path(file).stem for file in files}) == len(files) == n
    assert packages_of("real-airplanes") == (CRRCSIM, GL_117)
    assert packages_of("mnist") == ("mnist",)


def test_what_was_not_fetched_says_how(tmp_path, monkeypatch):
    put(CRRCSIM, {"cube.ac": ac3d()}, tmp_path, monkeypatch)
    with refused("no-data", "novelweights data fetch real-airplanes"):
        airplanes_of("real-airplanes")
