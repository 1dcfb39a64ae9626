"""Every network of ours: its outputs are its module's, its table is neither too large nor small."""

import pytest
import torch
from torch.func import functional_call

from novelweights.networks import neural_field, resnet, small_cnn, small_resnet
from novelweights.networks.mlp import DeepMLP, OneHiddenMLP
from novelweights.networks.network import TargetNetwork
from novelweights.networks.neural_field import OccupancyField
from novelweights.networks.resnet import ResNet18
from novelweights.networks.small_cnn import COLOR_CNN, COLOR_GELU_CNN, GRAY_CNN, SmallCNN
from novelweights.networks.small_resnet import DIGITS_RESNET, SmallResNet
from novelweights.networks.symmetry_of import layout_of, symmetry_of
from novelweights.weights.symmetry import Flip, NeuronSymmetry, random_transform, transform

pytestmark = pytest.mark.usefixtures("sound_convolutions")
NETWORKS = [
    *(OneHiddenMLP(5, 4, 3, "relu"), OneHiddenMLP(5, 4, 3, "tanh")),
    *(DeepMLP(5, (4, 6, 3), 2, "relu"), DeepMLP(5, (4, 6, 3), 2, "tanh")),
    *(GRAY_CNN, SmallCNN(1, "gelu", "kaiming"), COLOR_CNN, COLOR_GELU_CNN),
    *(SmallResNet(3, 2, 5, 4), SmallResNet(2, 1, 6, 3), DIGITS_RESNET),
    *(ResNet18(width=2, image_size=32, classes=5), OccupancyField(width=7)),
]
SMALL_BLOCKS = (
    *((small_cnn, "IMAGES_AT_ONCE", 32), (small_resnet, "PATCH_FLOATS", 1)),
    *((resnet, "IMAGES_AT_ONCE", 4), (neural_field, "POINTS_AT_ONCE", 16)),
)
LONGEST_SUM = 3 * 28 * 28
ERROR = LONGEST_SUM * 2.0**-24
"""Sums of so many float32 products err by at most this share of the sum of their sizes."""


@pytest.fixture(params=NETWORKS, ids=lambda network: network.name)
def network(request):
    return request.param


def inputs_of(network, n, rng):
    size = 3 if isinstance(network, OccupancyField) else network.inputs
    return torch.randn(n, size, generator=rng)


def random_states(network, n, rng):
    """Weights far from an initialization: nothing is 0, 1 or the same in two neurons."""
    weights = torch.randn(n, network.layout.size, generator=rng)
    for name, value in network.layout.unflatten(weights).items():
        if name.endswith("running_var") or (name.endswith("weight") and value.ndim == 2):
            value.uniform_(0.5, 1.5, generator=rng)  # variances, and scales of normalizations
        elif value.ndim > 2:
            value.mul_(value[0, 0].numel() ** -0.5)
        else:
            value.mul_(0.3)
    return weights


def by_module(network, weights, x):
    """Outputs in float64, one ordinary module at a time."""
    module = network.module().eval().double()
    images = network.images(x) if isinstance(network, ResNet18) else x
    states = map(network.layout.unflatten, weights.double())
    outputs = torch.stack([functional_call(module, s, (images.double(),)) for s in states])
    return outputs[..., 0] if isinstance(network, OccupancyField) else outputs


def assert_near(found, expected):
    assert (found - expected).abs().max() <= ERROR * expected.abs().max()
    assert (expected - expected[:, :1]).abs().max() > 100 * ERROR * expected.abs().max()


def test_forward_is_one_module_at_a_time(network, rng, monkeypatch):
    weights, x = random_states(network, 4, rng), inputs_of(network, 45, rng)
    expected = by_module(network, weights, x)
    assert_near(network.forward(weights, x), expected)
    for module, name, value in SMALL_BLOCKS:
        monkeypatch.setattr(module, name, value)
    assert_near(network.forward(weights, x), expected)
    assert network.forward(weights[:0], x).shape == (0, *expected.shape[1:])
    assert network.forward(weights, x[:0]).shape == (4, 0, *expected.shape[2:])


def test_parts_are_those_that_a_target_network_has(network):
    if not isinstance(network, OccupancyField):
        assert isinstance(network, TargetNetwork)
    assert layout_of(network.module()) == network.layout
    same, again, other = (network.initial(torch.Generator().manual_seed(n)) for n in (3, 3, 4))
    assert torch.equal(same, again)
    assert not torch.equal(same, other)


def test_symmetries_keep_the_outputs_and_each_axis_sign_and_flip_is_needed(network, rng):
    weights, x = random_states(network, 1, rng).double(), inputs_of(network, 3, rng)
    expected, table = by_module(network, weights, x), network.symmetry
    sizes = table.sizes(network.layout)

    def change(table, permutations, signs=None):
        moved = transform(weights, network.layout, table, permutations, signs)
        return float((by_module(network, moved, x) - expected).abs().max())

    permuted = random_transform(weights, network.layout, table, rng=rng)
    assert (permuted - weights).abs().max() > 0.1
    assert (by_module(network, permuted, x) - expected).abs().max() < 1e-9
    rolled = {group: torch.arange(size).roll(1)[None] for group, size in sizes.items()}
    for name, axes in table.axes.items():
        for axis in (i for i, group in enumerate(axes) if group is not None):
            broken = {**table.axes, name: (*axes[:axis], None, *axes[axis + 1 :])}
            assert change(NeuronSymmetry(broken, blocks=table.blocks), rolled) > 1e-7, (name, axis)
    for group, size in sizes.items():
        signs = torch.ones(1, size, dtype=torch.float64)
        signs[0, 0] = -1
        # negative variances give no numbers
        assert (change(table, {}, {group: signs}) < 1e-9) == (group in table.sign_groups), group
    for name, flip in table.flips.items():
        signs = {name: -torch.ones(1, sizes[flip.group], dtype=torch.float64)}
        assert change(table, {}, signs) < 1e-9
        for i in range(len(flip.parameters)):
            some = (*flip.parameters[:i], *flip.parameters[i + 1 :])
            broken = NeuronSymmetry(table.axes, flips={name: Flip(flip.group, some)})
            assert change(broken, {}, signs) > 1e-7, (name, i)


@pytest.mark.integration
def test_the_table_by_hand_is_the_derived_one(network, rng):
    by_hand, x = network.symmetry, inputs_of(network, 2, rng)
    x = network.images(x) if isinstance(network, ResNet18) else x
    derived = symmetry_of(network.module(), x, logits=not isinstance(network, OccupancyField))
    names = {
        theirs: ours
        for name, axes in derived.axes.items()
        for theirs, ours in zip(axes, by_hand.axes[name], strict=True)
    }
    assert len(set(names.values())) == len(names)
    renamed = {name: tuple(names[group] for group in axes) for name, axes in derived.axes.items()}
    assert (renamed, derived.blocks, derived.joined) == (by_hand.axes, by_hand.blocks, {})
    assert {names[group] for group in derived.sign_groups} == by_hand.sign_groups
    if by_hand.flips:  # ResNet-18's table leaves them to its normalizations
        flips = {(names[flip.group], flip.parameters) for flip in derived.flips.values()}
        assert flips == {tuple(flip) for flip in by_hand.flips.values()}
    ours, theirs = by_hand.continuous, derived.continuous
    scales = [{frozenset(s.members) for s in some.scales.values()} for some in (ours, theirs)]
    assert scales[0] == scales[1]
    assert set(ours.shifts) == set(theirs.shifts)
    assert ours.normalizations == theirs.normalizations
