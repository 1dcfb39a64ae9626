"""Distances to the nearest training checkpoint, of populations of known origin."""

import numpy as np
import pandas as pd
import pytest
import torch
from planted import seeded
from planted_tables import planted, texts

from novelweights.auditing.prepare import AuditInputs
from novelweights.networks.mlp import OneHiddenMLP
from novelweights.reproduce import comparing
from novelweights.reproduce.comparing import distances, read_distances
from novelweights.reproduce.exhibits import figure_04
from novelweights.reproduce.outcomes import Outcome
from novelweights.weights.population import Population, PopulationInfo, Records
from novelweights.weights.symmetry import random_transform

NETWORK = OneHiddenMLP(8, 5, 3)


def population(n: int, split: str, seed: int, scale: float = 1.0) -> Population:
    weights = scale * torch.randn(n, NETWORK.layout.size, generator=seeded(seed))
    records = Records.of([f"{split}-{i}" for i in range(n)], split=split, step=1)
    return Population(weights, NETWORK.layout, records, PopulationInfo("planted", {}, NETWORK.name))


TRAIN, HELDOUT = population(20, "train", 1), population(12, "heldout", 2)


def measured(monkeypatch, folder, generated: Population) -> dict[str, dict[str, np.ndarray]]:
    given = AuditInputs(
        train=TRAIN, generated=generated, heldout=HELDOUT, symmetry=NETWORK.symmetry
    )
    monkeypatch.setattr(comparing, "audit_inputs", lambda at: given)
    distances(folder, {}, lambda *told: None)
    return read_distances(folder)


def test_plain_distances_are_those_of_every_pair(monkeypatch, tmp_path):
    found = measured(monkeypatch, tmp_path, HELDOUT)
    pairs = (HELDOUT.weights[:, None].double() - TRAIN.weights[None].double()).norm(dim=2)
    np.testing.assert_allclose(found["heldout"]["plain"], pairs.min(dim=1).values, rtol=1e-12)
    np.testing.assert_array_equal(found["generated"]["plain"], found["heldout"]["plain"])
    among = (TRAIN.weights[:, None].double() - TRAIN.weights[None].double()).norm(dim=2)
    among.fill_diagonal_(np.inf)
    np.testing.assert_allclose(found["training"]["plain"], among.min(dim=1).values, rtol=1e-12)


def test_reordered_copies_are_near_when_aligned(monkeypatch, tmp_path):
    moved = random_transform(TRAIN.weights[:6], NETWORK.layout, NETWORK.symmetry, rng=seeded(3))
    made = population(6, "generated", 0)
    copies = Population(moved, made.layout, made.records, made.info)
    found = measured(monkeypatch, tmp_path, copies)["generated"]
    assert found["plain"].min() > 1
    assert found["aligned"].max() < 1e-5


def test_what_is_only_smaller_is_no_nearer_at_equal_norm(monkeypatch, tmp_path):
    found = measured(monkeypatch, tmp_path, population(12, "generated", 4, scale=0.5))
    medians = {
        (kind, measure): np.median(found[kind][measure])
        for kind in found
        for measure in ("aligned", "equal norm")
    }
    assert medians["generated", "aligned"] < 0.9 * medians["heldout", "aligned"]
    assert medians["generated", "equal norm"] == pytest.approx(
        medians["heldout", "equal norm"], rel=0.1
    )


def table_of(generated: float, at_norm: float):
    """Distances of all methods: training about 4, samples about these."""
    rows = []
    for method in ("hyper-representations", "g-pt", "hyperdiffusion", "p-diff"):
        for kind, (plain, equal) in {
            "generated": (generated, at_norm),
            "training": (4.0, 4.0),
            "heldout": (4.1, 4.1),
        }.items():
            jitter = np.linspace(0.95, 1.05, 30)
            rows.append(
                pd.DataFrame(
                    {"method": method, "kind": kind, "plain": plain * jitter}
                    | {"aligned": plain * jitter, "equal norm": equal * jitter}
                )
            )
    return planted(pd.concat(rows).to_dict("records"))


@pytest.mark.parametrize(
    ("generated", "at_norm", "outcome"),
    [
        (0.5, 0.5, Outcome.AGREES),
        (0.5, 4.0, Outcome.TOO_SMALL),  # only smaller
        (3.9, 3.9, Outcome.DISAGREES),
    ],
)
def test_claims_ask_for_nearness_at_equal_norm_too(generated, at_norm, outcome):
    claims = figure_04.claims(table_of(generated, at_norm))
    assert [claim.method for claim in claims] == ["hyper-representations", "g-pt", "hyperdiffusion"]
    assert {claim.outcome for claim in claims} == {outcome}


def test_the_picture_names_methods_counts_and_measures():
    found = texts(figure_04, table_of(0.5, 0.5))
    for expected in (
        "G.pt",
        "P-diff",
        "held-out, n = 30",
        "distance, aligned",
        "distance, equal norm",
    ):
        assert expected in found
