"""One run that drifts and shakes, further runs from the same base, and generators of known kind.

The network is a part of a larger one: two vectors between layers that stay.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from planted import seeded
from torch import Tensor

from novelweights.metrics.agreement import max_similarity
from novelweights.tasks.task import Measure
from novelweights.weights.layout import WeightLayout
from novelweights.weights.perturb import average_rows, parameter_gaussian, pick_rows
from novelweights.weights.population import Population, PopulationInfo, Records, sampled_records
from novelweights.weights.symmetry import NeuronSymmetry

WIDTH, STEPS, MADE = 16, 120, 60
LAYOUT = WeightLayout((("last.weight", (WIDTH,)), ("last.bias", (WIDTH,))))
WHOLE = WeightLayout((("first.weight", (3, 2)), *LAYOUT.shapes[::-1], ("head.bias", (5,))))
SYMMETRY = NeuronSymmetry({name: (None,) for name, _ in LAYOUT.shapes})
INFO = PopulationInfo("walk", {}, "part", SYMMETRY, None)
D = LAYOUT.size


BASE = torch.cat([1 + 0.3 * torch.randn(WIDTH, generator=seeded(0)), torch.zeros(WIDTH)])


def walk(seed: int, steps: int = STEPS) -> Float[Tensor, "steps d"]:
    """A drift that is the run's own, and small random steps."""
    small = 0.01 * torch.randn(steps, D, generator=seeded(seed)).cumsum(dim=0)
    drift = 0.05 * torch.randn(D, generator=seeded(1000 + seed))
    return BASE + small + torch.linspace(0, 1, steps)[:, None] * drift


def run_of(name: str, split: str, steps: int = STEPS) -> Records:
    return Records.of([name] * steps, split=split, step=list(range(2, 2 + steps)))


def training(n: int = 1) -> Population:
    """The run; or n of them, fewer than 10."""
    weights = torch.cat([walk(1 + i) for i in range(n)])
    records = Records.join([run_of(f"train-{i:05d}", "train") for i in range(n)])
    return Population(weights, LAYOUT, records, INFO)


def heldout(n: int = 8) -> Population:
    weights = torch.cat([walk(10 + i) for i in range(n)])
    records = Records.join([run_of(f"heldout-{i:05d}", "heldout") for i in range(n)])
    return Population(weights, LAYOUT, records, INFO)


def from_scratch(n: int = 10, *, layout: WeightLayout = WHOLE) -> Population:
    """Whole networks, far from each other and from the run."""
    records = Records.of(
        [f"scratch-{i}" for i in range(n)],
        split="train",
        step=9,
        scores={"test_accuracy": np.linspace(40, 50, n).tolist()},
    )
    return Population(torch.randn(n, layout.size, generator=seeded(9)), layout, records, INFO)


def generated(kind: str, n: int = MADE) -> Population:
    """Averages of 16 steps, copies, Gaussian draws, or copies that drifted away together."""
    train = training().weights
    copies = train[pick_rows(len(train), n, rng=seeded(3))]
    weights = {
        "average": lambda: average_rows(train, n, of=16, rng=seeded(3)),
        "copy": lambda: copies,
        "gaussian": lambda: parameter_gaussian(train, n, rng=seeded(3)),
        "drift": lambda: copies + 1.5 + 0.3 * torch.randn(n, D, generator=seeded(4)),
    }[kind]()
    return Population(weights, LAYOUT, sampled_records(n), INFO)


@dataclass(frozen=True)
class Near:
    """Examples that a checkpoint gets wrong the more, the farther it is from the run's mean."""

    name: str = "near the mean"
    examples: int = 200

    quality = Measure("accuracy", "%", higher_is_better=True)
    novelty = Measure("maximum similarity", "", higher_is_better=False)

    def behave(self, population: Population) -> UInt8[Tensor, "n examples"]:
        rays = torch.randn(D, self.examples, generator=seeded(77))
        off = (population.weights - training().weights.mean(dim=0)) @ rays
        hard = torch.rand(self.examples, generator=seeded(5))
        return ((off.abs() + hard) > 0.9).to(torch.uint8)

    def score(self, behavior: UInt8[Tensor, "n examples"]) -> Float[Tensor, " n"]:
        return 100 * (behavior == 0).double().mean(dim=1)

    def novelty_against(
        self,
        behavior: UInt8[Tensor, "n examples"],
        reference: UInt8[Tensor, "m examples"],
        *,
        exclude: Bool[Tensor, "n m"] | None = None,
    ) -> Float[Tensor, " n"]:
        return max_similarity(behavior != 0, reference != 0, exclude=exclude)
