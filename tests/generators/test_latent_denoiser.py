import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from novelweights.generators.parts.fitted import parameter_count
from novelweights.generators.parts.latent_denoiser import LatentDenoiser, time_features


def seeded(latent=16, width=4):
    torch.manual_seed(0)
    return LatentDenoiser(latent, width=width)


def test_it_has_the_published_number_of_values():
    ours = seeded(128, 64)
    assert parameter_count(ours) == 2_462_977  # Source: P-diff's released code
    assert ours(torch.zeros(3, 128), torch.tensor([0, 5, 999])).shape == (3, 128)


def test_timesteps_become_cosines_and_sines_of_128_frequencies():
    features = time_features(torch.tensor([0, 7, 999]))
    for row, t in zip(features, (0, 7, 999), strict=True):
        angles = [t * 10_000 ** (-i / 128) for i in range(128)]
        expected = [math.cos(a) for a in angles] + [math.sin(a) for a in angles]
        assert row.tolist() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("is_training", [True, False])
def test_it_is_the_published_network_layer_by_layer(rng, is_training):
    ours = seeded().train(is_training)
    for norm in ours.norms:
        for value in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
            value.copy_(0.5 + torch.rand(value.shape, generator=rng))
    x, t = torch.randn(5, 16, generator=rng), torch.tensor([0, 3, 3, 500, 999])
    first, _, last = ours.time
    time = last(F.silu(first(time_features(t))))[:, None, :]
    c, n = ours.convs, [nn.BatchNorm1d(norm.num_features) for norm in ours.norms]
    for mine, theirs in zip(n, ours.norms, strict=True):
        mine.load_state_dict(theirs.state_dict())
        mine.train(is_training)
    one = F.elu(n[0](c[0](x[:, None] + time)))
    two = F.elu(n[1](c[1](one + time)))
    three = F.elu(n[2](c[2](two + time)))
    four = F.elu(n[3](c[3](three + time)))
    five = F.elu(n[4](c[4](four + time)))
    six = F.elu(n[5](c[5](five + three + time)))
    seven = F.elu(n[6](c[6](six + two + time)))
    eight = c[7](seven + one + time)
    assert torch.allclose(ours(x, t), eight[:, 0], atol=1e-5)


def test_in_evaluation_mode_rows_do_not_see_each_other(rng):
    ours = seeded().eval()
    x, t = torch.randn(5, 16, generator=rng), torch.tensor([0, 3, 3, 500, 999])
    alone = torch.cat([ours(row[None], at[None]) for row, at in zip(x, t, strict=True)])
    assert torch.allclose(ours(x, t), alone, atol=1e-6)
    ours.train()
    assert not torch.allclose(ours(x, t), alone, atol=1e-2)
