"""Prompting a generator with losses: several starts, each with losses all over the range seen.

The original's own evaluation of G.pt ("loss on demand"). One prompt comes on top: 0, with which the
paper samples, and which is below every loss seen in training (paper, section 2).
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.errors import InputError
from novelweights.generators.gpt import MeasureLoss
from novelweights.generators.parts.trajectories import starts_for
from novelweights.studies.steering.summary import Steering
from novelweights.tasks.task import Task
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import (
    Population,
    PopulationInfo,
    require_finite,
)

SAMPLES_AT_ONCE = 256
"""In one call of a generator, unless there are more starts."""
MOST_PROMPTS = 1000
"""More show no more, and pairs of them grow with their square."""
MOST_SAMPLES = 20_000
"""Prompts times starts."""
SAME_LOSS = 0.01
"""Losses that differ by less than this share are the same, measured twice."""


@runtime_checkable
class Prompted(Protocol):
    """A fitted generator that begins from checkpoints and is prompted with a loss."""

    @property
    def settings(self) -> Any:
        """Its `metric`: which score of the checkpoints is the prompted loss."""
        ...

    @property
    def layout(self) -> WeightLayout: ...

    @property
    def info(self) -> PopulationInfo: ...

    @property
    def loss_range(self) -> tuple[float, float]:
        """Least and greatest loss it was trained with."""
        ...

    def sample(
        self,
        n: int,
        *,
        rng: torch.Generator,
        start: Population | None = None,
        progress: Callable[[int, int], None] | None = None,
        measure: MeasureLoss | None = None,
        prompts: Float[Tensor, " n"] | None = None,
    ) -> Population:
        """Sample i begins from start i (from the first again after the last), with prompt i."""
        ...


@runtime_checkable
class LossTask(Task, Protocol):
    """A task that knows the loss of checkpoints."""

    def loss(self, population: Population) -> Float[Tensor, " n"]:
        """The loss of each checkpoint in nats."""
        ...


def prompt_grid(least: float, greatest: float, n: int) -> Float[np.ndarray, " prompts"]:
    """Prompts evenly spaced in the logarithm of the loss, and before them 0, the published one.

    Args:
        least: Least loss seen in training, in nats.
        greatest: Greatest.
        n: How many from least to greatest; 0 comes on top.

    Raises:
        InputError: Fewer than two, more than `MOST_PROMPTS`, or no range to space them in.
    """
    if n < 2:
        raise InputError(
            f"expected 2 prompts or more, got {n}; one cannot show an order", "wrong-option"
        )
    if n > MOST_PROMPTS:
        raise InputError(
            f"expected at most {MOST_PROMPTS:,} prompts, got {n:,}; a dozen show whether the "
            "prompt steers, give fewer with --prompts",
            "wrong-option",
        )
    if not 0 < least < greatest < np.inf:
        raise InputError(
            f"the generator was trained with losses from {least:g} to {greatest:g}: expected a "
            "range of positive losses to prompt; fit it to checkpoints of different losses",
            "unsuited",
        )
    return np.concatenate([[0.0], np.geomspace(least, greatest, n)])


def require_prompted(fitted: Any, method: str) -> Prompted:
    """The generator, if it is prompted with a loss.

    Raises:
        InputError: It takes no prompts.
    """
    if not isinstance(fitted, Prompted):
        raise InputError(
            f"{method} is not prompted with a loss: expected a generator that is, as g-pt "
            "(`novelweights fit g-pt`)",
            "unsuited",
        )
    return fitted


def steer(
    fitted: Prompted,
    start: Population,
    task: Task,
    *,
    prompts: Float[np.ndarray, " prompts"],
    n_starts: int,
    rng: torch.Generator,
    progress: Callable[[int, int], None] | None = None,
) -> Steering:
    """Prompt every start with every loss and measure what comes.

    Args:
        fitted: The generator.
        start: Checkpoints to begin from that it was not fitted to, with their losses.
        task: Measures loss and accuracy; its loss must be what the prompts mean.
        prompts: Losses in nats; two above 0 or more.
        n_starts: The first so many are used; all, where there are fewer.
        rng: Source of all randomness.
        progress: Called with (steps done, steps in all).

    Raises:
        InputError: More than `MOST_SAMPLES` are needed, the task has no loss or judges other
            networks, the starts are of another network, or their losses are missing or not those
            of the task; or what was sampled has no finite loss.
    """
    prompts = np.unique(prompts)
    if (prompts > 0).sum() < 2 or prompts[0] < 0 or n_starts < 1:
        raise ValueError("expected a start, two prompts above 0 or more, and none below")
    if not isinstance(task, LossTask):
        raise InputError(
            f"task {task.name} measures no loss: expected one that does; name it with --task",
            "unsuited",
        )
    start = start.select(slice(0, n_starts))
    if len(prompts) * len(start) > MOST_SAMPLES:
        raise InputError(
            f"expected at most {MOST_SAMPLES:,} samples, got {len(prompts):,} prompts for each of "
            f"{len(start):,} starts; give fewer with --prompts or --starts",
            "wrong-option",
        )
    metric = fitted.settings.metric
    start, losses = starts_for(fitted.layout, start, metric)
    recorded, measured = losses.double(), task.loss(start).double()
    if not torch.allclose(recorded, measured, rtol=SAME_LOSS, atol=1e-6):
        worst = int((recorded / measured).log().abs().argmax())
        raise InputError(
            f"start: {metric} of row {worst} is {recorded[worst]:.4g}, by task {task.name} the "
            f"loss is {measured[worst]:.4g}; expected the loss that the generator is prompted "
            "with. Name the task of its checkpoints with --task, or fit it with --metric test_loss",
            "wrong-records",
        )
    at_once = max(1, SAMPLES_AT_ONCE // len(start))
    blocks = np.array_split(prompts, -(-len(prompts) // at_once))
    achieved, accuracy = [], []
    for i, block in enumerate(blocks):
        repeated = torch.from_numpy(np.repeat(block, len(start))).float()

        def tell(step: int, of: int, i: int = i) -> None:
            if progress is not None:
                progress(i * of + step, len(blocks) * of)

        samples = fitted.sample(
            len(repeated), rng=rng, start=start, progress=tell, measure=task.loss, prompts=repeated
        )
        require_finite(samples, "samples")
        achieved.append(task.loss(samples).double())
        accuracy.append(task.score(task.behave(samples)).double())
    losses = torch.cat(achieved)
    if not losses.isfinite().all():
        raise InputError(
            f"{int((~losses.isfinite()).sum())} of {len(losses)} samples have no finite loss: "
            "expected networks that work at all; fit the generator longer",
            "not-finite",
        )
    return Steering(
        prompt=np.repeat(prompts, len(start)),
        start=np.tile(np.arange(len(start)), len(prompts)),
        start_loss=np.tile(measured.numpy(), len(prompts)),
        achieved=losses.numpy(),
        accuracy=torch.cat(accuracy).numpy(),
        loss_range=fitted.loss_range,
    )
