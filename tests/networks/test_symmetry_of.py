"""Tables derived for networks of many families: the groups written by hand, and what they move
tried on random weights, without the code that derives them."""

import json
from dataclasses import replace

import pytest
import torch
from families_by_hand import BY_NAME, each_channel_normalized, table_of
from network_families import FusedAttention
from torch.func import functional_call

from novelweights.networks.symmetry_of import layout_of
from novelweights.weights.canonical import CanonicalForm
from novelweights.weights.continuous import Continuous, Rescaling
from novelweights.weights.rescaled import random_rescaling
from novelweights.weights.symmetry import AxisPart, Flip, NeuronSymmetry, random_element, transform

HEADS = {"qkv", "block.c_attn", "attn.q", "q"} | {
    f"{at}.{i}.{name}" for i in (0, 1) for at, name in (("blocks", "attn"), ("layers", "self_attn"))
}
"""Heads may flip, with their queries, keys, values and what reads them; that is not derived."""


PRODUCTS = {
    **{"vision transformer": 4, "attention unpacked by a new axis": 2},
    **{"GPT": 2, "GPT with torch's attention": 2},
    **{"transformer, grouped queries": 2, "transformer, one key for all queries": 2},
}
"""Of queries with keys, and of values with outputs."""


@pytest.fixture(params=BY_NAME)
def case(request):
    """A family with its table."""
    return BY_NAME[request.param]._replace(table=table_of(request.param))


def random_state(module, rng):
    """A whole state in which no two neurons are alike and nothing saturates."""
    state = {}
    for name, tensor in {**dict(module.named_parameters()), **dict(module.named_buffers())}.items():
        if not tensor.is_floating_point():
            continue
        values = torch.randn(tensor.shape, generator=rng, dtype=torch.float64)
        if tensor.ndim > 1:
            values *= tensor[0].numel() ** -0.5
        state[name] = values if not name.endswith("var") else values.abs() + 0.5
    return state


def outputs_of(module, state, example):
    inputs = example if isinstance(example, tuple) else (example,)
    inputs = tuple(x.double() if x.is_floating_point() else x for x in inputs)
    result = functional_call(module, state, inputs)
    values = result.values() if isinstance(result, dict) else [result]
    flat = [v for value in values for v in (value if isinstance(value, tuple) else [value])]
    return torch.cat([value.flatten() for value in flat if value is not None])


class Trial:
    """A network in float64 with random weights, and its outputs after moves of them."""

    def __init__(self, module, example, rng):
        self.module, self.example = module.double().eval(), example
        self.layout = layout_of(module)
        self.state = random_state(module, rng)
        self.weights = torch.cat([self.state[name].flatten() for name, _ in self.layout.shapes])
        self.before = outputs_of(module, self.state, example)

    def change(self, table, permutations, signs=None):
        """Largest change of an output, relative to the largest output."""
        return self.change_by(
            transform(self.weights[None], self.layout, table, permutations, signs)[0]
        )

    def change_by(self, weights):
        """The same, by these weights."""
        state = {**self.state, **self.layout.unflatten(weights)}
        difference = outputs_of(self.module, state, self.example) - self.before
        return float(difference.abs().max() / self.before.abs().max())


def test_groups_are_those_written_by_hand_and_their_moves_keep_the_outputs(case, rng):
    module, table = case.network(), case.table
    layout = layout_of(module)
    assert table.sizes(layout) == case.groups
    assert table.sign_groups == case.signs
    assert {name: flip.group for name, flip in table.flips.items()} == case.flips
    for _ in range(2):
        trial = Trial(module, case.example, rng)
        assert trial.before.isfinite().all()
        assert trial.change(table, *random_element(1, layout, table, rng=rng)) < 1e-8


