"""The canonical form: the same for all disguises, and still the same network."""

import dataclasses
import json

import pytest
import torch
from scipy.optimize import minimize
from torch.nn import functional as F

from novelweights.networks.mlp import DeepMLP, OneHiddenMLP
from novelweights.networks.resnet import ResNet18
from novelweights.weights.canonical import CanonicalForm
from novelweights.weights.continuous import (
    Continuous,
    Factor,
    Normalization,
    Product,
    Rescaling,
    Scaled,
    Shift,
)
from novelweights.weights.layout import WeightLayout
from novelweights.weights.rescaled import random_rescaling
from novelweights.weights.symmetry import NeuronSymmetry, random_element, transform

CHAIN = DeepMLP(3, (5, 4), 2)
CHAIN_LAYOUT, CHAIN_TABLE = CHAIN.layout, CHAIN.symmetry


def chain(weights, x):
    """Probabilities of one ReLU chain."""
    return CHAIN.forward(weights[None], x)[0].softmax(dim=-1)


def relative(one, other):
    return float(((one - other).norm(dim=1) / other.norm(dim=1)).max())


@pytest.fixture
def weights(rng):
    return torch.randn(20, CHAIN_LAYOUT.size, generator=rng)


def test_all_disguises_have_one_form_and_it_is_the_same_network(weights, rng):
    form = CanonicalForm.of(CHAIN_LAYOUT, CHAIN_TABLE)
    moved = random_rescaling(weights, CHAIN_LAYOUT, CHAIN_TABLE, rng=rng)
    assert relative(moved, weights) > 0.5
    assert relative(form.apply(moved), form.apply(weights)) < 1e-6
    assert relative(form.apply(form.apply(weights)), form.apply(weights)) < 1e-6
    x = torch.randn(50, 3, generator=rng)
    for before, after in zip(weights, form.apply(weights), strict=True):
        assert torch.allclose(chain(after, x), chain(before, x), atol=1e-5)
    assert form.describe() == "scales of neurons and shifts of all outputs"


def test_other_networks_have_another_form(weights, rng):
    form = CanonicalForm.of(CHAIN_LAYOUT, CHAIN_TABLE)
    forms = form.apply(weights)
    apart = torch.cdist(forms, forms).fill_diagonal_(torch.inf)
    assert apart.min() > 0.5 * forms.norm(dim=1).median()
    noisy = form.apply(weights + 0.01 * torch.randn(weights.shape, generator=rng))
    assert relative(noisy, forms) < 0.1  # near stays near


def test_scales_make_the_sum_of_squares_the_smallest(weights):
    table = dataclasses.replace(CHAIN_TABLE, continuous=Continuous(CHAIN_TABLE.continuous.scales))
    form = CanonicalForm.of(CHAIN_LAYOUT, table)
    state = {k: v.double() for k, v in CHAIN_LAYOUT.unflatten(weights[0]).items()}

    def squares(logs):
        one, two = (torch.as_tensor(part).exp() for part in (logs[:5], logs[5:]))
        moved = [
            one[:, None] * state["layers.0.weight"],
            one * state["layers.0.bias"],
            two[:, None] * state["layers.1.weight"] / one,
            two * state["layers.1.bias"],
            state["layers.2.weight"] / two,
            state["layers.2.bias"],
        ]
        return float(sum(part.square().sum() for part in moved))

    best = minimize(squares, [0.0] * 9, method="BFGS", options={"gtol": 1e-8})
    assert form.apply(weights[:1]).square().sum() == pytest.approx(best.fun, rel=1e-6)


def test_reordered_neurons_stay_reordered(weights, rng):
    form = CanonicalForm.of(CHAIN_LAYOUT, CHAIN_TABLE)
    order, _ = random_element(20, CHAIN_LAYOUT, CHAIN_TABLE, rng=rng)
    moved = transform(weights, CHAIN_LAYOUT, CHAIN_TABLE, order)
    again = transform(form.apply(weights), form.layout, form.symmetry, order)
    assert relative(form.apply(moved), again) < 1e-6
    assert not form.symmetry.continuous


@pytest.mark.parametrize("dead", ["written with zeros", "read with zeros"])
def test_neurons_without_effect_are_zero_on_both_sides(weights, dead):
    form = CanonicalForm.of(CHAIN_LAYOUT, CHAIN_TABLE)
    state = CHAIN_LAYOUT.unflatten(weights)
    if dead == "written with zeros":
        state["layers.0.weight"][:, 2], state["layers.0.bias"][:, 2] = 0, 0
    else:
        state["layers.1.weight"][:, :, 2] = 0
    flat = torch.cat([state[name].flatten(1) for name, _ in CHAIN_LAYOUT.shapes], dim=1)
    after = form.layout.unflatten(form.apply(flat))
    assert not after["layers.0.weight"][:, 2].any()
    assert not after["layers.0.bias"][:, 2].any()
    assert not after["layers.1.weight"][:, :, 2].any()
    assert bool(after["layers.0.weight"][:, 1].any())
    x = torch.randn(9, 3)
    assert torch.allclose(chain(form.apply(flat)[0], x), chain(flat[0], x), atol=1e-5)


