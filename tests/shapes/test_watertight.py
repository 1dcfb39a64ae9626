import importlib.util

import numpy as np
import pytest
from hostile_meshes import CORNERS, NAN, TRIANGLES, sphere

from novelweights.errors import InputError
from novelweights.shapes.mesh import Mesh
from novelweights.shapes.mesh_faults import faults_of
from novelweights.shapes.watertight import watertight

needs_library = pytest.mark.skipif(
    importlib.util.find_spec("point_cloud_utils") is None,
    reason="point_cloud_utils, the extra `meshes`, is lacking",
)
FEW = 500
"""Cells; enough for a cube."""


@needs_library
def test_an_open_box_far_away_becomes_a_closed_body_in_its_place():
    box = Mesh(CORNERS * 30 + [100, -200, 5], TRIANGLES[2:])
    assert "open" in faults_of(box)
    closed = watertight(box, resolution=FEW)
    assert closed.is_oriented
    assert 0 < closed.volume < 35**3
    assert closed.vertices.min(axis=0) == pytest.approx([100, -200, 5], abs=4)
    assert closed.vertices.max(axis=0) == pytest.approx([130, -170, 35], abs=4)


@needs_library
def test_the_repair_is_the_same_each_time():
    half = Mesh(sphere().vertices, sphere().faces[60:])
    one, two = (watertight(half, resolution=FEW) for _ in range(2))
    assert np.array_equal(one.vertices, two.vertices)
    assert np.array_equal(one.faces, two.faces)


@needs_library
@pytest.mark.parametrize(
    ("mesh", "fault"),
    [
        (NAN, "not finite"),
        (Mesh(CORNERS, TRIANGLES[:0]), "empty"),
        (Mesh(CORNERS, TRIANGLES[:1]), "flat"),
    ],
)
def test_what_cannot_be_mended_is_refused(mesh, fault):
    with pytest.raises(InputError, match=f"one that is {fault}"):
        watertight(mesh)


def test_without_the_library_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'novelweights\[meshes\]'"):
        watertight(sphere())
