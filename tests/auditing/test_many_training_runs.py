"""Of many training runs a random sample tells how far they lie apart; all are searched."""

import json

import numpy as np
import pytest
import torch
from planted import audit
from tiny import drawn, named

from novelweights.auditing.judge.verdict import judge
from novelweights.auditing.measure import measured
from novelweights.auditing.result import AuditResult
from novelweights.metrics.alignment import Alignment
from novelweights.metrics.neighbors import nearest

pytestmark = pytest.mark.integration

N, SAMPLE = 60, 20


@pytest.fixture
def sampled(monkeypatch):
    """An audit of copies of every training run, with a sample of these measured; and of all."""
    train = named(drawn(N, 0), "train")
    heldout = named(drawn(30, 1), "heldout")
    generated = named(train.weights + 1e-3 * drawn(N, 2), "generated")

    def run():
        symmetry = train.info.symmetry
        return audit(train, generated, heldout=heldout, symmetry=symmetry, n_controls=4)

    whole = run()
    monkeypatch.setattr(measured, "N_TRAINING", SAMPLE)
    return train, run(), whole


def test_the_sample_is_compared_with_all_others(sampled):
    train, result, _ = sampled
    assert len(result.training) == SAMPLE
    assert list(result.training_names) == list(train.records.run)
    rows = [list(train.records.run).index(name) for name in result.training.names]
    assert rows == sorted(set(rows))
    alone = nearest(
        train.weights[torch.tensor(rows)],
        train.weights,
        exclude=np.array(rows)[:, None] == np.arange(N),
        alignment=Alignment.of(train.layout, train.info.symmetry),
    )
    np.testing.assert_allclose(result.training.distance, alone.distances[:, 0], rtol=1e-5)
    told = result.quantity("median_distance_training")
    assert told.n == SAMPLE
    assert f"{SAMPLE} of the training runs, drawn at random" in told.definition


def test_samples_are_compared_with_every_training_run(sampled):
    train, result, whole = sampled
    assert result.table()["nearest_run"].tolist() == list(train.records.run)
    assert result.quantity("never_nearest_share").value == 0
    assert whole.training_names == whole.training.names
    verdicts = [verdict.origin for verdict in judge(result).checkpoints]
    assert verdicts == [verdict.origin for verdict in judge(whole).checkpoints]
    again = AuditResult.from_json(json.loads(json.dumps(result.to_json())))
    assert list(again.training_names) == list(train.records.run)
    assert again.table()["source_1_run"].equals(result.table()["source_1_run"])


def test_without_heldout_runs_all_stand_in(sampled):
    train, _, _ = sampled
    result = audit(train, named(drawn(9, 3), "generated"), n_controls=0)
    assert len(result.training) == N