def test_weights_between_the_neurons_of_one_group(rng):
    """x + W x feels the scale of a neuron as it is written and as it is read."""
    layout = WeightLayout((("in", (4, 3)), ("w", (4, 4)), ("out", (2, 4))))
    members = Scaled("in", 0, 1), Scaled("w", 0, 1), Scaled("w", 1, -1), Scaled("out", 1, -1)
    table = NeuronSymmetry(
        {"in": ("h", None), "w": ("h", "h"), "out": (None, "h")},
        continuous=Continuous({"h": Rescaling("h", members)}),
    )
    form = CanonicalForm.of(layout, table)
    weights = torch.randn(30, layout.size, generator=rng)
    moved = random_rescaling(weights, layout, table, rng=rng)
    assert relative(form.apply(moved), form.apply(weights)) < 1e-6
    state = form.layout.unflatten(form.apply(weights).double())
    written = state["in"].square().sum(2) + state["w"].square().sum(2)
    read = state["out"].square().sum(1) + state["w"].square().sum(1)
    assert torch.allclose(written, read, rtol=1e-4)


NORM = Normalization(("f", "g"), "scale", "shift", "mean", "var", 1e-3)
NORM_LAYOUT = WeightLayout(
    (
        ("f", (3, 4)),
        ("g", (3,)),
        ("scale", (3,)),
        ("shift", (3,)),
        ("mean", (3,)),
        ("var", (3,)),
    )
)
NORM_TABLE = NeuronSymmetry(
    {name: ("c", None)[: len(shape)] for name, shape in NORM_LAYOUT.shapes},
    continuous=Continuous(normalizations={"bn": NORM}),
)


def normalized(weights, x):
    state = NORM_LAYOUT.unflatten(weights)
    value = F.linear(x, state["f"], state["g"])
    return F.batch_norm(
        value, state["mean"], state["var"], state["scale"], state["shift"], eps=1e-3
    )


def test_normalizations_are_folded_into_their_filters(rng):
    form = CanonicalForm.of(NORM_LAYOUT, NORM_TABLE)
    weights = torch.rand(10, NORM_LAYOUT.size, generator=rng) + 0.1
    moved = random_rescaling(weights, NORM_LAYOUT, NORM_TABLE, rng=rng)
    assert relative(moved, weights) > 0.2
    assert relative(form.apply(moved), form.apply(weights)) < 1e-6
    x = torch.randn(20, 4, generator=rng)
    state = form.layout.unflatten(form.apply(weights))
    for i, one in enumerate(weights):
        by_hand = F.linear(x, state["f"][i], state["shift"][i])
        assert torch.allclose(by_hand, normalized(one, x), atol=1e-4)
    assert torch.equal(state["scale"], torch.ones(10, 3))
    assert not state["mean"].any()
    flipped = weights.clone()
    for name in ("f", "g", "scale", "mean"):
        flipped[:, NORM_LAYOUT.slices[name]] *= -1
    assert relative(form.apply(flipped), form.apply(weights)) < 1e-6


def test_variances_below_zero_give_finite_forms(rng):
    form = CanonicalForm.of(NORM_LAYOUT, NORM_TABLE)
    weights = torch.rand(10, NORM_LAYOUT.size, generator=rng)
    weights[:, NORM_LAYOUT.slices["var"]] -= 0.5
    assert bool(form.apply(weights).isfinite().all())


def test_filters_of_almost_no_length_are_the_same_network(rng):
    form = CanonicalForm.of(NORM_LAYOUT, NORM_TABLE)
    weights = torch.rand(10, NORM_LAYOUT.size, generator=rng).double() + 0.1
    state = {name: value.clone() for name, value in NORM_LAYOUT.unflatten(weights).items()}
    for name in ("f", "g", "mean"):
        state[name] *= 0.002
    state["var"] = 0.002**2 * (state["var"] + 1e-3) - 1e-3  # below 0
    tiny = torch.cat([state[name].flatten(1) for name, _ in NORM_LAYOUT.shapes], dim=1)
    assert relative(form.apply(tiny), form.apply(weights)) < 1e-6


def test_diverged_networks_have_finite_forms():
    for layout, table in ((HEADS, HEADS_TABLE), (NORM_LAYOUT, NORM_TABLE)):
        form = CanonicalForm.of(layout, table)
        assert bool(form.apply(torch.full((2, layout.size), 1e25)).isfinite().all())
    assert form.apply(torch.empty(0, NORM_LAYOUT.size)).shape == (0, form.layout.size)


