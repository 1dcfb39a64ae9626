"""Runs that the records name wrongly, and held-out runs of another recipe."""

from dataclasses import replace

import numpy as np
import planted
import pytest
import torch
from planted import audit, prepared, seeded
from refused import noted
from tiny import NETWORK, drawn, named, task

from novelweights.auditing.judge.criteria import Verdict
from novelweights.auditing.judge.recognition import one_of_each_run, other_recipe
from novelweights.auditing.judge.verdict import judge
from novelweights.auditing.measure.measurements import NearestIndex, measure
from novelweights.data.images import load_data
from novelweights.metrics.alignment import Alignment
from novelweights.networks.mlp import DIGITS_MLP
from novelweights.weights.population import Population, Records
from novelweights.weights.symmetry import random_transform
from novelweights.zoos.training import Recipe, train_trajectories

pytestmark = pytest.mark.usefixtures("quick")
DIGITS = Alignment(DIGITS_MLP.layout, DIGITS_MLP.symmetry)
RECIPE = Recipe(epochs=12, batch_size=64)
LATE = (8, 10, 12)
"""Epochs at which runs are saved."""


@pytest.fixture(scope="module")
def trained():
    """44 real runs, each at three late epochs: (runs, epochs, d)."""
    data = load_data("digits")
    per_epoch = RECIPE.steps(len(data.train_y)) // RECIPE.epochs
    steps = torch.tensor([[per_epoch * epoch for epoch in LATE]] * 44)
    return train_trajectories(DIGITS_MLP, data, RECIPE, range(44), steps).weights


def each_its_own_run(weights, split="train"):
    """As an import names files: every checkpoint is a run."""
    return planted.runs(DIGITS_MLP, weights, split)


def bare_audit(train, generated, heldout=None, **options):
    symmetry = train.info.symmetry
    return audit(train, generated, heldout=heldout, symmetry=symmetry, n_controls=0, **options)


@pytest.mark.parametrize("with_heldout", [False, True])
@pytest.mark.parametrize("alignment", [None, DIGITS])
def test_steps_of_a_run_under_different_names_count_once(trained, with_heldout, alignment):
    chains = each_its_own_run(trained[:20].flatten(0, 1).contiguous())
    heldout = each_its_own_run(trained[20:, -1].contiguous(), "heldout") if with_heldout else None
    kept, fresh_kept, told = one_of_each_run(chains, heldout, alignment)
    assert kept.tolist() == list(range(2, 60, 3))  # the last of each
    assert fresh_kept.tolist() == (list(range(24)) if with_heldout else [])
    [warning] = told
    assert warning.code == "related-runs"
    assert warning.text.startswith("60 training checkpoints")


def test_steps_of_held_out_runs_count_once_too(trained):
    train = each_its_own_run(trained[:20, -1].contiguous())
    chains = each_its_own_run(trained[20:].flatten(0, 1).contiguous(), "heldout")
    kept, fresh_kept, [warning] = one_of_each_run(train, chains, DIGITS)
    assert kept.tolist() == list(range(20))
    assert fresh_kept.tolist() == list(range(2, 72, 3))
    assert noted([warning], "related-runs", "72 held-out", "24 runs")


@pytest.mark.parametrize("heldout_runs", [0, 1, 24])
@pytest.mark.parametrize("training_runs", [2, 5, 20])
def test_fresh_runs_are_never_merged(trained, training_runs, heldout_runs):
    ends = trained[:, -1].contiguous()
    train = each_its_own_run(ends[:training_runs])
    heldout = each_its_own_run(ends[20 : 20 + heldout_runs], "heldout") if heldout_runs else None
    kept, fresh_kept, told = one_of_each_run(train, heldout, DIGITS)
    assert (len(kept), len(fresh_kept), told) == (training_runs, heldout_runs, [])


def test_near_duplicates_are_merged_with_a_warning_that_names_the_count(trained):
    ends = trained[:, -1]
    noise = 1e-3 * torch.randn(5, ends.shape[1], generator=seeded(1))
    train = each_its_own_run(torch.cat([ends[:20], ends[:3], ends[3:8] + noise]))
    heldout = each_its_own_run(ends[20:].contiguous(), "heldout")
    result = bare_audit(train, each_its_own_run(ends[:2].contiguous(), "generated"), heldout)
    assert noted(result.warnings, "related-runs", "28 training", "20 runs")
    assert result.n_runs == len(result.training) == 20
    assert result.training_rows.tolist() == [*range(8, 20), *range(20, 28)]  # the last of each


