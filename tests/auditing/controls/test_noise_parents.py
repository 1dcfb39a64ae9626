"""The paper's baselines, above all what noise is added to."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import audit
from refused import noted, refused
from tiny import NETWORK, D, drawn, named, task

from novelweights.networks.mlp import OneHiddenMLP
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, Records, sampled_records

pytestmark = pytest.mark.usefixtures("quick")

TRAIN, HELDOUT = named(drawn(12, 1), "train"), named(drawn(20, 2), "heldout")
SAMPLES = named(TRAIN.weights[:6] + 0.4 * drawn(6, 3), "generated")
PARENTS = Population(
    TRAIN.weights[[4, 4, 7]] + 0.01 * drawn(3, 5),
    NETWORK.layout,
    Records.of(["train-004", "train-004", "train-007"], split="reconstruction", step=[5, 6, 7]),
    TRAIN.info,
)
"""Two checkpoints of one run, one of another."""
TASK = task(900, of=TRAIN.weights)


def audited(noise_from=None, **options):
    return audit(TRAIN, SAMPLES, heldout=HELDOUT, noise_from=noise_from, n_controls=0, **options)


@pytest.fixture(scope="module")
def plain(quick):
    return audited(task=TASK)


@pytest.fixture(scope="module")
def noised(quick):
    return audited(PARENTS, task=TASK)


def test_noise_is_added_to_what_is_given_and_the_names_of_runs_are_kept(noised):
    found, notes = noised.baselines, noised.baseline_notes
    names = found["noise"].names
    assert set(names) == {"train-004", "train-007"}
    assert 13 <= names.count("train-004") <= 14  # two of three, over and over, 20 in all
    nearest = [f"train-{row:03d}" for row in found["noise"].neighbor_rows[:, 0]]
    assert nearest == names
    assert notes["noise"].endswith("on chosen reconstructions (3, from 2 runs)")
    chosen = PARENTS.with_weights(PARENTS.weights, split="train")
    notes = audited(chosen, task=TASK).baseline_notes
    assert "on chosen training checkpoints (3, from 2 runs)" in notes["noise"]


def test_without_it_noise_is_added_to_the_training_checkpoints_that_are_compared(plain):
    found, notes = plain.baselines, plain.baseline_notes
    assert set(found["noise"].names) == set(TRAIN.records.run)
    assert notes["noise"].endswith("on training checkpoints")
    same = audited(TRAIN, task=TASK).baselines
    np.testing.assert_array_equal(
        same["noise"].neighbor_distances, found["noise"].neighbor_distances
    )


def test_averages_and_the_gaussian_stay_as_they_are(plain, noised):
    one, other = plain.baselines, noised.baselines
    assert set(one) == set(other)
    for name in set(one) - {"noise"}:
        np.testing.assert_array_equal(one[name].neighbor_distances, other[name].neighbor_distances)


def test_an_audit_says_what_noise_was_added_to(plain, noised):
    assert noised.about["noise_from"] == {"n": 3, "runs": 2}
    assert "chosen reconstructions (3, from 2 runs)" in noised.baseline_notes["noise"]
    assert "noise_from" not in plain.about


def test_the_gain_over_noise_names_what_noise_was_added_to(plain, noised):
    gain = noised.quantity("advantage_over_noise")
    assert "that of chosen reconstructions (3, from 2 runs) with noise chosen so" in gain.definition
    assert gain.n == 2
    assert gain.lower < gain.value < gain.upper
    gain = plain.quantity("advantage_over_noise")
    assert "that of training checkpoints with noise chosen so" in gain.definition
    assert gain.n == len(TRAIN)
    through = audited(
        None,
        task=TASK,
        reconstructions=TRAIN.with_weights(1.01 * TRAIN.weights, split="reconstruction"),
        heldout_reconstructions=HELDOUT.with_weights(
            1.01 * HELDOUT.weights, split="reconstruction"
        ),
    )
    words = "training checkpoints as the codec gives them back"
    assert words in through.quantity("advantage_over_noise").definition
    assert words in through.baseline_notes["noise"]


def test_noise_on_one_run_has_no_interval_():
    advantage = audited(PARENTS.select([0, 1]), task=TASK).quantity("advantage_over_noise")
    assert advantage.n == 1
    assert advantage.value is not None
    assert (advantage.lower, advantage.upper, advantage.level) == (None, None, None)


def test_parents_without_a_task_are_said_to_be_unused(plain, noised):
    assert noted(audited(PARENTS).warnings, "unused-noise-source", "--noise-from")
    assert not noted(noised.warnings, "unused-noise-source")
    assert not noted(plain.warnings, "unused-noise-source")


def test_parents_with_parameters_in_another_order_are_put_in_order(noised):
    layout = WeightLayout(tuple(sorted(NETWORK.layout.shapes)))
    other = audited(PARENTS.in_order_of(layout), task=TASK)
    assert noised.baselines["noise"].distance.tolist() == other.baselines["noise"].distance.tolist()


def test_parents_that_cannot_be_used_are_refused():
    broken = PARENTS.weights.clone()
    broken[1, 3] = float("nan")
    other = OneHiddenMLP(5, 3, 3).layout
    for parents, code, fact in (
        (replace(PARENTS, weights=broken), "not-finite", "row 1"),
        (PARENTS.select([]), "too-few", "1"),
        (Population(torch.zeros(2, other.size), other, sampled_records(2)), "other-network", "5"),
        (PARENTS.with_weights(torch.full((3, D), 1e30), split="train"), "not-finite", "1e+30"),
    ):
        with refused(code, "noise-from", fact):
            audited(parents)
