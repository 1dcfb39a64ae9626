"""G.pt: a diffusion transformer that turns weights of one loss into weights of another.

It learns from pairs of checkpoints of one run: the earlier one, both losses and the difference are
the condition, the later one is what is denoised. Tokens are chunks of both weight vectors and four
scalars; what is predicted is a change of the earlier weights. Sampling starts from initializations
of runs it never saw, prompted with loss 0. The defaults are the paper's setting for MNIST (378
million parameters); `SCALES` holds smaller ones. The laptop scale has a token per neuron in place
of pieces of parameters: those, at equal steps, learned little more than what each hidden neuron
becomes by itself (see `Tokens`). Departures: runs are drawn with replacement (the
released code goes through all runs nine times an epoch); the cosine of the learning rate begins
after warm-up (there at step 0; at most .5% apart); betas are not stretched when there are fewer
than 1000 timesteps. Source: G.pt as the paper uses it (section 2,
tables 1 and 3; appendix A) and its released code, number by number.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from novelweights.errors import InputError
from novelweights.generators.parts.diffusion import (
    add_noise_at,
    ddpm_scheduler,
    denoising_errors,
    sample_from_noise,
)
from novelweights.generators.parts.fitted import (
    OfOneNetwork,
    load_network,
    save_network,
)
from novelweights.generators.parts.settings import (
    DiffusionSettings,
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
from novelweights.generators.parts.trajectories import Trajectories, starts_for
from novelweights.generators.parts.transformer import (
    SCALAR_FEATURES,
    Tokens,
    TokenTransformer,
    scalar_features,
    tokens_of_neurons,
    tokens_of_parameters,
)
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, weights_digest
from novelweights.weights.symmetry import NeuronSymmetry, random_element, transform

SCALAR_LOG2_MAX_FREQUENCY = 14.0
NORMALIZED_STD = 0.538
"""Weights are scaled to this standard deviation, that of ImageNet pixels in [-1, 1]; on the
published population that is times 4.185. Source: G.pt's released code."""

DENOISER_FILE = "denoiser.safetensors"
SAMPLES_AT_ONCE = 256  # bounds memory; a chain of each block after the other
SAMPLING_ONLY = {"sampling_steps": 1, "prompt": 0.0, "recursions": 1}
"""Settings that training does not depend on: an unfinished fit goes on with others."""

MeasureLoss = Callable[[Population], Float[Tensor, " n"]]
"""The loss that checkpoints really have; for recursive prompting."""


