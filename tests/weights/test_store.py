import json
import mmap
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from refused import refused
from safetensors.torch import load_file

from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, Records
from novelweights.weights.store import (
    info_json,
    is_population_folder,
    open_population,
    safetensors_header,
)
from novelweights.weights.writer import PopulationWriter, save_population

RUNS = ["NA", "nan", "a,b", 'quo"te', "Zürich-图", " spaced ", "007", "None"]


@pytest.fixture
def population(tiny_network):
    rng = torch.Generator().manual_seed(0)
    weights = torch.randn(8, tiny_network.layout.size, generator=rng)
    records = Records(
        run=np.array(RUNS, dtype=object),
        split=np.array(["train"] * 5 + ["heldout"] * 3, dtype=object),
        step=np.arange(8) * 10**12,
        scores={
            "test_accuracy": np.array([1 / 3, np.nan, 1e-300, -0.0, 100, 95.1, np.nan, 2.0]),
            "NA": np.full(8, np.nan),
        },
    )
    info = PopulationInfo(
        "digits-mlp",
        {"seed": 3, "nested": {"lr": 0.1, "list": [1, 2]}},
        tiny_network.name,
        tiny_network.symmetry,
        "digits",
    )
    return Population(weights, tiny_network.layout, records, info)


def same(one, other):
    assert torch.equal(one.weights, other.weights)
    assert one.layout == other.layout
    assert one.info == other.info
    for name in ("run", "split", "step"):
        assert getattr(one.records, name).tolist() == getattr(other.records, name).tolist()
    assert list(one.records.scores) == list(other.records.scores)
    for name, column in one.records.scores.items():
        np.testing.assert_array_equal(column, other.records.scores[name])


def two_shards(population, folder):
    """Rows 0-4 in one file, 5-7 in the next."""
    size = 5 * 4 * population.layout.size
    with PopulationWriter(
        folder, population.layout, population.info, len(population), shard_bytes=size
    ) as writer:
        for start in range(0, len(population), 3):  # blocks straddle the files
            part = population.select(slice(start, start + 3))
            writer.append(part.weights, part.records)
        writer.finish()
    return folder


def test_a_population_comes_back_as_it_was(population, tmp_path):
    folder = save_population(population, tmp_path / "zoo")
    same(open_population(folder).load(), population)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["zoo"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "layout.csv",
        "population.json",
        "records.csv",
        "weights-00001-of-00001.safetensors",
    ]


def test_without_symmetry_task_or_scores_too(population, tmp_path):
    bare = replace(
        population,
        records=Records.of(RUNS, split="generated"),
        info=PopulationInfo("elsewhere"),
    )
    same(open_population(save_population(bare, tmp_path / "zoo")).load(), bare)


def test_several_shards_are_one_population(population, tmp_path):
    stored = open_population(two_shards(population, tmp_path / "zoo"))
    assert [len(shard) for shard in stored.shards] == [5, 3]
    same(stored.load(), population)
    same(stored.load([6, 0, 4, 5, 0]), population.select([6, 0, 4, 5, 0]))
    heldout = stored.records.split == "heldout"
    same(stored.load(heldout), population.select(heldout))


def test_shards_are_ordinary_safetensors_files(population, tmp_path):
    folder = two_shards(population, tmp_path / "zoo")
    parts = [load_file(path) for path in sorted(folder.glob("*.safetensors"))]
    assert [set(part) for part in parts] == [{"weights"}, {"weights"}]
    assert torch.equal(torch.cat([part["weights"] for part in parts]), population.weights)


def test_the_description_is_complete_and_has_no_time(population, tmp_path):
    folder = two_shards(population, tmp_path / "zoo")
    described = json.loads((folder / "population.json").read_text())
    assert set(described) == {
        "schema_version",
        "recipe",
        "settings",
        "architecture",
        "symmetry",
        "task",
        "rows",
        "weights",
        "shards",
        "sha256",
    }
    assert (described["rows"], described["weights"]) == (8, population.layout.size)
    again = two_shards(population, tmp_path / "again")
    assert (again / "population.json").read_bytes() == (folder / "population.json").read_bytes()
    header, first = (folder / "records.csv").read_text().splitlines()[:2]
    assert header == "row,run,step,split,test_accuracy,NA"
    assert first == "0,NA,0,train,0.3333333333333333,"


def test_opening_maps_the_weights_and_loads_none(population, tmp_path):
    folder = save_population(population, tmp_path / "zoo")
    stored = open_population(folder, verify=False)
    assert isinstance(memory_of(stored.shards[0]), mmap.mmap)
    loaded = stored.load()
    assert loaded.weights.data_ptr() == stored.shards[0].ctypes.data
    before = (folder / "weights-00001-of-00001.safetensors").read_bytes()
    loaded.weights.zero_()  # a private copy of the page, never the file
    assert (folder / "weights-00001-of-00001.safetensors").read_bytes() == before


def memory_of(array):
    """What an array is a view of, at last."""
    while isinstance(array, np.ndarray) and array.base is not None:
        array = array.base
    return array.obj if isinstance(array, memoryview) else array


