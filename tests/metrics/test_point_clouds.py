import numpy as np
import pytest
import torch
from refused import refused
from scipy.spatial import cKDTree

from novelweights.metrics.point_clouds import (
    chamfer,
    coverage,
    minimum_matching_distance,
    nearest_clouds,
    normalized,
    one_nn_accuracy,
    paired_chamfer,
)

EXACT = 5e-7  # what the docstring promises of each distance


def by_brute_force(a, b):
    """All pairs of points in float64."""
    out = np.empty((len(a), len(b)))
    for i, x in enumerate(a.astype(np.float64)):
        for j, y in enumerate(b.astype(np.float64)):
            squared = np.square(x[:, None] - y[None]).sum(axis=2)
            out[i, j] = squared.min(axis=1).mean() + squared.min(axis=0).mean()
    return out


def shapes(n, p, seed=0):
    """Bent crosses of several proportions: surfaces that are near each other in parts."""
    rng = np.random.default_rng(seed)
    body, span, bend = (rng.uniform(*r, (n, 1)) for r in ((0.5, 1), (0.3, 1), (-0.5, 0.5)))
    t = rng.uniform(-1, 1, (n, p))
    wing = rng.random((n, p)) < 0.5
    x = np.where(wing, bend * np.abs(t), body * t)
    y = np.where(wing, span * t, 0)
    cloud = np.stack([x, y, np.zeros_like(x)], axis=2) + 0.03 * rng.normal(size=(n, p, 3))
    return cloud.astype(np.float32)


def adversarial(p=70):
    """Clouds that searches trip over: duplicates, far outliers, lines, planes, one point."""
    rng = np.random.default_rng(1)
    plain = rng.normal(size=(p, 3))
    outlier = plain.copy()
    outlier[3] = 1e6
    far = plain + 1e5
    line = plain * [1, 0, 0]
    grid = np.stack(np.meshgrid(*3 * [np.arange(5)]), axis=3).reshape(-1, 3)[:p] / 4
    sphere = plain / np.linalg.norm(plain, axis=1, keepdims=True)
    tiny = 1e-12 * plain
    return np.stack(
        [plain, plain[::-1], outlier, far, line, grid, sphere, tiny, np.zeros((p, 3)), plain]
    ).astype(np.float32)


def test_five_points_by_hand():
    a = np.zeros((1, 5, 3), np.float32)
    a[0, :, 0] = [0, 1, 2, 3, 10]
    b = np.zeros((1, 2, 3), np.float32)
    b[0, :, 0] = [0, 4]
    b[0, 1, 1] = 2
    # to (0,0,0) and (4,2,0): 0, 1, 4, 1 + 4, 36 + 4; back: 0, and (4,2,0) to (3,0,0) is 5
    assert chamfer(a, b).tolist() == [[(0 + 1 + 4 + 5 + 40) / 5 + (0 + 5) / 2]]


@pytest.mark.parametrize(("p", "q"), [(1, 1), (1, 40), (15, 17), (16, 32), (33, 200), (500, 301)])
def test_distances_are_those_of_all_pairs_in_float64(p, q):
    a, b = shapes(4, p), shapes(5, q, seed=1)
    np.testing.assert_allclose(chamfer(a, b), by_brute_force(a, b), rtol=EXACT)


def test_distances_are_those_of_a_search_tree():
    a, b = shapes(2, 2048), shapes(3, 2048, seed=1)
    trees, trees_b = [cKDTree(x) for x in a], [cKDTree(x) for x in b]
    expected = [
        [
            np.square(tb.query(x)[0]).mean() + np.square(ta.query(y)[0]).mean()
            for y, tb in zip(b, trees_b, strict=True)
        ]
        for x, ta in zip(a, trees, strict=True)
    ]
    np.testing.assert_allclose(chamfer(a, b), expected, rtol=EXACT)


def test_adversarial_clouds_are_measured_like_others():
    clouds = adversarial()
    found, expected = chamfer(clouds), by_brute_force(clouds, clouds)
    np.testing.assert_allclose(found, expected, rtol=EXACT, atol=0)
    assert found[0, 9] == found[0, 1] == 0  # the same points, in whichever order


def test_distances_are_symmetric_and_the_same_for_one_set_bit_by_bit():
    clouds = np.concatenate([shapes(6, 70), adversarial()])
    one, two = chamfer(clouds), chamfer(clouds, clouds.copy())
    assert (one == two).all()
    assert (one == one.T).all()
    assert (np.diag(one) == 0).all()


def test_the_order_of_points_does_not_matter():
    a, b = shapes(3, 300), shapes(3, 250, seed=1)
    rng = np.random.default_rng(0)
    mixed = np.stack([cloud[rng.permutation(300)] for cloud in a])
    np.testing.assert_allclose(chamfer(mixed, b), chamfer(a, b), rtol=1e-13)
    assert (np.diag(chamfer(mixed, a)) == 0).all()


def test_near_copies_far_from_the_origin_keep_their_distance():
    a = shapes(1, 100) + np.float32(1000)
    b = a + np.float32(2.0**-13)
    assert chamfer(a, b)[0, 0] == pytest.approx(6 * 2.0**-26, rel=EXACT)


def test_tensors_and_float64_are_taken_too():
    a, b = shapes(2, 40), shapes(3, 50, seed=1)
    assert (chamfer(torch.from_numpy(a), torch.from_numpy(b).double()) == chamfer(a, b)).all()
    assert (normalized(torch.from_numpy(a)) == normalized(a)).all()


def test_no_clouds_give_no_distances():
    assert chamfer(shapes(3, 20), shapes(3, 20)[:0]).shape == (3, 0)
    assert nearest_clouds(shapes(3, 20)[:0], shapes(3, 20)).rows.shape == (0, 1)