@pytest.mark.parametrize("missing", ["scale", "shift", "both"])
def test_normalizations_without_scale_or_shift(missing, rng):
    left = [n for n in ("f", "g", "scale", "shift", "mean", "var") if n != missing]
    if missing == "both":
        left = ["f", "g", "mean", "var"]
    layout = WeightLayout(tuple((n, s) for n, s in NORM_LAYOUT.shapes if n in left))
    form = CanonicalForm.of(layout, NORM_TABLE.only(left))
    weights = torch.rand(5, layout.size, generator=rng) + 0.1
    x = torch.randn(20, 4, generator=rng)

    def outputs(one):
        s = layout.unflatten(one)
        value = F.linear(x, s["f"], s["g"])
        return F.batch_norm(value, s["mean"], s["var"], s.get("scale"), s.get("shift"), eps=1e-3)

    for before, after in zip(weights, form.apply(weights), strict=True):
        state = layout.unflatten(after)
        offset = state.get("shift", -state["mean"])
        by_hand = F.linear(x, state["f"]) + offset
        assert torch.allclose(by_hand, outputs(before), atol=1e-4)


def test_without_statistics_filters_have_length_one(rng):
    left = ["f", "g", "scale", "shift"]
    layout = WeightLayout(NORM_LAYOUT.shapes[:4])
    table = NORM_TABLE.only(left)
    form = CanonicalForm.of(layout, table)
    weights = torch.randn(6, layout.size, generator=rng)
    moved = random_rescaling(weights, layout, table, rng=rng)
    assert relative(form.apply(moved), form.apply(weights)) < 1e-6
    state = layout.unflatten(form.apply(weights))
    length = state["f"].square().sum(2) + state["g"].square()
    assert torch.allclose(length, torch.ones(6, 3))


def test_a_residual_network_keeps_its_outputs(rng):
    network = ResNet18(4, 32, classes=10)
    form = CanonicalForm.of(network.layout, network.symmetry)
    weights = torch.stack([network.initial(rng) for _ in range(2)])
    weights += 0.1 * torch.rand(weights.shape, generator=rng)
    moved = random_rescaling(weights, network.layout, network.symmetry, rng=rng, largest=2.0)
    assert relative(form.apply(moved), form.apply(weights)) < 1e-5
    x = torch.randn(3, network.inputs, generator=rng)
    before, after = network.forward(weights, x), network.forward(form.apply(weights), x)
    # variances of 1 are normalized by the root of 1 + 1e-5
    assert torch.allclose(after.softmax(-1), before.softmax(-1), atol=1e-3)


HEADS = WeightLayout(
    (("q", (6, 5)), ("qb", (6,)), ("k", (6, 5)), ("kb", (6,)), ("v", (6, 5)), ("o", (5, 6)))
)
HEADS_TABLE = NeuronSymmetry(
    {
        "q": ("heads", None),
        "qb": ("heads",),
        "k": ("heads", None),
        "kb": ("heads",),
        "v": ("heads", None),
        "o": (None, "heads"),
    },
    blocks={"q": (3, 1), "qb": (3,), "k": (3, 1), "kb": (3,), "v": (3, 1), "o": (1, 3)},
    continuous=Continuous(
        products={
            "qk": Product(
                "heads",
                2,
                3,
                (Factor("q", 0), Factor("qb", 0)),
                (Factor("k", 0),),
                (Factor("kb", 0),),
            ),
            "ov": Product("heads", 2, 3, (Factor("o", 1),), (Factor("v", 0),)),
        }
    ),
)


def attention(weights, x):
    s = HEADS.unflatten(weights)
    q, k, v = F.linear(x, s["q"], s["qb"]), F.linear(x, s["k"], s["kb"]), F.linear(x, s["v"])
    q, k, v = (value.unflatten(-1, (2, 3)).transpose(0, 1) for value in (q, k, v))
    mixed = (q @ k.transpose(1, 2)).softmax(-1) @ v
    return F.linear(mixed.transpose(0, 1).flatten(1), s["o"])


