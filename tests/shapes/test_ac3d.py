import contextlib

import numpy as np
import pytest
from hostile_meshes import ac3d
from refused import refused
from solids import CORNERS, volume

from novelweights.errors import InputError
from novelweights.shapes.ac3d import read_ac3d


def test_squares_become_fans_and_data_is_passed_over():
    mesh = read_ac3d(ac3d(), "cube.ac")
    assert np.array_equal(mesh.vertices, CORNERS)
    assert len(mesh.faces) == 12
    assert volume(mesh) == pytest.approx(1)


def test_windows_line_ends_read_the_same():
    windows = ac3d().replace(b"data 12", b"data 13").replace(b"\n", b"\r\n")
    assert np.array_equal(read_ac3d(windows, "cube.ac").vertices, CORNERS)


def test_places_of_nested_objects_add_up():
    turn = "rot 0 1 0 -1 0 0 0 0 1\n"  # x goes to y, y to -x
    poly = (
        "numvert 3\n1 0 0\n2 0 0\n1 0 1\nnumsurf 1\nSURF 0\nrefs 3\n0 0 0\n1 0 0\n2 0 0\nkids 0\n"
    )
    content = (
        f"AC3Db\nOBJECT world\nkids 2\nOBJECT group\nloc 10 0 0\n{turn}kids 1\n"
        f"OBJECT poly\nloc 0 0 5\n{poly}OBJECT poly\n{poly}"
    )
    mesh = read_ac3d(content.encode(), "nested.ac")
    assert mesh.vertices.tolist() == [
        [10, 1, 5],
        [10, 2, 5],
        [10, 1, 6],
        [1, 0, 0],
        [2, 0, 0],
        [1, 0, 1],
    ]
    assert mesh.faces.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_lines_draw_nothing():
    lines = ac3d().replace(b"SURF 0x10", b"SURF 0x12", 3)
    assert len(read_ac3d(lines, "cube.ac").faces) == 6


def test_objects_that_never_come_are_let_pass_only_if_asked():
    content = ac3d(kids=3)
    with refused("damaged", "cube.ac", 2):
        read_ac3d(content, "cube.ac")
    assert len(read_ac3d(content, "cube.ac", lacking_objects=True).faces) == 12


def test_every_cut_is_refused():
    content = ac3d()
    for end in range(0, len(content) - 3, 3):
        with contextlib.suppress(InputError):
            mesh = read_ac3d(content[:end], "cube.ac")
            assert mesh.is_empty
            assert b"OBJECT" not in content[:end]


def test_deep_nesting_takes_no_recursion():
    depth = 2000  # Python stops at 1000 calls
    content = b"AC3Db\n" + b"OBJECT group\nloc 1 0 0\nkids 1\n" * depth + ac3d().split(b"\n", 2)[2]
    mesh = read_ac3d(content, "deep.ac")
    assert mesh.vertices.min(axis=0).tolist() == [depth, 0, 0]
