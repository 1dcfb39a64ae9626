import math

import pytest
import torch
from refused import refused
from torch.nn import functional as F

from novelweights.generators.parts.neuron_autoencoder import (
    NeuronAutoencoder,
    ProjectionHead,
    _Norm,
    neuron_layers,
    nt_xent,
)
from novelweights.weights.layout import WeightLayout

LAYOUT = WeightLayout(
    (
        ("conv.weight", (3, 1, 2, 2)),
        ("conv.bias", (3,)),
        ("dense.weight", (2, 12)),
        ("dense.bias", (2,)),
    )
)


def tiny(unit=None):
    torch.manual_seed(0)
    network = NeuronAutoencoder(
        neuron_layers(LAYOUT),
        width=16,
        hidden=24,
        depth=1,
        heads=2,
        latent=8,
        dropout=0.0,
        unit=torch.ones(LAYOUT.size) if unit is None else unit,
    )
    return network.eval()


def test_a_token_is_a_neuron_with_its_incoming_weights_and_bias():
    conv, dense = neuron_layers(LAYOUT)
    assert (conv.name, dense.name) == ("conv", "dense")
    assert conv.where.tolist()[1] == [4, 5, 6, 7, 13]  # filter 1, then bias 1
    assert dense.where.tolist()[0] == [*range(15, 27), 39]
    every = torch.cat([conv.where.flatten(), dense.where.flatten()])
    assert sorted(every.tolist()) == list(range(LAYOUT.size))


def test_layers_without_neurons_are_refused():
    odd = WeightLayout((("block.weight", (3, 2)), ("block.scale", (4,))))
    with refused("unsuited", "block", "3 and 4"):
        neuron_layers(odd)
    assert [layer.where.shape for layer in neuron_layers(WeightLayout((("scale", ()),)))] == [
        (1, 1)
    ]


def test_a_neuron_reaches_its_own_token_only():
    # before the transformer mixes them: gradients of one token's embedding
    network, weights = tiny(), torch.randn(1, LAYOUT.size).requires_grad_()
    seen = []
    network.encoder = torch.nn.ModuleList()
    network.compress.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    network.encode(weights)
    tokens = seen[0].reshape(5, 16)
    [gradient] = torch.autograd.grad(tokens[1].sum(), weights)
    assert set(gradient[0].nonzero().flatten().tolist()) == {4, 5, 6, 7, 13}


def test_decoding_puts_each_neuron_back_in_its_place():
    network = tiny()
    for i, read in enumerate(network.read):  # neuron k of layer i reads 10 i + k
        torch.nn.init.zeros_(read.weight)
        torch.nn.init.constant_(read.bias, float(10 * i))
    decoded = LAYOUT.unflatten(network.decode(torch.zeros(2, 8)))
    assert (decoded["conv.weight"] == 0).all()
    assert (decoded["conv.bias"] == 0).all()
    assert (decoded["dense.weight"] == 10).all()
    assert (decoded["dense.bias"] == 10).all()


def test_scaling_on_the_way_in_and_out_undo_each_other(rng):
    unit = torch.rand(LAYOUT.size, generator=rng) + 0.5
    weights = torch.randn(3, LAYOUT.size, generator=rng)
    plain, scaled = tiny(), tiny(unit)
    through = scaled.decode(scaled.encode(weights * unit))
    assert torch.allclose(through, plain.decode(plain.encode(weights)) * unit, atol=1e-5)


def test_norm_divides_by_the_unbiased_deviation(rng):
    x = torch.randn(4, 7, generator=rng) * 3 + 2
    norm = _Norm(7)
    torch.nn.init.uniform_(norm.gain)
    torch.nn.init.uniform_(norm.shift)
    published = norm.gain * (x - x.mean(1, True)) / (x.std(1, keepdim=True) + 1e-6) + norm.shift
    assert torch.allclose(norm(x), published, atol=1e-5)


def test_contrastive_loss_is_the_written_out_cross_entropy(rng):
    first, second = torch.randn(2, 4, 6, generator=rng)
    views = torch.cat([first, second]).double()
    total = 0.0
    for i in range(8):
        likeness = [float(F.cosine_similarity(views[i], views[j], dim=0)) / 0.3 for j in range(8)]
        others = sum(math.exp(likeness[j]) for j in range(8) if j != i)
        total -= math.log(math.exp(likeness[(i + 4) % 8]) / others)
    assert float(nt_xent(first, second, 0.3)) == pytest.approx(total / 8, rel=1e-5)


def test_contrastive_loss_is_least_for_equal_views_far_from_the_others():
    views = torch.eye(4)
    same = float(nt_xent(views, views, 0.1))
    swapped = float(nt_xent(views, views.roll(1, 0), 0.1))
    assert same < 0.01 < swapped


def test_projection_head_ends_in_a_batch_norm(rng):
    head = ProjectionHead(8, 12, 5, 2)
    out = head(torch.randn(64, 8, generator=rng) * 7)
    assert out.shape == (64, 5)
    assert torch.allclose(out.mean(0), torch.zeros(5), atol=1e-5)
    assert [type(part).__name__ for part in head.layers][-2:] == ["Linear", "BatchNorm1d"]
