"""HyperDiffusion at the published size, on the published target network."""

import pytest
import torch

from novelweights.generators import hyperdiffusion
from novelweights.generators.hyperdiffusion import HyperDiffusion
from novelweights.generators.parts.transformer import (
    SCALAR_FEATURES,
    parameter_count,
    token_sizes,
)
from novelweights.networks.neural_field import OccupancyField
from novelweights.weights.population import Population, Records

FIELD = OccupancyField(width=128)
SIZE = 1_407_225_600  # Source: paper, Table 1 (1.4B); code of the method
DECREASE = 0.01
"""Share of the loss that one step is to take off, by the gradient: little, so that the loss is
about linear over the step, and far above what float32 sums of 36,737 errors lose."""


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_the_published_field_is_nine_tokens_and_has_the_published_size():
    sizes = token_sizes(FIELD.layout)
    assert sizes == (3456, 128, 16384, 128, 16384, 128, 128, 1)
    with torch.device("meta"):
        network = HyperDiffusion().network(FIELD.layout)
        assert parameter_count(network) == SIZE
        inputs = [layer.in_features for layer in network.inputs]
        assert inputs == [*sizes, SCALAR_FEATURES]
        assert SCALAR_FEATURES == 257
        assert network([torch.empty(3, size) for size in inputs]).shape == (3, 36_737)


@pytest.mark.slow
def test_one_plain_step_at_the_published_size_does_what_its_gradient_says(monkeypatch):
    """1.4 billion parameters: forward, backward and gradient descent, for real (about 12 GB)."""
    weights = torch.stack([FIELD.initial(seeded(seed)) for seed in range(2)])
    records = Records.of(["a", "b"], split="train", step=[0, 0])
    training = Population(weights, FIELD.layout, records)

    def one_step(network, loss_at, settings, **kept):
        """In place of AdamW, whose two moments would take another 11 GB."""
        before = loss_at(network, seeded(5))
        before.backward()
        gradients = {name: value.grad for name, value in network.named_parameters()}
        missing = [name for name, gradient in gradients.items() if gradient is None]
        assert missing == []
        norms = {name: float(gradient.norm()) for name, gradient in gradients.items()}
        assert all(0 < norm < float("inf") for norm in norms.values()), norms
        squared = sum(norm**2 for norm in norms.values())
        rate = DECREASE * before.item() / squared
        sampled = {name: entries(value) for name, value in network.named_parameters()}
        torch.optim.SGD(network.parameters(), lr=rate).step()
        told = 0.0
        for name, value in network.named_parameters():
            step = rate * entries(gradients[name])
            # the rate, its product with the gradient and the sum are rounded to float32
            rounding = 2**-22 * (sampled[name].abs() + step.abs())
            wanted = sampled[name] - step
            assert ((entries(value) - wanted).abs() <= rounding).all(), name
            told += float((step.abs() > rounding).double().mean())
        assert told > 0.5 * len(sampled)  # else steps would be too small for that to mean much
        with torch.no_grad():
            after = loss_at(network, seeded(5))
        assert before.isfinite()
        assert after.isfinite()
        assert (before - after).item() == pytest.approx(rate * squared, rel=0.1)
        return network

    monkeypatch.setattr(hyperdiffusion, "train", one_step)
    fitted = HyperDiffusion(batch_size=2, sampling_steps=1).fit(training, rng=seeded(1))
    assert fitted.parameters == SIZE
    assert fitted.sample(1, rng=seeded(2)).weights.isfinite().all()


def entries(parameter):
    """Some 1,000 of a parameter's entries, as float64."""
    flat = parameter.detach().flatten()
    return flat[:: max(1, len(flat) // 1000)].double()
