import pytest
import torch
from refused import refused
from torch import nn

from novelweights.networks import parts
from novelweights.networks.network import HasTrunk, TargetNetwork
from novelweights.networks.parts import (
    LAST_TWO_NORMALIZATIONS,
    PartOfNetwork,
    shared_state,
    split_at,
)
from novelweights.networks.resnet import ResNet18
from novelweights.weights.symmetry import NeuronSymmetry

pytestmark = pytest.mark.usefixtures("sound_convolutions")
NETWORK = ResNet18(width=2, image_size=32, classes=5)
CHOICES = [
    pytest.param(("conv1.weight",), id="first convolution"),
    pytest.param(("layer2.1.bn1.weight", "layer2.1.bn1.bias"), id="inside a block"),
    pytest.param(("layer3.0.downsample.1.bias", "layer3.0.bn2.weight"), id="both ways of a sum"),
    pytest.param(("layer2.0.downsample.0.weight",), id="the way around a block"),
    pytest.param(LAST_TWO_NORMALIZATIONS, id="P-diff's"),
    pytest.param(("fc.bias", "fc.weight"), id="dense layer"),
    pytest.param(("bn1.weight", "fc.bias"), id="first and last"),
]


@pytest.fixture
def module(rng):
    """A network away from its initialization, where blocks change nothing."""
    network = NETWORK.module()
    for name, value in network.state_dict().items():
        if name.endswith(("running_var", "weight")) and value.ndim == 1:
            value.uniform_(0.5, 1.5, generator=rng)
        elif value.is_floating_point():
            value.normal_(0, 0.3, generator=rng)
    return network.eval()


@pytest.fixture
def images(rng):
    return torch.randn(9, NETWORK.inputs, generator=rng)


def part_of(module, generated=LAST_TWO_NORMALIZATIONS):
    return PartOfNetwork(NETWORK, shared_state(module, generated), generated)


def whole_outputs(module, part, weights, images):
    """One checkpoint after the other, put into the whole network."""
    outputs = []
    for checkpoint in weights:
        module.load_state_dict(part.layout.unflatten(checkpoint), strict=False)
        outputs.append(module(images.reshape(-1, 3, 32, 32)).detach())
    return torch.stack(outputs)


@pytest.mark.parametrize("generated", CHOICES)
def test_trunk_and_tail_are_the_whole_network(module, images, generated, rng, monkeypatch):
    monkeypatch.setattr(parts, "IMAGES_AT_ONCE", 4)
    part = part_of(module, generated)
    weights = torch.randn(3, part.layout.size, generator=rng)
    expected = whole_outputs(module, part, weights, images)
    activations = part.trunk(images)
    assert all(len(activation) == len(images) for activation in activations)
    logits = part.tail(weights, activations)
    assert logits.shape == (3, 9, 5)
    assert (logits - expected).abs().max() < 1e-5 * expected.abs().max()  # sums in another order
    assert torch.equal(part.forward(weights, images), logits)
    assert (logits[0] - logits[1]).abs().max() > 1e-3


def test_a_part_is_described_as_a_network_of_its_own(module, rng):
    part = part_of(module)
    assert isinstance(part, TargetNetwork)
    assert isinstance(part, HasTrunk)
    assert not isinstance(NETWORK, HasTrunk)
    assert part.layout.shapes == tuple((name, (16,)) for name in LAST_TWO_NORMALIZATIONS)
    assert (part.inputs, part.classes) == (3072, 5)
    assert part.name == "resnet18-2-3x32x32-5: layer4.1.bn1, layer4.1.bn2"
    assert part.symmetry == NeuronSymmetry(dict.fromkeys(LAST_TWO_NORMALIZATIONS, (None,)))
    assert part.symmetry.sizes(part.layout) == {}
    expected = [1.0] * 16 + [0.0] * 48  # of an initialization, whose last normalization is off
    assert part.initial(rng).tolist() == expected


def test_the_rest_is_everything_else(module):
    shared = shared_state(module, LAST_TWO_NORMALIZATIONS)
    every = {name for name, _ in NETWORK.layout.shapes}
    assert set(shared) == every - set(LAST_TWO_NORMALIZATIONS)
    module.conv1.weight.data.zero_()  # a copy: training goes on elsewhere
    assert shared["conv1.weight"].abs().min() > 0
    assert not any(value.requires_grad for value in shared.values())


