"""What samples tell of their generator: read where it is well formed, passed over where not."""

import copy
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from novelweights.auditing.measure.generalization_gap import (
    gap_quantities,
    read_own_gap,
    told_sampler,
)
from novelweights.generators.parts.gap import paired_gap

GAP = {
    "n_train": 64,
    "n_heldout": 32,
    "timesteps": 500,
    "confidence": 0.95,
    "levels": [
        {
            "timestep": t,
            "loss_train": 0.1,
            "loss_heldout": 0.4,
            "difference": [0.3, 0.2, 0.4],
            "ratio": [4.0, 3.0, 5.0],
        }
        for t in (25, 250)
    ],
    "history": [[step, t, 1.0 / step, 1.0] for step in (2, 1) for t in (25, 250)],
}
MADE_BY = {
    "method": "hyperdiffusion",
    "parameters": 3_000,
    "values_in_training": 1_000,
    "gap": GAP,
}


def changed(path, value):
    """The settings with one entry replaced."""
    settings = copy.deepcopy({"generator": MADE_BY})
    *parents, last = path
    there = settings
    for key in parents:
        there = there[key]
    there[last] = value
    return settings


def test_the_gap_is_a_ratio_with_limits_per_noise_level():
    found = gap_quantities({"width": 3, "generator": MADE_BY})
    assert [q.key for q in found] == ["own_gap_25", "own_gap_250", "parameters_over_values"]
    first = found[0]
    assert (first.value, first.lower, first.upper, first.level) == (4.0, 3.0, 5.0, 0.95)
    assert first.n == 96
    assert first.label == "Loss on held-out over loss on training, noise level 5%"
    assert "64 training runs (0.1)" in first.definition
    assert found[2].value == 3.0
    assert {q.group for q in found} == {"own gap"}


def test_an_autoencoder_has_a_reconstruction_loss_and_no_noise_level():
    level = {"timestep": 0, "loss_train": 0.1, "loss_heldout": 0.2, "ratio": [2.0, 1.5, 2.5]}
    gap = {**GAP, "timesteps": 1, "levels": [level], "history": [[1, 0, 1.0, 1.0]]}
    [found, _] = gap_quantities(changed(["generator", "gap"], gap))
    assert found.key == "own_gap_0"
    assert found.label == "Reconstruction loss on held-out over loss on training"
    assert "own mean reconstruction loss on 32 held-out runs (0.2)" in found.definition
    assert "at the end of its training; as its samples tell" in found.definition
    assert "noise" not in found.definition
    assert (found.value, found.lower, found.upper) == (2.0, 1.5, 2.5)


def test_the_sampler_is_told_where_it_has_a_name():
    told = changed(["generator", "sampler"], "shared")
    assert told_sampler(told) == "hyperdiffusion, sampler shared"
    for settings in ({"generator": MADE_BY}, {}, changed(["generator", "sampler"], 3)):
        assert told_sampler(settings) is None


def test_the_history_is_read_by_step():
    gap = read_own_gap({"generator": MADE_BY})
    assert gap is not None
    assert [(p.step, p.timestep) for p in gap.history] == [(1, 25), (1, 250), (2, 25), (2, 250)]


def test_samples_of_unknown_origin_tell_nothing():
    for settings in ({}, {"std": 0.1}, {"generator": "mine"}, {"generator": None}):
        assert gap_quantities(settings) == []
        assert read_own_gap(settings) is None
    assert [q.key for q in gap_quantities(changed(["generator", "gap"], None))] == [
        "parameters_over_values"
    ]


JUNK = [None, True, "7", -1, 0, float("nan"), float("inf"), 10**400, [], [1], {}, {"a": 1}, 1e308]


@pytest.mark.parametrize("key", ["method", "parameters", "values_in_training", "gap"])
@pytest.mark.parametrize("junk", JUNK)
def test_malformed_facts_are_passed_over(key, junk):
    found = gap_quantities(changed(["generator", key], junk))
    assert all(q.value is not None and 0 < q.value < float("inf") for q in found)
    if key != "method":
        assert len(found) in (1, 2)


@pytest.mark.parametrize("key", list(GAP))
@pytest.mark.parametrize("junk", JUNK)
def test_malformed_gaps_are_passed_over(key, junk):
    gap_quantities(changed(["generator", "gap", key], junk))
    gap = read_own_gap(changed(["generator", "gap", key], junk))
    if key == "history":
        assert gap is not None
        assert gap.history == ()
    if key == "levels":
        assert gap is None


@pytest.mark.parametrize("key", list(GAP["levels"][0]))
@pytest.mark.parametrize("junk", JUNK)
def test_malformed_levels_are_passed_over_and_the_others_kept(key, junk):
    found = gap_quantities(changed(["generator", "gap", "levels", 0, key], junk))
    assert found[-2].key == "own_gap_250"
    if key == "ratio":
        assert found[0].value == 4.0
        assert found[0].lower is found[0].upper is found[0].level is None
        assert "Bootstrap" not in found[0].definition


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("junk", JUNK)
def test_malformed_points_are_passed_over(place, junk):
    gap = read_own_gap(changed(["generator", "gap", "history", 0, place], junk))
    assert gap is not None
    assert 3 <= len(gap.history) <= 4


def test_what_no_fit_of_ours_writes_is_passed_over():
    levels = GAP["levels"]
    assert len(gap_quantities(changed(["generator", "gap", "levels"], levels * 3))) == 3
    gap = read_own_gap(changed(["generator", "gap", "levels", 0, "timestep"], 500))
    assert gap is not None
    assert [level.timestep for level in gap.levels] == [250]
    gap = read_own_gap(changed(["generator", "gap", "history"], [[1, 25, 1, 1]] * 10_001))
    assert gap is not None
    assert gap.history == ()
    gap = read_own_gap(changed(["generator", "gap", "levels", 0, "ratio"], [4.0, 5.0, 3.0]))
    assert gap is not None
    assert gap.levels[0].lower is None


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*MADE_BY, *GAP, *GAP["levels"][0]]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(PLAIN)
def test_anything_may_stand_there(data):
    for settings in (
        {"generator": data},
        changed(["generator", "gap"], data),
        changed(["generator", "gap", "levels"], [data]),
    ):
        for quantity in gap_quantities(settings):
            json.dumps(vars(quantity), allow_nan=False)


def test_what_a_fit_writes_is_understood():
    rng = np.random.default_rng(0)
    level = {"timestep": 25, **paired_gap(rng.random(9), rng.random(9) + 1)}
    found = gap_quantities(changed(["generator", "gap", "levels"], [level]))
    assert (found[0].lower, found[0].upper) == tuple(level["ratio"][1:])
    assert found[0].value == pytest.approx(level["ratio"][0], rel=1e-5)
