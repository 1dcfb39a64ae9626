"""What the autoencoder gives back: planted tables for each outcome, and pictures of them."""

import numpy as np
import pytest
from planted_tables import planted, texts

from novelweights.reproduce.exhibits import figure_03, figure_09
from novelweights.reproduce.outcomes import Outcome, mean_of

ABOUT = {figure_09.METHOD: {"reordered": ["c1", "c2"], "flipped": ["d1"]}}


def lowered(by, spread=0.1):
    return planted(
        [
            {
                "split": split,
                "run": f"run-{i}",
                "accuracy": 65.0 + i % 3,
                "other_accuracy": 65.0 + i % 3 - by + spread * (-1) ** i,
            }
            for split in figure_03.SPLITS
            for i in range(30)
        ]
    )


def moved(points, similarity, *, has_flips=True):
    kinds = [kind for kind in figure_09.KINDS if has_flips or kind != "sign-flipped"]
    return planted(
        [
            {
                "split": split,
                "kind": str(kind),
                "run": f"run-{i}",
                "other": f"run-{i}",
                "accuracy_difference": points + 0.1 * (i % 3),
                "error_similarity": similarity - 0.01 * (i % 3),
            }
            for split in figure_03.SPLITS
            for kind in kinds
            for i in range(30)
        ],
        ABOUT,
    )


@pytest.mark.parametrize(
    ("by", "spread", "expected"),
    [
        (14, 0.1, Outcome.AGREES),
        (2, 0.1, Outcome.DISAGREES),
        (-5, 0.1, Outcome.DISAGREES),
        (6, 40, Outcome.TOO_SMALL),
    ],
)
def test_outcome_of_planted_reconstructions(by, spread, expected):
    [claim] = figure_03.claims(lowered(by, spread))
    assert claim.outcome is expected
    assert claim.effect.value == pytest.approx(by)
    assert claim.effect.n == 30


def test_outcomes_of_planted_moves():
    found = {claim.claim: claim.outcome for claim in figure_09.claims(moved(6, 0.6))}
    assert len(found) == 4
    assert found["reconstructions of permuted networks differ in accuracy"] is Outcome.AGREES
    assert found["reconstructions of permuted networks make other errors"] is Outcome.AGREES
    few = "reconstructions of sign-flipped networks make other errors"
    assert found[few] is Outcome.AGREES
    alike = {claim.claim: claim.outcome for claim in figure_09.claims(moved(0.1, 0.99))}
    assert set(alike.values()) == {Outcome.DISAGREES}


def test_networks_without_odd_activations_have_no_flips():
    table = moved(6, 0.6, has_flips=False)
    assert len(figure_09.claims(table)) == 2
    assert texts(figure_09, table)


def test_pictures_name_numbers_and_places():
    said = texts(figure_03, lowered(14))
    assert "training, n = 30 runs" in said
    assert any("(paper: 51.3%)" in text for text in said)
    said = texts(figure_09, moved(6, 0.6))
    assert any("permuted in c1, c2; signs flipped in d1" in text for text in said)
    assert "held-out, n = 30 networks" in said


def test_the_interval_of_a_mean_is_that_of_its_standard_error():
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    found = mean_of(values, "here")
    assert found.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert found.upper - found.value == pytest.approx(half, rel=0.1)
    assert found.value - found.lower == pytest.approx(half, rel=0.1)
