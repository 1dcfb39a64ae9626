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
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from novelweights.generators.parts.diffusion import (
    add_noise_at,
    ddim_scheduler,
    denoising_errors,
    sample_from_noise,
)
from novelweights.generators.parts.fitted import (
    OfOneNetwork,
    Unconditional,
    load_network,
    save_network,
)
from novelweights.generators.parts.settings import DiffusionSettings, require_at_least
from novelweights.generators.parts.training import (
    Workspace,
    initializing,
    on_accelerator,
    root_seed,
    train,
)
from novelweights.generators.parts.transformer import (
    SCALAR_FEATURES,
    TokenTransformer,
    scalar_features,
    tokens_of_parameters,
)
from novelweights.generators.parts.views import require_symmetry
from novelweights.seeding import rng_for
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import (
    Population,
    PopulationInfo,
    last_of_each_run,
    weights_digest,
)
from novelweights.weights.symmetry import random_element, transform

TIME_LOG2_MAX_FREQUENCY = 20.0
DENOISER_FILE = "denoiser.safetensors"


@dataclass(frozen=True, kw_only=True)
class HyperDiffusion(DiffusionSettings):
    """Settings; the defaults are the paper's (HyperDiffusion's released code, airplanes)."""

    recipe: ClassVar[str] = "hyperdiffusion"

    width: int = 2880
    layers: int = 12
    heads: int = 16
    chunk: int = 0
    """Largest token, in weights; 0: one token per parameter tensor."""
    timesteps: int = 500
    weight_scale: float = 1.0
    """Weights are multiplied by this for the diffusion; 0: by 1 over their standard deviation."""
    steps: int = 516_000
    batch_size: int = 32
    learning_rate: float = 2e-4
    weight_decay: float = 0.01
    schedule: str = "step"
    """Learning-rate schedule: constant, cosine, or step."""
    decay: float = 0.9
    """Factor of the step schedule, applied every decay_steps."""
    decay_steps: int = 17_200
    """Steps between decays (200 epochs of 86 steps)."""
    permutations: int = 0
    """Copies of every training checkpoint with reordered neurons that are learned from beside it,
    in orders that are drawn once (paper, section 4.2: 1, 3 and 7)."""
    shared_orders: bool = False
    """Whether the k-th copies of all checkpoints have one order (as upstream's permute_same), or
    each has its own; the paper does not say."""
    sampling_steps: int = 500
    """DDIM steps, at most the timesteps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(1, self, "decay_steps")
        require_at_least(0, self, "permutations")

    def network(self, layout: WeightLayout) -> TokenTransformer:
        """The denoiser for a target network, freshly initialized from torch's global stream."""
        sizes = tokens_of_parameters(layout, self.chunk).sizes
        return TokenTransformer(
            [*sizes, SCALAR_FEATURES],
            sizes,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            dropout=self.dropout,
        )

    def fit(
        self,
        training: Population,
        *,
        rng: torch.Generator,
        workspace: Workspace | None = None,
    ) -> "FittedHyperDiffusion":
        """Train the denoiser on the training checkpoints.

        Raises:
            InputError: Training diverged, the workspace belongs to another fit or watches
                checkpoints of another network, or neurons are to be reordered and the population
                does not say which.
        """
        workspace, seed = workspace or Workspace(), root_seed(rng)
        scale = self.weight_scale or 1.0 / float(training.weights.std())
        with initializing(seed):
            network = self.network(training.layout)
        begun = FittedHyperDiffusion(self, training.layout, training.info, network, scale)
        clean = training.weights * scale
        n, d = clean.shape
        alphas = ddim_scheduler(self.timesteps).alphas_cumprod
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
            predicted = replace(begun, network=model).denoise(noised, t)
            return (predicted - target.to(predicted.device)).square().mean()

        trained = train(
            network,
            loss_at,
            self.training_settings(),
            seed=seed,
            identity=f"{self} {weights_digest(training)}",
            workspace=workspace,
            watch=workspace.gap_watch(
                training,
                timesteps=self.timesteps,
                losses=lambda model, *of: replace(begun, network=model).losses(*of),
            ),
        )
        return replace(begun, network=trained)

    def learned_from(
        self, training: Population, *, rng: torch.Generator
    ) -> Float[Tensor, "copies d"]:
        """What `fit` learns from with an equal `rng`: the checkpoints, then their reordered copies.

        Raises:
            InputError: Neurons are to be reordered and the population does not say which.
        """
        reordered = self._reordered(training, root_seed(rng))
        copies = torch.arange(len(training) * (1 + self.permutations))
        return reordered(training.weights[copies % len(training)], copies)

    def _reordered(self, training: Population, seed: int) -> Callable[[Tensor, Tensor], Tensor]:
        """What gives copies of checkpoints their order; the first n copies are as they are."""
        if not self.permutations:
            return lambda weights, copies: weights
        layout, n = training.layout, len(training)
        symmetry = require_symmetry(training.info.symmetry, layout, method="hyperdiffusion")
        rng, each = rng_for(seed, "permutations"), n if self.shared_orders else 1
        n_drawn = n * self.permutations // each
        drawn, _ = random_element(n_drawn, layout, symmetry, rng=rng)
        orders = {
            group: torch.cat(
                [torch.arange(order.shape[1]).expand(n, -1), order.repeat_interleave(each, dim=0)]
            )
            for group, order in drawn.items()
        }

        def reordered(weights: Tensor, copies: Tensor) -> Tensor:
            picked = {group: order[copies] for group, order in orders.items()}
            return transform(weights, layout, symmetry, picked)

        return reordered


