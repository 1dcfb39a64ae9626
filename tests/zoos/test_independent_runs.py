from dataclasses import replace

import pytest
import torch

from novelweights.errors import InputError
from novelweights.tasks import make_task
from novelweights.weights.store import open_population
from novelweights.zoos import ZOOS, find_zoo, independent_runs
from novelweights.zoos.independent_runs import build
from novelweights.zoos.training import Recipe

ZOO = replace(ZOOS["digits-mlp"], recipe=Recipe(epochs=3, batch_size=50))


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(independent_runs, "BLOCK_RUNS", 4)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


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


def test_killed_build_goes_on_and_ends_with_the_same_bytes(tmp_path, small_blocks):
    build(ZOO, tmp_path / "whole", runs=6, heldout_runs=3)

    def die(done, of):
        if done > 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(ZOO, tmp_path / "killed", runs=6, heldout_runs=3, progress=die)
    assert not (tmp_path / "killed").exists()
    build(ZOO, tmp_path / "killed", runs=6, heldout_runs=3, resume=True)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_a_run_depends_on_its_name_and_the_seed_only(tmp_path):
    small = open_population(build(ZOO, tmp_path / "small", runs=2, heldout_runs=1)).load()
    large = open_population(build(ZOO, tmp_path / "large", runs=3, heldout_runs=2)).load()
    other = open_population(build(ZOO, tmp_path / "other", runs=2, heldout_runs=1, seed=1)).load()
    assert torch.equal(small.weights, large.weights[[0, 1, 3]])
    assert not torch.allclose(small.weights, other.weights, atol=0.1)


def test_diverged_runs_and_empty_zoos_are_refused(tmp_path):
    wild = replace(ZOO, recipe=Recipe(epochs=3, batch_size=50, learning_rate=1e30))
    with pytest.raises(InputError, match="diverged in train-00000"):
        build(wild, tmp_path / "wild", runs=1, heldout_runs=0)
    with pytest.raises(InputError, match="at least 1 run"):
        build(ZOO, tmp_path / "none", runs=0, heldout_runs=1)
    with pytest.raises(InputError, match="did you mean 'digits-mlp'"):
        find_zoo("digit-mlp")
