"""Settings that neural generators share, and checks that name the field and the remedy.

A method's settings inherit the fields and their texts from here and state their own defaults.
"""

import math
from dataclasses import dataclass, fields
from typing import Any

from novelweights.errors import InputError


@dataclass(frozen=True)
class TrainingSettings:
    """How a generator is optimized; AdamW throughout, as in the paper's methods."""

    steps: int
    learning_rate: float
    weight_decay: float
    decay_linear_only: bool = False
    """Decay the weights of linear layers only: no biases, norms or positions."""
    warmup_steps: int = 0
    schedule: str = "constant"
    """constant, cosine (to 0), or step (times decay every decay_steps)."""
    cosine_steps: int = 0
    """Steps after which a cosine is at 0, warm-up not counted; 0: all, so that it would be at 0 in
    the step after the last."""
    decay: float = 1.0
    decay_steps: int = 1
    gradient_clip: float = 0.0
    """Largest gradient norm; 0: no clipping."""
    ema_decay: float = 0.0
    """Exponential moving average of the weights, used for sampling; 0: off."""
    precision: str = "no"
    """no (float32) or bf16."""

    def __post_init__(self) -> None:
        require_one_of(self, "schedule", "constant", "cosine", "step")
        require_one_of(self, "precision", "no", "bf16")

    @classmethod
    def of(cls, settings: Any, **more: Any) -> "TrainingSettings":
        """Those of a method's settings that have a name of these fields, some of them replaced."""
        names = {field.name for field in fields(cls)}
        return cls(**{**{k: v for k, v in vars(settings).items() if k in names}, **more})

    def rate_at(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        rate = self.learning_rate
        if step < self.warmup_steps:
            return rate * step / self.warmup_steps
        if self.schedule == "cosine":
            span = self.cosine_steps or max(1, self.steps - self.warmup_steps)
            return rate * 0.5 * (1 + math.cos(math.pi * (step - self.warmup_steps) / span))
        if self.schedule == "step":
            return rate * self.decay ** (step // self.decay_steps)
        return rate


@dataclass(frozen=True, kw_only=True)
class TransformerSettings:
    """A transformer and how it is optimized."""

    width: int
    """Transformer width (model dimension)."""
    layers: int
    """Transformer blocks."""
    heads: int
    """Attention heads."""
    dropout: float = 0.0
    """Dropout on attention, residuals and embeddings."""
    steps: int
    """Optimizer steps."""
    batch_size: int
    """Checkpoints per step."""
    learning_rate: float
    """AdamW learning rate."""
    weight_decay: float
    """AdamW weight decay, on everything."""
    warmup_steps: int = 0
    """Steps of linear warm-up."""
    schedule: str
    """Learning-rate schedule: constant, or cosine (to 0)."""
    gradient_clip: float = 0.0
    """Largest gradient norm; 0: no clipping."""
    precision: str = "no"
    """no (float32) or bf16, in training."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.heads < 1 or self.width % self.heads:
            raise InputError(
                f"width {self.width} with {self.heads} heads: expected heads that divide the width",
                "wrong-option",
            )
        require_at_least(1, self, "steps", "batch_size", "layers")
        require_at_least(0, self, "learning_rate", "weight_decay", "warmup_steps", "gradient_clip")
        require_share(self, "dropout")
        self.training_settings()  # has checks of its own

    def training_settings(self) -> TrainingSettings:
        """The optimizer's part of the settings."""
        return TrainingSettings.of(self)


@dataclass(frozen=True, kw_only=True)
class DiffusionSettings(TransformerSettings):
    """A transformer that denoises weight vectors."""

    chunk: int
    """Largest token, in weights; what is larger is cut into such pieces; 0: nothing is cut."""
    timesteps: int
    """Diffusion timesteps T."""
    weight_scale: float
    """Weights are multiplied by this for the diffusion."""
    ema_decay: float = 0.0
    """Moving average of the weights used for sampling; 0: off."""
    noise: float = 0.0
    """Standard deviation of Gaussian noise added to training weights (paper, Table 1)."""
    sampling_steps: int
    """Denoising steps when sampling, at most the timesteps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.sampling_steps <= self.timesteps:
            raise InputError(
                f"sampling_steps: expected 1 to {self.timesteps} (the timesteps), got "
                f"{self.sampling_steps}",
                "wrong-option",
            )
        require_at_least(0, self, "chunk", "weight_scale", "noise")
        require_share(self, "ema_decay")


def require_at_least(least: int, settings: Any, *names: str) -> None:
    """Refuse fields below a bound, and such that are not finite.

    Raises:
        InputError: Naming the first such field.
    """
    for name in names:
        value = getattr(settings, name)
        if not (value >= least and math.isfinite(value)):
            raise InputError(
                f"{name}: expected a number of {least} or more, got {value}", "wrong-option"
            )


def require_share(settings: Any, *names: str) -> None:
    """Refuse fields outside [0, 1).

    Raises:
        InputError: Naming the first such field.
    """
    for name in names:
        value = getattr(settings, name)
        if not 0 <= value < 1:
            raise InputError(f"{name}: expected 0 to below 1, got {value}", "wrong-option")


def require_one_of(settings: Any, name: str, *values: str) -> None:
    """Refuse a field that has none of the values it may have.

    Raises:
        InputError: Naming the field.
    """
    value = getattr(settings, name)
    if value not in values:
        raise InputError(f"{name} {value!r}: expected {', '.join(values)}", "wrong-option")
