import dataclasses
import itertools

import pytest
import torch

from novelweights.networks.mlp import OneHiddenMLP
from novelweights.weights.continuous import Continuous
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import (
    AxisPart,
    Flip,
    NeuronSymmetry,
    one_hidden_layer,
    random_transform,
    transform,
)


def networks(activation):
    network = OneHiddenMLP(5, 4, 3, activation)
    rng = torch.Generator().manual_seed(0)
    weights = torch.randn(6, network.layout.size, generator=rng)
    return network, weights, torch.randn(20, 5, generator=rng)


def largest_change(network, before, after, x):
    return float((network.forward(before, x) - network.forward(after, x)).abs().max())


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_permuted_neurons_compute_the_same_function(activation, rng):
    network, weights, x = networks(activation)
    moved = random_transform(weights, network.layout, network.symmetry, rng=rng)
    assert (moved != weights).any(dim=1).sum() >= 4  # one in 24 permutations moves nothing
    assert largest_change(network, weights, moved, x) < 1e-5


def test_flipped_neurons_compute_the_same_function_only_if_the_activation_is_odd(rng):
    signs = {"h": torch.tensor([[1.0, -1, -1, 1]]).expand(6, 4)}
    for activation, limit in (("tanh", True), ("relu", False)):
        network, weights, x = networks(activation)
        assert ("h" in network.symmetry.sign_groups) is limit
        moved = transform(weights, network.layout, network.symmetry, {}, signs)
        assert (largest_change(network, weights, moved, x) < 1e-5) is limit


@pytest.mark.parametrize("forgotten", ["hidden.weight", "hidden.bias", "out.weight"])
@pytest.mark.parametrize("move", ["permute", "flip"])
def test_moving_all_but_one_axis_changes_the_function(forgotten, move):
    network, weights, x = networks("tanh")
    axes = dict(network.symmetry.axes)
    axes[forgotten] = tuple(None for _ in axes[forgotten])
    broken = NeuronSymmetry(axes, frozenset({"h"}))
    permutation = {"h": torch.tensor([[1, 2, 3, 0]]).expand(6, 4)} if move == "permute" else {}
    signs = {"h": -torch.ones(6, 4)} if move == "flip" else None
    moved = transform(weights, network.layout, broken, permutation, signs)
    assert largest_change(network, weights, moved, x) > 0.1


def test_a_permutation_says_where_each_new_neuron_comes_from():
    layout = WeightLayout((("w", (3, 1)), ("b", (3,)), ("v", (1, 3))))
    symmetry = NeuronSymmetry({"w": ("h", None), "b": ("h",), "v": (None, "h")}, frozenset({"h"}))
    weights = torch.tensor([[1.0, 2, 3, 4, 5, 6, 7, 8, 9]])
    permutation = {"h": torch.tensor([[2, 0, 1]])}
    assert transform(weights, layout, symmetry, permutation).tolist() == [
        [3, 1, 2, 6, 4, 5, 9, 7, 8]
    ]
    signs = {"h": torch.tensor([[-1.0, 1, 1]])}
    assert transform(weights, layout, symmetry, permutation, signs).tolist() == [
        [-3, 1, 2, -6, 4, 5, -9, 7, 8]
    ]


def test_every_permutation_and_sign_is_drawn_about_equally_often(rng):
    layout = WeightLayout((("w", (3,)),))
    symmetry = NeuronSymmetry({"w": ("h",)}, frozenset({"h"}))
    weights = torch.tensor([[1.0, 2.0, 3.0]]).expand(9600, 3)
    drawn = random_transform(weights, layout, symmetry, rng=rng)
    seen, counts = drawn.unique(dim=0, return_counts=True)
    expected = {
        tuple(s * v for s, v in zip(signs, order, strict=True))
        for order in itertools.permutations((1.0, 2.0, 3.0))
        for signs in itertools.product((-1, 1), repeat=3)
    }
    assert {tuple(row) for row in seen.tolist()} == expected
    # 48 moves, 200 draws each: a standard deviation of 14
    assert counts.min() > 130
    assert counts.max() < 270


