import numpy as np
import pytest
from scipy.optimize import minimize, nnls

from novelweights.metrics.hull import hull_weights, sparse_residuals


def project(vertices, target):
    """Hull weights by our solver, and the point they give."""
    w = hull_weights(vertices @ vertices.T, vertices @ target)
    assert (w >= 0).all()
    assert w.sum() == pytest.approx(1, abs=1e-12)
    return w, w @ vertices


def check_optimal(vertices, target, *, tolerance=1e-6):
    """The certificate: no vertex lies on the target's side of the plane through the point."""
    _, point = project(vertices, target)
    scale = np.square(vertices).sum(axis=1).mean() + np.square(target).sum()
    gains = (vertices - point) @ (target - point)
    assert gains.max() <= tolerance * scale
    return point


@pytest.mark.parametrize(("m", "d"), [(1, 3), (2, 2), (3, 10), (10, 3), (40, 5), (30, 60), (80, 8)])
@pytest.mark.parametrize("spread", [0.1, 1.0, 5.0])
def test_the_point_is_the_nearest_of_the_hull(m, d, spread):
    rng = np.random.default_rng(m * d)
    for _ in range(10):
        check_optimal(rng.normal(size=(m, d)), spread * rng.normal(size=d))


@pytest.mark.parametrize(("m", "d"), [(4, 2), (6, 10), (8, 4)])
def test_the_distance_is_that_of_a_general_solver(m, d):
    rng = np.random.default_rng(0)
    for _ in range(5):
        vertices, target = rng.normal(size=(m, d)), rng.normal(size=d)
        _, point = project(vertices, target)
        solved = minimize(
            lambda w, v=vertices, t=target: np.square(w @ v - t).sum(),
            np.full(m, 1 / m),
            jac=lambda w, v=vertices, t=target: 2 * v @ (w @ v - t),
            method="SLSQP",
            bounds=[(0, 1)] * m,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            options={"ftol": 1e-14, "maxiter": 1000},
        )
        assert np.square(point - target).sum() == pytest.approx(solved.fun, abs=1e-7)


def test_a_vertex_is_its_own_nearest_point():
    vertices = np.random.default_rng(0).normal(size=(12, 20))
    for i in range(12):
        w, point = project(vertices, vertices[i])
        assert w[i] == pytest.approx(1, abs=1e-9)
        np.testing.assert_allclose(point, vertices[i], atol=1e-9)


def test_a_mixture_of_few_is_found_with_its_weights():
    vertices = np.random.default_rng(0).normal(size=(30, 60))
    mixture = 0.7 * vertices[3] + 0.2 * vertices[8] + 0.1 * vertices[21]
    w, _ = project(vertices, mixture)
    expected = np.zeros(30)
    expected[[3, 8, 21]] = 0.7, 0.2, 0.1
    np.testing.assert_allclose(w, expected, atol=1e-6)


def test_a_target_inside_has_distance_zero():
    rng = np.random.default_rng(0)
    vertices = rng.normal(size=(50, 4))
    for _ in range(10):
        target = rng.dirichlet(np.ones(50)) @ vertices
        np.testing.assert_allclose(check_optimal(vertices, target), target, atol=1e-6)


def test_equal_and_collinear_vertices_are_no_trouble():
    rng = np.random.default_rng(0)
    once = rng.normal(size=(5, 8))
    for vertices in (once[[0, 0, 1, 2, 2, 2, 3, 4]], np.tile(once[:1], (6, 1))):
        for _ in range(10):
            target = rng.normal(size=8)
            point = check_optimal(vertices, target)
            np.testing.assert_allclose(
                point, check_optimal(np.unique(vertices, axis=0), target), atol=1e-5
            )
        np.testing.assert_allclose(project(vertices, vertices[1])[1], vertices[1], atol=1e-6)
    line = np.linspace(-1, 1, 7)[:, None] * np.array([[1.0, 2.0]])
    np.testing.assert_allclose(check_optimal(line, np.array([0.5, 1.0])), [0.5, 1.0], atol=1e-6)
    np.testing.assert_allclose(check_optimal(line, np.array([9.0, 9.0])), [1, 2], atol=1e-6)
    np.testing.assert_allclose(check_optimal(line, np.array([-2.0, 1.0])), [0, 0], atol=1e-6)


def test_all_vertices_at_the_origin_are_no_trouble():
    w, point = project(np.zeros((4, 3)), np.ones(3))
    assert w.sum() == pytest.approx(1)
    assert point.tolist() == [0, 0, 0]


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_weights_do_not_depend_on_the_unit(scale):
    rng = np.random.default_rng(0)
    vertices, target = rng.normal(size=(20, 30)), rng.normal(size=30)
    np.testing.assert_allclose(
        project(scale * vertices, scale * target)[0], project(vertices, target)[0], atol=1e-6
    )


@pytest.mark.parametrize("length", [1e6, 1e12, 1e18, 1e30])
def test_a_target_far_away_is_nearest_to_the_vertex_on_its_side(length):
    rng = np.random.default_rng(0)
    for _ in range(10):
        vertices, direction = rng.normal(size=(20, 30)), rng.normal(size=30)
        vertices -= vertices.mean(axis=0)
        w, _ = project(vertices, length * direction)
        assert w.max() == pytest.approx(1)
        assert w.argmax() == (vertices @ direction).argmax()


@pytest.mark.parametrize("seed", range(5))
def test_pursuit_agrees_with_a_plain_one_that_asks_scipy_for_every_fit(seed):
    rng = np.random.default_rng(seed)
    atoms, target = rng.normal(size=(12, 30)), rng.normal(size=30)
    target = target + atoms[:3].sum(axis=0)
    found = sparse_residuals(atoms @ atoms.T, atoms @ target, float(target @ target), 6)
    chosen, residual, expected = [], target, []
    for _ in range(6):
        slopes = atoms @ residual / np.linalg.norm(atoms, axis=1)
        slopes[chosen] = -np.inf
        if slopes.max() > 1e-9:
            chosen.append(int(slopes.argmax()))
            weights, _ = nnls(atoms[chosen].T, target)
            residual = target - weights @ atoms[chosen]
            chosen = [row for row, weight in zip(chosen, weights, strict=True) if weight > 0]
        expected.append(residual @ residual)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert (np.diff(found) <= 1e-9).all()


def test_pursuit_of_what_no_atom_points_to_leaves_everything():
    atoms = np.eye(3)
    found = sparse_residuals(atoms @ atoms.T, atoms @ np.array([-1.0, -2.0, -2.0]), 9.0, 4)
    assert found.tolist() == [9.0] * 4


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("noise", [1e-4, 1e-6, 1e-8])
def test_pursuit_among_nearly_dependent_atoms_never_loses_what_it_had(rank, noise):
    """A fit to several of them has weights of any size and sign; those that turn negative leave."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        atoms = rng.normal(size=(20, rank)) @ rng.normal(size=(rank, 12))
        atoms = np.concatenate([atoms, atoms[:5]]) + noise * rng.normal(size=(25, 12))
        atoms -= atoms.mean(axis=0)
        target = rng.normal(size=12)
        found = sparse_residuals(atoms @ atoms.T, atoms @ target, float(target @ target), 16)
        assert (np.diff(found) <= 0).all()
        cosine = (atoms @ target / np.linalg.norm(atoms, axis=1)).max()
        assert found[0] == pytest.approx(target @ target - max(cosine, 0) ** 2, rel=1e-6)
        best = nnls(atoms.T, target, maxiter=1000)[1] ** 2
        assert (found >= best * (1 - 1e-6)).all()  # nothing explains more than all of them
