"""Any torch classifier as a target network."""

from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from refused import refused
from torch import nn
from torch.func import functional_call

from novelweights.networks.declared import with_fixed
from novelweights.networks.mlp import DIGITS_MLP
from novelweights.networks.module_network import batched, module_network, one_by_one
from novelweights.networks.network import HasTrunk, TargetNetwork
from novelweights.networks.parameter_names import named_as
from novelweights.networks.parts import PartOfNetwork, shared_state
from novelweights.networks.resnet import ResNet18
from novelweights.networks.small_resnet import SmallResNet
from novelweights.networks.symmetry_of import layout_of, symmetry_of
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, Records
from novelweights.weights.symmetry import transform


class Attention(nn.Module):
    """A small transformer; torch has no rule to run its layer for many checkpoints at once."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(3, 8)
        self.register_buffer("place", torch.linspace(0, 1, 5)[:, None], persistent=False)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.layer(self.embed(x) + self.place).mean(dim=1))


class Branching(nn.Module):
    """Looks at a value, which vmap refuses."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(6, 3)

    def forward(self, x):
        return self.out(x) if self.out.bias.sum() > 0 else -self.out(x)


class Tied(nn.Module):
    """One parameter under two names."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(5, 5), nn.Linear(5, 5)
        self.second.weight = self.first.weight

    def forward(self, x):
        return {"logits": self.second(self.first(x).relu())}


def conv(channels=4):
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(2, channels, 3),
            norm=nn.BatchNorm2d(channels),
            act=nn.GELU(),
            pool=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            fc=nn.Linear(channels, 3),
        )
    )


def randomized(module, rng):
    """The module with random parameters and statistics."""
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=rng) + (0.5 if "var" in name else -0.5))
    return module


def some_weights(module, layout, n, rng):
    """Checkpoints around the module's own; variances stay positive."""
    own = layout.flatten({name: module.state_dict()[name] for name, _ in layout.shapes})
    return own * (1 + 0.3 * torch.rand(n, layout.size, generator=rng))


def expected_of(module, layout, weights, images):
    """By loading every checkpoint as anybody would."""
    found = []
    for row in weights:
        module.load_state_dict(layout.unflatten(row), strict=False)
        with torch.no_grad():
            output = module.eval()(images)
        found.append(output["logits"] if isinstance(output, dict) else output)
    return torch.stack(found)


