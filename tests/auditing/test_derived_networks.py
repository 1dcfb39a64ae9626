"""Whatever `symmetry_of` derives can be audited: planted copies are found, with their distance."""

import numpy as np
import pytest
import torch
from families_by_hand import BY_NAME, table_of

from novelweights.auditing.judge.criteria import Verdict
from novelweights.auditing.judge.verdict import judge
from novelweights.auditing.measure.measurements import NearestIndex
from novelweights.auditing.prepare import AuditInputs
from novelweights.auditing.stages import audit
from novelweights.metrics.alignment import Alignment
from novelweights.metrics.neighbors import nearest
from novelweights.networks.symmetry_of import layout_of
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, Records
from novelweights.weights.rescaled import random_rescaling
from novelweights.weights.symmetry import random_transform

COPIED = [5, 2, 7]


def drawn(n: int, layout: WeightLayout, rng: torch.Generator) -> torch.Tensor:
    """Networks without two neurons alike."""
    columns = []
    for _, shape in layout.shapes:
        values = torch.randn(n, *shape, generator=rng)
        is_matrix = len(shape) > 1
        size = values[0, 0].numel() if is_matrix else 1
        # vectors may be scales and variances, which are positive
        columns.append((values * size**-0.5 if is_matrix else 0.5 + values.abs()).flatten(1))
    return torch.cat(columns, dim=1)


def runs(weights: torch.Tensor, layout: WeightLayout, split: str) -> Population:
    """Weights as runs of their own."""
    records = Records.of([f"{split}-{i}" for i in range(len(weights))], split=split, step=1)
    return Population(weights, layout, records, PopulationInfo("drawn", {}, "", None, None))


@pytest.mark.parametrize("name", BY_NAME)
def test_planted_copies_of_every_family_are_found_at_no_distance(name, rng):
    layout, table = layout_of(BY_NAME[name].network()), table_of(name)
    alignment = Alignment.of(layout, table)
    weights, fresh = drawn(9, layout, rng), drawn(3, layout, rng)
    if alignment is None:
        assert not table.sizes(layout)
        return
    reference = NearestIndex.of(runs(weights, layout, "train"), alignment, None)
    moved = random_transform(weights[COPIED], layout, table, rng=rng)
    near = nearest(
        moved[:, layout.is_learned],
        reference.training.learned,
        k=2,
        alignment=reference.alignment,
    )
    assert near.rows[:, 0].tolist() == COPIED
    assert (near.distances[:, 0] < 1e-3 * near.distances[:, 1]).all()
    if table.continuous:
        turned = random_rescaling(moved, layout, table, rng=rng)
        found = reference.canonical.nearness(torch.cat([turned, fresh]), None)
        assert found["canonical_rows"][:3].tolist() == COPIED
        copies, others = np.split(found["canonical_distance"], [3])
        assert copies.max() < 0.01 * others.min()


@pytest.mark.integration
@pytest.mark.usefixtures("quick", "few_controls")
@pytest.mark.parametrize("name", BY_NAME)
def test_every_family_can_be_audited_and_its_moved_copies_are_replicas(name, rng):
    layout, table = layout_of(BY_NAME[name].network()), table_of(name)
    train, heldout, fresh = (drawn(n, layout, rng) for n in (12, 24, 2))
    moved = random_transform(train[COPIED], layout, table, rng=rng)
    if table.continuous:
        moved = random_rescaling(moved, layout, table, rng=rng)
    given = {"train": train, "heldout": heldout, "generated": torch.cat([moved, fresh])}
    roles = {role: runs(weights, layout, role) for role, weights in given.items()}
    result = audit(AuditInputs(**roles, symmetry=table), n_controls=0)
    replicas = [verdict.origin is Verdict.REPLICA for verdict in judge(result).checkpoints]
    assert replicas == [True] * len(COPIED) + [False] * len(fresh)
    rows = result.generated.canonical_rows
    rows = result.generated.neighbor_rows[:, 0] if rows is None else rows
    assert rows[: len(COPIED)].tolist() == COPIED