def test_continuous_symmetries_keep_the_outputs_and_have_one_canonical_form(case, rng):
    table, trial = case.table, Trial(case.network(), case.example, rng)
    if not table.continuous:
        return
    rescaled = random_rescaling(trial.weights[None], trial.layout, table, rng=rng)
    assert not torch.allclose(rescaled[0], trial.weights, rtol=0.01)
    assert trial.change_by(rescaled[0]) < 1e-8
    form = CanonicalForm.of(trial.layout, table)
    before, after = form.apply(trial.weights[None]), form.apply(rescaled)
    assert float((after - before).norm() / before.norm()) < 1e-5


@pytest.mark.parametrize("name", PRODUCTS)
def test_heads_have_products(name):
    products = table_of(name).continuous.products.values()
    assert len(products) == PRODUCTS[name]
    assert all(product.left and product.right for product in products)
    biased = BY_NAME[name].network is not FusedAttention
    assert sum(len(p.idle) for p in products) == (len(products) // 2 if biased else 0)


@pytest.mark.integration
def test_what_changes_outputs_changes_the_canonical_form(case, rng):
    trial = Trial(case.network(), case.example, rng)
    form = CanonicalForm.of(trial.layout, case.table)
    if form is None:
        return
    before = form.apply(trial.weights[None])
    for name, shape in trial.layout.shapes:
        drawn = trial.weights.clone()
        drawn[trial.layout.slices[name]] = 0.5 + torch.rand(
            torch.Size(shape).numel(), generator=rng, dtype=torch.float64
        )
        if trial.change_by(drawn) > 1e-3:
            change = (form.apply(drawn[None]) - before).norm() / before.norm()
            assert float(change) > 1e-5, name


def test_no_place_of_a_scale_may_be_forgotten(case, rng):
    table, trial = case.table, Trial(case.network(), case.example, rng)
    for name, scale in table.continuous.scales.items():
        for i in range(len(scale.members)):
            some = Rescaling(scale.group, (*scale.members[:i], *scale.members[i + 1 :]))
            if len({member.power for member in some.members}) < 2:
                continue  # refused: one side only
            broken = replace(table, continuous=Continuous({name: some}))
            rescaled = random_rescaling(trial.weights[None], trial.layout, broken, rng=rng)
            assert trial.change_by(rescaled[0]) > 1e-6, (name, i)


def test_no_axis_may_be_forgotten(case, rng):
    table = case.table
    trial = Trial(case.network(), case.example, rng)
    rolled = {group: torch.arange(size).roll(1)[None] for group, size in case.groups.items()}
    for name, axes in table.axes.items():
        for axis, group in enumerate(axes):
            joined = dict(table.joined.get(name, {}))
            if group is None and joined.pop(axis, None) is None:
                continue
            broken = NeuronSymmetry(
                {**table.axes, name: (*axes[:axis], None, *axes[axis + 1 :])},
                blocks=table.blocks,
                joined={**table.joined, name: joined},
            )
            # a normalization of each channel takes off what a bias adds
            is_undone = case.network is each_channel_normalized and name == "conv1.bias"
            # and the bias of keys shifts all scores of a query alike
            is_undone |= name == "attn.k.bias"
            assert trial.change(broken, rolled) > 1e-6 or is_undone, (name, axis)


def test_groups_that_have_no_signs_cannot_flip(case, rng):
    trial = Trial(case.network(), case.example, rng)
    for group in set(case.groups) - case.signs - HEADS:
        sign = torch.ones(1, case.groups[group])
        sign[0, 0] = -1
        # negative variances give no numbers
        assert not trial.change(case.table, {}, {group: sign}) < 1e-6, group


@pytest.mark.parametrize(
    "name",
    [
        *("mlp, one hidden layer", "ResNet with basic blocks", "DenseNet", "LeNet"),
        "convolutional autoencoder",
    ],
)
def test_axes_that_stay_fixed_may_not_move(name, rng):
    table, case = table_of(name), BY_NAME[name]
    trial = Trial(case.network(), case.example, rng)
    for name, shape in trial.layout.shapes:
        for axis, (group, size) in enumerate(zip(table.axes[name], shape, strict=True)):
            if group is None and size > 1 and axis not in table.joined.get(name, {}):
                axes = [None] * len(shape)
                axes[axis] = "more"
                none = {other: (None,) * len(s) for other, s in trial.layout.shapes}
                more = NeuronSymmetry({**none, name: tuple(axes)})
                rolled = {"more": torch.arange(size).roll(1)[None]}
                assert trial.change(more, rolled) > 1e-6, (name, axis)


@pytest.mark.parametrize("forgotten", range(4))
def test_a_flip_needs_filter_bias_scale_and_mean(forgotten, rng):
    name = "VGG with batch normalization"
    table, case = table_of(name), BY_NAME[name]
    flip = table.flips["features.1"]
    assert flip == Flip(
        "features.0",
        ("features.0.weight", "features.0.bias", "features.1.weight", "features.1.running_mean"),
    )
    some = tuple(name for i, name in enumerate(flip.parameters) if i != forgotten)
    broken = NeuronSymmetry(table.axes, flips={"features.1": Flip("features.0", some)})
    signs = {"features.1": torch.tensor([[-1.0, 1, -1, -1]])}
    trial = Trial(case.network(), case.example, rng)
    assert trial.change(table, {}, signs) < 1e-9
    assert trial.change(broken, {}, signs) > 1e-3


def test_queries_that_share_their_keys_are_in_one_product():
    of_groups, of_all = (
        list(table_of(f"transformer, {name}").continuous.products.values())
        for name in ("grouped queries", "one key for all queries")
    )
    assert [(p.group, p.heads, p.block) for p in of_groups] == [("attn.q", 2, 2)] * 2
    assert [(p.group, p.heads, p.block) for p in of_all] == [(None, 1, 2)] * 2
    for name in ("grouped queries", "one key for all queries", "2 heads"):
        table = table_of(f"transformer, {name}")
        assert NeuronSymmetry.from_json(json.loads(json.dumps(table.to_json()))) == table
    for products, shared in ((of_groups, 2), (of_all, 4)):
        repeats = {f.parameter: f.repeat for product in products for f in product.factors}
        assert repeats["attn.q.weight"] == repeats["attn.q.bias"] == shared
        assert repeats["attn.o.weight"] == shared
        assert repeats["attn.k.weight"] == repeats["attn.v.bias"] == 1


def test_heads_are_neurons_of_several_entries():
    table = table_of("vision transformer")
    at = "blocks.0.attn"
    assert table.axes[f"{at}.in_proj_weight"] == (None, "patch")
    assert table.joined[f"{at}.in_proj_weight"] == {0: (AxisPart(at, 6, 3),) * 3}
    assert table.joined[f"{at}.in_proj_bias"] == {0: (AxisPart(at, 6, 3),) * 3}
    assert table.axes[f"{at}.out_proj.weight"] == ("patch", at)
    assert table.blocks[f"{at}.out_proj.weight"] == (1, 3)


def test_joined_channels_have_a_part_for_each_layer():
    joined = table_of("DenseNet").joined
    parts = [AxisPart("stem", 4), *(AxisPart(f"convs.{i}", 3) for i in range(3))]
    assert joined["fc.weight"] == {1: tuple(parts)}
    for i in (1, 2):
        assert joined[f"norms.{i}.running_var"] == {0: tuple(parts[: i + 1])}
        assert joined[f"convs.{i}.weight"] == {1: tuple(parts[: i + 1])}


def test_whole_groups_of_a_grouped_convolution_move():
    table = table_of("ResNeXt, three groups of two channels")
    assert table.axes["conv2.weight"] == ("conv1", None, None, None)
    assert table.blocks["conv2.weight"] == (2, 1, 1, 1)
    assert table.axes["conv3.weight"] == ("stem", "conv1", None, None)
    assert table.blocks["conv3.weight"] == (1, 2, 1, 1)


def test_what_is_not_used_or_constant_is_fixed():
    table = table_of("two inputs, several outputs")
    assert table.axes["unused.weight"] == (None, None)
    assert table.axes["shared.weight"] == ("left", "left")
    assert table_of("GPT").axes["block.bias"] == (None,) * 4
    assert "head.weight" not in table_of("GPT with tied embedding").axes  # it is wte.weight
