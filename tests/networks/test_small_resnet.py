"""The small residual network is that of its module, and its table neither too large nor small."""

import pytest
import torch

from novelweights.networks.resnet import whole_state
from novelweights.networks.small_resnet import DIGITS_RESNET, SmallResNet

pytestmark = pytest.mark.usefixtures("sound_convolutions")
NETWORKS = [SmallResNet(3, 2, 5, 4), SmallResNet(2, 1, 6, 3), DIGITS_RESNET]


def random_states(network, n, rng):
    """Whole states far from an initialization: nothing is 0, 1 or the same in two channels."""
    weights = 0.4 * torch.randn(n, network.layout.size, generator=rng)
    for name, value in network.layout.unflatten(weights).items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=rng)
    return weights


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_a_training_step_equals_the_module_in_training(network, rng):
    weights = random_states(network, 3, rng).requires_grad_()
    x = torch.randn(3, 6, network.inputs, generator=rng)
    logits, running = network.training_step(weights, x)
    [slopes] = torch.autograd.grad(logits.square().sum(), weights)
    for row, images, found, slope, i in zip(weights, x, logits, slopes, range(3), strict=True):
        module = network.module().double().train()
        module.load_state_dict(module.state_dict() | network.layout.unflatten(row.detach()))
        expected = module(images.double())
        assert torch.allclose(found.double(), expected, rtol=1e-3, atol=1e-4)
        expected.square().sum().backward()
        state = network.layout.unflatten(slope)
        for name, parameter in module.named_parameters():
            scale = parameter.grad.norm() + 1e-3
            assert (state[name] - parameter.grad).norm() < 1e-3 * scale, name
        moved = {name: value for name, value in whole_state(module).items() if name in running}
        assert len(moved) == 2 * (1 + 2 * network.blocks)
        for name, value in moved.items():
            assert torch.allclose(running[name][i].double(), value, rtol=1e-4, atol=1e-5), name
    assert (slopes[:, ~network.is_learned] == 0).all()


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
