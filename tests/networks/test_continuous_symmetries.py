"""Scales, shifts, normalizations and heads, found where they are and nowhere else."""

import pytest
import torch
from network_families import ResidualMlp, ResNet, Siren, Vgg, lenet, mlp, noise
from refused import refused
from torch import nn

from novelweights.networks.declared import require_preserved
from novelweights.networks.symmetry_of import layout_of, symmetry_of
from novelweights.weights.canonical import CanonicalForm
from novelweights.weights.continuous import Continuous, Factor, Product, Rescaling, Scaled, Shift
from novelweights.weights.symmetry import NeuronSymmetry


def found(network, example, *, logits=False):
    return symmetry_of(network, example, logits=logits).continuous


def written_and_read(scale):
    members = {power: [m.parameter for m in scale.members if m.power == power] for power in (1, -1)}
    return members[1], members[-1]


def test_neurons_behind_a_relu_have_a_scale():
    moves = found(mlp(4, 5, 6, 3), noise(3, 4), logits=True)
    assert {name: written_and_read(s) for name, s in moves.scales.items()} == {
        "0": (["0.weight", "0.bias"], ["2.weight"]),
        "2": (["2.weight", "2.bias"], ["4.weight"]),
    }
    assert moves.shifts == (Shift("4.weight", 0), Shift("4.bias", 0))
    assert not found(mlp(4, 5, 6, 3), noise(3, 4)).shifts  # only where outputs are logits


@pytest.mark.parametrize("activation", [nn.Tanh, nn.GELU, nn.Sigmoid, nn.Softplus])
def test_neurons_behind_other_activations_have_none(activation):
    assert not found(mlp(4, 5, 3, activation=activation), noise(3, 4))


@pytest.mark.parametrize("activation", [nn.ReLU, nn.LeakyReLU, nn.Identity])
def test_what_is_homogeneous_has_one(activation):
    assert set(found(mlp(4, 5, 3, activation=activation), noise(3, 4)).scales) == {"0"}


@pytest.mark.parametrize("activation", [nn.ReLU6, lambda: nn.Hardtanh(-50, 50)])
def test_what_is_homogeneous_up_to_some_value_has_none(activation):
    assert not found(mlp(4, 5, 3, activation=activation), 0.1 * noise(3, 4))


def test_sines_have_none():
    assert not found(Siren(), noise(4, 2))


def test_filters_before_a_normalization_have_any_length():
    moves = found(Vgg(norm=True), noise(2, 3, 16, 16))
    entry = moves.normalizations["features.1"]
    assert entry.filters == ("features.0.weight", "features.0.bias")
    assert entry.parts == tuple(
        f"features.1.{part}" for part in ("weight", "bias", "running_mean", "running_var")
    )
    written, read = written_and_read(moves.scales["features.0"])
    assert written == ["features.1.weight", "features.1.bias"]  # no longer the filter
    assert read == ["features.4.weight"]


def test_normalizations_without_scale_and_shift_are_seen():
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3, affine=False, eps=0.1), nn.ReLU(), nn.Flatten(),
        nn.Linear(48, 2),
    )  # fmt: skip
    entry = found(network, noise(2, 1, 6, 6)).normalizations["1"]
    assert entry.parts == (None, None, "1.running_mean", "1.running_var")
    assert entry.epsilon == 0.1


def test_all_of_a_residual_stage_shares_its_scale():
    moves = found(ResNet(), noise(2, 3, 8, 8))
    stage = max(moves.scales.values(), key=lambda scale: len(scale.members))
    written, read = written_and_read(stage)
    assert len(written) >= 4
    assert len(read) >= 2


def test_a_residual_mlp_feels_its_scale_on_both_sides():
    moves = found(ResidualMlp(), noise(3, 5))
    for scale in moves.scales.values():
        written, read = written_and_read(scale)
        assert written
        assert read


class OneHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn = nn.MultiheadAttention(6, 1, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(torch.relu(self.attn(x, x, x)[0]).mean(1))


def test_a_single_head_and_two_linear_layers_are_products_too():
    moves = found(OneHead(), noise(2, 5, 6))
    assert [(p.group, p.heads, p.block) for p in moves.products.values()] == [(None, 1, 6)] * 2
    network = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 3))
    (product,) = found(network, noise(3, 4)).products.values()
    assert product.left == (Factor("0.weight", 0), Factor("0.bias", 0))
    assert product.right == (Factor("1.weight", 1),)
    form = CanonicalForm.of(layout_of(network), symmetry_of(network, noise(3, 4)))
    assert form.layout.shapes[-2:] == (
        ("0.1: 0.weight x 1.weight", (1, 4, 5)),
        ("0.1: 0.bias x 1.weight", (1, 5)),
    )


