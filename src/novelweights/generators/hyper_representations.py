"""Hyper-Representations: an autoencoder over checkpoints, and a density over its latents.

The latents of the best training checkpoints get a Gaussian kernel density per dimension; samples
are drawn there and decoded. The decoder is lossy, so generated networks are compared with
reconstructions. The defaults are the paper's setting (CNNs on SVHN) as far as it is known: the file
with the published hyperparameters is not in the released code. The size was recovered from the
parameter counts that the paper prints; what is marked "unknown" is our choice.
Departures: one permutation per view is drawn from a pool or anew, where the original lists some per
layer and combines them; the checkpoints of a batch are drawn with replacement, so that one may
meet itself among the others in the contrastive loss.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from novelweights.errors import InputError
from novelweights.generators.parts.fitted import (
    OfOneNetwork,
    Unconditional,
    load_network,
    save_network,
)
from novelweights.generators.parts.neuron_autoencoder import (
    NeuronAutoencoder,
    NeuronLayer,
    ProjectionHead,
    neuron_layers,
    nt_xent,
)
from novelweights.generators.parts.settings import (
    TransformerSettings,
    require_at_least,
    require_share,
)
from novelweights.generators.parts.training import (
    Workspace,
    initializing,
    on_accelerator,
    root_seed,
    train,
)
from novelweights.generators.parts.trajectories import checkpoint_scores
from novelweights.generators.parts.views import Views
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import (
    Population,
    PopulationInfo,
    last_of_each_run,
    weights_digest,
)

LEAST_STD = 1e-4
"""Layers whose weights vary less are divided by this. Source: released code."""
SAMPLING_ONLY = {"metric": "", "top_share": 1.0, "bandwidth": 0.0, "shared_draws": True}
"""Settings that training does not depend on: an unfinished fit goes on with others."""
BLOCK = 256  # checkpoints through the autoencoder at once
AUTOENCODER_FILE, LATENTS_FILE = "autoencoder.safetensors", "latents.safetensors"


@dataclass(frozen=True, kw_only=True)
class HyperRepresentations(TransformerSettings):
    """Settings; the defaults are the paper's where they are known."""

    recipe: ClassVar[str] = "hyper-representations"

    width: int = 1680
    """Transformer width (model dimension); recovered from the paper's parameter counts."""
    hidden: int = 1800
    """Width of the feed-forward layers; recovered likewise."""
    layers: int = 4
    """Transformer layers of the encoder, and as many of the decoder; recovered likewise."""
    heads: int = 12
    latent: int = 512
    """Size of the latent vector; recovered likewise."""
    dropout: float = 0.0
    """Dropout on attention and residual branches; unknown."""
    contrast_weight: float = 0.05
    """Share of the contrastive loss, the rest is reconstruction; unknown. 0: no contrast, and one
    view of each checkpoint instead of two."""
    temperature: float = 0.1
    """Of the contrastive loss."""
    projection_hidden: int = 400
    """Width of the projection head; unknown, this is the method's earlier setting."""
    projection_outputs: int = 50
    """What the contrastive loss compares; unknown, likewise."""
    projection_layers: int = 4
    """Hidden layers of the projection head; unknown, likewise."""
    is_scaled: bool = False
    """Divide weights by their layer's standard deviation before encoding, multiply after decoding;
    an option of the released code, off there."""
    permutations: int = 25_000
    """Reorderings of neurons to draw from; unknown, the method's earlier setting. 0: each drawn
    anew."""
    noise: float = 0.0
    """Standard deviation of Gaussian noise on the views."""
    erasing: float = 0.0
    """Probability that a block of a view is set to 0."""
    steps: int = 45_000
    """Optimizer steps; unknown."""
    batch_size: int = 64
    """Checkpoints per step, each in two views."""
    learning_rate: float = 3e-4
    weight_decay: float = 3e-5
    schedule: str = "constant"
    metric: str = "test_accuracy"
    """The score by which the best training checkpoints are chosen; high is good."""
    top_share: float = 0.3
    """Share of the training checkpoints whose latents are sampled: the best."""
    bandwidth: float = 0.002
    """Of the kernel density, in latent units."""
    shared_draws: bool = True
    """One random state for every latent dimension, as the released code does: each sample is one
    training latent plus one number. False: dimensions are drawn independently, as described."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(1, self, "latent", "hidden", "projection_hidden", "projection_outputs")
        require_at_least(0, self, "projection_layers", "permutations", "noise", "bandwidth")
        require_share(self, "contrast_weight")
        if not 0 <= self.erasing <= 1:
            raise InputError(f"erasing: expected 0 to 1, got {self.erasing}", "wrong-option")
        if not 0 < self.top_share <= 1:
            raise InputError(
                f"top_share: expected above 0, at most 1, got {self.top_share}", "wrong-option"
            )
        if self.temperature <= 0:
            raise InputError(
                f"temperature: expected above 0, got {self.temperature}", "wrong-option"
            )
        if self.contrast_weight and self.batch_size < 2:
            raise InputError(
                "batch_size: the contrastive loss needs at least 2, got 1", "wrong-option"
            )

    def network(
        self, layout: WeightLayout, unit: Float[Tensor, " d"] | None = None
    ) -> NeuronAutoencoder:
        """The autoencoder for a target network, freshly initialized from torch's global stream.

        Args:
            unit: What weights are divided by on the way in; None: 1.
        """
        return NeuronAutoencoder(
            neuron_layers(layout),
            unit=torch.ones(layout.size) if unit is None else unit,
            width=self.width,
            hidden=self.hidden,
            depth=self.layers,
            heads=self.heads,
            latent=self.latent,
            dropout=self.dropout,
        )

    def fit(
        self,
        training: Population,
        *,
        rng: torch.Generator,
        workspace: Workspace | None = None,
    ) -> "FittedHyperRepresentations":
        """Train the autoencoder on the training checkpoints.

        Args:
            training: Checkpoints with the score `metric`; several of a run are all learned from.

        Raises:
            InputError: Training diverged, no such score, the population does not say which neurons
                may be reordered, or the workspace belongs to another fit or watches checkpoints of
                another network.
        """
        workspace, best = workspace or Workspace(), self.best_of(training)
        spread = layer_spread(training.weights, neuron_layers(training.layout))
        views = Views.of(
            training.layout,
            training.info.symmetry,
            permutations=self.permutations,
            noise=self.noise,
            erasing=self.erasing,
            rng=rng,
        )
        seed = root_seed(rng)
        with initializing(seed):
            model = _Learner(
                self.network(training.layout, spread if self.is_scaled else None),
                ProjectionHead(
                    self.latent,
                    self.projection_hidden,
                    self.projection_outputs,
                    self.projection_layers,
                )
                if self.contrast_weight
                else None,
            )
        fitted = FittedHyperRepresentations(
            self,
            training.layout,
            training.info,
            model.autoencoder,
            spread,
            torch.empty(0, self.latent),
        )
        clean, n = training.weights, len(training)

        def loss_at(model: nn.Module, draw: torch.Generator) -> Tensor:
            rows = torch.randint(n, (self.batch_size,), generator=draw)
            picked = clean[rows]
            count = 2 if self.contrast_weight else 1
            target = torch.cat([views.draw(picked, draw) for _ in range(count)])
            device = next(model.parameters()).device
            target = target.to(device)
            decoded, projected = model(target)
            loss = ((decoded - target) / spread.to(device)).square().mean()
            if projected is None:
                return loss
            one, other = projected.split(self.batch_size)
            contrast = nt_xent(one, other, self.temperature)
            return self.contrast_weight * contrast + (1 - self.contrast_weight) * loss

        def losses_of(
            model: nn.Module, some: Population, timesteps: tuple[int, ...], draw: torch.Generator
        ) -> Tensor:
            now = replace(fitted, network=model.get_submodule("autoencoder"))
            return now.losses(some, timesteps, draw)

        trained = train(
            model,
            loss_at,
            self.training_settings(),
            seed=seed,
            identity=f"{replace(self, **SAMPLING_ONLY)} {weights_digest(training)}",
            workspace=workspace,
            watch=workspace.gap_watch(training, timesteps=1, losses=losses_of),
        )
        fitted = replace(fitted, network=trained.get_submodule("autoencoder"))
        return replace(fitted, latents=fitted.encode(clean[torch.from_numpy(best)]))

    def best_of(self, training: Population) -> Int[np.ndarray, " rows"]:
        """Rows of the training checkpoints whose latents are sampled: the best share, ascending.

        Raises:
            InputError: Not all are sampled, and the score is missing or not finite.
        """
        if self.top_share == 1:
            return np.arange(len(training))
        scores = checkpoint_scores(training, self.metric, "training").numpy()
        return np.flatnonzero(scores >= np.quantile(scores, 1 - self.top_share))


class _Learner(nn.Module):
    """The autoencoder with its projection head, as one module for the optimizer."""

    def __init__(self, autoencoder: NeuronAutoencoder, projection: nn.Module | None) -> None:
        super().__init__()
        self.autoencoder, self.projection = autoencoder, projection

    def forward(self, weights: Tensor) -> tuple[Tensor, Tensor | None]:
        """Reconstructions and projected latents."""
        latents = self.autoencoder.encode(weights)
        projected = None if self.projection is None else self.projection(latents)
        return self.autoencoder.decode(latents), projected


@dataclass(frozen=True, eq=False)
class FittedHyperRepresentations(OfOneNetwork, Unconditional):
    """A trained autoencoder, without the projection head, and the latents of the best training
    checkpoints."""

    spread: Float[Tensor, " d"]
    """Standard deviation of each weight's layer over the training checkpoints."""
    latents: Float[Tensor, "kept latent"]

    def draw(
        self, n: int, rng: torch.Generator, progress: Callable[[int, int], None] | None
    ) -> Float[Tensor, "n d"]:
        """Weight vectors, decoded from draws of the latent density."""
        drawn = draw_latents(
            self.latents,
            n,
            bandwidth=self.settings.bandwidth,
            shared=self.settings.shared_draws,
            rng=rng,
        )
        return self._in_blocks("decode", drawn, progress)

    def sampling(self, **changed: Any) -> "FittedHyperRepresentations":
        """The same autoencoder, sampled by other settings (`shared_draws`, `bandwidth`)."""
        return replace(self, settings=replace(self.settings, **changed))

    def encode(self, weights: Float[Tensor, "n d"]) -> Float[Tensor, "n latent"]:
        """Latent vectors of checkpoints whose parameters are in the order of the layout."""
        return self._in_blocks("encode", weights)

    def as_reference(self, population: Population) -> Population:
        """The population as the autoencoder gives it back: what generated networks are compared
        with.

        Raises:
            InputError: It holds other networks, or NaN.
        """
        ours = self.in_order(population)
        weights = self._in_blocks("decode", self.encode(ours.weights))
        return ours.with_weights(weights, split="reconstruction")

    def parents(self, training: Population) -> Population:
        """The training checkpoints whose latents are sampled."""
        return training.select(self.settings.best_of(training))

    @property
    def timesteps(self) -> int:
        """One: nothing is noised."""
        return 1

    @torch.no_grad()
    def losses(
        self, population: Population, timesteps: tuple[int, ...], rng: torch.Generator
    ) -> Float[Tensor, "n levels"]:
        """Layer-wise normalized reconstruction error of every run's last checkpoint; equal for all
        levels, as nothing is noised."""
        clean = population.weights[last_of_each_run(population.records)]
        autoencoder = cast(NeuronAutoencoder, self.network)
        device = next(autoencoder.parameters()).device
        decoded = autoencoder.decode(autoencoder.encode(clean.to(device))).float().cpu()
        error = ((decoded - clean) / self.spread).square().mean(dim=1)
        return error[:, None].expand(-1, len(timesteps))

    def save(self, folder: Path) -> None:
        """Write the autoencoder and the latents."""
        save_network(self.network, folder / AUTOENCODER_FILE)
        kept = {"latents": self.latents.contiguous(), "spread": self.spread.contiguous()}
        save_file(kept, folder / LATENTS_FILE)

    @classmethod
    def load(
        cls,
        folder: Path,
        settings: HyperRepresentations,
        layout: WeightLayout,
        info: PopulationInfo,
    ) -> "FittedHyperRepresentations":
        """A fitted generator from what `save` wrote."""
        with initializing(0):  # what is drawn here is overwritten
            network = settings.network(layout)
        load_network(network, folder / AUTOENCODER_FILE)
        kept = load_file(folder / LATENTS_FILE)
        return cls(settings, layout, info, network, kept["spread"], kept["latents"])

    @torch.no_grad()
    def _in_blocks(
        self,
        direction: str,
        rows: Tensor,
        progress: Callable[[int, int], None] | None = None,
    ) -> Tensor:
        """`encode` or `decode` of the autoencoder, in blocks of rows, where it trains fastest."""
        through: Callable[[Tensor], Tensor] = getattr(self.network, direction)
        parts = []
        with on_accelerator(self.network):
            device = next(self.network.parameters()).device
            for start in range(0, len(rows), BLOCK):
                parts.append(through(rows[start : start + BLOCK].to(device)).float().cpu())
                if progress is not None:
                    progress(min(start + BLOCK, len(rows)), len(rows))
        sizes = {"encode": self.settings.latent, "decode": self.layout.size}
        return torch.cat([torch.empty(0, sizes[direction]), *parts])


