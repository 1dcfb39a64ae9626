import numpy as np
import pytest
from hostile_meshes import CORNERS, CUBE, NAN, TRIANGLES, sphere, with_vertex

from novelweights.shapes.mesh import Mesh
from novelweights.shapes.mesh_cleaning import cleaned, joined
from novelweights.shapes.mesh_faults import counted, faults_of
from novelweights.shapes.self_crossings import n_crossings

BALL = sphere()
TWO = joined([(ball.vertices, ball.faces) for ball in (BALL, sphere(shift=(1.0, 0.2, 0.1)))])
APART = joined([(ball.vertices, ball.faces) for ball in (BALL, sphere(shift=(3.0, 0.2, 0.1)))])
TWISTED = TRIANGLES.copy()
TWISTED[0] = TWISTED[0, ::-1]
FIN = np.vstack([TRIANGLES, [0, 1, 8]])
FLAT = Mesh(CORNERS @ np.array([[1, 0.3, 0.2], [0.1, 1, 0.7], [0, 0, 0]]), TRIANGLES)
KINDS: list[tuple[str, Mesh, set[str]]] = [
    ("cube", CUBE, set()),
    ("sphere", BALL, set()),
    ("two apart", APART, set()),
    (
        "corners not shared",
        Mesh(CUBE.triangles.reshape(-1, 3), np.arange(36).reshape(-1, 3)),
        set(),
    ),
    ("a face twice", Mesh(CORNERS, np.vstack([TRIANGLES, TRIANGLES[3]])), set()),
    ("a degenerate face", Mesh(CORNERS, np.vstack([TRIANGLES, [1, 1, 2]])), set()),
    ("a vertex of no face", Mesh(np.vstack([CORNERS, [9, 9, 9]]), TRIANGLES), set()),
    ("no faces", Mesh(CORNERS, TRIANGLES[:0]), {"empty"}),
    ("no vertices", Mesh(CORNERS[:0], TRIANGLES[:0]), {"empty"}),
    ("all at one point", Mesh(CORNERS * 0, TRIANGLES), {"empty"}),
    ("nan", NAN, {"not finite"}),
    ("infinite", with_vertex((1, -np.inf, 1)), {"not finite"}),
    ("flat", FLAT, {"flat"}),
    ("one triangle", Mesh(CORNERS, TRIANGLES[:1]), {"flat"}),
    ("no lid", Mesh(CORNERS, TRIANGLES[2:]), {"open"}),
    (
        "half a sphere",
        Mesh(BALL.vertices, BALL.faces[BALL.triangles[:, :, 2].max(1) < 0]),
        {"open"},
    ),
    ("a fin", Mesh(np.vstack([CORNERS, [-1, -1, 0.5]]), FIN), {"open", "non-manifold"}),
    ("a face turned", Mesh(CORNERS, TWISTED), {"inconsistently oriented"}),
    ("inside out", Mesh(CORNERS, TRIANGLES[:, ::-1].copy()), {"inside out"}),
    ("through each other", TWO, {"self-intersecting"}),
    ("far away and huge", Mesh(CORNERS * 1e150 + 1e150, TRIANGLES), set()),
    ("tiny", Mesh(CORNERS * 1e-150, TRIANGLES), set()),
]


@pytest.mark.parametrize(("kind", "mesh", "expected"), KINDS, ids=[row[0] for row in KINDS])
def test_faults_are_named(kind, mesh, expected):
    assert faults_of(mesh) == expected


def test_too_many_faces_are_huge():
    assert faults_of(BALL, max_faces=100) == {"huge"}


def test_crossings_of_two_triangles():
    corners = np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0], [1, 1, -1], [1, 1, 1], [3, 3, 1.0]])
    faces = np.array([[0, 1, 2], [3, 4, 5]])
    assert n_crossings(Mesh(corners, faces)) == 1
    assert n_crossings(Mesh(corners + np.repeat([[0, 0, 0], [0, 0, 2]], 3, axis=0), faces)) == 0
    assert n_crossings(TWO) > 10
    assert n_crossings(TWO, at_most=5) == 5


def test_faults_are_counted():
    assert counted(faults_of(mesh) for _, mesh, _ in KINDS)["empty"] == 3


def test_cleaning_keeps_the_surface():
    mesh = cleaned(Mesh(CUBE.triangles.reshape(-1, 3), np.arange(36).reshape(-1, 3)))
    assert (len(mesh.vertices), len(mesh.faces)) == (8, 12)
    assert mesh.volume == pytest.approx(1)
