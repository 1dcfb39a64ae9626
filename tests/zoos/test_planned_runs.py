import numpy as np
import pytest

from novelweights.seeding import seed_for
from novelweights.zoos.builds import planned_runs
from novelweights.zoos.independent_runs import kept_steps


def test_runs_are_named_and_seeded_by_split_and_number():
    plan = planned_runs(7, {"runs": 2, "heldout_runs": 1, "start_runs": 2})
    assert [run.name for run in plan] == [
        *("train-00000", "train-00001", "heldout-00000", "start-00000", "start-00001")
    ]
    assert [run.split for run in plan] == ["train", "train", "heldout", "start", "start"]
    assert plan[1].seed == seed_for(7, "run", 1)
    assert plan[2].seed == seed_for(7, "heldout", 0)
    assert plan[4].seed == seed_for(7, "start", 1)
    assert len({run.seed for run in plan}) == 5
    more = planned_runs(7, {"runs": 3, "heldout_runs": 2, "start_runs": 9})
    assert set(plan) < set(more)


@pytest.mark.parametrize("checkpoints", [2, 3, 20, 60, 61])
def test_kept_steps_are_the_first_the_last_and_distinct_ones_between(checkpoints):
    for seed in range(20):
        steps = kept_steps(seed, checkpoints, 60).tolist()
        assert len(steps) == checkpoints
        assert (steps[0], steps[-1]) == (0, 60)
        assert steps == sorted(set(steps))
        assert steps == kept_steps(seed, checkpoints, 60).tolist()
    if 2 < checkpoints < 61:
        assert steps != kept_steps(0, checkpoints, 60).tolist()


def test_one_checkpoint_is_the_last_and_all_are_all():
    assert kept_steps(3, 1, 60).tolist() == [60]
    assert kept_steps(3, 61, 60).tolist() == list(range(61))
    assert kept_steps(3, 2, 1).tolist() == [0, 1]


def test_steps_between_are_uniform():
    counts = np.zeros(11)
    for seed in range(3000):
        counts[kept_steps(seed, 5, 10)] += 1
    assert counts[0] == counts[10] == 3000
    # three of nine steps: binomial with mean 1000 and deviation 26
    assert np.abs(counts[1:10] - 1000).max() < 110
