"""The study end to end at small sizes: what it writes, that it resumes, that it tells misses."""

import json
import re
from dataclasses import replace

import pytest
import torch
from refused import refused
from typer.testing import CliRunner

from novelweights.auditing.measures import ACCUSING
from novelweights.cli.main import app
from novelweights.studies.calibrate import repetitions, zoos
from novelweights.studies.calibrate.markdown import render_markdown
from novelweights.studies.calibrate.pool import make_pool
from novelweights.studies.calibrate.results import Calibration, read_calibration
from novelweights.studies.calibrate.study import calibrate
from novelweights.studies.calibrate.targets import groups_of, targets_of
from novelweights.zoos.training import Recipe

pytestmark = pytest.mark.integration

TINY = replace(
    zoos.SCALES["smoke"],
    populations=2,
    training_runs=18,
    heldout_runs=24,
    fresh_runs=8,
    planted=4,
    n_heldout=(20,),
    fresh_drawn=8,
    planted_drawn=4,
    repetitions=2,
    bootstraps=2,
    fresh_verdicts=0,
    planted_verdicts=1,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A study at smoke scale, as a user runs it."""
    folder = tmp_path_factory.mktemp("study") / "new"
    result = CliRunner().invoke(app, ["calibrate", "-o", str(folder), "--scale", "smoke"])
    assert result.exit_code == 0, result.output
    assert "met" in result.stdout
    return folder


@pytest.fixture(scope="module")
def study(folder):
    return read_calibration(folder / "calibration.json")


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(zoos.SCALES, "smoke", TINY)
    monkeypatch.setattr(repetitions, "WHOLE", ("copies",))


def test_copies_and_mixtures_are_found_and_fresh_runs_mostly_not(study):
    [zoo] = study.zoos
    found = {(o.kind, o.n_heldout): o for o in zoo.outcomes}
    for n in (24, 40):
        for kind in ("copies", "copies_permuted", "copies_noise_0.25", "average_2", "mosaic"):
            assert found[kind, n].found == 1.0, kind
        assert found["fresh", n].found < 0.3
        assert found["copies", n].verdicts["replica"] == 1.0
        assert sum(found["fresh", n].verdicts.values()) == pytest.approx(1)
    assert {(p.kind, p.n_heldout) for p in zoo.populations} == {("fresh", 24), ("fresh", 40)}
    assert all(p.verdicts["replica"] == 0 for p in zoo.populations)


def test_every_kind_has_its_noise_distance_quality_and_other_measures(study):
    [zoo] = study.zoos
    kinds = {kind.key: kind for kind in zoo.kinds}
    assert kinds["copies"].distance == 0.0
    assert kinds["copies_noise_0.5"].distance == pytest.approx(0.5, rel=0.1)
    assert kinds["fresh"].distance == pytest.approx(1.0, rel=0.1)
    assert kinds["copies"].others == {
        "ratio_rule": 1.0,
        "calibrated_l2": 1.0,
        "not_authentic": 1.0,
    }
    assert kinds["copies_permuted"].others["ratio_rule"] == 0.0  # plain L2 does not see them
    assert kinds["early"].label == "fresh runs stopped after 25% of their epochs"
    assert 90 < kinds["fresh"].quality < 99


def test_every_kind_is_in_a_group(study):
    [zoo] = study.zoos
    grouped = [key for keys in groups_of(zoo.kinds).values() for key in keys]
    assert sorted(grouped) == sorted(kind.key for kind in zoo.kinds)


def test_shares_and_alarms_cover_every_test(study):
    [zoo] = study.zoos
    assert {row.test for row in zoo.shares} == {"distance", "direction", "replica"}
    half = [row for row in zoo.shares if row.share == 0.5 and row.copies == "copies"]
    assert all(row.seen == 1.0 and row.lower <= 0.5 <= row.upper for row in half)
    alarms = {(row.test, row.r): row for row in zoo.false_alarms if row.n_heldout == 24}
    assert set(alarms) == {*repetitions.ALARMS}
    assert alarms["distance", 1].nominal == pytest.approx(1 / 25)
    assert alarms["accused", 1].nominal == pytest.approx(len(ACCUSING) / 25)
    assert all(row.lower <= row.rate <= row.upper for row in alarms.values())


def test_results_survive_json_and_render_to_the_page_written(folder, study):
    again = Calibration.from_json(json.loads(json.dumps(study.to_json())))
    assert again == study
    page = (folder / "calibration.md").read_text()
    assert page == render_markdown(study)
    for text in ("| target | reached |", "permuted and sign-flipped copies", "ratio rule", "C_T"):
        assert text in page
    assert not re.search(r"\bnan\b", page)
    heads = [line for line in page.splitlines() if line.startswith("| averages of 2 |")]
    assert len(heads) == 2  # single checkpoints, measures in common use


def with_outcome(study, kind, **changes):
    """The study with another outcome for one kind, judged against the targets again."""
    [zoo] = study.zoos
    outcomes = [replace(o, **changes) if o.kind == kind else o for o in zoo.outcomes]
    changed = [replace(zoo, outcomes=outcomes)]
    return replace(study, zoos=changed, targets=targets_of(changed))


@pytest.mark.parametrize(
    ("kind", "changes", "line"),
    [
        ("copies_noise_0.6", {"found": 0.9}, "Copies with noise"),
        ("average_4_aligned", {"found": 0.94}, "Plain averages"),
        ("mosaic", {"found": 0.0}, "Mosaics, raw"),
        ("mosaic_neurons", {"verdicts": {"novel": 0.00005}}, "Mosaics of neurons"),
        ("early", {"found": 0.06}, "Honest decoys"),
        ("average_16_noise", {"verdicts": {"novel": 0.00005}}, "Noisy averages"),
    ],
)
def test_a_planted_failure_is_told_as_missed(study, kind, changes, line):
    if "verdicts" in changes:
        changes = {
            "verdicts": dict.fromkeys(study.zoos[0].outcomes[0].verdicts, 0.0) | changes["verdicts"]
        }
    failed = with_outcome(study, kind, **changes)
    [target] = [one for one in failed.targets if one.text.startswith(line)]
    assert not target.is_met
    label = next(k.label for k in study.zoos[0].kinds if k.key == kind)
    assert any(label in where for where in target.misses)
    page = render_markdown(failed)
    assert "**missed**" in page
    assert all(where in page for where in target.misses)
    assert "Every line was met" not in page


def test_noise_beyond_the_target_and_averages_of_16_are_reported_but_not_judged(study):
    for kind in ("copies_noise_0.8", "average_16", "gaussian", "one_layer"):
        assert with_outcome(study, kind, found=0.0).targets == study.targets


def test_wrong_limits_and_too_many_alarms_are_told_as_missed(study):
    [zoo] = study.zoos
    shares = [replace(row, lower_holds=0.9, upper_holds=0.9) for row in zoo.shares]
    alarms = [replace(row, lower=2 * row.nominal) for row in zoo.false_alarms]
    lines = targets_of([replace(zoo, shares=shares, false_alarms=alarms)])
    missed = [line for line in lines if not line.is_met]
    for start in ("Fresh runs beyond", "Lower limit", "Upper limit"):
        assert any(line.text.startswith(start) for line in missed)
    once = [replace(row, lower=2 * row.nominal) if i == 0 else row for i, row in enumerate(alarms)]
    assert once[0].lower > once[0].nominal
    quiet = [replace(row, lower=0.0) for row in zoo.false_alarms[1:]]
    one_above = targets_of([replace(zoo, false_alarms=[once[0], *quiet])])[0]
    assert one_above.is_met  # of many intervals one lies above by chance
    assert len(one_above.misses) == 1


@pytest.mark.integration
def test_interrupted_study_goes_on_and_ends_with_the_same_bytes(tmp_path, tiny):
    whole = calibrate(tmp_path / "whole", scale="smoke")
    [judged] = whole.zoos[0].populations
    assert (judged.kind, judged.verdicts["replica"]) == ("copies", 1)

    def die(stage, done, total):
        if stage.endswith("kinds") and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        calibrate(tmp_path / "killed", scale="smoke", tell=die)
    assert not (tmp_path / "killed" / "calibration.json").exists()
    with refused("exists", "--resume"):
        calibrate(tmp_path / "killed", scale="smoke")
    kept = tmp_path / "killed" / "work" / "digits-tanh-independent" / "population-0" / "ladder.npz"
    before = kept.stat().st_mtime_ns
    with refused("other-settings"):
        calibrate(tmp_path / "killed", scale="smoke", seed=1, resume=True)
    calibrate(tmp_path / "killed", scale="smoke", resume=True)
    assert kept.stat().st_mtime_ns == before
    for name in ("calibration.json", "calibration.md"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_damaged_work_is_told_by_name(tmp_path, tiny):
    sizes, zoo = zoos.SCALES["smoke"], zoos.ZOOS["digits-tanh-shared"]
    make_pool(zoo, sizes, 0, tmp_path, lambda *now: None)
    (tmp_path / "runs-fresh.npz").write_bytes(b"PK half a file")
    with refused("damaged", "runs-fresh.npz"):
        make_pool(zoo, sizes, 0, tmp_path, lambda *now: None)


@pytest.mark.integration
def test_shared_runs_start_together_and_independent_ones_do_not(tmp_path, tiny):
    pools = {
        name: make_pool(zoos.ZOOS[name], TINY, 0, tmp_path / name, lambda *now: None)
        for name in ("digits-tanh-shared", "digits-tanh-independent")
    }
    shared, apart = (torch.cdist(p.training[0].weights, p.heldout.weights) for p in pools.values())
    assert shared.min() > 0.1
    assert shared.mean() < 0.6 * apart.mean()
    pool = pools["digits-tanh-shared"]
    assert len(pool.finished) == TINY.fresh_runs
    assert set(pool.fresh.records.step) == {31 * 8, 31 * 30}
    half = pool.earlier[0][0.5]
    assert (half - pool.training[0].weights).norm(dim=1).max() < shared.min()


def test_wrong_words_are_answered(tmp_path, monkeypatch):
    with refused("unknown-name", "smok", "smoke"):
        calibrate(tmp_path / "x", scale="smok")
    with refused("unknown-name", "mnist-5k-shared"):
        calibrate(tmp_path / "x", zoos=["mnist-5k-share"])
    with refused("wrong-option", 2, 1):
        calibrate(tmp_path / "x", scale="smoke", repetitions=1)
    (tmp_path / "file").write_text("")
    with refused("exists", tmp_path / "file"):
        calibrate(tmp_path / "file", scale="smoke")
    wild = replace(zoos.ZOOS["digits-tanh-independent"], recipe=Recipe(2, 32, learning_rate=1e30))
    monkeypatch.setitem(zoos.ZOOS, wild.name, wild)
    with refused("not-finite", "1e+30"):
        calibrate(tmp_path / "wild", scale="smoke", zoos=[wild.name])
    (tmp_path / "other.json").write_text('{"schema_version": 2}')
    with refused("damaged", "other.json"):
        read_calibration(tmp_path / "other.json")
