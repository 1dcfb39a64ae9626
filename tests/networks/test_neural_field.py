import math

import pytest
import torch

from novelweights.networks import neural_field
from novelweights.networks.neural_field import OCCUPANCY_FIELD, OccupancyField

SMALL = OccupancyField(width=7)


def by_modules(field, weights, points):
    """Logits of one ordinary module at a time, in float64."""
    module, outputs = field.module().double(), []
    for i, row in enumerate(weights):
        module.load_state_dict(field.layout.unflatten(row))
        own = (points if points.ndim == 2 else points[i]).double()
        outputs.append(module(own).detach()[:, 0])
    return torch.stack(outputs)


def some(field, n, rng, shape=(50,)):
    weights = torch.stack([field.initial(rng) for _ in range(n)])
    return weights, torch.rand(*shape, 3, generator=rng) - 0.5


def test_size_and_names_are_the_published_ones():
    w, encoded = 128, 3 * (1 + 2 * 4)
    assert OCCUPANCY_FIELD.inputs == encoded == 27
    assert OCCUPANCY_FIELD.layout.size == (encoded * w + w) + 2 * (w * w + w) + (w + 1) == 36737
    assert [math.prod(shape) for _, shape in OCCUPANCY_FIELD.layout.shapes] == [
        *(3456, 128, 16384, 128, 16384, 128, 128, 1)
    ]
    assert OCCUPANCY_FIELD.name == "field-27-128-128-128-1-relu"


def test_the_encoding_is_in_the_published_order():
    x, y, z = 0.3, -0.2, 0.45
    expected = [x, y, z]
    for k in (1, 2, 4, 8):
        expected += [math.sin(k * x), math.sin(k * y), math.sin(k * z)]
        expected += [math.cos(k * x), math.cos(k * y), math.cos(k * z)]
    encoded = OCCUPANCY_FIELD.encode(torch.tensor([[x, y, z]]))
    assert torch.allclose(encoded[0], torch.tensor(expected), atol=1e-6)


@pytest.mark.parametrize("at_once", [1, 64])
@pytest.mark.parametrize("shape", [(50,), (4, 50)])
def test_forward_equals_one_module_at_a_time(shape, at_once, rng, monkeypatch):
    weights, points = some(SMALL, 4, rng, shape)
    expected = by_modules(SMALL, weights, points)
    monkeypatch.setattr(neural_field, "POINTS_AT_ONCE", at_once)
    logits = SMALL.forward(weights, points)
    assert logits.shape == (4, 50)
    assert torch.allclose(logits.double(), expected, atol=1e-5)  # sums of 27 products, some 1
    assert expected.std() > 0.01


def test_forward_takes_nothing(rng):
    weights, points = some(SMALL, 2, rng)
    assert SMALL.forward(weights[:0], points).shape == (0, 50)
    assert SMALL.forward(weights, points[:0]).shape == (2, 0)
    with pytest.raises(ValueError, match="3 sets of points for 2 checkpoints"):
        SMALL.forward(weights, torch.zeros(3, 5, 3))
    with pytest.raises(ValueError, match="weights, got"):
        SMALL.forward(weights[:, 1:], points)


def test_gradients_are_those_of_the_module(rng, monkeypatch):
    monkeypatch.setattr(neural_field, "POINTS_AT_ONCE", 16)
    weights, points = some(SMALL, 2, rng, (2, 30))
    weights.requires_grad_()
    SMALL.forward(weights, points).square().sum().backward()
    for row, own, gradient in zip(weights.detach(), points, weights.grad, strict=True):
        module = SMALL.module().double()
        module.load_state_dict(SMALL.layout.unflatten(row))
        module(own.double()).square().sum().backward()
        expected = torch.cat([p.grad.flatten() for p in module.parameters()])
        assert torch.allclose(gradient.double(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("frequencies", [0, 4])
def test_tables_on_a_grid_give_the_same_logits(frequencies, rng, monkeypatch):
    monkeypatch.setattr(neural_field, "POINTS_AT_ONCE", 64)
    field = OccupancyField(9, frequencies)
    weights, _ = some(field, 1, rng)
    axis = torch.linspace(-0.5, 0.5, 11)
    indices = torch.randint(0, 11, (200, 3), generator=rng)
    logits = field.on_grid(weights[0], axis)
    expected = by_modules(field, weights, axis[indices])[0]
    assert torch.allclose(logits(indices).double(), expected, atol=1e-5)
    assert logits(indices[:0]).shape == (0,)


def test_initial_weights_are_those_of_a_linear_layer(rng):
    state = OCCUPANCY_FIELD.layout.unflatten(OCCUPANCY_FIELD.initial(rng))
    for i, fan_in in enumerate((27, 128, 128, 128)):
        weight, bound = state[f"layers.{i}.weight"], 1 / math.sqrt(fan_in)
        assert 0.9 * bound < weight.abs().max() <= bound
        assert state[f"layers.{i}.bias"].abs().max() <= bound
        if i < 3:
            expected = bound / math.sqrt(3)
            assert weight.std().item() == pytest.approx(expected, rel=0.05)
    again = OCCUPANCY_FIELD.initial(torch.Generator().manual_seed(0))
    assert torch.equal(again, OCCUPANCY_FIELD.layout.flatten(state))


def test_impossible_sizes_are_refused():
    for width, frequencies in ((0, 4), (8, -1)):
        with pytest.raises(ValueError, match="width of at least 1"):
            OccupancyField(width, frequencies)
