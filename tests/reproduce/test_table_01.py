"""Changes of the generators: what is planned, what is measured, and outcomes of planted tables."""

import numpy as np
import pytest
import torch
from planted import prepared, seeded
from planted_tables import planted, texts
from test_table_02 import NETWORK, Toy, runs

from novelweights.reproduce.exhibits import table_01
from novelweights.reproduce.outcomes import Outcome
from novelweights.reproduce.plan import plan_of
from novelweights.reproduce.reported import little_changed, still_nearer
from novelweights.reproduce.variants import ratings_of

METHODS = ("hyper-representations", "g-pt")


def steps_of(node) -> int:
    return node.inputs["model"].settings["generator"].steps


@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
def test_all_fits_of_a_method_are_as_long_but_where_length_is_the_change(scale):
    plan = plan_of(scale)
    for of in plan.variants.values():
        steps = {name: steps_of(node) for name, node in of.items()}
        assert len(of) == 10
        assert len({node.inputs["zoo"].key for node in of.values()}) == 1
        assert len({node.inputs["model"].key for node in of.values()}) == 10
        assert steps.pop("third-of-epochs") == round(steps["default"] / 3)
        assert steps.pop("half-of-epochs") == round(steps["default"] / 2)
        assert set(steps.values()) == {steps["default"]}


@pytest.mark.parametrize("scale", ["smoke", "paper"])
def test_the_default_is_the_generator_of_the_other_exhibits(scale):
    plan = plan_of(scale)
    for method in METHODS:
        default = plan.variants[method]["default"].inputs
        assert default["model"].folder == plan.methods[method].model.folder
        assert default["samples"].folder == plan.methods[method].samples.folder


def test_ratings_are_accuracy_and_distance_of_each_checkpoint():
    train = runs(torch.randn(6, NETWORK.layout.size, generator=seeded(0)), "train")
    heldout = runs(torch.randn(5, NETWORK.layout.size, generator=seeded(1)), "heldout")
    copies = runs(train.weights[[2, 4]] + 1e-3, "generated")
    given = prepared(train, copies, heldout=heldout, symmetry=NETWORK.symmetry)
    found = ratings_of(given, Toy(), lambda *told: None)
    for kind, population in (("training", train), ("generated", copies), ("heldout", heldout)):
        rows = found[found["kind"] == kind]
        by_hand = Toy().score(Toy().behave(population))
        np.testing.assert_allclose(rows["quality"], by_hand, rtol=1e-12)
    near = found.loc[found["kind"] == "generated", "plain"]
    np.testing.assert_allclose(near, 1e-3 * NETWORK.layout.size**0.5, rtol=1e-4)


def table(distance: float, equal_norm: float, **others: float):
    """Training checkpoints are 10 apart, samples of every fit this near to them; or as `others`."""
    rng, rows = np.random.default_rng(0), []
    for method in METHODS:
        for variant in ("default", *table_01.LABELS):
            near = others.get(variant, distance), others.get(variant, equal_norm)
            for kind in ("training", "generated"):
                plain, scaled = (10.0, 10.0) if kind == "training" else near
                for noise in rng.normal(1, 0.05, 30):
                    row = {"plain": noise * plain, "aligned": noise * plain, "quality": 90.0}
                    row |= {"equal norm": noise * scaled, "kind": kind}
                    rows.append({"method": method, "variant": variant, **row})
    sizes = dict.fromkeys(("default", *table_01.LABELS), 2_345_678)
    told = {"parameters": sizes, "n": {"training": 30, "generated": 30}}
    return planted(rows, dict.fromkeys(METHODS, told))


@pytest.mark.parametrize(
    ("distance", "equal_norm", "outcome"),
    [
        (0.5, 0.5, Outcome.AGREES),
        (0.5, 11.0, Outcome.TOO_SMALL),  # shrinking alone brings them near
        (11.0, 11.0, Outcome.DISAGREES),
    ],
)
def test_outcomes_of_planted_distances(distance, equal_norm, outcome):
    found = table_01.claims(table(distance, equal_norm))
    assert [(row.method, row.outcome) for row in found] == [
        (method, outcome) for method in METHODS for _ in (*table_01.GROUPS, "changes")
    ]


def test_what_a_variant_changes_counts_in_its_group_and_among_the_changes():
    same, other = (
        {row.claim: row.effect.value for row in table_01.claims(one) if row.method == "g-pt"}
        for one in (table(2.0, 2.0), table(2.0, 2.0, shallower=6.0))
    )
    epochs, size, regularization, changes = same
    assert other[epochs] == same[epochs]
    assert other[regularization] == same[regularization]
    assert same[size] - other[size] == pytest.approx(4.0 / 10 / 4, rel=0.05)
    assert same[changes] - other[changes] == pytest.approx(4.0 / 10 / 9, rel=0.1)


def test_the_papers_numbers_are_put_together_by_the_same_rule():
    assert still_nearer("g-pt", ("third-of-epochs", "half-of-epochs")).effect == pytest.approx(
        1 - (2.40 + 2.25) / 2 / 3.64
    )
    changes = [0.15, 0, 0.13, 0.17, 0.26, 1.45, 0.02, 0.88, 0.12]
    assert little_changed("g-pt").effect == pytest.approx((1.39 - np.mean(changes)) / 3.64)


def test_the_picture_has_both_numbers():
    found = texts(table_01, table(0.5, 0.5))
    assert "2.35M (359M)" in found
    assert sum(text.endswith(" (50.0)") for text in found) == 1
    assert sum(text.endswith("(7.93)") for text in found) == 2
