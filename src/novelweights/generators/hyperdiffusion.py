"""HyperDiffusion: unconditional diffusion over weight vectors with a transformer.

One token per parameter of the target network (or per chunk of one) and one for the timestep; the
clean weights are predicted; DDIM samples. The defaults are the paper's setting for neural fields
(1.4 billion parameters); `SCALES` holds smaller ones. Departures: `weight_scale`, which the
original does not have (1 = as published); networks with small weights train faster scaled up.
Batches are drawn with replacement, not in passes over a shuffled order. The last state is kept:
none is chosen by how the shapes of samples compare with validation shapes. Reordered copies
(`permutations`) share the steps with the originals; for as many passes over everything, ask for
1 + permutations times the steps.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from jaxtyping import Float
from torch import Tensor, nn

from novelweights.errors import InputError
from novelweights.generators.parts.diffusion import (
    add_noise_at,
    ddim_scheduler,
    denoising_errors,
    sample_ddim,
)
from novelweights.generators.parts.gap import GapWatch
from novelweights.generators.parts.settings import (
    require_at_least,
    require_heads,
    require_sampling_steps,
    require_share,
)
from novelweights.generators.parts.training import (
    TrainingSettings,
    Workspace,
    on_accelerator,
    train,
)
from novelweights.generators.parts.transformer import (
    SCALAR_FEATURES,
    TokenTransformer,
    load_denoiser,
    parameter_count,
    save_denoiser,
    scalar_features,
    token_sizes,
)
from novelweights.generators.parts.views import require_symmetry
from novelweights.seeding import rng_for
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import (
    Population,
    PopulationInfo,
    last_of_each_run,
    sampled_records,
    weights_digest,
)
from novelweights.weights.symmetry import random_element, transform

TIME_LOG2_MAX_FREQUENCY = 20.0


@dataclass(frozen=True)
class HyperDiffusion:
    """Settings; the defaults are the paper's (HyperDiffusion's released code, airplanes)."""

    width: int = 2880
    """Transformer width (model dimension)."""
    layers: int = 12
    """Transformer blocks."""
    heads: int = 16
    """Attention heads."""
    dropout: float = 0.0
    """Dropout on attention, residuals and embeddings."""
    chunk: int = 0
    """Largest token, in weights; 0: one token per parameter tensor."""
    timesteps: int = 500
    """Diffusion timesteps T."""
    weight_scale: float = 1.0
    """Weights are multiplied by this for the diffusion; 0: by 1 over their standard deviation."""
    steps: int = 516_000
    """Optimizer steps."""
    batch_size: int = 32
    """Checkpoints per step."""
    learning_rate: float = 2e-4
    """AdamW learning rate."""
    weight_decay: float = 0.01
    """AdamW weight decay, on everything."""
    warmup_steps: int = 0
    """Steps of linear warm-up."""
    schedule: str = "step"
    """Learning-rate schedule: constant, cosine, or step."""
    decay: float = 0.9
    """Factor of the step schedule, applied every decay_steps."""
    decay_steps: int = 17_200
    """Steps between decays (200 epochs of 86 steps)."""
    gradient_clip: float = 0.0
    """Largest gradient norm; 0: no clipping."""
    ema_decay: float = 0.0
    """Moving average of the weights used for sampling; 0: off."""
    noise: float = 0.0
    """Standard deviation of Gaussian noise added to training weights (paper, Table 1)."""
    permutations: int = 0
    """Copies of every training checkpoint with reordered neurons that are learned from beside it,
    each in an order of its own that is drawn once (paper, section 4.2: 1, 3 and 7)."""
    sampling_steps: int = 500
    """DDIM steps, at most the timesteps."""
    precision: str = "no"
    """no (float32) or bf16."""

    def training_settings(self) -> TrainingSettings:
        """The optimizer's part of the settings."""
        return TrainingSettings(
            steps=self.steps,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            warmup_steps=self.warmup_steps,
            schedule=self.schedule,
            decay=self.decay,
            decay_steps=self.decay_steps,
            gradient_clip=self.gradient_clip or None,
            ema_decay=self.ema_decay or None,
            precision=self.precision,
        )

    def network(self, layout: WeightLayout) -> TokenTransformer:
        """The denoiser for a target network, freshly initialized from torch's global stream."""
        tokens = token_sizes(layout, self.chunk)
        return TokenTransformer(
            [*tokens, SCALAR_FEATURES],
            tokens,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            dropout=self.dropout,
        )

    def __post_init__(self) -> None:
        require_sampling_steps(self.sampling_steps, self.timesteps)
        require_heads(self.width, self.heads)
        require_at_least(1, self, "steps", "batch_size", "layers", "decay_steps")
        require_at_least(
            0,
            self,
            "chunk",
            "weight_scale",
            "warmup_steps",
            "gradient_clip",
            "noise",
            "permutations",
            "learning_rate",
            "weight_decay",
        )
        require_share(self, "dropout", "ema_decay")

    def fit(
        self,
        training: Population,
        *,
        rng: torch.Generator,
        workspace: Workspace | None = None,
    ) -> "FittedHyperDiffusion":
        """Train the denoiser on the training checkpoints.

        Args:
            training: At least one checkpoint.
            rng: Source of all randomness.
            workspace: Where an unfinished fit is kept and continued, and what it watches.

        Raises:
            InputError: Training diverged, the workspace belongs to another fit or watches
                checkpoints of another network, or neurons are to be reordered and the population
                does not say which.
        """
        scale = self.weight_scale or 1.0 / float(training.weights.std())
        clean = training.weights * scale
        seed = _seed_of(rng)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # of no accelerator
            network = self.network(training.layout)
        alphas = ddim_scheduler(self.timesteps).alphas_cumprod
        n, d = clean.shape
        reordered = self._reordered(training, seed)

        def loss_at(model: nn.Module, draw: torch.Generator) -> Tensor:
            copies = torch.randint(n * (1 + self.permutations), (self.batch_size,), generator=draw)
            t = torch.randint(self.timesteps, (self.batch_size,), generator=draw)
            target = reordered(clean[copies % n], copies)
            if self.noise:
                target = target + scale * self.noise * torch.randn(
                    self.batch_size, d, generator=draw
                )
            noised = add_noise_at(
                target, torch.randn(self.batch_size, d, generator=draw), t, alphas
            )
            device = next(model.parameters()).device
            predicted = _denoise(
                model, noised.to(device), t.to(device), self.chunk, training.layout
            )
            return (predicted - target.to(device)).square().mean()

        def losses_of(
            model: nn.Module, some: Population, timesteps: tuple[int, ...], draw: torch.Generator
        ) -> Tensor:
            return _losses(self, model, some, scale, timesteps, draw)

        watch = None
        if workspace is not None and workspace.watch is not None:
            watch = GapWatch.of(
                training, workspace.watch, timesteps=self.timesteps, losses=losses_of
            )
        trained = train(
            network,
            loss_at,
            self.training_settings(),
            seed=seed,
            identity=f"{self} {weights_digest(training)}",
            workspace=workspace,
            watch=watch,
        )
        return FittedHyperDiffusion(self, trained, training.layout, training.info, scale)

    def learned_from(
        self, training: Population, *, rng: torch.Generator
    ) -> Float[Tensor, "copies d"]:
        """What `fit` learns from with an equal `rng`: the checkpoints, then their reordered copies.

        Raises:
            InputError: Neurons are to be reordered and the population does not say which.
        """
        move = self._reordered(training, _seed_of(rng))
        copies = torch.arange(len(training) * (1 + self.permutations))
        return move(training.weights[copies % len(training)], copies)

    def _reordered(self, training: Population, seed: int) -> Callable[[Tensor, Tensor], Tensor]:
        """What gives copies of checkpoints their order; the first n copies are as they are."""
        if not self.permutations:
            return lambda weights, copies: weights
        layout, n = training.layout, len(training)
        symmetry = require_symmetry(training.info.symmetry, layout, method="hyperdiffusion")
        rng = rng_for(seed, "permutations")
        drawn, _ = random_element(n * self.permutations, layout, symmetry, rng=rng)
        orders = {
            group: torch.cat([torch.arange(order.shape[1]).expand(n, -1), order])
            for group, order in drawn.items()
        }

        def move(weights: Tensor, copies: Tensor) -> Tensor:
            picked = {group: order[copies] for group, order in orders.items()}
            return transform(weights, layout, symmetry, picked)

        return move


