from dataclasses import replace

import numpy as np
import pytest
import torch
from folders import contents
from refused import refused

from novelweights.data.images import load_data
from novelweights.readers import read_checkpoints
from novelweights.seeding import seed_for
from novelweights.tasks import make_task
from novelweights.weights.store import open_population
from novelweights.weights.writer import PopulationWriter
from novelweights.zoos import ZOOS, builds, independent_runs
from novelweights.zoos.building import build
from novelweights.zoos.independent_runs import kept_steps
from novelweights.zoos.training import Recipe, train_trajectories

ZOO = replace(ZOOS["digits-mlp"], recipe=Recipe(epochs=3, batch_size=50))


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(independent_runs, "BLOCK_RUNS", 4)


def test_rows_are_runs_with_records(tmp_path, small_blocks):
    told = []
    build(ZOO, tmp_path / "zoo", runs=6, heldout_runs=3, progress=lambda *now: told.append(now))
    stored = open_population(tmp_path / "zoo")
    assert list(stored.records.run[5:7]) == ["train-00005", "heldout-00000"]
    assert list(stored.records.split) == ["train"] * 6 + ["heldout"] * 3
    assert set(stored.records.step) == {60}
    assert stored.info.task == "digits"
    assert stored.info.settings["training"]["epochs"] == 3
    population = stored.load()
    task = make_task("digits")
    assert task.score(task.behave(population)).tolist() == pytest.approx(
        stored.records.scores["test_accuracy"].tolist()
    )
    distances = torch.cdist(population.weights, population.weights)
    assert distances.fill_diagonal_(9).min() > 1
    assert told[-1] == (9, 9)
    assert told == sorted(told)


STEPS = {"checkpoints": 7, "start_runs": 3}
SCORES = ["test_accuracy", "test_loss", "batch_loss", "batch_accuracy"]


def test_rows_of_a_trajectory_zoo_are_the_training_loops_own(tmp_path, small_blocks):
    built = build(ZOO, tmp_path / "zoo", runs=5, heldout_runs=2, **STEPS)
    population = open_population(built).load()
    records = population.records
    names = [f"train-{i:05d}" for i in range(5)] + [f"heldout-{i:05d}" for i in range(2)]
    assert records.run.tolist() == [
        *np.repeat(names, 7),
        *(f"start-{i:05d}" for i in range(3)),
    ]
    assert records.split.tolist() == ["train"] * 35 + ["heldout"] * 14 + ["start"] * 3
    assert list(records.scores) == SCORES
    data = load_data("digits")
    for row, seed in ((0, seed_for(0, "run", 0)), (42, seed_for(0, "heldout", 1))):
        rows, steps = slice(row, row + 7), kept_steps(seed, 7, 60)
        alone = train_trajectories(ZOO.network, data, ZOO.recipe, [seed], steps[None])
        assert records.step[rows].tolist() == steps.tolist()
        assert torch.equal(population.weights[rows], alone.weights[0])
        for name in ("batch_loss", "batch_accuracy"):
            assert records.scores[name][rows].tolist() == getattr(alone, name)[0].tolist()
    task = make_task("digits")
    np.testing.assert_allclose(
        task.score(task.behave(population)), records.scores["test_accuracy"], rtol=1e-12
    )


def test_start_rows_are_initializations_with_their_measured_loss(tmp_path):
    built = build(ZOO, tmp_path / "zoo", runs=1, heldout_runs=0, **STEPS)
    population, data = read_checkpoints(built, split="start"), load_data("digits")
    assert set(population.records.step) == {0}
    for i in range(3):
        own = ZOO.network.initial(torch.Generator().manual_seed(seed_for(0, "start", i)))
        assert torch.equal(population.weights[i], own)
        module = ZOO.network.module()
        module.load_state_dict(population.layout.unflatten(own))
        logits = module(data.test_x)
        loss = torch.nn.functional.cross_entropy(logits, data.test_y).item()
        accuracy = 100 * (logits.argmax(dim=1) == data.test_y).double().mean().item()
        record = population.records[i]
        assert record.scores["test_loss"] == pytest.approx(loss, rel=1e-6)
        assert record.scores["test_accuracy"] == pytest.approx(accuracy)
        assert np.isnan([record.scores["batch_loss"], record.scores["batch_accuracy"]]).all()
    single = build(ZOO, tmp_path / "single", runs=1, heldout_runs=0, start_runs=3)
    again = read_checkpoints(single, split="start")
    assert torch.equal(again.weights, population.weights)
    assert list(again.records.scores) == ["test_accuracy", "test_loss", "train_loss"]


def test_trajectories_end_where_the_zoo_of_last_checkpoints_does(tmp_path):
    last = open_population(build(ZOO, tmp_path / "last", runs=3, heldout_runs=2)).load()
    steps = build(ZOO, tmp_path / "steps", runs=3, heldout_runs=2, checkpoints=4)
    assert torch.equal(open_population(steps).load().weights[3::4], last.weights)


