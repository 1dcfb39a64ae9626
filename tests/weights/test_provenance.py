"""What samples say of their generator: read where it is well formed, left out where not."""

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novelweights.weights.population import PopulationInfo
from novelweights.weights.provenance import GapPoint, Provenance
from novelweights.weights.store import info_from_json, info_json

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
GENERATOR = {
    "method": "hyperdiffusion",
    "parameters": 3_000,
    "values_in_training": 1_000,
    "gap": GAP,
}
JUNK = [None, True, "7", -1, 0, float("nan"), float("inf"), 10**400, [], [1], {}, {"a": 1}, 1e308]
KEPT = Path(__file__).parents[2] / "results" / "laptop"


def changed(path, value):
    """The provenance with one entry replaced."""
    data = copy.deepcopy(GENERATOR)
    *parents, last = path
    there = data
    for key in parents:
        there = there[key]
    there[last] = value
    return Provenance.from_json(data)


def gap_with(*path_and_value):
    *path, value = path_and_value
    return changed(["gap", *path], value).gap


def test_everything_is_read_by_noise_and_by_step():
    provenance = Provenance.from_json(GENERATOR)
    assert (provenance.method, provenance.sampler) == ("hyperdiffusion", None)
    assert (provenance.parameters, provenance.values_in_training) == (3_000, 1_000)
    assert not provenance.has_codec
    gap = provenance.gap
    assert (gap.n_train, gap.n_heldout, gap.confidence) == (64, 32, 0.95)
    assert [(level.timestep, level.ratio) for level in gap.levels] == [
        (25, (4.0, 3.0, 5.0)),
        (250, (4.0, 3.0, 5.0)),
    ]
    assert gap.history[0] == GapPoint(1, 25, 1.0, 1.0)
    assert [(p.step, p.timestep) for p in gap.history] == [(1, 25), (1, 250), (2, 25), (2, 250)]


@pytest.mark.parametrize("more", [{}, {"sampler": "shared", "has_codec": True, "gap": None}])
def test_it_is_stored_among_the_settings(more):
    provenance = Provenance(**{**vars(Provenance.from_json(GENERATOR)), **more})
    info = PopulationInfo("hyperdiffusion", {"width": 3}, provenance=provenance)
    stored = json.loads(json.dumps(info_json(info)))
    assert set(stored["settings"]) == {"width", "generator"}
    assert info_from_json(stored) == info


@pytest.mark.parametrize("method", ["g-pt", "p-diff"])
def test_kept_samples_are_read_and_stored_as_they_were(method):
    stored = json.loads((KEPT / method / "samples" / "population.json").read_text())
    info = info_from_json(stored)
    assert info.provenance.method == method
    assert json.loads(json.dumps(info_json(info)))["settings"] == stored["settings"]


def test_other_settings_of_that_name_stay_settings():
    for data in (*JUNK, "mine", {"name": "mine"}):
        assert Provenance.from_json(data) is None
        info = PopulationInfo("mine", {"generator": data})
        assert info_from_json(info_json(info)) == info


def test_malformed_facts_are_left_out():
    for junk in JUNK:
        assert changed(["method"], junk).method == ("7" if junk == "7" else None)
        assert changed(["sampler"], junk).sampler == ("7" if junk == "7" else None)
        assert changed(["codec"], junk).has_codec is (junk is True)
        assert changed(["parameters"], junk).parameters is None
        assert changed(["values_in_training"], junk).values_in_training is None
        assert changed(["gap"], junk).gap is None


def test_malformed_gaps_are_left_out():
    for junk in JUNK:
        for key in ("n_train", "n_heldout", "timesteps", "levels"):
            assert gap_with(key, junk) is None
        assert gap_with("history", junk).history == ()
        assert gap_with("confidence", junk).confidence is None


def test_malformed_levels_are_left_out_and_the_others_kept():
    for junk in JUNK:
        for key in GAP["levels"][0]:
            gap = gap_with("levels", 0, key, junk)
            assert gap.levels[-1].timestep == 250
            if key in ("difference", "ratio"):
                assert getattr(gap.levels[0], key) == (None, None, None)
    assert gap_with("levels", 0, "ratio", [4.0, 5.0, 3.0]).levels[0].ratio == (4.0, None, None)


def test_malformed_points_are_left_out():
    for junk in JUNK:
        for place in range(4):
            assert 3 <= len(gap_with("history", 0, place, junk).history) <= 4


def test_what_no_fit_of_ours_writes_is_left_out():
    assert len(gap_with("levels", GAP["levels"] * 3).levels) == 2
    assert [one.timestep for one in gap_with("levels", 0, "timestep", 500).levels] == [250]
    assert gap_with("history", [[1, 25, 1, 1]] * 10_001).history == ()


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*GENERATOR, *GAP, *GAP["levels"][0]]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(PLAIN)
def test_anything_may_stand_there(data):
    for provenance in (
        Provenance.from_json(data),
        changed(["gap"], data),
        changed(["gap", "levels"], [data]),
    ):
        if provenance is not None:
            stored = json.loads(json.dumps(provenance.to_json(), allow_nan=False))
            assert Provenance.from_json(stored) == provenance
