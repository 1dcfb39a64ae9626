import numpy as np
import pytest
from solids import CUBE, both, sphere

from novelweights.errors import InputError
from novelweights.shapes.mesh import Mesh
from novelweights.shapes.winding import inside, winding_numbers


def by_definition(mesh, points):
    """Every face's solid angle, added up."""
    a, b, c = (mesh.triangles[None, :, i] - points[:, None] for i in range(3))
    na, nb, nc = (np.linalg.norm(v, axis=-1) for v in (a, b, c))

    def dot(u, v):
        return (u * v).sum(-1)

    sine = dot(a, np.cross(b, c))
    cosine = na * nb * nc + dot(a, b) * nc + dot(b, c) * na + dot(c, a) * nb
    return np.arctan2(sine, cosine).sum(1) / (2 * np.pi)


@pytest.fixture
def draws():
    return np.random.default_rng(5)


def test_cube_has_its_inside(draws):
    points = draws.uniform(-0.5, 1.5, (2000, 3))
    expected = ((points > 0) & (points < 1)).all(axis=1)
    assert np.array_equal(inside(CUBE, points), expected)
    assert winding_numbers(CUBE, points) == pytest.approx(expected.astype(float), abs=1e-12)


def test_sphere_has_its_inside_and_turned_faces_count_backward(draws):
    mesh = sphere()
    points = draws.uniform(-1.2, 1.2, (3000, 3))
    radius = np.linalg.norm(points, axis=1)
    clear = np.abs(radius - 1) > 0.01  # the flat faces lie up to 0.004 below the sphere
    found = winding_numbers(mesh, points)
    assert found[clear] == pytest.approx((radius < 1)[clear].astype(float), abs=1e-12)
    turned = winding_numbers(Mesh(mesh.vertices, mesh.faces[:, ::-1]), points)
    assert turned == pytest.approx(-found, abs=1e-12)


def test_open_hemisphere_sees_as_much_as_its_opening_hides():
    """A disc at distance h hides 2 pi (1 - h / sqrt(h^2 + 1)) of the sphere of directions."""
    mesh = sphere(top=np.pi / 2, n=80)
    assert not mesh.is_watertight
    height = np.array([0.0, 0.2, 0.5, 0.9, 1.5])
    points = np.stack([0 * height, 0 * height, height], axis=1)
    hidden = (1 - height / np.sqrt(height**2 + 1)) / 2
    expected = np.where(height < 1, 1 - hidden, -hidden)
    assert winding_numbers(mesh, points) == pytest.approx(expected, abs=1e-3)
    below = winding_numbers(mesh, -points[1:])
    assert below == pytest.approx(hidden[1:], abs=1e-3)
    assert inside(mesh, points[1:]).tolist() == [True, True, True, False]


def test_overlap_of_two_spheres_is_inside_twice():
    mesh = both(sphere(), sphere(center=(0.5, 0, 0)))
    points = np.array([[-0.7, 0.1, 0], [0.25, 0.1, 0], [1.2, 0.1, 0], [2.0, 0.1, 0]])
    assert winding_numbers(mesh, points) == pytest.approx([1, 2, 1, 0], abs=1e-12)
    assert inside(mesh, points).tolist() == [True, True, True, False]


def test_any_soup_is_as_by_definition(draws):
    """Loose, doubled, degenerate and shared triangles, seen from within and from far away."""
    vertices = draws.normal(size=(120, 3))
    faces = draws.integers(0, 120, (400, 3))
    soup = Mesh(vertices, np.concatenate([faces, faces[:30], [[0, 0, 1], [2, 2, 2]]]))
    points = np.concatenate([draws.normal(size=(300, 3)), draws.normal(size=(50, 3)) * 30])
    found = winding_numbers(soup, points)
    assert np.abs(found).max() > 2  # so that whole turns are counted
    assert found == pytest.approx(by_definition(soup, points), abs=1e-11)


def test_separate_corners_close_up_where_they_are_equal(draws):
    mesh = sphere(n=12)
    loose = Mesh(mesh.triangles.reshape(-1, 3), np.arange(3 * len(mesh.faces)).reshape(-1, 3))
    points = draws.uniform(-1.2, 1.2, (200, 3))
    assert winding_numbers(loose, points) == pytest.approx(winding_numbers(mesh, points), abs=1e-12)


def test_points_on_corners_and_edges_are_finite():
    on = np.concatenate([CUBE.vertices, (CUBE.vertices[:4] + CUBE.vertices[4:]) / 2])
    found = winding_numbers(CUBE, on)
    assert ((found > -1e-9) & (found < 1 + 1e-9)).all()


@pytest.mark.parametrize(
    ("mesh", "point", "says"),
    [
        (Mesh(CUBE.vertices, CUBE.faces[:0]), 0.0, "got none"),
        (Mesh(CUBE.vertices * np.nan, CUBE.faces), 0.0, "not finite"),
        (CUBE, np.inf, "finite points"),
    ],
)
def test_what_has_no_winding_number_is_refused(mesh, point, says):
    with pytest.raises(InputError, match=says):
        inside(mesh, np.full((1, 3), point))