def keeps_all(network, example, *, logits=False):
    """Whether the form changes with each parameter that outputs change with."""
    table, layout = symmetry_of(network, example, logits=logits), layout_of(network)
    form = CanonicalForm.of(layout, table)
    if form is None:
        return True
    state = dict(network.state_dict())
    weights = torch.cat([state[name].flatten() for name, _ in layout.shapes])[None]
    before = form.apply(weights)
    kept = []
    for name, _ in layout.shapes:
        drawn = weights.clone()
        where = layout.slices[name]
        drawn[:, where] = 0.5 + torch.rand(where.stop - where.start)
        kept.append(bool((form.apply(drawn) - before).norm() > 1e-5 * before.norm()))
    return all(kept)


class OwnLength(nn.Module):
    """Filters whose length the network itself removes."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x):
        filters = nn.functional.normalize(self.first.weight)
        return self.last(torch.relu(nn.functional.linear(x, filters)))


@pytest.mark.parametrize(
    "network",
    [
        lambda: nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3), nn.Linear(3, 5), nn.ReLU(),
                              nn.Linear(5, 2)),
        lambda: nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3), nn.Linear(3, 2)),
        lambda: nn.Sequential(
            nn.utils.parametrizations.weight_norm(nn.Linear(4, 5)), nn.ReLU(), nn.Linear(5, 2)
        ),
        lambda: nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 5), nn.BatchNorm1d(5), nn.ReLU(),
                              nn.Linear(5, 2)),
        lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 1)),
    ],
    ids=["linear in a row", "only linear", "weight norm", "before a normalization", "one output"],
)  # fmt: skip
def test_no_form_loses_what_matters(network):
    torch.manual_seed(3)
    assert keeps_all(network().eval(), noise(3, 4), logits=True)


def test_lengths_that_a_network_removes_itself_are_no_scales():
    assert not found(OwnLength(), noise(3, 4)).scales


def test_one_output_has_no_shift_and_hides_no_other_move():
    network = mlp(4, 5, 1)
    assert not found(network, noise(3, 4), logits=True).shifts
    wrong = Continuous(shifts=(Shift("2.bias", 0),))
    with refused("wrong-symmetry", "2.bias"):
        require_preserved(declared(wrong), layout_of(network), network, noise(3, 4))


def test_zeros_as_example_hide_nothing():
    network = lenet()
    assert found(network, torch.zeros(1, 1, 28, 28)) == found(network, noise(3, 1, 28, 28))


def test_frozen_parameters_count():
    network = mlp(4, 5, 3)
    network[2].weight.requires_grad_(False)
    assert found(network, noise(2, 4)) == found(mlp(4, 5, 3), noise(2, 4))
    assert not network[2].weight.requires_grad


def declared(moves):
    axes = {"0.weight": ("h", None), "0.bias": ("h",), "2.weight": (None, "h"), "2.bias": (None,)}
    return NeuronSymmetry(axes, continuous=moves)


@pytest.mark.parametrize(
    ("moves", "named"),
    [
        (
            Continuous(
                {"h": Rescaling("h", (Scaled("0.weight", 0, 1), Scaled("2.weight", 1, -1)))}
            ),
            ("scale h (0.weight, 2.weight)",),
        ),
        (
            Continuous({"h": Rescaling("h", (Scaled("0.weight", 0, 1), Scaled("0.bias", 0, 1)))}),
            ("scale h", "-1"),
        ),
        (Continuous(shifts=(Shift("2.weight", 1),)), ("2.weight",)),
        (
            Continuous(products={"p": Product("h", 5, 1, (Factor("0.weight", 0),))}),
            ("product p",),
        ),
    ],
    ids=["a place is missing", "a side is missing", "inputs of a layer", "one side has no product"],
)
def test_declared_moves_that_change_outputs_are_refused_by_name(moves, named):
    network, table = mlp(4, 5, 3), declared(moves)
    with refused("wrong-symmetry", *named):
        require_preserved(table, layout_of(network), network, noise(2, 4))


def test_declared_moves_that_hold_are_taken():
    network = mlp(4, 5, 3)
    moves = symmetry_of(network, noise(2, 4), logits=True).continuous
    renamed = Continuous({"h": moves.scales["0"]._replace(group="h")}, moves.shifts)
    require_preserved(declared(renamed), layout_of(network), network, noise(2, 4))
