import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from folders import contents
from refused import refused
from safetensors.torch import load_file

from novelweights.readers import read_checkpoints
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, Records
from novelweights.weights.store import SHARED_FILE, open_population
from novelweights.weights.writer import save_population

LAYOUT = WeightLayout((("norm.weight", (3,)), ("norm.bias", (3,))))


def shared_of(seed):
    """The rest of a network; one tensor lies in memory otherwise than in rows."""
    rng = torch.Generator().manual_seed(seed)
    kernel = torch.randn(2, 3, 4, 5, generator=rng).contiguous(memory_format=torch.channels_last)
    return {"conv.weight": kernel, "fc.bias": torch.randn(2, generator=rng)}


@pytest.fixture
def population():
    weights = torch.randn(7, 6, generator=torch.Generator().manual_seed(0))
    records = Records.of([f"run-{i}" for i in range(7)], split="train", scores={"loss": [0.5] * 7})
    return Population(weights, LAYOUT, records, PopulationInfo("parts", {}), shared_of(0))


def same_shared(one, other):
    assert set(one) == set(other)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_rest_is_written_beside_the_checkpoints_and_comes_back(population, tmp_path):
    folder = save_population(population, tmp_path / "zoo")
    assert set(contents(folder)) == {
        *("layout.csv", "population.json", "records.csv"),
        *("weights-00001-of-00001.safetensors", "shared.safetensors"),
    }
    same_shared(load_file(folder / SHARED_FILE), population.shared)
    described = json.loads((folder / "population.json").read_text())
    digest = hashlib.sha256((folder / SHARED_FILE).read_bytes()).hexdigest()
    assert described["sha256"][SHARED_FILE] == digest
    stored = open_population(folder)
    for loaded in (stored.load(), stored.load([3, 1]), read_checkpoints(folder)):
        same_shared(loaded.shared, population.shared)
    again = save_population(stored.load(), tmp_path / "again")
    assert contents(again) == contents(folder)


def test_a_population_without_it_is_as_it_always_was(population, tmp_path):
    for bare in (replace(population, shared=None), replace(population, shared={})):
        folder = save_population(bare, tmp_path / "zoo", overwrite=True)
        names = ("layout.csv", "records.csv", "weights-00001-of-00001.safetensors")
        assert set(contents(folder)) == {*names, "population.json"}
        sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
        expected = {
            "schema_version": 1,
            "recipe": "parts",
            "settings": {},
            "architecture": None,
            "symmetry": None,
            "task": None,
            "rows": 7,
            "weights": 6,
            "shards": [{"file": names[2], "rows": 7, "sha256": sums[names[2]]}],
            "sha256": {name: sums[name] for name in names[:2]},
        }
        text = (folder / "population.json").read_text()
        assert text == json.dumps(expected, indent=2) + "\n"
        assert open_population(folder).load().shared is None


def test_choices_of_rows_orders_and_other_weights_keep_it(population):
    other_order = WeightLayout(LAYOUT.shapes[::-1])
    kept = [
        population.select([2, 0]),
        population.select(slice(1, 3)),
        population.select(np.arange(7) < 2),
        population.in_order_of(other_order),
        population.with_weights(population.weights + 1, split="noised"),
    ]
    assert kept[3].layout == other_order
    for changed in kept:
        assert changed.shared is population.shared


def test_views_of_one_vector_can_be_written(population, tmp_path):
    layout = WeightLayout((("a", (2, 3)), ("b", (4,))))
    views = layout.unflatten(torch.arange(10.0))
    folder = save_population(replace(population, shared=views), tmp_path / "zoo")
    same_shared(open_population(folder).load().shared, views)


def test_damage_is_found(population, tmp_path):
    folder = save_population(population, tmp_path / "zoo")
    path = folder / SHARED_FILE
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-1] ^= 1
    path.write_bytes(flipped)
    with refused("damaged", "shared.safetensors"):
        open_population(folder)
    assert len(open_population(folder, verify=False)) == 7
    path.write_bytes(whole[:-5])
    with refused("damaged", "shared.safetensors"):
        open_population(folder)
    with refused("damaged", "shared.safetensors"):
        open_population(folder, verify=False)
    path.unlink()
    for verify in (True, False):
        with refused("not-found", "shared.safetensors"):
            open_population(folder, verify=verify)
