"""G.pt: a diffusion transformer that turns weights of one loss into weights of another.

It learns from pairs of checkpoints of one run: the earlier one, both losses and the difference are
the condition, the later one is what is denoised. Tokens are chunks of both weight vectors and four
scalars; what is predicted is a change of the earlier weights. Sampling starts from initializations
of runs it never saw and asks for loss 0. The defaults are the paper's setting for MNIST (378
million parameters); `SCALES` holds smaller ones. The laptop scale has a token per neuron in place
of pieces of parameters: those, at equal steps, learned little more than what each hidden neuron
becomes by itself (see `tokens`). Departures: runs are drawn with replacement (the
released code goes through all runs nine times an epoch); the cosine of the learning rate begins
after warm-up (there at step 0; at most .5% apart); betas are not stretched when there are fewer
than 1000 timesteps. Source: G.pt as the paper uses it (section 2,
tables 1 and 3; appendix A) and its released code, number by number.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from novelweights.errors import InputError
from novelweights.generators.parts.diffusion import (
    add_noise_at,
    ddpm_scheduler,
    denoising_errors,
    sample_ddpm,
)
from novelweights.generators.parts.gap import GapWatch
from novelweights.generators.parts.settings import (
    require_at_least,
    require_heads,
    require_sampling_steps,
    require_share,
)
from novelweights.generators.parts.tokens import (
    Tokens,
    tokens_of_neurons,
    tokens_of_parameters,
)
from novelweights.generators.parts.training import (
    TrainingSettings,
    Workspace,
    on_accelerator,
    train,
)
from novelweights.generators.parts.trajectories import Trajectories, starts_for
from novelweights.generators.parts.transformer import (
    SCALAR_FEATURES,
    TokenTransformer,
    load_denoiser,
    parameter_count,
    save_denoiser,
    scalar_features,
)
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import (
    Population,
    PopulationInfo,
    sampled_records,
    weights_digest,
)
from novelweights.weights.symmetry import NeuronSymmetry, random_element, transform

SCALAR_LOG2_MAX_FREQUENCY = 14.0
NORMALIZED_STD = 0.538
"""Weights are scaled to this standard deviation, that of ImageNet pixels in [-1, 1]; on the
published population that is times 4.185. Source: G.pt's released code."""

SAMPLES_AT_ONCE = 256  # bounds memory; a chain of each block after the other
SAMPLING_ONLY = {"sampling_steps": 1, "prompt": 0.0, "recursions": 1}
"""Settings that training does not depend on: an unfinished fit goes on with others."""

MeasureLoss = Callable[[Population], Float[Tensor, " n"]]
"""The loss that checkpoints really have; for recursive prompting."""


