"""Audits of fields: planted generators of shapes, measured by distances instead of errors."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fields import FIELD, boxes
from planted import audit

from novelweights.auditing.judge.criteria import Verdict, Verdicts
from novelweights.auditing.judge.verdict import judge
from novelweights.auditing.result import AuditResult
from novelweights.report.claims import Outcome
from novelweights.report.findings import paper_findings
from novelweights.seeding import rng_for
from novelweights.tasks.shapes import FieldShapes
from novelweights.weights.population import Population, sampled_records

pytestmark = pytest.mark.integration

N, KINDS = 20, ("generated", "training", "heldout")
TRAIN, HELDOUT = boxes(30, "train", seed=1), boxes(30, "heldout", seed=2)


@pytest.fixture(scope="module")
def task() -> FieldShapes:
    empty = FieldShapes("boxes", FIELD, np.zeros((0, 2048, 3), np.float32), resolution=24)
    return replace(empty, test=empty.behave(boxes(20, "test", seed=3)).numpy())


def audited(weights: torch.Tensor, task: FieldShapes) -> tuple[AuditResult, Verdicts]:
    made = Population(weights, FIELD.layout, sampled_records(len(weights)), TRAIN.info)
    result = audit(TRAIN, made, heldout=HELDOUT, task=task, n_controls=4)
    return result, judge(result)


def one_chamfer(a: np.ndarray, b: np.ndarray) -> float:
    """By all pairs of points."""
    squares = ((a[:, None].astype(float) - b[None]) ** 2).sum(axis=2)
    return squares.min(axis=0).mean() + squares.min(axis=1).mean()


def test_copies_are_replicas_and_their_shapes_too(task: FieldShapes) -> None:
    rows = torch.randint(30, (N,), generator=rng_for(0))
    noise = 0.002 * torch.randn(N, FIELD.layout.size, generator=rng_for(1))
    result, verdicts = audited(TRAIN.weights[rows] + noise, task)
    assert verdicts.population.origin is Verdict.REPLICA
    assert result.quantity("novelty_ratio").upper < 0.5
    found = paper_findings(result, {})
    [shaped] = [f for f in found if f.claim.startswith("Shapes of generated")]
    assert shaped.outcome is Outcome.HOLDS
    assert not any("Predictions" in f.claim for f in found)
    noise_note = result.baseline_notes["noise"]
    assert result.baselines["noise"].novelty is not None, noise_note
    reached = np.median(result.baselines["noise"].novelty)
    assert reached == pytest.approx(np.median(result.generated.novelty), rel=0.2)


def test_new_boxes_are_not_accused(task: FieldShapes) -> None:
    result, verdicts = audited(boxes(N, "sample", seed=4).weights, task)
    assert verdicts.counts()["novel"] > N / 2
    assert verdicts.population.origin in (Verdict.NOVEL, Verdict.UNDECIDED)
    assert result.quantity("novelty_ratio").upper > 0.8
    assert result.quantity("without_surface_generated").value == 0


def test_averages_are_interpolations(task: FieldShapes) -> None:
    rows = torch.stack([torch.randperm(30, generator=rng_for(i))[:4] for i in range(N)])
    _, verdicts = audited(TRAIN.weights[rows].mean(dim=1), task)
    assert verdicts.population.origin is Verdict.INTERPOLATION


def test_fields_without_a_surface_are_broken_far_and_counted(task: FieldShapes) -> None:
    fresh = boxes(N, "sample", seed=5).weights
    fresh[:15, -1] -= 6.0  # the last bias: the logit stays below the level everywhere
    fresh[15] = TRAIN.weights[0]
    result, verdicts = audited(fresh, task)
    assert result.generated.has_surface.tolist() == [False] * 15 + [True] * 5
    share = result.quantity("without_surface_generated")
    assert (share.value, share.n) == (0.75, N)
    assert share.lower < 0.75 < share.upper
    assert all(verdicts.checkpoints[i].works is False for i in range(15))
    assert all(verdicts.checkpoints[i].works for i in range(15, N))
    worst, nearest = result.p_values["quality_low"], result.p_values["similarity_high"]
    assert (worst[:15] == worst.min()).all()
    assert (nearest[15], nearest[:15].min()) == (nearest.min(), 1.0)
    assert (result.p_values["similarity_low"][:15] == 1 / 31).all()
    told = result.quantity("minimum_matching_distance_generated")
    assert told.n == 5  # the fields with a surface; other sets are cut to the 20 test shapes alone
    assert result.quantity("minimum_matching_distance_training").n == len(task.test)
    clouds = task.behave(replace(TRAIN, weights=fresh[15:], records=sampled_records(5))).numpy()
    pairs = [[one_chamfer(a, b) for b in task.test] for a in clouds]
    assert told.value == pytest.approx(np.min(pairs, axis=0).mean(), rel=1e-5)
    assert told.lower < told.value < told.upper
    covered = len(set(np.argmin(pairs, axis=1))) / len(task.test)
    assert result.quantity("shape_coverage_generated").value == covered
    assert {0 <= result.quantity(f"one_nn_accuracy_{kind}").value <= 1 for kind in KINDS} == {True}
    assert result.table()["has_surface"].tolist() == [0] * 15 + [1] * 5  # numbers in files
    again = AuditResult.from_json(result.to_json())
    np.testing.assert_array_equal(again.generated.has_surface, result.generated.has_surface)