class Viewing(nn.Module):
    """Convolutions whose outputs are seen as rows, which channels last in memory does not allow."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 3, 2), nn.Linear(48, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x).view(len(x), -1))


@pytest.mark.parametrize(("make", "is_channels_last"), [(conv, True), (Viewing, False)])
def test_channels_are_last_in_memory_where_the_network_allows_it(make, is_channels_last, rng):
    module, images = randomized(make(), rng), torch.randn(9, 2, 5, 5, generator=rng)
    layout = layout_of(module)
    network = module_network(module, layout, images)
    assert network.is_channels_last is is_channels_last
    weights = some_weights(module, layout, 4, rng)
    torch.testing.assert_close(
        network.forward(weights, images.flatten(1)),
        expected_of(make(), layout, weights, images),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("make", "shape", "is_batched"),
    [
        pytest.param(
            lambda: nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)), (6,), True
        ),
        pytest.param(conv, (2, 5, 5), False, id="convolution and normalization"),
        pytest.param(Attention, (5, 3), None, id="transformer"),
        pytest.param(Branching, (6,), False, id="branch on a value"),
        pytest.param(Tied, (5,), None, id="tied parameters, named logits"),
    ],
)
def test_checkpoints_give_what_loading_each_of_them_gives(make, shape, is_batched, rng):
    module = randomized(make(), rng)
    layout, images = layout_of(module), torch.randn(7, *shape, generator=rng)
    if isinstance(module, Tied):  # a state dict has both names, and the last one loaded counts
        layout = WeightLayout((*layout.shapes, ("second.weight", (5, 5))))
    weights = some_weights(module, layout, 5, rng)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    network = module_network(module, layout, images)
    assert isinstance(network, TargetNetwork)
    assert network.inputs == images[0].numel()
    if is_batched is not None:
        assert network.is_batched is is_batched
    for one in (network, replace(network, is_batched=False), replace(network, largest=1 << 21)):
        found = one.forward(weights, images.flatten(1))
        torch.testing.assert_close(
            found, expected_of(make(), layout, weights, images), rtol=1e-4, atol=1e-5
        )
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])


def test_many_at_once_is_one_by_one(rng):
    module = randomized(conv(), rng).eval()
    layout, images = layout_of(module), torch.randn(4, 2, 5, 5, generator=rng)
    state = layout.unflatten(some_weights(module, layout, 6, rng))
    together, alone = batched(module, state, (images,)), one_by_one(module, state, (images,))
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_built_in_network_and_its_module_agree(rng):
    weights = torch.randn(40, DIGITS_MLP.layout.size, generator=rng)
    x = torch.rand(30, 64, generator=rng)
    network = module_network(DIGITS_MLP.module(), DIGITS_MLP.layout, x)
    torch.testing.assert_close(network.forward(weights, x), DIGITS_MLP.forward(weights, x))
    assert network.symmetry.sizes(network.layout) == {"hidden": 10}


def test_parts_of_a_network_are_those_of_part_of_network(rng):
    whole = ResNet18(width=4, image_size=32, classes=5)
    module = randomized(whole.module(), rng)
    generated = ("layer4.1.bn1.weight", "layer4.1.bn1.bias", "layer4.1.bn2.weight")
    shared = shared_state(module, generated)
    part = PartOfNetwork(whole, shared, generated)
    weights = torch.randn(3, part.layout.size, generator=rng)
    x = torch.randn(4, whole.inputs, generator=rng)
    network = module_network(whole.module(), part.layout, whole.images(x), shared)
    assert isinstance(network, HasTrunk)
    expected = part.forward(weights, x)
    torch.testing.assert_close(network.forward(weights, x), expected, rtol=1e-4, atol=1e-4)
    found = network.tail(weights, network.trunk(x))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert not network.symmetry.sizes(network.layout)


def test_small_residual_network_with_its_statistics(rng):
    built_in = SmallResNet(width=4, blocks=1)
    module = randomized(built_in.module(), rng)
    weights = some_weights(module, built_in.layout, 4, rng)
    x = torch.rand(6, 64, generator=rng)
    network = module_network(built_in.module(), built_in.layout, x)
    expected = built_in.forward(weights, x)
    torch.testing.assert_close(network.forward(weights, x), expected, rtol=1e-4, atol=1e-4)


def test_fresh_running_statistics_are_refused(rng):
    module, images = conv(), torch.randn(2, 2, 5, 5)
    learned = WeightLayout(
        tuple((name, tuple(value.shape)) for name, value in module.named_parameters())
    )
    with refused("other-network", "norm.running_mean", "--shared"):
        module_network(module, learned, images)
    statistics = {k: v for k, v in module.state_dict().items() if "running" in k}
    assert module_network(module, learned, images, statistics).classes == 3
    statistics["norm.running_mean"] = torch.full((4,), float("nan"))
    with refused("not-finite", "norm.running_mean"):
        module_network(module, learned, images, statistics)


@pytest.mark.parametrize(
    ("layout", "shape", "refusal"),
    [
        ((("weight", (3, 6)),), (6,), ("other-network", "bias", "--shared")),
        ((("weight", (3, 6)), ("other", (3,))), (6,), ("other-network", "other", "3")),
        ((("weight", (6, 3)), ("bias", (3,))), (6,), ("other-network", "weight", "6x3", "3x6")),
        ((("weight", (3, 6)), ("bias", (3,))), (7,), ("network-failed", "RuntimeError")),
        ((("weight", (3, 6)), ("bias", (3,))), (2, 6), ("network-failed", "2x2x3")),
    ],
)
def test_what_does_not_fit_is_refused(layout, shape, refusal):
    with refused(*refusal):
        module_network(nn.Linear(6, 3), WeightLayout(layout), torch.zeros(2, *shape))


def test_outputs_that_are_no_logits_are_refused():
    for module, named in ((nn.Linear(6, 1), "256"), (nn.LSTM(6, 3), "tuple")):
        with refused("network-failed", named):
            module_network(module, layout_of(module), torch.zeros(2, 6))


def test_initialization_draws_from_the_given_numbers(rng):
    network = module_network(DIGITS_MLP.module(), DIGITS_MLP.layout, torch.zeros(1, 64))
    state = torch.random.get_rng_state()
    one = network.initial(torch.Generator().manual_seed(1))
    again = network.initial(torch.Generator().manual_seed(1))
    other = network.initial(torch.Generator().manual_seed(2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(state, torch.random.get_rng_state())


def checkpoints(names, rest=None):
    layout = WeightLayout(tuple((name, (2,)) for name in names))
    return Population(
        torch.zeros(1, 2 * len(names)), layout, Records.of(["a"], split="train"), shared=rest
    )


class Wrapped(nn.Module):
    def __init__(self, name):
        super().__init__()
        setattr(self, name, nn.LayerNorm(2))


def test_names_of_wrappers_are_left_off_or_added():
    own = nn.Sequential(nn.LayerNorm(2))
    names = ["0.weight", "0.bias"]
    for before in ("module.", "model.", "_orig_mod.", "net.", "module._orig_mod."):
        held = checkpoints([before + names[0]], {before + names[1]: torch.ones(2)})
        found = named_as(held, own)
        assert [name for name, _ in found.layout.shapes] == names[:1]
        assert list(found.shared or {}) == names[1:]
    found = named_as(checkpoints(["weight", "bias"]), Wrapped("model"))
    assert [name for name, _ in found.layout.shapes] == ["model.weight", "model.bias"]
    for same in (checkpoints(names), checkpoints(["encoder.0.weight"])):
        assert named_as(same, own) is same


def test_names_that_fit_in_two_ways_are_refused():
    both = nn.Module()
    both.a, both.net = nn.LayerNorm(2), nn.Module()
    both.net.a = nn.LayerNorm(2)
    with refused("other-network", "'model.'", "'model.net.'"):
        named_as(checkpoints(["model.net.a.weight"]), both)


def test_moves_of_what_is_shared_are_none(rng):
    module = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    table, layout = symmetry_of(module, torch.randn(2, 4), logits=True), layout_of(module)
    assert set(table.sizes(layout)) == {"0", "2"}
    rest = {"0.weight", "0.bias"}
    fixed = with_fixed(table, rest)
    assert fixed.sizes(layout) == {"2": 5}
    assert all("0." not in m.parameter for s in fixed.continuous.scales.values() for m in s.members)
    held = WeightLayout(tuple((n, s) for n, s in layout.shapes if n not in rest))
    mine = fixed.only([name for name, _ in held.shapes])
    weights = torch.randn(1, held.size, generator=rng)
    moved = transform(weights, held, mine, {"2": torch.tensor([[3, 1, 0, 4, 2]])})
    x = torch.randn(3, 4, generator=rng)
    one, two = (
        functional_call(module, {k: v[0] for k, v in held.unflatten(w).items()}, (x,))
        for w in (weights, moved)
    )
    torch.testing.assert_close(one, two)
    assert with_fixed(table, {"other"}) is table
