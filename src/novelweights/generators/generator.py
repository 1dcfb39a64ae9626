"""What a generator of weights is: `fit` returns the fitted thing, and that samples.

Anything with these methods takes part, from inside this package or outside; a baseline is a
generator like any other.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from novelweights.generators.parts.training import Workspace
from novelweights.weights.population import Population

SampleProgress = Callable[[int, int], None]
"""Called with (steps done, steps in all) while sampling."""


@runtime_checkable
class HasReference(Protocol):
    """What audits may have to compare with something else than the training checkpoints."""

    def as_reference(self, population: Population) -> Population:
        """What the population looks like through the generator: identity, unless it has a lossy
        codec (Hyper-Representations), whose reconstruction it is then."""
        ...


@runtime_checkable
class FittedGenerator(HasReference, Protocol):
    """A generator that has seen its training checkpoints."""

    def sample(
        self,
        n: int,
        *,
        rng: torch.Generator,
        start: Population | None = None,
        progress: SampleProgress | None = None,
    ) -> Population:
        """n generated checkpoints.

        Args:
            start: Checkpoints that a conditional generator begins from; others refuse it.
            progress: Told how far sampling is.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write everything `sample` needs into an existing folder, without pickle."""
        ...


@runtime_checkable
class GivesBack(Protocol):
    """A fitted generator with a lossy codec that is no reference: audits take checkpoints as they
    are (P-diff)."""

    def reconstruct(self, population: Population) -> Population:
        """The population through the codec."""
        ...


@runtime_checkable
class DrawsFromSome(Protocol):
    """A fitted generator that draws from some of its training checkpoints only."""

    def parents(self, training: Population) -> Population:
        """Those of the training checkpoints it draws from."""
        ...


@runtime_checkable
class HasSamplers(Protocol):
    """A fitted generator that can be sampled in several ways."""

    def sampling(self, **changed: Any) -> FittedGenerator:
        """The same fitted generator with other settings of its sampling."""
        ...


@runtime_checkable
class WeightGenerator(Protocol):
    """A method of generating weights; its fields are its settings."""

    def fit(
        self,
        training: Population,
        *,
        rng: torch.Generator,
        workspace: Workspace | None = None,
    ) -> FittedGenerator:
        """Learn from training checkpoints; `workspace` keeps the state of a long fit."""
        ...
