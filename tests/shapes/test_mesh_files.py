import numpy as np
import pytest
from hostile_meshes import HOSTILE, WRITERS, obj, off
from refused import refused
from solids import CUBE, sphere, volume

from novelweights.errors import InputError
from novelweights.shapes.mesh import Mesh
from novelweights.shapes.mesh_files import mesh_of, read_mesh


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_closed_cube(name, tmp_path):
    (tmp_path / name).write_bytes(WRITERS[name](CUBE))
    mesh = read_mesh(tmp_path / name)
    places, row = np.unique(mesh.vertices, axis=0, return_inverse=True)  # STL shares none
    assert volume(Mesh(places, row.reshape(-1)[mesh.faces])) == pytest.approx(1)
    assert mesh.areas.sum() == pytest.approx(6)
    assert len(places) == 8


def test_hostile_files_are_refused_each_with_one_clear_message(tmp_path):
    for name, content, code, named in HOSTILE:
        (tmp_path / name).write_bytes(content)
        with refused(code, name, named) as caught:
            read_mesh(tmp_path / name)
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", WRITERS)
def test_damaged_bytes_never_raise_anything_else(name):
    content = WRITERS[name](CUBE)
    rng = np.random.default_rng(0)
    n_refused = 0
    for _ in range(60):
        damaged = bytearray(content[: rng.integers(1, len(content) + 1)])
        for place in rng.integers(0, len(damaged), 2):
            damaged[place] = rng.choice([rng.integers(256), ord("9"), ord("-"), ord("\n"), 255])
        try:
            mesh_of(bytes(damaged), name)
        except InputError:
            n_refused += 1
    assert n_refused > 10


def test_missing_folder_and_large_files_are_refused_unread(tmp_path):
    with refused("not-found"):
        read_mesh(tmp_path / "none.obj")
    with refused("not-found"):
        read_mesh(tmp_path)
    (tmp_path / "cube.obj").write_bytes(obj())
    with refused("too-large", "cube.obj", 10):
        read_mesh(tmp_path / "cube.obj", max_bytes=10)


def test_obj_as_shapenet_writes_it_keeps_its_vertices_whatever_texture_they_have():
    content = (
        b"# ShapeNet\nmtllib ../other.mtl\ng a\nusemtl m1\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
        b"v 0 0 1\nvt 0 0\nvt 1 1\nvn 0 0 1\nf 1/1/1 2/2/1 3/1/1 4/2/1\nusemtl m2\n"
        b"f 1/2/1 5/1/1 2/1/1\ng b\nf 1//1 2//1 5//1\n"
    )
    mesh = mesh_of(content, "model_normalized.obj")
    assert sorted(mesh.areas.tolist()) == pytest.approx([0.5] * 4)


def test_polygons_become_triangles():
    mesh = mesh_of(b"OFF\n4 1 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3\n", "square.off")
    assert mesh.areas.tolist() == [0.5, 0.5]


def test_content_decides_over_the_suffix():
    assert len(mesh_of(off(), "cube.ply").faces) == 12


def test_a_round_trip_keeps_every_digit():
    ball = sphere(1 / 3)
    assert np.array_equal(mesh_of(obj(ball), "ball.obj").vertices, ball.vertices)