def test_a_trajectory_depends_on_its_name_and_the_seed_only(tmp_path, small_blocks):
    small = open_population(build(ZOO, tmp_path / "s", runs=1, heldout_runs=1, **STEPS)).load()
    large = open_population(build(ZOO, tmp_path / "l", runs=6, heldout_runs=1, **STEPS)).load()
    large = large.select(np.r_[0:7, 42:49, 49:52])
    assert torch.equal(small.weights, large.weights)
    assert small.records.run.tolist() == large.records.run.tolist()
    assert small.records.step.tolist() == large.records.step.tolist()
    for name, column in small.records.scores.items():
        np.testing.assert_array_equal(column, large.records.scores[name])
    other = build(ZOO, tmp_path / "o", runs=1, heldout_runs=1, seed=1, **STEPS)
    assert not torch.allclose(small.weights, open_population(other).load().weights, atol=0.1)


def test_killed_trajectory_build_goes_on_and_ends_with_the_same_bytes(
    tmp_path, small_blocks, monkeypatch
):
    asked = {"runs": 6, "heldout_runs": 3, "checkpoints": 7, "start_runs": 6}
    build(ZOO, tmp_path / "whole", **asked)

    def die(done, of):
        assert of == 9
        if done > 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(ZOO, tmp_path / "killed", progress=die, **asked)
    with monkeypatch.context() as patch:

        def dies_at_the_second_block(zoo, data, block, checkpoints):
            if block[0].name == "start-00004":
                raise KeyboardInterrupt
            return initializations(zoo, data, block, checkpoints)

        initializations = independent_runs._initializations
        patch.setattr(independent_runs, "_initializations", dies_at_the_second_block)
        with pytest.raises(KeyboardInterrupt):
            build(ZOO, tmp_path / "killed", resume=True, **asked)
    told = []
    build(ZOO, tmp_path / "killed", resume=True, progress=lambda *now: told.append(now), **asked)
    assert told == []  # nothing was left to train
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_blocks_hold_a_bounded_number_of_checkpoints(tmp_path, monkeypatch):
    sizes = []

    def watched(network, data, recipe, seeds, steps, **rest):
        sizes.append(len(seeds))
        return train_trajectories(network, data, recipe, seeds, steps, **rest)

    monkeypatch.setattr(independent_runs, "train_trajectories", watched)
    build(ZOO, tmp_path / "whole", runs=5, heldout_runs=0, checkpoints=7)
    for n_bytes, expected in ((3 * 4 * 7 * 760, [5, 3, 2]), (1, [5, 1, 1, 1, 1, 1])):
        monkeypatch.setattr(independent_runs, "BLOCK_BYTES", n_bytes)
        del sizes[1:]
        build(ZOO, tmp_path / str(n_bytes), runs=5, heldout_runs=0, checkpoints=7)
        assert sizes == expected
        assert contents(tmp_path / str(n_bytes)) == contents(tmp_path / "whole")


def test_a_split_of_a_zoo_is_a_memory_map_however_large_the_zoo(tmp_path, monkeypatch):
    def small_shards_if_not_said_otherwise(*args, **kwargs):
        return PopulationWriter(*args, **{"shard_bytes": 5 * 4 * 760, **kwargs})

    monkeypatch.setattr(builds, "PopulationWriter", small_shards_if_not_said_otherwise)
    built = build(ZOO, tmp_path / "zoo", runs=3, heldout_runs=2, **STEPS)
    stored = open_population(built)
    [shard] = stored.shards
    for split, first, n in (("train", 0, 21), ("heldout", 21, 14), ("start", 35, 3)):
        loaded = stored.load(stored.records.split == split).weights
        assert len(loaded) == n
        assert loaded.data_ptr() == shard[first].ctypes.data
        assert torch.equal(read_checkpoints(built, split=split).weights, loaded)


def test_trajectory_zoos_are_their_zoos_with_more_checkpoints():
    for name, runs in (("digits", 64), ("mnist-5k", 500), ("mnist", 10_228), ("fashion", 500)):
        single, steps = ZOOS[f"{name}-mlp"], ZOOS[f"{name}-mlp-steps"]
        assert (single.checkpoints, single.start_runs) == (1, 0)
        assert (steps.checkpoints, steps.runs) == (200, runs)
        assert steps.start_runs > 0
        assert steps.recipe == single.recipe
        assert steps.network == single.network
        assert (steps.data_name, steps.task_name) == (single.data_name, single.task_name)


def test_impossible_trajectories_are_refused(tmp_path):
    for checkpoints in (0, 62):
        with refused("wrong-option", 61, checkpoints):
            build(ZOO, tmp_path / "zoo", runs=1, heldout_runs=0, checkpoints=checkpoints)
    with refused("too-few", "1, 0", -1):
        build(ZOO, tmp_path / "zoo", runs=1, heldout_runs=0, start_runs=-1)
    wild = replace(ZOO, recipe=Recipe(epochs=3, batch_size=50, learning_rate=1e30))
    with refused("not-finite", "train-00000, train-00001"):
        build(wild, tmp_path / "zoo", runs=2, heldout_runs=0, checkpoints=5)
    assert not (tmp_path / "zoo").exists()