@dataclass(frozen=True, eq=False)
class FittedHyperDiffusion(OfOneNetwork, Unconditional):
    """A trained denoiser and what its vectors mean."""

    scale: float

    def draw(
        self, n: int, rng: torch.Generator, progress: Callable[[int, int], None] | None
    ) -> Float[Tensor, "n d"]:
        """Weight vectors from noise, by DDIM with eta 0."""
        with on_accelerator(self.network):
            weights = sample_from_noise(
                self.denoise,
                (n, self.layout.size),
                ddim_scheduler(self.timesteps),
                self.settings.sampling_steps,
                rng=rng,
                progress=progress,
            )
        return weights / self.scale

    @torch.no_grad()
    def losses(
        self, population: Population, timesteps: tuple[int, ...], rng: torch.Generator
    ) -> Float[Tensor, "n levels"]:
        """Mean squared denoising error of every run's last checkpoint at each noise level.

        The i-th run of every population gets the same noise, so that populations compare in
        pairs; other runs get other noise, so that a mean does not hang on one draw.
        Lower on training than on held-out runs means memorization that distances may not show.
        """
        clean = self.scale * population.weights[last_of_each_run(population.records)]
        alphas = ddim_scheduler(self.timesteps).alphas_cumprod
        return denoising_errors(self.denoise, clean, timesteps, alphas, rng=rng)

    def denoise(self, noised: Float[Tensor, "batch d"], t: Tensor) -> Float[Tensor, "batch d"]:
        """The predicted clean weights (scaled), where the network is."""
        device = next(self.network.parameters()).device
        cut = tokens_of_parameters(self.layout, self.settings.chunk)
        time = scalar_features(t.to(device).float(), TIME_LOG2_MAX_FREQUENCY)
        return self.network([*cut.split(noised.to(device)), time])

    def save(self, folder: Path) -> None:
        """Write the denoiser's weights and the scale."""
        save_network(self.network, folder / DENOISER_FILE, weight_scale=self.scale)

    @classmethod
    def load(
        cls, folder: Path, settings: HyperDiffusion, layout: WeightLayout, info: PopulationInfo
    ) -> "FittedHyperDiffusion":
        """A fitted generator from what `save` wrote."""
        with initializing(0):  # what is drawn here is overwritten
            network = settings.network(layout)
        numbers = load_network(network, folder / DENOISER_FILE)
        return cls(settings, layout, info, network, numbers["weight_scale"])


_LAPTOP = HyperDiffusion(
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
)
SCALES = {
    "paper": HyperDiffusion(),
    "laptop": _LAPTOP,
    "demo": replace(_LAPTOP, width=192, layers=3, steps=2000, sampling_steps=50),
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
