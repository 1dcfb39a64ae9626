"""ResNet-18: the published counts and names, its symmetry, one module against a population."""

import pytest
import torch

from novelweights.networks.resnet import ResNet18, whole_state
from novelweights.seeding import rng_for
from novelweights.weights.symmetry import random_transform

TINY = ResNet18(width=2, image_size=32, classes=5)


def checkpoints(n: int, network: ResNet18 = TINY) -> torch.Tensor:
    """Checkpoints whose normalizations and running statistics are no longer as initialized."""
    weights = torch.stack([network.initial(rng_for(0, i)) for i in range(n)])
    for name, where in network.layout.slices.items():
        if "bn" in name or "downsample.1" in name:
            drawn = torch.rand(n, where.stop - where.start, generator=rng_for(1, name))
            weights[:, where] = 0.5 + drawn
    return weights


def test_the_published_network_has_its_published_number_of_parameters() -> None:
    def convolutions(into: int, out: int) -> int:
        first = 9 * into * out + 9 * out * out + 4 * out
        second = 2 * 9 * out * out + 4 * out
        shortcut = into * out + 2 * out if into != out else 0
        return first + second + shortcut

    stages = [(64, 64), (64, 128), (128, 256), (256, 512)]
    parameters = 3 * 49 * 64 + 2 * 64 + sum(convolutions(*stage) for stage in stages)
    parameters += 512 * 100 + 100
    assert parameters == 11_227_812  # 11,689,512 with the 1,000 classes of ImageNet
    with torch.device("meta"):
        module = ResNet18().module()
    assert sum(p.numel() for p in module.parameters()) == parameters
    assert ResNet18().layout.size == parameters + 9_600  # running means and variances


def test_its_parameters_have_the_names_in_common_use() -> None:
    names = [name for name, _ in ResNet18().layout.shapes]
    assert {"conv1.weight", "bn1.running_var", "layer2.0.downsample.0.weight", "fc.bias"} <= {
        *names
    }
    assert "layer1.0.downsample.0.weight" not in names
    assert len(names) == len(set(names)) == 102


@pytest.mark.parametrize("size", [32, 224])
def test_a_module_takes_images_of_its_size(size: int) -> None:
    network = ResNet18(width=2, image_size=size, classes=7)
    logits = network.forward(network.initial(rng_for(0))[None], torch.zeros(3, 3 * size * size))
    assert logits.shape == (1, 3, 7)


def test_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="image size 64"):
        ResNet18(image_size=64)


def test_blocks_begin_as_the_identity_and_seeds_differ() -> None:
    state = TINY.layout.unflatten(TINY.initial(rng_for(0)))
    assert not state["layer3.1.bn2.weight"].any()
    assert (state["layer3.1.bn1.weight"] == 1).all()
    assert (state["layer3.1.bn1.running_var"] == 1).all()
    assert not torch.equal(TINY.initial(rng_for(0)), TINY.initial(rng_for(1)))


def test_a_population_answers_as_its_modules_one_by_one() -> None:
    weights, x = checkpoints(3), torch.randn(4, TINY.inputs, generator=rng_for(2))
    logits = TINY.forward(weights, x)
    for row in range(3):
        module = TINY.module().eval()
        module.load_state_dict(TINY.layout.unflatten(weights[row]), strict=False)
        with torch.no_grad():
            expected = module(x.reshape(4, 3, 32, 32))
        torch.testing.assert_close(logits[row], expected, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(logits[0], logits[1])


def test_reordered_channels_compute_the_same_and_half_a_move_does_not() -> None:
    wide = ResNet18(width=4, image_size=32, classes=5)
    weights, x = checkpoints(2, wide), torch.randn(4, wide.inputs, generator=rng_for(2))
    moved = random_transform(weights, wide.layout, wide.symmetry, rng=rng_for(3))
    assert not torch.equal(moved, weights)
    before, after = wide.forward(weights, x), wide.forward(moved, x)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
    broken = moved.clone()
    where = wide.layout.slices["layer4.0.bn2.running_mean"]
    broken[:, where] = weights[:, where]
    assert (wide.forward(broken, x) - before).abs().max() > 1e-2


def test_counts_of_batches_are_no_part_of_a_checkpoint() -> None:
    assert not [name for name in whole_state(TINY.module()) if "num_batches" in name]
