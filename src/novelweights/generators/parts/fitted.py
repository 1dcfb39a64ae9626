"""What fitted generators share: samples as a population, checks of what they are given, files."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from novelweights.errors import InputError
from novelweights.generators.parts.training import on_accelerator
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import (
    Population,
    PopulationInfo,
    require_finite,
    require_same_layout,
    sampled_records,
)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted generator: its settings, and what its weight vectors mean."""

    settings: Any
    """Of the method, whose `recipe` is the name of what it makes."""
    layout: WeightLayout
    info: PopulationInfo
    """Of the training checkpoints."""

    def as_reference(self, population: Population) -> Population:
        """The population itself: audits take checkpoints as they are."""
        return population

    def in_order(self, population: Population, role: str = "the population") -> Population:
        """The population with its parameters in this generator's order.

        Raises:
            InputError: It holds other networks, or NaN.
        """
        return require_network(population, self.layout, role)

    def sampled(self, weights: Float[Tensor, "n d"]) -> Population:
        """Weight vectors as a population of samples."""
        info = replace(
            self.info,
            recipe=self.settings.recipe,
            settings=dict(vars(self.settings)),
            provenance=None,
        )
        return Population(weights, self.layout, sampled_records(len(weights)), info)


class Unconditional(Fitted, ABC):
    """A fitted generator that begins from no checkpoints."""

    @abstractmethod
    def draw(
        self, n: int, rng: torch.Generator, progress: Callable[[int, int], None] | None
    ) -> Float[Tensor, "n d"]:
        """n new weight vectors."""

    def sample(
        self,
        n: int,
        *,
        rng: torch.Generator,
        start: Population | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Population:
        """n new checkpoints, see `draw`.

        Raises:
            InputError: `start` is given.
        """
        if start is not None:
            raise InputError(
                f"{self.settings.recipe} begins from no checkpoints: leave --start out",
                "wrong-option",
            )
        return self.sampled(self.draw(n, rng, progress))


@dataclass(frozen=True, eq=False)
class OfOneNetwork(Fitted, ABC):
    """A fitted generator whose loss is that of one trained network."""

    network: nn.Module

    @property
    def parameters(self) -> int:
        """Number of trained values."""
        return parameter_count(self.network)

    @property
    def timesteps(self) -> int:
        """Noise levels in all."""
        return self.settings.timesteps

    def loss(
        self, population: Population, *, timesteps: tuple[int, ...], rng: torch.Generator
    ) -> Float[Tensor, "n levels"]:
        """See `losses`.

        Raises:
            InputError: It holds other networks, or NaN, or lacks what the loss needs.
        """
        with on_accelerator(self.network):
            return self.losses(self.in_order(population), timesteps, rng)

    @abstractmethod
    def losses(
        self, population: Population, timesteps: tuple[int, ...], rng: torch.Generator
    ) -> Float[Tensor, "n levels"]:
        """The loss of every run's last checkpoint at each noise level, where the network is."""


def require_network(population: Population, layout: WeightLayout, role: str) -> Population:
    """A population with its parameters in the order of a generator's layout.

    Raises:
        InputError: It holds other networks, or NaN.
    """
    ours = population.in_order_of(layout)
    generator = Population(torch.empty(0, layout.size), layout, sampled_records(0))
    require_same_layout(generator, ours, ("the generator", role))
    require_finite(ours, role)
    return ours


def parameter_count(module: nn.Module) -> int:
    """Number of trained values."""
    return sum(parameter.numel() for parameter in module.parameters())


def save_network(network: nn.Module, path: Path, **numbers: float) -> None:
    """Write a trained network and the numbers that go with it (its weight scale, ...)."""
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    # one entry: safetensors writes several in any order, and equal fits should be equal files
    save_file(state, path, {"numbers": json.dumps(numbers)})


def load_network(network: nn.Module, path: Path) -> dict[str, float]:
    """Fill a network with what `save_network` wrote, and set it to evaluation mode.

    Returns:
        The numbers that go with it.

    Raises:
        ValueError, RuntimeError: The file is not of this form, or of another network.
    """
    network.load_state_dict(load_file(path))
    network.eval()
    with safe_open(path, "pt") as file:
        return json.loads((file.metadata() or {}).get("numbers", "{}"))
