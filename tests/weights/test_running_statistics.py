"""Roles that hold different running statistics are brought to the same ones."""

import torch

from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, Records
from novelweights.weights.running_statistics import held_by_all
from novelweights.weights.symmetry import NeuronSymmetry

LEARNED = (("norm.weight", (2,)), ("out.weight", (3, 2)))
MEAN, VARIANCE = ("norm.running_mean", (2,)), ("norm.running_var", (2,))
BOTH = (MEAN[0], VARIANCE[0])


def population(*statistics, n=4, shared=None, same=False) -> Population:
    layout = WeightLayout((*LEARNED, *statistics))
    weights = torch.randn(1 if same else n, layout.size).expand(n, -1).clone()
    weights[:, :8] += torch.randn(n, 8)
    return Population(
        weights, layout, Records.of([f"{i}" for i in range(n)], split="train"), shared=shared
    )


def test_roles_that_hold_the_same_stay_as_they_are():
    roles = {"train": population(MEAN, VARIANCE), "generated": population(VARIANCE, MEAN)}
    made, left = held_by_all(roles)
    assert made == roles
    assert not left.names
    nothing = {"train": population(), "generated": population()}
    assert held_by_all(nothing) == (nothing, left)


def test_what_one_role_lacks_is_left_out_for_all():
    roles = {
        "train": population(MEAN, VARIANCE),
        "heldout": population(MEAN, VARIANCE),
        "generated": population(MEAN),
    }
    made, left = held_by_all(roles)
    assert (left.names, left.lacking, left.unknown) == (BOTH[1:], ("generated",), BOTH[1:])
    for role, one in made.items():
        assert one.layout.shapes == (*LEARNED, MEAN)
        assert torch.equal(one.learned, roles[role].learned)
        assert one.shared is None
    assert BOTH[1] in left.note().text
    assert left.refusal().code == "other-network"


def test_statistics_of_training_that_are_all_the_same_are_shared():
    train = population(MEAN, VARIANCE, same=True)
    made, left = held_by_all({"train": train, "generated": population()})
    assert (left.names, left.unknown) == (BOTH, ())
    shared = made["train"].shared
    assert shared is not None
    assert torch.equal(shared[MEAN[0]], train.weights[0, 8:10])
    assert torch.equal(shared[VARIANCE[0]], train.weights[0, 10:])


def test_a_rest_that_is_given_stands_in():
    rest = {MEAN[0]: torch.ones(2)}
    roles = {"train": population(MEAN), "generated": population(shared=rest)}
    made, left = held_by_all(roles)
    assert not left.unknown
    assert made["train"].shared == rest


def test_what_only_networks_from_scratch_hold_is_not_missing():
    roles = {"train": population(), "from_scratch": population(MEAN)}
    assert held_by_all(roles) == (roles, held_by_all({"train": population()})[1])


def test_the_symmetry_says_no_more_than_what_is_left():
    axes = {"norm.weight": ("h",), "out.weight": (None, "h"), BOTH[0]: ("h",)}
    train = population(MEAN)
    object.__setattr__(train, "info", type(train.info)(symmetry=NeuronSymmetry(axes)))
    made, _ = held_by_all({"train": train, "generated": population()})
    found = made["train"].info.symmetry
    assert found is not None
    assert set(found.axes) == {"norm.weight", "out.weight"}
