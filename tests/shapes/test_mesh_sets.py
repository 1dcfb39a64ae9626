from functools import partial
from importlib import metadata

import numpy as np
import pytest
from hostile_meshes import CUBE, NAN, TRIANGLES, ac3d, obj, off, with_vertex
from shape_files import NEEDS_REPAIR

from novelweights.errors import InputError
from novelweights.shapes import repaired_meshes
from novelweights.shapes.mesh import Mesh
from novelweights.shapes.mesh_faults import OPEN, faults_of
from novelweights.shapes.mesh_sets import usable
from novelweights.shapes.repaired_meshes import FOLDER, MeshFile, mended_mesh

pytestmark = NEEDS_REPAIR
FLAT = Mesh(CUBE.vertices * [1, 1, 0], TRIANGLES)
LACKING = Mesh(CUBE.vertices, TRIANGLES[:-2])


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(repaired_meshes, "RESOLUTION", 1000)
    return tmp_path / "cache" / FOLDER


def put(folder, **content):
    files = {}
    for name, what in content.items():
        path = folder / name.replace("_", ".")
        path.write_bytes(what)
        files[name] = MeshFile(path)
    return files


def test_what_cannot_be_used_is_left_out_and_told(tmp_path):
    files = put(
        tmp_path,
        cube_obj=obj(),
        cut_ac=ac3d()[:200],
        empty_off=b"",
        flat_obj=obj(FLAT),
        nan_obj=obj(NAN),
        other_off=off(),
    )
    files["none_obj"] = MeshFile(tmp_path / "none.obj")
    files["folder_obj"] = MeshFile(tmp_path)
    found = usable(files, len(files), source="set")
    assert list(found.files) == ["cube_obj", "other_off"]
    assert found.faults == [frozenset(), frozenset()]
    assert list(found.left_out) == [name for name in files if name not in found.files]
    assert "damaged AC3D" in found.left_out["cut_ac"]
    assert "one that is flat: leave it out" in found.left_out["flat_obj"]
    assert "expected finite" in found.left_out["nan_obj"]
    assert found.left_out["none_obj"].startswith("none.obj: expected a mesh file")
    assert abs(found.mesh(1).vertices).max() == pytest.approx(0.475)


def test_huge_meshes_are_left_out(tmp_path, monkeypatch):
    files = put(tmp_path, cube_obj=obj())
    few = partial(faults_of, max_faces=11)
    monkeypatch.setattr(repaired_meshes, "faults_of", few)
    monkeypatch.setattr("novelweights.shapes.watertight.faults_of", few)
    with pytest.raises(InputError, match=r"^set: expected meshes .* got 1 that cannot.* huge"):
        usable(files, 1, source="set")


def test_an_open_mesh_is_closed_once_and_then_known(tmp_path, cache, monkeypatch):
    [file] = put(tmp_path, open_obj=obj(LACKING)).values()
    made = mended_mesh(file)
    assert OPEN in made.faults
    assert made.mesh.is_oriented
    assert made.mesh.volume > 0
    [kept] = cache.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(repaired_meshes, "watertight", None)
        again = mended_mesh(file)
    assert np.array_equal(again.mesh.vertices, made.mesh.vertices)
    assert np.array_equal(again.mesh.faces, made.mesh.faces)
    assert again.faults == made.faults
    kept.write_bytes(kept.read_bytes()[:100])  # a damaged file is made again
    assert np.array_equal(mended_mesh(file).mesh.vertices, made.mesh.vertices)


def test_another_content_or_another_way_to_read_it_is_mended_anew(tmp_path, cache):
    [file] = put(tmp_path, cube_obj=obj()).values()
    mended_mesh(file)

    def twice(path):
        return Mesh(CUBE.vertices * 2, CUBE.faces)

    assert mended_mesh(MeshFile(file.path, twice, read_as="twice")).mesh.vertices.max() == 2
    file.path.write_bytes(obj(with_vertex((1.5, 1, 1))))
    assert mended_mesh(file).mesh.vertices.max() == 1.5
    assert len(list(cache.iterdir())) == 3


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(tmp_path / "file"))
    [file] = put(tmp_path, cube_obj=obj()).values()
    assert mended_mesh(file).mesh.volume == pytest.approx(1)


def test_without_the_extra_no_shape_is_blamed(tmp_path, monkeypatch):
    def lacking(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", lacking)
    with pytest.raises(InputError, match=r"run `pip install 'novelweights\[meshes\]'`"):
        usable(put(tmp_path, cube_obj=obj()), 1, source="set")
