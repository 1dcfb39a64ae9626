"""P-diff: latent diffusion over parts of a network.

Checkpoints are normalized tensor by tensor; a convolutional autoencoder makes latents of them, and
a diffusion over the latents is sampled and decoded. The defaults are the paper's setting (ResNet-18
on CIFAR-100, two BatchNorms, 2,048 weights): 2,199,201 values in the autoencoder and 2,462,977 in
the denoiser, 4,662,178 together. The paper says 9.6 million, since the released code stores the
denoiser three times (by itself, in its trainer, in its sampler): 3 x 2,462,977 + 2,199,201 =
9,588,132. The autoencoder's count has 16,512 values that nothing reads: the head of the
log-variance, as the KL divergence has weight 0.

Departures: sampling is in float32 whatever the precision of training; a last batch that is smaller
than the others does not occur, as a batch goes on in the next pass (with 300 checkpoints and
batches of 50 there is no difference). Sizes that are no multiple of 32 are filled up with zeros.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from novelweights.errors import InputError
from novelweights.generators.parts.conv_autoencoder import ConvAutoencoder
from novelweights.generators.parts.diffusion import (
    ddpm_scheduler,
    denoising_errors,
    sample_from_noise,
)
from novelweights.generators.parts.fitted import (
    Unconditional,
    load_network,
    parameter_count,
    save_network,
)
from novelweights.generators.parts.gap import GapWatch, comparable
from novelweights.generators.parts.latent_codec import BLOCK, LatentCodec, TensorScale, device_of
from novelweights.generators.parts.latent_denoiser import LatentDenoiser
from novelweights.generators.parts.latent_stages import AutoencoderStage, DiffusionStage
from novelweights.generators.parts.settings import (
    TrainingSettings,
    require_at_least,
    require_one_of,
)
from novelweights.generators.parts.training import (
    Workspace,
    initializing,
    on_accelerator,
    root_seed,
    train,
)
from novelweights.seeding import seed_for
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import (
    Population,
    PopulationInfo,
    last_of_each_run,
    require_finite,
    weights_digest,
)

LEAST_WEIGHTS = 32
AUTOENCODER_FILE, SCALE_FILE = "autoencoder.safetensors", "tensor_scale.safetensors"
DENOISER_FILE = "denoiser.safetensors"


@dataclass(frozen=True)
class PDiff:
    """Settings; the defaults are the paper's (P-diff's released code)."""

    recipe: ClassVar[str] = "p-diff"

    autoencoder_steps: int = 501
    """Optimizer steps of the autoencoder."""
    autoencoder_learning_rate: float = 2e-5
    """AdamW learning rate of the autoencoder, by a cosine to 0 in the last step."""
    diffusion_steps: int = 1001
    """Optimizer steps of the diffusion over latents."""
    diffusion_learning_rate: float = 1e-4
    """AdamW learning rate of the diffusion, by a cosine to 0 in the last step."""
    weight_decay: float = 0.0
    """AdamW weight decay, in both."""
    batch_size: int = 50
    """Checkpoints per step, in both; passes over all of them in shuffled orders."""
    latent: int = 128
    """Size of the latent vector."""
    autoencoder_width: int = 64
    """Channels of the autoencoder's first convolution, w: it has w, 2w, 4w, 4w, 32 and back."""
    denoiser_width: int = 64
    """Channels of the denoiser's first convolution, w: it has w, 2w, 4w, 8w, 4w, 2w, w, 1."""
    input_noise: float = 0.001
    """Standard deviation of the noise on normalized checkpoints, as input and as target."""
    latent_noise: float = 0.1
    """Standard deviation of the noise on latents while the autoencoder learns."""
    timesteps: int = 1000
    """Diffusion timesteps T; sampling takes them all."""
    batch_statistics: str = "released"
    """What the autoencoder's batch normalizations go by once it has learned. released: it stays in
    training mode, so that checkpoints are encoded by the statistics of their batch, and a sample is
    decoded by its own, over length. frozen: by running statistics, as in evaluation mode."""
    precision: str = "bf16"
    """no (float32) or bf16, while training."""

    def __post_init__(self) -> None:
        require_at_least(1, self, "autoencoder_steps", "diffusion_steps", "timesteps")
        require_at_least(1, self, "latent", "autoencoder_width", "denoiser_width")
        require_at_least(2, self, "batch_size")
        require_at_least(0, self, "autoencoder_learning_rate", "diffusion_learning_rate")
        require_at_least(0, self, "weight_decay", "input_noise", "latent_noise")
        require_one_of(self, "batch_statistics", "released", "frozen")
        self.training_settings(self.autoencoder_steps, self.autoencoder_learning_rate)

    def training_settings(self, steps: int, learning_rate: float) -> TrainingSettings:
        """How one of the two networks is optimized.

        The released cosines end after 500 and 1,000 steps while 501 and 1,001 are made, so that the
        rate is 0 in the last step and never rises again; other numbers of steps keep that.
        """
        return TrainingSettings.of(
            self,
            steps=steps,
            learning_rate=learning_rate,
            schedule="cosine",
            cosine_steps=max(1, steps - 1),
        )

    def autoencoder(self, layout: WeightLayout) -> ConvAutoencoder:
        """The autoencoder of parts of a network, freshly initialized from torch's global stream."""
        return ConvAutoencoder(layout.size, width=self.autoencoder_width, latent=self.latent)

    def denoiser(self) -> LatentDenoiser:
        """The denoiser of latents, freshly initialized from torch's global stream."""
        return LatentDenoiser(self.latent, width=self.denoiser_width)

    def codec(self, autoencoder: ConvAutoencoder, scale: TensorScale, runs: int) -> LatentCodec:
        """What makes latents of checkpoints of so many runs and checkpoints of latents."""
        is_frozen = self.batch_statistics == "frozen"
        return LatentCodec(autoencoder, scale, self.batch_size, runs, is_frozen)

    def fit(
        self,
        training: Population,
        *,
        rng: torch.Generator,
        workspace: Workspace | None = None,
    ) -> "FittedPDiff":
        """Train the autoencoder on the training checkpoints, then the diffusion on their latents.

        Args:
            training: At least two checkpoints of 32 weights or more; several of a run are all
                learned from.
            workspace: Where an unfinished fit is kept and continued, and what it watches. The files
                of the autoencoder's training begin with "autoencoder_".

        Raises:
            InputError: Too few checkpoints or weights, or not finite, training diverged, or the
                workspace belongs to another fit or watches checkpoints of another network.
        """
        _require_usable(training)
        workspace = workspace or Workspace()
        total = self.autoencoder_steps + self.diffusion_steps
        seed = root_seed(rng)
        with initializing(seed):
            autoencoder, denoiser = self.autoencoder(training.layout), self.denoiser()
        scale = TensorScale.of(training.weights, training.layout)
        codec = self.codec(autoencoder, scale, len(set(training.records.run)))
        begun = FittedPDiff(self, training.layout, training.info, codec, denoiser)
        watched = workspace.watch
        if watched is not None:
            watched = begun.in_order(watched)  # what is refused should not wait for the autoencoder
        clean = codec.scale.normalize(training.weights)
        identity = f"{self} {weights_digest(training)}"
        train(
            AutoencoderStage(
                autoencoder,
                clean,
                self.batch_size,
                seed_for(seed, "autoencoder", "passes"),
                input_noise=self.input_noise,
                latent_noise=self.latent_noise,
            ),
            _loss_of_stage,
            self.training_settings(self.autoencoder_steps, self.autoencoder_learning_rate),
            seed=seed_for(seed, "autoencoder"),
            identity=identity,
            workspace=workspace.stage("autoencoder_", before=0, total=total),
        )
        scheduler = ddpm_scheduler(self.timesteps, predicts_noise=True)
        train(
            DiffusionStage(
                denoiser,
                codec.encode(training.weights) if codec.is_frozen else clean,
                self.batch_size,
                seed_for(seed, "diffusion", "passes"),
                alphas_cumprod=scheduler.alphas_cumprod,
                autoencoder=None if codec.is_frozen else autoencoder,
            ),
            _loss_of_stage,
            self.training_settings(self.diffusion_steps, self.diffusion_learning_rate),
            seed=seed_for(seed, "diffusion"),
            identity=identity,
            workspace=workspace.stage("", before=self.autoencoder_steps, total=total),
            watch=None if watched is None else begun.gap_watch(training, watched),
        )
        return begun