def test_of_heads_only_products_remain(rng):
    form = CanonicalForm.of(HEADS, HEADS_TABLE)
    weights = torch.randn(8, HEADS.size, generator=rng)
    moved = random_rescaling(weights, HEADS, HEADS_TABLE, rng=rng)
    x = torch.randn(7, 5, generator=rng)
    assert torch.allclose(attention(moved[0], x), attention(weights[0], x), atol=1e-3)
    assert relative(moved, weights) > 0.5
    assert relative(form.apply(moved), form.apply(weights)) < 1e-5
    state, made = HEADS.unflatten(weights), form.layout.unflatten(form.apply(weights))
    first = state["q"][:, :3].transpose(1, 2) @ state["k"][:, :3]
    assert torch.allclose(made["qk: q x k"][:, 0], first, atol=1e-5)
    second = state["o"][:, :, 3:] @ state["v"][:, 3:]
    assert torch.allclose(made["ov: o x v"][:, 1], second, atol=1e-5)
    assert form.symmetry.axes["qk: q x k"] == ("heads", None, None)
    order, _ = random_element(8, HEADS, HEADS_TABLE, rng=rng)
    swapped = form.apply(transform(weights, HEADS, HEADS_TABLE, order))
    again = transform(form.apply(weights), form.layout, form.symmetry, order)
    assert relative(swapped, again) < 1e-5


def test_no_form_without_continuous_moves():
    assert CanonicalForm.of(CHAIN_LAYOUT, None) is None
    plain = dataclasses.replace(CHAIN_TABLE, continuous=Continuous())
    assert CanonicalForm.of(CHAIN_LAYOUT, plain) is None


def test_tables_survive_json():
    for table in (CHAIN_TABLE, NORM_TABLE, HEADS_TABLE, OneHiddenMLP(3, 4, 2).symmetry):
        assert NeuronSymmetry.from_json(json.loads(json.dumps(table.to_json()))) == table


def test_parts_of_a_network_keep_what_moves_them_alone():
    later = [name for name, _ in CHAIN_LAYOUT.shapes if not name.startswith("layers.0")]
    some = CHAIN_TABLE.only(later).continuous
    assert list(some.scales) == ["h2"]
    assert len(some.shifts) == 2
    assert not NORM_TABLE.only(["scale", "shift"]).continuous


MISMATCHED = Normalization(("layers.0.weight",), "layers.1.bias", None, None, None)


def scale_at(place):
    return {"scales": {"s": Rescaling("h1", (place, Scaled("layers.1.weight", 1, -1)))}}


Q, K, V = Factor("q", 0), Factor("k", 0), Factor("v", 0)


def products(*, heads=2, **sides):
    made = {k: Product("heads", heads, 3, *((side,) for side in of)) for k, of in sides.items()}
    return {"products": made}


@pytest.mark.parametrize(
    ("table", "continuous", "words"),
    [
        (CHAIN_TABLE, scale_at(Scaled("layers.2.bias", 0, 1)), "axis 0 of layers.2.bias"),
        (CHAIN_TABLE, scale_at(Scaled("layers.0.bias", 0, 2)), "places where neurons are written"),
        (CHAIN_TABLE, scale_at(Scaled("nothing", 0, 1)), "axis 0 of nothing"),
        (CHAIN_TABLE, scale_at(Scaled("layers.0.weight", -2, 1)), "axis -2 of layers.0.weight"),
        (CHAIN_TABLE, {"shifts": (Shift("layers.2.bias", -1),)}, "shift of layers.2.bias"),
        (CHAIN_TABLE, {"shifts": (Shift("layers.2.bias", 1),)}, "shift of layers.2.bias"),
        (CHAIN_TABLE, {"normalizations": {"n": MISMATCHED}}, "normalization n"),
        (HEADS_TABLE, products(p=(Q,)), "two sides"),
        (HEADS_TABLE, products(heads=3, p=(Q, K)), "3 heads"),
        (HEADS_TABLE, products(p=(Q, K), r=(Q, V)), "product r"),
        (
            HEADS_TABLE,
            products(p=(Factor("q", 0, 1), K)),
            "entries 1 to 7 of axis 0 of q, which is 6x5",
        ),
    ],
)
def test_tables_that_do_not_fit_are_refused(table, continuous, words):
    layout = CHAIN_LAYOUT if table is CHAIN_TABLE else HEADS
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(table, continuous=Continuous(**continuous)).sizes(layout)


def test_products_of_some_entries_only_are_refused():
    some = Continuous(products={"p": Product("heads", 1, 3, (Factor("q", 0),), (Factor("k", 0),))})
    table = dataclasses.replace(
        HEADS_TABLE, axes={n: (None,) * len(s) for n, s in HEADS.shapes}, continuous=some
    )
    some.products["p"] = some.products["p"]._replace(group=None)
    with pytest.raises(ValueError, match="expected products that hold all of its entries"):
        CanonicalForm.of(HEADS, table)


def test_ten_thousand_networks_take_blocks(rng):
    network = OneHiddenMLP(64, 10, 10)
    form = CanonicalForm.of(network.layout, network.symmetry)
    weights = torch.randn(20_000, network.layout.size, generator=rng)
    assert torch.equal(form.apply(weights)[19_000:19_010], form.apply(weights[19_000:19_010]))
