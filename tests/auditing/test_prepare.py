"""What is compared with what, above all where a lossy codec stands between generator and zoo."""

from dataclasses import replace

import numpy as np
import planted
import pytest
import torch
from planted import audit
from refused import noted, refused
from tiny import ALIGNMENT, NETWORK, drawn, move, named

from novelweights.auditing.judge.criteria import Verdict
from novelweights.auditing.judge.verdict import judge
from novelweights.metrics.neighbors import nearest
from novelweights.networks.mlp import OneHiddenMLP
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, Records

pytestmark = pytest.mark.usefixtures("quick")

TRAIN, HELDOUT = named(drawn(24, 1), "train"), named(drawn(24, 2), "heldout")


def through_codec(population):
    """A codec that keeps little: coarse steps, and the output biases are lost."""
    weights = (population.weights * 2).round() / 2
    weights[:, -3:] = 0
    return replace(population, weights=weights)


REFERENCE, HELDOUT_REFERENCE = through_codec(TRAIN), through_codec(HELDOUT)
SAMPLES = named(REFERENCE.weights[[3, 0, 17]], "generated")
"""What a generator that copies gives: training checkpoints as its codec decodes them."""


def prepared(train=TRAIN, heldout=HELDOUT, **options):
    given = {"generated": SAMPLES, "symmetry": NETWORK.symmetry, **options}
    return planted.prepared(train, heldout=heldout, **given)


def reconstructed_audit(samples=SAMPLES, heldout=HELDOUT, **options):
    return audit(
        TRAIN,
        samples,
        heldout=heldout,
        symmetry=NETWORK.symmetry,
        n_controls=0,
        **{
            "reconstructions": REFERENCE,
            "heldout_reconstructions": HELDOUT_REFERENCE if heldout is not None else None,
            **options,
        },
    )


ORIGINALS = "median_distance_generated_originals"


@pytest.mark.parametrize("heldout", [None, HELDOUT])
def test_distances_are_to_the_reconstructions_and_those_to_the_originals_stand_beside(heldout):
    result = reconstructed_audit(heldout=heldout)
    assert result.generated.distance.tolist() == [0, 0, 0]
    assert result.generated.neighbor_rows[:, 0].tolist() == [3, 0, 17]
    own = np.eye(24, dtype=bool)
    weights = REFERENCE.weights
    among = nearest(weights, weights, exclude=own, alignment=ALIGNMENT).distances[:, 0]
    np.testing.assert_array_equal(result.training.distance, among)
    if heldout is not None:
        fresh = nearest(HELDOUT_REFERENCE.weights, weights, alignment=ALIGNMENT).distances[:, 0]
        np.testing.assert_array_equal(result.heldout.distance, fresh)
    beside = result.quantity(ORIGINALS)
    expected = nearest(SAMPLES.weights, TRAIN.weights, alignment=ALIGNMENT).distances
    assert beside.value == np.median(expected) > 0.5
    assert beside.n == 3


def test_copies_through_a_codec_are_seen_only_among_reconstructions():
    samples = named(REFERENCE.weights, "generated")
    assert judge(reconstructed_audit(samples)).counts()["replica"] == 24
    plain = audit(TRAIN, samples, heldout=HELDOUT, symmetry=NETWORK.symmetry, n_controls=0)
    assert (plain.generated.distance > 0.5).all()
    with pytest.raises(KeyError):
        plain.quantity(ORIGINALS)


def test_honest_samples_through_a_codec_are_not_accused_for_it():
    """Whatever a codec gives back lies nearer to its own grid than runs do: not to H through it."""
    samples = through_codec(named(drawn(24, 3), "generated"))
    verdicts = judge(reconstructed_audit(samples))
    assert verdicts.population.origin is Verdict.UNDECIDED
    # among as many held-out runs the number that one leg accuses is geometric (p = 1/2); of three
    # legs together 14 or more with the probability of at most 2 heads in 16 coins, .002
    assert verdicts.counts()["replica"] + verdicts.counts()["interpolation"] < 14


def test_of_the_reconstructions_too_only_the_last_step_of_each_run_counts():
    earlier = named(0.5 * TRAIN.weights, "train", step=3)
    steps = Population(
        torch.cat([earlier.weights, TRAIN.weights]),
        NETWORK.layout,
        Records.join([earlier.records, TRAIN.records]),
        TRAIN.info,
    )
    given = prepared(steps, None, reconstructions=through_codec(steps))
    assert given.training_rows.tolist() == list(range(24, 48))
    assert torch.equal(given.train.weights, REFERENCE.weights)
    assert torch.equal(given.originals.weights, TRAIN.weights)
    assert given.train.records.step.tolist() == [7] * 24


def test_records_are_those_of_the_checkpoints_not_of_the_reconstructions():
    anonymous = named(REFERENCE.weights, "reconstruction", step=0)
    given = prepared(reconstructions=anonymous, heldout_reconstructions=HELDOUT_REFERENCE)
    assert given.train.records.run.tolist() == TRAIN.records.run.tolist()
    assert given.train.records.step.tolist() == [7] * 24


