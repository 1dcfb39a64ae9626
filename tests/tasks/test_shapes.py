"""What fields do: shapes of boxes, whose distances are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fields import FIELD, box, boxes
from refused import refused

from novelweights.metrics.point_clouds import chamfer
from novelweights.networks.neural_field import OccupancyField
from novelweights.tasks.shapes import POINTS, FieldShapes, cloud_of, judging_clouds
from novelweights.weights.population import Population, PopulationInfo, sampled_records

pytestmark = pytest.mark.integration

HALF = (0.35, 0.2, 0.1)


def of(*fields: torch.Tensor) -> Population:
    weights = torch.stack(fields)
    some = boxes(len(fields), "train", seed=0)
    return replace(some, weights=weights)


@pytest.fixture
def task() -> FieldShapes:
    test = FieldShapes("boxes", FIELD, np.zeros((0, POINTS, 3), np.float32), resolution=48)
    return replace(test, test=test.behave(of(box(HALF), box((0.2, 0.2, 0.2)))).numpy())


def test_the_surface_of_a_box_is_the_box(task: FieldShapes) -> None:
    vertices = task.mesh(box(HALF)).vertices
    reach = (3.0 - task.level) / 40.0  # the logit falls by 40 a unit outside of the box
    np.testing.assert_allclose(vertices.max(axis=0), np.array(HALF) + reach, atol=0.5 / 47)
    np.testing.assert_allclose(vertices.min(axis=0), -vertices.max(axis=0), atol=1e-6)


def test_quality_and_novelty_are_chamfer_distances(task: FieldShapes) -> None:
    clouds = task.behave(of(box(HALF), box((0.1, 0.3, 0.3))))
    assert clouds.shape == (2, POINTS, 3)
    assert task.score(clouds)[0] == 0.0  # the same draw of points from the same surface
    expected = min(chamfer(clouds[1:], task.test)[0])
    assert task.score(clouds)[1] == pytest.approx(expected, rel=1e-5)
    exclude = torch.tensor([[True, False], [False, True]])
    apart = chamfer(clouds[:1], clouds[1:])[0, 0]
    found = task.novelty_against(clouds, clouds, exclude=exclude)
    np.testing.assert_allclose(found.numpy(), [apart, apart], rtol=1e-5)


def test_a_field_without_a_surface_is_told_and_far_from_every_shape(task: FieldShapes) -> None:
    clouds = task.behave(of(box(HALF), box(HALF, height=1.0), box(HALF, height=-3.0)))
    assert task.has_surface(clouds).tolist() == [True, False, False]
    assert (task.score(clouds)[1:] >= 3 - 1e-4).all()
    assert task.mesh(box(HALF, height=1.0)).is_empty


def test_fields_of_another_width_are_refused(task: FieldShapes) -> None:
    layout = OccupancyField(width=4).layout
    other = Population(torch.zeros(2, layout.size), layout, sampled_records(2), PopulationInfo())
    with refused("other-network", "boxes", "field-27-8-8-8-1"):
        task.behave(other)


def test_a_field_that_is_not_finite_is_refused(task: FieldShapes) -> None:
    with refused("not-finite"):
        task.behave(of(box(HALF) * torch.nan))


def test_judging_clouds_are_normalized_and_always_the_same() -> None:
    clouds = judging_clouds("airplanes", 2)
    np.testing.assert_array_equal(clouds, judging_clouds("airplanes", 2))
    np.testing.assert_allclose(clouds.mean(axis=1), 0, atol=1e-4)
    np.testing.assert_allclose(clouds.std(axis=(1, 2)), 1, rtol=1e-4)
    assert not np.array_equal(clouds[0], clouds[1])


def test_no_surface_makes_points_in_the_middle(task: FieldShapes) -> None:
    assert not cloud_of(task.mesh(box(HALF, height=-3.0))).any()
