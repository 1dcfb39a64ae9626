"""The paper's three baselines for making new weights: generators like any other.

Noise addition (section 3.2), weight averaging and the per-parameter Gaussian (section 3.3). All
keep their training checkpoints and draw from them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor

from novelweights.errors import InputError, count
from novelweights.generators.parts.fitted import Unconditional
from novelweights.generators.parts.settings import require_at_least
from novelweights.generators.parts.training import Workspace
from novelweights.weights.layout import WeightLayout
from novelweights.weights.perturb import add_noise, average_rows, parameter_gaussian, pick_rows
from novelweights.weights.population import Population, PopulationInfo

TRAINING_FILE = "training.safetensors"


@dataclass(frozen=True)
class Baseline(ABC):
    """Settings of a baseline: they say how to draw from training checkpoints."""

    @property
    def recipe(self) -> str:
        """What its samples are called."""
        return type(self).__name__

    @property
    def needed(self) -> int:
        """Least number of training checkpoints."""
        return 1

    @abstractmethod
    def draw(
        self, training: Float[Tensor, "m d"], n: int, rng: torch.Generator
    ) -> Float[Tensor, "n d"]:
        """n new weight vectors."""

    def fit(
        self,
        training: Population,
        *,
        rng: torch.Generator,
        workspace: Workspace | None = None,
    ) -> "FittedBaseline":
        """Keep the training checkpoints.

        Raises:
            InputError: They are too few.
        """
        if len(training) < self.needed:
            raise InputError(
                f"{self.recipe} needs {count(self.needed, 'training checkpoint')}, "
                f"got {len(training)}; give more",
                "too-few",
            )
        return FittedBaseline(self, training.layout, training.info, training.weights)


@dataclass(frozen=True)
class AddNoise(Baseline):
    """Training checkpoints plus Gaussian noise. Source: paper, section 3.2."""

    std: float = 0.02
    """Standard deviation of the noise, in raw weight units."""

    def __post_init__(self) -> None:
        require_at_least(0, self, "std")

    def draw(
        self, training: Float[Tensor, "m d"], n: int, rng: torch.Generator
    ) -> Float[Tensor, "n d"]:
        """Noised checkpoints; all are used before one is used twice."""
        return add_noise(training[pick_rows(len(training), n, rng=rng)], self.std, rng=rng)


@dataclass(frozen=True)
class AverageWeights(Baseline):
    """Plain means of random training checkpoints. Source: paper, section 3.3."""

    of: int = 16
    """Checkpoints in each mean."""

    def __post_init__(self) -> None:
        require_at_least(1, self, "of")

    @property
    def needed(self) -> int:
        """As many as are averaged."""
        return self.of

    def draw(
        self, training: Float[Tensor, "m d"], n: int, rng: torch.Generator
    ) -> Float[Tensor, "n d"]:
        """Means."""
        return average_rows(training, n, of=self.of, rng=rng)


@dataclass(frozen=True)
class ParameterGaussian(Baseline):
    """An independent Gaussian per parameter. Source: paper, section 3.3."""

    @property
    def needed(self) -> int:
        """Two, or nothing varies."""
        return 2

    def draw(
        self, training: Float[Tensor, "m d"], n: int, rng: torch.Generator
    ) -> Float[Tensor, "n d"]:
        """Independent draws."""
        return parameter_gaussian(training, n, rng=rng)


@dataclass(frozen=True, eq=False)
class FittedBaseline(Unconditional):
    """A baseline with its training checkpoints."""

    training: Float[Tensor, "m d"]

    def draw(
        self, n: int, rng: torch.Generator, progress: Callable[[int, int], None] | None
    ) -> Float[Tensor, "n d"]:
        """As the settings say."""
        return self.settings.draw(self.training, n, rng)

    def save(self, folder: Path) -> None:
        """Write the training checkpoints."""
        save_file({"training": self.training.contiguous()}, folder / TRAINING_FILE)

    @classmethod
    def load(
        cls, folder: Path, settings: Baseline, layout: WeightLayout, info: PopulationInfo
    ) -> "FittedBaseline":
        """A fitted baseline from what `save` wrote."""
        return cls(settings, layout, info, load_file(folder / TRAINING_FILE)["training"])