def expected_nearest(distances, k, exclude=None):
    masked = distances if exclude is None else np.where(exclude, np.inf, distances)
    rows = np.argsort(masked, axis=1, kind="stable")[:, :k]
    return rows, np.take_along_axis(masked, rows, axis=1)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("p", [20, 300])
def test_the_nearest_are_exactly_those_of_the_whole_matrix(p, k):
    queries, references = shapes(8, p), shapes(30, p + 7, seed=1)
    found = nearest_clouds(queries, references, k=k)
    rows, distances = expected_nearest(chamfer(queries, references), k)
    assert (found.rows == rows).all()
    assert (found.distances == distances).all()


def test_ties_and_adversarial_clouds_do_not_mislead_the_search():
    references = np.concatenate([adversarial(), shapes(5, 70), adversarial()])
    for k in (1, 2, 5, len(references)):
        found = nearest_clouds(references, references, k=k)
        rows, distances = expected_nearest(chamfer(references, references), k)
        assert (found.rows == rows).all()
        assert (found.distances == distances).all()
    assert (nearest_clouds(references, references).distances == 0).all()


def test_excluded_references_are_no_neighbors():
    clouds = np.concatenate([shapes(12, 60)] * 2)
    itself = np.eye(24, dtype=bool)
    found = nearest_clouds(clouds, clouds, exclude=itself)
    assert found.rows[:, 0].tolist() == [*range(12, 24), *range(12)]
    copies = itself | np.roll(itself, 12, axis=1)
    found = nearest_clouds(clouds, clouds, k=22, exclude=copies)
    rows, distances = expected_nearest(chamfer(clouds), 22, copies)
    assert (found.rows == rows).all()
    assert (found.distances == distances).all()


def test_normalized_clouds_have_mean_zero_and_deviation_one():
    clouds = shapes(4, 50) * np.float32(7) + np.float32(3)
    clouds[1] *= np.float32(1e-9)
    found = normalized(clouds).astype(np.float64)
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(found.std(axis=(1, 2)), 1, rtol=1e-6)
    moved = normalized(2 * clouds[2:] + np.float32(1))
    np.testing.assert_allclose(moved, found[2:], atol=1e-5)


def test_degenerate_clouds_are_refused_by_name():
    clouds = shapes(6, 20)
    clouds[2], clouds[4] = 0.1, -3
    with refused("wrong-mesh", "2, 4"):
        normalized(clouds)
    clouds[3, 5, 1] = np.nan
    for measure in (lambda: normalized(clouds), lambda: chamfer(shapes(2, 20), clouds)):
        with refused("not-finite", "cloud 3"):
            measure()
    with refused("too-few", "64", "20"):
        normalized(shapes(1, 20), least_points=64)
    with refused("not-finite", "1e+18"):
        nearest_clouds(np.full((1, 4, 3), 1e19, np.float32), shapes(2, 20))
    with refused("too-few"):
        chamfer(np.empty((2, 0, 3), np.float32))


def test_impossible_numbers_of_neighbors_are_refused():
    clouds = shapes(4, 20)
    for k, exclude in ((0, None), (5, None), (4, np.eye(4, dtype=bool))):
        with refused("wrong-option", k):
            nearest_clouds(clouds, clouds, k=k, exclude=exclude)


def test_matching_distance_and_coverage_of_three_by_four():
    distances = np.array([[1.0, 5, 3, 9], [2, 4, 1, 9], [7, 6, 1, 8]])
    assert minimum_matching_distance(distances) == (1 + 4 + 1 + 8) / 4
    assert coverage(distances) == 2 / 4
    assert coverage(np.ones((5, 4))) == 1 / 4  # of equally near ones the first


def test_one_nn_accuracy_tells_apart_what_lies_apart():
    rng = np.random.default_rng(0)

    def accuracy(x, y):
        return one_nn_accuracy(*(abs(a[:, None] - b) for a, b in ((x, x), (y, y), (x, y))))

    x = rng.normal(size=400)
    assert accuracy(x, x + 100) == 1
    assert accuracy(x, x) == 0  # each one's copy is in the other set
    assert accuracy(x, rng.normal(size=400)) == pytest.approx(0.5, abs=0.07)
    assert accuracy(x, np.append(rng.normal(size=400) + 100, x)) == 1  # the first 400 count
    assert accuracy(np.zeros(3), np.zeros(3)) == 0.5
    assert accuracy(np.array([0.0, 1]), np.array([1.5, 10])) == (1 + 0 + 0 + 1) / 4


def test_distances_that_are_no_numbers_are_refused():
    good, bad = np.ones((3, 3)), np.ones((3, 3))
    bad[0, 1] = np.nan
    for measure in (minimum_matching_distance, coverage):
        for distances in (bad, -good, np.full((2, 2), np.inf), np.ones((0, 4))):
            with refused("not-finite"):
                measure(distances)
    for three in ((bad, good, good), (good, bad, good), (good, good, bad)):
        with refused("not-finite"):
            one_nn_accuracy(*three)
    assert one_nn_accuracy(good + np.diag([np.nan] * 3), good, good) == 0.5
    with refused("wrong-shape", "1x1", "3x3", "1x3"):
        one_nn_accuracy(good[:1, :1], good, good[:1])


def test_paired_distances_are_the_diagonal_of_all():
    a, b = shapes(4, 60, seed=1), shapes(4, 50, seed=2)
    np.testing.assert_allclose(paired_chamfer(a, b), np.diag(by_brute_force(a, b)), rtol=EXACT)
    assert paired_chamfer(a[:0], b[:0]).shape == (0,)
