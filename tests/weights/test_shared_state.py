"""The rest of a network of which checkpoints are parts: kept with the population, and checked."""

import json
from pathlib import Path

import pytest
import torch

from novelweights.errors import InputError
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, Records
from novelweights.weights.readers import read_checkpoints
from novelweights.weights.store import SHARED_FILE, open_population
from novelweights.weights.writer import PopulationWriter, save_population

LAYOUT = WeightLayout((("norm.weight", (3,)),))
SHARED = {"conv.weight": torch.arange(12.0).reshape(4, 3), "norm.running_mean": torch.zeros(3)}


def population(n: int = 4, shared: dict[str, torch.Tensor] | None = None) -> Population:
    """A few checkpoints, with the rest of their network unless told otherwise."""
    weights = torch.arange(3.0 * n).reshape(n, 3)
    records = Records.of([f"run-{i}" for i in range(n)], split="train")
    return Population(weights, LAYOUT, records, shared=SHARED if shared is None else shared)


def test_it_is_read_back_and_stays_with_some_rows(tmp_path: Path) -> None:
    save_population(population(), tmp_path / "zoo")
    read = read_checkpoints(tmp_path / "zoo", split="train").select([2, 0])
    assert read.shared is not None
    assert {name: value.tolist() for name, value in read.shared.items()} == {
        name: value.tolist() for name, value in SHARED.items()
    }


def test_populations_of_whole_networks_are_stored_as_before(tmp_path: Path) -> None:
    save_population(population(shared={}), tmp_path / "zoo")
    assert not (tmp_path / "zoo" / SHARED_FILE).exists()
    described = json.loads((tmp_path / "zoo" / "population.json").read_text())
    assert sorted(described["sha256"]) == ["layout.csv", "records.csv"]
    assert open_population(tmp_path / "zoo").load().shared is None


def test_a_missing_or_damaged_rest_is_named(tmp_path: Path) -> None:
    save_population(population(), tmp_path / "zoo")
    file = tmp_path / "zoo" / SHARED_FILE
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=rf"{SHARED_FILE}: damaged or edited"):
        open_population(tmp_path / "zoo")
    file.write_bytes(b"short")
    with pytest.raises(InputError, match=rf"{SHARED_FILE}.*safetensors form"):
        open_population(tmp_path / "zoo", verify=False)
    file.unlink()
    with pytest.raises(InputError, match=rf"{SHARED_FILE}: expected this file, it is missing"):
        open_population(tmp_path / "zoo")


def test_a_build_goes_on_with_the_same_rest_only(tmp_path: Path) -> None:
    all_rows = population()

    def begun(shared: dict[str, torch.Tensor], *, resume: bool) -> PopulationWriter:
        return PopulationWriter(
            tmp_path / "zoo", LAYOUT, PopulationInfo(), 4, resume=resume, shared=shared
        )

    some = all_rows.select([0, 1])
    begun(SHARED, resume=False).append(some.weights, some.records)
    with pytest.raises(InputError, match="begun with other settings"):
        begun({**SHARED, "norm.running_mean": torch.ones(3)}, resume=True)
    writer = begun(SHARED, resume=True)
    others = all_rows.select([2, 3])
    writer.append(others.weights, others.records)
    writer.finish()
    save_population(all_rows, tmp_path / "whole")
    for file in (SHARED_FILE, "population.json", "records.csv"):
        assert (tmp_path / "zoo" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_a_folder_with_a_rest_can_be_replaced(tmp_path: Path) -> None:
    save_population(population(), tmp_path / "zoo")
    save_population(population(shared={}), tmp_path / "zoo", overwrite=True)
    assert not (tmp_path / "zoo" / SHARED_FILE).exists()