def test_a_network_with_two_hidden_layers_moves_both_groups(rng):
    layout = WeightLayout((("a", (4, 3)), ("b", (5, 4)), ("c", (2, 5))))
    symmetry = NeuronSymmetry({"a": ("h1", None), "b": ("h2", "h1"), "c": (None, "h2")})
    weights = torch.randn(7, layout.size, generator=rng)
    moved = random_transform(weights, layout, symmetry, rng=rng)
    x = torch.randn(3, generator=rng)

    def outputs(rows):
        state = layout.unflatten(rows)
        return torch.stack(
            [c @ (b @ (a @ x).relu()).relu() for a, b, c in zip(*state.values(), strict=True)]
        )

    assert torch.allclose(outputs(weights), outputs(moved), atol=1e-5)
    assert not torch.allclose(weights, moved, atol=0.1)


def test_json_round_trip():
    symmetry = OneHiddenMLP(5, 4, 3, "tanh").symmetry
    assert NeuronSymmetry.from_json(symmetry.to_json()) == symmetry
    assert NeuronSymmetry.from_json({"axes": {"w": ["h", None]}}) == NeuronSymmetry(
        {"w": ("h", None)}
    )


FLATTENED = WeightLayout((("conv", (3, 2, 2)), ("dense", (2, 12))))
CHANNELS = NeuronSymmetry(
    {"conv": ("c", None, None), "dense": (None, "c")}, frozenset({"c"}), {"dense": (1, 4)}
)


def test_the_pixels_of_a_flattened_channel_move_and_flip_together(rng):
    # three channels of 2x2 pixels, flattened: any function of the pixels of each channel
    weights = torch.randn(5, FLATTENED.size, generator=rng)
    pixels = torch.randn(4, 2, 2, generator=rng)

    def outputs(rows):
        state = FLATTENED.unflatten(rows)
        channels = torch.einsum("nkij,pij->nkp", state["conv"], pixels).flatten(1)
        return torch.einsum("noi,ni->no", state["dense"], channels)

    moved = random_transform(weights, FLATTENED, CHANNELS, rng=rng)
    assert torch.allclose(outputs(weights), outputs(moved), atol=1e-5)
    assert not torch.allclose(weights, moved, atol=0.1)
    one = CHANNELS.only(["dense"])
    assert one.sizes(WeightLayout((("dense", (2, 12)),))) == {"c": 3}


def test_blocks_survive_json_and_must_fit():
    assert NeuronSymmetry.from_json(CHANNELS.to_json()) == CHANNELS
    with pytest.raises(ValueError, match="12 entries in blocks of 5 are not the 3 neurons"):
        NeuronSymmetry(CHANNELS.axes, blocks={"dense": (1, 5)}).sizes(FLATTENED)
    with pytest.raises(ValueError, match="dense has 2 axes, its blocks 1"):
        NeuronSymmetry(CHANNELS.axes, blocks={"dense": (4,)}).sizes(FLATTENED)


def test_a_table_that_does_not_fit_the_layout_is_a_mistake():
    layout = WeightLayout((("w", (3, 2)), ("b", (4,))))
    with pytest.raises(ValueError, match="not one network"):
        NeuronSymmetry({"w": ("h", None)}).sizes(layout)
    with pytest.raises(ValueError, match="w has 2 axes, the table says 1"):
        NeuronSymmetry({"w": ("h",), "b": (None,)}).sizes(layout)
    with pytest.raises(
        ValueError, match="b: 4 entries in blocks of 1 are not the 3 neurons of group h"
    ):
        NeuronSymmetry({"w": ("h", None), "b": ("h",)}).sizes(layout)
    assert NeuronSymmetry({"w": ("h", "i"), "b": (None,)}).sizes(layout) == {"h": 3, "i": 2}