def _loss_of_stage(stage: nn.Module, draw: torch.Generator) -> Tensor:
    return stage(draw)


def _require_usable(training: Population) -> None:
    """Refuse checkpoints that nothing can be learned from, naming all that is wrong."""
    faults = []
    if len(training) < 2:
        faults.append(f"at least 2 training checkpoints, got {len(training)}; give more")
    if training.layout.size < LEAST_WEIGHTS:
        faults.append(
            f"checkpoints of at least {LEAST_WEIGHTS} weights (their vector is halved five "
            f"times), got {training.layout.size}; use another method"
        )
    if faults:
        raise InputError("p-diff: expected " + "; and ".join(faults), "too-few")
    require_finite(training, "training checkpoints")


@dataclass(frozen=True, eq=False)
class FittedPDiff(Unconditional):
    """A trained autoencoder and a trained diffusion over its latents.

    Audits take checkpoints as they are, not their reconstructions, as the paper does.
    """

    codec: LatentCodec
    denoiser: LatentDenoiser

    def draw(
        self, n: int, rng: torch.Generator, progress: Callable[[int, int], None] | None
    ) -> Float[Tensor, "n d"]:
        """Weight vectors from noise: latents by DDPM through all timesteps, then decoded."""
        with on_accelerator(self.denoiser):
            latents = sample_from_noise(
                self._denoise,
                (n, self.settings.latent),
                ddpm_scheduler(self.settings.timesteps, predicts_noise=True),
                self.settings.timesteps,
                rng=rng,
                progress=progress,
            )
        return self.codec.decode(latents)

    def reconstruct(self, population: Population) -> Population:
        """The population through the autoencoder; what that loses, no sample can have.

        Raises:
            InputError: It holds other networks, or NaN.
        """
        ours = self.in_order(population)
        latents = self.codec.encode(ours.weights, ours.records.run)
        return ours.with_weights(self.codec.decode(latents), split="reconstruction")

    @property
    def parameters(self) -> int:
        """Number of values in both networks, each counted once."""
        return parameter_count(self.codec.autoencoder) + parameter_count(self.denoiser)

    @property
    def timesteps(self) -> int:
        """Noise levels in all."""
        return self.settings.timesteps

    def loss(
        self, population: Population, *, timesteps: tuple[int, ...], rng: torch.Generator
    ) -> Float[Tensor, "n levels"]:
        """Mean squared error of the noise predicted in the latent of every run's last checkpoint.

        All checkpoints are encoded, which matters with released statistics: see
        `LatentCodec.encode`. Populations of one run, as in the paper, give one row.

        Raises:
            InputError: It holds other networks, or NaN.
        """
        latents = self._latents(self.in_order(population))
        with on_accelerator(self.denoiser):
            return self._losses(self.denoiser, latents, timesteps, rng)

    def gap_watch(self, training: Population, heldout: Population) -> GapWatch:
        """A watch on the denoiser's loss; the latents are had once, as the autoencoder has learned
        when the diffusion begins."""

        def losses_of(
            model: nn.Module, some: Population, timesteps: tuple[int, ...], draw: torch.Generator
        ) -> Tensor:
            denoiser = cast(LatentDenoiser, model.get_submodule("denoiser"))
            return self._losses(denoiser, some, timesteps, draw)

        watched = comparable(training, heldout)  # before: some latents depend on who is beside
        return GapWatch.of(
            *map(self._latents, watched),
            timesteps=self.timesteps,
            losses=losses_of,
        )

    def save(self, folder: Path) -> None:
        """Write both networks, running statistics included, and the normalization."""
        save_network(self.codec.autoencoder, folder / AUTOENCODER_FILE)
        save_network(self.denoiser, folder / DENOISER_FILE)
        scale = {"center": self.codec.scale.center, "spread": self.codec.scale.spread}
        save_file({**scale, "runs": torch.tensor(self.codec.runs)}, folder / SCALE_FILE)

    @classmethod
    def load(
        cls, folder: Path, settings: PDiff, layout: WeightLayout, info: PopulationInfo
    ) -> "FittedPDiff":
        """A fitted generator from what `save` wrote."""
        with initializing(0):  # what is drawn here is overwritten
            autoencoder, denoiser = settings.autoencoder(layout), settings.denoiser()
        load_network(autoencoder, folder / AUTOENCODER_FILE)
        load_network(denoiser, folder / DENOISER_FILE)
        kept = load_file(folder / SCALE_FILE)
        scale = TensorScale(layout, kept["center"], kept["spread"])
        codec = settings.codec(autoencoder, scale, int(kept["runs"]))
        return cls(settings, layout, info, codec, denoiser)

    @torch.no_grad()
    def _denoise(self, noised: Float[Tensor, "n latent"], t: Tensor) -> Float[Tensor, "n latent"]:
        """The predicted noise, in blocks of rows."""
        device, size = device_of(self.denoiser), max(1, min(BLOCK, len(noised)))
        parts = zip(noised.split(size), t.split(size), strict=True)
        return torch.cat([self.denoiser(x.to(device), at.to(device)) for x, at in parts])

    def _latents(self, population: Population) -> Population:
        """The latents of a population, as one."""
        layout = WeightLayout((("latent", (self.settings.latent,)),))
        latents = self.codec.encode(population.weights, population.records.run)
        return Population(latents, layout, population.records)

    @torch.no_grad()
    def _losses(
        self,
        denoiser: LatentDenoiser,
        latents: Population,
        timesteps: tuple[int, ...],
        rng: torch.Generator,
    ) -> Tensor:
        """Mean squared error of the predicted noise, of every run's last latent (n levels)."""
        device = device_of(denoiser)
        clean = latents.weights[last_of_each_run(latents.records)]
        alphas = ddpm_scheduler(self.timesteps, predicts_noise=True).alphas_cumprod

        def predict(noised: Tensor, t: Tensor) -> Tensor:
            return denoiser(noised.to(device), t.to(device))

        return denoising_errors(predict, clean, timesteps, alphas, rng=rng, predicts_noise=True)


SCALES = {
    "paper": PDiff(),
    "laptop": PDiff(precision="no"),
    "smoke": PDiff(
        autoencoder_steps=20,
        autoencoder_learning_rate=1e-3,
        diffusion_steps=20,
        diffusion_learning_rate=1e-3,
        batch_size=16,
        latent=16,
        autoencoder_width=8,
        denoiser_width=8,
        timesteps=50,
        precision="no",
    ),
}
"""Settings by name: the paper's, the same generator in full in float32, and a small one."""
