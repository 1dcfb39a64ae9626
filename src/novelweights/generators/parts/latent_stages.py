"""The two trainings of P-diff: its autoencoder, then the diffusion over the latents.

Each is a module that holds the checkpoints, counts the batches it has seen and gives the loss of
the next, so that an interrupted fit goes on with the batch it had come to.
"""

import torch
from accelerate import PartialState
from jaxtyping import Float, Int
from torch import Tensor, nn

from novelweights.generators.parts.conv_autoencoder import ConvAutoencoder
from novelweights.generators.parts.diffusion import add_noise_at
from novelweights.generators.parts.latent_denoiser import LatentDenoiser
from novelweights.seeding import rng_for


class _Stage(nn.Module):
    """Batches of rows in shuffled passes.

    Args:
        rows: What is learned from, one row per checkpoint; not part of the state.
    """

    def __init__(self, rows: Float[Tensor, "n _"], batch_size: int, seed: int) -> None:
        super().__init__()
        self.batch_size, self.seed = batch_size, seed
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def next_batch(self) -> Float[Tensor, "batch _"]:
        """The rows of the next batch."""
        rows, batches = self.get_buffer("rows"), self.get_buffer("batches")
        share = PartialState()  # several processes take turns in the same passes
        number = int(batches) * share.num_processes + share.process_index
        picked = rows_of_batch(number, len(rows), self.batch_size, seed=self.seed)
        batches.add_(1)
        return rows[picked.to(rows.device)]


class AutoencoderStage(_Stage):
    """Reconstruction of checkpoints with a little noise, from latents with more of it.

    Args:
        autoencoder: Trained in place.
        rows: Normalized checkpoints.
        input_noise: Standard deviation of the noise on checkpoints, in normalized units.
        latent_noise: Standard deviation of the noise on latents.
    """

    def __init__(
        self,
        autoencoder: ConvAutoencoder,
        rows: Float[Tensor, "n d"],
        batch_size: int,
        seed: int,
        *,
        input_noise: float,
        latent_noise: float,
    ) -> None:
        super().__init__(rows, batch_size, seed)
        self.autoencoder = autoencoder
        self.input_noise, self.latent_noise = input_noise, latent_noise

    def forward(self, draw: torch.Generator) -> Float[Tensor, ""]:
        """Mean squared error of the next batch, filled-up places included.

        The noised checkpoints are also what is to be reconstructed, as published.
        """
        clean = self.autoencoder.pad(self.next_batch())
        noised = clean + self.input_noise * _normal(clean, draw)
        mean = self.autoencoder.encode_padded(noised, "learning")
        latents = mean + self.latent_noise * _normal(mean, draw)
        decoded = self.autoencoder.decode_padded(latents, "learning")
        return (decoded.float() - noised).square().mean()


class DiffusionStage(_Stage):
    """Prediction of the noise in noised latents.

    Args:
        denoiser: Trained in place.
        rows: Normalized checkpoints where an autoencoder is given, else their latents.
        autoencoder: Encodes every batch anew, by the batch's statistics; it learns no more. None:
            the rows are latents.
    """

    def __init__(
        self,
        denoiser: LatentDenoiser,
        rows: Float[Tensor, "n _"],
        batch_size: int,
        seed: int,
        *,
        alphas_cumprod: Float[Tensor, " timesteps"],
        autoencoder: ConvAutoencoder | None,
    ) -> None:
        super().__init__(rows, batch_size, seed)
        self.denoiser = denoiser
        self.autoencoder = None if autoencoder is None else autoencoder.requires_grad_(False)
        self.register_buffer("alphas_cumprod", alphas_cumprod, persistent=False)

    def forward(self, draw: torch.Generator) -> Float[Tensor, ""]:
        """Mean squared error of the noise predicted in the next batch, timesteps uniform."""
        latents = self.next_batch()
        if self.autoencoder is not None:
            with torch.no_grad():
                latents = self.autoencoder.encode(latents, "batch").float()
        alphas = self.get_buffer("alphas_cumprod")
        t = torch.randint(len(alphas), (len(latents),), generator=draw).to(latents.device)
        noise = _normal(latents, draw)
        predicted = self.denoiser(add_noise_at(latents, noise, t, alphas), t)
        return (predicted.float() - noise).square().mean()


def _normal(like: Tensor, draw: torch.Generator) -> Tensor:
    """Standard normal numbers of the same shape, drawn on the CPU whatever the device."""
    return torch.randn(like.shape, generator=draw).to(like.device)


def rows_of_batch(batch: int, n: int, batch_size: int, *, seed: int) -> Int[Tensor, " batch_size"]:
    """The rows of one batch; a function of its number, so that a fit can go on at any step.

    Every pass holds each row once, in an order of its own; the passes follow one another and are
    cut into batches, so that none is smaller than the others. A batch may hold the end of one pass
    and the beginning of the next.
    """
    start = batch * batch_size
    first, last = start // n, (start + batch_size - 1) // n
    orders = [
        torch.randperm(n, generator=rng_for(seed, "pass", number))
        for number in range(first, last + 1)
    ]
    return torch.cat(orders)[start - first * n :][:batch_size]
