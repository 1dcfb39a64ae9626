"""Prediction overlaps of planted networks, and the outcomes of planted tables."""

import numpy as np
import pytest
import torch
from planted import prepared
from planted_tables import planted, texts

from novelweights.networks.mlp import OneHiddenMLP
from novelweights.reproduce.exhibits import table_02
from novelweights.reproduce.outcomes import Outcome
from novelweights.reproduce.overlapping import overlaps_of
from novelweights.tasks.task import Measure
from novelweights.weights.population import Population, PopulationInfo, Records
from novelweights.weights.symmetry import random_transform

NETWORK = OneHiddenMLP(inputs=4, hidden=3, classes=3)
PICTURES = torch.randn(40, 4, generator=torch.Generator().manual_seed(5))
CLASSES = torch.arange(40) % 3


class Toy:
    """Predicts with each network by hand."""

    name = "toy"
    quality = Measure("accuracy", "%", higher_is_better=True)
    novelty = Measure("maximum similarity", "", higher_is_better=False)

    def novelty_against(self, behavior, reference, *, exclude=None):
        raise AssertionError("overlaps ask for no novelty")

    def behave(self, population):
        hidden, classes = (4 + 1) * 3, 3
        first = population.weights[:, : 4 * 3].reshape(-1, 3, 4)
        bias = population.weights[:, 12:hidden]
        last = population.weights[:, hidden : hidden + 9].reshape(-1, classes, 3)
        out = population.weights[:, hidden + 9 :]
        inner = torch.relu(torch.einsum("nhi,ei->neh", first, PICTURES) + bias[:, None])
        return (torch.einsum("nch,neh->nec", last, inner) + out[:, None]).argmax(2).byte()

    def score(self, behavior):
        return 100 * (behavior == CLASSES).double().mean(1)


def runs(weights, split):
    records = Records.of([f"{split}-{i}" for i in range(len(weights))], split=split, step=1)
    return Population(weights, NETWORK.layout, records, PopulationInfo(symmetry=NETWORK.symmetry))


def of_kind(found, kind, measure, column="overlap"):
    keep = [
        k == kind and m == measure for k, m in zip(found["kind"], found["measure"], strict=True)
    ]
    return np.array(found[column])[keep]


@pytest.fixture(scope="module")
def found():
    rng = torch.Generator().manual_seed(0)
    train = runs(torch.randn(8, NETWORK.layout.size, generator=rng), "train")
    reordered = random_transform(train.weights[:5], NETWORK.layout, NETWORK.symmetry, rng=rng)
    given = prepared(
        train,
        runs(reordered, "generated"),
        heldout=runs(torch.randn(6, NETWORK.layout.size, generator=rng), "heldout"),
        symmetry=NETWORK.symmetry,
    )
    return train, overlaps_of(given, Toy(), lambda *told: None)


def test_reordered_copies_predict_as_their_nearest_once_aligned(found):
    _, overlaps = found
    assert (of_kind(overlaps, "generated", "aligned") == 1).all()
    assert of_kind(overlaps, "generated", "plain").mean() < 1


def test_training_checkpoints_are_compared_with_their_nearest_other(found):
    train, overlaps = found
    apart = torch.cdist(train.weights.double(), train.weights.double())
    partner = apart.fill_diagonal_(torch.inf).argmin(1)
    predictions = Toy().behave(train)
    expected = (predictions == predictions[partner]).double().mean(1)
    assert of_kind(overlaps, "training", "plain") == pytest.approx(expected.numpy())
    accuracy = 100 * (predictions == CLASSES).double().mean(1)[partner]
    partners = of_kind(overlaps, "training", "plain", "partner_accuracy")
    assert partners == pytest.approx(accuracy.numpy())
    assert len(of_kind(overlaps, "heldout", "aligned")) == 6


def test_of_a_codec_all_reconstructions_count_under_plain_distance():
    rng = torch.Generator().manual_seed(1)
    weights = torch.randn(12, NETWORK.layout.size, generator=rng)
    records = Records.of([f"run-{i // 2}" for i in range(12)], split="train", step=[0, 1] * 6)
    train = Population(weights, NETWORK.layout, records, PopulationInfo(symmetry=NETWORK.symmetry))
    given = prepared(
        train,
        runs(2 * weights[[0, 4]], "generated"),  # reconstructions of first steps
        reconstructions=train.with_weights(2 * weights, split="train"),
        symmetry=NETWORK.symmetry,
    )
    found = overlaps_of(given, Toy(), lambda *told: None)
    assert of_kind(found, "generated", "plain", "row").tolist() == [0, 4]
    assert (of_kind(found, "generated", "plain", "distance") == 0).all()
    assert (of_kind(found, "generated", "aligned", "distance") > 0).all()
    apart = torch.cdist(2 * weights.double(), 2 * weights.double()).fill_diagonal_(torch.inf)
    assert of_kind(found, "training", "plain", "row").tolist() == apart.argmin(1)[1::2].tolist()


def table(more, *, aligned=None):
    """All three methods, whose samples overlap so many points more than training checkpoints."""
    rows = []
    for method in table_02.OVERLAPPING:
        for measure in table_02.MEASURES:
            by = more if measure == "plain" or aligned is None else aligned
            for kind, plus in (("training", 0), ("generated", by), ("heldout", 0)):
                rows += [
                    {
                        "method": method,
                        "kind": kind,
                        "measure": measure,
                        "overlap": 70 + plus + 0.1 * (i % 3),
                        "accuracy": 80.0,
                        "partner_accuracy": 80.0,
                        "least": 60.0,
                    }
                    for i in range(30)
                ]
    return planted(rows, {method: {"data": "digits (here)"} for method in table_02.OVERLAPPING})


@pytest.mark.parametrize(
    ("more", "aligned", "expected"),
    [
        (20, 20, Outcome.AGREES),
        (-5, -5, Outcome.DISAGREES),
        (20, 5, Outcome.TOO_SMALL),
    ],
)
def test_outcome_of_planted_overlaps(more, aligned, expected):
    [claim] = [
        one
        for one in table_02.claims(table(more, aligned=aligned))
        if one.method == "hyper-representations"
    ]
    assert claim.outcome is expected
    assert claim.effect.value == pytest.approx(more)


def test_picture_has_the_papers_numbers_beside_ours():
    said = "\n".join(texts(table_02, table(20)))
    assert "90.1 \u00b1 0.1, n = 30\nleast 60.0 (paper: 98.5%)" in said
    assert "97.9%" in said
