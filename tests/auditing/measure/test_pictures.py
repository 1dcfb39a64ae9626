"""What an audit leaves for the page to draw of a classifier's decisions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from invented import invented_result
from planted import seeded
from tiny import NETWORK, drawn, named, task

from novelweights.auditing.measure import pictures as module
from novelweights.auditing.measure.pictures import pictures
from novelweights.data.images import ImageData
from novelweights.networks.mlp import OneHiddenMLP
from novelweights.tasks.classification import Classification
from novelweights.tasks.decision_regions import MAX_INPUTS
from novelweights.weights.population import Population, Records

INVENTED = invented_result(5)
NEIGHBORS = np.array([[4, 0, 1], [8, 1, 2], [3, 2, 5], [7, 6, 0], [1, 5, 4]])
RESULT = replace(INVENTED, generated=replace(INVENTED.generated, neighbor_rows=NEIGHBORS))


def test_decisions_are_those_of_samples_and_their_nearest_on_one_plane(monkeypatch):
    planes, fitted = [], module.principal_plane

    def counted(images):
        planes.append(fitted(images))
        return planes[-1]

    monkeypatch.setattr(module, "principal_plane", counted)
    train, generated = named(drawn(9, 0), "train"), named(drawn(5, 1), "sample")
    arrays = pictures(RESULT, train, generated, task=task())
    [plane] = planes
    rows, regions = arrays["region_rows"], arrays["regions"]
    nearest = NEIGHBORS[rows, 0]
    pairs = torch.stack([generated.weights[rows], train.weights[nearest]], dim=1)
    answers = NETWORK.forward(pairs.flatten(0, 1), plane.flatten(0, 1)).argmax(dim=2)
    np.testing.assert_array_equal(regions, answers.reshape(3, 2, 100, 100))
    assert (regions[:, 0] != regions[:, 1]).any()
    assert "inputs_without_regions" not in arrays


@pytest.mark.parametrize("more", [0, 1])
def test_decisions_on_images_of_too_many_inputs_are_left_out(more):
    network = OneHiddenMLP(MAX_INPUTS + more, 2, 3)
    x = torch.randn(6, network.inputs, generator=seeded(0))
    y = torch.arange(6) % 3
    judged = Classification("wide", network, ImageData("wide", "drawn", "", x, y, x, y, (1,)))

    def networks(split: str, n: int) -> Population:
        weights = torch.randn(n, network.layout.size, generator=seeded(n))
        records = Records.of([f"{split}-{i}" for i in range(n)], split=split, step=1)
        return Population(weights, network.layout, records)

    arrays = pictures(RESULT, networks("train", 9), networks("sample", 5), task=judged)
    assert "heatmap_values" in arrays
    if more:
        assert "regions" not in arrays
        assert "region_rows" not in arrays
        assert arrays["inputs_without_regions"] == MAX_INPUTS + 1
    else:
        assert arrays["regions"].shape == (3, 2, 100, 100)
        assert "inputs_without_regions" not in arrays