@pytest.mark.integration
def test_a_folder_of_one_trajectory_is_one_run_and_identifies_nothing():
    data = load_data("digits")
    last = RECIPE.steps(len(data.train_y))
    steps = torch.arange(last - 40, last).reshape(1, -1)
    [path] = train_trajectories(DIGITS_MLP, data, RECIPE, [0], steps).weights
    train, made = each_its_own_run(path), each_its_own_run(path[:5] + 1e-3, "generated")
    heldout = drawn_runs_of_the_same_size(path, 24)
    assert prepared(train, made).n_runs == 1
    result = bare_audit(train, made, heldout)
    assert result.n_runs == 1
    assert result.training_rows.tolist() == list(range(40))
    assert result.training.names == train.records.run.tolist()
    verdicts = judge(result)
    assert verdicts.population.origin is Verdict.UNDECIDED
    assert verdicts.population.sentence.startswith("Not identifiable")
    assert verdicts.counts()["undecided"] == 5
    assert noted(result.warnings, "related-runs", "40 training")


def drawn_runs_of_the_same_size(path, n):
    """Networks with the weights of one, each in an order of its own."""
    orders = torch.stack([torch.randperm(path.shape[1], generator=seeded(i)) for i in range(n)])
    return each_its_own_run(path[-1][orders], "heldout")


# --- another recipe ----------------------------------------------------------------------------

TRAIN, HELDOUT = named(drawn(30, 1), "train"), named(drawn(30, 2), "heldout")
SAMPLES = named(drawn(3, 3), "generated")


def recipe_warnings(train, heldout, task=None):
    """As an audit finds them, without the rest of it."""
    given = prepared(train, SAMPLES, heldout=heldout, symmetry=train.info.symmetry)
    compared = NearestIndex.of(given.train, given.alignment, task)
    trained, fresh = (
        measure("runs", population, compared, only_near=True)
        for population in (given.train, given.heldout)
    )
    quality = None if task is None else task.quality
    qualities = (trained.quality, fresh.quality, quality)
    return other_recipe(given.train, given.heldout, *qualities)


def test_honest_held_out_runs_are_not_warned_of():
    assert recipe_warnings(TRAIN, HELDOUT, task=task()) == []


@pytest.mark.integration
def test_honest_real_held_out_runs_are_not_warned_of(digits_zoo):
    zoo = digits_zoo
    train, heldout = zoo.training.select(slice(0, 30)), zoo.heldout.select(slice(0, 30))
    samples = zoo.population(zoo.fresh.weights[:2])
    result = bare_audit(train, samples, heldout, task=zoo.task)
    assert not noted(result.warnings, "other-recipe")


@pytest.mark.integration
def test_longer_held_out_runs_are_warned_of():
    longer = replace(HELDOUT, weights=1.3 * HELDOUT.weights)
    [warning] = recipe_warnings(TRAIN, longer)
    assert warning in bare_audit(TRAIN, SAMPLES, longer).warnings
    norms = [
        float(w.double().norm(dim=1).quantile(0.5)) for w in (1.3 * HELDOUT.weights, TRAIN.weights)
    ]
    assert noted([warning], "other-recipe", "norm", *(f"{norm:.4g}" for norm in norms))


def test_held_out_runs_of_other_steps_are_warned_of():
    [warning] = recipe_warnings(TRAIN, named(HELDOUT.weights, "heldout", step=14))
    assert noted([warning], "other-recipe", "14 steps", "for 7")
    unknown = named(HELDOUT.weights, "heldout", step=0)
    assert recipe_warnings(TRAIN, unknown) == []
    earlier = Population(
        torch.cat([0.5 * HELDOUT.weights, HELDOUT.weights]),
        NETWORK.layout,
        Records.join([named(HELDOUT.weights, "heldout", step=3).records, HELDOUT.records]),
        HELDOUT.info,
    )
    assert recipe_warnings(TRAIN, earlier) == []  # only the last steps count


def test_worse_held_out_runs_are_warned_of():
    """The best of many random networks against the worst."""
    judge_of, many = task(), named(drawn(400, 1), "many")
    order = judge_of.score(judge_of.behave(many)).argsort()
    train, heldout = (
        named(many.weights[rows], split)
        for rows, split in ((order[-30:], "train"), (order[:30], "heldout"))
    )
    [warning] = recipe_warnings(train, heldout, task=judge_of)
    assert noted([warning], "other-recipe", "quality")
    assert recipe_warnings(train, heldout) == []


