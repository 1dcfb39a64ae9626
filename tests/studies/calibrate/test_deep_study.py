"""The study of deep networks at tiny sizes: bracketed distances through every part of it."""

from dataclasses import replace

import numpy as np
import pytest
from test_study import TINY

from novelweights.auditing.measure.measurements import SHRINK_FACTORS
from novelweights.studies.calibrate import plants, repetitions, zoos
from novelweights.studies.calibrate.markdown import render_markdown
from novelweights.studies.calibrate.results import read_calibration
from novelweights.studies.calibrate.study import calibrate
from novelweights.zoos.cnn_training import AdamRecipe
from novelweights.zoos.training import Recipe

pytestmark = pytest.mark.integration

SMALL = replace(
    TINY, populations=1, training_runs=8, heldout_runs=20, fresh_runs=3, planted=2, n_heldout=(20,)
)
RECIPES = {
    "digits-deep-independent": Recipe(epochs=4, batch_size=32),
    "mnist-5k-cnn-independent": AdamRecipe(epochs=2, batch_size=50),
    "digits-resnet-independent": Recipe(epochs=2, batch_size=64),
}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("digits-deep-independent", marks=pytest.mark.slow),
        pytest.param("mnist-5k-cnn-independent", marks=pytest.mark.slow),
        "digits-resnet-independent",
    ],
)
def folder(request, tmp_path_factory):
    """A study of one deep zoo; the residual network has all that the others have."""
    folder, name = tmp_path_factory.mktemp("deep"), request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(zoos.SCALES, "deep", SMALL)
        patch.setattr(repetitions, "WHOLE", ("copies_permuted",))
        patch.setattr(plants, "NOISES", (0.25,))
        patch.setitem(zoos.ZOOS, name, replace(zoos.ZOOS[name], recipe=RECIPES[name]))
        calibrate(folder, scale="deep", zoos=[name])
    return folder


@pytest.fixture(scope="module")
def study(folder):
    return read_calibration(folder / "calibration.json")


def test_full_has_the_zoos_of_one_hidden_layer_and_deep_the_others():
    deep, full = zoos.DEFAULT_ZOOS["deep"], zoos.DEFAULT_ZOOS["full"]
    assert list(deep) == list(RECIPES)
    assert [zoos.ZOOS[name].network.layout.size for name in deep] == [3466, 2464, 2626]
    assert len(full) == 4
    assert {*full, *deep} == set(zoos.ZOOS)


def test_copies_are_found_wherever_they_were_moved(study):
    [zoo] = study.zoos
    outcomes = {outcome.kind: outcome for outcome in zoo.outcomes}
    distances = {kind.key: kind.distance for kind in zoo.kinds}
    assert not zoo.is_exact
    assert 0.02 < zoo.certified < 1
    for kind in ("copies", "copies_permuted"):
        assert outcomes[kind].verdicts["replica"] == 1.0, kind
        assert distances[kind] < 1e-5
    for kind in ("average_2", "average_4_aligned", "mosaic", "mosaic_aligned"):
        assert outcomes[kind].verdicts["novel"] == 0.0, kind
    assert distances["average_2_aligned"] < distances["average_2"]
    [judged] = zoo.populations
    assert (judged.kind, judged.verdicts["replica"]) == ("copies_permuted", 1)
    shares = [row.share for row in zoo.shares if (row.test, row.copies) == ("replica", "copies")]
    assert shares == sorted(set(shares))  # with few samples, several shares are one count
    assert {alarm.test for alarm in zoo.false_alarms} == {*repetitions.TESTS, "accused"}


def test_both_bounds_are_kept_with_every_measured_row(folder, study):
    [zoo] = study.zoos
    work = folder / "work" / zoo.name / "population-0"
    found = np.load(work / "heldout.npz")
    nearest, lower = found["neighbor_distances"][:, 0], found["distance_lower"]
    assert (lower <= nearest).all()
    assert zoo.certified == pytest.approx(np.median(lower / nearest), abs=1e-5)
    assert (nearest <= found["raw_distance"] + 1e-6).all()
    assert found["layer_distance"].shape[1] >= 3
    for name in ("ladder", "raw-ladder"):
        assert np.load(work / f"{name}.npz")["distances"].shape == (20, len(SHRINK_FACTORS))


def test_the_page_says_of_each_zoo_whether_distances_are_exact(folder, study):
    page = (folder / "calibration.md").read_text()
    assert page == render_markdown(study)
    assert "not for certain: they are bracketed" in page
    assert "one hidden layer only" not in page
    assert "a copy whose permutation no descent finds would not be found" in page
    assert "A first run of this study accused" in page
    assert "no population of fresh runs can be called novel here" in page  # of 3 samples
    [zoo] = study.zoos
    exact = replace(zoo, is_exact=True, certified=1.0, architecture="shallow")
    told = render_markdown(replace(study, zoos=[exact]))
    assert "groups, exactly." in told or "neurons, exactly." in told
    assert "Networks with one hidden layer only" in told
    assert "bracketed" not in told
    mixed = render_markdown(replace(study, zoos=[exact, zoo]))
    assert "Those of shallow are exact." in mixed
    assert mixed.count("not for certain") == 1