@dataclass(frozen=True, kw_only=True)
class GPt(DiffusionSettings):
    """Settings; the defaults are the paper's (G.pt's released code, MNIST, loss)."""

    recipe: ClassVar[str] = "g-pt"

    width: int = 1536
    layers: int = 12
    heads: int = 16
    chunk: int = 1000
    tokens: str = "parameters"
    """What is cut into tokens: parameters as stored (as published), or neurons (incoming weights,
    bias and outgoing weights of a hidden neuron side by side; ours, learns faster)."""
    timesteps: int = 1000
    weight_scale: float = 4.185
    """Weights are multiplied by this for the diffusion; 0: by 0.538 over their standard deviation
    (how the published number came to be)."""
    metric: str = "test_loss"
    """The score of the checkpoints that is the condition, such as test_loss; a prompt is a value of
    it, and the default prompt 0 asks for the best where lower is better."""
    permute: bool = True
    """Reorder the hidden neurons of each pair at random (both in the same way)."""
    steps: int = 178_000
    """Optimizer steps (2,000 epochs of 89 steps)."""
    batch_size: int = 1024
    """Pairs of checkpoints per step."""
    learning_rate: float = 4e-4
    weight_decay: float = 0.1
    """AdamW weight decay, on the weights of linear layers only."""
    warmup_steps: int = 445
    """Steps of linear warm-up (5 epochs)."""
    schedule: str = "cosine"
    gradient_clip: float = 0.75
    ema_decay: float = 0.9999
    sampling_steps: int = 1000
    """DDPM steps, at most the timesteps."""
    prompt: float = 0.0
    """Loss that samples are prompted with."""
    recursions: int = 1
    """Passes when sampling: each begins where the last ended, with the same prompt. An option of
    the released code; the paper uses one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(1, self, "recursions")
        require_at_least(0, self, "prompt")
        require_one_of(self, "tokens", "parameters", "neurons")
        require_one_of(self, "schedule", "constant", "cosine")

    def training_settings(self) -> TrainingSettings:
        """The optimizer's part of the settings."""
        return TrainingSettings.of(self, decay_linear_only=True)

    def cut(self, layout: WeightLayout, symmetry: NeuronSymmetry | None) -> Tokens:
        """How weight vectors of a target network become tokens.

        Raises:
            InputError: Tokens of neurons, and the symmetry does not name any.
        """
        if self.tokens == "neurons":
            return tokens_of_neurons(layout, symmetry, self.chunk)
        return tokens_of_parameters(layout, self.chunk)

    def network(self, cut: Tokens) -> TokenTransformer:
        """The denoiser for a target network, freshly initialized from torch's global stream."""
        return TokenTransformer(
            [*cut.sizes, *cut.sizes, *[SCALAR_FEATURES] * 4],
            cut.sizes,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            dropout=self.dropout,
            zero_init_output=True,
        )

    def fit(
        self,
        training: Population,
        *,
        rng: torch.Generator,
        workspace: Workspace | None = None,
    ) -> "FittedGPt":
        """Train the denoiser on pairs of checkpoints of one run each.

        Args:
            training: At least one run with two checkpoints or more, each with its `metric`.

        Raises:
            InputError: A run has one checkpoint only, losses are missing, training diverged, or
                the workspace belongs to another fit or watches other networks.
        """
        workspace = workspace or Workspace()
        trajectories = Trajectories.of(training, self.metric, "training")
        if workspace.watch is not None:
            Trajectories.of(workspace.watch, self.metric, "held-out")  # refused at once
        layout, symmetry, losses = training.layout, training.info.symmetry, trajectories.losses
        scale = self.weight_scale or NORMALIZED_STD / float(training.weights.std())
        seed = root_seed(rng)
        cut = self.cut(layout, symmetry)
        with initializing(seed):
            network = self.network(cut)
        loss_range = float(losses.min()), float(losses.max())
        begun = FittedGPt(self, layout, training.info, network, cut, scale, loss_range)
        alphas = ddpm_scheduler(self.timesteps).alphas_cumprod

        def loss_at(model: nn.Module, draw: torch.Generator) -> Tensor:
            n = self.batch_size
            start_rows, target_rows = trajectories.draw_pairs(n, draw)
            start = scale * training.weights[start_rows]
            target = scale * training.weights[target_rows]
            if self.permute and symmetry is not None:
                element = random_element(n, layout, symmetry, rng=draw)
                start = transform(start, layout, symmetry, *element)
                target = transform(target, layout, symmetry, *element)
            if self.noise:
                for weights in (start, target):
                    weights += scale * self.noise * torch.randn(weights.shape, generator=draw)
            t = torch.randint(self.timesteps, (n,), generator=draw)
            noised = add_noise_at(target, torch.randn(target.shape, generator=draw), t, alphas)
            predicted = replace(begun, network=model).denoise(
                noised, t, start, losses[start_rows], losses[target_rows]
            )
            return (predicted - target.to(predicted.device)).square().mean()

        trained = train(
            network,
            loss_at,
            self.training_settings(),
            seed=seed,
            identity=f"{replace(self, **SAMPLING_ONLY)} {weights_digest(training)}",
            workspace=workspace,
            watch=workspace.gap_watch(
                training,
                timesteps=self.timesteps,
                losses=lambda model, *of: replace(begun, network=model).losses(*of),
            ),
        )
        return replace(begun, network=trained)