def _seed_of(rng: torch.Generator) -> int:
    """The root of all that a fit draws."""
    return int(torch.randint(2**62, (1,), generator=rng))


@dataclass(frozen=True, eq=False)
class FittedHyperDiffusion:
    """A trained denoiser and what its vectors mean."""

    settings: HyperDiffusion
    network: nn.Module
    layout: WeightLayout
    info: PopulationInfo
    scale: float

    def sample(
        self,
        n: int,
        *,
        rng: torch.Generator,
        start: Population | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Population:
        """n checkpoints from noise, by DDIM with eta 0.

        Raises:
            InputError: `start` is given; this generator is unconditional.
        """
        if start is not None:
            raise InputError("hyperdiffusion begins from noise: leave --start out")
        noise = torch.randn(n, self.layout.size, generator=rng)
        scheduler, steps = self._scheduler(), self.settings.sampling_steps
        with on_accelerator(self.network):
            weights = sample_ddim(self._denoise, noise, scheduler, steps, progress=progress)
        info = replace(self.info, recipe="hyperdiffusion", settings=vars(self.settings))
        return Population(weights / self.scale, self.layout, sampled_records(n), info)

    def as_reference(self, population: Population) -> Population:
        """The population itself: nothing is encoded."""
        return population

    @property
    def parameters(self) -> int:
        """Number of trained values."""
        return parameter_count(self.network)

    @property
    def timesteps(self) -> int:
        """Noise levels in all."""
        return self.settings.timesteps

    @torch.no_grad()
    def loss(
        self, population: Population, *, timesteps: tuple[int, ...], rng: torch.Generator
    ) -> Float[Tensor, "n levels"]:
        """Mean squared denoising error of every run's last checkpoint at each noise level.

        The i-th run of every population gets the same noise, so that populations compare in
        pairs; other runs get other noise, so that a mean does not hang on one draw.
        Lower on training than on held-out runs means memorization that distances may not show.
        """
        with on_accelerator(self.network):
            return _losses(self.settings, self.network, population, self.scale, timesteps, rng)

    def save(self, folder: Path) -> None:
        """Write the denoiser's weights and the scale."""
        save_denoiser(self.network, folder, {"weight_scale": self.scale})

    @classmethod
    def load(
        cls, folder: Path, settings: HyperDiffusion, layout: WeightLayout, info: PopulationInfo
    ) -> "FittedHyperDiffusion":
        """A fitted generator from what `save` wrote."""
        network = settings.network(layout)
        numbers = load_denoiser(network, folder)
        return cls(settings, network, layout, info, numbers["weight_scale"])

    def _scheduler(self) -> DDIMScheduler:
        return ddim_scheduler(self.settings.timesteps)

    def _denoise(self, noised: Float[Tensor, "batch d"], t: Tensor) -> Float[Tensor, "batch d"]:
        device = next(self.network.parameters()).device
        chunk = self.settings.chunk
        return _denoise(self.network, noised.to(device), t.to(device), chunk, self.layout).cpu()


def _denoise(
    network: nn.Module, noised: Tensor, t: Tensor, chunk: int, layout: WeightLayout
) -> Tensor:
    time = scalar_features(t.float(), TIME_LOG2_MAX_FREQUENCY)
    return network([*noised.split(token_sizes(layout, chunk), dim=1), time])


def _losses(
    settings: HyperDiffusion,
    network: nn.Module,
    population: Population,
    scale: float,
    timesteps: tuple[int, ...],
    rng: torch.Generator,
) -> Tensor:
    """Mean squared denoising error of every run's last checkpoint (n levels)."""
    device = next(network.parameters()).device

    def predict(noised: Tensor, t: Tensor) -> Tensor:
        return _denoise(
            network, noised.to(device), t.to(device), settings.chunk, population.layout
        ).cpu()

    clean = scale * population.weights[last_of_each_run(population.records)]
    alphas = ddim_scheduler(settings.timesteps).alphas_cumprod
    return denoising_errors(predict, clean, timesteps, alphas, rng=rng)


SCALES = {
    "paper": HyperDiffusion(),
    "laptop": HyperDiffusion(
        width=256,
        layers=4,
        heads=4,
        weight_scale=0.0,
        steps=6000,
        batch_size=64,
        learning_rate=1e-3,
        warmup_steps=100,
        schedule="cosine",
        sampling_steps=100,
    ),
    "demo": HyperDiffusion(
        width=192,
        layers=3,
        heads=4,
        weight_scale=0.0,
        steps=2000,
        batch_size=64,
        learning_rate=1e-3,
        warmup_steps=100,
        schedule="cosine",
        sampling_steps=50,
    ),
    "smoke": HyperDiffusion(
        width=32,
        layers=1,
        heads=2,
        weight_scale=0.0,
        timesteps=100,
        steps=20,
        batch_size=16,
        schedule="constant",
        sampling_steps=10,
    ),
}
"""Settings by name: the paper's, and smaller ones that keep what matters for memorization (one
projection per token, thousands of passes over each checkpoint)."""