def layer_spread(
    weights: Float[Tensor, "n d"], layers: tuple[NeuronLayer, ...]
) -> Float[Tensor, " d"]:
    """The standard deviation of every weight's layer: its weights and biases pooled over all rows.

    Source: Hyper-Representations' layer-wise normalization; no mean is subtracted in the loss.
    """
    spread = torch.empty(weights.shape[1])
    for layer in layers:
        where = layer.where.flatten()
        spread[where] = weights[:, where].std().clamp(min=LEAST_STD)
    return spread


def draw_latents(
    latents: Float[Tensor, "kept latent"],
    n: int,
    *,
    bandwidth: float,
    shared: bool,
    rng: torch.Generator,
) -> Float[Tensor, "n latent"]:
    """Draws from a Gaussian kernel density of each latent dimension.

    A draw is a kept value plus bandwidth times a standard normal number. Shared: the same
    checkpoint and the same number in all dimensions, which is what one random state for all of them
    gives; so each draw is one training latent plus one number. Else both are drawn anew in each
    dimension, so a draw mixes as many checkpoints as there are dimensions.

    Source: Hyper-Representations; the shared state is that of the released code.
    """
    kept, d = latents.shape
    across = 1 if shared else d
    rows = torch.randint(kept, (n, across), generator=rng).expand(n, d)
    numbers = torch.randn(n, across, generator=rng)
    return latents.gather(0, rows) + bandwidth * numbers


SCALES = {
    "paper": HyperRepresentations(),
    "laptop": HyperRepresentations(
        width=128,
        hidden=128,
        layers=2,
        heads=4,
        projection_layers=3,
        permutations=0,
        steps=14_000,
        batch_size=32,
        learning_rate=2e-3,
        warmup_steps=200,
        schedule="cosine",
        gradient_clip=1.0,
    ),
    "smoke": HyperRepresentations(
        width=32,
        hidden=32,
        heads=2,
        layers=1,
        latent=16,
        projection_hidden=16,
        projection_outputs=8,
        projection_layers=1,
        permutations=100,
        steps=20,
        batch_size=8,
    ),
}
"""Settings by name: the paper's as far as known, and smaller ones."""
