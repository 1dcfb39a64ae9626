"""A generator: `fit` returns what samples; METHOD says how both are made by name and read back.

This one draws from a Gaussian along the leading principal components of its training checkpoints.
It needs no training loop, so all that a generator must have is in sight.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor

from novelweights.errors import InputError
from novelweights.generators import Method
from novelweights.generators.parts.training import Workspace
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, sampled_records


@dataclass(frozen=True)
class ComponentGaussian:
    """Settings; each field is a flag of `novelweights fit`, with the text below it as its help."""

    components: int = 8
    """Principal components to draw along; at most one less than there are checkpoints."""
    spread: float = 1.0
    """Times the training checkpoints' own standard deviation along each."""

    def __post_init__(self) -> None:
        if self.components < 1 or self.spread < 0:
            raise InputError(
                "expected at least 1 component and no negative spread, got "
                f"{self.components} and {self.spread}"
            )

    def fit(
        self, training: Population, *, rng: torch.Generator, workspace: Workspace | None = None
    ) -> "FittedComponents":
        """The mean and the leading components.

        Raises:
            InputError: There are fewer checkpoints than it needs.
        """
        if len(training) <= self.components:
            raise InputError(
                f"expected more than {self.components} training checkpoints, got {len(training)}; "
                "give more, or set --components lower"
            )
        mean = training.weights.mean(dim=0)
        _, lengths, directions = torch.linalg.svd(training.weights - mean, full_matrices=False)
        axes = lengths[:, None] * directions / (len(training) - 1) ** 0.5
        return FittedComponents(
            self, mean, axes[: self.components].contiguous(), training.layout, training.info
        )


@dataclass(frozen=True, eq=False)
class FittedComponents:
    """The mean and, along each component, a vector as long as the standard deviation there."""

    settings: ComponentGaussian
    mean: Float[Tensor, " d"]
    axes: Float[Tensor, "components d"]
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
            InputError: `start` is given; it begins from nothing.
        """
        if start is not None:
            raise InputError("template-components begins from nothing: leave --start out")
        coordinates = torch.randn(n, len(self.axes), generator=rng)
        weights = self.mean + self.settings.spread * coordinates @ self.axes
        info = replace(self.info, recipe="template-components", settings=vars(self.settings))
        return Population(weights, self.layout, sampled_records(n), info)

    def as_reference(self, population: Population) -> Population:
        """The population itself: audits compare with the checkpoints as they are."""
        return population

    def save(self, folder: Path) -> None:
        """Write what `load` reads, as safetensors."""
        save_file({"mean": self.mean, "axes": self.axes}, folder / "components.safetensors")

    @classmethod
    def load(
        cls,
        folder: Path,
        settings: ComponentGaussian,
        layout: WeightLayout,
        info: PopulationInfo,
    ) -> "FittedComponents":
        """The fitted generator in a folder."""
        stored = load_file(folder / "components.safetensors")
        return cls(settings, stored["mean"], stored["axes"], layout, info)


METHOD = Method(
    fitted=FittedComponents,
    scales={"default": ComponentGaussian(), "flat": ComponentGaussian(components=2)},
    summary="a Gaussian along the leading principal components",
)
