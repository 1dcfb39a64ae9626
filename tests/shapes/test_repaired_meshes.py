from importlib import metadata

import numpy as np
import pytest
from hostile_meshes import ac3d, obj, off
from refused import refused
from solids import CORNERS, CUBE, NAN, TRIANGLES, sphere, volume, with_vertex

from novelweights.shapes import repaired_meshes
from novelweights.shapes.mesh import Mesh
from novelweights.shapes.repaired_meshes import FOLDER, MeshFile, inside, repaired, repaired_mesh
from novelweights.shapes.shape_sets import of_files

FEW = 500
"""Cells; enough for a cube."""
FLAT = Mesh(CORNERS @ np.array([[1, 0.3, 0.2], [0.1, 1, 0.7], [0, 0, 0]]), TRIANGLES)
TURNED = TRIANGLES.copy()
TURNED[0] = TURNED[0, ::-1]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(repaired_meshes, "RESOLUTION", FEW)
    return tmp_path / "cache" / FOLDER


def put(folder, **content):
    for name, what in content.items():
        (folder / name.replace("_", ".")).write_bytes(what)
    return {name: MeshFile(folder / name.replace("_", ".")) for name in content}


@pytest.mark.parametrize(
    "mesh",
    [
        CUBE,
        Mesh(CORNERS, TRIANGLES[2:]),
        Mesh(CORNERS, TURNED),
        Mesh(CORNERS, TRIANGLES[:, ::-1].copy()),
        Mesh(CORNERS, np.vstack([TRIANGLES, TRIANGLES[3], [1, 1, 2]])),
        Mesh(np.vstack([CORNERS, [900, 9, 9]]), TRIANGLES),
        Mesh(CUBE.triangles.reshape(-1, 3), np.arange(36).reshape(-1, 3)),
    ],
    ids=["closed", "lidless", "turned", "inside-out", "doubled", "unused-vertex", "loose"],
)
@pytest.mark.parametrize(("size", "place"), [(1, (0, 0, 0)), (30, (100, -200, 5)), (1e150, 0)])
def test_what_comes_out_is_closed_and_in_its_place(mesh, size, place):
    closed = repaired(Mesh(mesh.vertices * size + place, mesh.faces), FEW)
    assert volume(Mesh(closed.vertices / size, closed.faces)) > 0
    assert closed.vertices.min(axis=0) == pytest.approx(np.zeros(3) + place, abs=size / 8)
    assert closed.vertices.max(axis=0) == pytest.approx(np.zeros(3) + size + place, abs=size / 8)


def test_the_repair_is_the_same_each_time():
    half = Mesh(sphere().vertices, sphere().faces[60:])
    one, two = (repaired(half, FEW) for _ in range(2))
    assert np.array_equal(one.vertices, two.vertices)
    assert np.array_equal(one.faces, two.faces)


@pytest.mark.parametrize(
    "mesh",
    [
        NAN,
        with_vertex((1, -np.inf, 1)),
        Mesh(CORNERS, TRIANGLES[:0]),
        Mesh(CORNERS[:0], TRIANGLES[:0]),
        Mesh(CORNERS * 0, TRIANGLES),
        Mesh(CORNERS, TRIANGLES[:1]),
        Mesh(CORNERS, np.array([[0, 0, 7], [1, 1, 6], [2, 2, 5]])),
        FLAT,
    ],
    ids=["nan", "infinite", "no-faces", "no-vertices", "one-place", "one-face", "lines", "flat"],
)
def test_what_has_no_body_is_refused(mesh):
    with refused("wrong-mesh"):
        repaired(mesh, FEW)


def test_too_many_faces_are_refused(monkeypatch):
    monkeypatch.setattr(repaired_meshes, "MAX_FACES", 11)
    with refused("too-large", 11, 12):
        repaired(CUBE, FEW)


def test_points_inside_have_a_winding_number_of_a_half():
    rng = np.random.default_rng(5)
    points = rng.uniform(-1.2, 1.2, (3000, 3))
    radius = np.linalg.norm(points, axis=1)
    clear = np.abs(radius - 1) > 0.02  # flat faces lie up to 1 - cos(pi / 20) = 0.012 below
    assert np.array_equal(inside(sphere(), points)[clear], (radius < 1)[clear])
    assert not inside(Mesh(sphere().vertices, sphere().faces[:, ::-1].copy()), points).any()


def test_what_cannot_be_used_is_left_out_and_named(tmp_path, cache):
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
    shapes = of_files(files, len(files), "set")
    assert list(shapes.names) == ["cube_obj", "other_off"]
    assert list(shapes.left_out) == [name for name in files if name not in shapes.names]
    assert all(
        file.path.name in shapes.left_out.get(n, file.path.name) for n, file in files.items()
    )
    assert str(tmp_path) not in shapes.left_out["flat_obj"]
    assert abs(shapes.mesh(1).vertices).max() == pytest.approx(0.475)
    with refused("wrong-mesh", "set", "nan.obj"):
        of_files({"nan": files["nan_obj"]}, 1, "set")


def test_a_mesh_is_repaired_once_and_then_known(tmp_path, cache, monkeypatch):
    [file] = put(tmp_path, open_obj=obj(Mesh(CORNERS, TRIANGLES[:-2]))).values()
    first = repaired_mesh(file)
    assert volume(first) > 0
    [kept] = cache.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(repaired_meshes, "repaired", None)
        again = repaired_mesh(file)
    assert np.array_equal(again.vertices, first.vertices)
    assert np.array_equal(again.faces, first.faces)
    kept.write_bytes(kept.read_bytes()[:100])  # a damaged file is made again
    assert np.array_equal(repaired_mesh(file).vertices, first.vertices)


def test_another_content_or_another_way_to_read_it_is_repaired_anew(tmp_path, cache):
    [file] = put(tmp_path, cube_obj=obj()).values()
    size = np.ptp(repaired_mesh(file).vertices)

    def twice(path):
        return Mesh(CORNERS * 2, TRIANGLES)

    as_twice = repaired_mesh(MeshFile(file.path, twice, read_as="twice"))
    assert np.ptp(as_twice.vertices) == pytest.approx(2 * size)
    file.path.write_bytes(obj(with_vertex((1.5, 1, 1))))
    assert np.ptp(repaired_mesh(file).vertices) > 1.2 * size
    assert len(list(cache.iterdir())) == 3


def test_without_the_extra_no_shape_is_blamed(tmp_path, cache, monkeypatch):
    def lacking(name):
        raise metadata.PackageNotFoundError(name)

    files = put(tmp_path, cube_obj=obj())
    monkeypatch.setattr(metadata, "version", lacking)
    for ask in (
        lambda: of_files(files, 1, "set"),
        lambda: repaired(CUBE, FEW),
        lambda: inside(CUBE, CORNERS),
    ):
        with refused("not-installed", "novelweights[meshes]"):
            ask()
