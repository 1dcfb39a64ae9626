"""Whole audits of what no one would call a population: numbers or one sentence, never a traceback.

pytest turns every warning into an error, so none of these divides by zero either.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import audit
from refused import noted, refused
from tiny import ALIGNMENT, NETWORK, D, drawn, named, task

from novelweights.auditing.judge.criteria import Verdict
from novelweights.auditing.judge.verdict import Verdicts, judge
from novelweights.auditing.result import AuditResult
from novelweights.metrics.neighbors import nearest
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, Records, sampled_records

TRAIN, HELDOUT = drawn(12, 1), drawn(20, 2)
SAMPLES = drawn(4, 3)
ZERO, CONSTANT = torch.zeros(1, D), torch.full((1, D), 0.7)
BROKEN_OR_UNDECIDED = {Verdict.BROKEN, Verdict.UNDECIDED}


pytestmark = pytest.mark.usefixtures("quick", "any_behavior")


def audited(
    train=TRAIN, samples=SAMPLES, heldout=HELDOUT, *, aligned=True, judged=True, n_controls=0
) -> tuple[AuditResult, Verdicts]:
    """The audit and its verdicts, all numbers finite, and readable from their file."""
    result = audit(
        named(train, "train"),
        named(samples, "generated"),
        heldout=None if heldout is None else named(heldout, "heldout"),
        symmetry=NETWORK.symmetry if aligned else None,
        task=task() if judged else None,
        n_controls=n_controls,
    )
    verdicts = judge(result)
    text = json.dumps([result.to_json(), verdicts.to_json()], allow_nan=False)
    again = AuditResult.from_json(json.loads(text)[0])
    assert judge(again).population.origin is verdicts.population.origin
    for p_values in result.p_values.values():
        assert ((p_values > 0) & (p_values <= 1)).all()
    assert len(result.table()) == len(samples)
    return result, verdicts


def origins(verdicts: Verdicts) -> set[Verdict]:
    return {checkpoint.origin for checkpoint in verdicts.checkpoints}


# --- samples -----------------------------------------------------------------------------------


@pytest.mark.integration
@pytest.mark.parametrize("value", [ZERO, CONSTANT])
@pytest.mark.parametrize("aligned", [True, False])
def test_constant_samples_are_not_novel(value, aligned):
    result, verdicts = audited(samples=value.repeat(5, 1), aligned=aligned)
    assert origins(verdicts) <= BROKEN_OR_UNDECIDED
    assert verdicts.population.origin is Verdict.UNDECIDED
    assert noted(result.warnings, "repeated-samples", "4 of the 5 ")


def test_one_sample_has_no_intervals_but_numbers():
    result, verdicts = audited(samples=SAMPLES[:1])
    assert result.generated.recentred_cosine is None
    assert "twin_near" not in result.p_values
    assert verdicts.population.origin is Verdict.UNDECIDED
    _, copied = audited(samples=TRAIN[:1])
    assert copied.checkpoints[0].origin is Verdict.REPLICA


@pytest.mark.parametrize(
    ("rows", "numbers"),
    [
        ([0, 1, 0, 1], ("4 samples", "2 starting")),
        ([3, 3, 3, 3], ("4 samples", "1 starting")),
        ([5, 1, 2, 0], ()),
        (None, ()),
    ],
)
def test_samples_from_one_start_are_no_independent_evidence(rows, numbers):
    scores = None if rows is None else {"start_row": list(map(float, rows))}
    records = Records.of(["a", "b", "c", "d"], split="generated", scores=scores)
    result = audit(
        named(TRAIN, "train"),
        replace(named(SAMPLES, "generated"), records=records),
        heldout=named(HELDOUT, "heldout"),
        n_controls=0,
    )
    assert bool(noted(result.warnings, "few-starts", *numbers)) == bool(numbers)


@pytest.mark.parametrize("heldout", [HELDOUT, None])
def test_identical_samples_are_not_novel_together(heldout):
    result, verdicts = audited(samples=SAMPLES[:1].repeat(50, 1), heldout=heldout)
    assert verdicts.population.origin is Verdict.UNDECIDED
    assert len(origins(verdicts)) == 1
    assert noted(result.warnings, "repeated-samples", "49 of the 50 ")
    if heldout is not None:  # training runs are in the mean, so they are not recentred
        assert (result.generated.recentred_cosine == 0).all()


@pytest.mark.integration
def test_a_thousand_copies_of_one_training_run_are_replicas():
    options = {"judged": False, "aligned": False}
    result, verdicts = audited(samples=TRAIN[3:4].repeat(1000, 1), **options)
    assert verdicts.population.origin is Verdict.REPLICA
    assert verdicts.counts()["replica"] == 1000
    assert set(result.generated.neighbor_rows[:, 0].tolist()) == {3}
    assert result.quantity("never_nearest_share").value == pytest.approx(11 / 12)
    assert result.quantity("reproduced_share").value == pytest.approx(1 / 12)


def test_zero_samples_with_controls_are_audited_too():
    _, verdicts = audited(samples=ZERO.repeat(3, 1), judged=False, n_controls=2)
    assert origins(verdicts) <= BROKEN_OR_UNDECIDED


# --- training ----------------------------------------------------------------------------------


@pytest.mark.parametrize("heldout", [HELDOUT, None])
def test_duplicated_training_checkpoints_count_once(heldout):
    result, _ = audited(train=torch.cat([TRAIN, TRAIN[:5], TRAIN[:5]]), heldout=heldout)
    assert result.n_runs == len(result.training) == 12
    assert noted(result.warnings, "related-runs", "22 training")
    own = np.eye(12, dtype=bool)
    alone = nearest(TRAIN, TRAIN, exclude=own, alignment=ALIGNMENT).distances[:, 0]
    np.testing.assert_array_equal(np.sort(result.training.distance), np.sort(alone))


@pytest.mark.parametrize("heldout", [HELDOUT, None])
@pytest.mark.parametrize("value", [TRAIN[:1], ZERO])
def test_training_checkpoints_that_are_all_equal_identify_nothing(value, heldout):
    result, verdicts = audited(train=value.repeat(12, 1), heldout=heldout)
    assert result.n_runs == 1
    assert (result.training.distance == 0).all()
    assert verdicts.population.sentence.startswith("Not identifiable")
    assert origins(verdicts) == {Verdict.UNDECIDED}


def test_samples_equal_to_training_checkpoints_that_are_all_equal():
    same = TRAIN[:1].repeat(12, 1)
    for aligned in (True, False):
        result, verdicts = audited(train=same, samples=same, heldout=None, aligned=aligned)
        assert (result.generated.distance == 0).all()
        assert {verdict.kind for verdict in verdicts.checkpoints} == {"equal"}
        assert "not identifiable" in verdicts.population.sentence


def test_half_of_training_at_zero_is_one_run_of_seven():
    result, verdicts = audited(train=torch.cat([TRAIN[:6], torch.zeros(6, D)]), judged=False)
    assert result.n_runs == 7
    assert verdicts.counts()["novel"] == 0


@pytest.mark.integration
def test_training_on_one_line_is_audited():
    """All weights of a checkpoint equal, and steps along a straight path: rank one."""
    levels = torch.arange(1.0, 13.0)[:, None]
    for train, aligned in ((levels.expand(12, D), False), (TRAIN[:1] + levels * TRAIN[1:2], True)):
        audited(train=train.contiguous(), aligned=aligned, judged=False)


def test_more_training_checkpoints_than_weights():
    result, verdicts = audited(train=drawn(60, 9), samples=drawn(60, 9)[:4])
    assert len(result.training) == 60 > D
    assert origins(verdicts) == {Verdict.REPLICA}
    assert result.generated.pca_residual is not None


# --- held-out runs -----------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "decides"), [(19, False), (20, True)])
def test_a_verdict_needs_twenty_held_out_runs(n, decides):
    samples = TRAIN[:10] + 0.1 * drawn(10, 8)
    result, verdicts = audited(samples=samples, heldout=HELDOUT[:n], judged=False)
    assert (verdicts.population.origin is Verdict.REPLICA) is decides
    assert bool(noted(result.warnings, "few-heldout")) is not decides
    if not decides:
        assert verdicts.population.sentence == "19 held-out runs are too few to compare with."
        assert "at least 20 held-out runs" in verdicts.population.would_decide[0]


def test_held_out_runs_that_are_all_equal_are_one():
    result, verdicts = audited(heldout=HELDOUT[:1].repeat(20, 1))
    assert len(result.heldout) == 1
    assert noted(result.warnings, "related-runs", "20 held-out")
    assert verdicts.population.origin is Verdict.UNDECIDED


def test_zero_held_out_runs_are_one():
    result, _ = audited(heldout=torch.zeros(20, D), aligned=False, judged=False)
    assert len(result.heldout) == 1


def test_training_and_held_out_runs_that_are_all_one_checkpoint_are_refused():
    same = TRAIN[:1].repeat(12, 1)
    with refused("leak", "1 held-out"):
        audited(train=same, heldout=same)


# --- layouts -----------------------------------------------------------------------------------


def test_a_network_of_one_module_is_audited_without_layers():
    layout = WeightLayout((("only.weight", (D - 3,)), ("only.bias", (3,))))

    def population(weights):
        return Population(weights, layout, sampled_records(len(weights)))

    result = audit(
        population(TRAIN),
        population(torch.cat([TRAIN[:3], SAMPLES])),
        heldout=population(HELDOUT),
        n_controls=2,
    )
    assert result.layers == ()
    assert result.generated.layer_rows is None
    assert not any("layers" in name for name in result.p_values)
    assert not {"mosaic", "one_layer"} & set(result.controls)
    verdicts = judge(result)
    assert verdicts.counts()["replica"] == 3
    assert not any(column.startswith("layer_") for column in result.table())


def test_a_network_of_two_weights_is_audited():
    """Fewer weights than anything needs: one component, one cosine per side."""
    layout = WeightLayout((("only.weight", (1,)), ("only.bias", (1,))))

    def population(n, seed):
        weights = drawn(n, seed)[:, :2].contiguous()
        return Population(weights, layout, sampled_records(n))

    result = audit(population(12, 1), population(4, 3), heldout=population(20, 2), n_controls=2)
    assert np.isfinite(result.generated.distance).all()
    assert judge(result).population.origin is not Verdict.NOVEL