@pytest.mark.parametrize(
    ("rows", "shard", "first", "n"),
    [
        (np.arange(8) < 5, 0, 0, 5),  # the split "train"
        ([1, 2, 3], 0, 1, 3),
        ([4], 0, 4, 1),
        (range(5, 8), 1, 0, 3),
        ([-2, -1], 1, 1, 2),
    ],
)
def test_rows_in_sequence_inside_a_shard_are_a_view(population, tmp_path, rows, shard, first, n):
    stored = open_population(two_shards(population, tmp_path / "zoo"))
    loaded = stored.load(rows)
    chosen = np.arange(8)[np.asarray(rows)]
    same(loaded, population.select(chosen))
    assert len(loaded) == n
    assert loaded.weights.data_ptr() == stored.shards[shard][first].ctypes.data
    files = [path.read_bytes() for path in sorted(stored.path.iterdir())]
    loaded.weights.zero_()
    assert files == [path.read_bytes() for path in sorted(stored.path.iterdir())]


@pytest.mark.parametrize("rows", [None, [4, 5], [1, 3], [2, 1], [3, 3], np.arange(8) < 0])
def test_other_choices_of_rows_are_copies(population, tmp_path, rows):
    stored = open_population(two_shards(population, tmp_path / "zoo"))
    loaded = stored.load(rows)
    chosen = np.arange(8) if rows is None else np.arange(8)[np.asarray(rows)]
    same(loaded, population.select(chosen))
    loaded.weights.zero_()
    same(stored.load(rows), population.select(chosen))


def test_rows_that_do_not_exist_are_no_garbage(population, tmp_path):
    stored = open_population(two_shards(population, tmp_path / "zoo"))
    for rows in ([8], [-9], [0, 11], np.ones(7, dtype=bool)):
        with pytest.raises(IndexError):
            stored.load(rows)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems reserve no memory for a map")
def test_a_population_larger_than_memory_is_opened(tmp_path):
    d, rows = 1 << 34, 16  # a terabyte, of which the disk stores nothing
    shard = tmp_path / "weights-00001-of-00001.safetensors"
    header = safetensors_header(rows, d)
    with shard.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + 4 * rows * d)
    layout = WeightLayout((("w", (d,)),))
    (tmp_path / "layout.csv").write_text(layout.to_csv())
    lines = [f"{row},run-{row},1,train" for row in range(rows)]
    (tmp_path / "records.csv").write_text("\n".join(["row,run,step,split", *lines]) + "\n")
    described = info_json(PopulationInfo())
    described |= {"shards": [{"file": shard.name, "rows": rows, "sha256": ""}], "sha256": {}}
    (tmp_path / "population.json").write_text(json.dumps(described))
    loaded = open_population(tmp_path, verify=False).load(range(3, rows))
    assert loaded.weights.shape == (rows - 3, d)
    assert loaded.weights[-1, -1] == 0


FIRST, SECOND = (f"weights-0000{i}-of-00002.safetensors" for i in (1, 2))


def edited(content):
    return content.replace(b"0", b"1", 1)


@pytest.mark.parametrize(
    ("name", "change", "code", "verify"),
    [
        (SECOND, lambda c: c[:-3] + bytes([c[-3] ^ 1]) + c[-2:], "damaged", [True]),
        ("layout.csv", edited, "damaged", [True]),
        ("records.csv", edited, "damaged", [True]),
        (FIRST, lambda c: c[:-1], "damaged", [True, False]),
        (FIRST, lambda c: c[:-200], "damaged", [True, False]),
        (FIRST, lambda c: c + b"\0", "damaged", [True, False]),
        (FIRST, lambda c: c.replace(b'"F32"', b'"I32"', 1), "damaged", [False]),
        ("records.csv", lambda c: c[: c[:-1].rindex(b"\n") + 1], "other-rows", [False]),
        ("records.csv", lambda _: b"row,run\n0,a\n", "damaged", [False]),
        ("records.csv", lambda _: b"row,run,step,split\n0,a,soon,train\n", "damaged", [False]),
        ("records.csv", lambda _: b"", "damaged", [False]),
        ("records.csv", lambda _: b"\xff\xfe", "damaged", [False]),
        ("population.json", lambda _: b"[]", "wrong-version", [True, False]),
        ("population.json", lambda _: b"{", "damaged", [True, False]),
        *((name, None, "not-found", [True]) for name in ("layout.csv", "records.csv", SECOND)),
    ],
)
def test_damage_is_found_and_its_file_named(population, tmp_path, name, change, code, verify):
    path = two_shards(population, tmp_path / "zoo") / name
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))
    for each in verify:
        with refused(code, name):
            open_population(path.parent, verify=each)
    if verify == [True] and name == SECOND and change:
        assert len(open_population(path.parent, verify=False)) == 8


def test_a_population_of_another_version_or_without_an_entry_is_refused(population, tmp_path):
    folder = save_population(population, tmp_path / "zoo")
    path = folder / "population.json"
    described = json.loads(path.read_text())
    path.write_text(json.dumps({**described, "schema_version": 2}))
    with refused("wrong-version", "2"):
        open_population(folder)
    for key in ("shards", "sha256", "symmetry", "recipe"):
        path.write_text(json.dumps({k: v for k, v in described.items() if k != key}))
        with refused("damaged", key):
            open_population(folder)


def test_other_folders_are_no_population(tmp_path):
    with refused("not-found"):
        open_population(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    assert not is_population_folder(tmp_path / "empty")
    with refused("not-found", "population.json"):
        open_population(tmp_path / "empty")
    (tmp_path / "zoo.partial").mkdir()
    with refused("unfinished", "--resume"):
        open_population(tmp_path / "zoo.partial")
