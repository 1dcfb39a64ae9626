"""The training checkpoints themselves, where reconstructions by a lossy codec stand in for them.

A codec that ruins networks ruins training checkpoints and samples alike, so that they compare well
with each other: what the codec costs is seen only beside the originals. Source: ours.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float

from novelweights.audit.calibration import bootstrap
from novelweights.audit.result import Quantity
from novelweights.metrics.neighbors import Alignment, nearest
from novelweights.tasks.task import Measure, Task
from novelweights.weights.population import Population

LEVEL = 0.95


def beside_originals(
    generated: Population,
    originals: Population,
    alignment: Alignment | None,
    task: Task | None,
    *,
    quality: Float[np.ndarray, " n"] | None,
    rng: np.random.Generator,
) -> tuple[Quantity, ...]:
    """Distance to the training checkpoints themselves and, with a task, how well these work.

    Args:
        generated: n checkpoints.
        originals: The training checkpoints before the codec, one per run.
        alignment: Of the declared distance.
        task: Judges behavior.
        quality: Of the generated checkpoints, by the task.
        rng: Of the bootstrap.
    """
    near = nearest(generated.weights, originals.weights, alignment=alignment)
    distance = Quantity(
        key="median_distance_generated_originals",
        label="Median distance, generated to training weights",
        value=float(np.median(near.distances)),
        n=len(generated),
        definition="Median declared distance of generated checkpoints to the nearest training "
        "checkpoint itself; all other distances are to its reconstruction by the codec.",
    )
    if task is None or quality is None:
        return (distance,)
    theirs, name, unit = task.score(task.behave(originals)).numpy(), task.quality.name, "points"
    known = {"level": LEVEL, "unit": task.quality.unit}
    lower, upper = bootstrap(_mean, theirs, level=LEVEL, rng=rng)
    mean = Quantity(
        key="mean_quality_originals",
        label=f"Mean {name}, training before the codec",
        value=_mean(theirs),
        lower=lower,
        upper=upper,
        n=len(theirs),
        definition=f"Mean {name} of the training checkpoints themselves on the test examples; "
        "what is said of training checkpoints elsewhere is of their reconstructions by the codec.",
        **known,
    )
    lower, upper = bootstrap(_difference, quality, theirs, level=LEVEL, rng=rng)
    difference = Quantity(
        key="quality_difference_originals",
        label=f"{name.capitalize()}, generated less training before the codec",
        value=_difference(quality, theirs),
        lower=lower,
        upper=upper,
        n=len(quality) + len(theirs),
        definition=f"Difference of mean {name}, generated less the training checkpoints "
        "themselves, not their reconstructions by the codec.",
        **{**known, "unit": unit if task.quality.unit == "%" else task.quality.unit},
    )
    return distance, mean, difference


def costs_of_codec(
    numbers: Iterable[Quantity], quality: Measure | None, margin: float
) -> list[str]:
    """A warning where networks surely work worse after the codec than before it, else nothing.

    Args:
        numbers: The numbers of the audit.
        quality: What quality is; None: not known.
        margin: A loss up to this, in percentage points, is none.
    """
    known = {q.key: q for q in numbers}
    before, after = known.get("mean_quality_originals"), known.get("mean_quality_training")
    if quality is None or before is None or after is None:
        return []
    better, worse = (before, after) if quality.higher_is_better else (after, before)
    if better.lower is None or worse.upper is None:
        return []
    if better.lower - worse.upper <= (margin if quality.unit == "%" else 0.0):
        return []
    unit = quality.unit
    told = f"mean {quality.name} {before.value:.4g}{unit} before it, {after.value:.4g}{unit} after"
    return [
        f"The generator's codec costs quality (training checkpoints: {told}). Samples are compared "
        "with training and held-out checkpoints after it: to work means here to work like these."
    ]


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values))


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    return _mean(one) - _mean(other)
