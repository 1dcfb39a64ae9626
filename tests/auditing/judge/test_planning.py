import json

import numpy as np
import pytest
import torch
from refused import refused
from scipy.stats import beta

from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA
from novelweights.auditing.judge.planning import (
    ENOUGH_POWER,
    SIZE,
    limits_beside,
    plan_audit,
    plan_for,
    power_of,
    share_seen_with,
)
from novelweights.auditing.judge.statistics import share_beyond, smallest_detectable
from novelweights.weights.population import Population, Records


def goals(plan):
    return {goal.what: goal for goal in plan.goals}


def goal_about(plan, words):
    [found] = [goal for goal in plan.goals if words in goal.what]
    return found


@pytest.mark.parametrize(
    ("n_heldout", "m"), [(100, 100), (100, 200), (200, 200), (20, 40), (400, 200)]
)
def test_power_is_that_of_a_simulated_audit(n_heldout, m):
    numpy_rng, draws = np.random.default_rng(0), 4000
    for share in (0.0, 0.02, 0.1, 0.5):
        nearest_fresh = numpy_rng.random((draws, n_heldout)).min(axis=1)
        copies = numpy_rng.binomial(m, share, draws)
        others = (numpy_rng.random((draws, m)) <= nearest_fresh[:, None]) & (
            np.arange(m) >= copies[:, None]
        )
        counts = copies + others.sum(axis=1)
        shown = {k: share_beyond(int(k), m, n_heldout).lower > 0 for k in np.unique(counts)}
        simulated = np.mean([shown[k] for k in counts])
        error = 4 * np.sqrt(simulated * (1 - simulated) / draws) + 2e-3
        assert power_of(share, m, n_heldout) == pytest.approx(simulated, abs=error)


def test_power_agrees_with_the_trials_on_real_zoos():
    # Source: ours, simulated: "power at 3% copies about .5, at 10% 1.00"
    at_three = [power_of(0.03, 200, n) for n in (100, 200)]
    assert at_three[0] < 0.5 < at_three[1]
    assert np.mean(at_three) == pytest.approx(0.5, abs=0.1)
    assert min(power_of(0.10, 200, n) for n in (100, 200, 400)) > 0.995


@pytest.mark.parametrize(("n_heldout", "m"), [(5, 20), (20, 20), (100, 200), (400, 1000)])
def test_without_copies_the_false_alarm_rate_is_at_most_the_size(n_heldout, m):
    assert 0 < power_of(0.0, m, n_heldout) <= SIZE + 1e-6
    smallest = smallest_detectable(m, n_heldout, size=SIZE)
    assert smallest is not None
    assert power_of(0.0, m, n_heldout) == pytest.approx(
        share_beyond(smallest, m, n_heldout).p_value, rel=1e-3
    )


def test_power_grows_with_the_share_and_ends_at_one():
    powers = [power_of(share, 50, 60) for share in np.linspace(0, 1, 30)]
    assert np.all(np.diff(powers) >= -1e-12)
    assert powers[-1] == pytest.approx(1)
    with pytest.raises(ValueError, match="share"):
        power_of(1.2, 10, 10)
    with pytest.raises(ValueError, match="share"):
        power_of(0.5, 10, 0)


def test_share_seen_with_a_probability_has_that_power():
    for n_heldout, m in ((20, 20), (100, 200), (200, 200)):
        for probability in (0.5, 0.95):
            share = share_seen_with(probability, m, n_heldout)
            assert share is not None
            assert power_of(share, m, n_heldout) == pytest.approx(probability, abs=1e-3)
    assert share_seen_with(0.5, 1, 10) is None


def test_the_sentence_beside_no_evidence_names_both_shares():
    assert limits_beside(200, 200) == (
        "with 200 held-out runs and 200 samples, copies of 2.4% of them would be seen with "
        "probability 50%, of 4.8% with 95%"
    )
    assert "no number of copies" in limits_beside(10, 1)
    assert limits_beside(1, 1, whose="training run").startswith("with 1 training run and 1 sample ")


def test_a_large_plan_reaches_everything():
    plan = plan_audit(64, 200, 200)
    assert all(goal.reached for goal in plan.goals)
    assert not any(goal.remedy() for goal in plan.goals)
    assert plan.smallest_p_value == 1 / 201
    assert plan.smallest_count == smallest_detectable(200, 200, size=SIZE)
    assert plan.upper_if_none == pytest.approx(1 - 0.025 ** (1 / 200))
    assert plan.upper_if_chance == pytest.approx(beta.ppf(0.975, 2, 199))


