from pathlib import Path
from typing import Any

import pytest
import torch
from refused import refused

from novelweights.readers import open_source, recognized
from novelweights.readers.source import Reading, Source

SHAPES = {"fc.weight": (3, 4), "fc.bias": (3,), "bn.weight": (3,), "bn.bias": (3,)}
PARTS = ["bn.bias", "bn.weight"]
ROWS = torch.arange(30.0).reshape(5, 6)


def network() -> torch.nn.Module:
    made = torch.nn.Module()
    made.fc, made.bn = torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3)
    return made


def content(**changes: Any) -> dict[str, Any]:
    data = {
        "pdata": ROWS,
        "mean": ROWS.mean(0),
        "model": network().state_dict(),
        "train_layer": PARTS,
        "performance": [91.0, 92, 93.5, 94, 95],
    }
    return data | changes


def opened(path: Path, data: dict[str, Any], **options: Any) -> Source:
    torch.save(data, path / "data.pt")
    assert recognized(path) == recognized(path / "data.pt") == "p-diff-data"
    return open_source(path, reading=Reading(**options))


def test_the_rows_are_checkpoints_of_the_named_parts_and_the_rest_is_shared(tmp_path: Path) -> None:
    source = opened(tmp_path, content())
    population = source.load()
    assert population.layout.shapes == (("bn.weight", (3,)), ("bn.bias", (3,)))
    assert torch.equal(population.weights, ROWS)
    assert set(population.shared or ()) == {
        "fc.weight",
        "fc.bias",
        "bn.running_mean",
        "bn.running_var",
    }
    assert list(population.records.scores["test_accuracy"]) == [91, 92, 93.5, 94, 95]
    assert list(population.records.run) == ["run"] * 5
    each = opened(tmp_path, content(), pattern="{run}")
    assert len(set(each.records.run)) == 5


def test_a_network_that_was_saved_as_an_object_is_looked_into_and_not_run(tmp_path: Path) -> None:
    data = content(model=network(), train_layer="all", pdata=torch.ones(2, 21))
    source = opened(tmp_path, data)
    assert dict(source.layout.shapes) == SHAPES
    assert set(source.shared or ()) == {"bn.running_mean", "bn.running_var"}
    assert source.records.scores == {}


@pytest.mark.parametrize(
    ("changes", "code", "named"),
    [
        ({"train_layer": ["bn.weight"]}, "other-network", "6"),
        ({"train_layer": ["bn.weight", "none"]}, "other-network", "none"),
        ({"train_layer": 3}, "wrong-type", "train_layer"),
        ({"model": "resnet18"}, "wrong-type", "model"),
    ],
)
def test_parts_that_are_not_the_networks_are_refused(
    tmp_path: Path, changes: dict[str, Any], code: str, named: str
) -> None:
    with refused(code, named, "data.pt"):
        opened(tmp_path, content(**changes))
