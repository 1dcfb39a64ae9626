"""Building any zoo: what is refused beforehand, and that nothing is lost then."""

from dataclasses import replace

import pytest
from commands import fails
from folders import contents
from refused import refused
from toy_pixels import BASE, QUICK, TUNED, WHOLE, Stop

from novelweights.pipeline import evaluate_method
from novelweights.tasks import PART_TASKS, RESNETS, WHOLE_TASKS
from novelweights.weights.store import open_population
from novelweights.weights.writer import PopulationWriter
from novelweights.zoos import ZOOS, find_zoo, independent_runs
from novelweights.zoos.building import build, counts_of
from novelweights.zoos.cnn_training import AdamRecipe
from novelweights.zoos.fine_tuning import FineTuning, FineTuningRecipe
from novelweights.zoos.independent_runs import IndependentRuns
from novelweights.zoos.training import Recipe
from novelweights.zoos.whole_networks import WholeNetworks

TUNED_ZOOS = {name: zoo for name, zoo in ZOOS.items() if isinstance(zoo, FineTuning)}
WHOLE_ZOOS = {name: zoo for name, zoo in ZOOS.items() if isinstance(zoo, WholeNetworks)}
DIGITS = replace(ZOOS["digits-mlp"], recipe=Recipe(epochs=1, batch_size=100))
STEPS = {"runs": 6, "heldout_runs": 3, "checkpoints": 7, "start_runs": 2}
CNN = replace(ZOOS["mnist-5k-cnn"], recipe=AdamRecipe(epochs=3, batch_size=500), checkpoints=2)
SHORT = replace(WHOLE, recipe=replace(BASE, epochs=1, batch_size=160))


@pytest.fixture
def no_data(tmp_path, monkeypatch):
    """A cache that nothing was fetched to."""
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(tmp_path / "cache"))


def test_each_data_set_of_residual_networks_has_three_zoos():
    sets = (
        "cifar-100",
        "cifar-10",
        "cifar-10-jpeg",
        "cut-paste-100",
        "fashion-mnist",
        "photo-patch-10",
    )
    assert set(WHOLE_ZOOS) == {f"{name}-resnet18" for name in sets}
    assert set(TUNED_ZOOS) == {
        f"{name}-resnet18-bn{end}" for name in sets for end in ("", "-training")
    }
    for name, zoo in ZOOS.items():
        assert zoo.name == name
        assert zoo.task_name in (PART_TASKS if isinstance(zoo, FineTuning) else WHOLE_TASKS)
        if isinstance(zoo, FineTuning | WholeNetworks):
            assert zoo.network == RESNETS[zoo.data_name]
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


@pytest.mark.parametrize(
    ("zoo", "asked", "moments"),
    [
        pytest.param(replace(DIGITS, recipe=Recipe(3, 50)), STEPS, (5,), id="trajectories"),
        pytest.param(CNN, {"runs": 3, "heldout_runs": 2}, (3,), id="ends of epochs"),
        # inside the second network
        pytest.param(WHOLE, {"runs": 2}, (13,), id="whole networks"),
        # in the second epoch of the base, the training run, the held-out run
        pytest.param(
            *(TUNED, {"heldout_runs": 1, "checkpoints": 3}, (6, 9, 14)),
            id="fine tuning",
            marks=pytest.mark.integration,
        ),
    ],
)
def test_a_build_that_was_killed_goes_on_and_ends_with_the_same_bytes(
    toy_set, tmp_path, monkeypatch, zoo, asked, moments
):
    monkeypatch.setattr(independent_runs, "BLOCK_RUNS", 2)
    whole = contents(build(zoo, tmp_path / "whole", **asked))

    def killed(done, total):
        if done >= moment:
            raise Stop

    for moment in moments:
        folder = tmp_path / f"killed at {moment}"
        with pytest.raises(Stop):
            build(zoo, folder, **asked, progress=killed)
        assert not folder.exists()
        with refused("unfinished", "--resume"):
            build(zoo, folder, **asked)
        build(zoo, folder, **asked, resume=True)
        assert contents(folder) == whole
        assert not list(tmp_path.glob("*.partial"))


@pytest.mark.integration
@pytest.mark.parametrize(
    ("zoo", "asked", "n_appended"),
    [
        # the training run, the held-out run and the base itself
        pytest.param(QUICK, {"heldout_runs": 1, "checkpoints": 2}, 3, id="fine tuning"),
        pytest.param(SHORT, {"runs": 2}, 2, id="whole networks"),
    ],
)
def test_a_kill_between_two_runs_costs_nothing(
    toy_set, tmp_path, monkeypatch, zoo, asked, n_appended
):
    build(zoo, tmp_path / "whole", **asked)
    append = PopulationWriter.append

    def killed_after(writer, weights, records):
        append(writer, weights, records)
        raise Stop

    with monkeypatch.context() as patched:
        patched.setattr(PopulationWriter, "append", killed_after)
        for _ in range(n_appended):
            with pytest.raises(Stop):
                build(zoo, tmp_path / "zoo", **asked, resume=True)
    told = []
    build(zoo, tmp_path / "zoo", **asked, resume=True, progress=lambda *now: told.append(now))
    assert all(done == 1 for done, _ in told)  # the base was read; nothing was left to train
    assert contents(tmp_path / "zoo") == contents(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["whole", "zoo"]


@pytest.mark.parametrize(
    ("zoo", "asked", "code", "named"),
    [
        *((zoo, {"runs": 0}, "too-few", "0") for zoo in (DIGITS, TUNED, WHOLE)),
        *((zoo, {"heldout_runs": -1}, "too-few", "-1") for zoo in (TUNED, WHOLE)),
        (DIGITS, {"checkpoints": 12}, "wrong-option", "11"),
        (ZOOS["mnist-mlp"], {}, "no-data", "data fetch mnist"),
        (TUNED, {"start_runs": 3}, "unsuited", "--start-runs"),
        (TUNED, {"checkpoints": 0}, "too-few", "0"),
        (WHOLE, {"checkpoints": 3}, "unsuited", "--checkpoints"),
    ],
)
def test_what_a_plan_refuses_is_what_a_build_refuses(
    toy_set, no_data, tmp_path, zoo, asked, code, named
):
    for refusing in (counts_of, lambda zoo, **asked: build(zoo, tmp_path / "zoo", **asked)):
        with refused(code, named):
            refusing(zoo, **asked)
    assert list(tmp_path.iterdir()) == []


def test_counts_are_the_zoos_own_unless_said_otherwise(toy_set):
    expected = {"runs": 100, "heldout_runs": 64, "checkpoints": 1, "start_runs": 0}
    assert counts_of(DIGITS) == expected
    assert counts_of(TUNED) == {"runs": 1, "heldout_runs": 8, "checkpoints": 300, "start_runs": 0}
    assert counts_of(WHOLE)["runs"] == 10
    with refused("unknown-name", "'digits-mlp'"):
        find_zoo("digit-mlp")