def failed_warnings(qualities):
    """Warnings of failed held-out runs, where they and the training runs have these qualities."""
    values = np.asarray(qualities, dtype=float)
    told = other_recipe(TRAIN, HELDOUT, values, values, task().quality)
    return noted(told, "failed-heldout")


def test_held_out_runs_that_failed_are_counted():
    usual = 95 + 0.1 * np.arange(30)
    assert failed_warnings(usual) == []
    [warning] = failed_warnings([10, 11, *usual[2:]])
    assert "2 held-out runs" in warning


def test_one_mistake_among_perfect_runs_is_no_failure():
    """Half of the runs are equally good, so their spread is 0."""
    assert failed_warnings([99.9, 99.8, *[100] * 28]) == []
    [warning] = failed_warnings([50, *[100] * 29])
    assert "1 held-out run" in warning


def test_held_out_runs_from_elsewhere_are_warned_of_where_training_runs_look_like_one():
    """Training runs from one start, held-out runs from others: so far away that all are merged."""
    train = named(drawn(1, 101) + 0.3 * drawn(30, 1), "train")
    heldout = named(2 * drawn(30, 2), "heldout")
    assert bare_audit(train, SAMPLES, heldout).n_runs == 1
    assert noted(recipe_warnings(train, heldout), "other-recipe", "norm")


def test_steps_of_one_run_say_nothing_of_its_recipe():
    """All of them stand in for the run, but neither their number nor their norms mean anything."""
    path = drawn(1, 1) + 0.01 * torch.arange(30)[:, None] * drawn(1, 2)
    records = Records.of(["same"] * 30, split="train", step=list(range(1, 31)))
    train = replace(named(path, "train"), records=records)
    assert recipe_warnings(train, named(HELDOUT.weights, "heldout", step=30)) == []
    [warning] = recipe_warnings(train, named(HELDOUT.weights, "heldout", step=40))
    assert noted([warning], "other-recipe", "40 steps", "for 30")


# --- rows --------------------------------------------------------------------------------------


def with_earlier_steps(population):
    """Three steps of each run, the last one somewhere in between."""
    w, runs = population.weights, population.records.run
    weights = torch.stack([0.5 * w, w, 0.8 * w], dim=1).flatten(0, 1)
    steps = [3, 7, 5] * len(w)
    records = Records.of(list(np.repeat(runs, 3)), split="train", step=steps)
    return replace(population, weights=weights, records=records)


def test_the_nearest_row_counts_rows_of_the_population_that_was_given():
    train = with_earlier_steps(TRAIN)
    picked = [4, 0, 29, 11]
    copies = named(TRAIN.weights[picked] + 1e-3, "generated")
    result = bare_audit(train, copies, HELDOUT)
    assert result.training_rows.tolist() == list(range(1, 90, 3))
    table = result.table()
    assert table["nearest_row"].tolist() == [3 * row + 1 for row in picked]
    assert table["nearest_run"].tolist() == [f"train-{row:03d}" for row in picked]
    near = train.weights[table["nearest_row"].tolist()]
    assert torch.equal(near, TRAIN.weights[picked])


def test_a_copy_of_an_earlier_step_is_found_by_the_row_of_that_step():
    train = with_earlier_steps(TRAIN)
    copies = named(train.weights[[12, 15, 89]], "generated")  # first, first and last of three steps
    result = bare_audit(train, copies, HELDOUT)
    assert result.generated.step_rows.tolist() == [12, 15, 89]
    assert (result.generated.step_distance == 0).all()
    accused = {Verdict.REPLICA, Verdict.INTERPOLATION}
    assert {verdict.origin for verdict in judge(result).checkpoints} <= accused
    assert (result.generated.distance > 0).all()


def test_a_moved_copy_of_an_earlier_step_is_found():
    train = with_earlier_steps(TRAIN)
    copies = train.weights[[12, 15, 30]]
    symmetry = TRAIN.info.symmetry
    moved = random_transform(copies, TRAIN.layout, symmetry, rng=torch.Generator().manual_seed(3))
    assert not torch.equal(moved, copies)
    result = bare_audit(train, named(moved, "generated"), HELDOUT)
    assert result.generated.step_rows.tolist() == [12, 15, 30]
    assert (result.generated.step_distance == 0).all()


def test_the_nearest_row_counts_those_that_were_merged_away():
    doubled = named(torch.cat([TRAIN.weights[:5], TRAIN.weights]), "train")
    copies = named(TRAIN.weights[[2, 20]], "generated")
    table = bare_audit(doubled, copies, HELDOUT).table()
    assert table["nearest_row"].tolist() == [7, 25]
    assert table["nearest_run"].tolist() == ["train-007", "train-025"]
