"""A verdict on one checkpoint is the same alone and among others."""

import numpy as np
import pytest
import torch
from planted import audit, seeded
from tiny import NETWORK, drawn, move, named, task

from novelweights.auditing.judge.criteria import Verdict
from novelweights.auditing.judge.verdict import judge
from novelweights.weights.perturb import average_rows

TRAIN, HELDOUT = drawn(30, 1), drawn(25, 2)
pytestmark = pytest.mark.usefixtures("quick")


def parts(seed: int) -> dict[str, torch.Tensor]:
    """Samples of several origins, a few of each."""
    rng = seeded(seed)
    few = [int(n) for n in torch.randint(1, 4, (7,), generator=rng)]
    picked = torch.randperm(len(TRAIN), generator=rng)
    return {
        "copies": TRAIN[picked[: few[0]]],
        "noisy copies": TRAIN[picked[: few[1]]] + 0.3 * drawn(few[1], seed + 100),
        "moved copies": move(TRAIN[picked[: few[2]]], seed),
        "averages": average_rows(TRAIN, few[3], of=2, rng=rng),
        "fresh": drawn(few[4], seed + 200),
        "shrunk": 0.7 * drawn(few[5], seed + 300),
        "repeated": drawn(1, seed + 400).repeat(few[6], 1),
    }


def judged(weights: torch.Tensor, *, heldout: bool) -> list[tuple[str, str, str]]:
    """Verdict, kind and reason of every sample."""
    result = audit(
        named(TRAIN, "train"),
        named(weights, "generated"),
        heldout=named(HELDOUT, "heldout") if heldout else None,
        task=task(),
        symmetry=NETWORK.symmetry,
        n_controls=0,
    )
    return [(str(c.origin), c.kind, c.reason) for c in judge(result).checkpoints]


@pytest.mark.parametrize(
    ("seed", "heldout"),
    [
        (0, True),
        (1, False),
        *[
            pytest.param(*case, marks=pytest.mark.integration)
            for case in [(0, False), (1, True), (2, True), (2, False), (3, True), (3, False)]
        ],
    ],
)
def test_a_mixed_folder_is_judged_as_its_parts(seed, heldout):
    kinds = parts(seed)
    order = torch.randperm(sum(map(len, kinds.values())), generator=seeded(seed + 1))
    together = judged(torch.cat([*kinds.values()])[order], heldout=heldout)
    alone = [verdict for part in kinds.values() for verdict in judged(part, heldout=heldout)]
    assert together == [alone[row] for row in order]
    single = judged(kinds["fresh"][:1], heldout=heldout)
    assert single == [alone[sum(map(len, list(kinds.values())[:4]))]]


def test_repetition_counts_among_samples_that_are_not_explained_otherwise():
    fresh = drawn(10, 5)
    averages = average_rows(TRAIN, 10, of=2, rng=seeded(6))
    for beside in ([], [TRAIN[:10], averages]):
        result = audit(
            named(TRAIN, "train"),
            named(torch.cat([*beside, fresh]), "generated"),
            heldout=named(HELDOUT, "heldout"),
            n_controls=0,
        )
        explained = [
            c.origin in (Verdict.REPLICA, Verdict.INTERPOLATION) for c in judge(result).checkpoints
        ]
        np.testing.assert_array_equal(np.isnan(result.p_values["twin_near"]), explained)
        repeated = result.quantity("repeated_share")
        assert repeated.n == len(explained) - sum(explained)
        assert repeated.lower == 0


@pytest.mark.parametrize(
    ("factor", "again", "repeats"), [(0.5, 1, False), (2.0, 1, False), (0.5, 2, True)]
)
def test_repetition_is_measured_at_equal_norm(factor, again, repeats):
    """Independent networks that are smaller lie nearer to each other without being alike."""
    samples = (factor * drawn(24 // again, 7)).repeat(again, 1)
    samples = samples + 0.1 * factor * drawn(24, 8)
    result = audit(
        named(TRAIN, "train"),
        named(samples, "generated"),
        heldout=named(HELDOUT, "heldout"),
        n_controls=0,
    )
    assert (result.quantity("repeated_share").lower > 0) is repeats
