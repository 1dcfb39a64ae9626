"""The paper's three baselines for making new weights: generators like any other.

Noise addition (section 3.2), weight averaging and the per-parameter Gaussian (section 3.3). All
keep their training checkpoints and draw from them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor

from novelweights.errors import InputError
from novelweights.generators.parts.training import Workspace
from novelweights.weights.layout import WeightLayout
from novelweights.weights.perturb import add_noise, average_rows, parameter_gaussian, pick_rows
from novelweights.weights.population import Population, PopulationInfo, sampled_records


@runtime_checkable
class Draws(Protocol):
    """Settings of a baseline: they say how to draw from training checkpoints."""

    def draw(
        self, training: Float[Tensor, "m d"], n: int, rng: torch.Generator
    ) -> Float[Tensor, "n d"]:
        """n new weight vectors."""
        ...


@dataclass(frozen=True)
class AddNoise:
    """Training checkpoints plus Gaussian noise. Source: paper, section 3.2."""

    std: float = 0.02
    """Standard deviation of the noise, in raw weight units."""

    def __post_init__(self) -> None:
        if self.std < 0:
            raise InputError(f"std: expected 0 or more, got {self.std}")

    def fit(
        self,
        training: Population,
        *,
        rng: torch.Generator,
        workspace: Workspace | None = None,
    ) -> "FittedBaseline":
        """Keep the training checkpoints."""
        return _keep(self, training, at_least=1)

    def draw(
        self, training: Float[Tensor, "m d"], n: int, rng: torch.Generator
    ) -> Float[Tensor, "n d"]:
        """Noised checkpoints; all are used before one is used twice."""
        return add_noise(training[pick_rows(len(training), n, rng=rng)], self.std, rng=rng)


@dataclass(frozen=True)
class AverageWeights:
    """Plain means of random training checkpoints. Source: paper, section 3.3."""

    of: int = 16
    """Checkpoints in each mean."""

    def __post_init__(self) -> None:
        if self.of < 1:
            raise InputError(f"of: expected at least 1, got {self.of}")

    def fit(
        self,
        training: Population,
        *,
        rng: torch.Generator,
        workspace: Workspace | None = None,
    ) -> "FittedBaseline":
        """Keep the training checkpoints."""
        return _keep(self, training, at_least=self.of)

    def draw(
        self, training: Float[Tensor, "m d"], n: int, rng: torch.Generator
    ) -> Float[Tensor, "n d"]:
        """Means."""
        return average_rows(training, n, of=self.of, rng=rng)


@dataclass(frozen=True)
class ParameterGaussian:
    """An independent Gaussian per parameter. Source: paper, section 3.3."""

    def fit(
        self,
        training: Population,
        *,
        rng: torch.Generator,
        workspace: Workspace | None = None,
    ) -> "FittedBaseline":
        """Keep the training checkpoints."""
        return _keep(self, training, at_least=2)

    def draw(
        self, training: Float[Tensor, "m d"], n: int, rng: torch.Generator
    ) -> Float[Tensor, "n d"]:
        """Independent draws."""
        return parameter_gaussian(training, n, rng=rng)


def _keep(settings: Draws, training: Population, *, at_least: int) -> "FittedBaseline":
    """Fitting a baseline is keeping the training checkpoints."""
    if len(training) < at_least:
        raise InputError(
            f"{type(settings).__name__} needs {at_least} training checkpoints, "
            f"got {len(training)}; give more"
        )
    return FittedBaseline(settings, training.weights, training.layout, training.info)


@dataclass(frozen=True, eq=False)
class FittedBaseline:
    """A baseline with its training checkpoints."""

    settings: Draws
    training: Float[Tensor, "m d"]
    layout: WeightLayout
    info: PopulationInfo

    def sample(
        self,
        n: int,
        *,
        rng: torch.Generator,
        start: Population | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Population:
        """n new checkpoints.

        Raises:
            InputError: `start` is given; baselines begin from their training checkpoints.
        """
        if start is not None:
            raise InputError("a baseline begins from its training checkpoints: leave --start out")
        weights = self.settings.draw(self.training, n, rng)
        info = replace(
            self.info, recipe=type(self.settings).__name__, settings=dict(vars(self.settings))
        )
        return Population(weights, self.layout, sampled_records(n), info)

    def as_reference(self, population: Population) -> Population:
        """The population itself: nothing is encoded."""
        return population

    def save(self, folder: Path) -> None:
        """Write the training checkpoints."""
        save_file({"training": self.training.contiguous()}, folder / "training.safetensors")

    @classmethod
    def load(
        cls, folder: Path, settings: Draws, layout: WeightLayout, info: PopulationInfo
    ) -> "FittedBaseline":
        """A fitted baseline from what `save` wrote."""
        training = load_file(folder / "training.safetensors")["training"]
        return cls(settings, training, layout, info)
