"""One source is one source: copies that drifted, copies with a layer of their own, scaled runs."""

import pytest
import torch
from planted import audit, seeded
from torch import Tensor

from novelweights.auditing.judge.verdict import judge
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, Records

LAYOUT = WeightLayout((("conv.weight", (16, 25)), ("norm.weight", (6,)), ("fc.weight", (10, 16))))


def drawn(n: int, seed: int) -> Tensor:
    """Independent networks whose scales of a normalization hardly differ."""
    rng = seeded(seed)
    gains = 1 + 0.05 * torch.randn(n, 1, generator=rng) + 0.01 * torch.randn(n, 6, generator=rng)
    ends = torch.randn(n, 400, generator=rng), torch.randn(n, 160, generator=rng)
    return torch.cat([ends[0], gains, ends[1]], dim=1)


def named(weights: Tensor, split: str) -> Population:
    """Weights as the last checkpoints of runs."""
    return Population(
        weights, LAYOUT, Records.of([f"{split}-{i}" for i in range(len(weights))], split=split)
    )


TRAIN, HELDOUT = drawn(60, 1), drawn(50, 2)


def drifted() -> Tensor:
    """Copies trained further: every layer moves a little, and all scales grow, as they do."""
    copies = TRAIN[:8] + 0.2 * torch.randn(8, LAYOUT.size, generator=seeded(3))
    copies[:, 400:406] = TRAIN[:8, 400:406] + 0.5
    return copies


def retrained(columns: slice) -> Tensor:
    """Copies with a layer of their own."""
    copies = TRAIN[:8].clone()
    copies[:, columns] = drawn(8, 4)[:, columns]
    return copies


FC, CONV = slice(406, 566), slice(400)


@pytest.mark.parametrize(
    ("samples", "verdict"),
    [
        (drifted(), "replica"),
        (retrained(FC), "replica partial copy"),
        (retrained(CONV), "undecided partial copy"),
        (torch.cat([TRAIN[:8, :406], TRAIN[20:28, 406:]], dim=1), "interpolation mosaic"),
        (2 * drawn(8, 5), "undecided"),
        (0.5 * drawn(8, 5), "undecided"),
    ],
    ids=["drifted", "head", "body", "mosaic", "scaled up", "scaled down"],
)
def test_who_a_sample_is_made_of_decides(samples, verdict):
    result = audit(
        named(TRAIN, "train"),
        named(samples, "sample"),
        heldout=named(HELDOUT, "heldout"),
        n_controls=0,
    )
    verdicts = judge(result).checkpoints
    assert {f"{one.origin} {one.kind}".strip() for one in verdicts} == {verdict}
    if verdict != "undecided":
        assert all(f"train-{i}" in one.reason for i, one in enumerate(verdicts))
