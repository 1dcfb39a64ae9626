import numpy as np
import pytest
import torch
from refused import refused

from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import (
    Population,
    Records,
    last_of_each_run,
    require_finite,
    require_same_layout,
    sampled_records,
)

LAYOUT = WeightLayout((("a", (2,)), ("b", ())))


def of_runs(runs, steps):
    records = Records.of(
        runs, split="train", step=steps, scores={"loss": [float(i) for i in range(len(runs))]}
    )
    return Population(torch.arange(3.0 * len(runs)).reshape(-1, 3), LAYOUT, records)


def test_rows_are_selected_by_index_mask_and_slice_alike():
    population = of_runs(list("vwxyz"), 0)
    mask = np.array([False, True, False, True, False])
    for rows in ([1, 3], mask, slice(1, 4, 2), np.array([1, 3])):
        picked = population.select(rows)
        assert picked.weights.tolist() == [[3, 4, 5], [9, 10, 11]]
        assert list(picked.records.run) == ["w", "y"]
        assert picked.records.scores["loss"].tolist() == [1, 3]
    assert population.select([3, 1, 3]).weights[:, 0].tolist() == [9, 3, 9]
    assert len(population.select([])) == 0


def test_a_slice_shares_memory():
    population = of_runs(list("vwxyz"), 0)
    population.select(slice(1, 3)).weights.zero_()
    assert population.weights[:, 0].tolist() == [0, 0, 0, 9, 12]


def test_a_record_is_one_row():
    record = of_runs(["r", "s"], [5, 6]).records[1]
    assert (record.run, record.split, record.step, record.scores) == ("s", "train", 6, {"loss": 1})


def test_joined_records_mark_scores_that_a_part_lacks():
    one = Records.of(["a"], split="train", step=3, scores={"loss": [1.0]})
    two = Records.of(["b", "c"], split="heldout", scores={"accuracy": [2.0, 3.0]})
    joined = Records.join([one, two])
    assert list(joined.run) == ["a", "b", "c"]
    assert list(joined.split) == ["train", "heldout", "heldout"]
    assert joined.step.tolist() == [3, 0, 0]
    np.testing.assert_equal(joined.scores["loss"], [1, np.nan, np.nan])
    np.testing.assert_equal(joined.scores["accuracy"], [np.nan, 2, 3])


def test_the_last_step_of_each_run_is_kept_in_row_order():
    records = Records.of(list("abacbb"), split="train", step=[9, 1, 3, 0, 5, 5])
    assert last_of_each_run(records).tolist() == [0, 3, 5]
    assert last_of_each_run(sampled_records(4)).tolist() == [0, 1, 2, 3]
    assert last_of_each_run(sampled_records(0)).tolist() == []


def test_other_weights_keep_the_runs_and_lose_the_scores():
    population = of_runs(["r", "s"], [5, 6])
    noised = population.with_weights(population.weights + 1, split="noise")
    assert list(noised.records.run) == ["r", "s"]
    assert noised.records.step.tolist() == [5, 6]
    assert set(noised.records.split) == {"noise"}
    assert noised.records.scores == {}


def test_infinite_weights_are_refused_with_their_rows():
    population = of_runs([f"run-{i}" for i in range(9)], 0)
    require_finite(population, "train")
    for row, value in [(1, np.nan), (4, np.inf), (5, -np.inf), (8, np.nan)]:
        population.weights[row, 2] = value
    with refused("not-finite") as caught:
        require_finite(population, "train")
    message = str(caught.value)
    assert message.startswith("train: ")
    assert "row 1 (run run-1), row 4 (run run-4), row 5 (run run-5) and 1 more" in message


def test_different_layouts_are_refused_with_the_first_difference():
    one = of_runs(["r"], 0)

    def with_shapes(*shapes):
        layout = WeightLayout(shapes)
        return Population(torch.zeros(1, layout.size), layout, sampled_records(1))

    require_same_layout(one, of_runs(["s"], 0), ("train", "generated"))
    with refused("other-network", "parameter a is 2 in train and 3 in generated"):
        require_same_layout(one, with_shapes(("a", (3,)), ("b", ())), ("train", "generated"))
    with refused("other-network", "parameter b"):
        require_same_layout(one, with_shapes(("a", (2,)), ("c", ())), ("train", "generated"))
    other = with_shapes(("b", ()), ("a", (2,)))
    with pytest.raises(ValueError, match="another order"):
        require_same_layout(one, other, ("train", "generated"))
    require_same_layout(one, other.in_order_of(one.layout), ("train", "generated"))


def test_inconsistent_sizes_are_mistakes():
    with pytest.raises(ValueError, match="2 records and the layout has 3"):
        Population(torch.zeros(1, 3), LAYOUT, sampled_records(2))
    with pytest.raises(ValueError, match="different lengths"):
        Records(np.array(["a"]), np.array(["train"]), np.array([1, 2]))
