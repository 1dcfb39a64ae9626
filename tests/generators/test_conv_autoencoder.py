import pytest
import torch
from torch import nn

from novelweights.generators.parts.conv_autoencoder import ConvAutoencoder, padded_size
from novelweights.generators.parts.fitted import parameter_count


def seeded(d, **changes):
    torch.manual_seed(0)
    return ConvAutoencoder(d, **{"width": 4, "latent": 8, **changes})


def by_torchs_modules(ours):
    """The published network from torch's own modules, with our weights: encoder and decoder."""
    w, latent = ours.down[0].out_channels, ours.mean.out_features
    down = [1, w, 2 * w, 4 * w, 4 * w, 32]
    encoder: list[nn.Module] = [nn.Unflatten(1, (1, ours.size))]
    for i in range(5):
        encoder += [
            nn.Conv1d(down[i], down[i + 1], 7, 2, 3),
            nn.BatchNorm1d(down[i + 1]),
            nn.LeakyReLU(),
        ]
    encoder += [nn.Flatten(), nn.Linear(ours.size, latent), nn.Linear(latent, latent)]
    up = [32, 4 * w, 4 * w, 2 * w, w, w]
    decoder: list[nn.Module] = [
        nn.Linear(latent, ours.size),
        nn.Unflatten(1, (32, ours.size // 32)),
    ]
    for i in range(5):
        decoder += [
            nn.ConvTranspose1d(up[i], up[i + 1], 7, 2, 3, 1),
            nn.BatchNorm1d(up[i + 1]),
            nn.ELU(),
        ]
    decoder += [nn.Conv1d(w, 1, 7, 1, 3), nn.Flatten()]
    encoder_parts = [*zip(ours.down, ours.down_norms, strict=True)]
    decoder_parts = [*zip(ours.up, ours.up_norms, strict=True)]
    sources = [
        *(part for pair in encoder_parts for part in pair),
        ours.squeeze,
        ours.mean,
        ours.expand,
        *(part for pair in decoder_parts for part in pair),
        ours.read,
    ]
    targets = [m for m in (*encoder, *decoder) if [*m.parameters()]]
    for target, source in zip(targets, sources, strict=True):
        target.load_state_dict(source.state_dict(), strict=False)  # no num_batches_tracked
    return nn.Sequential(*encoder), nn.Sequential(*decoder)


def with_random_norms(network, rng):
    """Norms that are not at their beginnings, so that each matters."""
    for name, value in network.state_dict().items():
        if "norms" in name:
            value.copy_(0.5 + torch.rand(value.shape, generator=rng))
    return network


@pytest.mark.parametrize("d", [64, 2048])
def test_it_is_the_published_network(rng, d):
    ours = with_random_norms(seeded(d), rng)
    encoder, decoder = by_torchs_modules(ours)
    weights = torch.randn(5, d, generator=rng)
    for is_learning in (True, False):
        encoder.train(is_learning)
        decoder.train(is_learning)
        how = "batch" if is_learning else "running"
        latents = encoder(weights)
        assert torch.allclose(ours.encode(weights, how), latents, atol=1e-5)
        assert torch.allclose(ours.decode(latents, how), decoder(latents), atol=1e-5)
        encoder, decoder = by_torchs_modules(ours)  # training mode has moved running statistics


def test_single_statistics_are_training_mode_with_one_latent_at_a_time(rng):
    ours = with_random_norms(seeded(96), rng)
    latents = torch.randn(7, 8, generator=rng)
    decoder = by_torchs_modules(ours)[1].train()
    one_by_one = torch.cat([decoder(latent[None]) for latent in latents])
    together = ours.decode(latents, "single")
    assert torch.allclose(together, one_by_one, atol=1e-5)
    assert not torch.allclose(ours.decode(latents, "batch"), one_by_one, atol=1e-2)
    assert not torch.allclose(ours.decode(latents, "running"), one_by_one, atol=1e-2)


def test_running_statistics_learn_as_torchs_do_and_only_when_asked(rng):
    ours = seeded(64)
    encoder, decoder = (part.train() for part in by_torchs_modules(ours))
    weights = torch.randn(6, 64, generator=rng)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    for how in ("batch", "single", "running"):
        ours.decode(ours.encode(weights, how), how)
    assert all(torch.equal(value, before[name]) for name, value in ours.state_dict().items())
    decoder(encoder(weights))
    ours.decode(ours.encode(weights, "learning"), "learning")
    theirs = [m for m in (*encoder, *decoder) if isinstance(m, nn.BatchNorm1d)]
    for mine, other in zip((*ours.down_norms, *ours.up_norms), theirs, strict=True):
        assert torch.allclose(mine.running_mean, other.running_mean, atol=1e-6)
        assert torch.allclose(mine.running_var, other.running_var, atol=1e-6)
        assert float((mine.running_mean).abs().max()) > 0


def test_any_size_is_filled_up_with_zeros(rng):
    assert [padded_size(d) for d in (1, 32, 64, 65, 2048)] == [64, 64, 64, 96, 2048]
    ours, wide = seeded(77), seeded(96)
    wide.load_state_dict(ours.state_dict())
    weights = torch.randn(3, 77, generator=rng)
    filled = torch.cat([weights, torch.zeros(3, 19)], dim=1)
    latents = ours.encode(weights, "batch")
    assert torch.equal(latents, wide.encode(filled, "batch"))
    decoded = ours.decode(latents, "single")
    assert decoded.shape == (3, 77)
    assert torch.equal(decoded, wide.decode(latents, "single")[:, :77])


def test_one_row_of_the_smallest_size_can_be_encoded_and_decoded(rng):
    ours = seeded(32)
    latents = ours.encode(torch.randn(1, 32, generator=rng), "batch")
    assert ours.decode(latents, "single").isfinite().all()


@pytest.mark.parametrize(("d", "latent"), [(2048, 128), (512, 128)])
def test_sizes_at_the_papers_width(rng, d, latent):
    ours = seeded(d, width=64, latent=latent)
    if d == 2048:
        assert parameter_count(ours) == 2_199_201  # Source: P-diff's released code
        assert sum(p.numel() for p in ours.parameters() if p.requires_grad) == 2_199_201 - 16_512
    weights = torch.randn(2, d, generator=rng)
    latents = ours.encode(weights, "batch")
    assert latents.shape == (2, 128)
    assert ours.decode(latents, "single").shape == weights.shape