@dataclass(frozen=True, eq=False)
class FittedGPt(OfOneNetwork):
    """A trained denoiser and what its vectors mean."""

    cut: Tokens
    scale: float
    loss_range: tuple[float, float]
    """Least and greatest loss among the training checkpoints; prompts beyond are extrapolation."""

    def sample(
        self,
        n: int,
        *,
        rng: torch.Generator,
        start: Population | None = None,
        progress: Callable[[int, int], None] | None = None,
        measure: MeasureLoss | None = None,
        prompts: Float[Tensor, " n"] | None = None,
    ) -> Population:
        """n checkpoints, each from a starting checkpoint and prompted with a loss, by DDPM.

        Args:
            n: How many; sample i begins from start i, from the first again where there are fewer
                (the score start_row says which). Samples from one start are no independent
                evidence.
            start: Checkpoints to begin from (initializations, as published), with their losses.
            measure: Gives the true loss of what a pass made, for the next; without it a pass is
                trusted to have reached its prompt. Matters with several recursions only.
            prompts: The prompt of each sample; None: the settings' prompt for all.

        Raises:
            InputError: No start, or starts of another network or without a loss.
        """
        if start is None:
            raise InputError(
                "g-pt begins from checkpoints: expected some, got none; add --start DIR "
                "(a population whose split start holds initializations with their losses)",
                "wrong-option",
            )
        ours, start_losses = starts_for(self.layout, start, self.settings.metric)
        if n and not len(start):
            raise InputError(
                "start: expected at least 1 checkpoint to begin from, got none", "too-few"
            )
        rows = torch.arange(n) % max(1, len(start))
        weights, losses = ours.weights[rows], start_losses[rows]
        if prompts is None:
            prompts = torch.full((n,), self.settings.prompt)
        passes, blocks = self.settings.recursions, range(0, n, SAMPLES_AT_ONCE)
        calls = len(blocks) * passes
        for k in range(passes):
            made = []
            for i, begin in enumerate(blocks):
                some, done = slice(begin, begin + SAMPLES_AT_ONCE), k * len(blocks) + i

                def count_all(step: int, of: int, done: int = done) -> None:
                    if progress is not None:
                        progress(done * of + step, calls * of)

                made.append(self._chain(weights[some], losses[some], prompts[some], rng, count_all))
            weights = torch.cat([*made, weights[:0]])
            losses = prompts
            if measure is not None and k + 1 < passes:
                losses = measure(self.sampled(weights)).float()
        samples = self.sampled(weights)
        records = replace(samples.records, scores={"start_row": rows.double().numpy()})
        described = {"sha256": weights_digest(start), "checkpoints": len(start)}
        settings = {**samples.info.settings, "start": described}
        return replace(samples, records=records, info=replace(samples.info, settings=settings))

    def _chain(
        self,
        start: Tensor,
        start_loss: Tensor,
        prompts: Tensor,
        rng: torch.Generator,
        progress: Callable[[int, int], None],
    ) -> Tensor:
        """One chain of denoising."""
        scaled = self.scale * start
        with on_accelerator(self.network):
            made = sample_from_noise(
                lambda noised, t: self.denoise(noised, t, scaled, start_loss, prompts),
                start.shape,
                ddpm_scheduler(self.timesteps),
                self.settings.sampling_steps,
                rng=rng,
                progress=progress,
            )
        return made / self.scale

    @torch.no_grad()
    def losses(
        self, population: Population, timesteps: tuple[int, ...], rng: torch.Generator
    ) -> Float[Tensor, "n levels"]:
        """Mean squared denoising error of every run's last checkpoint at each noise level, given
        the run's first checkpoint and both losses, in the population's own order of neurons.

        Noise is paired as in HyperDiffusion's loss.

        Raises:
            InputError: A run has one checkpoint only, or losses are missing.
        """
        trajectories = Trajectories.of(population, self.settings.metric, "population")
        first, last = trajectories.ends()
        start, clean = (self.scale * population.weights[rows] for rows in (first, last))
        start_loss, last_loss = trajectories.losses[first], trajectories.losses[last]
        return denoising_errors(
            lambda noised, t: self.denoise(noised, t, start, start_loss, last_loss),
            clean,
            timesteps,
            ddpm_scheduler(self.timesteps).alphas_cumprod,
            rng=rng,
        )

    def denoise(
        self,
        noised: Float[Tensor, "batch d"],
        t: Int[Tensor, " batch"],
        start: Float[Tensor, "batch d"],
        start_loss: Float[Tensor, " batch"],
        target_loss: Float[Tensor, " batch"],
    ) -> Float[Tensor, "batch d"]:
        """The predicted clean weights (all weights scaled): the start plus what the network says.

        Runs where the network is and answers there.
        """
        device = next(self.network.parameters()).device
        noised, start = noised.to(device), start.to(device)
        scalars = (t, target_loss - start_loss, target_loss, start_loss)  # in the published order
        features = [
            scalar_features(x.float().to(device), SCALAR_LOG2_MAX_FREQUENCY) for x in scalars
        ]
        tokens = [*self.cut.split(noised), *self.cut.split(start), *features]
        return start + self.cut.join(self.network(tokens).float())

    def save(self, folder: Path) -> None:
        """Write the denoiser's weights, the scale and the losses it has seen."""
        least, greatest = self.loss_range
        save_network(
            self.network,
            folder / DENOISER_FILE,
            weight_scale=self.scale,
            least_loss=least,
            greatest_loss=greatest,
        )

    @classmethod
    def load(
        cls, folder: Path, settings: GPt, layout: WeightLayout, info: PopulationInfo
    ) -> "FittedGPt":
        """A fitted generator from what `save` wrote."""
        cut = settings.cut(layout, info.symmetry)
        with initializing(0):  # what is drawn here is overwritten
            network = settings.network(cut)
        numbers = load_network(network, folder / DENOISER_FILE)
        loss_range = numbers["least_loss"], numbers["greatest_loss"]
        return cls(settings, layout, info, network, cut, numbers["weight_scale"], loss_range)


SCALES = {
    "paper": GPt(),
    "laptop": GPt(
        width=256,
        layers=4,
        heads=4,
        chunk=0,
        tokens="neurons",
        weight_scale=0.0,
        steps=24_000,
        batch_size=64,
        learning_rate=1.5e-3,
        warmup_steps=200,
        ema_decay=0.999,
        precision="bf16",
    ),
    "smoke": GPt(
        width=32,
        layers=1,
        heads=2,
        weight_scale=0.0,
        timesteps=100,
        steps=20,
        batch_size=16,
        warmup_steps=2,
        ema_decay=0.9,
        sampling_steps=10,
    ),
}
