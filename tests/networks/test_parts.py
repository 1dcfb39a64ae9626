"""Parts of a network: the trunk is computed once, and nothing else changes."""

from collections.abc import Sequence

import pytest
import torch
from torch import nn

from novelweights.data.image_data import ImageData
from novelweights.errors import InputError
from novelweights.networks.parts import (
    LAST_TWO_NORMALIZATIONS,
    PartOfNetwork,
    shared_state,
    split_at,
)
from novelweights.networks.resnet import ResNet18, whole_state
from novelweights.seeding import rng_for
from novelweights.tasks.classification import Classification
from novelweights.tasks.decision_regions import decision_regions
from novelweights.weights.population import Population, Records

TINY = ResNet18(width=2, image_size=32, classes=5)


def trained_module() -> nn.Module:
    """A network whose running statistics have seen images."""
    module = TINY.module()
    module.load_state_dict(TINY.layout.unflatten(TINY.initial(rng_for(0))), strict=False)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("bn2.weight"):
                parameter.fill_(0.7)  # blocks begin as the identity
    module.train()
    for step in range(3):
        module(torch.randn(16, 3, 32, 32, generator=rng_for(1, step)))
    return module.eval()


def part(generated: Sequence[str] = LAST_TWO_NORMALIZATIONS) -> PartOfNetwork:
    """Some parameters of that network."""
    names = tuple(generated)
    return PartOfNetwork(TINY, shared_state(trained_module(), names), names)


def population(n: int, of: PartOfNetwork) -> Population:
    """Checkpoints of a part."""
    weights = 1 + 0.5 * torch.randn(n, of.layout.size, generator=rng_for(2))
    return Population(weights, of.layout, Records.of([f"run-{i}" for i in range(n)], split="train"))


def images(n: int) -> torch.Tensor:
    """Rows of random pixels."""
    return torch.randn(n, TINY.inputs, generator=rng_for(3))


@pytest.mark.parametrize(
    "generated",
    [
        LAST_TWO_NORMALIZATIONS,
        ("conv1.weight",),
        ("layer2.0.bn1.weight", "layer2.0.bn1.bias"),
        ("layer3.0.downsample.0.weight",),
        ("fc.weight", "fc.bias"),
    ],
)
def test_trunk_and_tail_are_the_whole_network(generated: tuple[str, ...]) -> None:
    of, x = part(generated), images(6)
    checkpoints = population(3, of)
    logits = of.tail(checkpoints.weights, of.trunk(x))
    for row in range(3):
        module = trained_module()
        state = of.layout.unflatten(checkpoints.weights[row])
        module.load_state_dict({**whole_state(module), **state}, strict=False)
        with torch.no_grad():
            expected = module(x.reshape(6, 3, 32, 32))
        torch.testing.assert_close(logits[row], expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(logits[0], logits[1])


def test_nothing_of_the_trunk_is_computed_for_a_checkpoint() -> None:
    trunk, tail = split_at(trained_module(), LAST_TWO_NORMALIZATIONS)
    names = {
        half: {name for name, m in module.named_modules() if isinstance(m, nn.Conv2d)}
        for half, module in (("trunk", trunk), ("tail", tail))
    }
    assert names["tail"] == {"layer4.1.conv2"}
    assert "layer4.1.conv1" in names["trunk"]


def test_any_module_that_can_be_traced_is_split() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.middle, self.last = (nn.Linear(4, 4) for _ in range(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = torch.relu(self.first(x))
            return self.last(h + self.middle(h) + x)

    module, x = Residual(), torch.randn(3, 4, generator=rng_for(0))
    trunk, tail = split_at(module, ["middle.weight"])
    activations = trunk(x)
    assert len(activations) == 2  # what the sum and the middle layer take: h and x
    torch.testing.assert_close(tail(*activations), module(x))


def test_names_that_are_no_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match=r"layer9\.weight"):
        split_at(trained_module(), ["layer9.weight"])


def test_a_rest_that_does_not_fit_is_refused_by_name() -> None:
    shared = shared_state(trained_module(), LAST_TWO_NORMALIZATIONS)
    lacking = {name: value for name, value in shared.items() if name != "conv1.weight"}
    with pytest.raises(InputError, match=r"conv1\.weight is missing, expected 2x3x3x3"):
        PartOfNetwork(TINY, lacking)
    with pytest.raises(InputError, match=r"fc\.bias is 4, expected 5"):
        PartOfNetwork(TINY, {**shared, "fc.bias": torch.zeros(4)})
    with pytest.raises(InputError, match=r"NaN or infinite numbers in fc\.bias"):
        PartOfNetwork(TINY, {**shared, "fc.bias": torch.full((5,), torch.nan)})


def test_no_moves_leave_a_part_alone() -> None:
    of = part()
    assert of.symmetry.sizes(of.layout) == {}
    assert of.layout.size == 4 * 16
    assert ResNet18().layout.slices["layer4.1.bn1.bias"].stop > 0
    assert of.name == "resnet18-2-3x32x32-5: layer4.1.bn1, layer4.1.bn2"


def test_a_task_computes_the_trunk_once(monkeypatch: pytest.MonkeyPatch) -> None:
    of, x = part(), images(20)
    data = ImageData(
        "toy",
        "made",
        "",
        x[:0],
        torch.empty(0, dtype=torch.int64),
        x,
        torch.arange(20) % 5,
        (3, 32, 32),
    )
    calls = []
    whole_trunk = PartOfNetwork.trunk

    def counted(self: PartOfNetwork, some: torch.Tensor) -> tuple[torch.Tensor, ...]:
        calls.append(len(some))
        return whole_trunk(self, some)

    monkeypatch.setattr(PartOfNetwork, "trunk", counted)
    task, checkpoints = Classification("toy", of, data), population(3, of)
    first = task.behave(checkpoints)
    assert torch.equal(first[:2], task.behave(checkpoints.select([0, 1])))
    task.loss(checkpoints)
    assert calls == [20]
    expected = of.forward(checkpoints.weights, x).argmax(dim=2)
    assert torch.equal(first.long(), expected)
    regions = decision_regions(task, checkpoints.select([0]), resolution=4)
    assert regions.shape == (1, 4, 4)
