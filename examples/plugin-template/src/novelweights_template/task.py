"""A task: runs checkpoints and says how well they do and how new their behavior is.

Anything with the members of `novelweights.tasks.task.Task` that is made without arguments.
"""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.func import functional_call, vmap

from novelweights.metrics.agreement import max_similarity
from novelweights.networks.symmetry_of import layout_of
from novelweights.tasks.task import Measure, other_networks
from novelweights.weights.population import Population
from novelweights_template.network import PointClassifier

N_POINTS = 400
NOISE = 0.25
"""Standard deviation around the moons: enough that every network is wrong on some points."""


def moons(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """n points of the plane and the moon that each lies on, 0 or 1."""
    rng = torch.Generator().manual_seed(seed)
    moon = torch.arange(n) % 2
    angle = math.pi * (torch.rand(n, generator=rng) + moon)
    shift = moon[:, None] * torch.tensor([1.0, 0.5])
    points = torch.stack([angle.cos(), angle.sin()], dim=1) + shift
    return points + NOISE * torch.randn(n, 2, generator=rng), moon


class Moons:
    """Two moons in the plane, told apart by checkpoints of `PointClassifier`."""

    name = "template-moons"
    quality = Measure("accuracy", "%", True, "Share of the points that are told apart rightly.")
    novelty = Measure(
        "maximum similarity",
        "",
        higher_is_better=False,
        definition="The largest overlap (IoU) of wrong points with a training checkpoint.",
    )

    def __init__(self) -> None:
        self.points, self.moon = moons(N_POINTS, seed=1)
        self.network = PointClassifier()

    def behave(self, population: Population) -> Bool[Tensor, "n points"]:
        """True where a checkpoint says 1.

        Raises:
            InputError: The checkpoints are of another network.
        """
        layout = layout_of(self.network)
        if dict(population.layout.shapes) != dict(layout.shapes):
            raise other_networks(self.name, "PointClassifier", layout, population)

        def run(state: Mapping[str, Tensor]) -> Tensor:
            return functional_call(self.network, dict(state), (self.points,))

        with torch.no_grad():
            logits = vmap(run)(population.layout.unflatten(population.weights))
        return logits[..., 1] > logits[..., 0]

    def score(self, behavior: Bool[Tensor, "n points"]) -> Float[Tensor, " n"]:
        """Accuracy in percent."""
        return 100 * (behavior == self.moon.bool()).double().mean(dim=1)

    def novelty_against(
        self,
        behavior: Bool[Tensor, "n points"],
        reference: Bool[Tensor, "m points"],
        *,
        exclude: Bool[Tensor, "n m"] | None = None,
    ) -> Float[Tensor, " n"]:
        """The largest overlap of wrong points with a reference checkpoint; low is novel."""
        wrong, theirs = behavior != self.moon.bool(), reference != self.moon.bool()
        return max_similarity(wrong, theirs, exclude=exclude)
