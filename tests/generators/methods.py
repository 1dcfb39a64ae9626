"""What tests of generators share: checkpoints that each method learns from, and small fits."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from planted import seeded

from novelweights.generators import GENERATORS
from novelweights.generators.parts.training import Workspace
from novelweights.networks.mlp import OneHiddenMLP
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, Records
from novelweights.weights.symmetry import NeuronSymmetry

METHODS = ("hyperdiffusion", "g-pt", "hyper-representations", "p-diff")
TINY = OneHiddenMLP(5, 4, 3, "tanh")
RUNS, STEPS = 5, 4
NAMES = tuple(f"layer4.1.{part}.{kind}" for part in ("bn1", "bn2") for kind in ("weight", "bias"))


class Interrupted(Exception):
    """Power cut."""


def norms_layout(size: int) -> WeightLayout:
    """Weight and bias of two BatchNorms, the parts of networks that P-diff learns."""
    return WeightLayout(tuple((name, (size,)) for name in NAMES))


def walk_of_norms(n: int, size: int, *, seed: int = 0, run: str = "train-00000") -> Population:
    """n consecutive steps of one run: the BatchNorms drift from where they began."""
    rng = seeded(seed)
    center = torch.tensor([1.0, 0.0, 0.8, -0.2]).repeat_interleave(size)
    begin = center + 0.1 * torch.randn(4 * size, generator=rng)
    weights = begin + 0.03 * torch.randn(n, 4 * size, generator=rng).cumsum(dim=0)
    symmetry = NeuronSymmetry({name: (None,) for name in NAMES})
    records = Records.of([run] * n, split="train", step=list(range(2, n + 2)))
    info = PopulationInfo("walk", {"seed": seed}, "norms", symmetry, "none")
    return Population(weights, norms_layout(size), records, info)


def trajectories(seed: int = 0, split: str = "train") -> Population:
    """RUNS runs of STEPS tiny networks, rows shuffled; losses fall along each run."""
    n = RUNS * STEPS
    run, step = np.divmod(np.arange(n), STEPS)
    loss = 2.0 - 0.4 * step + 0.01 * run
    records = Records.of(
        [f"{split}-{r}" for r in run],
        split=split,
        step=(10 * step).tolist(),
        scores={"test_loss": loss.tolist(), "test_accuracy": (3 - loss).tolist()},
    )
    weights = torch.randn(n, TINY.layout.size, generator=seeded(seed))
    info = PopulationInfo("random", {"seed": seed}, TINY.name, TINY.symmetry, "none")
    order = np.random.default_rng(seed).permutation(n)
    return Population(weights, TINY.layout, records, info).select(order)


def known(method: str, seed: int = 0, split: str = "train") -> Population:
    """Training or held-out checkpoints for a method."""
    if method == "p-diff":
        return walk_of_norms(20, 24, seed=seed, run=f"{split}-00000")
    return trajectories(seed, split)


def stopping_at(stop: int | None) -> Callable[[int, int, float], None]:
    """A fit's progress that cuts the power after so many steps."""

    def progress(step: int, of: int, loss: float) -> None:
        if step == stop:
            raise Interrupted

    return progress


def smoke(method: str, **changes: Any) -> Any:
    """Settings that are fitted in a moment: 20 steps, P-diff twice 20."""
    scales = GENERATORS[method].scales
    if method not in METHODS:
        return replace(scales["paper"], **({"of": 3} if method == "average" else {}), **changes)
    if method in ("hyperdiffusion", "g-pt"):
        changes = {"timesteps": 50, **changes}
    return replace(scales["smoke"], **changes)


def fit(
    method: str,
    training: Population | None = None,
    *,
    folder: Path | None = None,
    watch: Population | None = None,
    stop: int | None = None,
    seed: int = 1,
    **changes: Any,
) -> Any:
    """A fit at smoke scale; the power is cut after `stop` steps.

    On one thread: of more than there are cores, a matrix library may use fewer than it is told,
    and fits that should be equal to the last bit are not.
    """
    workspace = Workspace(folder, stopping_at(stop), seconds_between_saves=0.0, watch=watch)
    training = known(method) if training is None else training
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return smoke(method, **changes).fit(training, rng=seeded(seed), workspace=workspace)
    finally:
        torch.set_num_threads(threads)


@cache
def fitted(method: str) -> Any:
    """A fit at smoke scale that no test changes."""
    return fit(method)


def sample(method: str, generator: Any, n: int = 5, *, seed: int = 2, **more: Any) -> Population:
    """Samples; a conditional method begins from checkpoints that it never saw."""
    if GENERATORS[method].is_conditional:
        starts = trajectories(seed=7)
        more["start"] = starts.select(starts.records.step == 0)
    return generator.sample(n, rng=seeded(seed), **more)


def state_of(generator: Any) -> dict[str, torch.Tensor]:
    """Everything that a fit learned."""
    networks = (
        [generator.codec.autoencoder, generator.denoiser]
        if hasattr(generator, "codec")
        else [generator.network]
    )
    return {
        f"{i} {name}": value
        for i, network in enumerate(networks)
        for name, value in network.state_dict().items()
    }


def same(one: Any, other: Any) -> bool:
    """Whether two fits learned the same to the bit."""
    one, other = state_of(one), state_of(other)
    return all(torch.equal(value, other[name]) for name, value in one.items())
