"""The small residual network is that of its module, and its table neither too large nor small."""

import pytest
import torch
from torch.func import functional_call

from novelweights.networks import small_resnet
from novelweights.networks.network import TargetNetwork
from novelweights.networks.resnet import whole_state
from novelweights.networks.small_resnet import DIGITS_RESNET, SmallResNet
from novelweights.networks.symmetry_of import layout_of, symmetry_of
from novelweights.weights.symmetry import Flip, NeuronSymmetry, random_transform, transform

pytestmark = pytest.mark.usefixtures("sound_convolutions")
NETWORKS = [SmallResNet(3, 2, 5, 4), SmallResNet(2, 1, 6, 3), DIGITS_RESNET]


def random_states(network, n, rng):
    """Whole states far from an initialization: nothing is 0, 1 or the same in two channels."""
    weights = 0.4 * torch.randn(n, network.layout.size, generator=rng)
    for name, value in network.layout.unflatten(weights).items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=rng)
    return weights


def images_of(network, n, rng):
    return torch.randn(n, network.inputs, generator=rng)


def by_module(network, weights, x):
    module = network.module().eval().to(weights.dtype)
    states = map(network.layout.unflatten, weights)
    return torch.stack([functional_call(module, state, (x.to(weights.dtype),)) for state in states])


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_forward_equals_the_module(network, rng, monkeypatch):
    weights, x = random_states(network, 5, rng), images_of(network, 7, rng)
    found = network.forward(weights, x)
    assert torch.allclose(found, by_module(network, weights, x), rtol=1e-4, atol=1e-4)
    monkeypatch.setattr(small_resnet, "PATCH_FLOATS", 1)
    assert torch.allclose(network.forward(weights, x), found, rtol=1e-5, atol=1e-5)
    assert network.forward(weights[:0], x).shape == (0, 7, network.classes)
    assert isinstance(network, TargetNetwork)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_a_training_step_equals_the_module_in_training(network, rng):
    weights = random_states(network, 3, rng).requires_grad_()
    x = torch.randn(3, 6, network.inputs, generator=rng)
    logits, running = network.training_step(weights, x)
    [slopes] = torch.autograd.grad(logits.square().sum(), weights)
    for row, images, found, slope, i in zip(weights, x, logits, slopes, range(3), strict=True):
        module = network.module().train()
        module.load_state_dict(module.state_dict() | network.layout.unflatten(row.detach()))
        expected = module(images)
        assert torch.allclose(found, expected, rtol=1e-3, atol=1e-4)
        expected.square().sum().backward()
        state = network.layout.unflatten(slope)
        for name, parameter in module.named_parameters():
            scale = parameter.grad.norm() + 1e-3
            assert (state[name] - parameter.grad).norm() < 1e-3 * scale, name
        moved = {name: value for name, value in whole_state(module).items() if name in running}
        assert len(moved) == 2 * (1 + 2 * network.blocks)
        for name, value in moved.items():
            assert torch.allclose(running[name][i], value, rtol=1e-4, atol=1e-5), name
    assert (slopes[:, ~network.is_learned] == 0).all()


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_moves_keep_the_outputs_and_each_axis_and_flip_is_needed(network, rng):
    weights, x = random_states(network, 4, rng).double(), images_of(network, 3, rng)
    expected, table = by_module(network, weights, x), network.symmetry
    moved = random_transform(weights, network.layout, table, rng=rng)
    assert (moved - weights).abs().amax(dim=1).min() > 0.1
    assert torch.allclose(by_module(network, moved, x), expected, atol=1e-9)

    def change(broken, *moves):
        moved = transform(weights[:1], network.layout, broken, *moves)
        return (by_module(network, moved, x) - expected[:1]).abs().max()

    sizes = table.sizes(network.layout)
    rolled = {group: torch.arange(size).roll(1)[None] for group, size in sizes.items()}
    for name, axes in table.axes.items():
        for axis in (i for i, group in enumerate(axes) if group is not None):
            broken = {**table.axes, name: (*axes[:axis], None, *axes[axis + 1 :])}
            assert change(NeuronSymmetry(broken), rolled) > 1e-6, (name, axis)
    for name, flip in table.flips.items():
        signs = {name: -torch.ones(1, sizes[flip.group], dtype=torch.float64)}
        assert change(table, {}, signs) < 1e-9
        for i in range(3):
            some = (*flip.parameters[:i], *flip.parameters[i + 1 :])
            broken = NeuronSymmetry(table.axes, flips={name: Flip(flip.group, some)})
            assert change(broken, {}, signs) > 1e-6, (name, i)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_the_table_by_hand_is_the_derived_one(network, rng):
    by_hand, module = network.symmetry, network.module()
    assert layout_of(module) == network.layout
    derived = symmetry_of(module, images_of(network, 2, rng), logits=True)
    names = {
        theirs: ours
        for name, axes in derived.axes.items()
        for theirs, ours in zip(axes, by_hand.axes[name], strict=True)
    }
    assert len(set(names.values())) == len(names)
    renamed = {name: tuple(names[group] for group in axes) for name, axes in derived.axes.items()}
    assert renamed == by_hand.axes
    assert derived.sign_groups == by_hand.sign_groups == frozenset()
    flips = {(names[flip.group], flip.parameters) for flip in derived.flips.values()}
    assert flips == {tuple(flip) for flip in by_hand.flips.values()}
    assert len(by_hand.sizes(network.layout)) == 1 + network.blocks
    ours, theirs = by_hand.continuous, derived.continuous
    scales = [{frozenset(s.members) for s in some.scales.values()} for some in (ours, theirs)]
    assert scales[0] == scales[1]
    assert (ours.shifts, ours.normalizations) == (theirs.shifts, theirs.normalizations)


def test_size_and_name_of_the_network_of_digits():
    assert DIGITS_RESNET.layout.size == 2626
    assert int(DIGITS_RESNET.is_learned.sum()) == 2626 - 80
    assert DIGITS_RESNET.name == "resnet-2x8-1x8x8-10"


@pytest.mark.parametrize(
    "wrong", [{"width": 0}, {"blocks": 0}, {"classes": 0}, {"image_size": 1}], ids=str
)
def test_impossible_networks_are_refused(wrong):
    with pytest.raises(ValueError, match="at least 1 channel"):
        SmallResNet(**wrong)
