"""What a checkpoint does: the protocol that every task follows."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from novelweights.errors import InputError
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population


@dataclass(frozen=True)
class Measure:
    """A number with a name, a unit and a direction; arrows and axes are drawn from it."""

    name: str
    unit: str
    higher_is_better: bool
    definition: str = ""
    """In a sentence, for the notes of a report."""

    @property
    def unit_of_difference(self) -> str:
        """The unit of the difference of two such numbers."""
        return "points" if self.unit == "%" else self.unit


@runtime_checkable
class Task(Protocol):
    """Runs checkpoints and says how well they do and how new their behavior is."""

    @property
    def name(self) -> str: ...

    @property
    def quality(self) -> Measure: ...

    @property
    def novelty(self) -> Measure: ...

    def behave(self, population: Population) -> Tensor:
        """Outputs, checkpoints first: predictions, or point clouds."""
        ...

    def score(self, behavior: Tensor) -> Float[Tensor, " n"]:
        """Quality of each checkpoint."""
        ...

    def novelty_against(
        self, behavior: Tensor, reference: Tensor, *, exclude: Bool[Tensor, "n m"] | None = None
    ) -> Float[Tensor, " n"]:
        """Behavior against the most similar reference checkpoint that is not excluded."""
        ...


@runtime_checkable
class ShapeTask(Task, Protocol):
    """Judges networks that describe a shape."""

    @property
    def test(self) -> Float32[np.ndarray, "t points 3"]:
        """Clouds of shapes that no network was fitted to."""
        ...

    def has_surface(self, behavior: Tensor) -> Bool[Tensor, " n"]:
        """Whether there is a shape at all."""
        ...


def other_networks(
    task: str, network: str, expected: WeightLayout, population: Population
) -> InputError:
    """What a task raises for checkpoints of another network than its own."""
    held = population.layout
    return InputError(
        f"task {task} judges {network} ({expected.size} weights), the population holds other "
        f"networks ({held.size} weights in {len(held.shapes)} parameters); name the task that "
        "fits it",
        "other-network",
    )