@dataclass(frozen=True)
class GPt:
    """Settings; the defaults are the paper's (G.pt's released code, MNIST, loss)."""

    width: int = 1536
    """Transformer width (model dimension)."""
    layers: int = 12
    """Transformer blocks."""
    heads: int = 16
    """Attention heads."""
    dropout: float = 0.0
    """Dropout on attention, residuals and embeddings."""
    chunk: int = 1000
    """Largest token, in weights; what is larger is cut into such pieces; 0: nothing is cut."""
    tokens: str = "parameters"
    """What is cut into tokens: parameters as stored (as published), or neurons (incoming weights,
    bias and outgoing weights of a hidden neuron side by side; ours, learns faster)."""
    timesteps: int = 1000
    """Diffusion timesteps T."""
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
    """Pairs per step."""
    learning_rate: float = 4e-4
    """AdamW learning rate."""
    weight_decay: float = 0.1
    """AdamW weight decay, on the weights of linear layers only."""
    warmup_steps: int = 445
    """Steps of linear warm-up (5 epochs)."""
    schedule: str = "cosine"
    """Learning-rate schedule: constant, or cosine (to 0)."""
    gradient_clip: float = 0.75
    """Largest gradient norm; 0: no clipping."""
    ema_decay: float = 0.9999
    """Moving average of the weights used for sampling; 0: off."""
    noise: float = 0.0
    """Standard deviation of Gaussian noise added to training weights (paper, Table 1)."""
    sampling_steps: int = 1000
    """DDPM steps, at most the timesteps."""
    prompt: float = 0.0
    """Loss asked for when sampling."""
    recursions: int = 1
    """Passes when sampling: each begins where the last ended and asks for the same loss. An option
    of the released code; the paper uses one."""
    precision: str = "no"
    """no (float32) or bf16, in training."""

    def training_settings(self) -> TrainingSettings:
        """The optimizer's part of the settings."""
        return TrainingSettings(
            steps=self.steps,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            decay_linear_only=True,
            warmup_steps=self.warmup_steps,
            schedule=self.schedule,
            gradient_clip=self.gradient_clip or None,
            ema_decay=self.ema_decay or None,
            precision=self.precision,
        )

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

    def __post_init__(self) -> None:
        require_sampling_steps(self.sampling_steps, self.timesteps)
        require_heads(self.width, self.heads)
        require_at_least(1, self, "steps", "batch_size", "layers", "recursions")
        require_at_least(
            0,
            self,
            "chunk",
            "weight_scale",
            "warmup_steps",
            "gradient_clip",
            "noise",
            "learning_rate",
            "weight_decay",
            "prompt",
        )
        require_share(self, "dropout", "ema_decay")
        if self.tokens not in ("parameters", "neurons"):
            raise InputError(f"tokens {self.tokens!r}: expected parameters or neurons")
        if self.schedule not in ("constant", "cosine"):
            raise InputError(f"schedule {self.schedule!r}: expected constant or cosine")

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
            rng: Source of all randomness.
            workspace: Where an unfinished fit is kept and continued, and what it watches.

        Raises:
            InputError: A run has one checkpoint only, losses are missing, training diverged, or
                the workspace belongs to another fit or watches other networks.
        """
        trajectories = Trajectories.of(training, self.metric, "training")
        layout, symmetry = training.layout, training.info.symmetry
        cut = self.cut(layout, symmetry)
        scale = self.weight_scale or NORMALIZED_STD / float(training.weights.std())
        seed = int(torch.randint(2**62, (1,), generator=rng))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # of no accelerator
            network = self.network(cut)
        alphas = ddpm_scheduler(self.timesteps).alphas_cumprod

        def loss_at(model: nn.Module, draw: torch.Generator) -> Tensor:
            n = self.batch_size
            start_rows, target_rows = trajectories.draw_pairs(n, draw)
            start = scale * training.weights[start_rows]
            target = scale * training.weights[target_rows]
            if self.permute and symmetry is not None:
                moves = random_element(n, layout, symmetry, rng=draw)
                start = transform(start, layout, symmetry, *moves)
                target = transform(target, layout, symmetry, *moves)
            if self.noise:
                for weights in (start, target):
                    weights += scale * self.noise * torch.randn(weights.shape, generator=draw)
            t = torch.randint(self.timesteps, (n,), generator=draw)
            noised = add_noise_at(target, torch.randn(target.shape, generator=draw), t, alphas)
            predicted = self.denoise(
                model,
                noised,
                t,
                start,
                trajectories.losses[start_rows],
                trajectories.losses[target_rows],
                cut,
            )
            return (predicted - target.to(predicted.device)).square().mean()

        def losses_of(
            model: nn.Module, some: Population, timesteps: tuple[int, ...], draw: torch.Generator
        ) -> Tensor:
            return self.losses(model, some, cut, scale, timesteps, draw)

        watch = None
        if workspace is not None and workspace.watch is not None:
            Trajectories.of(workspace.watch, self.metric, "held-out")  # refused at once
            watch = GapWatch.of(
                training, workspace.watch, timesteps=self.timesteps, losses=losses_of
            )
        trained = train(
            network,
            loss_at,
            self.training_settings(),
            seed=seed,
            identity=f"{replace(self, **SAMPLING_ONLY)} {weights_digest(training)}",
            workspace=workspace,
            watch=watch,
        )
        losses = trajectories.losses
        loss_range = float(losses.min()), float(losses.max())
        return FittedGPt(self, trained, layout, training.info, scale, loss_range)

    def denoise(
        self,
        network: nn.Module,
        noised: Float[Tensor, "batch d"],
        t: Int[Tensor, " batch"],
        start: Float[Tensor, "batch d"],
        start_loss: Float[Tensor, " batch"],
        target_loss: Float[Tensor, " batch"],
        cut: Tokens,
    ) -> Float[Tensor, "batch d"]:
        """The predicted clean weights (all weights scaled): the start plus what the network says.

        Runs where the network is and answers there.
        """
        device = next(network.parameters()).device
        noised, start = noised.to(device), start.to(device)
        scalars = (t, target_loss - start_loss, target_loss, start_loss)  # in the published order
        features = [
            scalar_features(x.float().to(device), SCALAR_LOG2_MAX_FREQUENCY) for x in scalars
        ]
        tokens = [*cut.split(noised), *cut.split(start), *features]
        return start + cut.join(network(tokens).float())

    @torch.no_grad()
    def losses(
        self,
        network: nn.Module,
        population: Population,
        cut: Tokens,
        scale: float,
        timesteps: tuple[int, ...],
        rng: torch.Generator,
    ) -> Float[Tensor, "n levels"]:
        """Mean squared denoising error of every run's last checkpoint, given its first."""
        trajectories = Trajectories.of(population, self.metric, "checkpoints whose loss is asked")
        first, last = trajectories.ends()
        start, clean = (scale * population.weights[rows] for rows in (first, last))
        start_loss, last_loss = trajectories.losses[first], trajectories.losses[last]

        def predict(noised: Tensor, t: Tensor) -> Tensor:
            return self.denoise(network, noised, t, start, start_loss, last_loss, cut).cpu()

        alphas = ddpm_scheduler(self.timesteps).alphas_cumprod
        return denoising_errors(predict, clean, timesteps, alphas, rng=rng)


