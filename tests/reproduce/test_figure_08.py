"""Figure 8: averages with recomputed statistics, and a picture from its table alone."""

import pandas as pd
import pytest
import torch
from torch import Tensor

from novelweights.networks.parts import LAST_TWO_NORMALIZATIONS, PartOfNetwork, shared_state
from novelweights.networks.resnet import ResNet18
from novelweights.reproduce.averaging import AVERAGES, Recomputed
from novelweights.reproduce.exhibits import figure_08
from novelweights.reproduce.plan import plan_of
from novelweights.reproduce.table import Table

NETWORK = ResNet18(width=8, image_size=32, classes=10)


@pytest.fixture(scope="module")
def images() -> tuple[Tensor, Tensor]:
    """Training and test images, each of its own contrast."""
    rng = torch.Generator().manual_seed(1)
    drawn = torch.randn(70, NETWORK.inputs, generator=rng)
    drawn *= torch.logspace(-1, 1, 70)[torch.randperm(70, generator=rng)][:, None]
    return drawn[:40], drawn[40:]


@pytest.fixture(scope="module")
def part(images: tuple[Tensor, Tensor]) -> PartOfNetwork:
    """Two normalizations of a random network, whose own statistics are not those of its inputs."""
    torch.manual_seed(0)
    module = NETWORK.module().train()
    with torch.no_grad():
        for _ in range(20):
            module(NETWORK.images(images[0]))
    for layer in ("bn1", "bn2"):
        module.get_submodule(f"layer4.1.{layer}").reset_running_stats()
    return PartOfNetwork(NETWORK, shared_state(module, LAST_TWO_NORMALIZATIONS))


def _drawn(part: PartOfNetwork, n: int) -> Tensor:
    return torch.randn(n, part.layout.size, generator=torch.Generator().manual_seed(2))


def test_statistics_are_those_of_the_training_images(
    part: PartOfNetwork, images: tuple[Tensor, Tensor]
) -> None:
    training, test = images
    [weights] = _drawn(part, 1)
    module = part.module().eval()
    module.load_state_dict(part.layout.unflatten(weights), strict=False)
    for name in ("layer4.1.bn1", "layer4.1.bn2"):
        layer = module.get_submodule(name)
        layer.train()
        layer.momentum = 1.0
    with torch.no_grad():
        module(NETWORK.images(training))
        expected = module.eval()(NETWORK.images(test))
        found = Recomputed.of(part, training, test).logits(weights)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    with_the_kept = part.forward(weights[None], test)[0]
    assert float((found - with_the_kept).abs().max()) > 0.01


def test_one_checkpoint_leaves_no_trace_in_the_next(
    part: PartOfNetwork, images: tuple[Tensor, Tensor]
) -> None:
    runner, weights = Recomputed.of(part, *images), _drawn(part, 3)
    with torch.no_grad():
        first = runner.logits(weights[0])
        runner.logits(weights[1])
        assert torch.equal(first, runner.logits(weights[0]))
    assert torch.equal(runner.predictions(weights)[0], first.argmax(dim=1).to(torch.uint8))


def test_only_networks_with_generated_parts_have_recomputed_statistics() -> None:
    methods = plan_of("smoke").methods
    assert [name for name, runs in methods.items() if runs.recomputed] == ["p-diff"]


def test_it_is_drawn_from_its_table_alone_and_claims_nothing() -> None:
    kinds = ["training", "generated", AVERAGES, figure_08.RECOMPUTED]
    behavior = pd.DataFrame({"kind": kinds * 2, "quality": range(8), "novelty": range(8)})
    places = pd.DataFrame({"kind": kinds[:2], "x": [0, 1], "y": [1, 0]})
    rows = pd.concat([behavior.assign(panel="behavior"), places.assign(panel="map")])
    table = Table(figure_08.TITLE, rows, {})
    left, right = figure_08.picture(table).axes
    assert (len(left.collections), len(right.collections)) == (4, 2)
    assert not figure_08.claims(table)
