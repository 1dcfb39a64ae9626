"""What an audit of fields leaves for the page to draw of their surfaces."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from invented import invented_result

from novelweights.auditing.measure import shape_pictures as module
from novelweights.auditing.measure.pictures import pictures
from novelweights.auditing.measure.shape_pictures import PERCENTILES, PICTURE_RESOLUTION, STEPS
from novelweights.metrics.point_clouds import chamfer
from novelweights.networks.neural_field import OccupancyField
from novelweights.tasks.shapes import FieldShapes
from novelweights.tasks.surfaces import LEVEL, surface
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, Records

pytestmark = pytest.mark.integration

FIELD = OccupancyField(width=1)
TASK = FieldShapes("balls", FIELD, np.zeros((1, 2048, 3), np.float32), resolution=20)
NEIGHBORS = np.array([[4, 0, 1], [8, 1, 2], [3, 2, 5], [7, 6, 0], [1, 5, 4]])
DISTANCES = np.array([0.4, 0.1, 0.5, 0.2, 0.3])
EMPTY = 2
"""The generated row without a surface."""
RADII = {"sample": [0.11, 0.21, 0.0, 0.31, 0.41], "train": [0.1 + 0.04 * i for i in range(9)]}


def _ball(radius: float) -> torch.Tensor:
    """A field whose logit crosses the level where cos x + cos y + cos z = 3 - radius^2 / 2."""
    state = {name: torch.zeros(shape) for name, shape in FIELD.layout.shapes}
    state["layers.0.weight"][0, 6:9] = 1  # the cosines of the coordinates
    state["layers.0.bias"][0] = -2
    state["layers.1.weight"][:] = state["layers.2.weight"][:] = 1
    state["layers.3.weight"][:] = 100
    state["layers.3.bias"][:] = LEVEL - 100 * (1 - radius**2 / 2)
    return FIELD.layout.flatten(state)


def _balls(split: str) -> Population:
    radii = RADII[split]
    weights = torch.stack([_ball(radius) for radius in radii])
    records = Records.of([f"{split}-{i}" for i in range(len(radii))], split=split, step=1)
    return Population(weights, FIELD.layout, records)


@pytest.fixture(scope="module")
def result():
    made = invented_result(5)
    distances = np.repeat(DISTANCES[:, None], 3, axis=1)
    found = replace(made.generated, neighbor_rows=NEIGHBORS, neighbor_distances=distances)
    return replace(made, generated=found)


@pytest.fixture(scope="module")
def arrays(result):
    return pictures(result, _balls("train"), _balls("sample"), task=TASK)


def _shapes(arrays):
    """Vertices in sides of the cube, and faces, of every stored mesh."""
    ends = arrays["shape_sizes"].reshape(-1, 2).cumsum(axis=0)[:-1].T
    vertices = np.split(arrays["shape_vertices"] / STEPS - 0.5, ends[0])
    return list(zip(vertices, np.split(arrays["shape_faces"], ends[1]), strict=True))


def test_rows_are_those_of_other_pictures_then_further_ones_then_by_distance(arrays):
    rows, groups = arrays["shape_rows"], arrays["shape_groups"]
    np.testing.assert_array_equal(rows[groups == 0], arrays["heatmap_rows"])
    assert sorted(rows[groups < 2].tolist()) == [0, 1, 2, 3, 4]
    assert rows[groups == 2].tolist() == [1, 3, 4, 0, 2]  # from the nearest to the farthest
    assert arrays["shape_percentiles"].tolist() == list(PERCENTILES)
    assert "regions" not in arrays


def test_shapes_are_the_surfaces_of_samples_and_of_their_nearest_up_to_half_a_step(arrays):
    shapes, seen = _shapes(arrays), 0
    for i, row in enumerate(arrays["shape_rows"]):
        near = RADII["train"][NEIGHBORS[row, 0]]
        for side, radius in enumerate((RADII["sample"][row], near)):
            points = int(arrays["shape_resolutions"][i, side])
            wanted = surface(FIELD, _ball(radius), points, LEVEL)
            vertices, faces = shapes[2 * i + side]
            assert np.abs(vertices - wanted.vertices).max(initial=0) <= 0.5001 / STEPS
            np.testing.assert_array_equal(faces, wanted.faces)
            if radius:
                assert np.linalg.norm(vertices, axis=1).mean() == pytest.approx(radius, rel=0.05)
                seen += 1
    assert seen == 2 * len(arrays["shape_rows"]) - 2
    assert arrays["shape_resolutions"].max() == PICTURE_RESOLUTION


def test_a_field_without_a_surface_is_an_empty_mesh_without_a_distance(arrays):
    is_empty = arrays["shape_rows"] == EMPTY
    assert (arrays["shape_sizes"][is_empty, 0] == 0).all()
    assert (arrays["shape_sizes"][~is_empty] > 0).all()
    np.testing.assert_array_equal(np.isnan(arrays["shape_chamfer"]), is_empty)


def test_chamfer_distances_are_those_of_the_clouds_that_the_task_judges(arrays):
    samples, train = (TASK.behave(_balls(split)) for split in ("sample", "train"))
    wanted = chamfer(samples, train)[arrays["shape_rows"], NEIGHBORS[arrays["shape_rows"], 0]]
    has = ~np.isnan(arrays["shape_chamfer"])
    np.testing.assert_array_equal(arrays["shape_chamfer"][has], wanted[has])
    assert arrays["shape_judged_at"] == TASK.resolution
    assert arrays["shape_level"] == LEVEL


def test_a_surface_of_too_many_faces_is_drawn_on_a_coarser_grid(result, arrays, monkeypatch):
    sizes = arrays["shape_sizes"][..., 1]
    monkeypatch.setattr(module, "MAX_FACES", int(np.median(sizes)))
    fewer = pictures(result, _balls("train"), _balls("sample"), task=TASK)
    coarser = sizes > np.median(sizes)
    assert (fewer["shape_sizes"][..., 1] <= np.median(sizes)).all()
    before, after = arrays["shape_resolutions"], fewer["shape_resolutions"]
    np.testing.assert_array_equal(after[~coarser], before[~coarser])
    assert (after[coarser] < before[coarser]).all()
    assert coarser.any()


def test_parameters_may_come_in_another_order(result, arrays):
    backward = WeightLayout(FIELD.layout.shapes[::-1])
    train, sample = (_balls(split).in_order_of(backward) for split in ("train", "sample"))
    again = pictures(result, train, sample, task=TASK)
    for key in (key for key in arrays if key.startswith("shape_")):
        np.testing.assert_array_equal(again[key], arrays[key])
