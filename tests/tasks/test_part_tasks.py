"""Tasks that judge parts of a network: one pass of the trunk, the predictions of whole networks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from refused import refused

from novelweights import tasks
from novelweights.data import images
from novelweights.data.image_data import PixelData
from novelweights.inputs import task_of
from novelweights.networks.parts import LAST_TWO_NORMALIZATIONS, PartOfNetwork, shared_state
from novelweights.networks.resnet import ResNet18
from novelweights.tasks import classification, make_task
from novelweights.tasks.classification import inputs_of
from novelweights.tasks.decision_regions import decision_regions
from novelweights.tasks.evaluation_images import evaluation_images
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, sampled_records

NETWORK = ResNet18(width=2, image_size=32, classes=5)
DATA_NAME = "photo-patch-10"
TASK_NAME = f"{DATA_NAME}-resnet18-bn"


@pytest.fixture
def data(monkeypatch):
    """23 test images by the name of a set that the tasks know, for a network as small."""
    rng = np.random.default_rng(0)
    made = PixelData(
        name=DATA_NAME,
        source="made in a test",
        sha256="",
        train=np.zeros((0, 32, 32, 3), np.uint8),
        train_y=np.zeros(0, np.int64),
        test=rng.integers(0, 256, (23, 32, 32, 3)).astype(np.uint8),
        test_y=rng.integers(0, 5, 23),
        mean=(0.5, 0.4, 0.6),
        std=(0.25, 0.2, 0.3),
        classes=5,
    )
    monkeypatch.setitem(images.PIXELS, DATA_NAME, lambda: made)
    monkeypatch.setitem(tasks.RESNETS, DATA_NAME, NETWORK)
    return made


@pytest.fixture
def population():
    rng = torch.Generator().manual_seed(0)
    module = NETWORK.module()
    module.load_state_dict(NETWORK.layout.unflatten(NETWORK.initial(rng)), strict=False)
    for name, value in module.state_dict().items():
        if "running" in name or name.endswith(("bn2.weight", "bn2.bias")):
            value.uniform_(0.5, 1.5, generator=rng)
    shared = shared_state(module, LAST_TWO_NORMALIZATIONS)
    part = PartOfNetwork(NETWORK, shared)
    weights = 3 * torch.randn(6, part.layout.size, generator=rng)
    info = PopulationInfo("parts", {}, part.name, part.symmetry, TASK_NAME)
    return Population(weights, part.layout, sampled_records(6), info, shared)


def whole_outputs(population, x):
    """One checkpoint after the other, put into the whole network."""
    module, outputs = NETWORK.module(), []
    module.load_state_dict(dict(population.shared), strict=False)
    for weights in population.weights:
        module.load_state_dict(population.layout.unflatten(weights), strict=False)
        outputs.append(module.eval()(x.reshape(-1, 3, 32, 32)).detach())
    return torch.stack(outputs)


@pytest.fixture
def trunk_passes(monkeypatch):
    """How many images each call of a trunk was given."""
    passes, trunk = [], PartOfNetwork.trunk

    def counted(self, x):
        passes.append(len(x))
        return trunk(self, x)

    monkeypatch.setattr(PartOfNetwork, "trunk", counted)
    return passes


@pytest.mark.parametrize("block", [2, 1024])
def test_predictions_and_losses_are_those_of_whole_networks(data, population, monkeypatch, block):
    monkeypatch.setattr(classification, "BLOCK_CHECKPOINTS", block)
    monkeypatch.setattr(classification, "BLOCK_EXAMPLES", 4 * block)
    task = make_task(TASK_NAME, population.shared)
    expected = whole_outputs(population, task.data.test_x)
    behavior = task.behave(population)
    assert torch.equal(behavior.long(), expected.argmax(dim=2))
    assert behavior.unique().numel() > 1
    labels = torch.from_numpy(data.test_y)
    loss = [torch.nn.functional.cross_entropy(out, labels).item() for out in expected]
    assert task.loss(population).tolist() == pytest.approx(loss, rel=1e-5)
    right = 100 * (expected.argmax(dim=2) == labels).double().mean(dim=1)
    assert torch.allclose(task.score(behavior), right)


def test_the_trunk_is_passed_once(data, population, trunk_passes):
    task = make_task(TASK_NAME, population.shared)
    first = task.behave(population)
    assert torch.equal(task.behave(population.select([3])), first[3:4])
    task.loss(population)
    assert trunk_passes == [23]


def test_decision_regions_are_the_predictions_on_the_plane(data, population, trunk_passes, rng):
    task, plane = make_task(TASK_NAME, population.shared), torch.randn(2, 8, 3072, generator=rng)
    regions = decision_regions(task, population, plane)
    expected = whole_outputs(population, plane.reshape(16, 3072)).argmax(dim=2)
    assert regions.shape == (6, 2, 8)
    assert regions.reshape(6, 16).tolist() == expected.tolist()
    assert trunk_passes == [16]


@pytest.mark.parametrize("at_once", [8, 2048])
def test_activations_are_those_of_the_trunk_block_by_block(
    data, population, monkeypatch, trunk_passes, at_once
):
    part, x = PartOfNetwork(NETWORK, population.shared), evaluation_images(NETWORK, data).test_x
    expected = [part.trunk(some) for some in x.split(at_once)]
    trunk_passes.clear()
    monkeypatch.setattr(classification, "BLOCK_EXAMPLES", at_once)
    found = inputs_of(part, x)
    assert trunk_passes == [len(some) for some in x.split(at_once)]
    assert len(found) == 2
    for activations, parts in zip(found, zip(*expected, strict=True), strict=True):
        assert torch.equal(activations, torch.cat(parts))
        assert activations.stride() == torch.cat(parts).stride()
        assert activations.is_contiguous(memory_format=torch.channels_last)
    assert all(len(of_none) == 0 for of_none in inputs_of(part, x[:0]))


def test_images_of_a_network_without_trunk_are_not_copied(data):
    x = evaluation_images(NETWORK, data).test_x
    [same] = inputs_of(NETWORK, x)
    assert same is x


def test_parameters_may_be_in_any_order_but_must_be_the_parts(data, population):
    task = make_task(TASK_NAME, population.shared)
    shuffled = population.in_order_of(WeightLayout(tuple(sorted(population.layout.shapes))))
    assert not torch.equal(shuffled.weights, population.weights)
    assert torch.equal(task.behave(shuffled), task.behave(population))
    for layout in (NETWORK.layout, WeightLayout(population.layout.shapes[:2])):
        other = Population(torch.zeros(1, layout.size), layout, sampled_records(1))
        with refused("other-network", TASK_NAME, layout.size):
            task.behave(other)


def test_a_task_of_parts_needs_their_rest(data, population):
    with refused("not-found", TASK_NAME, "shared.safetensors"):
        make_task(TASK_NAME)
    shared = {**population.shared, "fc.bias": torch.zeros(6)}
    with refused("other-network", "fc.bias"):
        make_task(TASK_NAME, shared)
    with refused("unknown-name", TASK_NAME):
        make_task(TASK_NAME.replace("patch", "path"), population.shared)


def test_a_population_brings_the_rest_to_its_task(data, population):
    for name in ("auto", TASK_NAME):
        task = task_of(name, population)
        assert torch.equal(
            task.behave(population).long(),
            whole_outputs(population, task.data.test_x).argmax(dim=2),
        )
    assert task_of("none", population) is None
    for name in ("auto", TASK_NAME):
        with refused("not-found", TASK_NAME):
            task_of(name, replace(population, shared=None))
