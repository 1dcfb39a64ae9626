"""How whole sets of shapes compare with test shapes: the field's measures of shape generators.

Minimum matching distance, coverage and 1-nearest-neighbor accuracy, over Chamfer distances of
normalized clouds. They say how good and how various shapes are; a generator that returns its
training shapes does well by all three. Source: paper, table 1 and section 4.2; HyperDiffusion.
"""

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from novelweights.auditing.judge.statistics import mean
from novelweights.auditing.measure.estimates import estimate
from novelweights.auditing.result import SHARE, Quantity
from novelweights.metrics.point_clouds import (
    chamfer,
    coverage,
    one_nn_accuracy,
)
from novelweights.tasks.task import ShapeTask

LEAST = 2
"""Shapes on each side; of fewer nothing is told."""


def shape_quantities(
    task: ShapeTask, behavior: Mapping[str, Tensor | None], *, rng: np.random.Generator
) -> list[Quantity]:
    """The three measures of each set, as far as it has shapes.

    A set is cut to the number of test shapes, as released, since each measure depends on its size:
    n says how many a smaller set has. Fields without a surface are left out, as released.

    Args:
        behavior: Clouds of each kind of checkpoints; None: there are none.
    """
    sets = {
        kind: clouds[task.has_surface(clouds)]
        for kind, clouds in behavior.items()
        if clouds is not None
    }
    among_test, numbers = chamfer(task.test), []
    for kind, clouds in sets.items():
        some = clouds[: len(task.test)]
        n = len(some)
        if n < LEAST:
            continue
        across = chamfer(some, task.test)
        nearest = across.min(axis=0)
        words = f"of the first {n} {kind} checkpoints with a surface"
        numbers.append(
            estimate(mean, nearest, rng=rng, n=n).quantity(
                f"minimum_matching_distance_{kind}",
                f"Minimum matching distance, {kind}",
                "Mean over test shapes of the Chamfer distance to the nearest shape "
                f"{words} (paper, table 1). Bootstrap over test shapes. Lower is better; it "
                "depends on n.",
            )
        )
        shares = (
            (
                "shape_coverage",
                "Coverage",
                coverage(across),
                f"Share of the {len(task.test)} test shapes that are the nearest of some shape "
                f"{words}.",
            ),
            (
                "one_nn_accuracy",
                "1-nearest-neighbor accuracy",
                one_nn_accuracy(chamfer(some), among_test, across),
                "How often the nearest other shape tells rightly whether a shape is "
                f"{words} or a test shape. 50%: they cannot be told apart.",
            ),
        )
        numbers += [
            Quantity(f"{key}_{kind}", f"{label}, {kind}", value, n, definition, unit=SHARE)
            for key, label, value, definition in shares
        ]
    return numbers
