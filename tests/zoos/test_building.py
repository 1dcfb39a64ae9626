"""Building any zoo: what is refused beforehand, and that nothing is lost then."""

from dataclasses import replace

import pytest
from commands import fails
from folders import contents
from refused import refused
from toy_pixels import TUNED, WHOLE

from novelweights.pipeline import evaluate_method
from novelweights.tasks import PART_TASKS, WHOLE_TASKS
from novelweights.weights.store import open_population
from novelweights.zoos import ZOOS
from novelweights.zoos.building import build, counts_of
from novelweights.zoos.fine_tuning import FineTuning, FineTuningRecipe
from novelweights.zoos.independent_runs import IndependentRuns
from novelweights.zoos.training import Recipe
from novelweights.zoos.whole_networks import WholeNetworks

TUNED_ZOOS = {name: zoo for name, zoo in ZOOS.items() if isinstance(zoo, FineTuning)}
WHOLE_ZOOS = {name: zoo for name, zoo in ZOOS.items() if isinstance(zoo, WholeNetworks)}
DIGITS = replace(ZOOS["digits-mlp"], recipe=Recipe(epochs=1, batch_size=100))


@pytest.fixture
def no_data(tmp_path, monkeypatch):
    """A cache that nothing was fetched to."""
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(tmp_path / "cache"))


def test_each_data_set_of_residual_networks_has_three_zoos():
    sets = ("cifar-100", "cut-paste-100", "fashion-mnist", "photo-patch-10")
    assert set(WHOLE_ZOOS) == {f"{name}-resnet18" for name in sets}
    assert set(TUNED_ZOOS) == {
        f"{name}-resnet18-bn{end}" for name in sets for end in ("", "-training")
    }
    for name, zoo in ZOOS.items():
        assert zoo.name == name
        assert zoo.task_name in (PART_TASKS if isinstance(zoo, FineTuning) else WHOLE_TASKS)
    for name in sets:
        tuned = ZOOS[f"{name}-resnet18-bn"]
        other = ZOOS[f"{name}-resnet18-bn-training"]
        assert tuned.task_name == other.task_name == f"{name}-resnet18-bn"
        assert tuned.network == ZOOS[f"{name}-resnet18"].network
        assert (tuned.runs, tuned.heldout_runs, tuned.checkpoints) == (1, 8, 300)
        released = FineTuningRecipe(128, 0.03, 5e-4, "released")
        assert tuned.recipe == released
        assert other == replace(
            tuned,
            name=other.name,
            description=other.description,
            recipe=replace(released, normalization="training"),
        )
    assert ZOOS["cut-paste-100-resnet18"].network.name == "resnet18-16-3x32x32-100"
    assert ZOOS["fashion-mnist-resnet18"].network.channels == 1


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("cifar-100-resnet18", "cut-paste-100"),
        ("cifar-100-resnet18-bn", "cut-paste-100"),
        ("cut-paste-100-resnet18-bn", "data fetch"),
        ("fashion-mnist-resnet18", "data fetch fashion-mnist"),
    ],
)
def test_missing_data_are_told_and_nothing_is_removed(tmp_path, no_data, name, named):
    build(DIGITS, tmp_path / "zoo", runs=2, heldout_runs=0)
    before = contents(tmp_path / "zoo")
    with refused("no-data", named):
        counts_of(ZOOS[name])
    with refused("no-data", named):
        build(ZOOS[name], tmp_path / "zoo", overwrite=True)
    words = ("zoo", "build", name, "-o", tmp_path / "zoo", "--overwrite")
    fails(*words, code="no-data", named=named)
    assert contents(tmp_path / "zoo") == before
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["zoo"]


def test_an_evaluation_without_its_data_removes_nothing(tmp_path, no_data):
    folder = tmp_path / "evaluated"
    folder.mkdir()
    (folder / "evaluation.json").write_text("{}")
    with refused("no-data", "cut-paste-100"):
        evaluate_method(folder, "p-diff", zoo="cifar-100-resnet18-bn", overwrite=True)
    assert contents(folder) == {"evaluation.json": b"{}"}


def test_each_kind_of_zoo_is_built_by_its_module(toy_set, tmp_path):
    built = build(DIGITS, tmp_path / "a", runs=2, heldout_runs=1, seed=4)
    assert len(open_population(built).records.run) == 3
    assert isinstance(DIGITS, IndependentRuns)
    assert counts_of(DIGITS, runs=2)["runs"] == 2
    short = replace(WHOLE, recipe=replace(WHOLE.recipe, epochs=1, batch_size=80))
    whole = open_population(build(short, tmp_path / "c", runs=1, heldout_runs=1, seed=4))
    assert whole.records.split.tolist() == ["train", "heldout"]
    assert whole.records.step.tolist() == [2, 2]
    assert whole.layout == short.network.layout
    assert whole.info.symmetry == short.network.symmetry
    tuned = replace(TUNED, base=short.recipe)
    parts = open_population(build(tuned, tmp_path / "d", heldout_runs=0, checkpoints=2, seed=4))
    assert parts.records.step.tolist() == [2, 3, 0]
    assert set(dict(parts.layout.shapes)) < set(dict(whole.layout.shapes))


@pytest.mark.parametrize("zoo", [TUNED, WHOLE], ids=["fine tuning", "whole networks"])
def test_numbers_of_runs_that_cannot_be_are_refused(toy_set, tmp_path, zoo):
    for wrong in ({"runs": 0}, {"heldout_runs": -1}):
        with refused("too-few"):
            build(zoo, tmp_path / "zoo", **wrong)
    assert list(tmp_path.iterdir()) == []
