import numpy as np
import pytest
from refused import refused
from solids import CUBE, volume

from novelweights.shapes.mesh import Mesh, placed, sample_surface


def with_faces(faces):
    return Mesh(CUBE.vertices, np.array(faces, np.int64).reshape(-1, 3))


def test_cube_has_the_areas_and_corners_of_its_faces():
    assert CUBE.is_finite
    assert not CUBE.is_empty
    assert CUBE.areas.sum() == pytest.approx(6)
    assert with_faces([]).is_empty
    assert volume(CUBE) == pytest.approx(1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_coordinates_that_are_not_finite_are_seen_and_not_placed(value):
    vertices = CUBE.vertices.copy()
    vertices[2, 1] = value
    bad = Mesh(vertices, CUBE.faces)
    assert not bad.is_finite
    with refused("wrong-mesh"):
        placed(bad)
    with refused("wrong-mesh"):
        sample_surface(bad, 3, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("faces", "says"), [([[0, 1, 8]], "0 to 8 of 8"), ([[0, -1, 2]], "-1 to 2")]
)
def test_faces_of_vertices_that_are_not_there_are_refused(faces, says):
    with pytest.raises(ValueError, match=says):
        with_faces(faces)


def test_placed_mesh_is_centered_on_its_vertices_and_fills_the_cube():
    vertices = np.concatenate([CUBE.vertices * [4, 1, 1] + 7, [[11, 7, 7]]])
    result = placed(Mesh(vertices, CUBE.faces))
    assert np.abs(result.vertices.mean(axis=0)).max() < 1e-15
    assert np.abs(result.vertices).max() == pytest.approx(0.475)
    ratio = np.ptp(result.vertices, axis=0) / np.ptp(vertices, axis=0)
    assert ratio == pytest.approx(ratio[0])


def test_a_point_or_nothing_has_no_place():
    with refused("wrong-mesh"):
        placed(Mesh(np.ones((4, 3)), CUBE.faces[:0]))
    with refused("wrong-mesh"):
        placed(Mesh(np.zeros((0, 3)), CUBE.faces[:0]))


def test_points_are_drawn_by_area_and_evenly_within_a_face():
    # areas 1/2, 0 and 3/2: a right triangle, a degenerate one, a larger one
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 5], [3, 0, 5], [0, 1, 5.0]])
    mesh = Mesh(vertices, np.array([[0, 1, 2], [0, 1, 1], [3, 4, 5]]))
    points = sample_surface(mesh, 40_000, np.random.default_rng(1))
    low = points[:, 2] == 0
    assert low.mean() == pytest.approx(0.25, abs=0.01)
    assert points[~low, 2] == pytest.approx(5)
    x, y = points[low, :2].T
    assert (x.min() >= 0) & (y.min() >= 0) & ((x + y).max() <= 1)
    # a quarter of a triangle lies in each of the four that halve its edges
    quarters = [(x > 0.5).mean(), (y > 0.5).mean(), (x + y < 0.5).mean()]
    assert quarters == pytest.approx([0.25] * 3, abs=0.02)


def test_drawn_points_depend_on_the_stream_alone():
    first, second = (sample_surface(CUBE, 10, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, second)
    assert sample_surface(CUBE, 0, np.random.default_rng(3)).shape == (0, 3)


@pytest.mark.parametrize("faces", [[], [[0, 1, 1], [2, 2, 2]]])
def test_a_mesh_without_area_gives_no_points(faces):
    with refused("wrong-mesh"):
        sample_surface(with_faces(faces), 3, np.random.default_rng(0))