@dataclass(frozen=True, eq=False)
class FittedGPt:
    """A trained denoiser and what its vectors mean."""

    settings: GPt
    network: nn.Module
    layout: WeightLayout
    info: PopulationInfo
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
        """n checkpoints, each from a starting checkpoint and asked for a loss, by DDPM.

        Args:
            n: How many; sample i begins from start i, from the first again where there are fewer
                (the score start_row tells). Samples from one start are no independent evidence.
            rng: Source of all randomness.
            start: Checkpoints to begin from (initializations, as published), with their losses.
            progress: Called with (steps done, steps in all).
            measure: Tells the true loss of what a pass made, for the next; without it a pass is
                trusted to have reached its prompt. Matters with several recursions only.
            prompts: A loss to ask for in each sample; None: the settings' prompt in all.

        Raises:
            InputError: No start, or starts of another network or without a loss.
        """
        weights, losses = self._starts(n, start)
        if prompts is None:
            prompts = torch.full((n,), self.settings.prompt)
        passes, blocks = self.settings.recursions, range(0, n, SAMPLES_AT_ONCE)
        calls = len(blocks) * passes
        for k in range(passes):
            made = []
            for i, begin in enumerate(blocks):
                some, done = slice(begin, begin + SAMPLES_AT_ONCE), k * len(blocks) + i

                def tell(step: int, of: int, done: int = done) -> None:
                    if progress is not None:
                        progress(done * of + step, calls * of)

                made.append(self._chain(weights[some], losses[some], prompts[some], rng, tell))
            weights = torch.cat([*made, weights[:0]])
            losses = prompts
            if measure is not None and k + 1 < passes:
                losses = measure(self._population(weights)).float()
        return self._population(weights, start)

    def _starts(self, n: int, start: Population | None) -> tuple[Tensor, Tensor]:
        """Weights and losses that n samples begin from."""
        if start is None:
            raise InputError(
                "g-pt begins from checkpoints: expected some, got none; add --start DIR "
                "(a population whose split start holds initializations with their losses)"
            )
        start, losses = starts_for(self.layout, start, self.settings.metric)
        if n and not len(start):
            raise InputError("start: expected at least 1 checkpoint to begin from, got none")
        rows = torch.arange(n) % max(1, len(start))
        return start.weights[rows], losses[rows]

    def _chain(
        self,
        start: Tensor,
        start_loss: Tensor,
        asked: Tensor,
        rng: torch.Generator,
        tell: Callable[[int, int], None],
    ) -> Tensor:
        """One chain of denoising."""
        scaled, cut = self.scale * start, self._cut

        def denoise(noised: Tensor, t: Tensor) -> Tensor:
            return self.settings.denoise(
                self.network, noised, t, scaled, start_loss, asked, cut
            ).cpu()

        scheduler, steps = ddpm_scheduler(self.settings.timesteps), self.settings.sampling_steps
        with on_accelerator(self.network):
            made = sample_ddpm(denoise, start.shape, scheduler, steps, rng=rng, progress=tell)
        return made / self.scale

    def _population(self, weights: Tensor, start: Population | None = None) -> Population:
        """Samples, with the row of the start of each among their scores."""
        records, settings = sampled_records(len(weights)), dict(vars(self.settings))
        if start is not None:
            rows = np.arange(len(weights)) % max(1, len(start))
            records = replace(records, scores={"start_row": rows.astype(np.float64)})
            settings["start"] = {"sha256": weights_digest(start), "checkpoints": len(start)}
        info = replace(self.info, recipe="g-pt", settings=settings)
        return Population(weights, self.layout, records, info)

    def as_reference(self, population: Population) -> Population:
        """The population itself: nothing is encoded."""
        return population

    @property
    def parameters(self) -> int:
        """Number of trained values."""
        return parameter_count(self.network)

    @property
    def _cut(self) -> Tokens:
        return self.settings.cut(self.layout, self.info.symmetry)

    @property
    def timesteps(self) -> int:
        """Noise levels in all."""
        return self.settings.timesteps

    def loss(
        self, population: Population, *, timesteps: tuple[int, ...], rng: torch.Generator
    ) -> Float[Tensor, "n levels"]:
        """Mean squared denoising error of every run's last checkpoint at each noise level, given
        the run's first checkpoint and both losses, in the population's own order of neurons.

        Noise is paired as in HyperDiffusion's loss.

        Raises:
            InputError: A run has one checkpoint only, or losses are missing.
        """
        network = self.network
        with on_accelerator(network):
            return self.settings.losses(network, population, self._cut, self.scale, timesteps, rng)

    def save(self, folder: Path) -> None:
        """Write the denoiser's weights, the scale and the losses it has seen."""
        least, greatest = self.loss_range
        numbers = {"weight_scale": self.scale, "least_loss": least, "greatest_loss": greatest}
        save_denoiser(self.network, folder, numbers)

    @classmethod
    def load(
        cls, folder: Path, settings: GPt, layout: WeightLayout, info: PopulationInfo
    ) -> "FittedGPt":
        """A fitted generator from what `save` wrote."""
        network = settings.network(settings.cut(layout, info.symmetry))
        numbers = load_denoiser(network, folder)
        loss_range = numbers["least_loss"], numbers["greatest_loss"]
        return cls(settings, network, layout, info, numbers["weight_scale"], loss_range)


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
