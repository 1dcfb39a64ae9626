import contextlib

import numpy as np
import pytest
from hostile_meshes import chunk, three_ds
from solids import CORNERS, n_bodies, volume

from novelweights.errors import InputError
from novelweights.shapes.mesh_files import mesh_of
from novelweights.shapes.three_ds import read_3ds


def test_vertices_and_faces_are_read_and_other_chunks_passed_over():
    mesh = read_3ds(three_ds(), "cube.3ds")
    assert np.array_equal(mesh.vertices, CORNERS)
    assert volume(mesh) == pytest.approx(1)


def test_objects_are_joined():
    named = three_ds()[6 + 10 + 6 : -6]  # behind the heads of file, version and editor
    content = chunk(0x4D4D, chunk(0x3D3D, named + named))
    mesh = read_3ds(content, "two.3ds")
    assert (len(mesh.vertices), len(mesh.faces), n_bodies(mesh)) == (16, 24, 2)


def test_every_cut_is_refused():
    content = three_ds()
    for end in range(len(content)):
        with pytest.raises(InputError):
            mesh_of(content[:end], "cube.3ds")


def test_damaged_bytes_never_raise_anything_else():
    content = three_ds()
    rng = np.random.default_rng(0)
    n_refused = 0
    for _ in range(1000):
        damaged = bytearray(content)
        for place in rng.integers(2, len(content), 2):
            damaged[place] = rng.integers(256)
        with contextlib.suppress(InputError):
            read_3ds(bytes(damaged), "cube.3ds")
            n_refused -= 1
        n_refused += 1
    assert n_refused > 100
