"""P-diff's two trainings: batches in whole passes, and the losses."""

import pytest
import torch
from methods import fitted, norms_layout, seeded, smoke

from novelweights.generators.parts.latent_stages import (
    AutoencoderStage,
    DiffusionStage,
    rows_of_batch,
)


@pytest.mark.parametrize(("n", "size"), [(300, 50), (7, 3), (4, 10), (1, 2), (5, 5)])
def test_batches_are_whole_passes_one_after_another(n, size):
    batches = [rows_of_batch(i, n, size, seed=3) for i in range(3 * n)]
    assert {len(batch) for batch in batches} == {size}
    passes = torch.cat(batches).split(n)  # 3 n size rows are 3 size passes
    assert len(passes) == 3 * size
    for rows in passes:
        assert sorted(rows.tolist()) == list(range(n))


def test_orders_differ_between_passes_and_seeds_and_are_the_same_again():
    first, second = (rows_of_batch(i, 50, 50, seed=3) for i in range(2))
    assert not torch.equal(first, second)
    assert not torch.equal(first, rows_of_batch(0, 50, 50, seed=4))
    assert torch.equal(second, rows_of_batch(1, 50, 50, seed=3))


def test_the_autoencoders_target_is_the_noised_checkpoint():
    rows = torch.randn(8, 96, generator=seeded(3))
    torch.manual_seed(0)
    autoencoder = smoke("p-diff").autoencoder(norms_layout(24))

    def stage(input_noise, latent_noise):
        noise = {"input_noise": input_noise, "latent_noise": latent_noise}
        return AutoencoderStage(autoencoder, rows, 8, 0, **noise)

    with torch.no_grad():
        draw, batch = seeded(4), stage(0.0, 0.0).next_batch()
        noised = batch + 5.0 * torch.randn(batch.shape, generator=draw)
        latents = autoencoder.encode(noised, "batch")
        latents = latents + 2.0 * torch.randn(latents.shape, generator=draw)
        expected = float((autoencoder.decode(latents, "batch") - noised).square().mean())
        assert float(stage(5.0, 2.0)(seeded(4))) == pytest.approx(expected, rel=1e-4)
        assert float(stage(0.0, 0.0)(seeded(4))) < 0.2 * expected


def test_the_diffusion_learns_no_autoencoder():
    autoencoder, rows = fitted("p-diff").codec.autoencoder, torch.randn(8, 96, generator=seeded(3))
    before = {name: value.clone() for name, value in autoencoder.state_dict().items()}
    alphas = torch.linspace(0.99, 0.01, 20)
    stage = DiffusionStage(
        smoke("p-diff").denoiser(), rows, 8, 0, alphas_cumprod=alphas, autoencoder=autoencoder
    )
    stage(seeded(4)).backward()
    assert all(torch.equal(v, before[name]) for name, v in autoencoder.state_dict().items())
    assert {p.grad is None for p in autoencoder.parameters()} == {True}
    assert {p.grad is None for p in stage.denoiser.parameters()} == {False}