def test_reconstructions_with_parameters_in_another_order_are_put_in_order():
    layout = WeightLayout(tuple(sorted(NETWORK.layout.shapes)))
    assert layout != NETWORK.layout
    given = prepared(
        reconstructions=REFERENCE.in_order_of(layout),
        heldout_reconstructions=HELDOUT_REFERENCE.in_order_of(layout),
    )
    assert torch.equal(given.train.weights, REFERENCE.weights)
    assert torch.equal(given.heldout.weights, HELDOUT_REFERENCE.weights)


def test_all_steps_of_held_out_runs_come_through_the_codec():
    earlier = named(0.5 * HELDOUT.weights, "heldout", step=3)
    steps = Population(
        torch.cat([earlier.weights, HELDOUT.weights]),
        NETWORK.layout,
        Records.join([earlier.records, HELDOUT.records]),
        HELDOUT.info,
    )
    given = prepared(
        heldout=steps, reconstructions=REFERENCE, heldout_reconstructions=through_codec(steps)
    )
    assert torch.equal(given.heldout.weights, HELDOUT_REFERENCE.weights)
    assert torch.equal(given.every_step.weights, through_codec(steps).weights)


def test_without_reconstructions_there_are_no_originals_beside():
    given = prepared()
    assert given.originals is None
    assert torch.equal(given.train.weights, TRAIN.weights)
    assert torch.equal(given.heldout.weights, HELDOUT.weights)


# --- what is refused --------------------------------------------------------------------------


def test_a_wrong_number_of_reconstructions_is_named():
    with refused("other-rows", "reconstructions", 24, "train", "got 23"):
        prepared(
            reconstructions=REFERENCE.select(slice(0, 23)),
            heldout_reconstructions=HELDOUT_REFERENCE,
        )
    with refused("other-rows", "heldout-reconstructions", 24, "got 0"):
        none = HELDOUT_REFERENCE.select([])
        prepared(reconstructions=REFERENCE, heldout_reconstructions=none)


def test_only_one_of_the_two_is_refused_with_the_flag_to_add():
    with refused("wrong-option", "--heldout-reconstructions"):
        prepared(reconstructions=REFERENCE)
    with refused("wrong-option", "--reconstructions"):
        prepared(heldout_reconstructions=HELDOUT_REFERENCE)


def test_reconstructions_of_held_out_runs_that_are_not_there_are_refused():
    with refused("other-rows", "heldout-reconstructions", "0 heldout"):
        prepared(heldout=None, reconstructions=REFERENCE, heldout_reconstructions=HELDOUT_REFERENCE)


@pytest.mark.parametrize("role", ["reconstructions", "heldout_reconstructions"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_infinite_reconstructions_are_named_with_their_row(role, value):
    given = {"reconstructions": REFERENCE, "heldout_reconstructions": HELDOUT_REFERENCE}
    broken = given[role].weights.clone()
    broken[5, 2] = value
    given[role] = replace(given[role], weights=broken)
    with refused("not-finite", role.replace("_", "-"), "row 5 (run ", "-005)"):
        prepared(**given)


def test_reconstructions_of_other_networks_are_refused():
    layout = OneHiddenMLP(5, 3, 3).layout
    other = Population(torch.zeros(24, layout.size), layout, TRAIN.records)
    with refused("other-network", "train", "reconstructions"):
        prepared(reconstructions=other, heldout_reconstructions=HELDOUT_REFERENCE)


def test_a_symmetry_that_cannot_be_exact_is_said_to_be_left_out():
    assert prepared().alignment == ALIGNMENT
    assert prepared().distance.symmetry == "permutations and sign flips of the 4 hidden neurons"
    plain = prepared(symmetry=None)
    assert (plain.alignment, plain.distance.symmetry) == (None, "none")
    assert noted(plain.warnings, "no-symmetry")


def test_moved_copies_through_a_codec_are_found():
    moved = named(move(REFERENCE.weights, 5), "generated")
    assert (reconstructed_audit(moved).generated.distance == 0).all()


@pytest.mark.parametrize(
    ("role", "value", "differs"),
    [("generated", 1.0, False), ("generated", 2.0, True), ("heldout", 2.0, True)],
)
def test_another_rest_of_the_networks_is_told(role, value, differs):
    rest = {"trunk.weight": torch.ones(2, 3)}
    train, others = replace(TRAIN, shared=rest), {"generated": SAMPLES, "heldout": HELDOUT}
    others[role] = replace(others[role], shared={"trunk.weight": value * torch.ones(2, 3)})
    warnings = prepared(train=train, **others).warnings
    assert bool(noted(warnings, "other-rest", "trunk.weight")) is differs
    assert bool(noted(warnings, "other-rest")) is differs