def test_benjamini_hochberg_needs_many_at_the_smallest_p_value():
    # Source: ours, facts: n_h = 100 and m = 200 name nothing below 40 at the smallest p
    assert plan_audit(64, 100, 200).named_from == 40
    for n_heldout, m in ((100, 200), (200, 200), (19, 50), (18, 50)):
        named_from = plan_audit(64, n_heldout, m).named_from
        p = np.ones(m)
        for k, rejects in ((named_from, named_from <= m), (min(named_from, m + 1) - 1, False)):
            p[:] = 1
            p[: min(k, m)] = 1 / (n_heldout + 1)
            line = 0.05 * np.arange(1, m + 1) / m
            assert bool((np.sort(p) <= line + 1e-12).any()) == rejects
    assert "never" in "\n".join(plan_audit(64, 18, 50).lines())


def test_novel_needs_72_samples_and_20_held_out_runs():
    # Source: ours, facts: "population novel: m >= 72 with K = 0"
    possible = goal_about(plan_audit(64, 200, 71), "novel is possible")
    assert (possible.reached, possible.samples) == (False, 72)
    assert goal_about(plan_audit(64, 200, 72), "novel is possible").reached
    few = goal_about(plan_audit(64, 19, 200), "novel is possible")
    assert (few.reached, few.heldout_runs, few.samples) == (False, 20, None)
    assert not goal_about(plan_audit(64, 0, 200), "novel is possible").reached
    assert goal_about(plan_audit(64, 5, 50), "novel is possible").both == 72


@pytest.mark.parametrize("counts", [(64, 20, 20), (64, 5, 50), (2, 50, 30), (64, 99, 71)])
def test_what_a_plan_asks_for_reaches_the_goal(counts):
    n_train, n_heldout, m = counts
    for name, goal in goals(plan_audit(*counts)).items():
        ways = [
            (n_train, goal.heldout_runs, m),
            (n_train, n_heldout, goal.samples),
            (n_train, goal.both, goal.both),
            (goal.training_runs, n_heldout, m),
        ]
        ways = [way for way in ways if None not in way]
        assert goal.reached != bool(ways)
        assert all(goals(plan_audit(*way))[name].reached for way in ways)


def test_the_counts_asked_for_are_no_larger_than_needed():
    powerful = goal_about(plan_audit(64, 100, 10), "shown with 80%")
    limit = DEFAULT_CRITERIA.max_share
    assert powerful.samples is not None
    assert power_of(limit, powerful.samples, 100) >= ENOUGH_POWER
    assert power_of(limit, powerful.samples - 1, 100) < ENOUGH_POWER
    assert goal_about(plan_audit(64, 20, 200), "named").heldout_runs == 100


def test_a_zoo_of_one_run_is_not_identifiable():
    plan = plan_audit(1, 200, 200)
    assert not plan.goals[0].reached
    assert "not identifiable" in plan.goals[0].now
    assert plan.goals[0].remedy() == "3 training runs"


def test_too_few_of_everything_can_show_nothing():
    plan = plan_audit(64, 10, 1)
    assert plan.smallest_count is None
    assert set(plan.power.values()) == {0.0}
    assert "no number would" in "\n".join(plan.lines())
    for counts in ((0, 1, 1), (1, -1, 1), (1, 1, 0)):
        with pytest.raises(ValueError, match="training runs"):
            plan_audit(*counts)


def test_the_table_and_the_json_hold_the_same_numbers():
    plan = plan_audit(30, 50, 100)
    data = json.loads(json.dumps(plan.to_json(), allow_nan=False))
    assert data["n_heldout"] == 50
    assert data["power"]["0.1"] == plan.power[0.1]
    assert len(data["goals"]) == len(plan.goals)
    text = "\n".join(plan.lines())
    assert f"{plan.smallest_count} samples" in text
    assert "NO " in text
    assert text.count("needs") == sum(not goal.reached for goal in plan.goals)


def test_runs_are_counted_by_the_records_and_by_their_distances(tiny_population, rng):
    plan = plan_for(tiny_population, 100, 200)
    assert plan.n_train == 6
    assert plan.notes[0] == "6 training checkpoints of 6 runs"
    assert "permutations and sign flips of the 4 hidden neurons" in plan.notes[1]
    noise = 1e-3 * torch.randn(6, tiny_population.weights.shape[1], generator=rng)
    layout = tiny_population.layout
    twice = Population(
        torch.cat([tiny_population.weights, tiny_population.weights + noise]),
        layout,
        Records.of([str(i) for i in range(12)], split="train"),
    )
    plan = plan_for(twice, 100, 200)
    assert plan.n_train == 6
    assert "look like 6 independent runs" in plan.notes[1]
    assert "distance: L2" in plan.notes
    steps = Population(twice.weights, layout, Records.of(["a", "b"] * 6, split="train"))
    assert plan_for(steps, 100, 200).n_train == 2
    assert "12 training checkpoints of 2 runs; the last step" in plan_for(steps, 9, 9).notes[0]
    assert plan_for(twice.select([0]), 9, 9).n_train == 1


def test_broken_training_weights_are_refused(tiny_population):
    tiny_population.weights[3, 2] = float("nan")
    with refused("not-finite", "row 3"):
        plan_for(tiny_population, 100, 200)
