import pytest
import torch
from torch.func import functional_call
from torch.nn import functional as F

from novelweights.networks.network import TargetNetwork
from novelweights.networks.parts import LAST_TWO_NORMALIZATIONS
from novelweights.networks.resnet import ResNet18, whole_state
from novelweights.weights.symmetry import random_transform

pytestmark = pytest.mark.usefixtures("sound_convolutions")
SMALL = ResNet18(width=2, image_size=32, classes=5)
LARGE_IMAGES = ResNet18(width=2, image_size=224, channels=1, classes=5)


def random_states(network, n, rng):
    """Whole states far from an initialization: nothing is 0, 1 or the same in two channels."""
    weights = torch.empty(n, network.layout.size)
    for name, value in network.layout.unflatten(weights).items():
        if name.endswith("running_var") or (value.ndim == 2 and name.endswith(".weight")):
            value.uniform_(0.5, 1.5, generator=rng)
        elif value.ndim == 5:
            value.normal_(0, (2 / value[0, 0].numel()) ** 0.5, generator=rng)
        else:
            value.normal_(0, 0.3, generator=rng)
    return weights


def by_formula(network, state, images):
    """The network written out with functions only."""

    def norm(x, name):
        mean, var, weight, bias = (
            state[f"{name}.{part}"][:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    if network.image_size == 224:
        x = F.conv2d(images, state["conv1.weight"], stride=2, padding=3)
        x = F.max_pool2d(norm(x, "bn1").relu(), 3, stride=2, padding=1)
    else:
        x = norm(F.conv2d(images, state["conv1.weight"], padding=1), "bn1").relu()
    for at in (f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)):
        stride = 2 if at in ("layer2.0", "layer3.0", "layer4.0") else 1
        y = F.conv2d(x, state[f"{at}.conv1.weight"], stride=stride, padding=1)
        y = F.conv2d(norm(y, f"{at}.bn1").relu(), state[f"{at}.conv2.weight"], padding=1)
        if stride == 2:
            x = F.conv2d(x, state[f"{at}.downsample.0.weight"], stride=2)
            x = norm(x, f"{at}.downsample.1")
        x = (norm(y, f"{at}.bn2") + x).relu()
    return x.mean(dim=3).mean(dim=2) @ state["fc.weight"].T + state["fc.bias"]


def expected_shapes(width, kernel, channels, classes):
    """Name and shape of everything in a ResNet-18's state dict, in its order in common use."""

    def norm(name, size):
        parts = ("weight", "bias", "running_mean", "running_var")
        return [(f"{name}.{part}", (size,)) for part in parts]

    shapes = [("conv1.weight", (width, channels, kernel, kernel)), *norm("bn1", width)]
    into = width
    for stage, out in enumerate((width, 2 * width, 4 * width, 8 * width), start=1):
        for block in (0, 1):
            at = f"layer{stage}.{block}"
            shapes += [(f"{at}.conv1.weight", (out, into, 3, 3)), *norm(f"{at}.bn1", out)]
            shapes += [(f"{at}.conv2.weight", (out, out, 3, 3)), *norm(f"{at}.bn2", out)]
            if into != out:
                shapes += [(f"{at}.downsample.0.weight", (out, into, 1, 1))]
                shapes += norm(f"{at}.downsample.1", out)
            into = out
    return (*shapes, ("fc.weight", (classes, into)), ("fc.bias", (classes,)))


def test_names_shapes_and_their_order_are_those_in_common_use():
    assert ResNet18().layout.shapes == expected_shapes(64, 7, 3, 100)
    assert SMALL.layout.shapes == expected_shapes(2, 3, 3, 5)
    assert list(whole_state(SMALL.module())) == [name for name, _ in SMALL.layout.shapes]
    assert isinstance(SMALL, TargetNetwork)


def test_p_diffs_network_has_the_published_size():
    network = ResNet18()
    with torch.device("meta"):
        module = network.module()
    parameters = sum(parameter.numel() for parameter in module.parameters())
    kernels = 3 * 49 * 64 + 9 * (4 * 64**2)  # the stem, then the four stages
    for out in (128, 256, 512):
        kernels += 9 * (out // 2 * out + 3 * out**2) + out // 2 * out
    channels = 64 + 4 * 64 + 5 * (128 + 256 + 512)  # of all normalizations
    assert parameters == kernels + 2 * channels + 100 * 512 + 100 == 11_227_812
    assert network.layout.size == parameters + 2 * channels == 11_237_412
    shapes = dict(network.layout.shapes)
    assert [shapes[name] for name in LAST_TWO_NORMALIZATIONS] == [(512,)] * 4
    assert network.name == "resnet18-64-3x224x224-100"
    assert network.inputs == 3 * 224 * 224


@pytest.mark.parametrize(("size", "stem", "pooled", "last"), [(224, 112, 56, 7), (32, 32, 32, 4)])
def test_images_shrink_as_published(size, stem, pooled, last):
    network, seen = ResNet18(image_size=size), {}
    with torch.device("meta"):
        module, image = network.module().eval(), torch.empty(1, 3, size, size)
    for name in ("conv1", "maxpool", "layer1", "layer2", "layer3", "layer4"):
        module.get_submodule(name).register_forward_hook(
            lambda _, __, out, name=name: seen.update({name: tuple(out.shape[1:])})
        )
    assert module(image).shape == (1, 100)
    assert seen == {
        "conv1": (64, stem, stem),
        "maxpool": (64, pooled, pooled),
        "layer1": (64, pooled, pooled),
        "layer2": (128, pooled // 2, pooled // 2),
        "layer3": (256, pooled // 4, pooled // 4),
        "layer4": (512, last, last),
    }


@pytest.mark.parametrize("network", [SMALL, LARGE_IMAGES], ids=["32", "224"])
def test_outputs_are_those_of_the_network_written_out(network, rng):
    [weights] = random_states(network, 1, rng).double()
    x = torch.randn(3, network.inputs, generator=rng).double()
    state = network.layout.unflatten(weights)
    got = functional_call(network.module().eval(), state, (network.images(x),))
    images = x.reshape(3, network.channels, network.image_size, network.image_size)
    expected = by_formula(network, state, images)
    assert (expected - expected.mean(dim=0)).abs().max() > 0.01
    assert torch.allclose(got, expected, rtol=1e-9, atol=1e-9)


def outputs_of(network, weights, images):
    module = network.module().eval()
    return torch.stack(
        [functional_call(module, network.layout.unflatten(row), (images,)) for row in weights]
    )


def test_random_symmetries_keep_the_outputs_of_large_images(rng):
    weights = random_states(LARGE_IMAGES, 2, rng).double()
    images = LARGE_IMAGES.images(torch.randn(2, LARGE_IMAGES.inputs, generator=rng).double())
    permuted = random_transform(weights, LARGE_IMAGES.layout, LARGE_IMAGES.symmetry, rng=rng)
    assert (permuted - weights).abs().amax(dim=1).min() > 0.1
    assert torch.allclose(
        outputs_of(LARGE_IMAGES, permuted, images),
        outputs_of(LARGE_IMAGES, weights, images),
        atol=1e-9,
    )


def test_groups_are_the_inside_of_each_block_and_the_sum_of_each_stage():
    width = SMALL.width
    expected = {f"stage{stage}": width * 2 ** (stage - 1) for stage in (1, 2, 3, 4)}
    for stage in (1, 2, 3, 4):
        expected |= {f"block{stage}.{block}": width * 2 ** (stage - 1) for block in (0, 1)}
    assert SMALL.symmetry.sizes(SMALL.layout) == expected
    assert SMALL.symmetry.sign_groups == frozenset()


def test_an_initialization_begins_with_blocks_that_change_nothing(rng):
    network = ResNet18(width=8, image_size=32, classes=5)
    state = network.layout.unflatten(network.initial(rng))
    module = network.module()
    module.load_state_dict(state, strict=False)
    x = torch.rand(2, 8, 6, 6, generator=rng)
    assert torch.equal(module.eval().layer1(x), x)
    for name, value in state.items():
        kind = name.rpartition(".")[2]
        if value.ndim == 4:
            fan_out = value.shape[0] * value.shape[2] * value.shape[3]
            assert abs(value.std() / (2 / fan_out) ** 0.5 - 1) < 5 * value.numel() ** -0.5
        elif name.startswith("fc."):
            assert 0.8 * 64**-0.5 < value.abs().max() <= 64**-0.5 or name == "fc.bias"
        else:
            is_one = kind == "running_var" or (kind == "weight" and ".bn2." not in name)
            assert (value == float(is_one)).all(), name
    assert state["fc.bias"].abs().max() <= 64**-0.5
    assert state["fc.bias"].unique().numel() == 5


@pytest.mark.parametrize(
    "wrong", [{"image_size": 64}, {"width": 0}, {"channels": 0}, {"classes": 0}], ids=str
)
def test_impossible_networks_are_refused(wrong):
    with pytest.raises(ValueError, match=r"image size 64 is none of|at least 1 channel"):
        ResNet18(**wrong)