def test_a_hidden_layer_is_recognized_by_its_shapes():
    layout = OneHiddenMLP(5, 4, 3, "relu").layout
    known = OneHiddenMLP(5, 4, 3, "relu").symmetry  # the activation does not show in a layout
    assert one_hidden_layer(layout) == dataclasses.replace(known, continuous=Continuous())
    renamed = WeightLayout(tuple((f"net.{n}", shape) for n, shape in layout.shapes))
    found = one_hidden_layer(renamed)
    assert found is not None
    assert found.axes["net.out.weight"] == (None, "h")
    shapes = dict(layout.shapes)
    for name, shape in [("hidden.bias", (5,)), ("out.weight", (3, 5)), ("out.bias", (4,))]:
        other = WeightLayout(tuple({**shapes, name: shape}.items()))
        assert one_hidden_layer(other) is None
    assert one_hidden_layer(WeightLayout(layout.shapes[:2])) is None


def test_concatenated_channels_move_with_the_group_of_each_part(rng):
    # y = C [relu(A x), x, relu(B x)]: the columns of C are three parts
    layout = WeightLayout((("a", (4, 3)), ("b", (2, 3)), ("c", (5, 9))))
    parts = (AxisPart("h", 4), AxisPart(None, 3), AxisPart("k", 2))
    symmetry = NeuronSymmetry(
        {"a": ("h", None), "b": ("k", None), "c": (None, None)}, joined={"c": {1: parts}}
    )
    assert symmetry.sizes(layout) == {"h": 4, "k": 2}
    weights = torch.randn(6, layout.size, generator=rng)
    x = torch.randn(3, generator=rng)

    def outputs(rows):
        a, b, c = layout.unflatten(rows).values()
        inside = torch.cat([(a @ x).relu(), x.expand(len(rows), 3), (b @ x).relu()], dim=1)
        return torch.einsum("noi,ni->no", c, inside)

    moved = random_transform(weights, layout, symmetry, rng=rng)
    assert torch.allclose(outputs(weights), outputs(moved), atol=1e-5)
    assert not torch.allclose(weights, moved, atol=0.1)
    assert NeuronSymmetry.from_json(symmetry.to_json()) == symmetry
    assert symmetry.only(["c"]).sizes(WeightLayout((("c", (5, 9)),))) == {"h": 4, "k": 2}
    wrong = NeuronSymmetry(symmetry.axes, joined={"c": {1: parts[:2]}})
    with pytest.raises(ValueError, match="do not add up to its 9"):
        wrong.sizes(layout)


NORMALIZED = WeightLayout(
    (("filter", (4, 3)), ("mean", (4,)), ("variance", (4,)), ("scale", (4,)), ("out", (2, 4)))
)
NORMALIZED_AXES = {
    "filter": ("c", None),
    "mean": ("c",),
    "variance": ("c",),
    "scale": ("c",),
    "out": (None, "c"),
}


@pytest.mark.parametrize("forgotten", [None, "filter", "mean", "scale"])
def test_a_normalization_undoes_the_flip_of_filter_mean_and_scale(forgotten, rng):
    flipping = tuple(name for name in ("filter", "mean", "scale") if name != forgotten)
    symmetry = NeuronSymmetry(NORMALIZED_AXES, flips={"norm": Flip("c", flipping)})
    weights = torch.randn(6, NORMALIZED.size, generator=rng)
    NORMALIZED.unflatten(weights)["variance"].abs_()
    x = torch.randn(3, generator=rng)

    def outputs(rows):
        a, mean, variance, scale, out = NORMALIZED.unflatten(rows).values()
        normed = scale * (a @ x - mean) / (variance + 1e-5).sqrt()
        return torch.einsum("noi,ni->no", out, normed.relu())

    moved = random_transform(weights, NORMALIZED, symmetry, rng=rng)
    assert torch.allclose(outputs(weights), outputs(moved), atol=1e-4) is (forgotten is None)
    assert NeuronSymmetry.from_json(symmetry.to_json()) == symmetry
    assert symmetry.only(["mean"]).flips == (
        {} if forgotten == "mean" else {"norm": Flip("c", ("mean",))}
    )


def test_a_flip_must_be_of_parameters_that_its_group_counts():
    with pytest.raises(ValueError, match="flip norm: out; expected parameters whose first axis"):
        NeuronSymmetry(NORMALIZED_AXES, flips={"norm": Flip("c", ("mean", "out"))}).sizes(
            NORMALIZED
        )
