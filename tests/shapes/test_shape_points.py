from functools import partial

import numpy as np
import pytest
import torch
from refused import refused
from scipy.spatial import cKDTree
from solids import CUBE, volume

from novelweights.shapes.airplane_shape import signed_distance
from novelweights.shapes.airplanes import airplane_mesh, draw
from novelweights.shapes.mesh import Mesh, placed
from novelweights.shapes.repaired_meshes import inside
from novelweights.shapes.shape_points import OccupancyPoints, inside_airplane, occupancy_points

BOX = placed(CUBE)


def points_of_mesh(mesh: Mesh, seed: int, *, n_near: int, n_uniform: int) -> OccupancyPoints:
    return occupancy_points(mesh, partial(inside, mesh), seed, n_near=n_near, n_uniform=n_uniform)


@pytest.fixture(scope="module")
def airplane():
    return draw(1, ["airliner"], seed=2).parameters[0]


def test_points_of_an_airplane_are_near_it_and_judged_by_its_distance(airplane):
    mesh, is_inside = airplane_mesh(airplane), partial(inside_airplane, airplane)
    made = occupancy_points(mesh, is_inside, 7, n_near=4000, n_uniform=6000)
    assert made.points.shape == (10_000, 3)
    assert made.n_near == 4000
    distances = signed_distance(airplane[None], made.points)[0]
    assert torch.equal(made.is_inside, distances < 0)
    near, uniform = made.points[:4000], made.points[4000:]
    away, _ = cKDTree(mesh.vertices).query(near.numpy())
    assert away.max() < 5 * 0.01 * 3**0.5 + 0.01
    assert 0.2 < made.is_inside[:4000].double().mean() < 0.6
    assert uniform.abs().max() <= 0.5
    assert uniform.mean(dim=0).abs().max() < 0.02
    assert made.is_inside[4000:].double().mean() == pytest.approx(volume(mesh), abs=0.004)


def test_points_of_a_mesh_agree_with_the_shape_it_was_made_from(airplane):
    mesh = airplane_mesh(airplane, 128)
    made = points_of_mesh(mesh, 3, n_near=3000, n_uniform=500)
    distances = signed_distance(airplane[None], made.points)[0]
    differs = (distances < 0) != made.is_inside
    assert differs.double().mean() < 0.03
    assert distances[differs].abs().max() < 0.5 / 127


def test_noise_around_a_plane_is_that_of_the_paper():
    made = points_of_mesh(BOX, 0, n_near=20_000, n_uniform=0)
    points = made.points.double().numpy()
    top = np.abs(points[:, :2]).max(axis=1) < 0.4  # away from the other sides
    off = np.abs(points[top, 2]) - 0.475
    assert off.std() == pytest.approx(0.01, rel=0.05)
    assert abs(off.mean()) < 0.001
    assert made.is_inside.double().mean() == pytest.approx(0.5, abs=0.03)


def test_a_seed_gives_the_same_points_and_another_gives_others():
    first, again, other = (points_of_mesh(BOX, s, n_near=50, n_uniform=50) for s in (1, 1, 2))
    assert torch.equal(first.points, again.points)
    assert torch.equal(first.is_inside, again.is_inside)
    assert not torch.equal(first.points, other.points)


@pytest.mark.parametrize(
    ("mesh", "counts", "code", "named"),
    [
        (BOX, (-1, 5), "too-few", -1),
        (BOX, (0, 0), "too-few", 0),
        (Mesh(BOX.vertices, BOX.faces[:, ::-1].copy()), (100, 5), "wrong-mesh", 100),
        (Mesh(BOX.vertices * 2, BOX.faces), (100, 5), "wrong-mesh", 0.95),
        (Mesh(BOX.vertices, BOX.faces[:0]), (100, 5), "wrong-mesh", 0),
    ],
)
def test_shapes_without_points_are_refused(mesh, counts, code, named):
    with refused(code, named):
        points_of_mesh(mesh, 0, n_near=counts[0], n_uniform=counts[1])


def test_a_judge_that_sees_only_inside_is_refused():
    with refused("wrong-mesh", 9):
        occupancy_points(BOX, lambda points: np.ones(len(points), bool), 0, n_near=9, n_uniform=9)