def test_only_the_tail_is_computed_again(module, images, rng):
    part = part_of(module)
    before, after = part._halves
    layers = [{name for name, _ in half.named_modules()} for half in (before, after)]
    assert {"layer4.1.conv1", "layer4.1.downsample"} <= layers[0]
    inside = {f"layer4.1.{name}" for name in ("bn1", "conv2", "bn2")}
    assert layers[1] == {"", "layer4", "layer4.1", *inside, "fc"}
    calls = []
    before.get_submodule("layer4.1.conv1").register_forward_hook(lambda *_: calls.append("trunk"))
    after.get_submodule("layer4.1.conv2").register_forward_hook(lambda *_: calls.append("tail"))
    activations = part.trunk(images)
    assert calls == ["trunk"]
    part.tail(torch.randn(3, part.layout.size, generator=rng), activations)
    assert calls == ["trunk", "tail", "tail", "tail"]
    # what the tail needs: the convolution before the normalization, and what is added after it
    assert sorted(tuple(part.shape[1:]) for part in activations) == [(16, 4, 4), (16, 4, 4)]


def test_halves_learn_and_change_mode_with_the_layers_they_share(module, images):
    trunk, tail = split_at(module.train(), LAST_TWO_NORMALIZATIONS)
    before = module.bn1.running_mean.clone(), module.layer4[1].bn2.running_mean.clone()
    tail(*trunk(images.reshape(-1, 3, 32, 32))).sum().backward()
    assert not torch.equal(module.bn1.running_mean, before[0])
    assert not torch.equal(module.layer4[1].bn2.running_mean, before[1])
    assert module.layer4[1].bn1.weight.grad is not None
    for half in (trunk, tail):
        half.eval()
    assert not module.bn1.training
    assert not module.layer4[1].bn2.training


class Residual(nn.Module):
    """Layers that are used twice, parameters outside any layer, a constant."""

    def __init__(self):
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.scale = nn.Parameter(torch.ones(6))
        self.shift = nn.Parameter(torch.zeros(6))
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        y = torch.tanh(self.first(x)) * self.scale
        y = y + self.middle(y) + self.shift
        return self.last(torch.relu(y) + self.middle(self.scale * y))


@pytest.mark.parametrize(
    "generated",
    [
        ["first.weight"],
        ["middle.bias"],
        ["scale"],
        ["shift"],
        ["last.weight", "last.bias"],
        ["scale", "last.bias"],
    ],
    ids=str,
)
def test_any_network_that_can_be_traced_is_cut(generated, rng):
    torch.manual_seed(0)
    module, x = Residual(), torch.randn(5, 4, generator=rng)
    trunk, tail = split_at(module, generated)
    activations = trunk(x)
    assert torch.equal(tail(*activations), module(x))
    named = dict(module.named_parameters())
    for name in generated:
        named[name].data.normal_(generator=rng)
    assert torch.equal(tail(*activations), module(x))
    assert all(torch.equal(a, b) for a, b in zip(trunk(x), activations, strict=True))


def test_cuts_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"\['middle', 'norm.weight'\] are no parameters"):
        split_at(Residual(), ["norm.weight", "middle", "scale"])
    with pytest.raises(ValueError, match="does not depend on"):
        split_at(Residual(), ["unused"])


def test_a_rest_that_does_not_fit_is_refused(module):
    shared = shared_state(module, LAST_TWO_NORMALIZATIONS)
    few = {name: value for name, value in shared.items() if name != "layer4.0.bn1.running_var"}
    with refused("other-network", "layer4.0.bn1.running_var", "16"):
        PartOfNetwork(NETWORK, few)
    with refused("other-network", "fc.weight", "5x15", "5x16"):
        PartOfNetwork(NETWORK, {**shared, "fc.weight": torch.zeros(5, 15)})
    with refused("other-network", NETWORK.name, "95"):
        PartOfNetwork(NETWORK, {})
    for bad in (torch.nan, torch.inf):
        wrong = {**shared, "fc.bias": torch.tensor([0, 0, bad, 0, 0])}
        with refused("not-finite", "fc.bias"):
            PartOfNetwork(NETWORK, wrong)
