"""Networks trained from scratch beside an audit: parts by name, distances, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import walks
from planted import audit, prepared
from refused import noted, refused
from scipy.spatial.distance import cdist
from tiny import drawn, named, task

from novelweights.auditing.one_run.from_scratch import same_parts
from novelweights.auditing.result import AuditResult
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Records

pytestmark = pytest.mark.usefixtures("quick")

TRAIN, HELDOUT, SAMPLES = (
    named(drawn(n, seed), split)
    for n, seed, split in ((12, 1, "train"), (20, 2, "heldout"), (6, 3, "generated"))
)
SCRATCH = named(3 * drawn(5, 4), "scratch")


def audited(scratch, **options):
    options = {"heldout": HELDOUT, "n_controls": 0, **options}
    return audit(TRAIN, SAMPLES, from_scratch=scratch, **options)


def test_parts_of_whole_networks_are_taken_by_name():
    networks = walks.from_scratch()
    parts = same_parts(networks, walks.LAYOUT)
    state = networks.layout.unflatten(networks.weights)
    assert parts.layout == walks.LAYOUT
    torch.testing.assert_close(parts.weights[:, : walks.WIDTH], state["last.weight"])
    torch.testing.assert_close(parts.weights[:, walks.WIDTH :], state["last.bias"])


def test_of_several_checkpoints_of_a_network_the_last_counts():
    networks = walks.from_scratch(4)
    records = Records.of(["a", "a", "b", "b"], split="train", step=[2, 1, 1, 2])
    parts = same_parts(replace(networks, records=records), walks.LAYOUT)
    assert parts.records.step.tolist() == [2, 2]
    assert len(parts) == 2


def test_they_stand_in_any_audit_with_their_distances():
    result = audited(SCRATCH)
    expected = cdist(SCRATCH.weights.double(), TRAIN.weights.double()).min(axis=1)
    np.testing.assert_allclose(result.from_scratch.distance, expected)
    told = result.quantity("median_distance_from_scratch")
    assert told.value == pytest.approx(np.median(expected))
    assert told.lower <= told.value <= told.upper
    assert result.about["from_scratch"]["n"] == 5
    assert result.from_scratch.quality is None
    assert AuditResult.from_json(result.to_json()).from_scratch.distance == pytest.approx(expected)


def test_other_numbers_do_not_depend_on_them():
    with_them, without = audited(SCRATCH), audited(None)
    known = {q.key: q for q in with_them.quantities}
    assert without.from_scratch is None
    assert all(known[q.key] == q for q in without.quantities)
    assert "from_scratch" not in without.to_json()


@pytest.mark.parametrize("has_task", [True, False])
def test_their_quality_is_what_their_records_tell(has_task):
    records = replace(SCRATCH.records, scores={"test_accuracy": np.arange(5.0)})
    result = audited(
        replace(SCRATCH, records=records), task=task(900, of=TRAIN.weights) if has_task else None
    )
    if has_task:
        assert result.from_scratch.quality.tolist() == [0, 1, 2, 3, 4]
        assert result.quantity("mean_quality_from_scratch").value == 2
    else:
        assert result.from_scratch.quality is None
    assert result.from_scratch.novelty is None


def test_unknown_scores_are_no_quality():
    records = replace(SCRATCH.records, scores={"test_accuracy": np.array([1, 2, np.nan, 4, 5])})
    assert (
        audited(
            replace(SCRATCH, records=records), task=task(900, of=TRAIN.weights)
        ).from_scratch.quality
        is None
    )


def test_what_cannot_be_compared_is_refused():
    lacking = WeightLayout((*walks.LAYOUT.shapes[:1], ("other", (3,))))
    other_shape = WeightLayout((("last.weight", (7,)), ("last.bias", (walks.WIDTH,))))
    broken = walks.from_scratch()
    broken.weights[3, 8] = float("nan")
    for networks, code, fact in (
        (walks.from_scratch(layout=lacking), "other-network", "last.bias"),
        (walks.from_scratch(layout=other_shape), "other-network", "last.weight is (7,), not (16,)"),
        (broken, "not-finite", "row 3"),
        (walks.from_scratch(0), "too-few", "1"),
    ):
        with refused(code, "from-scratch", fact):
            prepared(
                walks.training(),
                walks.generated("copy"),
                symmetry=walks.SYMMETRY,
                from_scratch=networks,
            )


def test_training_checkpoints_are_not_from_scratch():
    leaked = replace(SCRATCH, weights=torch.cat([SCRATCH.weights[:4], TRAIN.weights[:1]]))
    with refused("leak", "1 network", "scratch-004"):
        audited(leaked)


def test_a_table_without_groups_means_that_no_moves_exist():
    given = prepared(walks.training(), walks.generated("copy"), symmetry=walks.SYMMETRY)
    assert given.alignment is None
    assert given.distance.is_exact
    assert "no reordering" in given.distance.symmetry
    assert not noted(given.warnings, "no-symmetry")
    unknown = prepared(walks.training(), walks.generated("copy"))
    assert noted(unknown.warnings, "no-symmetry")
